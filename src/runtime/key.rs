//! The key of token ids: from a file, so that ids stay equal over restarts and shards, or drawn for this process.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::plan::{Identifier, NoRandomness};

/// Bytes that a key has at least: as many as the hash gives (RFC 2104, section 3).
const LEAST: usize = 32;
/// Bytes of a file that is taken for a key at most.
const MOST: usize = 4096;

/// Why there is no key for token ids.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key of token ids from {path}: check that it exists and that this user may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is too short or too long.
    #[error(
        "the key of token ids in {path} has {found}: `tokenIdKeyFile` needs {LEAST} to {MOST} random bytes, for example \
         `openssl rand -out {path} 32`"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How many bytes there are, in words.
        found: String,
    },
    /// No random key.
    #[error("the system gives no random bytes")]
    Randomness(#[source] NoRandomness),
}

/// The identifier with the key of a file, or with one of its own that lives as long as the process.
pub(super) fn identifier(path: Option<&Path>) -> Result<Identifier, KeyError> {
    let Some(path) = path else { return Identifier::random().map_err(KeyError::Randomness) };
    let cannot_read = |source| KeyError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot_read)?;
    let mode = file.metadata().map_err(cannot_read)?.permissions().mode();
    if mode & 0o007 != 0 {
        tracing::warn!(
            path = %path.display(),
            "everybody on this machine may read the key of token ids: with it a guessed token can be told from an id; chmod 0600"
        );
    }
    // All of the room at once, so that no shorter copy of the key stays behind in memory.
    let mut key = Zeroizing::new(Vec::with_capacity(MOST + 1));
    file.take(MOST as u64 + 1).read_to_end(&mut key).map_err(cannot_read)?;
    let found = match key.len() {
        length if length > MOST => format!("more than {MOST} bytes"),
        length if length < LEAST => format!("{length} bytes"),
        _ => return Ok(Identifier::new(&key)),
    };
    Err(KeyError::Length { path: path.to_owned(), found })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn one_key_gives_one_id_in_every_process() {
        let (one, other) = (file(&[7; 32]), file(&[8; 32]));
        let id = |path: Option<&Path>| identifier(path).unwrap().token(b"token");
        assert_eq!(id(Some(one.path())), id(Some(one.path())));
        assert_eq!(id(Some(one.path())), Identifier::new(&[7; 32]).token(b"token"));
        assert_ne!(id(Some(one.path())), id(Some(other.path())));
        assert_ne!(id(None), id(None), "without a file each process has a key of its own");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_not_shown() {
        for (content, found) in
            [(&b"short secret"[..], "12 bytes"), (b"", "0 bytes"), (&[b's'; 5000], "more than 4096")]
        {
            let file = file(content);
            let error = identifier(Some(file.path())).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains(&file.path().display().to_string()), "{error}");
            assert!(!error.contains("secret") && !error.contains("sss"), "{error}");
        }
        for length in [LEAST, MOST] {
            assert!(identifier(Some(file(&vec![1; length]).path())).is_ok(), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = identifier(Some(Path::new("/nonexistent/key"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/key"), "{error}");
    }
}
