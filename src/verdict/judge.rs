//! From what is proven to the one status of a credential.

use chrono::{DateTime, Utc};

use super::{AccessView, LoginView, Status};

/// What is known of one credential at one registry.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; the order of the statuses sorts them out"
)]
pub struct Judged<'a> {
    /// The kubelet cannot decode its Secret.
    pub malformed: bool,
    /// User name or password is empty.
    pub anonymous: bool,
    /// Its registry is not on the list.
    pub ignored: bool,
    /// What is proven of its login; `None` where it has no login that could be asked.
    pub login: Option<&'a LoginView>,
    /// The expiry that the issuer or the password itself told.
    pub expires_at: Option<DateTime<Utc>>,
    /// The registry does not take its kind of token for pulling.
    pub unsupported_kind: bool,
    /// The issuer told twice that it lacks the scope which pulling needs.
    pub pull_scope_missing: bool,
    /// A pull with it was granted where an anonymous one is proven to be denied: it can pull, whatever its kind or scopes.
    pub pull_proven: bool,
    /// What is proven of the accesses that workloads need of it.
    pub accesses: &'a [AccessView],
}

/// The one status, by the order of [`Status`].
pub fn judge(credential: &Judged<'_>, now: DateTime<Utc>) -> Status {
    if credential.malformed {
        return Status::Malformed;
    }
    if credential.anonymous {
        return Status::Anonymous;
    }
    if credential.ignored {
        return Status::Ignored;
    }
    let accepted = credential.login.and_then(|login| login.accepted);
    if accepted == Some(false) {
        let passed = credential.expires_at.is_some_and(|expiry| expiry <= now);
        return if passed { Status::Expired } else { Status::Rejected };
    }
    if credential.unsupported_kind && !credential.pull_proven {
        return Status::Unsupported;
    }
    if accepted != Some(true) {
        return Status::Unverified;
    }
    let denied = || credential.accesses.iter().filter(|access| access.granted == Some(false));
    if (credential.pull_scope_missing && !credential.pull_proven) || denied().any(|access| access.missing_scope) {
        return Status::InsufficientScope;
    }
    if denied().next().is_some() {
        return Status::Forbidden;
    }
    // A denial that is not proven yet refutes nothing that was granted before, but nothing new is called usable on it.
    if credential.accesses.iter().any(|access| access.granted.is_none() && access.denied_lately) {
        return Status::Unverified;
    }
    Status::Valid
}
