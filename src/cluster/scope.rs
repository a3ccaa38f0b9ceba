//! Which objects are looked at, from the config file and the command line, checked before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ObjectRef;
use super::selector::{LabelSelector, SelectorError};
use crate::config::{NamedSecret, ScopeConfig};

/// Which objects are looked at. [`Scope::default`] is everything but what the default selector leaves out of Secrets.
#[derive(Clone, Debug)]
pub struct Scope {
    namespaces: BTreeSet<Arc<str>>,
    excluded: BTreeSet<Arc<str>>,
    secrets: LabelSelector,
    /// The only Secrets that are looked at, where they are named.
    named: Option<BTreeSet<ObjectRef>>,
    reads_secrets: bool,
}

/// A scope that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A namespace that no cluster can have.
    #[error("{place}: {name:?} is not the name of a namespace; names are at most 63 of a-z, 0-9 and -")]
    Namespace {
        /// Where it was written.
        place: &'static str,
        /// The name as written.
        name: String,
    },
    /// Nothing is left to look at.
    #[error("scope: every namespace of scope.namespaces is also in scope.excludeNamespaces, so nothing is left")]
    Nothing,
    /// A Secret that no cluster can have.
    #[error("scope.secrets: {name:?} is not the name of a Secret; names are at most 253 of a-z, 0-9, - and .")]
    Secret {
        /// The name as written.
        name: String,
    },
    /// A Secret that the rest of the scope leaves out.
    #[error(
        "scope.secrets: {secret} is in a namespace that scope.namespaces or scope.excludeNamespaces leaves out; name it there too, or leave the Secret out"
    )]
    Outside {
        /// Namespace and name.
        secret: ObjectRef,
    },
    /// The selector for Secrets does not follow the grammar.
    #[error("scope.secretSelector")]
    Selector(#[source] SelectorError),
}

impl Scope {
    /// The scope of a config file. `namespaces` are those of the command line (`-n`): they replace the lists of the
    /// file, since whoever names a namespace means it.
    pub fn new(config: &ScopeConfig, namespaces: &[String]) -> Result<Self, ScopeError> {
        let secrets = LabelSelector::parse(&config.secret_selector).map_err(ScopeError::Selector)?;
        let reads_secrets = config.read_secrets;
        if !namespaces.is_empty() {
            let namespaces = checked("--namespace", namespaces)?;
            return Ok(Self { namespaces, excluded: BTreeSet::new(), secrets, named: None, reads_secrets });
        }
        let excluded = checked("scope.excludeNamespaces", &config.exclude_namespaces)?;
        let wanted = checked("scope.namespaces", &config.namespaces)?;
        let mut namespaces: BTreeSet<_> = wanted.difference(&excluded).cloned().collect();
        if namespaces.is_empty() && !wanted.is_empty() {
            return Err(ScopeError::Nothing);
        }
        let named = (!config.secrets.is_empty()).then(|| named(&config.secrets)).transpose()?;
        if let Some(named) = &named {
            if namespaces.is_empty() {
                namespaces = named.iter().map(|secret| Arc::clone(&secret.namespace)).collect();
            }
            let outside =
                |secret: &&ObjectRef| !namespaces.contains(&secret.namespace) || excluded.contains(&secret.namespace);
            if let Some(secret) = named.iter().find(outside) {
                return Err(ScopeError::Outside { secret: secret.clone() });
            }
        }
        Ok(Self { namespaces, excluded, secrets, named, reads_secrets })
    }

    /// Whether objects of this namespace are looked at. What belongs to no namespace always is.
    pub fn admits(&self, namespace: &str) -> bool {
        namespace.is_empty()
            || (self.namespaces.is_empty() || self.namespaces.contains(namespace)) && !self.excluded.contains(namespace)
    }

    /// The namespaces to look at; `None` means all but [`Scope::excluded`].
    pub fn namespaces(&self) -> Option<&BTreeSet<Arc<str>>> {
        (!self.namespaces.is_empty()).then_some(&self.namespaces)
    }

    /// Namespaces that are left out.
    pub fn excluded(&self) -> &BTreeSet<Arc<str>> {
        &self.excluded
    }

    /// The label selector for Secrets.
    pub fn secret_selector(&self) -> &LabelSelector {
        &self.secrets
    }

    /// Whether Secrets are looked at at all.
    pub fn reads_secrets(&self) -> bool {
        self.reads_secrets
    }

    /// The only Secrets that are looked at; `None` means all that namespaces and selector admit.
    pub fn named_secrets(&self) -> Option<&BTreeSet<ObjectRef>> {
        self.named.as_ref()
    }

    /// Whether a Secret with these labels is looked at, where its namespace is. Of one that is named the labels do not matter.
    pub fn admits_secret(&self, at: &ObjectRef, labels: &BTreeMap<String, String>) -> bool {
        match &self.named {
            _ if !self.reads_secrets => false,
            Some(named) => named.contains(at),
            None => self.secrets.matches(labels),
        }
    }
}

impl Default for Scope {
    #[expect(clippy::expect_used, reason = "the default config is a constant, and a test reads it")]
    fn default() -> Self {
        Self::new(&ScopeConfig::default(), &[]).expect("the default scope is valid")
    }
}

/// Names become parts of selectors, so nothing else may pass: RFC 1123 subdomains only.
fn named(secrets: &[NamedSecret]) -> Result<BTreeSet<ObjectRef>, ScopeError> {
    let is_part = |part: &str| {
        let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        outer(part.as_bytes().first())
            && outer(part.as_bytes().last())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    secrets
        .iter()
        .map(|NamedSecret { namespace, name }| {
            if name.len() > 253 || !name.split('.').all(is_part) {
                return Err(ScopeError::Secret { name: name.clone() });
            }
            checked("scope.secrets", std::slice::from_ref(namespace))?;
            Ok(ObjectRef::new(namespace.as_str(), name.as_str()))
        })
        .collect()
}

/// A namespace becomes part of a URL, so nothing else may pass: RFC 1123 labels only.
fn checked(place: &'static str, names: &[String]) -> Result<BTreeSet<Arc<str>>, ScopeError> {
    let is_label = |name: &str| {
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = name.as_bytes();
        bytes.len() <= 63
            && outer(bytes.first())
            && outer(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    names
        .iter()
        .map(|name| {
            if is_label(name) {
                Ok(Arc::from(name.as_str()))
            } else {
                Err(ScopeError::Namespace { place, name: name.clone() })
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn scope(namespaces: &[&str], excluded: &[&str], flags: &[&str]) -> Result<Scope, ScopeError> {
        let config = ScopeConfig {
            namespaces: names(namespaces),
            exclude_namespaces: names(excluded),
            ..ScopeConfig::default()
        };
        Scope::new(&config, &names(flags))
    }

    #[test]
    fn admits_what_is_named_and_not_excluded() {
        let default = Scope::default();
        assert!(default.admits("a") && default.admits(""));
        let scope = scope(&["a", "b"], &["b"], &[]).unwrap();
        assert!(scope.admits("a") && scope.admits("") && !scope.admits("b") && !scope.admits("c"));
    }

    #[test]
    fn a_namespace_on_the_command_line_beats_the_file() {
        let scope = scope(&["a"], &["b"], &["b"]).unwrap();
        assert!(scope.admits("b") && !scope.admits("a"));
    }

    #[test]
    fn the_default_leaves_out_the_secrets_of_container_hooks() {
        let hook = BTreeMap::from([("runner-pod".to_owned(), "runner-1".to_owned())]);
        let at = ObjectRef::new("ci", "runner-1-secret");
        assert!(!Scope::default().admits_secret(&at, &hook));
        assert!(Scope::default().admits_secret(&at, &BTreeMap::new()));
    }

    fn naming(secrets: &[(&str, &str)], namespaces: &[&str], excluded: &[&str]) -> Result<Scope, ScopeError> {
        let named = |(namespace, name): &(&str, &str)| NamedSecret {
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        };
        let config = ScopeConfig {
            secrets: secrets.iter().map(named).collect(),
            namespaces: names(namespaces),
            exclude_namespaces: names(excluded),
            ..ScopeConfig::default()
        };
        Scope::new(&config, &[])
    }

    #[test]
    fn named_secrets_are_the_only_ones_whatever_their_labels_say() {
        let scope = naming(&[("a", "pull"), ("b", "pull.of.b"), ("a", "pull")], &[], &[]).unwrap();
        assert_eq!(scope.namespaces().unwrap().iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        let hook = BTreeMap::from([("runner-pod".to_owned(), "runner-1".to_owned())]);
        assert!(scope.admits_secret(&ObjectRef::new("a", "pull"), &hook));
        assert!(!scope.admits_secret(&ObjectRef::new("b", "pull"), &BTreeMap::new()));
        assert!(!scope.admits("c"));
        let wider = naming(&[("a", "pull")], &["a", "b"], &[]).unwrap();
        assert!(wider.admits("b") && !wider.admits_secret(&ObjectRef::new("b", "pull"), &BTreeMap::new()));
        let config = ScopeConfig {
            secrets: vec![NamedSecret { namespace: "a".to_owned(), name: "pull".to_owned() }],
            ..ScopeConfig::default()
        };
        assert_eq!(Scope::new(&config, &names(&["b"])).unwrap().named_secrets(), None, "-n means it");
    }

    #[test]
    fn without_secrets_none_is_admitted() {
        let config = ScopeConfig { read_secrets: false, ..ScopeConfig::default() };
        for flags in [&[][..], &["a"]] {
            let scope = Scope::new(&config, &names(flags)).unwrap();
            assert!(scope.admits("a") && !scope.admits_secret(&ObjectRef::new("a", "pull"), &BTreeMap::new()));
        }
    }

    #[test]
    fn a_named_secret_that_cannot_be_meant_is_an_error_at_start() {
        for bad in ["", "A", "a/b", "a,metadata.name!=b", "a b", "-a", "a.", "..", "a=b", &"a".repeat(254)] {
            assert_eq!(naming(&[("a", bad)], &[], &[]).unwrap_err(), ScopeError::Secret { name: bad.to_owned() });
        }
        let outside = ScopeError::Outside { secret: ObjectRef::new("b", "pull") };
        assert_eq!(naming(&[("b", "pull")], &["a"], &[]).unwrap_err(), outside);
        assert_eq!(naming(&[("b", "pull")], &[], &["b"]).unwrap_err(), outside);
        let bad = ScopeError::Namespace { place: "scope.secrets", name: "B".to_owned() };
        assert_eq!(naming(&[("B", "pull")], &[], &[]).unwrap_err(), bad);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_at_start() {
        assert_eq!(scope(&["a"], &["a"], &[]).unwrap_err(), ScopeError::Nothing);
        for bad in ["a/b", "", "A", "a?x=1", "-a", "..", &"a".repeat(64)] {
            let expected = ScopeError::Namespace { place: "--namespace", name: bad.to_owned() };
            assert_eq!(scope(&[], &[], &[bad]).unwrap_err(), expected);
        }
        let config = ScopeConfig { secret_selector: "a in b".to_owned(), ..ScopeConfig::default() };
        assert!(matches!(Scope::new(&config, &[]), Err(ScopeError::Selector(_))));
    }
}
