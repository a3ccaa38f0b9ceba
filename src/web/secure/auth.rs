//! Users with bcrypt hashes. A check of a password takes a tenth of a second of CPU by design, so its answers are kept, and only
//! so many are under way or wait: nobody can keep the CPU busy with wrong passwords, and who was let in before is let in
//! meanwhile.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::BcryptHash;

/// Checks under way at once.
const CHECKS: usize = 1;
/// Checks that are under way or wait for their turn, at most.
const WAITING: usize = 16;
/// Answers that are kept of each kind. Yes and no have room of their own: no number of wrong passwords pushes out a right one.
const KEPT: usize = 100;
/// Longest `Authorization` header that is looked at.
const LONGEST: usize = 1_024;

/// The names of answers that are kept hang on this key, so that memory holds no password and nothing to guess one with.
static KEY: LazyLock<Option<hmac::Key>> =
    LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok());

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Refused {
    /// No user and password, or wrong ones.
    Unknown,
    /// Too many checks wait.
    Busy,
}

/// Whose turn it is to have a password checked. It outlives a change of the users.
#[derive(Debug)]
pub(super) struct Turns {
    checks: Semaphore,
    waiting: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self { checks: Semaphore::new(CHECKS), waiting: Semaphore::new(WAITING) }
    }
}

/// Users and their hashes, and what is known of passwords.
#[derive(Debug)]
pub(in crate::web) struct Users {
    hashes: BTreeMap<String, BcryptHash>,
    known: Mutex<Known>,
    turns: Arc<Turns>,
}

/// The last answers of each kind.
#[derive(Debug, Default)]
struct Known {
    answers: HashMap<[u8; 32], bool>,
    right: VecDeque<[u8; 32]>,
    wrong: VecDeque<[u8; 32]>,
}

impl Known {
    fn keep(&mut self, name: [u8; 32], answer: bool) {
        if self.answers.insert(name, answer).is_some() {
            return;
        }
        let order = if answer { &mut self.right } else { &mut self.wrong };
        order.push_back(name);
        if order.len() > KEPT
            && let Some(oldest) = order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, BcryptHash>, turns: Arc<Turns>) -> Self {
        Self { hashes, known: Mutex::default(), turns }
    }

    fn known(&self, name: &[u8; 32]) -> Option<bool> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).answers.get(name).copied()
    }

    /// Whether a request comes from one of the users.
    pub(in crate::web) async fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let (user, password) = credentials(headers.get(header::AUTHORIZATION)).ok_or(Refused::Unknown)?;
        let hash = self.hashes.get(&user).map(|hash| hash.expose().to_owned());
        // Where there is no such user another's hash is asked, so that the time does not tell.
        let is_user = hash.is_some();
        let hash = hash.or_else(|| Some(self.hashes.values().next()?.expose().to_owned())).unwrap_or_default();
        let name = KEY.as_ref().map(|key| name(key, &user, &hash, &password));
        let answer = match name.as_ref().and_then(|name| self.known(name)) {
            Some(answer) => answer,
            None => self.ask(name, hash, is_user, password).await?,
        };
        if answer { Ok(()) } else { Err(Refused::Unknown) }
    }

    /// Check a password by its hash, in turn.
    async fn ask(
        &self,
        name: Option<[u8; 32]>,
        hash: String,
        is_user: bool,
        password: Zeroizing<Vec<u8>>,
    ) -> Result<bool, Refused> {
        let _place = self.turns.waiting.try_acquire().map_err(|_| Refused::Busy)?;
        // Neither is ever closed.
        let _turn = self.turns.checks.acquire().await.map_err(|_| Refused::Busy)?;
        // Somebody with the same password may have been before us.
        if let Some(answer) = name.as_ref().and_then(|name| self.known(name)) {
            return Ok(answer);
        }
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(&*password, &hash).unwrap_or(false);
            right & is_user
        });
        let answer = checked.await.map_err(|_| Refused::Busy)?;
        if let Some(name) = name {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).keep(name, answer);
        }
        Ok(answer)
    }
}

/// The name under which an answer is kept.
fn name(key: &hmac::Key, user: &str, hash: &str, password: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in [user.as_bytes(), hash.as_bytes(), password] {
        context.update(&part.len().to_le_bytes());
        context.update(part);
    }
    let tag = context.sign();
    let mut name = [0; 32];
    name.copy_from_slice(tag.as_ref());
    name
}

/// User and password of an `Authorization` header (RFC 7617).
fn credentials(header: Option<&HeaderValue>) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let header = header?.as_bytes();
    if header.len() > LONGEST || header.len() < 6 || !header[..6].eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(header[6..].trim_ascii()).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let user = std::str::from_utf8(&pair[..colon]).ok()?.to_owned();
    Some((user, Zeroizing::new(pair[colon + 1..].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are of cost 4, so that a test takes no time.
    fn users() -> Users {
        let hash = bcrypt::hash("right", 4).unwrap();
        let config = format!("basic_auth_users: {{alice: '{hash}'}}");
        let config = crate::config::WebConfig::parse(&config, std::path::Path::new("web.yml")).unwrap();
        Users::new(config.basic_auth_users, Arc::default())
    }

    fn asking(user: &str, password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap())])
    }

    #[tokio::test]
    async fn only_a_user_with_the_right_password_is_let_in() {
        let users = users();
        for _ in 0..2 {
            assert_eq!(users.check(&asking("alice", "right")).await, Ok(()));
            for (user, password) in [("alice", "wrong"), ("alice", ""), ("bob", "right"), ("", "")] {
                assert_eq!(users.check(&asking(user, password)).await, Err(Refused::Unknown), "{user}:{password}");
            }
            assert_eq!(users.check(&HeaderMap::new()).await, Err(Refused::Unknown));
        }
    }

    #[tokio::test]
    async fn wrong_passwords_do_not_push_out_a_right_one_and_memory_is_bounded() {
        let users = users();
        assert_eq!(users.check(&asking("alice", "right")).await, Ok(()));
        for n in 0..3 * KEPT {
            assert_eq!(users.check(&asking("alice", &n.to_string())).await, Err(Refused::Unknown));
        }
        let known = users.known.lock().unwrap();
        assert_eq!((known.right.len(), known.wrong.len(), known.answers.len()), (1, KEPT, KEPT + 1));
    }

    #[test]
    fn headers_that_are_none() {
        for header in ["", "Basic", "Basic ", "Bearer abc", "Basic !!!!", "Basic YWJj", "Basic /zpi"] {
            assert!(credentials(Some(&HeaderValue::from_static(header))).is_none(), "{header:?}");
        }
        let (user, password) = credentials(Some(&HeaderValue::from_static("basic  YTpiOmM= "))).unwrap();
        assert_eq!((user.as_str(), password.as_slice()), ("a", b"b:c".as_slice()));
        let long = format!("Basic {}", "YTpi".repeat(300));
        assert!(credentials(Some(&HeaderValue::from_str(&long).unwrap())).is_none());
    }
}
