//! Which of several processes looks after what, where one is not enough.
//!
//! Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998): every process
//! works out a weight of each shard for a thing, and the heaviest has it. Nobody talks to anybody, all come to the same
//! result, and one more shard takes its part of the things from all others alike without moving any between those.
//!
//! What is hashed is the token alone: all credentials with one password, whatever their registry key, all logins of a key
//! with a glob, and the question to the token's issuer are of one shard.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use ring::digest::{Context, SHA256};

use crate::cluster::ObjectRef;
use crate::workload::WorkloadKey;

/// One of several shards: which, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u16,
    count: NonZeroU16,
}

impl Default for Shard {
    fn default() -> Self {
        Self::ALONE
    }
}

impl Shard {
    /// The only one, which has everything.
    pub const ALONE: Self = Self { index: 0, count: NonZeroU16::MIN };

    /// The shard at this place, from 0; `None` when there is no such place.
    pub fn new(index: u16, count: u16) -> Option<Self> {
        let count = NonZeroU16::new(count)?;
        (index < count.get()).then_some(Self { index, count })
    }

    /// Its place, from 0.
    pub fn index(self) -> u16 {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> u16 {
        self.count.get()
    }

    /// Whether it has everything.
    pub fn is_alone(self) -> bool {
        self.count == NonZeroU16::MIN
    }

    /// The shard that has a token, and with it every credential and login whose password it is.
    ///
    /// The hash has no key, since it must be equal in every process. It stays in memory; who sees which shard exports a
    /// credential learns log2(count) bits of it.
    pub fn of_token(self, password: &[u8]) -> u16 {
        self.of(b"token", &[password])
    }

    /// The shard that has what is known of a Secret as a whole: one that is malformed, or holds no credential.
    pub fn of_secret(self, at: &ObjectRef) -> u16 {
        self.of(b"secret", &[at.namespace.as_bytes(), at.name.as_bytes()])
    }

    /// The shard that has a workload: the one that has the most of what its pulls would present, given as one shard for
    /// each credential of each image. Most workloads present one token, so that its shard knows all about them.
    pub fn of_workload(self, key: &WorkloadKey, presented: impl IntoIterator<Item = u16>) -> u16 {
        if self.is_alone() {
            return 0;
        }
        let mut parts: BTreeMap<u16, usize> = BTreeMap::new();
        for shard in presented {
            *parts.entry(shard).or_default() += 1;
        }
        let most = parts.values().max().copied();
        let among: Vec<u16> = match most {
            Some(most) => parts.into_iter().filter(|(_, part)| *part == most).map(|(shard, _)| shard).collect(),
            None => (0..self.count()).collect(),
        };
        let names = [&*key.namespace, &*key.kind, &*key.name, key.role.as_str()].map(str::as_bytes);
        heaviest(seed(b"workload", &names), among)
    }

    fn of(self, domain: &[u8], parts: &[&[u8]]) -> u16 {
        if self.is_alone() { 0 } else { heaviest(seed(domain, parts), 0..self.count()) }
    }
}

/// Of these shards the one that weighs the most; the first of all where there are none.
fn heaviest(seed: u64, among: impl IntoIterator<Item = u16>) -> u16 {
    among.into_iter().max_by_key(|shard| (weight(seed, *shard), *shard)).unwrap_or(0)
}

/// The first 64 bits of SHA-256 over domain and parts, each behind its length.
fn seed(domain: &[u8], parts: &[&[u8]]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in std::iter::once(&domain).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut first = [0_u8; 8];
    for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    u64::from_be_bytes(first)
}

/// The weight of a shard for a thing: the output function of `SplitMix64` (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", 2014), which spreads any two inputs.
fn weight(seed: u64, shard: u16) -> u64 {
    let mut mixed = seed.wrapping_add((u64::from(shard) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(index: u16, count: u16) -> Shard {
        Shard::new(index, count).expect("a shard")
    }

    #[test]
    fn there_is_no_place_past_the_last() {
        assert_eq!((Shard::new(3, 3), Shard::new(0, 0)), (None, None));
        assert_eq!(Shard::new(0, 1), Some(Shard::ALONE));
        assert!(Shard::ALONE.is_alone() && !shard(0, 2).is_alone());
    }

    /// Processes of two versions run side by side while a `StatefulSet` is updated: the split must not move.
    #[test]
    fn the_split_is_the_same_in_every_version() {
        let of = |password: &str| [2, 3, 7].map(|count| shard(0, count).of_token(password.as_bytes()));
        let split = [[0, 0, 4], [1, 1, 1], [1, 1, 6], [1, 1, 6]];
        assert_eq!([of(""), of("token-1"), of("token-2"), of("token-3")], split);
        assert_eq!(shard(0, 5).of_secret(&ObjectRef::new("team", "pull")), 3);
    }

    /// The first outputs of `SplitMix64` from the seed 0, as they are published.
    #[test]
    fn weights_are_what_split_mix_gives() {
        let published: [u64; 3] = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!([0, 1, 2].map(|shard| weight(0, shard)), published);
    }

    #[test]
    fn workloads_that_present_nothing_are_of_all_shards() {
        let owner = |number: u32| {
            let key = WorkloadKey {
                namespace: "team".into(),
                kind: "Deployment".into(),
                name: format!("app-{number}").as_str().into(),
                role: crate::workload::PodRole::Pod,
            };
            shard(0, 3).of_workload(&key, std::iter::empty())
        };
        let owners: Vec<u16> = (0..100).map(owner).collect();
        assert!((0..3).all(|place| owners.contains(&place)), "{owners:?}");
    }

    #[test]
    fn shares_are_about_equal() {
        for count in [2_u16, 3, 10] {
            let mut shares = vec![0_u32; usize::from(count)];
            let things = 2_000 * u32::from(count);
            for thing in 0..things {
                shares[usize::from(shard(0, count).of_token(format!("token-{thing}").as_bytes()))] += 1;
            }
            assert!(shares.iter().all(|share| (1_800..=2_200).contains(share)), "{shares:?}");
        }
    }

    /// Of 1,000 things one more shard takes about 1,000 / (count + 1), within five standard deviations.
    #[test]
    fn one_more_shard_moves_its_part() {
        for (count, salt) in (1_u16..40).step_by(3).zip(0..) {
            let changes = |thing: u32| {
                let password = format!("{salt}-{thing}");
                let of = |count| shard(0, count).of_token(password.as_bytes());
                of(count) != of(count + 1)
            };
            let moved = (0..1_000).filter(|thing| changes(*thing)).count();
            let part = f64::from(count + 1).recip();
            let (expected, deviation) = (1_000.0 * part, (1_000.0 * part * (1.0 - part)).sqrt());
            let off = (f64::from(u32::try_from(moved).expect("few")) - expected).abs();
            assert!(off <= 5.0 * deviation, "{moved} of 1,000 moved to shard {count}, expected {expected}");
        }
    }

    proptest! {
        /// Every process comes to the same result, which is one of the shards.
        #[test]
        fn all_agree(password: Vec<u8>, count in 1_u16..100, one: u16, other: u16) {
            let owner = shard(one % count, count).of_token(&password);
            prop_assert_eq!(owner, shard(other % count, count).of_token(&password));
            prop_assert!(owner < count);
        }

        /// One more shard takes things from the others, and moves none between those.
        #[test]
        fn what_moves_moves_to_the_new_one(password: Vec<u8>, count in 1_u16..100) {
            let (before, after) = (shard(0, count).of_token(&password), shard(0, count + 1).of_token(&password));
            prop_assert!(after == before || after == count, "{} to {}", before, after);
        }

        /// A workload is of one of those shards that have the most of it, whatever the order.
        #[test]
        fn a_workload_is_where_most_of_it_is(
            name: String, mut presented in proptest::collection::vec(0_u16..9, 0..7)
        ) {
            let key = WorkloadKey {
                namespace: "team".into(),
                kind: "Deployment".into(),
                name: name.as_str().into(),
                role: crate::workload::PodRole::Pod,
            };
            let owner = shard(0, 9).of_workload(&key, presented.iter().copied());
            let part = |shard: u16| presented.iter().filter(|one| **one == shard).count();
            prop_assert!((0..9).all(|other| part(other) <= part(owner)) && owner < 9);
            presented.reverse();
            prop_assert_eq!(owner, shard(8, 9).of_workload(&key, presented));
        }
    }
}
