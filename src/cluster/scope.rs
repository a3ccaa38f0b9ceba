//! Which objects are looked at, from the config file and the command line, checked before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::selector::{LabelSelector, SelectorError};
use crate::config::ScopeConfig;

/// Which objects are looked at. [`Scope::default`] is everything but what the default selector leaves out of Secrets.
#[derive(Clone, Debug)]
pub struct Scope {
    namespaces: BTreeSet<Arc<str>>,
    excluded: BTreeSet<Arc<str>>,
    secrets: LabelSelector,
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
    /// The selector for Secrets does not follow the grammar.
    #[error("scope.secretSelector")]
    Selector(#[source] SelectorError),
}

impl Scope {
    /// The scope of a config file. `namespaces` are those of the command line (`-n`): they replace both lists of the
    /// file, since whoever names a namespace means it.
    pub fn new(config: &ScopeConfig, namespaces: &[String]) -> Result<Self, ScopeError> {
        let secrets = LabelSelector::parse(&config.secret_selector).map_err(ScopeError::Selector)?;
        if !namespaces.is_empty() {
            return Ok(Self { namespaces: checked("--namespace", namespaces)?, excluded: BTreeSet::new(), secrets });
        }
        let excluded = checked("scope.excludeNamespaces", &config.exclude_namespaces)?;
        let wanted = checked("scope.namespaces", &config.namespaces)?;
        let namespaces: BTreeSet<_> = wanted.difference(&excluded).cloned().collect();
        if namespaces.is_empty() && !wanted.is_empty() {
            return Err(ScopeError::Nothing);
        }
        Ok(Self { namespaces, excluded, secrets })
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

    /// Whether a Secret with these labels is looked at.
    pub fn admits_secret(&self, labels: &BTreeMap<String, String>) -> bool {
        self.secrets.matches(labels)
    }
}

impl Default for Scope {
    #[expect(clippy::expect_used, reason = "the default config is a constant, and a test reads it")]
    fn default() -> Self {
        Self::new(&ScopeConfig::default(), &[]).expect("the default scope is valid")
    }
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
        assert!(!Scope::default().admits_secret(&hook));
        assert!(Scope::default().admits_secret(&BTreeMap::new()));
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
