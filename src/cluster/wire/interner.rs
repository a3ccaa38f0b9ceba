//! One copy of what many objects share: strings (namespaces, images, container names, names of pull Secrets), what pods of a
//! kind pull, and pull documents.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use secrecy::{ExposeSecret as _, SecretSlice};

use crate::cluster::objects::{Document, PodPulls};

/// Hands out one `Arc` per distinct value.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Interner {
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    texts: HashSet<Arc<str>>,
    pulls: HashSet<Arc<PodPulls>>,
    /// By a hash of the bytes. Weak, so that a document is wiped as soon as no Secret holds it.
    documents: HashMap<u64, Weak<SecretSlice<u8>>>,
    /// Size at which the next look for unused ones pays: objects come and go for ever.
    sweep_at: usize,
}

impl Interner {
    /// The shared copy of a string.
    pub(in crate::cluster) fn intern(&self, text: &str) -> Arc<str> {
        let mut known = self.known();
        if let Some(shared) = known.texts.get(text) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = Arc::from(text);
        known.make_room();
        known.texts.insert(Arc::clone(&shared));
        shared
    }

    /// The shared copy of what a pod pulls.
    pub(in crate::cluster) fn pulls(&self, pulls: PodPulls) -> Arc<PodPulls> {
        let mut known = self.known();
        if let Some(shared) = known.pulls.get(&pulls) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(pulls);
        known.make_room();
        known.pulls.insert(Arc::clone(&shared));
        shared
    }

    /// The shared copy of a document.
    pub(in crate::cluster) fn document(&self, bytes: SecretSlice<u8>) -> Document {
        let hash = self.hasher.hash_one(bytes.expose_secret());
        let mut known = self.known();
        if let Some(shared) = known.documents.get(&hash).and_then(Weak::upgrade)
            && shared.expose_secret() == bytes.expose_secret()
        {
            return Document(shared);
        }
        let document = Document::from(bytes);
        known.make_room();
        known.documents.insert(hash, Arc::downgrade(&document.0));
        document
    }

    /// Forget what no object holds any more.
    pub(in crate::cluster) fn sweep(&self) {
        self.known().sweep();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn len(&self) -> usize {
        self.texts.len() + self.pulls.len() + self.documents.len()
    }

    /// Forget what no object holds any more, once there is enough that it may pay.
    fn make_room(&mut self) {
        if self.len() >= self.sweep_at.max(1024) {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        fn retain<T: ?Sized + Eq + Hash>(shared: &mut HashSet<Arc<T>>) {
            shared.retain(|one| Arc::strong_count(one) > 1);
            shared.shrink_to_fit();
        }
        // What pods pull holds texts, so it goes first.
        retain(&mut self.pulls);
        retain(&mut self.texts);
        self.documents.retain(|_, document| document.strong_count() > 0);
        self.documents.shrink_to_fit();
        self.sweep_at = 2 * self.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_memory_until_nobody_holds_them() {
        let interner = Interner::default();
        let first = interner.intern("a");
        assert!(Arc::ptr_eq(&first, &interner.intern("a")));
        drop(interner.intern("b"));
        interner.sweep();
        assert_eq!(interner.known().len(), 1);
        assert!(Arc::ptr_eq(&first, &interner.intern("a")));
    }

    fn pulls(interner: &Interner, secret: &str) -> PodPulls {
        PodPulls {
            service_account: interner.intern("default"),
            pull_secrets: vec![interner.intern(secret)],
            admitted_from_service_account: false,
            images: Vec::new(),
            owner: None,
        }
    }

    #[test]
    fn pods_that_pull_the_same_share_it_until_nobody_holds_it() {
        let interner = Interner::default();
        let first = interner.pulls(pulls(&interner, "a"));
        assert!(Arc::ptr_eq(&first, &interner.pulls(pulls(&interner, "a"))));
        drop(interner.pulls(pulls(&interner, "b")));
        interner.sweep();
        assert_eq!(interner.known().len(), 3, "the pulls and their two texts");
    }

    #[test]
    fn a_document_is_shared_and_gone_with_its_last_holder() {
        let interner = Interner::default();
        let document = |text: &str| interner.document(SecretSlice::from(text.as_bytes().to_vec()));
        let first = document("one");
        assert!(Arc::ptr_eq(&first.0, &document("one").0));
        assert_eq!(document("two").expose_secret(), b"two");
        let weak = Arc::downgrade(&first.0);
        drop(first);
        assert!(weak.upgrade().is_none(), "the interner does not hold it");
        assert_eq!(document("one").expose_secret(), b"one");
    }

    #[test]
    fn what_comes_and_goes_for_ever_does_not_grow() {
        let interner = Interner::default();
        let kept = interner.intern("kept");
        for nth in 0..10_000 {
            interner.intern(&nth.to_string());
            interner.pulls(pulls(&interner, &nth.to_string()));
            interner.document(SecretSlice::from(nth.to_string().into_bytes()));
        }
        assert!(interner.known().len() <= 2048, "{}", interner.known().len());
        assert!(Arc::ptr_eq(&kept, &interner.intern("kept")));
    }
}
