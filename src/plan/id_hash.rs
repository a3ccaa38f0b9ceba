//! Maps by ids that are keyed hashes already: to hash them once more tells nothing new, and there are a hundred thousand
//! look-ups in a snapshot.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::LoginId;

/// A map by [`LoginId`].
pub type ByLogin<T> = HashMap<LoginId, T, BuildHasherDefault<IdHasher>>;

/// Takes an id for its hash. Not for anything that a tenant can choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = self.0.rotate_left(8) ^ id;
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash as _;

    use super::*;

    #[test]
    fn an_id_is_its_own_hash_and_anything_else_has_one() {
        let hash = |hash: &dyn Fn(&mut IdHasher)| {
            let mut hasher = IdHasher::default();
            hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&|hasher| LoginId(7).hash(hasher)), 7);
        assert_ne!(hash(&|hasher| "ab".hash(hasher)), hash(&|hasher| "ba".hash(hasher)));
    }
}
