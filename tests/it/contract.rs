//! The command line and the published documents, as a user meets them: the built program in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pull_patrol::config;
use pull_patrol::credential::{FindingKind, Severity};
use rstest::rstest;
use serde_json::Value;
use simulator::{TokenSpec, Visibility, World};

use crate::faces_fixture::telling;
use crate::faces_metrics::{encoded, exposition};
use crate::support::manifests::{docker_config, ghcr_config, pod, pull_secret};
use crate::support::published::METRICS;
use crate::support::real::checkout;

/// A password with no meaning anywhere.
const PASSWORD: &str = "not-a-secret";

/// A folder to run in.
struct Folder(tempfile::TempDir);

/// How a run ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let this = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            let path = this.path(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("writable");
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, in this folder, with nothing of the tester's own environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pull-patrol"));
        command.current_dir(self.0.path()).args(arguments).env_clear().env("HOME", self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end(self.command(arguments))
    }
}

fn end(mut command: Command) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A Secret for a registry that is not on the list.
fn ignored(namespace: &str, name: &str) -> String {
    pull_secret(namespace, name, &docker_config("quay.io", "me", PASSWORD))
}

fn names<'a>(document: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    document[list].as_array().expect("a list").iter().filter_map(|row| row[field].as_str()).collect()
}

#[test]
fn no_pull_secret_is_fine_and_said() {
    let opaque = "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\ntype: Opaque\nstringData: {a: b}\n";
    let folder =
        Folder::new(&[("empty.yaml", ""), ("opaque.yaml", opaque), ("bad.yaml", "a: ["), ("folder/x.txt", "x")]);
    for name in ["empty.yaml", "opaque.yaml", "folder", "-"] {
        let ended = folder.run(&["check", name]);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        assert_eq!(ended.stderr, "no pull Secret found: nothing to check\n", "{name}");
    }
    // Where something was there and could not be read, there may have been one.
    let ended = folder.run(&["check", "bad.yaml"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), "no pull Secret found\n"));
}

#[test]
fn a_file_that_does_not_parse_is_2_after_everything_else_was_reported() {
    let folder = Folder::new(&[
        ("in/a.yaml", &ignored("a", "one")),
        ("in/b.yaml", "a: ["),
        ("in/c.json", "[1]"),
        ("in/d.txt", "?"),
    ]);
    let document = folder.run(&["check", "-o", "json", "in", "nowhere.yaml"]);
    assert_eq!(document.code, Some(2), "{document:?}");
    let document = document.json();
    assert_eq!(names(&document, "credentials", "secret_name"), ["one"]);
    assert_eq!(names(&document, "problems", "source"), ["nowhere.yaml", "in/b.yaml"], "{}", document["problems"]);
    // What is no manifest is passed over in a folder, and refused by name.
    assert_eq!(folder.run(&["check", "in/c.json"]).code, Some(2));
    assert_eq!(folder.run(&["check", "in/d.txt"]).code, Some(2));
}

#[test]
fn an_object_of_the_wrong_shape_is_a_row_of_problems_and_1() {
    let bad = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: a}\nspec: {containers: x}\n";
    let folder = Folder::new(&[("in.yaml", &format!("{}{bad}", ignored("a", "one")))]);
    let ended = folder.run(&["check", "--offline", "-o", "json", "in.yaml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = serde_json::json!([
        { "source": "in.yaml", "index": 1, "kind": "Pod", "name": "a/p", "message": "spec.containers: expected a sequence" }
    ]);
    assert_eq!(ended.json()["problems"], expected);
}

#[test]
fn a_docker_config_is_a_secret_without_a_namespace() {
    let document = docker_config("quay.io", "me", PASSWORD);
    let folder = Folder::new(&[("home/config.json", &document), ("other.yaml", &ignored("b", "two"))]);
    for arguments in [vec!["home/config.json"], vec!["home/config.json", "other.yaml", "-n", "elsewhere"]] {
        let ended = folder.run(&[&["check", "--offline", "-o", "json"][..], &arguments].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let document = ended.json();
        assert_eq!(names(&document, "credentials", "secret_namespace"), [""]);
        assert_eq!(names(&document, "credentials", "secret_name"), ["home/config.json"]);
    }
    let mut command = folder.command(&["check", "--offline", "-o", "json", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(document.as_bytes()).expect("it reads");
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("it writes");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(names(&serde_json::from_str(&text).expect("JSON"), "credentials", "secret_name"), ["-"]);
}

#[test]
fn a_namespace_filters_manifests_and_several_paths_are_one_input() {
    let both = format!("{}{}", ignored("a", "one"), ignored("b", "two"));
    let folder = Folder::new(&[("both.yaml", &both), ("more/three.yaml", &ignored("a", "three"))]);
    let secrets = |arguments: &[&str]| {
        let ended = folder.run(&[&["check", "-o", "json"], arguments].concat());
        names(&ended.json(), "credentials", "secret_name").join(" ")
    };
    assert_eq!(secrets(&["both.yaml"]), "one two");
    assert_eq!(secrets(&["both.yaml", "more", "./both.yaml"]), "one three two");
    assert_eq!(secrets(&["-n", "a", "both.yaml", "more"]), "one three");
    assert_eq!(secrets(&["--namespace=none", "both.yaml"]), "");
}

#[test]
fn a_secret_that_is_not_among_the_manifests_is_3_whatever_the_registry() {
    let manifests = format!("{}{}", ignored("a", "one"), pod("a", "p", "quay.io/x/y:1", &["elsewhere"]));
    let folder = Folder::new(&[("in.yaml", &manifests)]);
    let ended = folder.run(&["check", "-o", "json", "in.yaml"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let workload = &ended.json()["workloads"][0];
    assert_eq!(workload["outlook"], "unverified");
    assert_eq!(workload["broken_references"], serde_json::json!([]));
    // Not to ask is the user's choice.
    assert_eq!(folder.run(&["check", "--offline", "in.yaml"]).code, Some(0));
}

#[test]
fn a_secret_of_another_type_is_a_broken_reference_and_no_row() {
    let opaque = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: a}\nstringData: {password: x}\n";
    let folder = Folder::new(&[("in.yaml", &format!("{opaque}{}", pod("a", "p", "quay.io/x/y:1", &["db"])))]);
    let ended = folder.run(&["check", "-o", "json", "in.yaml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let document = ended.json();
    let broken = serde_json::json!([{ "secret_name": "db", "reason": "wrong_type" }]);
    assert_eq!(document["workloads"][0]["broken_references"], broken);
    assert_eq!((&document["credentials"], &document["findings"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn times_are_whole_seconds_in_utc_and_offline_keeps_every_row() {
    let manifests = format!("{}{}", ignored("a", "one"), pod("a", "p", "ghcr.io/x/y:1", &["one"]));
    let folder = Folder::new(&[("in.yaml", &manifests)]);
    let document = folder.run(&["check", "--offline", "-o", "json", "in.yaml"]).json();
    let at = document["generated_at"].as_str().expect("a text");
    assert!(at.len() == "2026-01-01T00:00:00Z".len() && at.ends_with('Z'), "{at}");
    assert_eq!(
        (names(&document, "credentials", "status"), names(&document, "workloads", "outlook").len()),
        (vec!["ignored"], 1)
    );
}

/// The command `check` against a world, with the daemon's own spacing: a one-shot run confirms within seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_round_proves_refusals_within_its_run() {
    let world = World::start().await.expect("a world");
    world.add_package("acme/app", Visibility::private());
    world.add_package("acme/open", Visibility::Public);
    let good = world.add_token(TokenSpec::classic("alice").reads("acme"));
    let dead = world.add_token(TokenSpec::classic("bob").reads("acme"));
    dead.revoke();
    let secret = |name: &str, user: &str, token: &str| pull_secret("a", name, &docker_config("ghcr.io", user, token));
    let fine = secret("good", "alice", good.secret()) + &pod("a", "p", "ghcr.io/acme/app:latest", &["good"]);
    let wrong = fine.clone() + &secret("dead", "bob", dead.secret());
    let folder = Folder::new(&[
        ("fine.yaml", &fine),
        ("wrong.yaml", &wrong),
        ("public.yaml", &pod("a", "p", "ghcr.io/acme/open:latest", &[])),
        ("uncovered.yaml", &pod("a", "p", "ghcr.io/acme/app:latest", &[])),
        ("config.yaml", &ghcr_config(&world, None, "interval: 10m")),
    ]);
    let run = |name: &'static str| {
        let command = folder.command(&["check", "--config.file", "config.yaml", "-o", "json", name]);
        tokio::task::spawn_blocking(move || end(command))
    };
    let ended = run("fine.yaml").await.expect("it ends");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let ended = run("wrong.yaml").await.expect("it ends");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let document = ended.json();
    assert_eq!(names(&document, "credentials", "status"), ["rejected", "valid"]);
    assert_eq!(document["summary"]["worst_severity"], "warning");
    assert_eq!(run("public.yaml").await.expect("it ends").code, Some(0));
    let ended = run("uncovered.yaml").await.expect("it ends");
    assert_eq!((ended.code, names(&ended.json(), "workloads", "outlook")), (Some(1), vec!["uncovered"]));
}

#[rstest]
#[case(&["rotate", "pod/x"], "rotate")]
#[case(&["check", "--shards", "2"], "--shards")]
#[case(&["serve", "--web.config.file", "nowhere.yaml", "--manifests", "in.yaml"], "nowhere.yaml")]
#[case(&["check", "-o", "xml", "in.yaml"], "xml")]
#[case(&["check", "-n", "No_Name", "in.yaml"], "No_Name")]
#[case(&["check", "--log.level", "inof", "in.yaml"], "--log.level inof")]
#[case(&["check", "--registry", "https://x.y", "in.yaml"], "--registry https://x.y: the host has a scheme")]
#[case(&["check", "--config.file", "state.yaml", "in.yaml"], "unknown field `states`")]
#[case(&["check", "--config.file", "nowhere.yaml", "in.yaml"], "nowhere.yaml")]
#[case(&["check"], "kubeconfig")]
#[case(&["serve", "--manifests", "in.yaml", "--web.listen-address", ":http"], ":http")]
fn what_cannot_run_is_2_and_named_on_standard_error(#[case] arguments: &[&str], #[case] named: &str) {
    let folder = Folder::new(&[("in.yaml", &ignored("a", "one")), ("state.yaml", "states: {kind: none}\n")]);
    let ended = folder.run(arguments);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains(named), "{ended:?}");
}

#[test]
fn the_daemon_says_which_manifest_it_cannot_read() {
    let folder = Folder::new(&[("good.yaml", &ignored("a", "one"))]);
    let paths = ["--manifests", "good.yaml", "--manifests", "nowhere.yaml"];
    let mut command = folder.command(&[&["serve", "--web.listen-address", "127.0.0.1:0"][..], &paths].concat());
    let mut child = command.spawn().expect("the program starts");
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let told = lines.find(|line| line.contains("level=warn"));
    child.kill().expect("it still runs");
    child.wait().expect("it ends");
    assert!(told.as_deref().is_some_and(|line| line.contains("source=nowhere.yaml")), "{told:?}");
}

#[test]
fn a_registry_of_the_command_line_that_is_listed_already_changes_nothing() {
    let folder = Folder::new(&[
        ("in.yaml", &ignored("a", "one")),
        ("config.yaml", "registries:\n  - {host: quay.io, issuer: none}\n"),
    ]);
    let flags =
        ["--registry", "quay.io", "--registry", "QUAY.io", "--registry", "ghcr.io", "--config.file", "config.yaml"];
    let ended = folder.run(&[&["check", "--offline", "-o", "json", "in.yaml"][..], &flags].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(names(&ended.json(), "credentials", "status"), ["unverified"]);
}

#[test]
fn a_variable_stands_for_its_flag_and_counts_as_not_set_when_empty() {
    let folder = Folder::new(&[("in.yaml", &format!("{}{}", ignored("a", "one"), ignored("b", "two")))]);
    let with = |variables: &[(&str, &str)]| {
        let mut command = folder.command(&["check", "in.yaml"]);
        command.envs(variables.iter().copied());
        end(command)
    };
    let set = [
        ("PULL_PATROL_OUTPUT", "json"),
        ("PULL_PATROL_NAMESPACE", "b"),
        ("PULL_PATROL_OFFLINE", "1"),
        ("PULL_PATROL_REGISTRY", "quay.io,registry.example.com"),
    ];
    let document = with(&set).json();
    assert_eq!(names(&document, "credentials", "secret_name"), ["two"]);
    assert_eq!(names(&document, "credentials", "status"), ["unverified"]);
    let empty = set.map(|(name, _)| (name, ""));
    let ended = with(&[&empty[..], &[("PULL_PATROL_CONFIG_FILE", ""), ("PULL_PATROL_LOG_LEVEL", "")]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("SECRET") && ended.stdout.contains("a/one"), "{ended:?}");
    assert_eq!(with(&[("PULL_PATROL_OUTPUT", "xml")]).code, Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new(&[("in.yaml", &ignored("a", "one"))]);
    let lines: [&[&str]; 5] = [
        &["rules"],
        &["dashboard"],
        &["check", "in.yaml"],
        &["check", "-ojson", "in.yaml"],
        &["check", "-oyaml", "in.yaml"],
    ];
    for arguments in lines {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = folder.command(arguments);
        command.stdout(writer);
        let ended = end(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn rules_and_dashboard_are_the_shipped_files() {
    let folder = Folder::new(&[]);
    let lines: [(&[&str], &str); 4] = [
        (&["rules"], "deploy/alerts/pull-patrol.rules.yaml"),
        (&["dashboard"], "dashboards/pull-patrol.json"),
        (&["dashboard", "team"], "dashboards/pull-patrol.json"),
        (&["dashboard", "daemon"], "dashboards/pull-patrol-daemon.json"),
    ];
    for (line, file) in lines {
        let shipped = std::fs::read_to_string(checkout().join(file)).expect(file);
        let ended = folder.run(line);
        assert_eq!((ended.code, ended.stdout), (Some(0), shipped));
    }
}

#[test]
fn every_finding_has_its_published_severity() {
    let critical = ["undecodable_secret", "bad_auth_encoding"];
    let info = ["unusual_key", "no_expiry", "excess_scopes", "password_not_checked", "ignored_field"];
    let text = std::fs::read_to_string(checkout().join("docs/metrics.md")).expect("docs/metrics.md");
    let section =
        text.split("### pullsecret_finding\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a section");
    let documented: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| *name != "finding")
        .collect();
    assert_eq!(documented, FindingKind::ALL.iter().map(|kind| kind.as_str()).collect());
    for kind in FindingKind::ALL {
        let expected = match kind.as_str() {
            name if critical.contains(&name) => Severity::Critical,
            name if info.contains(&name) => Severity::Info,
            _ => Severity::Warning,
        };
        assert_eq!(kind.severity(), expected, "{kind:?}");
    }
}

/// Families with their types and labels, from an exposition.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut all = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            all.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((series, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let family = ["_bucket", "_sum", "_count"].iter().filter_map(|end| series.strip_suffix(end));
            let family = family.into_iter().find(|name| all.contains_key(*name)).unwrap_or(series);
            let names = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',', '{']).next());
            let names = names.filter(|name| !name.is_empty() && *name != "le" && !name.contains('}'));
            all.get_mut(family).expect("a type first").1.extend(names.map(str::to_owned));
        }
    }
    all
}

#[tokio::test]
async fn the_documented_metrics_are_those_that_are_exported() {
    let daemon: Vec<u8> = exposition().plain(telling().into()).expect("it encodes").flatten().collect();
    let exported = families(&String::from_utf8(daemon).expect("UTF-8"));
    assert!(families(&encoded(&telling())).keys().all(|name| exported.contains_key(name)));
    let documented: BTreeMap<String, (String, BTreeSet<String>)> =
        METRICS.iter().map(|(name, metric)| (name.clone(), (metric.kind.clone(), metric.labels.clone()))).collect();
    assert_eq!(documented, exported);
}

#[test]
fn the_documented_fields_are_those_of_the_document() {
    let text = std::fs::read_to_string(checkout().join("docs/api.md")).expect("docs/api.md");
    let table = |after: &str| -> BTreeSet<String> {
        let section = text.split(after).nth(1).unwrap_or_else(|| panic!("no {after:?}"));
        let rows =
            section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
        let names = rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split('`').skip(1).step_by(2));
        names.map(str::to_owned).collect()
    };
    let mut out = Vec::new();
    pull_patrol::cli::document::write_json(&telling(), &mut out).expect("it writes");
    let document: Value = serde_json::from_slice(&out).expect("JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&document), table("one document."));
    assert_eq!(keys(&document["credentials"][0]), table("\nA credential:\n"));
    let mut workload = keys(&document["workloads"][0]);
    // Stands there only where it is true.
    assert!(workload.insert("idle".to_owned()));
    assert_eq!(workload, table("\nA workload:\n"));
}

#[test]
fn the_readme_shows_a_config_of_known_keys() {
    let text = std::fs::read_to_string(checkout().join("README.md")).expect("README.md");
    let block = text.split("```yaml\n").find(|rest| rest.starts_with("registries:")).expect("a block of YAML");
    let block = block.split("```").next().expect("its end");
    let shown = config::parse(block, &PathBuf::from("README.md")).expect("a valid config");
    let defaults = config::Config::default();
    assert_eq!((shown.probe, shown.issuer, shown.scope), (defaults.probe, defaults.issuer, defaults.scope));
}
