//! What of a new config can take effect while the daemon runs.

use super::{Config, ScopeConfig};

/// A config that was read again, with everything that needs a restart as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// What is in force from now on.
    pub config: Config,
    /// Keys whose new value waits for a restart, as paths of names.
    pub kept: Vec<&'static str>,
}

impl Config {
    /// Take over another config, as far as that is possible while running.
    ///
    /// Every key is named here, so that a new one does not compile before somebody decided where it belongs.
    #[must_use]
    pub fn adopting(&self, new: Self) -> Adopted {
        let Self { registries, probe, issuer, scope, events, token_id_key_file, state, shard, leader_election } = new;
        let ScopeConfig { namespaces, exclude_namespaces, secret_selector, secrets, read_secrets, node_credentials } =
            scope;
        let mut kept = Vec::new();
        let mut keep = |key: &'static str, same: bool| {
            if !same {
                kept.push(key);
            }
        };
        // Lists and watches of the cluster are begun with these.
        keep("scope.namespaces", namespaces == self.scope.namespaces);
        keep("scope.excludeNamespaces", exclude_namespaces == self.scope.exclude_namespaces);
        keep("scope.secretSelector", secret_selector == self.scope.secret_selector);
        keep("scope.secrets", secrets == self.scope.secrets);
        keep("scope.readSecrets", read_secrets == self.scope.read_secrets);
        keep("events", events == self.events);
        // What is known of logins and tokens is known by ids that are made with this key.
        keep("tokenIdKeyFile", token_id_key_file == self.token_id_key_file);
        keep("state", state == self.state);
        keep("shard", shard == self.shard);
        keep("leaderElection", leader_election == self.leader_election);
        let config = Self {
            registries,
            probe,
            issuer,
            scope: ScopeConfig { node_credentials, ..self.scope.clone() },
            ..self.clone()
        };
        Adopted { config, kept }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> Config {
        parse(text, Path::new("patrol.yaml")).expect(text)
    }

    #[test]
    fn how_to_ask_changes_and_where_to_look_waits_for_a_restart() {
        let old = read("scope: {namespaces: [a], nodeCredentials: [x]}\nstate: {kind: file, path: /a}\n");
        let new = read(
            "registries: [{host: r.example, requestsPerSecond: 1}]\nprobe: {interval: 1h}\nissuer: {warnBefore: 1d}\n\
             scope: {namespaces: [b], excludeNamespaces: [c], secretSelector: d, nodeCredentials: [y], readSecrets: false}\nevents: false\n\
             tokenIdKeyFile: /k\nleaderElection: {enabled: true}\nshard: {index: 1, count: 2}\n",
        );
        let Adopted { config, kept } = old.adopting(new.clone());
        assert_eq!((&config.registries, &config.probe, &config.issuer), (&new.registries, &new.probe, &new.issuer));
        assert_eq!(config.probe.interval, Duration::from_secs(3600));
        assert_eq!(config.scope.node_credentials, ["y"]);
        assert_eq!(config.scope.namespaces, ["a"]);
        assert_eq!(
            (&config.state, config.events, config.leader_election),
            (&old.state, old.events, old.leader_election)
        );
        assert_eq!(
            kept,
            [
                "scope.namespaces",
                "scope.excludeNamespaces",
                "scope.secretSelector",
                "scope.readSecrets",
                "events",
                "tokenIdKeyFile",
                "state",
                "shard",
                "leaderElection"
            ]
        );
    }

    #[test]
    fn the_same_again_keeps_nothing_back() {
        let old = read("scope: {namespaces: [a]}\n");
        assert_eq!(old.adopting(old.clone()), Adopted { config: old, kept: vec![] });
    }
}
