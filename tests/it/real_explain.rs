//! `explain` on a real API server, with the simulator as the registry: every sort of target, the same answer from the
//! command, the daemon and the manifests; and the commands that it prints, run with kubectl until all is well.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::Duration;

use pull_patrol::runtime::Source;
use serde_json::{Value, json};
use simulator::{TokenSpec, Visibility, World};

use crate::line::Daemon;
use crate::support::manifests::{docker_config, ghcr_config, pull_secret};
use crate::support::real::{RealCluster, program};

/// How long the daemon may take to say what the command says.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster, a world, and a folder with the program's config.
struct Scene {
    cluster: RealCluster,
    /// It ends when this is dropped.
    _world: World,
    config: String,
    good: String,
    dead: String,
    folder: tempfile::TempDir,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

impl Scene {
    async fn start() -> Self {
        let cluster = RealCluster::start().await;
        for namespace in ["ci", "arc"] {
            cluster.create_namespace(namespace).await;
        }
        let world = World::start().await.unwrap();
        for name in ["app", "runner", "controller"] {
            world.add_package(&format!("acme/{name}"), Visibility::private());
        }
        let token = |user: &str| world.add_token(TokenSpec::classic(user).reads("acme"));
        let (good, dead) = (token("alice"), token("bob"));
        dead.revoke();
        let (good, dead) = (good.secret().to_owned(), dead.secret().to_owned());
        let config = ghcr_config(&world, None, "confirmationSpacing: 1s");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yaml"), &config).unwrap();
        let this = Self { cluster, _world: world, config, good, dead, folder };
        // Names that a person would use kubectl with, which knows nothing of our kubeconfig.
        let script = format!(
            "#!/bin/sh\nexec {} --kubeconfig={} --cache-dir={} \"$@\"\n",
            program("KUBECTL").display(),
            this.cluster.kubeconfig().display(),
            this.path("cache").display()
        );
        std::fs::write(this.path("kubectl"), script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(this.path("kubectl"), executable).unwrap();
        this.apply(&format!("{}---\n{}", definition("AutoscalingRunnerSet"), definition("AutoscalingListener"))).await;
        for plural in ["autoscalingrunnersets", "autoscalinglisteners"] {
            let name = format!("crd/{plural}.actions.github.com");
            this.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &name]).await;
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(args).await.expect_success(&args.join(" "))
    }

    async fn apply(&self, manifests: &str) {
        // kubectl takes a file that begins with a brace for JSON.
        std::fs::write(self.path("apply.yaml"), format!("---\n{manifests}")).unwrap();
        self.kubectl(&["apply", "-f", self.path("apply.yaml").to_str().unwrap()]).await;
    }

    fn secret(&self, namespace: &str, name: &str, user: &str) -> String {
        let token = if user == "bob" { &self.dead } else { &self.good };
        pull_secret(namespace, name, &docker_config("ghcr.io", user, token))
    }

    async fn run(&self, args: &[&str]) -> Ended {
        self.run_as(self.cluster.kubeconfig(), args).await
    }

    async fn run_as(&self, kubeconfig: &std::path::Path, args: &[&str]) -> Ended {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pull-patrol"));
        command.arg("--config.file").arg(self.path("config.yaml")).arg("--kubeconfig").arg(kubeconfig).args(args);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    async fn explain(&self, line: &str) -> Ended {
        self.run(&[&["explain", "-o", "json"], &line.split(' ').collect::<Vec<_>>()[..]].concat()).await
    }

    /// Run commands as a person would paste them: all of them, in a shell.
    async fn paste(&self, commands: &[String]) {
        let script = commands.join("\n").replace("--docker-username=USER", "--docker-username=alice");
        let mut shell = tokio::process::Command::new("sh");
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        shell.args(["-e", "-c", &script]).env("PATH", path).env("NEW_TOKEN", &self.good);
        let output = shell.output().await.unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!script.contains(&self.good) && !script.contains(&self.dead), "a token in a command");
    }

    /// Explain a target, paste what mends its images of a role, and see that they pull then.
    async fn mend(&self, line: &str, role: &str, outlook: &str) -> Vec<String> {
        let document = self.explain(line).await.json();
        let image = of_role(&document, role);
        assert_eq!(image["outlook"], outlook, "{line}: {image:#}");
        let commands = lines(&image["fix"]);
        assert!(!commands.is_empty(), "{line}: {image:#}");
        self.paste(&commands).await;
        let ended = self.explain(line).await;
        let document = ended.json();
        assert_eq!(of_role(&document, role)["outlook"], "ok", "{line} after {commands:#?}: {document:#}");
        commands
    }
}

fn of_role<'d>(document: &'d Value, role: &str) -> &'d Value {
    let images = document["images"].as_array().unwrap();
    images.iter().find(|image| image["pod_role"] == role).unwrap_or_else(|| panic!("no {role}: {document:#}"))
}

fn lines(fix: &Value) -> Vec<String> {
    fix.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// A definition as ARC's own is, in what matters here: a pod's spec must have containers.
fn definition(kind: &str) -> String {
    let singular = kind.to_lowercase();
    let any = "x-kubernetes-preserve-unknown-fields: true";
    let template = format!(
        "{{type: object, {any}, properties: {{spec: {{type: object, {any}, required: [containers], properties: {{containers: \
         {{type: array, items: {{type: object, {any}, required: [name]}}}}}}}}}}}}"
    );
    format!(
        "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: {singular}s.actions.github.com}}, \
         spec: {{group: actions.github.com, scope: Namespaced, names: {{plural: {singular}s, singular: {singular}, kind: {kind}, \
         listKind: {kind}List}}, versions: [{{name: v1alpha1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
         {any}, properties: {{spec: {{type: object, {any}, properties: {{template: {template}, listenerTemplate: {template}}}}}}}}}}}}}]}}}}\n"
    )
}

/// A workload whose pod template has this spec.
fn workload(kind: &str, name: &str, spec: &str) -> String {
    let labels = format!("{{app: {name}}}");
    let template = format!("template: {{metadata: {{labels: {labels}}}, spec: {spec}}}");
    let (api, spec) = match kind {
        "CronJob" => {
            let spec = spec.replacen('{', "{restartPolicy: Never, ", 1);
            ("batch/v1", format!("{{schedule: '0 0 * * *', jobTemplate: {{spec: {{template: {{spec: {spec}}}}}}}}}"))
        }
        "AutoscalingRunnerSet" => (
            "actions.github.com/v1alpha1",
            format!("{{githubConfigUrl: 'https://github.com/acme', template: {{spec: {spec}}}}}"),
        ),
        "Pod" => ("v1", spec.to_owned()),
        _ => ("apps/v1", format!("{{selector: {{matchLabels: {labels}}}, {template}}}")),
    };
    format!("---\n{{apiVersion: {api}, kind: {kind}, metadata: {{name: {name}, namespace: ci}}, spec: {spec}}}\n")
}

/// A pod's spec: its list, and one container.
fn spec(secrets: &[&str], container: &str) -> String {
    let names: Vec<String> = secrets.iter().map(|name| format!("{{name: {name}}}")).collect();
    let list = if names.is_empty() { String::new() } else { format!("imagePullSecrets: [{}], ", names.join(", ")) };
    format!("{{{list}containers: [{container}]}}")
}

const APP: &str = "{name: main, image: 'ghcr.io/acme/app:latest'}";

/// The controller, whose image is private, and who gives its listeners this list.
fn controller(list: &str) -> String {
    let image = "ghcr.io/acme/controller:1";
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: controller, namespace: arc}}, spec: {{selector: {{matchLabels: \
         {{app: c}}}}, template: {{metadata: {{labels: {{app: c}}}}, spec: {{imagePullSecrets: [{{name: good}}], containers: [{{name: \
         manager, image: '{image}', args: ['--auto-scaling-runner-set-only'{list}], env: [{{name: \
         CONTROLLER_MANAGER_CONTAINER_IMAGE, value: '{image}'}}]}}]}}}}}}}}\n"
    )
}

/// What must be equal whoever answers, and whenever.
fn comparable(mut document: Value) -> Value {
    document["generated_at"] = Value::Null;
    for row in document["credentials"].as_array_mut().into_iter().flatten() {
        // With -n copies of other namespaces are not seen.
        for field in ["evidence", "last_verdict_at", "token_id", "copies"] {
            row[field] = Value::Null;
        }
    }
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_the_daemon_and_the_manifests_say_the_same() {
    let scene = Scene::start().await;
    let account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: builder, namespace: ci}, imagePullSecrets: [{name: good}]}\n";
    let objects = [
        scene.secret("ci", "good", "alice"),
        scene.secret("ci", "dead", "bob"),
        scene.secret("arc", "good", "alice"),
        scene.secret("arc", "copy-of-dead", "bob"),
        account.to_owned(),
        workload("Pod", "lone", &spec(&["dead", "good"], APP)),
        workload("Deployment", "web", &spec(&["dead"], APP)),
        workload("StatefulSet", "db", &spec(&[], APP)),
        workload("CronJob", "night", &spec(&["good"], APP)),
        workload(
            "AutoscalingRunnerSet",
            "set",
            &spec(&["good"], "{name: runner, image: 'ghcr.io/acme/runner:latest'}"),
        ),
        controller(", '--auto-scaler-image-pull-secrets=good'"),
    ];
    scene.apply(&objects.concat()).await;
    let kinds = "secrets,serviceaccounts,pods,deployments,statefulsets,cronjobs,autoscalingrunnersets";
    let exported = scene.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await;
    std::fs::write(scene.path("exported.yaml"), exported).unwrap();
    let exported = scene.path("exported.yaml");
    let source = Source::Cluster { kubeconfig: Some(scene.cluster.kubeconfig().to_owned()), context: None };
    let daemon = Daemon::start(&scene.config, source).await;

    // Target, exit code, and what is to be said of its first image or dependent.
    let rows = [
        ("pod/lone", "target=pod/lone", 1, "ok"),
        ("autoscalingrunnerset/set", "target=ars/set", 0, "ok"),
        ("deployment/web", "target=deploy/web", 1, "blocked"),
        ("statefulset/db", "target=sts/db", 1, "uncovered"),
        ("cronjob/night", "target=cronjob/night", 0, "ok"),
        (
            "serviceaccount/builder --image ghcr.io/acme/app:latest",
            "service_account=builder&image=ghcr.io/acme/app:latest",
            0,
            "ok",
        ),
        ("image/ghcr.io/acme/runner:latest", "image=ghcr.io/acme/runner:latest", 0, "ok"),
        ("secret/good", "target=secret/good", 0, "ok"),
    ];
    for (target, query, code, outlook) in rows {
        // A scale set's listener is in another namespace, which is not read with -n.
        let line = if target.contains("runnerset") { target.to_owned() } else { format!("{target} -n ci") };
        let ended = scene.explain(&line).await;
        let said = comparable(ended.json());
        assert_eq!(ended.code, Some(code), "{line}: {said:#} {}", ended.stderr);
        let first = if said["images"].is_array() { &said["images"][0] } else { &said["dependents"][0] };
        assert_eq!(first["outlook"], outlook, "{line}: {said:#}");
        let from_files = scene.explain(&format!("{line} {}", exported.display())).await;
        assert_eq!(comparable(from_files.json()), said, "{line}: manifests and cluster");
        assert_eq!(from_files.code, Some(code), "{line}");

        let path = format!("/api/v1/explain?namespace=ci&{query}");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, body) = daemon.get(&path).await;
            let theirs = serde_json::from_str(&body).map(comparable);
            if status == 200 && theirs.as_ref().is_ok_and(|theirs| *theirs == said) {
                break;
            }
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!late, "{query}: daemon and command differ ({status}):\n{body}\n{said:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }

        // Without asking anybody: the same credentials in the same order.
        let ended = scene.explain(&format!("{line} --offline")).await;
        let offline = ended.json();
        assert_eq!(ended.code, Some(0), "{line}: {offline:#}");
        let order = |document: &Value| {
            let images = document["images"].as_array().into_iter().flatten();
            let credentials = images.flat_map(|image| image["credentials"].as_array().unwrap());
            credentials
                .map(|one| [&one["order"], &one["secret_name"], &one["source"]].map(Value::clone))
                .collect::<Vec<_>>()
        };
        assert_eq!(order(&offline), order(&said), "{line}");
    }
    daemon.stop().await;

    // Copies are counted in all namespaces that are read.
    for (line, copies) in [("secret/dead", 2), ("secret/dead -n ci", 1)] {
        assert_eq!(scene.explain(line).await.json()["credentials"][0]["copies"], copies, "{line}");
    }

    // A pod with two Secrets, the first of them dead.
    let said = scene.explain("pod/lone -n ci").await.json();
    let order: Vec<_> = said["images"][0]["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["order"], &one["secret_name"], &one["access"]))
        .collect();
    assert_eq!(order, [(&json!(1), &json!("dead"), &json!("denied")), (&json!(2), &json!("good"), &json!("granted"))]);
    assert_eq!(said["images"][0]["findings"][0]["finding"], "later_credential_only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_explained_is_told_and_so_is_what_rbac_hides() {
    let scene = Scene::start().await;
    let objects = [scene.secret("ci", "good", "alice"), workload("Deployment", "web", &spec(&["good"], APP))];
    scene.apply(&objects.concat()).await;
    for (line, words) in [
        ("deployment/wbe -n ci", "there is no deployment/wbe in namespace ci; did you mean deployment/web?"),
        ("pod/x -n nowhere", "there is no pod/x in namespace nowhere, nor anything else of that sort"),
        ("image/ghcr.io/acme/none -n ci", "nothing pulls image/ghcr.io/acme/none in namespace ci"),
        ("sa/default -n ci", "say which one with --image IMAGE"),
        ("web -n ci", "is no target; write KIND/NAME"),
    ] {
        let ended = scene.explain(line).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
    // A Secret that does not exist is broken on a cluster.
    scene.apply(&workload("Deployment", "broken", &spec(&["gone"], APP))).await;
    let ended = scene.explain("deployment/broken -n ci").await;
    assert_eq!(ended.json()["broken_references"], json!([{ "secret_name": "gone", "reason": "not_found" }]));
    assert_eq!(ended.code, Some(1));

    // Nobody is there.
    let text = std::fs::read_to_string(scene.cluster.kubeconfig()).unwrap();
    std::fs::write(scene.path("nobody"), text.replace(scene.cluster.url(), "https://127.0.0.1:1")).unwrap();
    let ended = scene.run_as(&scene.path("nobody"), &["explain", "deployment/web", "-n", "ci"]).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("of the cluster; check with `kubectl get"), "{}", ended.stderr);

    // Someone who may see Deployments and nothing of Secrets: nothing is proven of them, and nothing is called broken.
    scene.kubectl(&["create", "serviceaccount", "narrow", "-n", "ci"]).await;
    scene.kubectl(&["create", "role", "narrow", "-n", "ci", "--verb=list,watch", "--resource=deployments.apps"]).await;
    scene
        .kubectl(&["create", "rolebinding", "narrow", "-n", "ci", "--role=narrow", "--serviceaccount=ci:narrow"])
        .await;
    let token = scene.kubectl(&["create", "token", "narrow", "-n", "ci"]).await;
    std::fs::write(scene.path("narrow"), text.replace(RealCluster::ADMIN_TOKEN, token.trim())).unwrap();
    for (line, expected) in [("deployment/broken", "unverified"), ("deployment/web", "unverified")] {
        let ended = scene.run_as(&scene.path("narrow"), &["explain", "-o", "json", "-n", "ci", line]).await;
        let document = ended.json();
        assert_eq!((ended.code, &document["images"][0]["outlook"]), (Some(3), &json!(expected)), "{document:#}");
        assert_eq!(document["broken_references"], json!([]), "{line}");
    }
    let ended = scene.run_as(&scene.path("narrow"), &["explain", "deployment/wbe", "-n", "ci"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("did you mean deployment/web?"), "{}", ended.stderr);
}

/// The runners of a scale set whose hooks run the runner's image in the workflow pod, from the wrong end: nothing is named.
fn bare_scale_set() -> String {
    let container = "{name: runner, image: 'ghcr.io/acme/runner:latest', env: [{name: ACTIONS_RUNNER_CONTAINER_HOOKS, value: \
                     /home/runner/k8s-novolume/index.js}, {name: ACTIONS_RUNNER_IMAGE, value: 'ghcr.io/acme/runner:latest'}]}";
    workload("AutoscalingRunnerSet", "set", &spec(&[], container))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_command_mends_what_it_is_for() {
    let scene = Scene::start().await;
    let quay = |namespace: &str| pull_secret(namespace, "quay", &docker_config("quay.io", "carol", "secret-of-carol"));
    let account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: builder, namespace: ci}, imagePullSecrets: [{name: quay}]}\n";
    let mut objects =
        [scene.secret("ci", "good", "alice"), scene.secret("arc", "good", "alice"), quay("ci"), quay("arc")].concat();
    objects += account;
    objects += &controller(", '--auto-scaler-image-pull-secrets=quay'");
    objects += &bare_scale_set();
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob", "Pod"] {
        objects += &workload(kind, &format!("x-{}", kind.to_lowercase()), &spec(&["quay"], APP));
    }
    scene.apply(&objects).await;

    // A Secret of the namespace is put on the list, behind what stands there.
    for kind in ["deployment", "statefulset", "daemonset", "replicaset", "cronjob", "pod"] {
        let line = format!("{kind}/x-{kind} -n ci");
        scene.mend(&line, "pod", "uncovered").await;
        let list = if kind == "pod" {
            "{.spec.imagePullSecrets[*].name}"
        } else {
            "{..template.spec.imagePullSecrets[*].name}"
        };
        let list =
            scene.kubectl(&["get", kind, &format!("x-{kind}"), "-n", "ci", "-o", &format!("jsonpath={list}")]).await;
        assert_eq!(list, "quay good", "{kind}");
    }
    scene.mend("sa/builder -n ci --image ghcr.io/acme/app:latest", "pod", "uncovered").await;

    // A scale set's three roles, each where it counts.
    scene.mend("autoscalingrunnerset/set", "runner", "uncovered").await;
    let commands = scene.mend("autoscalingrunnerset/set", "listener", "uncovered").await;
    assert!(commands.last().unwrap().contains(r#"[{"name":"quay"},{"name":"good"}]"#), "{commands:#?}");
    let document = scene.explain("autoscalingrunnerset/set").await.json();
    let ways = lines(&of_role(&document, "workflow")["fix"]);
    let second = ways.iter().position(|line| line.starts_with("# or a hook extension")).unwrap();
    scene.paste(&ways[second..]).await;
    let kinds = "secrets,serviceaccounts,configmaps,deployments,autoscalingrunnersets";
    let exported = scene.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await;
    std::fs::write(scene.path("exported.yaml"), exported).unwrap();
    let from_files = format!("autoscalingrunnerset/set {}", scene.path("exported.yaml").display());
    for line in ["autoscalingrunnerset/set", &from_files] {
        let ended = scene.explain(line).await;
        let document = ended.json();
        let workflow = of_role(&document, "workflow");
        assert_eq!(workflow["outlook"], "ok", "{document:#}");
        assert_eq!(workflow["credentials"][0]["source"], "hook_template", "{document:#}");
        assert_eq!(ended.code, Some(0), "{document:#}");
    }
    // The other way, on another scale set.
    scene.apply(&bare_scale_set().replace("name: set,", "name: set-2,")).await;
    let document = scene.explain("autoscalingrunnerset/set-2").await.json();
    let ways = lines(&of_role(&document, "workflow")["fix"]);
    scene.paste(&ways[..second]).await;
    let document = scene.explain("autoscalingrunnerset/set-2").await.json();
    assert_eq!(of_role(&document, "workflow")["credentials"][0]["source"], "service_account");
    assert_eq!(of_role(&document, "workflow")["outlook"], "ok");

    // A Secret is written: anew where it is dead, under the name that is missing, and under one that is free.
    scene.cluster.create_namespace("other").await;
    let malformed = pull_secret("other", "malformed", r#"{"auths":{"ghcr.io":{"auth":"pants"}}}"#);
    let mut objects = scene.secret("other", "dead", "bob") + &malformed;
    for (name, list) in [("dead", &["dead"][..]), ("malformed", &["malformed"]), ("gone", &["gone"])] {
        objects += &workload("Deployment", name, &spec(list, APP)).replace("namespace: ci", "namespace: other");
    }
    scene.apply(&objects).await;
    scene.mend("deployment/dead -n other", "pod", "blocked").await;
    scene.mend("deployment/malformed -n other", "pod", "blocked").await;
    scene.kubectl(&["delete", "secret", "dead", "malformed", "-n", "other"]).await;
    scene.mend("deployment/gone -n other", "pod", "uncovered").await;
    scene.kubectl(&["delete", "secret", "gone", "-n", "other"]).await;
    scene.apply(&workload("Deployment", "bare", &spec(&[], APP)).replace("namespace: ci", "namespace: other")).await;
    let commands = scene.mend("deployment/bare -n other", "pod", "uncovered").await;
    assert!(commands.iter().any(|line| line.contains("create secret docker-registry registry-pull ")), "{commands:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_resource_of_another_version_is_read_in_it() {
    let scene = Scene::start().await;
    let in_version = |text: &str, version: &str| text.replace("v1alpha1", version);
    let set = |name: &str| {
        workload("AutoscalingRunnerSet", name, &spec(&["good"], "{name: runner, image: 'ghcr.io/acme/runner:latest'}"))
    };
    let definition = definition("AutoscalingRunnerSet");
    scene.kubectl(&["delete", "crd", "autoscalingrunnersets.actions.github.com"]).await;
    scene.apply(&in_version(&definition, "v1beta1")).await;
    let crd = "crd/autoscalingrunnersets.actions.github.com";
    scene.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]).await;
    scene.apply(&(scene.secret("ci", "good", "alice") + &in_version(&set("first"), "v1beta1"))).await;
    let ended = scene.explain("autoscalingrunnerset/first -n ci").await;
    assert_eq!(of_role(&ended.json(), "runner")["outlook"], "ok");

    let source = Source::Cluster { kubeconfig: Some(scene.cluster.kubeconfig().to_owned()), context: None };
    let daemon = Daemon::start(&scene.config, source).await;
    let sees = async |name: &str| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (_, body) = daemon.get("/api/v1/workloads").await;
            if body.contains(&format!("\"workload_name\":\"{name}\"")) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "no {name}: {body}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    sees("first").await;
    // The version that we know comes beside it, and the other is served no more.
    let both = r#"[{"op":"add","path":"/spec/versions/0","value":{"name":"v1alpha1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}},{"op":"replace","path":"/spec/versions/1/served","value":false},{"op":"replace","path":"/spec/versions/1/storage","value":false}]"#;
    scene.kubectl(&["patch", crd, "--type=json", "-p", both]).await;
    let mut tries = 0;
    loop {
        std::fs::write(scene.path("second.yaml"), set("second")).unwrap();
        let output = scene.cluster.kubectl(&["apply", "-f", scene.path("second.yaml").to_str().unwrap()]).await;
        if output.success {
            break;
        }
        tries += 1;
        assert!(tries < 100, "{}", output.stderr);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    sees("second").await;
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.stop().await;
}
