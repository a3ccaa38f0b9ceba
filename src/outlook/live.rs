//! What happens to pods right now against what our own exchanges say.
//!
//! A pod that waits on a pull is proof from the node itself, so where it contradicts us, both are shown. The other way
//! round nothing follows: a pod that runs may have found its image on the node, whatever became of the credential.

use std::sync::Arc;

use super::credentials::EntryId;
use super::words::quoted;
use super::{Outlook, findings};
use crate::credential::Finding;
use crate::workload::{Failing, Hanging, Pull, PullFailure, WorkloadKey};

/// Runners that a command names at most.
const MOST_NAMED: usize = 20;

/// What we say of one pull.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) image: &'a str,
    pub(super) outlook: Outlook,
    /// Nodes are said to pull it by other means.
    pub(super) by_node: bool,
    /// The credentials that the kubelet would try.
    pub(super) matched: Vec<EntryId>,
    /// Those of them that work.
    pub(super) working: Vec<EntryId>,
    /// Names of their Secrets.
    pub(super) secrets: Vec<Arc<str>>,
    /// Whether some match, and the registry refuses the login of each.
    pub(super) dead: bool,
}

/// Why a pull fails right now, and in how many pods.
pub(super) fn of_pull<'a>(failing: &'a Failing, pull: &'a Pull) -> impl Iterator<Item = (PullFailure, usize)> + 'a {
    let same = |live: &&crate::workload::FailingPull| live.image == pull.image && *live.secrets == *pull.secrets;
    let live = failing.pulls.iter().filter(move |(live, _)| same(live));
    live.map(|(live, pods)| (live.failure, *pods))
}

/// The findings where runners of a scale set hang: one for each image that their pods wait on.
pub(super) fn hanging<'a>(key: &'a WorkloadKey, failing: &'a Failing) -> impl Iterator<Item = Finding> + 'a {
    failing.hanging.iter().map(|(image, hanging)| findings::runners_pending(key, image, hanging))
}

/// The command that deletes runners which hang, as many as a person would paste.
pub(super) fn delete_runners(key: &WorkloadKey, hanging: &Hanging) -> String {
    let named: Vec<String> = hanging.runners.iter().take(MOST_NAMED).map(|name| quoted(name)).collect();
    format!("kubectl -n {} delete ephemeralrunner {}", quoted(&key.namespace), named.join(" "))
}

/// The finding where pods show the opposite of what we say, and the credential that is meant where it is one.
pub(super) fn contradiction(
    key: &WorkloadKey,
    claim: &Claim<'_>,
    failure: PullFailure,
    pods: usize,
) -> Option<(Finding, Option<EntryId>)> {
    let seen = match (claim.outlook, failure) {
        (Outlook::Ok, PullFailure::CredentialRefused) => "the registry refused the credential that was sent",
        (Outlook::Ok, PullFailure::AccessDenied) => "the registry denied the image",
        (Outlook::Ok, PullFailure::NoCredential) => "no credential was sent, and one is demanded",
        (Outlook::Ok, PullFailure::MalformedSecret) => "a pull Secret cannot be decoded",
        // A registry that refuses the login does not get to the point of looking for the image.
        (Outlook::Blocked, PullFailure::NotFound) if claim.dead => {
            "the registry let it in, and does not have the image"
        }
        _ => return None,
    };
    let said = match (claim.outlook, &claim.secrets[..]) {
        (Outlook::Blocked, _) => "every credential that matches is refused".to_owned(),
        (_, _) if claim.by_node => {
            "the config says that nodes pull it by other means (`scope.nodeCredentials`)".to_owned()
        }
        (_, []) => "an anonymous pull works".to_owned(),
        (_, [secret]) => format!("the credential of the Secret {secret} works"),
        (_, [first, ..]) => format!("the credentials of {} of its Secrets work, {first} first", claim.secrets.len()),
    };
    let one = |ids: &[EntryId]| if let [id] = ids { Some(*id) } else { None };
    let meant = match failure {
        PullFailure::CredentialRefused | PullFailure::AccessDenied => one(&claim.working),
        PullFailure::NotFound => one(&claim.matched),
        _ => None,
    };
    let namespace = quoted(&key.namespace);
    Some((findings::live_pull_contradicts(claim.image, pods, seen, &said, &namespace), meant))
}
