//! A short memory of workflow pods that waited on a pull when they vanished. Container hooks delete a pod that does not start
//! within ten minutes (`ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS` of actions/runner-container-hooks), and its evidence
//! with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Cause, Failing, PullFailure};
use crate::cluster::ObjectRef;
use crate::workload::{PodRole, WorkloadKey};

/// How long a pod that is gone is told of.
pub const REMEMBERED: TimeDelta = TimeDelta::minutes(10);
/// How many pods are kept in mind at most; past that the oldest is forgotten.
const MOST: usize = 1_000;

/// The pods of a workload that vanished while they waited on a pull, within the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Pods per reason. A pod whose containers waited for different reasons counts under each.
    pub pods: BTreeMap<PullFailure, usize>,
    /// The images, with the number of pods that waited on each.
    pub images: BTreeMap<(Arc<str>, PullFailure), usize>,
    /// When the last of them was found to be gone.
    pub last: Option<DateTime<Utc>>,
}

impl Gone {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }
}

/// Whether pods of a workload are kept in mind: workflow pods, where their scale set is known. All others have a
/// controller that makes them anew.
pub(super) fn is_remembered(key: &WorkloadKey) -> bool {
    key.role == PodRole::Workflow && &*key.kind != "Pod"
}

/// Pods that are gone.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pods: BTreeMap<ObjectRef, Vanished>,
}

#[derive(Debug)]
struct Vanished {
    at: DateTime<Utc>,
    key: WorkloadKey,
    causes: Vec<Cause>,
}

impl Vanished {
    /// A clock that is put back must not keep anything for longer.
    fn is_past(&self, now: DateTime<Utc>) -> bool {
        (now - self.at).abs() >= REMEMBERED
    }
}

impl Memory {
    pub(super) fn remember(&mut self, at: ObjectRef, key: WorkloadKey, causes: Vec<Cause>, now: DateTime<Utc>) {
        self.pods.insert(at, Vanished { at: now, key, causes });
        if self.pods.len() > MOST {
            let oldest = self.pods.iter().min_by_key(|(_, pod)| pod.at).map(|(at, _)| at.clone());
            oldest.map(|oldest| self.pods.remove(&oldest));
        }
    }

    pub(super) fn is_stale(&self, now: DateTime<Utc>) -> bool {
        self.pods.values().any(|pod| pod.is_past(now))
    }

    pub(super) fn expire(&mut self, now: DateTime<Utc>) {
        self.pods.retain(|_, pod| !pod.is_past(now));
    }

    /// Forget pods that are there again.
    pub(super) fn forget(&mut self, is_there: impl Fn(&ObjectRef) -> bool) {
        self.pods.retain(|at, _| !is_there(at));
    }

    pub(super) fn roll_up(&self, failing: &mut BTreeMap<WorkloadKey, Failing>) {
        for pod in self.pods.values() {
            let gone = &mut failing.entry(pod.key.clone()).or_default().gone;
            for reason in pod.causes.iter().map(|cause| cause.failure).collect::<BTreeSet<_>>() {
                *gone.pods.entry(reason).or_default() += 1;
            }
            let images = pod.causes.iter().map(|cause| (Arc::clone(&cause.image), cause.failure));
            for image in images.collect::<BTreeSet<_>>() {
                *gone.images.entry(image).or_default() += 1;
            }
            gone.last = gone.last.max(Some(pod.at));
        }
    }
}
