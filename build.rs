//! Tells the crate what it is built from: `PULL_PATROL_REVISION` and `PULL_PATROL_RUSTC`, for `pullpatrol_build_info`.
//!
//! Nothing here can fail a build: what cannot be told is left unset, and the crate says `unknown`. A revision that the
//! environment names (a build without `.git`, as in a container) goes before what git says.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PULL_PATROL_REVISION");
    let told = std::env::var("PULL_PATROL_REVISION").ok().filter(|revision| !revision.trim().is_empty());
    if let Some(revision) = told.or_else(git_revision) {
        println!("cargo::rustc-env=PULL_PATROL_REVISION={}", word(&revision));
    }
    let rustc = std::env::var_os("RUSTC").and_then(|rustc| output(Command::new(rustc).arg("--version")));
    if let Some(version) = rustc.as_deref().and_then(|text| text.split_whitespace().nth(1)) {
        println!("cargo::rustc-env=PULL_PATROL_RUSTC={}", word(version));
    }
}

/// The commit that is checked out here. Sources that merely lie inside someone else's repository have none.
fn git_revision() -> Option<String> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    if !root.join(".git").exists() {
        return None;
    }
    watch(&root.join(git(&root, &["rev-parse", "--git-path", "HEAD"])?));
    watch(&root.join(git(&root, &["rev-parse", "--git-path", "packed-refs"])?));
    if let Some(branch) = git(&root, &["symbolic-ref", "--quiet", "HEAD"]) {
        watch_ref(&root.join(git(&root, &["rev-parse", "--git-path", &branch])?));
    }
    git(&root, &["rev-parse", "--verify", "HEAD"])
}

/// Run again when a file changes. One that is missing would make every build dirty.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// A branch that is packed has no file of its own until its next commit, which changes the folder around it.
fn watch_ref(path: &Path) {
    if let Some(there) = path.ancestors().find(|path| path.exists()) {
        watch(there);
    }
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    // A hook that runs a build sets these for the repository that it belongs to.
    output(Command::new("git").current_dir(root).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// One word, so that no text can say more to cargo than it should.
fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("unknown")
}
