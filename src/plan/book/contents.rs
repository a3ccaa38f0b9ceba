//! What Secrets hold, once for all that hold the same: of one token there are often as many copies as there are namespaces.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use secrecy::ExposeSecret;

use super::CredentialEntry;
use crate::cluster::PullSecret;
use crate::credential::Finding;
use crate::plan::Identifier;

/// What a Secret holds, decoded.
#[derive(Debug)]
pub struct Contents {
    /// The kubelet's error when the Secret is malformed.
    pub malformed: Option<String>,
    /// Whether the kubelet skips it (wrong type or key, empty value).
    pub skipped: bool,
    /// How many entries it holds, where these are too many to be looked at.
    pub too_many: Option<NonZeroU32>,
    /// Findings of the Secret as a whole.
    pub findings: Vec<Finding>,
    /// Its credentials in the order of the decoder. Empty when malformed or skipped.
    pub credentials: Vec<CredentialEntry>,
    /// Hash of the images that name this Secret, where what it holds hangs on them: a key with a glob stands for the hosts
    /// of these images, an odd key is none when one of them matches.
    pub(super) images: Option<u64>,
}

/// A keyed hash over all that a Secret is decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(super) fn of(secret: &PullSecret, identifier: &Identifier) -> Self {
        let dockerconfigjson = secret.dockerconfigjson.as_ref().map(ExposeSecret::expose_secret);
        let dockercfg = secret.dockercfg.as_ref().map(ExposeSecret::expose_secret);
        Self(identifier.fingerprint(&[Some(secret.secret_type.as_bytes()), dockerconfigjson, dockercfg]))
    }
}

/// All contents that some Secret holds.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    known: HashMap<(Fingerprint, Option<u64>), Weak<Contents>>,
    /// Size at which the next look for those that are gone pays.
    prune_at: usize,
}

impl Shelf {
    /// What another Secret with this fingerprint holds, as far as it was decoded for the same images or hangs on none.
    pub(super) fn find(&self, print: Fingerprint, images: u64) -> Option<Arc<Contents>> {
        [None, Some(images)].into_iter().find_map(|images| self.known.get(&(print, images))?.upgrade())
    }

    pub(super) fn put(&mut self, print: Fingerprint, contents: &Arc<Contents>) {
        self.known.insert((print, contents.images), Arc::downgrade(contents));
    }

    /// Forget what no Secret holds any more, once there is enough that it may pay.
    pub(super) fn prune(&mut self) {
        if self.known.len() >= self.prune_at {
            self.known.retain(|_, contents| contents.strong_count() > 0);
            self.known.shrink_to_fit();
            self.prune_at = 2 * self.known.len().max(64);
        }
    }

    /// Decode everything anew from now on.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
