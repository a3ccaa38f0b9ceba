//! Files that change under the daemon.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::{ObjectRef, SharedInventory};

struct Folder {
    root: TempDir,
    source: FileSource,
    shared: SharedInventory,
}

fn secret(name: &str, document: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: ci}}\n\
         type: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: '{document}'}}\n"
    )
}

impl Folder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let source = FileSource::new(vec![folder.path().to_owned()], Scope::default());
        Self { root: folder, source, shared: SharedInventory::new(Inventory::default()) }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.path().join(name), text).unwrap();
    }

    /// Read again; tells whether readers were woken.
    fn reload(&mut self) -> bool {
        let mut changes = self.shared.subscribe();
        changes.mark_unchanged();
        self.source.reload(&self.shared);
        changes.has_changed().unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        self.shared.read(|inventory| inventory.secrets.keys().map(ToString::to_string).collect())
    }

    fn messages(&self) -> Vec<String> {
        self.shared.read(|inventory| inventory.problems.iter().map(|problem| problem.message.clone()).collect())
    }

    fn arc(&self, name: &str) -> Arc<PullSecret> {
        self.shared.read(|inventory| Arc::clone(&inventory.secrets[&ObjectRef::new("ci", name)]))
    }
}

#[test]
fn only_what_changed_is_new() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &secret("a", "1"));
    folder.write("b.yaml", &format!("{}---\n{}", secret("b", "1"), secret("c", "1")));
    assert!(folder.reload());
    assert!(folder.shared.read(Inventory::is_complete));
    assert!(!folder.reload(), "nothing has changed");
    let (a, b, c) = (folder.arc("a"), folder.arc("b"), folder.arc("c"));

    // The new text is as long as the old one, and was written right behind it.
    folder.write("b.yaml", &format!("{}---\n{}", secret("b", "2"), secret("c", "1")));
    assert!(folder.reload());
    assert!(Arc::ptr_eq(&a, &folder.arc("a")) && Arc::ptr_eq(&c, &folder.arc("c")));
    assert_eq!(folder.arc("b").dockerconfigjson.as_ref().unwrap().expose_secret(), b"2");
    assert!(!b.same_as(&folder.arc("b")));

    // A comment changes the file, and nothing else.
    folder.write("a.yaml", &format!("# new\n{}", secret("a", "1")));
    assert!(!folder.reload());
    assert!(Arc::ptr_eq(&a, &folder.arc("a")));

    folder.write("d.yaml", &secret("d", "1"));
    assert!(folder.reload());
    fs::remove_file(folder.root.path().join("b.yaml")).unwrap();
    assert!(folder.reload());
    assert_eq!(folder.secrets(), ["ci/a", "ci/d"]);
}

#[test]
fn a_half_written_file_keeps_what_was_last_read_whole() {
    let mut folder = Folder::new();
    let whole = format!("{}---\n{}", secret("a", "1"), secret("b", "1"));
    folder.write("x.yaml", &whole);
    folder.reload();
    let a = folder.arc("a");
    for (text, message) in [
        (&*format!("{}---\nkind: [", secret("a", "2")), "line 7"),
        ("", "is empty but held 2 objects"),
        ("a: [", "line 1"),
    ] {
        folder.write("x.yaml", text);
        assert!(folder.reload(), "{text:?}");
        assert_eq!(folder.secrets(), ["ci/a", "ci/b"]);
        assert!(Arc::ptr_eq(&a, &folder.arc("a")));
        assert!(folder.messages()[0].contains(message), "{:?}", folder.messages());
    }
    folder.write("x.yaml", &secret("a", "2"));
    assert!(folder.reload());
    assert_eq!((folder.secrets(), folder.messages()), (vec!["ci/a".to_owned()], Vec::new()));
}

#[test]
fn what_never_parsed_whole_gives_what_it_can() {
    let mut folder = Folder::new();
    folder.write("x.yaml", &format!("{}---\nkind: [", secret("a", "1")));
    folder.reload();
    assert_eq!(folder.secrets(), ["ci/a"]);
    folder.write("x.yaml", &format!("{}---\nkind: [", secret("b", "1")));
    folder.reload();
    assert_eq!((folder.secrets(), folder.messages().len()), (vec!["ci/b".to_owned()], 1));
}

#[cfg(unix)]
#[test]
fn a_mounted_volume_is_swapped_as_a_whole() {
    use std::os::unix::fs::symlink;
    let mut folder = Folder::new();
    let path = |name: &str| folder.root.path().join(name);
    for (generation, name) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(path(generation)).unwrap();
        fs::write(path(generation).join("a.yaml"), secret(name, "1")).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/a.yaml", path("a.yaml")).unwrap();
    let (next, data) = (path("..data_tmp"), path("..data"));
    folder.reload();
    assert_eq!(folder.secrets(), ["ci/old"]);
    symlink("..2", &next).unwrap();
    fs::rename(&next, &data).unwrap();
    assert!(folder.reload());
    assert_eq!(folder.secrets(), ["ci/new"]);
}

#[test]
fn a_named_file_that_vanishes_is_told() {
    let mut folder = Folder::new();
    folder.write("x.yaml", &secret("a", "1"));
    let file = folder.root.path().join("x.yaml");
    folder.source = FileSource::new(vec![file.clone()], Scope::default());
    folder.reload();
    fs::remove_file(&file).unwrap();
    assert!(folder.reload());
    assert_eq!(folder.secrets(), [""; 0]);
    assert!(folder.messages()[0].starts_with("cannot read "), "{:?}", folder.messages());
}

#[test]
fn admission_follows_the_service_account() {
    let mut folder = Folder::new();
    folder.write("pod.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ci}, spec: {}}");
    let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ci}, imagePullSecrets: [{name: a}]}";
    folder.write("account.yaml", account);
    let names = |folder: &Folder| {
        folder.shared.read(|inventory| inventory.pods[&ObjectRef::new("ci", "p")].pull_secrets.clone())
    };
    folder.reload();
    assert_eq!(names(&folder), [Arc::from("a")]);
    folder.write("account.yaml", &account.replace("name: a}", "name: b}"));
    assert!(folder.reload());
    assert_eq!(names(&folder), [Arc::from("b")]);
}

#[tokio::test(start_paused = true)]
async fn the_watch_sees_changes_and_stops_when_told() {
    let folder = Folder::new();
    let shutdown = CancellationToken::new();
    let paths = vec![folder.root.path().to_owned()];
    let task = tokio::spawn(watch_files(paths, Scope::default(), folder.shared.clone(), shutdown.clone()));
    let mut changes = folder.shared.subscribe();
    for count in 0..3 {
        while folder.secrets().len() < count {
            changes.changed().await.unwrap();
        }
        folder.write(&format!("{count}.yaml"), &secret(&format!("s{count}"), "1"));
    }
    while folder.secrets().len() < 3 {
        tokio::time::timeout(Duration::from_secs(60), changes.changed()).await.unwrap().unwrap();
    }
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[test]
fn a_change_of_what_makes_pods_or_of_a_hook_template_wakes_readers() {
    let mut folder = Folder::new();
    let deployment = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: ci}}\n\
             spec: {{template: {{spec: {{containers: [{{name: c, image: {image}}}]}}}}}}\n"
        )
    };
    let config_map = |secret: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: hooks, namespace: ci}}\n\
             data: {{content: 'spec: {{imagePullSecrets: [{{name: {secret}}}]}}'}}\n"
        )
    };
    folder.write("web.yaml", &deployment("a"));
    folder.write("hooks.yaml", &config_map("a"));
    assert!(folder.reload());
    assert!(!folder.reload(), "nothing differs");
    folder.write("web.yaml", &deployment("bcd"));
    assert!(folder.reload());
    folder.write("hooks.yaml", &config_map("bcd"));
    assert!(folder.reload());
}
