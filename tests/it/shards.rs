//! Three daemons share the logins of one real API server: together they show what one would, and no login is asked by two.

use std::collections::{BTreeMap, BTreeSet};

use simulator::{Host, TokenHandle, TokenSpec, Visibility, World};

use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::program::Program;
use crate::support::real::RealCluster;

const SHARDS: usize = 3;
const TOKENS: usize = 24;
const NAMESPACES: [&str; 2] = ["team-a", "team-b"];

/// The labels of the series of a family.
fn series(text: &str, family: &str) -> BTreeSet<String> {
    let prefix = format!("{family}{{");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix)?.rsplit_once("} "));
    lines.map(|(labels, _)| labels.to_owned()).collect()
}

fn total(texts: &[String], name: &str) -> usize {
    let value = |text: &String| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("it is exported").parse::<usize>().expect("a count")
    };
    texts.iter().map(value).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_share_the_logins_of_one_api_server() {
    let cluster = RealCluster::start().await;
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    let add = |n: usize| world.add_token(TokenSpec::classic(format!("user-{n}")).reads("acme/app"));
    let tokens: Vec<TokenHandle> = (0..TOKENS).map(add).collect();
    let mut text = String::new();
    for namespace in NAMESPACES {
        cluster.create_namespace(namespace).await;
        for (n, token) in tokens.iter().enumerate() {
            let (secret, user) = (format!("pull-{n}"), format!("user-{n}"));
            text += &pull_secret(namespace, &secret, &docker_config("ghcr.io", &user, token.secret()));
            text += &pod(namespace, &format!("pod-{n}"), "ghcr.io/acme/app:latest", &[&secret]);
        }
        text += &pull_secret(namespace, "anonymous", &docker_config("ghcr.io", "nobody", ""));
        text += &pull_secret(namespace, "elsewhere", &docker_config("registry.example.com", "nobody", "password"));
        text += &pull_secret(namespace, "malformed", r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
        // Its images hang on all tokens, so on all daemons.
        let all: Vec<String> = (0..TOKENS).map(|n| format!("pull-{n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        text += &pod(namespace, "split", "ghcr.io/acme/app:latest", &all);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (config, manifest) = (folder.path().join("patrol.yaml"), folder.path().join("objects.yaml"));
    std::fs::write(&manifest, text).expect("writable");
    let file = format!("--filename={}", manifest.display());
    cluster.kubectl(&["create", &file]).await.expect_success("kubectl create");
    let text = ghcr_config(&world, None, "interval: 1h").replace("interval: 2s", "interval: 1h");
    std::fs::write(&config, format!("{text}shard: {{count: {SHARDS}}}\n")).expect("writable");

    // A process that does not know which shard it is would leave the logins of another unwatched.
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let refused = Program::try_start(&config, &["--kubeconfig", &kubeconfig]).await.err().expect("it does not start");
    assert!(refused.contains("nobody says which of them this is"), "{refused}");

    let mut daemons = Vec::new();
    for index in 0..SHARDS {
        // As the name of the pod of a StatefulSet tells.
        let pod = format!("pull-patrol-{index}");
        let arguments = ["--kubeconfig", &kubeconfig, "--shard.index", &pod];
        daemons.push(Program::start(&config, &arguments).await);
    }
    let mut texts = Vec::new();
    for daemon in &daemons {
        // Its inventory is complete: before, what it shows is settled and not all.
        daemon.ready_metrics().await;
        let settled = daemon
            .metrics_when(|text| {
                let labels = series(text, "pullsecret_credential_status");
                let open = labels.iter().filter(|labels| labels.contains("status=\"unverified\""));
                let workloads = series(text, "pullsecret_workload_outlook");
                let ok = workloads.iter().filter(|labels| labels.contains("outlook=\"ok\""));
                !labels.is_empty() && open.count() == 0 && ok.count() == workloads.len()
            })
            .await;
        texts.push(settled);
    }

    // Each credential, and each workload, is shown by one of them.
    for (family, expected) in [
        ("pullsecret_credential_status", NAMESPACES.len() * (TOKENS + 3)),
        ("pullsecret_credential_usable", NAMESPACES.len() * (TOKENS + 2)),
        ("pullsecret_workload_outlook", NAMESPACES.len() * (TOKENS + 1)),
    ] {
        let mut all = BTreeMap::new();
        for (index, text) in texts.iter().enumerate() {
            for labels in series(text, family) {
                let earlier = all.insert(labels.clone(), index);
                assert_eq!(earlier, None, "{family}{{{labels}}} is exported by {index} as well");
            }
        }
        assert_eq!(all.len(), expected, "{family}");
        let parts: BTreeSet<&usize> = all.values().collect();
        assert_eq!(parts.len(), SHARDS, "every daemon has a part of {family}");
    }
    assert_eq!(total(&texts, "pullpatrol_credentials"), NAMESPACES.len() * (TOKENS + 3));
    assert_eq!(total(&texts, "pullpatrol_logins"), TOKENS);
    assert_eq!(total(&texts, "pullpatrol_pull_secrets"), NAMESPACES.len() * (TOKENS + 3));
    assert_eq!(total(&texts, "pullpatrol_workloads"), NAMESPACES.len() * (TOKENS + 1));
    for (index, text) in texts.iter().enumerate() {
        assert!(text.contains(&format!("pullpatrol_shards{{shard=\"{index}\"}} {SHARDS}\n")), "{text}");
        let copies = series(text, "pullsecret_credential_copies");
        let token = copies.iter().find(|labels| labels.contains("pull-")).expect("a token");
        assert!(
            text.contains(&format!("pullsecret_credential_copies{{{token}}} 2\n")),
            "copies are known where they are"
        );
    }
    // Each daemon tells its part of what hangs on all of them.
    let parts: Vec<_> = texts.iter().map(|text| series(text, "pullsecret_workload_outlook_part")).collect();
    assert!(parts.iter().all(|parts| parts.len() == NAMESPACES.len()), "{parts:?}");

    // One exchange for the login and one for its repository, one question to the issuer and one for the owner's name:
    // what one daemon asks.
    for (n, token) in tokens.iter().enumerate() {
        let at = |host, path| world.count(|request| request.asked(host, path) && request.shows(token));
        let asked = [at(Host::Ghcr, "/token"), at(Host::GithubApi, "/rate_limit"), at(Host::GithubApi, "/user")];
        assert_eq!(asked, [2, 1, 1], "token {n}");
    }
    for daemon in daemons {
        daemon.stop().await;
    }
}
