//! Objects from files: every rule of how input is read, through the public face of the room.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use pull_patrol::cluster::{Input, Inventory, ObjectRef, Scope, load};
use pull_patrol::config::ScopeConfig;
use rstest::rstest;
use secrecy::ExposeSecret;

const DOCUMENT: &str = r#"{"auths":{"ghcr.io":{"auth":"bWU6Z2hwX2NhbmFyeQ=="}}}"#;

fn stdin(text: &str) -> Inventory {
    load(&[Input::Stdin(text.as_bytes().to_vec())], &Scope::default())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests").join(name)
}

fn path(path: impl Into<PathBuf>) -> Inventory {
    load(&[Input::Path(path.into())], &Scope::default())
}

fn secrets(inventory: &Inventory) -> Vec<String> {
    inventory.secrets.keys().map(ToString::to_string).collect()
}

fn messages(inventory: &Inventory) -> Vec<&str> {
    inventory.problems.iter().map(|problem| &*problem.message).collect()
}

fn document<'a>(inventory: &'a Inventory, namespace: &str, name: &str) -> &'a [u8] {
    let secret = &inventory.secrets[&ObjectRef::new(namespace, name)];
    secret.dockerconfigjson.as_ref().expect("it has the key").expose_secret()
}

/// A pull Secret whose document comes as `stringData`.
fn secret(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/dockerconfigjson\n\
         stringData: {{.dockerconfigjson: '{DOCUMENT}'}}\n"
    )
}

fn pod_yaml(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: ci}}\nspec: {spec}\n")
}

fn names(inventory: &Inventory, namespace: &str, name: &str) -> Vec<String> {
    let pod = &inventory.pods[&ObjectRef::new(namespace, name)];
    pod.pull_secrets.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_yaml_of_several_documents() {
    let inventory = stdin(&format!("# first\n---\n{}---\n\n---\n# nothing\n---\n{}...\n", secret("a"), secret("b")));
    assert_eq!(secrets(&inventory), ["default/a", "default/b"]);
    assert_eq!(messages(&inventory), [""; 0]);
    assert_eq!(document(&inventory, "default", "a"), DOCUMENT.as_bytes());
    assert!(inventory.is_complete());
}

#[test]
fn reads_json_objects_that_stand_one_behind_the_other() {
    let object = |name: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{name}","namespace":"ci"}},
            "type":"kubernetes.io/dockerconfigjson","data":{{".dockerconfigjson":"e30="}}}}"#
        )
    };
    for separator in ["", "\n", "\n---\n", "\r\n---\r\n\r\n"] {
        let inventory = stdin(&format!("\u{feff} {}{separator}{}\n", object("a"), object("b")));
        assert_eq!(secrets(&inventory), ["ci/a", "ci/b"], "{separator:?}: {:?}", messages(&inventory));
        assert_eq!(document(&inventory, "ci", "a"), b"{}");
    }
}

#[test]
fn takes_lists_apart_however_they_nest() {
    let inventory = path(fixture("lists.yaml"));
    assert_eq!(secrets(&inventory), ["ci/typed-a", "ci/typed-b", "default/inner", "default/outer"]);
    let made = |inventory: &Inventory| inventory.controllers.keys().map(|(_, at)| at.to_string()).collect::<Vec<_>>();
    assert_eq!(made(&inventory), ["ci/web"]);
    let problems: Vec<_> = inventory
        .problems
        .iter()
        .map(|problem| (problem.index, problem.kind.as_deref(), problem.name.as_deref()))
        .collect();
    assert_eq!(problems, [(Some(3), Some("Secret"), Some("ci/bad"))]);
    let json = path(fixture("lists.json"));
    assert_eq!(secrets(&json), secrets(&inventory));
    assert_eq!(json.controllers, inventory.controllers);
    assert_eq!(json.problems.len(), 1);
    assert_eq!(messages(&json), messages(&inventory));
}

#[test]
fn reads_folders_in_order_and_passes_over_what_is_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("b.yml", &secret("b"));
    write("a/deep/er/c.yaml", &secret("c"));
    write("z.json", r#"{"auths":{}}"#);
    write("README.md", "a: [");
    write("notes.txt", "a: [");
    write("values.yaml", "replicas: 2\nimage: x\n");
    write("package.json", r#"{"name":"x","version":"1"}"#);
    write("patch.yaml", "- op: remove\n  path: /spec\n");
    write("patch.json", r#"[{"op":"remove","path":"/spec"}]"#);
    write("..data/d.yaml", &secret("hidden"));
    write(".git/d.yaml", &secret("hidden"));
    write("mounted/.dockerconfigjson", DOCUMENT);
    let inventory = path(folder.path());
    assert_eq!(messages(&inventory), [""; 0]);
    let docker = folder.path().join("z.json").display().to_string();
    let mounted = folder.path().join("mounted/.dockerconfigjson").display().to_string();
    assert_eq!(secrets(&inventory), [mounted, docker, "default/b".to_owned(), "default/c".to_owned()]);

    write("broken.yaml", "kind: [\n");
    write("forgotten.yaml", "metadata: {name: x}\n");
    let inventory = path(folder.path());
    assert_eq!(inventory.secrets.len(), 4, "the rest still loads");
    assert_eq!(inventory.problems.iter().map(|problem| problem.unparsable).collect::<Vec<_>>(), [true, false]);
    assert_eq!(messages(&inventory)[1], "is not a Kubernetes object: apiVersion and kind are missing");
}

#[cfg(unix)]
#[test]
fn follows_links_without_going_in_circles() {
    let folder = tempfile::tempdir().unwrap();
    let generation = folder.path().join("..2026");
    fs::create_dir(&generation).unwrap();
    fs::write(generation.join("a.yaml"), secret("a")).unwrap();
    std::os::unix::fs::symlink("..2026", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.yaml")).unwrap();
    let inventory = path(folder.path());
    assert_eq!(secrets(&inventory), ["default/a"]);
    assert_eq!(inventory.problems.len(), 1, "{:?}", inventory.problems);
    assert!(inventory.problems[0].source.ends_with("dangling.yaml"));
}

#[test]
fn refuses_by_name_what_it_passes_over_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        path(file)
    };
    let cases: [(&str, &[u8], bool); 5] = [
        ("a.txt", b"just words", true),
        ("b.bin", b"\x00\x01\xff\xfe", true),
        ("c.toml", b"[a]\nb = \"c\"\n", true),
        ("package.json", br#"{"name":"x"}"#, false),
        ("array.json", b"[1, 2]", true),
    ];
    for (name, bytes, unparsable) in cases {
        let inventory = named(name, bytes);
        let [problem] = &*inventory.problems else { panic!("{name}: {:?}", inventory.problems) };
        assert_eq!(problem.unparsable, unparsable, "{name}: {}", problem.message);
        assert!(problem.source.ends_with(name));
    }
    let missing = path(folder.path().join("nowhere.yaml"));
    assert!(missing.problems[0].unparsable && missing.problems[0].message.contains("nowhere.yaml"));
    assert_eq!(named("manifest", secret("x").as_bytes()).secrets.len(), 1, "any name will do for a manifest");
    assert!(named("empty.yaml", b"").problems.is_empty());
}

#[rstest]
#[case("config.json", DOCUMENT, "kubernetes.io/dockerconfigjson")]
#[case("anything.json", DOCUMENT, "kubernetes.io/dockerconfigjson")]
#[case("anything", "\n {\"AUTH\u{17f}\": {}}\n", "kubernetes.io/dockerconfigjson")]
#[case("config.json", r#"{"credsStore":"x"}"#, "kubernetes.io/dockerconfigjson")]
#[case(".dockercfg", r#"{"ghcr.io":{"auth":"eDp5"}}"#, "kubernetes.io/dockercfg")]
#[case(".dockerconfigjson", "{}", "kubernetes.io/dockerconfigjson")]
fn reads_a_docker_config(#[case] name: &str, #[case] text: &str, #[case] secret_type: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    let inventory = path(&file);
    assert_eq!(messages(&inventory), [""; 0]);
    let (at, secret) = inventory.secrets.iter().next().expect("a pull Secret");
    assert_eq!((&*at.namespace, &*at.name), ("", &*file.display().to_string()));
    assert_eq!(&*secret.secret_type, secret_type);
    let data = secret.dockerconfigjson.as_ref().or(secret.dockercfg.as_ref()).unwrap();
    assert_eq!(data.expose_secret(), text.trim().as_bytes());
}

#[test]
fn a_docker_config_comes_in_on_standard_input_and_passes_every_filter() {
    let scope = Scope::new(&ScopeConfig::default(), &["other".to_owned()]).unwrap();
    let inventory = load(&[Input::Stdin(DOCUMENT.into())], &scope);
    assert_eq!(secrets(&inventory), ["-"]);
}

#[test]
fn a_broken_docker_config_is_handed_on_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, "{\"auths\": {},\n \"x\": }").unwrap();
    let inventory = path(&file);
    assert_eq!(inventory.secrets.len(), 1, "what the kubelet makes of it is for another room to say");
    assert!(inventory.problems[0].unparsable);
    assert!(inventory.problems[0].message.starts_with("line 2, column 7: is not JSON"), "{:?}", inventory.problems);
}

#[test]
fn a_config_json_that_is_a_kubernetes_object_is_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"x"}}"#).unwrap();
    let inventory = path(&file);
    assert_eq!((inventory.secrets.len(), inventory.service_accounts.len()), (0, 1));
}

#[test]
fn secrets_keep_two_keys_and_lose_the_rest() {
    let mut inventory = path(fixture("secrets.yaml"));
    // Of the others only name and type are kept, so that a reference to one of them is known for what it is.
    let others = inventory.secrets.extract_if(.., |_, secret| !secret.is_pull_secret());
    let others: Vec<String> = others.map(|(at, secret)| format!("{at} {}", secret.secret_type)).collect();
    assert_eq!(others, ["ci/other Opaque"]);
    assert_eq!(messages(&inventory), [r#"data[".dockerconfigjson"]: expected a string in base64"#]);
    assert_eq!(
        secrets(&inventory),
        [
            "ci/both",
            "ci/empty",
            "ci/folded",
            "ci/legacy",
            "ci/no-keys",
            "ci/null-value",
            "ci/opaque-copy",
            "ci/untyped"
        ]
    );
    assert_eq!(document(&inventory, "ci", "both"), b"from stringData");
    assert_eq!(document(&inventory, "ci", "folded"), DOCUMENT.as_bytes());
    assert_eq!(document(&inventory, "ci", "empty"), b"");
    assert_eq!(document(&inventory, "ci", "null-value"), b"");
    let at = |name: &str| &inventory.secrets[&ObjectRef::new("ci", name)];
    assert_eq!(&*at("opaque-copy").secret_type, "Opaque");
    assert_eq!(&*at("untyped").secret_type, "");
    assert!(at("no-keys").dockerconfigjson.is_none() && at("no-keys").dockercfg.is_none());
    assert!(at("legacy").dockercfg.is_some());
}

#[rstest]
#[case("!runner-pod", &["default/plain"])]
#[case("", &["default/hook", "default/plain"])]
#[case("runner-pod", &["default/hook"])]
#[case("team in (a, b)", &["default/plain"])]
#[case("team notin (a)", &["default/hook"])]
fn secrets_are_chosen_by_the_selector(#[case] selector: &str, #[case] expected: &[&str]) {
    let labelled = |name: &str, labels: &str| secret(name).replace("{name", &format!("{{labels: {labels}, name"));
    let text = format!("{}---\n{}", labelled("hook", "{runner-pod: x}"), labelled("plain", "{team: a}"));
    let config = ScopeConfig { secret_selector: selector.to_owned(), ..ScopeConfig::default() };
    let inventory = load(&[Input::Stdin(text.into_bytes())], &Scope::new(&config, &[]).unwrap());
    assert_eq!(secrets(&inventory), expected);
}

#[test]
fn namespaces_are_filtered_and_default_is_the_missing_one() {
    let text = format!("{}---\n{}", secret("a"), secret("b").replace("{name: b", "{namespace: ci, name: b"));
    let filtered = |config: ScopeConfig, flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        secrets(&load(&[Input::Stdin(text.clone().into_bytes())], &Scope::new(&config, &flags).unwrap()))
    };
    let only = |namespaces: &[&str]| namespaces.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(filtered(ScopeConfig::default(), &[]), ["ci/b", "default/a"]);
    assert_eq!(filtered(ScopeConfig::default(), &["ci"]), ["ci/b"]);
    assert_eq!(filtered(ScopeConfig::default(), &["default"]), ["default/a"]);
    assert_eq!(filtered(ScopeConfig { namespaces: only(&["ci"]), ..ScopeConfig::default() }, &[]), ["ci/b"]);
    assert_eq!(
        filtered(ScopeConfig { exclude_namespaces: only(&["ci"]), ..ScopeConfig::default() }, &[]),
        ["default/a"]
    );
}

#[test]
fn pods_tell_images_owner_and_what_they_wait_for() {
    use pull_patrol::cluster::ContainerKind::{Ephemeral, ImageVolume, Init, Regular};
    let inventory = path(fixture("pods.yaml"));
    assert_eq!(messages(&inventory), [""; 0]);
    assert_eq!(inventory.pods.len(), 1, "finished pods are left out");
    let pod = &inventory.pods[&ObjectRef::new("ci", "runner-x7k2p")];
    let images: Vec<_> = pod.images.iter().map(|image| (image.kind, &*image.container, &*image.image)).collect();
    assert_eq!(
        images,
        [
            (Init, "init-dind", "docker:dind"),
            (Regular, "runner", "ghcr.io/org/runner:1"),
            (Ephemeral, "debug", "busybox"),
            (ImageVolume, "model", "ghcr.io/org/model:2"),
        ]
    );
    assert_eq!(names(&inventory, "ci", "runner-x7k2p"), ["first", "second"]);
    assert_eq!(&*pod.service_account, "runner");
    assert!(!pod.admitted_from_service_account);
    let owner = pod.owner.as_ref().unwrap();
    assert_eq!(
        (&*owner.api_version, &*owner.kind, &*owner.name),
        ("actions.github.com/v1alpha1", "EphemeralRunner", "runner-x7k2p")
    );
    let [waiting] = &*pod.waiting else { panic!("{:?}", pod.waiting) };
    assert_eq!((&*waiting.container, &*waiting.reason), ("runner", "ImagePullBackOff"));
    assert_eq!(waiting.message.chars().count(), 1024);
}

#[test]
fn templates_stand_under_the_controllers_that_make_pods_of_them() {
    let inventory = path(fixture("workloads.yaml"));
    assert_eq!(messages(&inventory), [""; 0]);
    assert!(inventory.pods.is_empty());
    let made: Vec<_> = inventory
        .controllers
        .values()
        .map(|made| {
            let image = &made.template.as_ref().unwrap().images[0].image;
            format!("{}/{} {image}{}", made.kind.as_str(), made.at, if made.idle { " idle" } else { "" })
        })
        .collect();
    assert_eq!(
        made,
        [
            "Deployment/ci/web img:second",
            "StatefulSet/ci/web img:sts",
            "DaemonSet/ci/agent img:ds",
            "ReplicaSet/ci/rs img:rs",
            "Job/ci/once img:job",
            "CronJob/ci/nightly img:cron",
            "ReplicationController/ci/legacy img:rc",
        ]
    );
}

#[rstest]
#[case("{}", "default", &["from-default"], true)]
#[case("{serviceAccountName: build}", "build", &["b1", "b2"], true)]
#[case("{serviceAccount: build}", "build", &["b1", "b2"], true)]
#[case("{serviceAccountName: build, imagePullSecrets: [{name: own}]}", "build", &["own"], false)]
#[case("{serviceAccountName: build, imagePullSecrets: [{name: ''}, null]}", "build", &["b1", "b2"], true)]
#[case("{serviceAccountName: bare}", "bare", &[], false)]
#[case("{serviceAccountName: elsewhere}", "elsewhere", &[], false)]
fn admission_is_simulated(
    #[case] spec: &str,
    #[case] account: &str,
    #[case] expected: &[&str],
    #[case] admitted: bool,
) {
    let accounts = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ci}, imagePullSecrets: [{name: from-default}]}\n\
        ---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: build, namespace: ci}, imagePullSecrets: [{name: b1}, {name: ''}, {name: b2}]}\n\
        ---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: bare, namespace: ci}}\n\
        ---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: elsewhere, namespace: other}, imagePullSecrets: [{name: x}]}\n";
    let inventory = stdin(&format!("{}{accounts}", pod_yaml("p", spec)));
    assert_eq!(messages(&inventory), [""; 0]);
    assert_eq!(names(&inventory, "ci", "p"), expected);
    let pod = &inventory.pods[&ObjectRef::new("ci", "p")];
    assert_eq!((&*pod.service_account, pod.admitted_from_service_account), (account, admitted));
}

#[test]
fn a_pod_that_an_api_server_wrote_out_is_admitted_already() {
    let account = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ci}, imagePullSecrets: [{name: late}]}\n";
    let pod = pod_yaml("p", "{}").replace("namespace: ci", "namespace: ci, resourceVersion: '12'");
    let inventory = stdin(&format!("{pod}{account}"));
    assert_eq!(names(&inventory, "ci", "p"), [""; 0]);
}

#[test]
fn of_two_objects_with_one_name_the_later_wins() {
    let later = secret("a").replace(DOCUMENT, "{}");
    let inventory = stdin(&format!("{}---\n{later}", secret("a")));
    assert_eq!(document(&inventory, "default", "a"), b"{}");
    assert!(inventory.problems.is_empty());
}

#[test]
fn a_file_that_is_met_twice_counts_once() {
    let file = fixture("secrets.yaml");
    let inputs = [
        Input::Path(file.clone()),
        Input::Path(file.parent().unwrap().join("../manifests/secrets.yaml")),
        Input::Path(file),
    ];
    assert_eq!(load(&inputs, &Scope::default()).problems.len(), 1);
}

#[rstest]
#[case("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: SECRET-CANARY\n", "data: expected a map of strings")]
#[case(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {.dockerconfigjson: {SECRET-CANARY: 1}}\n",
    r#"data[".dockerconfigjson"]: expected a string in base64"#
)]
#[case(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {.dockerconfigjson: [expected SECRET-CANARY at line 3]}\n",
    r#"data[".dockerconfigjson"]: expected a string in base64"#
)]
#[case(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: 'expected SECRET-CANARY at line 3 column 4'\n",
    "data: expected a map of strings"
)]
#[case(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {.dockercfg: 7}\n",
    r#"stringData[".dockercfg"]: expected a string"#
)]
#[case("apiVersion: v1\nkind: Secret\nmetadata: {name: x, labels: {a: 1}}\n", "metadata.labels.a: expected a string")]
#[case("apiVersion: v1\nkind: Secret\nmetadata: SECRET-CANARY\n", "metadata: expected a map")]
#[case("apiVersion: v1\nkind: Secret\nmetadata: {}\n", "metadata.name: is missing")]
#[case(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: 'A b'}\n",
    "metadata.name: is not a name that the API server takes (a-z, 0-9, - and .)"
)]
#[case("apiVersion: v1\nkind: [SECRET-CANARY]\n", "kind: expected a string")]
#[case("kind: Secret\nmetadata: {name: x}\n", "apiVersion: is missing")]
#[case("apiVersion: v1\nmetadata: {name: x}\n", "kind: is missing")]
#[case("apiVersion: v1\nkind: List\nitems: {a: b}\n", "items: expected a sequence")]
#[case(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: b}, {name: c, image: [d]}]}\n",
    "spec.containers[1].image: expected a string"
)]
#[case(
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: {}}}}\n",
    "spec.template.spec.containers: expected a sequence"
)]
#[case("apiVersion: v1\nkind: Secret\nmetadata: {name: 1}\n", "metadata.name: expected a string")]
fn an_object_of_the_wrong_shape_is_told_by_its_field(#[case] bad: &str, #[case] message: &str) {
    let inventory = stdin(&format!("{}---\n{bad}---\n{}", secret("before"), secret("behind")));
    assert_eq!(messages(&inventory), [message]);
    assert_eq!(inventory.problems[0].index, Some(1));
    assert!(!inventory.problems[0].unparsable);
    assert_eq!(secrets(&inventory), ["default/before", "default/behind"], "the rest still loads");
}

#[test]
fn a_foreign_kind_of_a_known_name_is_none_of_ours() {
    let inventory = stdin(
        "apiVersion: example.com/v1\nkind: Secret\nmetadata: 7\n---\napiVersion: v1\nkind: ConfigMapList\nitems: 3\n---\napiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: x}\n",
    );
    assert_eq!(messages(&inventory), [""; 0]);
}

#[test]
fn a_broken_document_is_told_with_its_line_and_hides_nothing() {
    let text = format!("{}---\nkind: Secret\ndata: {{a: SECRET-CANARY\n---\n{}", secret("a"), secret("b"));
    let inventory = stdin(&text);
    assert_eq!(secrets(&inventory), ["default/a", "default/b"]);
    let [problem] = &*inventory.problems else { panic!("{:?}", inventory.problems) };
    assert!(problem.unparsable && problem.source == "-");
    assert!(
        problem.message.starts_with("line 9, column ") || problem.message.starts_with("line 8, column "),
        "{}",
        problem.message
    );

    let inventory = stdin("{\"apiVersion\": \"v1\",\n \"kind\": \"Secret\" \"SECRET-CANARY\"}");
    assert!(
        messages(&inventory)[0].starts_with("line 2, column 19: is not JSON: expected `,` or `}`"),
        "{:?}",
        messages(&inventory)
    );
}

#[test]
fn hostile_input_ends_in_a_problem() {
    let nested_lists = r#"{"apiVersion":"v1","kind":"List","items":["#.repeat(10_000) + &"]}".repeat(10_000);
    let deep_json = format!("{}{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&["a", &level.to_string(), ": &a", &level.to_string(), " [", &items, "]\n"].concat());
    }
    for text in [&nested_lists, &bomb, &"[".repeat(1_000_000), &"{a: ".repeat(1_000_000), &"- ".repeat(1_000_000)] {
        assert_eq!(stdin(text).problems.len(), 1);
    }
    // No kind of ours, so it is skipped whole, however deep it is.
    stdin(&deep_json);
    let long = vec![b' '; 64 * 1024 * 1024 + 1];
    let inventory = load(&[Input::Stdin(long)], &Scope::default());
    assert!(messages(&inventory)[0].contains("longer than 64 MiB"));
}

/// Pieces of manifests that hold a secret in every place where one can stand.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("apiVersion: v1\nkind: Secret\n".to_owned()),
        Just("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":".to_owned()),
        Just("metadata: {name: x, labels: ghp_canary}\n".to_owned()),
        Just("data: ghp_canary\n".to_owned()),
        Just("data: {.dockerconfigjson: ghp_canary}\n".to_owned()),
        Just("stringData:\n  .dockerconfigjson: |\n    ghp_canary\n".to_owned()),
        Just("  .dockercfg: [ghp_canary]\n".to_owned()),
        Just("type: {ghp_canary: ghp_canary}\n".to_owned()),
        Just("? ghp_canary\n: &ghp_canary *ghp_canary\n".to_owned()),
        Just("!ghp_canary \"ghp_canary\\x\"\n".to_owned()),
        Just("<<: ghp_canary\n".to_owned()),
        Just("\"ghp_canary\"".to_owned()),
        Just("{\"ghp_canary\":\"ghp_canary\"".to_owned()),
        Just("%TAG !ghp_canary! ghp_canary\n".to_owned()),
        Just("---\n".to_owned()),
        Just("...\n".to_owned()),
        "[\\[\\]{}:,\"'&*!|>%@` \n\t-]{1,4}",
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        load(&[Input::Stdin(bytes)], &Scope::default());
    }

    #[test]
    fn no_problem_quotes_a_secret(text in pieces()) {
        let inventory = stdin(&text);
        for problem in &inventory.problems {
            let told = format!("{problem:?}");
            prop_assert!(!told.contains("ghp_canary"), "{told}");
        }
        let debug = format!("{inventory:?}");
        prop_assert!(!debug.contains("ghp_canary"), "{debug}");
    }
}
