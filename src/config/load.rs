//! From a file to a checked [`Config`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;

/// Why a config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}: check that it exists and that this user may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It is not YAML, or a key is unknown or of the wrong type. The message names line and column.
    #[error("the config file {path} is not valid: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What and where, in one line.
        message: String,
    },
    /// A value is out of its range.
    #[error("the config file {path} is not valid: {key}: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, as a path of names.
        key: String,
        /// What is wrong and what to write.
        message: String,
    },
}

/// Read and check a config file.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Parse and check a config; `path` is for the error messages.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let no_content = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    });
    let config: Config = if no_content {
        Config::default()
    } else {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: in_our_words(&error.to_string()) })?
    };
    check(&config).map_err(|(key, message)| ConfigError::Value { path: path.to_owned(), key, message })?;
    Ok(config)
}

/// The parser's message in one line, without what it says to programmers.
pub(super) fn in_our_words(message: &str) -> String {
    let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    for (theirs, ours) in [
        (", set DuplicateKeyPolicy in Options if acceptable", ""),
        (
            "multiple YAML documents detected; use from_str_multiple or from_str_multiple_with_options",
            "there is a second YAML document; write one",
        ),
        ("invalid u64", "expected a whole number from 0 on"),
        ("invalid u32", "expected a whole number from 0 on"),
        ("invalid u16", "expected a whole number from 0 to 65535"),
        ("invalid f64", "expected a number"),
        ("sequence start", "a list"),
        ("mapping start", "keys with values"),
    ] {
        message = message.replace(theirs, ours);
    }
    message
}

fn check(config: &Config) -> Result<(), (String, String)> {
    let refuse = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
    let probe = &config.probe;
    if probe.timeout.is_zero() || probe.timeout > Duration::from_secs(300) {
        return refuse("probe.timeout", "must be more than 0 and at most 5m");
    }
    if probe.interval < Duration::from_secs(1) {
        return refuse("probe.interval", "must be at least 1s");
    }
    if probe.concurrency == 0 || probe.concurrency > 1024 {
        return refuse("probe.concurrency", "must be from 1 to 1024");
    }
    if probe.access_checks_per_login == 0 {
        return refuse("probe.accessChecksPerLogin", "must be at least 1");
    }
    if probe.confirmations < 2 {
        return refuse("probe.confirmations", "must be at least 2: one refusal alone proves nothing");
    }
    if probe.confirmation_spacing < Duration::from_secs(1) {
        return refuse("probe.confirmationSpacing", "must be at least 1s");
    }
    if probe.rejected_interval < probe.interval {
        return refuse("probe.rejectedInterval", "must not be shorter than probe.interval");
    }
    if config.issuer.interval < Duration::from_secs(1) {
        return refuse("issuer.interval", "must be at least 1s");
    }
    config.state.check(config.token_id_key_file.is_some())?;
    config.shard.check()?;
    config.leader_election.check()?;
    for (index, registry) in config.registries.iter().enumerate() {
        let key = |name: &str| format!("registries[{index}].{name}");
        if registry.host.trim().is_empty() {
            return refuse(&key("host"), "must name a host, for example `registry.example.com`");
        }
        let rate = registry.requests_per_second;
        if !rate.is_finite() || rate <= 0.0 || rate > 10_000.0 {
            return refuse(&key("requestsPerSecond"), "must be more than 0 and at most 10000");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::{IssuerChoice, RegistryConfig, StateStore};

    fn read(text: &str) -> Result<Config, ConfigError> {
        parse(text, Path::new("patrol.yaml"))
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let commented = "registries:\n# - host: a.b\nprobe:\nissuer:\nscope: {namespaces: , nodeCredentials: null}\n";
        for text in ["", "\n", "---\n", "# nothing\n", "{}", commented] {
            assert_eq!(read(text).expect(text), Config::default(), "{text:?}");
        }
        let config = Config::default();
        assert_eq!(config.token_id_key_file, None);
        assert_eq!(config.probe.interval, Duration::from_secs(600));
        assert_eq!(config.probe.rejected_interval, Duration::from_secs(21_600));
        assert_eq!(config.issuer.warn_before, Duration::from_secs(14 * 86_400));
        assert_eq!(config.scope.secret_selector, "!runner-pod");
    }

    #[test]
    fn the_key_of_token_ids_is_a_file() {
        let config = read("tokenIdKeyFile: /etc/pull-patrol/key\n").expect("valid");
        assert_eq!(config.token_id_key_file.as_deref(), Some(Path::new("/etc/pull-patrol/key")));
    }

    #[test]
    fn a_state_has_a_place() {
        let store = |text: &str| read(text).expect(text).state.store();
        assert_eq!(store(""), None);
        assert_eq!(store("state:\n"), None);
        assert_eq!(store("state: {kind: none}"), None);
        assert_eq!(store("state: {kind: file, path: /var/lib/a}"), Some(StateStore::File("/var/lib/a".into())));
        let text = "tokenIdKeyFile: /etc/key\nstate: {kind: configMap, namespace: a, name: b}\n";
        let (namespace, name) = ("a".to_owned(), "b".to_owned());
        assert_eq!(store(text), Some(StateStore::ConfigMap { namespace, name }));
    }

    #[test]
    fn a_full_entry() {
        let config = read(
            "registries:\n  - host: registry.example.com\n    issuer: jwt\n    endpoint: http://127.0.0.1:5000\n    plainHttp: true\n    realms: [auth.example.com]\n    requestsPerSecond: 2.5\n    canary: org/public\nprobe: {interval: 1h30m}\nissuer: {warnBefore: 30d}\n",
        )
        .expect("valid");
        assert_eq!(
            config.registries,
            [RegistryConfig {
                host: "registry.example.com".to_owned(),
                issuer: IssuerChoice::Jwt,
                api: None,
                endpoint: Some("http://127.0.0.1:5000".to_owned()),
                plain_http: true,
                ca_file: None,
                allow_private_addresses: false,
                realms: vec!["auth.example.com".to_owned()],
                requests_per_second: 2.5,
                canary: Some("org/public".to_owned()),
            }]
        );
        assert_eq!(config.probe.interval, Duration::from_secs(5400));
        assert_eq!(config.probe.timeout, Duration::from_secs(10));
        assert_eq!(config.issuer.warn_before, Duration::from_secs(30 * 86_400));
    }

    #[test]
    fn events_are_on_where_nothing_is_said() {
        for (text, on) in [("", true), ("events:", true), ("events: true", true), ("events: false", false)] {
            assert_eq!(read(text).expect(text).events.0, on, "{text:?}");
        }
    }

    #[rstest]
    #[case("probe:\n  interval: 10m\n  intervall: 10m\n", &["intervall", "line 3"])]
    #[case("registries:\n  - issuer: github\n", &["host"])]
    #[case("registries:\n  - host: x\n    issuer: gitea\n", &["gitea", "line 3"])]
    #[case("probe: {interval: soon}", &["soon", "10m"])]
    #[case("probe: {interval: 10}", &["10"])]
    #[case("probe: {confirmations: 1}", &["probe.confirmations", "proves nothing"])]
    #[case("probe: {concurrency: 0}", &["probe.concurrency"])]
    #[case("registries:\n  - host: ' '\n", &["registries[0].host"])]
    #[case("registries:\n  - {host: a, requestsPerSecond: 0}\n", &["registries[0].requestsPerSecond"])]
    #[case("state: {kind: file}", &["state.path", "/var/lib"])]
    #[case("state: {kind: file, path: ''}", &["state.path"])]
    #[case("state: {kind: file, path: a, name: b}", &["state.name", "configMap"])]
    #[case("state: {kind: none, path: a}", &["state.path", "file"])]
    #[case("state: {kind: configMap, namespace: a}", &["state.name"])]
    #[case("state: {kind: configMap, name: a}", &["state.namespace"])]
    #[case("state: {kind: configMap, namespace: a, name: A_b}", &["state.name", "lower-case"])]
    #[case("state: {kind: configMap, namespace: a, name: b}", &["tokenIdKeyFile", "guess"])]
    #[case("state: {kind: redis}", &["redis", "line 1"])]
    #[case("probe: {}\nstate: {kind: none, dir: a}", &["dir", "line 2"])]
    #[case("shards: {index: 0}", &["shards", "line 1"])]
    #[case("leaderElection: {enabled: true, lease: a}", &["lease", "line 1"])]
    #[case("leaderElection: {name: A_b}", &["leaderElection.name", "lower-case"])]
    #[case("leaderElection: {namespace: a/b}", &["leaderElection.namespace", "of the pod"])]
    #[case("leaderElection: {leaseDuration: 4s}", &["leaderElection.leaseDuration", "5s"])]
    #[case("leaderElection: {leaseDuration: 15500ms}", &["leaderElection.leaseDuration", "whole seconds"])]
    #[case("probe: {}\nevents: maybe", &["line 2"])]
    #[case("probe: {}\nevent: true", &["event", "line 2"])]
    #[case("registries: {host: x}", &["expected a list", "line 1"])]
    #[case("- host: x", &["expected keys with values"])]
    #[case("probe: {concurrency: -1}", &["whole number", "line 1"])]
    #[case("---\nprobe: {}\n---\nscope: {}\n", &["second YAML document; write one", "line 4"])]
    #[case("probe: {}\nprobe: {}\n", &["duplicate", "probe at line 2"])]
    #[case("probe: [", &["patrol.yaml"])]
    fn refuses_with_place_and_remedy(#[case] text: &str, #[case] expected: &[&str]) {
        let message = read(text).expect_err(text).to_string();
        for part in expected {
            assert!(message.contains(part), "{text:?}: {message}");
        }
        assert!(!message.contains('\n'), "one line: {message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nonexistent/patrol.yaml")).expect_err("no such file");
        assert!(error.to_string().contains("/nonexistent/patrol.yaml"), "{error}");
    }
}
