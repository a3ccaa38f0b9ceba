//! `explain`: the answer in a terminal, its exit codes, and the command and the API over the demo world.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Output;

use pull_patrol::cli::exit::Exit;
use pull_patrol::cli::explanation;
use pull_patrol::cli::report::Look;
use pull_patrol::credential::{Finding, FindingKind};
use pull_patrol::outlook::Outlook;
use pull_patrol::outlook::explain::{
    Answer, BrokenReference, Dependent, ExplainedCredential, ExplainedGap, ExplainedImage, Explanation,
};
use pull_patrol::runtime::Source;
use pull_patrol::verdict::Status;
use serde_json::Value;
use simulator::demo::{DemoPorts, DemoWorld};

use crate::faces_fixture::{HOSTILE, credential, now};
use crate::line::Daemon;

fn one(order: usize, secret: &str, status: Status, access: &'static str, detail: &str) -> ExplainedCredential {
    ExplainedCredential {
        order,
        secret_name: secret.into(),
        registry: "ghcr.io".into(),
        username: "octobot".into(),
        source: "service_account",
        status,
        usable: status.usable(),
        access,
        detail: detail.into(),
    }
}

fn image(name: &str, outlook: Outlook, credentials: Vec<ExplainedCredential>) -> ExplainedImage {
    ExplainedImage {
        workload_namespace: "ci".into(),
        workload_kind: "AutoscalingRunnerSet".into(),
        workload_name: "arc-runner".into(),
        pod_role: "runner",
        image: name.into(),
        repository: name.into(),
        containers: vec!["runner".into(), "init".into()],
        outlook,
        deadline: None,
        reason: String::new(),
        fix: Vec::new(),
        anonymous: "not_tried",
        credentials,
        findings: Vec::new(),
        by_choice: false,
    }
}

fn explanation(answer: Answer) -> Explanation {
    Explanation {
        version: 1,
        generated_at: now(),
        target: "autoscalingrunnerset/arc-runner".into(),
        namespace: "ci".into(),
        answer,
        complete: true,
    }
}

fn pulls(images: Vec<ExplainedImage>) -> Explanation {
    let broken_references = Vec::new();
    explanation(Answer::Pulls { images, broken_references, gaps: Vec::new(), right_now: Vec::new(), notes: Vec::new() })
}

fn telling() -> Explanation {
    let rejected =
        one(1, "ghcr-pull", Status::Rejected, "denied", "the registry refuses it: revoked, wrong, or expired");
    let valid = one(2, "ghcr-pull-2026", Status::Valid, "granted", "pulls ghcr.io/acme/gha-runners until 2026-12-24");
    let mut works = image("ghcr.io/acme/gha-runners:latest", Outlook::Ok, vec![rejected.clone(), valid]);
    works.deadline = Some("2026-12-24T11:00:00Z".parse().unwrap());
    works.reason = "ghcr.io/acme/gha-runners:latest: credential 2 (ghcr-pull-2026) pulls it".into();
    works.findings = vec![Finding::new(FindingKind::LaterCredentialOnly, "it pulls only thanks to a later one", "f")];
    let mut blocked = image("ghcr.io/acme/tools:1", Outlook::Blocked, vec![rejected]);
    blocked.reason = "every credential that matches fails: ghcr-pull (rejected)".into();
    blocked.fix = vec![
        "# NEW_TOKEN: a new token that may pull the image".into(),
        "kubectl -n ci create secret docker-registry ghcr-pull --docker-server=ghcr.io --docker-username=octobot \
         --docker-password=\"$NEW_TOKEN\" --dry-run=client -o yaml | kubectl apply -f -"
            .into(),
    ];
    let mut uncovered = image("quay.io/acme/side:2", Outlook::Uncovered, Vec::new());
    uncovered.anonymous = "denied";
    let broken = BrokenReference { secret_name: "gone".into(), reason: "not_found" };
    explanation(Answer::Pulls {
        images: vec![works, blocked, uncovered],
        broken_references: vec![broken],
        gaps: vec![of_workflow_pods()],
        right_now: vec![
            "AutoscalingRunnerSet/arc-runner (runner): waiting on a pull right now: 2 pods (the registry refuses the credential)".into(),
        ],
        notes: vec!["what jobs pull inside the container dind of arc-runner is out of reach from here".into()],
    })
}

fn of_workflow_pods() -> ExplainedGap {
    ExplainedGap {
        workload_namespace: "ci".into(),
        workload_kind: "AutoscalingRunnerSet".into(),
        workload_name: "arc-runner".into(),
        pod_role: "workflow",
        outlook: Outlook::Unknown,
        reason: "only a job says which image its workflow pod pulls; the pods inherit nothing from the runner's pod".into(),
        fix: vec![
            "# either the ServiceAccount default of workflow pods:".into(),
            "kubectl -n ci patch serviceaccount default --type=merge -p '{\"imagePullSecrets\":[{\"name\":\"ghcr-pull\"}]}'"
                .into(),
        ],
    }
}

fn of_secret() -> Explanation {
    let dependent = |name: &str, outlook, outlook_without| Dependent {
        workload_namespace: "ci".into(),
        workload_kind: "Deployment".into(),
        workload_name: name.into(),
        pod_role: "pod",
        image: format!("ghcr.io/acme/{name}:1"),
        outlook,
        outlook_without,
    };
    explanation(Answer::Secret {
        credentials: vec![credential("ci", "ghcr-pull", "ghcr.io", Status::Valid)],
        dependents: vec![dependent("web", Outlook::Ok, Outlook::Blocked), dependent("api", Outlook::Ok, Outlook::Ok)],
    })
}

fn rendered(explanation: &Explanation, width: Option<u16>, colour: bool) -> String {
    let mut out = Vec::new();
    explanation::write(explanation, Look { width, colour }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn explanation_at_80_columns() {
    insta::assert_snapshot!(rendered(&telling(), Some(80), false));
}

#[test]
fn explanation_at_160_columns() {
    insta::assert_snapshot!(rendered(&telling(), Some(160), false));
}

/// Names as long as Kubernetes lets them be, many containers, and a registry behind a port.
fn long() -> Explanation {
    let name = "ghcr-pull-of-the-team-that-looks-after-everything-that-nobody-else-looks-after-2026-11";
    let mut credential =
        one(1, name, Status::Rejected, "denied", "the registry refuses it: revoked, wrong, or expired");
    credential.registry = "registry.internal.example-corporation.com:5000/platform/images".into();
    credential.username = "robot$platform+pull-only-account-for-runners".into();
    let repository =
        "registry.internal.example-corporation.com:5000/platform/images/github-actions-runner-with-all-tools";
    let digest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";
    let mut image = image(&format!("{repository}@{digest}"), Outlook::Blocked, vec![credential]);
    image.containers = (0..12).map(|number| format!("container-number-{number}")).collect();
    image.reason = format!("every credential that matches fails: {name} (rejected)");
    pulls(vec![image])
}

#[test]
fn explanation_with_long_names_at_80_columns() {
    insta::assert_snapshot!(rendered(&long(), Some(80), false));
}

#[test]
fn explanation_with_long_names_at_160_columns() {
    insta::assert_snapshot!(rendered(&long(), Some(160), false));
}

#[test]
fn explanation_in_colour_at_80_columns() {
    insta::assert_snapshot!(rendered(&telling(), Some(80), true).replace('\u{1b}', "ESC"));
}

#[test]
fn explanation_of_a_secret_at_80_columns() {
    insta::assert_snapshot!(rendered(&of_secret(), Some(80), false));
}

#[test]
fn no_line_but_a_command_is_wider_than_the_terminal() {
    for explanation in [telling(), of_secret(), long()] {
        for width in [60, 80, 119, 120, 160] {
            let text = rendered(&explanation, Some(width), false);
            for line in text.lines().filter(|line| !line.contains("kubectl")) {
                // A name is not cut, whatever its length.
                let is_one_word = !line.trim_start().contains(' ');
                assert!(is_one_word || line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
        assert!(rendered(&explanation, Some(80), true).contains("\u{1b}[38;5;"));
    }
}

#[test]
fn hostile_text_never_reaches_the_terminal_raw() {
    let mut bad = image(HOSTILE, Outlook::Blocked, vec![one(1, HOSTILE, Status::Rejected, "denied", HOSTILE)]);
    bad.credentials[0].username = HOSTILE.into();
    bad.credentials[0].registry = HOSTILE.into();
    bad.workload_name = HOSTILE.into();
    bad.containers = vec![HOSTILE.into()];
    bad.reason = HOSTILE.into();
    bad.fix = vec![HOSTILE.into()];
    for width in [None, Some(80), Some(160)] {
        let text = rendered(&pulls(vec![bad.clone()]), width, false);
        assert_eq!(text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}')), None, "{text}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }
}

#[test]
fn exit_codes() {
    let pulls_with = |outlook| pulls(vec![image("i", outlook, Vec::new())]);
    let with_credential = |status| pulls(vec![image("i", Outlook::Ok, vec![one(1, "s", status, "unverified", "")])]);
    let with_gap = |outlook| {
        let gaps = vec![ExplainedGap { outlook, ..of_workflow_pods() }];
        let images = vec![image("i", Outlook::Ok, Vec::new())];
        explanation(Answer::Pulls {
            images,
            broken_references: Vec::new(),
            gaps,
            right_now: Vec::new(),
            notes: Vec::new(),
        })
    };
    let hidden = Explanation { complete: false, ..pulls_with(Outlook::Ok) };
    let mut by_choice = image("i", Outlook::Unverified, Vec::new());
    by_choice.by_choice = true;
    // What, the explanation, the code, and the code with `--offline`.
    let table = [
        ("ok", pulls_with(Outlook::Ok), 0, 0),
        ("blocked", pulls_with(Outlook::Blocked), 1, 1),
        ("uncovered", pulls_with(Outlook::Uncovered), 1, 1),
        ("unknown", pulls_with(Outlook::Unknown), 3, 3),
        ("unverified", pulls_with(Outlook::Unverified), 3, 0),
        ("not listed by choice", pulls(vec![by_choice]), 0, 0),
        ("a dead credential on the list", with_credential(Status::Expired), 1, 1),
        ("a valid credential", with_credential(Status::Valid), 0, 0),
        ("a role of which nothing is known", with_gap(Outlook::Unknown), 3, 3),
        ("a role of which something is not known", with_gap(Outlook::Ok), 0, 0),
        ("something hidden", hidden, 3, 3),
        ("the telling one", telling(), 1, 1),
        ("a Secret that is well", of_secret(), 0, 0),
    ];
    for (what, explanation, online, offline) in table {
        assert_eq!(Exit::of_explanation(&explanation, false, false).code(), online, "{what}");
        assert_eq!(Exit::of_explanation(&explanation, false, true).code(), offline, "{what}, offline");
        assert_eq!(Exit::of_explanation(&explanation, true, false).code(), 2, "{what}, unparsable input");
    }
}

/// The demo world, and its files for a run of the program.
struct Demo {
    world: DemoWorld,
    folder: tempfile::TempDir,
}

impl Demo {
    async fn start() -> Self {
        let world = DemoWorld::start(DemoPorts::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cluster.yaml"), &world.manifests).unwrap();
        std::fs::write(folder.path().join("config.yml"), &world.config).unwrap();
        Self { world, folder }
    }

    async fn explain(&self, line: &str) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pull-patrol"));
        command.arg("--config.file").arg(self.folder.path().join("config.yml"));
        command.arg("explain").args(line.split(' ')).arg(self.folder.path().join("cluster.yaml"));
        command.output().await.unwrap()
    }

    async fn json(&self, line: &str) -> (Value, Option<i32>) {
        let output = self.explain(&format!("{line} -o json")).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        (document, output.status.code())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_what_a_registry_answers() {
    let demo = Demo::start().await;
    let (document, code) = demo.json("rs/web-6c9d8f7b5d -n team-b").await;
    let image = &document["images"][0];
    assert_eq!((document["target"].as_str(), code), (Some("replicaset/web-6c9d8f7b5d"), Some(1)));
    assert_eq!(
        (image["outlook"].as_str(), image["credentials"][0]["status"].as_str()),
        (Some("blocked"), Some("rejected"))
    );
    assert_eq!((&image["credentials"][0]["order"], &image["credentials"][0]["access"]), (&1.into(), &"denied".into()));
    let fix = image["fix"].as_array().unwrap();
    assert!(fix.iter().any(|command| command.as_str().unwrap().starts_with("kubectl -n team-b ")), "{fix:?}");

    // The namespace is found where the name is nowhere else, and the other direction is told.
    let (document, code) = demo.json("secret/ghcr-1-day").await;
    assert_eq!((document["namespace"].as_str(), code), (Some("payments"), Some(1)));
    let dependent = &document["dependents"][0];
    assert_eq!((&dependent["outlook"], &dependent["outlook_without"]), (&"ok".into(), &"blocked".into()));

    let (document, _) = demo.json("serviceaccount/default -n payments --image ghcr.io/acme/web:latest").await;
    assert_eq!(document["images"][0]["outlook"], "uncovered", "{document}");

    let missing = demo.explain("rs/web-6c9d8f7b5x -n team-b").await;
    assert_eq!(missing.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert!(stderr.contains("did you mean replicaset/web-6c9d8f7b5d?"), "{stderr}");
    assert_eq!(demo.explain("web -n team-b").await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_explains_what_the_daemon_knows() {
    let demo = Demo::start().await;
    let source = Source::Files(vec![demo.folder.path().join("cluster.yaml")]);
    let daemon = Daemon::start(&demo.world.config, source).await;
    daemon
        .settled(|rows| {
            let of_team = rows.iter().find(|row| row["secret_namespace"] == "team-b");
            let settled = of_team.is_some_and(|row| row["status"] == "rejected");
            if settled { Vec::new() } else { vec![format!("{of_team:?}")] }
        })
        .await;
    let (status, body) = daemon.get("/api/v1/explain?namespace=team-b&image=ghcr.io/acme/web:latest").await;
    let document: Value = serde_json::from_str(&body).unwrap();
    let image = &document["images"][0];
    assert_eq!(
        (status, image["outlook"].as_str(), image["workload_kind"].as_str()),
        (200, Some("blocked"), Some("ReplicaSet"))
    );
    assert_eq!(image["credentials"][0]["secret_name"], "ghcr-pull");
    for (query, expected) in [
        ("", 400),
        ("?imge=x", 400),
        ("?namespace=team-b&image=nobody/pulls-this", 404),
        ("?namespace=nowhere&image=ghcr.io/acme/web:latest", 404),
        ("?namespace=team-b&service_account=default&image=ghcr.io/acme/web", 200),
        ("?target=replicaset/web-6c9d8f7b5d", 200),
    ] {
        let (status, body) = daemon.get(&format!("/api/v1/explain{query}")).await;
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, expected, "{query}: {body}");
        assert_eq!(document["error"].is_string(), expected != 200, "{body}");
    }
    daemon.stop().await;
}

/// A listener pulls in the controller's namespace: its Secret there is part of what the round reads.
#[test]
fn a_listener_keeps_the_secrets_of_its_own_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |namespace: &str, name: &str| {
        let document = crate::support::manifests::docker_config("quay.io", "u", "p");
        crate::support::manifests::pull_secret(namespace, name, &document)
    };
    let file = folder.path().join("set.yaml");
    let text = format!(
        "apiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\n\
         metadata: {{name: set, namespace: arc-runners}}\nspec:\n  githubConfigUrl: https://github.com/acme\n  \
         template: {{spec: {{imagePullSecrets: [{{name: run-pull}}], containers: [{{name: runner, image: quay.io/a/r}}]}}}}\n\
         ---\napiVersion: actions.github.com/v1alpha1\nkind: AutoscalingListener\n\
         metadata: {{name: set-listener, namespace: arc-systems}}\nspec: {{autoscalingRunnerSetName: set, \
         autoscalingRunnerSetNamespace: arc-runners, image: quay.io/a/c, imagePullSecrets: [{{name: ctl-pull}}]}}\n{}{}",
        secret("arc-systems", "ctl-pull"),
        secret("arc-runners", "run-pull"),
    );
    std::fs::write(&file, text).unwrap();
    for mode in [&["--offline"][..], &[]] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_pull-patrol"))
            .args(["explain", "autoscalingrunnerset/set", "-o", "json"])
            .args(mode)
            .arg(&file)
            .output()
            .unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let images = document["images"].as_array().unwrap();
        let secret_of = |role: &str| {
            let image = images.iter().find(|image| image["pod_role"] == role).unwrap();
            image["credentials"][0]["secret_name"].clone()
        };
        assert_eq!((secret_of("runner"), secret_of("listener")), ("run-pull".into(), "ctl-pull".into()), "{mode:?}");
    }
}
