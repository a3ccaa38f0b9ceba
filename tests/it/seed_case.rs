//! The case that many how-tos lead to, through the real binary: a private image for the runners of a scale set, a
//! docker-registry Secret, and `imagePullSecrets` at the top level of the chart's values, where nothing reads it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use simulator::{TokenSpec, Visibility, World};

use crate::support::manifests::{docker_config, ghcr_config, pull_secret};

/// Where hooks of version 0.7 are in the official image.
pub(crate) const HOOKS: &str = "/home/runner/k8s/index.js";
/// Where hooks of version 0.8 are, which run the runner's image in the workflow pod as well.
pub(crate) const NO_VOLUME: &str = "/home/runner/k8s-novolume/index.js";
/// What mends the runners.
const LIST: &str = "imagePullSecrets: [{name: github-pat}], ";

/// A world with a private image for runners, and the objects of the case in files.
pub(crate) struct Seed {
    /// It ends when this is dropped.
    _world: World,
    token: String,
    folder: tempfile::TempDir,
}

impl Seed {
    pub(crate) async fn start() -> Self {
        let world = World::start().await.unwrap();
        world.add_package("acme/gha-runners", Visibility::private());
        world.add_package("actions/gha-runner-scale-set-controller", Visibility::Public);
        let token = world.add_token(TokenSpec::classic("octobot").reads("acme")).secret().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let config = ghcr_config(&world, None, "confirmationSpacing: 1s");
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        let this = Self { _world: world, token, folder };
        this.write("before.yaml", &this.objects("", HOOKS));
        this.write("after.yaml", &this.objects(LIST, HOOKS));
        this
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The objects as the charts render them, and the Secret. `list` begins the spec of the runners' template.
    pub(crate) fn objects(&self, list: &str, hooks: &str) -> String {
        let image = "ghcr.io/acme/gha-runners:latest";
        let controller = "ghcr.io/actions/gha-runner-scale-set-controller:0.14.2";
        let runner_image = match hooks {
            NO_VOLUME => format!(", {{name: ACTIONS_RUNNER_IMAGE, value: '{image}'}}"),
            _ => String::new(),
        };
        format!(
            "{}---\n{{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingRunnerSet, metadata: {{name: arc-set, \
             namespace: arc-runners}}, spec: {{githubConfigUrl: 'https://github.com/acme', minRunners: 0, template: {{spec: \
             {{{list}serviceAccountName: arc-set-gha-rs-kube-mode, containers: [{{name: runner, image: '{image}', env: \
             [{{name: ACTIONS_RUNNER_CONTAINER_HOOKS, value: {hooks}}}{runner_image}]}}]}}}}}}}}\n\
             ---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: arc-set-gha-rs-kube-mode, namespace: arc-runners}}}}\n\
             ---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: arc-gha-rs-controller, namespace: arc-systems}}, \
             spec: {{template: {{spec: {{containers: [{{name: manager, image: '{controller}', args: \
             ['--auto-scaling-runner-set-only'], env: [{{name: CONTROLLER_MANAGER_CONTAINER_IMAGE, value: '{controller}'}}]}}]}}}}}}}}\n",
            pull_secret("arc-runners", "github-pat", &docker_config("ghcr.io", "octobot", &self.token)),
        )
    }

    /// Run the program on a file.
    async fn run(&self, line: &str) -> (String, Option<i32>) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pull-patrol"));
        command.current_dir(self.folder.path()).args(["--config.file", "config.yaml"]).args(line.split(' '));
        let output = command.output().await.unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }

    pub(crate) async fn json(&self, line: &str) -> (Value, Option<i32>) {
        let (text, code) = self.run(&format!("{line} -o json")).await;
        (serde_json::from_str(&text).unwrap(), code)
    }
}

/// The row of a role, in the list of that name.
fn of_role<'d>(document: &'d Value, list: &str, role: &str) -> &'d Value {
    let rows = document[list].as_array().unwrap();
    rows.iter().find(|row| row["pod_role"] == role).unwrap_or_else(|| panic!("no {role} in {list}: {document:#}"))
}

fn fix(row: &Value) -> Vec<&str> {
    row["fix"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[track_caller]
fn assert_says(text: &Value, words: &[&str]) {
    let text = text.as_str().unwrap();
    for words in words {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

const NOTHING_READS_IT: [&str; 4] = [
    "no credential matches, and an anonymous pull of ghcr.io/acme/gha-runners is denied",
    "`template.spec.imagePullSecrets` of the scale set is empty",
    "the ServiceAccount arc-set-gha-rs-kube-mode names no Secret",
    "a top-level `imagePullSecrets` in the values of the chart gha-runner-scale-set does nothing",
];
const INHERITS_NOTHING: [&str; 2] =
    ["inherit nothing from the runner's pod", "neither a hook extension nor the ServiceAccount default names a Secret"];
const PATCH_OF_RUNNERS: &str = r#"kubectl -n arc-runners patch autoscalingrunnerset arc-set --type=merge -p '{"spec":{"template":{"spec":{"imagePullSecrets":[{"name":"github-pat"}]}}}}'"#;
const PATCH_OF_ACCOUNT: &str = r#"kubectl -n arc-runners patch serviceaccount default --type=merge -p '{"imagePullSecrets":[{"name":"github-pat"}]}'"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_where_nothing_reads_it_is_told_in_one_command() {
    let seed = Seed::start().await;
    let (document, code) = seed.json("explain autoscalingrunnerset/arc-set before.yaml").await;
    assert_eq!(code, Some(1));
    let runner = of_role(&document, "images", "runner");
    assert_eq!((&runner["outlook"], &runner["anonymous"]), (&"uncovered".into(), &"denied".into()));
    assert_says(&runner["reason"], &NOTHING_READS_IT);
    assert_eq!(
        fix(runner),
        [
            "# set template.spec.imagePullSecrets in the values of the chart too, else its next upgrade takes this away",
            PATCH_OF_RUNNERS
        ]
    );
    // The controller's Deployment tells what the listener gets.
    let listener = of_role(&document, "images", "listener");
    assert_eq!((&listener["outlook"], &listener["anonymous"]), (&"ok".into(), &"granted".into()));

    let (document, code) = seed.json("check before.yaml").await;
    assert_eq!((code, &document["summary"]["worst_severity"]), (Some(1), &"warning".into()));
    let runner = of_role(&document, "workloads", "runner");
    assert_eq!((&runner["outlook"], &runner["idle"]), (&"uncovered".into(), &true.into()));
    assert_says(&runner["reason"], &NOTHING_READS_IT);
    assert_says(
        &runner["fix"],
        &["the Secret github-pat of this namespace would cover it", "in the values of the chart and now"],
    );
    assert_eq!(of_role(&document, "workloads", "listener")["outlook"], "ok");
    let (text, _) = seed.run("check before.yaml").await;
    assert!(text.contains("uncovered") && text.contains("does nothing"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mended_runners_pull_and_workflow_pods_still_do_not() {
    let seed = Seed::start().await;
    // Hooks of version 0.7: only a job names an image.
    let (document, code) = seed.json("explain ars/arc-set after.yaml").await;
    let runner = of_role(&document, "images", "runner");
    assert_eq!((&runner["outlook"], &runner["credentials"][0]["access"]), (&"ok".into(), &"granted".into()));
    assert_eq!(code, Some(3), "what a job will name is not known: {document:#}");
    let workflow = of_role(&document, "gaps", "workflow");
    assert_eq!(workflow["outlook"], "unknown");
    assert_says(&workflow["reason"], &INHERITS_NOTHING);
    assert_says(&workflow["reason"], &["cannot pull private images from any registry", "GITHUB_TOKEN"]);
    let ways = fix(workflow);
    assert!(ways[0].starts_with("# either the ServiceAccount default") && ways[1] == PATCH_OF_ACCOUNT, "{ways:#?}");
    assert!(ways[2].starts_with("# or a hook extension"), "{ways:#?}");
    assert!(ways[3].starts_with("kubectl -n arc-runners create configmap arc-set-hook-extension "), "{ways:#?}");
    assert!(ways[5].contains("ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"), "{ways:#?}");
    let (document, code) = seed.json("check after.yaml").await;
    assert_eq!((code, &of_role(&document, "workloads", "runner")["outlook"]), (Some(3), &"ok".into()));
    let workflow = of_role(&document, "workloads", "workflow");
    assert_says(&workflow["reason"], &INHERITS_NOTHING);
    assert_says(&workflow["fix"], &["hook extension", "patch serviceaccount default"]);

    // Hooks of version 0.8: the runner's own image is in the workflow pod, without the runner's Secret.
    seed.write("novolume.yaml", &seed.objects(LIST, NO_VOLUME));
    let (document, code) = seed.json("explain ars/arc-set novolume.yaml").await;
    assert_eq!((code, &of_role(&document, "images", "runner")["outlook"]), (Some(1), &"ok".into()));
    let workflow = of_role(&document, "images", "workflow");
    assert_eq!((&workflow["outlook"], &workflow["containers"][0]), (&"uncovered".into(), &"fs-init".into()));
    assert_says(&workflow["reason"], &INHERITS_NOTHING);
    assert_eq!(fix(workflow)[1], PATCH_OF_ACCOUNT);
    // They stand once.
    assert_eq!(fix(of_role(&document, "gaps", "workflow")), [""; 0]);

    // The way of the ServiceAccount.
    let account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: arc-runners}, \
                   imagePullSecrets: [{name: github-pat}]}\n";
    seed.write("both.yaml", &(seed.objects(LIST, NO_VOLUME) + account));
    for line in ["explain ars/arc-set both.yaml", "check both.yaml"] {
        let (document, code) = seed.json(line).await;
        assert_eq!(code, Some(0), "{line}: {document:#}");
    }
}

/// What jobs pull inside `dind` cannot be told from outside, and is not guessed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dind_pulls_inside_is_said_to_be_out_of_reach() {
    let seed = Seed::start().await;
    let dind = "initContainers: [{name: init-dind-externals, image: 'ghcr.io/acme/gha-runners:latest'}, \
                {name: dind, image: 'docker:dind', restartPolicy: Always}], ";
    seed.write("dind.yaml", &seed.objects(&format!("{LIST}{dind}"), HOOKS));
    let (document, _) = seed.json("explain ars/arc-set dind.yaml --registry docker.io --offline").await;
    let notes = document["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{document:#}");
    assert_says(&notes[0], &["inside the container dind of arc-set", "out of reach from here"]);
    let runner = document["images"].as_array().unwrap();
    let runner: Vec<_> =
        runner.iter().filter(|image| image["pod_role"] == "runner").map(|image| &image["containers"]).collect();
    assert_eq!(*runner[1], serde_json::json!(["init-dind-externals", "runner"]), "the image of its own pod is judged");
    let (text, _) = seed.run("explain ars/arc-set dind.yaml --offline").await;
    assert!(text.contains("OUT OF REACH\n  what jobs pull inside the container dind"), "{text}");
    let (document, _) = seed.json("explain ars/arc-set after.yaml --offline").await;
    assert_eq!(document["notes"], serde_json::json!([]));
}

/// Every form of the answer holds the fields that are documented, and the same in each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_has_the_documented_fields_in_each_form() {
    let seed = Seed::start().await;
    let docs = std::fs::read_to_string(crate::support::real::checkout().join("docs/api.md")).unwrap();
    let section = docs.split("## Explanations").nth(1).unwrap();
    let table = |after: &str| -> std::collections::BTreeSet<String> {
        let rows = section.split(after).nth(1).unwrap_or_else(|| panic!("no {after:?}")).lines();
        let rows = rows.skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
        let names = rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2));
        names.map(str::to_owned).collect()
    };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let (document, _) = seed.json("explain ars/arc-set after.yaml").await;
    assert_eq!(keys(&document), table("| member | is |"));
    assert_eq!(keys(&document["images"][0]), table("\nAn image:\n"));
    assert_eq!(keys(&document["images"][0]["credentials"][0]), table("\nA credential of an image:\n"));
    assert_eq!(keys(&document["gaps"][0]), table("\nA gap:\n"));
    let (of_secret, _) = seed.json("explain secret/github-pat after.yaml").await;
    assert_eq!(
        keys(&of_secret),
        ["credentials", "dependents", "generated_at", "namespace", "target", "version"].map(String::from).into()
    );
    assert_eq!(keys(&of_secret["dependents"][0]), table("\nA dependent:\n"));

    let (yaml, _) = seed.run("explain ars/arc-set after.yaml -o yaml").await;
    let mut from_yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    from_yaml["generated_at"] = document["generated_at"].clone();
    assert_eq!(from_yaml, document);
}
