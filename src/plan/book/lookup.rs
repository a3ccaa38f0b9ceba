//! The credentials that the kubelet would try for an image of a pod, in its order.

use std::sync::Arc;

use super::{Book, CredentialEntry, SecretRecord};
use crate::cluster::ObjectRef;
use crate::credential::{ImageName, Keyring};
use crate::plan::{LoginId, Registries};

/// Credentials of one keyring at most, and credentials for one image at most. Pods have a handful; without a bound the
/// Secrets and images of one pod multiply.
const MOST_IN_RING: usize = 1000;
/// See [`MOST_IN_RING`].
const MOST_MATCHED: usize = 50;

/// The keyring of a pod: what its list of pull Secrets comes to. Made once per list, looked up once per image.
///
/// As in `MakeDockerKeyring` (`pkg/credentialprovider/secrets/secrets.go`): missing Secrets and those that do not count
/// are passed over, the first malformed one fails every lookup, and a Secret that is listed twice is tried twice.
#[derive(Debug)]
pub struct PodKeyring<'a> {
    book: &'a Book,
    records: Vec<(Arc<str>, &'a SecretRecord)>,
    ring: Keyring<(usize, usize)>,
    /// The first malformed Secret and the kubelet's message: no image of the pod can be pulled.
    pub poisoned: Option<(Arc<str>, &'a str)>,
    /// Names of all malformed Secrets, in order.
    pub malformed: Vec<Arc<str>>,
    /// Names of Secrets that are not in the inventory, in order.
    pub missing: Vec<Arc<str>>,
    /// Names of Secrets that the kubelet passes over because type and key do not agree or the value is empty, in order.
    pub wrong_type: Vec<Arc<str>>,
    /// The first Secret whose credentials are too many to be looked at: what the kubelet would find there is not known.
    pub unread: Option<Arc<str>>,
}

/// One credential that the kubelet would try.
#[derive(Clone, Debug)]
pub struct Matched<'a> {
    /// Name of its Secret.
    pub secret: Arc<str>,
    /// Position of the credential in [`Contents::credentials`](super::Contents::credentials).
    pub entry: usize,
    /// The credential.
    pub credential: &'a CredentialEntry,
    /// The login at the registry of the image. `None` when the credential is anonymous, the registry is not on the list,
    /// or the kubelet presents a credential of Docker Hub to another host (its rule for images without a host).
    pub login: Option<LoginId>,
}

impl Book {
    /// The keyring of a pod in a namespace with these pull Secrets, in order.
    pub fn keyring(&self, namespace: &Arc<str>, secrets: &[Arc<str>]) -> PodKeyring<'_> {
        let mut ring = PodKeyring {
            book: self,
            records: Vec::new(),
            ring: Keyring::default(),
            poisoned: None,
            malformed: Vec::new(),
            missing: Vec::new(),
            wrong_type: Vec::new(),
            unread: None,
        };
        let mut held = 0;
        for name in secrets {
            let at = ObjectRef { namespace: namespace.clone(), name: name.clone() };
            let Some(record) = self.secrets.get(&at) else {
                ring.missing.push(name.clone());
                continue;
            };
            if record.skipped {
                ring.wrong_type.push(name.clone());
            } else if let Some(message) = &record.malformed {
                ring.poisoned.get_or_insert((name.clone(), message));
                ring.malformed.push(name.clone());
            } else if record.too_many.is_some() || held + record.credentials.len() > MOST_IN_RING {
                ring.unread.get_or_insert(name.clone());
            } else {
                held += record.credentials.len();
                let place = ring.records.len();
                for (entry, credential) in record.credentials.iter().enumerate() {
                    if let Some(key) = &credential.key {
                        ring.ring.add(Arc::clone(key), (place, entry));
                    }
                }
                ring.records.push((name.clone(), record));
            }
        }
        ring
    }
}

impl<'a> PodKeyring<'a> {
    /// The credentials for an image, in the order in which the kubelet tries them; none when the pod is poisoned. When
    /// there is none, and the pod is neither poisoned nor [unread](Self::unread), the kubelet pulls anonymously.
    pub fn lookup(&self, image: &ImageName) -> Vec<Matched<'a>> {
        self.lookup_bounded(image).0
    }

    /// What [`Self::lookup`] finds, and the Secret of the first credential that is left out because there are too many.
    pub fn lookup_bounded(&self, image: &ImageName) -> (Vec<Matched<'a>>, Option<Arc<str>>) {
        if self.poisoned.is_some() {
            return (Vec::new(), None);
        }
        let host = Registries::canonical_host(image.host());
        let found = self.ring.lookup(&image.repository);
        let beyond = found.get(MOST_MATCHED).and_then(|(place, _)| self.records.get(*place));
        let matched = found.iter().take(MOST_MATCHED).filter_map(|(place, entry)| {
            let (secret, record) = self.records.get(*place)?;
            let credential = record.credentials.get(*entry)?;
            let login = host.as_deref().and_then(|host| self.book.login_at(credential, host));
            Some(Matched { secret: secret.clone(), entry: *entry, credential, login })
        });
        (matched.collect(), beyond.map(|(secret, _)| secret.clone()))
    }
}

impl Book {
    /// The login of a credential at a host (in its one spelling).
    fn login_at(&self, credential: &CredentialEntry, host: &str) -> Option<LoginId> {
        let at = |id: &&LoginId| self.logins.get(id).is_some_and(|login| &*login.registry.host == host);
        credential.logins.iter().find(at).copied()
    }
}
