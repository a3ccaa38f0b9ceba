//! What RBAC denies: one permission at a time as it is found out, and as rules that can be pasted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Resource;

/// A permission that RBAC denies us.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MissingPermission {
    /// The resource.
    pub resource: Resource,
    /// `list` or `watch`; of Events `create` or `patch`; of the `ConfigMaps` of the state and of the Lease `get`,
    /// `create` or `update`.
    pub verb: &'static str,
    /// The namespace, or empty for cluster-wide.
    pub scope: Arc<str>,
    /// The objects that are wanted, where only some are; empty for all.
    pub names: BTreeSet<Arc<str>>,
}

impl MissingPermission {
    /// On all objects of a resource in a scope.
    pub fn new(resource: Resource, verb: &'static str, scope: impl Into<Arc<str>>) -> Self {
        Self { resource, verb, scope: scope.into(), names: BTreeSet::new() }
    }

    /// The same on one object alone.
    #[must_use]
    pub fn of(self, name: impl Into<Arc<str>>) -> Self {
        Self { names: [name.into()].into(), ..self }
    }

    /// One for each resource, verb and scope, with the names of all; where all objects are wanted, single ones are no
    /// permission of their own.
    pub fn merged<'a>(missing: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut merged: BTreeMap<Self, BTreeSet<Arc<str>>> = BTreeMap::new();
        for one in missing {
            let all = Self::new(one.resource, one.verb, Arc::clone(&one.scope));
            match merged.get_mut(&all) {
                Some(names) if names.is_empty() => {}
                Some(names) if one.names.is_empty() => names.clear(),
                Some(names) => names.extend(one.names.iter().cloned()),
                None => drop(merged.insert(all, one.names.clone())),
            }
        }
        merged.into_iter().map(|(all, names)| Self { names, ..all }).collect()
    }
}

/// A rule that lacks in RBAC: the verbs of one resource in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRule<'a> {
    resource: Resource,
    scope: &'a str,
    verbs: Vec<&'static str>,
    /// The objects that are wanted; empty for all.
    names: BTreeSet<&'a str>,
}

impl<'a> MissingRule<'a> {
    /// What cannot be done, in words.
    pub fn subject(&self) -> String {
        let place = if self.scope.is_empty() { "in all namespaces".to_owned() } else { format!("in {}", self.scope) };
        let names = if self.names.is_empty() { String::new() } else { format!(" {}", self.list(", ")) };
        format!("permission to {} {}{names} {place}", self.verbs.join(" and "), self.resource.as_str())
    }

    /// The resource.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// The namespace of the Role that it belongs to, or empty for a `ClusterRole`.
    pub fn namespace(&self) -> &'a str {
        self.scope
    }

    /// The verbs.
    pub fn verbs(&self) -> &[&'static str] {
        &self.verbs
    }

    /// The objects that are wanted; none for all.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.iter().copied()
    }

    /// The rule itself as an item of `rules`, in YAML that is JSON as well.
    pub fn rule(&self) -> String {
        let verbs: Vec<String> = self.verbs.iter().map(|verb| format!("\"{verb}\"")).collect();
        let names = if self.names.is_empty() {
            String::new()
        } else {
            format!("resourceNames: [\"{}\"], ", self.list("\", \""))
        };
        format!(
            "{{apiGroups: [\"{}\"], resources: [\"{}\"], {names}verbs: [{}]}}",
            self.resource.group(),
            self.resource.as_str(),
            verbs.join(", ")
        )
    }

    fn list(&self, separator: &str) -> String {
        self.names.iter().copied().collect::<Vec<_>>().join(separator)
    }
}

/// The rule as it is to be added: `add to the ClusterRole: {apiGroups: [""], ...}`, in YAML that can be pasted.
impl std::fmt::Display for MissingRule<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scope.is_empty() {
            f.write_str("add to the rules of the ClusterRole: ")?;
        } else {
            write!(f, "add to the rules of the Role in namespace {}: ", self.scope)?;
        }
        write!(f, "- {}", self.rule())
    }
}

/// The rules to add, one per resource and scope.
pub fn missing_rules<'a>(missing: impl IntoIterator<Item = &'a MissingPermission>) -> Vec<MissingRule<'a>> {
    let mut by_place: BTreeMap<(Resource, &str, bool), MissingRule<'_>> = BTreeMap::new();
    for permission in missing {
        let (resource, scope) = (permission.resource, &*permission.scope);
        let is_named = !permission.names.is_empty();
        let rule = by_place.entry((resource, scope, is_named)).or_insert_with(|| MissingRule {
            resource,
            scope,
            verbs: Vec::new(),
            names: BTreeSet::new(),
        });
        // What is followed by its name needs both, and the second is not asked for before the first is granted.
        let verbs = if is_named { &["list", "watch"][..] } else { &[permission.verb][..] };
        rule.verbs.extend(verbs.iter().filter(|verb| !rule.verbs.contains(verb)).copied().collect::<Vec<_>>());
        rule.names.extend(permission.names.iter().map(|name| &**name));
    }
    by_place.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_objects_are_one_permission_and_none_where_all_are_wanted() {
        let secrets = |verb| MissingPermission::new(Resource::Secrets, verb, "a");
        let told = [secrets("list").of("one"), secrets("list").of("two"), secrets("watch").of("one"), secrets("watch")];
        let both = MissingPermission { names: ["one".into(), "two".into()].into(), ..secrets("list") };
        assert_eq!(MissingPermission::merged(&told), [both.clone(), secrets("watch")]);
        let elsewhere = MissingPermission::new(Resource::Secrets, "list", "b").of("one");
        assert_eq!(MissingPermission::merged([&both, &elsewhere]), [both.clone(), elsewhere.clone()]);
        let rules: Vec<String> = missing_rules([&both, &elsewhere]).iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            [
                "add to the rules of the Role in namespace a: - {apiGroups: [\"\"], resources: [\"secrets\"], \
                 resourceNames: [\"one\", \"two\"], verbs: [\"list\", \"watch\"]}",
                "add to the rules of the Role in namespace b: - {apiGroups: [\"\"], resources: [\"secrets\"], \
                 resourceNames: [\"one\"], verbs: [\"list\", \"watch\"]}",
            ]
        );
    }
}
