//! What the web config file asks for: TLS, certificates of clients, users and headers.
//!
//! The files behind it are looked at again when a connection comes, at most once a second. What changed is taken in whole; what
//! cannot be used is told in the log and leaves what was in force. Plain HTTP never takes the place of TLS, nor everybody
//! the place of users or certificates that were demanded.

mod auth;
mod suites;
#[cfg(test)]
mod tests;
mod tls;
mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderName, HeaderValue};
use tokio::time::Instant;

pub(super) use self::auth::Refused;
use self::auth::{Turns, Users};
pub use self::tls::TlsError;
use crate::config::{ClientAuth, ConfigError, TlsServerConfig, WebConfig};

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// Why a web config file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// The file itself.
    #[error("the web config cannot be used")]
    Config(#[source] ConfigError),
    /// What it names.
    #[error("the TLS of the web config {path} cannot be used")]
    Tls {
        /// The web config file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// A change that would take away a protection.
    #[error("the web config {path} no longer {what}; restart to serve without")]
    Weaker {
        /// The web config file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
}

/// All that one state of the files says.
#[derive(Debug)]
pub(super) struct Rules {
    /// TLS, if it is on.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether a client must show a certificate.
    certificates: bool,
    /// Whether that must be for one of some names.
    names: bool,
    /// Users, if any are named.
    pub(super) users: Option<Users>,
    /// Headers of every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// How a file looked when it was read.
type Look = Vec<(PathBuf, Option<(SystemTime, u64, u64)>)>;

#[derive(Debug)]
struct Kept {
    rules: Arc<Rules>,
    looked: Instant,
    look: Look,
}

/// The web config in force.
#[derive(Clone, Debug)]
pub struct Secure {
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
    turns: Arc<Turns>,
}

impl Secure {
    /// Read the web config file and all that it names.
    ///
    /// # Errors
    /// [`SecureError`] when something in it cannot be used.
    pub fn load(path: &Path) -> Result<Self, SecureError> {
        let turns = Arc::default();
        let (rules, look) = read(path, &turns)?;
        let kept = Kept { rules: Arc::new(rules), looked: Instant::now(), look };
        Ok(Self { path: path.to_owned(), kept: Arc::new(Mutex::new(kept)), turns })
    }

    /// Whether connections speak TLS. That never changes.
    pub fn has_tls(&self) -> bool {
        self.now().tls.is_some()
    }

    /// What is in force, without a look at the files.
    pub(super) fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.kept.lock().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// What is in force, after a look at the files if the last one is a while ago.
    pub(super) async fn current(&self) -> Arc<Rules> {
        let kept = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            (kept.looked.elapsed() < LOOK).then(|| Arc::clone(&kept.rules))
        };
        if let Some(rules) = kept {
            return rules;
        }
        let this = self.clone();
        // Reading files never panics; should it, what is in force stays.
        tokio::task::spawn_blocking(move || this.fresh()).await.unwrap_or_else(|_| self.now())
    }

    /// The look itself: it reads files.
    fn fresh(&self) -> Arc<Rules> {
        let (known, rules) = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.looked.elapsed() < LOOK {
                return Arc::clone(&kept.rules);
            }
            kept.looked = Instant::now();
            (kept.look.clone(), Arc::clone(&kept.rules))
        };
        if known.iter().map(|(path, _)| path).map(look_at).eq(known.iter().cloned()) {
            return rules;
        }
        let (read, look) = match read(&self.path, &self.turns) {
            Ok((fresh, look)) => (weaker(&rules, &fresh, &self.path).map_or(Ok(fresh), Err), look),
            // The same broken files are not read, and told of, again and again.
            Err(error) => (Err(error), known.iter().map(|(path, _)| look_at(path)).collect()),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.look = look;
        match read {
            Ok(fresh) => {
                tracing::info!(file = %self.path.display(), "the web config or a file of it has changed and is in force");
                kept.rules = Arc::new(fresh);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(file = %self.path.display(), %error, cause, "the web config has changed and cannot be used: what was in force stays");
            }
        }
        Arc::clone(&kept.rules)
    }
}

/// What a change would take away.
fn weaker(old: &Rules, new: &Rules, path: &Path) -> Option<SecureError> {
    let what = match (old, new) {
        (Rules { tls: Some(_), .. }, Rules { tls: None, .. }) => "asks for TLS",
        (Rules { tls: None, .. }, Rules { tls: Some(_), .. }) => "asks for plain HTTP",
        (Rules { users: Some(_), .. }, Rules { users: None, .. }) => "names users",
        (Rules { certificates: true, .. }, Rules { certificates: false, .. }) => "demands certificates of clients",
        (Rules { names: true, .. }, Rules { names: false, .. }) => "says which names certificates of clients are for",
        _ => return None,
    };
    Some(SecureError::Weaker { path: path.to_owned(), what })
}

fn read(path: &Path, turns: &Arc<Turns>) -> Result<(Rules, Look), SecureError> {
    // Looked at before they are read: a change in between is seen by the next look.
    let before = look_at(path);
    let config = WebConfig::load(path).map_err(SecureError::Config)?;
    let mut look = vec![before];
    let WebConfig { tls_server_config, http_server_config, basic_auth_users } = config;
    let tls = match &tls_server_config {
        Some(tls) => {
            let files = [&tls.cert_file, &tls.key_file, &tls.client_ca_file];
            look.extend(files.into_iter().flatten().map(look_at));
            let built = tls::build(tls, http_server_config.http2);
            Some(built.map_err(|source| SecureError::Tls { path: path.to_owned(), source })?)
        }
        None => None,
    };
    let headers = http_server_config.headers.iter().filter_map(|(name, value)| {
        // Both were checked with the file.
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    });
    let users = (!basic_auth_users.is_empty()).then(|| Users::new(basic_auth_users, Arc::clone(turns)));
    let demands = |fits: &dyn Fn(&TlsServerConfig) -> bool| tls_server_config.as_ref().is_some_and(fits);
    let certificates = demands(&|tls| tls.client_auth_type == ClientAuth::RequireAndVerifyClientCert);
    let names = demands(&|tls| !tls.client_allowed_sans.is_empty());
    Ok((Rules { tls: tls.map(Arc::new), certificates, names, users, headers: headers.collect() }, look))
}

/// Enough of a file to see that it is another: a mounted Secret changes by a link to another folder.
fn look_at(path: impl AsRef<Path>) -> (PathBuf, Option<(SystemTime, u64, u64)>) {
    use std::os::unix::fs::MetadataExt as _;
    let path = path.as_ref();
    let seen = |meta: std::fs::Metadata| -> io::Result<_> { Ok((meta.modified()?, meta.len(), meta.ino())) };
    (path.to_owned(), std::fs::metadata(path).and_then(seen).ok())
}
