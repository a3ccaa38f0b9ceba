//! A state in a file: changes are added at its end, and from time to time all of it is written anew beside it and put in
//! its place. Nothing counts as saved before the disk has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::format::{self, Chain};
use super::{Change, Loaded, Refused};
use crate::plan::Identifier;

/// The largest state that is read. Some 100 times what a cluster of 20,000 Secrets needs.
const LARGEST: u64 = 512 * 1024 * 1024;
/// A file may hold this much in changes before all is written anew, or as much as it held at first, if that is more.
const CHANGES: u64 = 1024 * 1024;
/// Copies of refused states that are kept.
const COPIES: u32 = 3;

/// Why a state file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the lock.
    #[error("cannot keep the state in {path}: its folder must exist and this user must be able to write in it")]
    Folder {
        /// The state file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process.
    #[error(
        "the state in {path} is in use by another process: give each daemon a file of its own, and replace a pod only after \
         it ended (strategy Recreate)"
    )]
    InUse {
        /// The state file.
        path: PathBuf,
    },
}

/// A state file, locked for this process.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    identifier: Identifier,
    /// Held for as long as the process lives; the kernel lets go of it however the process ends.
    _lock: File,
    /// The file that changes are added to, the chain of its lines, its length, and its length when it was written anew.
    open: Option<(File, Chain, u64, u64)>,
}

impl FileStore {
    /// Lock and read a state. Without one, or where it is refused, the store begins empty; a refused one stands aside under
    /// another name then.
    pub fn open(path: &Path, identifier: &Identifier) -> Result<(Self, Result<Option<Loaded>, ReadError>), OpenError> {
        let folder = |source| OpenError::Folder { path: path.to_owned(), source };
        let lock = private().create(true).truncate(false).write(true).open(beside(path, "lock")).map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(folder(source)),
        }
        let store = Self { path: path.to_owned(), identifier: identifier.clone(), _lock: lock, open: None };
        let read = match store.read() {
            Err(cause) => {
                let aside = set_aside(path).map_err(folder)?;
                Err(ReadError { cause, aside })
            }
            Ok(loaded) => Ok(loaded),
        };
        Ok((store, read))
    }

    fn read(&self) -> Result<Option<Loaded>, ReadCause> {
        let mut text = Vec::new();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadCause::Io(error)),
        };
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(ReadCause::Io)?;
        if text.len() as u64 > LARGEST {
            return Err(ReadCause::Refused(Refused::Foreign));
        }
        let (loaded, _) = format::read(&text, &self.identifier, "").map_err(ReadCause::Refused)?;
        Ok(Some(loaded))
    }

    /// Whether the next change must hold everything.
    pub fn wants_all(&self) -> bool {
        self.open.as_ref().is_none_or(|(_, _, length, first)| length - first > CHANGES.max(*first))
    }

    /// Keep a change. It is on the disk when this returns.
    pub fn save(&mut self, change: &Change) -> io::Result<()> {
        if change.all { self.write_anew(change) } else { self.append(change) }
    }

    fn append(&mut self, change: &Change) -> io::Result<()> {
        let Some((mut file, mut chain, length, first)) = self.open.take() else {
            return Err(io::Error::other("a change came before the state that it belongs to"));
        };
        let line = chain.line(change);
        // When this fails, the file is left as it is: half a line at its end is no damage, and all is written anew next.
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        self.open = Some((file, chain, length + line.len() as u64, first));
        Ok(())
    }

    fn write_anew(&mut self, change: &Change) -> io::Result<()> {
        // Whatever fails below, what stands in the file is not added to any more.
        self.open = None;
        let (mut chain, mut text) = Chain::start(&self.identifier, "");
        text.push_str(&chain.line(change));
        let beside = beside(&self.path, "new");
        // One that is left over may belong to someone else, or be a link.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private().create_new(true).append(true).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        sync_folder(&self.path)?;
        let length = text.len() as u64;
        self.open = Some((file, chain, length, length));
        Ok(())
    }
}

/// A state that was not taken over, and where it stands now.
#[derive(Debug, thiserror::Error)]
#[error("the state was not taken over, and the patrol begins without a memory; it was put aside as {aside}")]
pub struct ReadError {
    /// Why.
    #[source]
    pub cause: ReadCause,
    /// Where it stands now.
    pub aside: String,
}

/// Why a state was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReadCause {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
    /// It is not to be used.
    #[error(transparent)]
    Refused(Refused),
}

impl ReadCause {
    /// The label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Io(_) => "read",
            Self::Refused(refused) => refused.reason(),
        }
    }
}

/// Options for a file that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// The path with an ending added.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Put a state out of the way, under the first free of a few names, or instead of the oldest copy.
fn set_aside(path: &Path) -> io::Result<String> {
    let copies = (1..=COPIES).map(|number| beside(path, &format!("refused-{number}")));
    let mut oldest = None;
    let mut to = None;
    for copy in copies {
        match fs::symlink_metadata(&copy) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                to = Some(copy);
                break;
            }
            Err(error) => return Err(error),
            Ok(found) => {
                let written = found.modified().ok();
                if oldest.as_ref().is_none_or(|(before, _)| written < *before) {
                    oldest = Some((written, copy));
                }
            }
        }
    }
    let Some(to) = to.or(oldest.map(|(_, copy)| copy)) else {
        return Err(io::Error::other("there is no name for a copy"));
    };
    fs::rename(path, &to)?;
    sync_folder(path)?;
    Ok(to.display().to_string())
}

/// Make a rename last: it is written down in the folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The key of a state that has no configured one: a file of its own beside it, made when it is not there, on the disk
/// before anything is hashed with it.
pub fn key_beside(path: &Path, random: impl FnOnce() -> Option<[u8; 32]>) -> io::Result<PathBuf> {
    let key = beside(path, "key");
    match fs::symlink_metadata(&key) {
        Ok(_) => return Ok(key),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let bytes = zeroize::Zeroizing::new(random().ok_or_else(|| io::Error::other("the system gives no random bytes"))?);
    // Under another name first: a process that ends in between leaves no half of a key.
    let unfinished = beside(path, "key.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).write(true).open(&unfinished)?;
    file.write_all(bytes.as_slice())?;
    file.sync_all()?;
    fs::rename(&unfinished, &key)?;
    sync_folder(&key)?;
    Ok(key)
}
