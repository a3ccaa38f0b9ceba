//! The exit codes of `check` and `explain`.

use crate::credential::Severity;
use crate::outlook::explain::{Answer, Explanation};
use crate::outlook::view::worst_severity;
use crate::outlook::{Outlook, Snapshot};
use crate::verdict::Status;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing wrong.
    Fine,
    /// A problem of severity warning or worse.
    Problem,
    /// It could not run, or some input could not be parsed.
    CouldNotRun,
    /// Nothing wrong was found, but something could not be verified.
    Unverified,
}

impl Exit {
    /// The code for the shell.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Problem => 1,
            Self::CouldNotRun => 2,
            Self::Unverified => 3,
        }
    }

    /// What a snapshot comes to. `offline`: the user chose not to ask, so what only an exchange can prove counts as
    /// fine.
    pub fn of(snapshot: &Snapshot, offline: bool) -> Self {
        if snapshot.problems.iter().any(|problem| problem.unparsable) {
            Self::CouldNotRun
        } else if worst_severity(snapshot) >= Some(Severity::Warning) {
            Self::Problem
        } else if not_seen(snapshot) || (!offline && not_proven(snapshot)) {
            Self::Unverified
        } else {
            Self::Fine
        }
    }
}

impl Exit {
    /// What an explanation comes to; `unparsable` tells that some input could not be parsed.
    pub fn of_explanation(explanation: &Explanation, unparsable: bool, offline: bool) -> Self {
        let outlooks: Vec<(Outlook, bool)> = match &explanation.answer {
            Answer::Pulls { images, gaps, .. } => {
                let unknown = gaps.iter().filter(|gap| gap.outlook == Outlook::Unknown).map(|gap| (gap.outlook, false));
                images.iter().map(|image| (image.outlook, image.by_choice)).chain(unknown).collect()
            }
            Answer::Secret { dependents, .. } => dependents.iter().map(|one| (one.outlook, false)).collect(),
        };
        let unproven = |(outlook, by_choice): &(Outlook, bool)| *outlook == Outlook::Unverified && !by_choice;
        let row_unproven = match &explanation.answer {
            Answer::Pulls { .. } => false,
            Answer::Secret { credentials, .. } => credentials.iter().any(|row| row.status == Status::Unverified),
        };
        if unparsable {
            Self::CouldNotRun
        } else if explanation.severity() >= Some(Severity::Warning) {
            Self::Problem
        } else if !explanation.complete
            || outlooks.iter().any(|(outlook, _)| *outlook == Outlook::Unknown)
            || (!offline && (row_unproven || outlooks.iter().any(unproven)))
        {
            Self::Unverified
        } else {
            Self::Fine
        }
    }
}

/// Something was hidden from us, or cannot be told by any exchange.
fn not_seen(snapshot: &Snapshot) -> bool {
    let daemon = &snapshot.daemon;
    !daemon.missing_permissions.is_empty()
        || daemon.synced.iter().any(|(_, synced)| !synced)
        || snapshot.workloads.iter().any(|row| row.outlook == Outlook::Unknown)
}

/// Something was to be proven by an exchange and was not.
fn not_proven(snapshot: &Snapshot) -> bool {
    snapshot.credentials.iter().any(|row| row.status == Status::Unverified)
        || snapshot.workloads.iter().any(|row| row.outlook == Outlook::Unverified && !row.unverified_by_choice())
}
