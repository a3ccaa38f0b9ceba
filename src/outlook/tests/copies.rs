//! Copies of one token, and copies that missed a rotation.

use super::*;

/// Per group: the registry and the names of the Secrets.
fn groups(world: &World) -> Vec<(String, Vec<String>)> {
    let snapshot = world.snapshot();
    let names = |rows: &[usize]| rows.iter().map(|row| snapshot.credentials[*row].secret_name.to_string()).collect();
    snapshot.copies.iter().map(|copies| (copies.registry.to_string(), names(&copies.credentials))).collect()
}

#[test]
fn a_token_in_several_secrets_is_one_group_per_registry() {
    let mut world = World::cluster();
    world.secret("a", "one", &[("ghcr.io", "u", "token")]);
    world.secret("a", "two", &[("https://ghcr.io/v1/", "other-user", "token")]);
    world.secret("b", "three", &[("ghcr.io/org", "u", "token"), ("containers.acme.ghe.com", "u", "token")]);
    world.secret("b", "alone", &[("ghcr.io", "u", "another")]);
    assert_eq!(groups(&world), [("ghcr.io".to_owned(), vec!["one".to_owned(), "two".to_owned(), "three".to_owned()])]);
    let counts = |name| world.row(name, if name == "three" { "ghcr.io/org" } else { "ghcr.io" }).copies;
    assert_eq!(["one", "two", "three", "alone"].map(counts), [3, 3, 3, 1]);
    let id = world.snapshot().copies[0].token_id.clone();
    assert_eq!(world.row("two", "ghcr.io").token_id, id);
}

#[test]
fn an_empty_password_is_no_copy() {
    let mut world = World::cluster();
    world.secret("a", "one", &[("ghcr.io", "u", "")]);
    world.secret("a", "two", &[("ghcr.io", "u", "")]);
    assert!(groups(&world).is_empty());
    assert_eq!(world.row("one", "ghcr.io").copies, 1);
}

#[test]
fn another_secret_is_found_behind_a_working_entry_of_the_same() {
    let mut world = World::cluster();
    // The first working credential of this user stands in the very Secret that also holds the dead one.
    world.secret("a", "both", &[("ghcr.io", "u", "old"), ("ghcr.io/org", "u", "new")]);
    world.secret("b", "rotated", &[("ghcr.io", "u", "new")]);
    world.accepts(("u", "new"));
    world.rejects(("u", "old"));
    let row = world.row("both", "ghcr.io");
    let finding = row.findings.iter().find(|finding| finding.kind == FindingKind::OutOfSyncCopy).expect("told");
    assert!(finding.message.contains("b/rotated"), "{}", finding.message);
}

#[test]
fn only_another_secret_can_be_ahead() {
    let mut world = World::cluster();
    world.secret("a", "both", &[("ghcr.io", "u", "old"), ("ghcr.io/org", "u", "new")]);
    world.accepts(("u", "new"));
    world.rejects(("u", "old"));
    assert!(!kinds(&world.row("both", "ghcr.io")).contains(&FindingKind::OutOfSyncCopy));
}
