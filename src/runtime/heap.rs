//! How much of what was freed the allocator keeps, where that is glibc's.
//!
//! It gives each thread a heap of its own, and a block that one thread takes and another frees (a page of a list, a snapshot,
//! an encoding) stays with the first; and once a big block was freed it no longer hands big blocks back. That is a third of
//! the memory of a big daemon. It can be told otherwise by the environment of a process that starts, or by a call that Rust
//! counts as unsafe, of which there is none here. So the process starts itself once more, in its place, before it has done
//! anything.

use std::ffi::{OsStr, OsString};
use std::io;

/// One heap for all threads, and blocks of 128 KiB or more are handed back at once.
const SETTINGS: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// See to it that little is kept. Does not return where the process starts once more; the reason where it should and cannot.
pub(super) fn settle() -> Option<io::Error> {
    let is_glibc = cfg!(all(target_os = "linux", target_env = "gnu"));
    (is_glibc && is_unsettled(std::env::vars_os().map(|(name, _)| name))).then(start_anew)
}

/// Whether the environment says nothing of the allocator: what the operator says of it counts.
fn is_unsettled(mut names: impl Iterator<Item = OsString>) -> bool {
    !names.any(|name| name == OsStr::new("GLIBC_TUNABLES") || name.to_string_lossy().starts_with("MALLOC_"))
}

#[cfg(unix)]
fn start_anew() -> io::Error {
    use std::os::unix::process::CommandExt as _;

    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).envs(SETTINGS).exec()
}

#[cfg(not(unix))]
fn start_anew() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_of_the_allocator_counts_and_it_is_said_once() {
        let unsettled = |names: &[&str]| is_unsettled(names.iter().map(OsString::from));
        assert!(unsettled(&[]) && unsettled(&["PATH", "PULL_PATROL_LOG_LEVEL"]));
        assert!(!unsettled(&["PATH", "MALLOC_ARENA_MAX"]) && !unsettled(&["GLIBC_TUNABLES"]));
        for (name, _) in SETTINGS {
            assert!(!unsettled(&[name]), "it would start for ever");
        }
    }
}
