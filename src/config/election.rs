//! Which of several replicas probes.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// The shortest lease: its holder renews it several times, over an API server that may be slow.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest: so long nobody would probe after the holder died.
const LONGEST: Duration = Duration::from_secs(600);

/// An election over a Lease (`coordination.k8s.io/v1`): its holder probes, the others stand by.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ElectionConfig {
    /// Whether there is one. Without, every process probes.
    pub enabled: bool,
    /// Namespace of the Lease; empty: that of the pod, or of the kubeconfig's context.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// How long a Lease that is not renewed keeps others away, in whole seconds. The holder stops after two thirds of it.
    #[serde(with = "duration")]
    pub lease_duration: Duration,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            namespace: String::new(),
            name: "pull-patrol".to_owned(),
            lease_duration: Duration::from_secs(15),
        }
    }
}

impl ElectionConfig {
    /// The key that is wrong, and what to write.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let refuse = |key: &str, message: &str| Err((format!("leaderElection.{key}"), message.to_owned()));
        if !super::state::is_name(&self.name) {
            return refuse("name", "must be a name of Kubernetes: lower-case letters, digits, `-` and `.`");
        }
        if !self.namespace.is_empty() && !super::state::is_name(&self.namespace) {
            return refuse("namespace", "must be a name of Kubernetes, or empty for the namespace of the pod");
        }
        let duration = self.lease_duration;
        if !(SHORTEST..=LONGEST).contains(&duration) || duration.subsec_nanos() != 0 {
            return refuse("leaseDuration", "must be from 5s to 10m, in whole seconds");
        }
        Ok(())
    }
}
