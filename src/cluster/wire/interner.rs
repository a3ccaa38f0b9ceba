//! One copy of each string that many objects share: namespaces, images, container names, names of pull Secrets.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Hands out one `Arc` per distinct string.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Interner {
    known: Mutex<HashSet<Arc<str>>>,
}

impl Interner {
    /// The shared copy of a string.
    pub(in crate::cluster) fn intern(&self, text: &str) -> Arc<str> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known.get(text) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = Arc::from(text);
        known.insert(Arc::clone(&shared));
        shared
    }

    /// Forget what no object holds any more.
    pub(in crate::cluster) fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|text| Arc::strong_count(text) > 1);
        known.shrink_to_fit();
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
        assert_eq!(interner.known.lock().unwrap().len(), 1);
        assert!(Arc::ptr_eq(&first, &interner.intern("a")));
    }
}
