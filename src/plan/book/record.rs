//! From a Secret to what it holds.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{Book, Contents, CredentialEntry};
use crate::cluster::PullSecret;
use crate::credential::{
    Decoded, Entry, Finding, FindingKind, ImageName, Password, RegistryKey, TokenKind, Username, decode, key_oddity,
    parse_image, secret_findings, self_described_expiry,
};
use crate::plan::{LoginId, Registries, Registry, TokenId};

/// A login as an entry names it, with the secrets that go along.
pub(super) struct NewLogin {
    pub(super) id: LoginId,
    pub(super) registry: Arc<Registry>,
    pub(super) username: Username,
    pub(super) password: Password,
    pub(super) token: TokenId,
    pub(super) kind: TokenKind,
    pub(super) shard: u16,
}

/// Texts that thousands of credentials share.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    keys: HashSet<Arc<RegistryKey>>,
    /// Size at which the next look for unused ones pays.
    prune_at: usize,
}

impl Interner {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(found) = self.texts.get(text) {
            return found.clone();
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.insert(text.clone());
        text
    }

    fn key(&mut self, key: RegistryKey) -> Arc<RegistryKey> {
        if let Some(found) = self.keys.get(&key) {
            return found.clone();
        }
        let key = Arc::new(key);
        self.keys.insert(key.clone());
        key
    }

    /// Forget what nobody holds any more, once there is enough that it may pay.
    pub(super) fn prune(&mut self) {
        if self.texts.len() + self.keys.len() >= self.prune_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.keys.retain(|key| Arc::strong_count(key) > 1);
            self.prune_at = 2 * (self.texts.len() + self.keys.len()).max(64);
        }
    }
}

/// A hash of images, to see that they changed.
pub(super) fn images_hash(images: Option<&BTreeSet<Arc<str>>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    images.hash(&mut hasher);
    hasher.finish()
}

impl Book {
    /// What a Secret holds, and the logins that its credentials stand for, one for each time they do.
    pub(super) fn read(
        &mut self,
        source: &PullSecret,
        images: Option<&BTreeSet<Arc<str>>>,
    ) -> (Contents, Vec<NewLogin>) {
        let dockerconfigjson = source.dockerconfigjson.as_ref().map(ExposeSecret::expose_secret);
        let dockercfg = source.dockercfg.as_ref().map(ExposeSecret::expose_secret);
        let decoded = decode(&source.secret_type, dockerconfigjson, dockercfg);
        let mut record = Contents {
            malformed: None,
            skipped: false,
            too_many: None,
            findings: secret_findings(&decoded, &source.secret_type, dockerconfigjson, dockercfg),
            credentials: Vec::new(),
            images: None,
        };
        let mut logins = Vec::new();
        match decoded {
            Decoded::Skipped => record.skipped = true,
            Decoded::Malformed(malformed) => record.malformed = Some(malformed.kubelet_message),
            Decoded::TooMany(entries) => {
                record.too_many = u32::try_from(entries).ok().and_then(NonZeroU32::new).or(Some(NonZeroU32::MAX));
            }
            Decoded::Entries(entries) => {
                let parsed: Vec<ImageName> =
                    images.into_iter().flatten().filter_map(|image| parse_image(image).ok()).collect();
                record.credentials.reserve_exact(entries.len());
                for entry in entries {
                    let (credential, hangs_on_images) = self.credential(entry, &parsed, &mut logins);
                    record.credentials.push(credential);
                    if hangs_on_images {
                        record.images = Some(images_hash(images));
                    }
                }
            }
        }
        (record, logins)
    }

    /// The credential of an entry, and whether it hangs on the images that are needed.
    fn credential(
        &mut self,
        entry: Entry,
        images: &[ImageName],
        logins: &mut Vec<NewLogin>,
    ) -> (CredentialEntry, bool) {
        let (written, username) = (entry.registry_label(), entry.username.label(&entry.password));
        let key = entry.key().ok().map(|key| self.interner.key(key));
        let kind = TokenKind::of(entry.password.expose());
        let token = self.identifier.token(entry.password.expose());
        let shard = self.shard.of_token(entry.password.expose());
        let anonymous = entry.username.is_empty() || entry.password.is_empty();
        let is_glob = key.as_ref().is_some_and(|key| key.host().contains('*'));
        let hosts = key.as_deref().map(|key| hosts_of(key, is_glob, images)).unwrap_or_default();
        let registries: Vec<Arc<Registry>> = hosts.iter().filter_map(|host| self.use_registry(host)).collect();

        let mut findings = entry.findings;
        let oddity = key_oddity(&entry.registry).filter(|oddity| !oddity.is_absolute());
        if let (Some(oddity), Some(key)) = (oddity, &key)
            && images.iter().any(|image| key.matches(&image.repository))
        {
            let kind = oddity.finding().kind;
            findings.retain(|finding| finding.kind != kind);
        }
        if registries.iter().any(|registry| !registry.takes(kind)) {
            findings.push(unsupported_token_kind(kind));
        }
        findings.shrink_to_fit();

        let mut ids = Vec::new();
        if !anonymous {
            ids.reserve_exact(registries.len());
            for registry in &registries {
                let id = self.identifier.login(&registry.host, entry.username.expose(), entry.password.expose());
                let (username, password) = (entry.username.clone(), entry.password.clone());
                logins.push(NewLogin { id, registry: registry.clone(), username, password, token, kind, shard });
                ids.push(id);
            }
        }
        let may_be_listed = is_glob && key.as_ref().is_some_and(|key| self.registries.may_list(key.host()));
        let credential = CredentialEntry {
            listed: !registries.is_empty() || may_be_listed,
            written: self.interner.text(&written),
            username: self.interner.text(&username),
            anonymous,
            kind,
            token,
            self_described_expiry: self_described_expiry(entry.password.expose()),
            logins: ids,
            findings,
            key,
            shard,
        };
        (credential, is_glob || oddity.is_some())
    }

    /// The registry of a host, shared by all its logins.
    fn use_registry(&mut self, host: &str) -> Option<Arc<Registry>> {
        let registry = self.registry(host)?;
        self.in_use.entry(registry.host.clone()).or_insert_with(|| registry.clone());
        Some(registry)
    }
}

/// The concrete hosts, each once in its one spelling, that a key stands for.
fn hosts_of(key: &RegistryKey, is_glob: bool, images: &[ImageName]) -> BTreeSet<String> {
    if !is_glob {
        return Registries::canonical_host(key.host()).into_iter().collect();
    }
    images
        .iter()
        .filter(|image| key.matches(&image.repository))
        .filter_map(|image| Registries::canonical_host(image.host()))
        .collect()
}

fn unsupported_token_kind(kind: TokenKind) -> Finding {
    Finding::new(
        FindingKind::UnsupportedTokenKind,
        format!("GitHub's registry does not take this kind of token ({}) for pulling", kind.as_str()),
        "create a classic personal access token with the scope read:packages, and store that",
    )
}
