//! The scopes of GitHub's classic tokens: which imply which.
//!
//! GitHub drops implied scopes from what it tells ("Normalized scopes", GitHub docs), so a list must be expanded before
//! anything is missed in it. The map is that of trufflehog's `SCOPE_TO_SUB_SCOPE` and of gh's `api/client.go`.

use std::collections::BTreeSet;

/// Scopes with parts that do not follow from their name.
const PARTS: [(&str, &[&str]); 9] = [
    ("repo", &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"]),
    ("user", &["read:user", "user:email", "user:follow"]),
    ("admin:org", &["manage_runners:org"]),
    ("admin:enterprise", &["manage_runners:enterprise", "manage_billing:enterprise"]),
    ("audit_log", &["read:audit_log"]),
    ("codespace", &["codespace:secrets"]),
    ("copilot", &["manage_billing:copilot"]),
    ("project", &["read:project"]),
    ("site_admin", &[]),
];

/// The scopes with all that they imply.
pub fn expand<S: AsRef<str>>(scopes: &[S]) -> BTreeSet<String> {
    let mut expanded = BTreeSet::new();
    for scope in scopes.iter().map(AsRef::as_ref) {
        expanded.insert(scope.to_owned());
        expanded.extend(implied(scope));
    }
    expanded
}

/// What is required and lacks, even after expansion.
pub fn missing<R: AsRef<str>, S: AsRef<str>>(required: &[R], scopes: &[S]) -> BTreeSet<String> {
    let expanded = expand(scopes);
    required.iter().map(AsRef::as_ref).filter(|scope| !expanded.contains(*scope)).map(str::to_owned).collect()
}

/// What is there beyond what is required: the scopes without those that others among them imply, less everything that
/// the required ones cover.
pub fn excess<R: AsRef<str>, S: AsRef<str>>(required: &[R], scopes: &[S]) -> BTreeSet<String> {
    let covered = expand(required);
    let implied_by_others: BTreeSet<String> = scopes.iter().flat_map(|scope| implied(scope.as_ref())).collect();
    scopes
        .iter()
        .map(AsRef::as_ref)
        .filter(|scope| !covered.contains(*scope) && !implied_by_others.contains(*scope))
        .map(str::to_owned)
        .collect()
}

/// What one scope implies, itself left out. Of `delete:` nothing follows.
fn implied(scope: &str) -> Vec<String> {
    let mut implied: Vec<String> = PARTS
        .iter()
        .filter(|(name, _)| *name == scope)
        .flat_map(|(_, parts)| parts.iter().map(|part| (*part).to_owned()))
        .collect();
    if let Some(what) = scope.strip_prefix("admin:") {
        implied.extend([format!("write:{what}"), format!("read:{what}")]);
    } else if let Some(what) = scope.strip_prefix("write:") {
        implied.push(format!("read:{what}"));
    }
    implied
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    const PULL: [&str; 1] = ["read:packages"];

    #[test]
    fn writing_implies_reading() {
        assert_eq!(expand(&["write:packages"]), set(&["write:packages", "read:packages"]));
        assert_eq!(expand(&["admin:org"]), set(&["admin:org", "write:org", "read:org", "manage_runners:org"]));
        assert_eq!(expand(&["delete:packages"]), set(&["delete:packages"]));
        assert_eq!(expand(&["future:thing"]), set(&["future:thing"]));
        assert!(expand::<&str>(&[]).is_empty());
    }

    #[test]
    fn repo_does_not_reach_packages() {
        assert_eq!(missing(&PULL, &["repo", "admin:org", "delete:packages"]), set(&PULL));
        assert_eq!(missing(&PULL, &["repo", "write:packages"]), set(&[]));
        assert_eq!(missing(&["repo:status", "read:user"], &["repo"]), set(&["read:user"]));
        assert_eq!(missing::<_, &str>(&PULL, &[]), set(&PULL));
    }

    #[test]
    fn excess_is_what_pulling_does_not_need() {
        assert_eq!(excess(&PULL, &["read:packages"]), set(&[]));
        assert_eq!(excess(&PULL, &["write:packages", "read:packages", "repo"]), set(&["write:packages", "repo"]));
        assert_eq!(excess(&PULL, &["admin:org", "read:org", "manage_runners:org"]), set(&["admin:org"]));
        assert_eq!(excess(&["write:packages"], &["read:packages"]), set(&[]));
        assert_eq!(excess::<_, &str>(&PULL, &[]), set(&[]));
    }

    proptest! {
        #[test]
        fn expansion_is_closed(scopes in proptest::collection::vec("(admin:|write:|read:|delete:)?(org|packages|repo|user|x)", 0..6)) {
            let once: Vec<String> = expand(&scopes).into_iter().collect();
            prop_assert_eq!(expand(&once), once.iter().cloned().collect());
            prop_assert!(missing(&scopes, &scopes).is_empty());
            prop_assert!(excess(&scopes, &scopes).is_empty());
        }
    }
}
