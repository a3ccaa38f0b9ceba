//! The sentence of a change: what happened, whom it hits, what to do.
//!
//! An Event is read by whoever may read the namespace. It holds names of Secret, registry, user and repositories, cut and
//! without anything that could fake or hide text, and no other word of a tenant's.

use super::CredentialRow;
use crate::outlook::words;
use crate::verdict::Status;

/// Longest message, in bytes. The API server takes 1,024 of an Event's note (`events.k8s.io/v1`), and whoever sends it may
/// have a sentence to add.
pub(super) const LONGEST: usize = 900;
/// Repositories that are named.
const NAMED: usize = 3;
/// Longest name of a registry or a repository, in characters.
const NAME: usize = 120;
/// Longest user name that is shown: that of GitHub's own. A longer one is more likely a pasted secret.
const USER: usize = 39;
/// Instead of a command.
const ELSEWHERE: &str = "see the status page of pull-patrol";

/// A credential entered a bad status.
pub(super) fn bad(row: &CredentialRow) -> String {
    let denied: Vec<String> = row.denied.iter().take(NAMED).map(|repository| name(repository)).collect();
    let named: Vec<&str> = denied.iter().map(String::as_str).collect();
    let what = match row.status {
        Status::Malformed => words::status_reason(row.status, None, "", true),
        status => {
            let more = row.denied.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let reason = words::status_reason(status, row.expires_at, &format!("{}{more}", named.join(", ")), true);
            format!("credential for {}: {reason}", name(&row.registry))
        }
    };
    finish(&format!("{what}; {}", used_by(row.workloads)), &mend(row.status, row, &named))
}

/// A credential left a bad status and works.
pub(super) fn recovered(row: &CredentialRow, was: Status) -> String {
    let was = match was {
        Status::Anonymous => "had no user name or password".to_owned(),
        was => format!("was {}", was.as_str()),
    };
    finish(&format!("credential for {}: works now; it {was} before", name(&row.registry)), "")
}

/// A Secret could not be decoded, and can be.
pub(super) fn decodes_again() -> String {
    "the kubelet can decode the Secret again; whether its credentials work is told where it is proven not to be so"
        .to_owned()
}

/// A token came near its expiry; `finding` is the sentence of the finding, which holds the date.
pub(super) fn expiring(row: &CredentialRow, finding: &str) -> String {
    let new_token = mend(Status::Expired, row, &[]);
    finish(&format!("credential for {}: {finding}; {}", name(&row.registry), used_by(row.workloads)), &new_token)
}

/// What to do. A command with a registry key that is no plain name is not shown.
fn mend(status: Status, row: &CredentialRow, denied: &[&str]) -> String {
    if name(&row.registry) == *row.registry {
        words::mend_row_as(status, row, user(row), denied)
    } else {
        ELSEWHERE.to_owned()
    }
}

/// The whole of it; a command that has no room is left to the status page, since half a command is none.
fn finish(what: &str, fix: &str) -> String {
    let whole = if fix.is_empty() { what.to_owned() } else { format!("{what}. Fix: {fix}") };
    if whole.len() <= LONGEST {
        return whole;
    }
    let mut short = format!("{what}. Fix: {ELSEWHERE}");
    let end = (0..=LONGEST.min(short.len())).rev().find(|end| short.is_char_boundary(*end)).unwrap_or_default();
    short.truncate(end);
    short
}

fn used_by(workloads: usize) -> String {
    match workloads {
        0 => "no workload would present it".to_owned(),
        1 => "1 workload would present it".to_owned(),
        n => format!("{n} workloads would present it"),
    }
}

/// A name as it may stand in a sentence: cut, and every character replaced that has no place in a registry key or a
/// repository.
fn name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/*?[]@".contains(c);
    let mut out: String = text.chars().take(NAME).map(|c| if plain(c) { c } else { '?' }).collect();
    if text.chars().nth(NAME).is_some() {
        out.push_str("...");
    }
    out
}

/// The user name, where it is one that needs no care.
fn user(row: &CredentialRow) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@$+".contains(c);
    let shown = row.username.len() <= USER && row.username.chars().all(plain);
    if shown && !row.username.is_empty() && &*row.username != "redacted" { &row.username } else { "USER" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_an_end_and_never_half_a_command() {
        assert_eq!(finish("what", "do"), "what. Fix: do");
        let long = finish("what", &"x".repeat(LONGEST));
        assert_eq!(long, "what. Fix: see the status page of pull-patrol");
        let longer = finish(&"é".repeat(LONGEST), "do");
        assert!(longer.len() <= LONGEST && longer.len() > LONGEST - 4);
    }

    #[test]
    fn a_name_cannot_fake_a_sentence() {
        assert_eq!(name("ghcr.io/org"), "ghcr.io/org");
        assert_eq!(name("ghcr.io\n; all is well\u{202e}"), "ghcr.io???all?is?well?");
        assert_eq!(name(&"a".repeat(500)).len(), NAME + 3);
    }
}
