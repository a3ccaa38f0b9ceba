//! Seeded randomness: the same seed gives the same world.

/// `SplitMix64` (Steele, Lea, Flood 2014): one word of state, good enough for test data.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// `length` characters of the alphabet.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let size = alphabet.len() as u64;
        let pick = |word: u64| usize::try_from(word % size).ok().and_then(|index| alphabet.get(index)).copied();
        (0..length).filter_map(|_| pick(self.next())).map(char::from).collect()
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// FNV-1a with a final mix: stable over runs and machines, unlike the standard library's hasher.
pub(crate) fn hash(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ seed;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(state)
}

/// A number from 0 (inclusive) to 1 (exclusive) out of a hash.
pub(crate) fn unit(word: u64) -> f64 {
    // The upper 32 bits are exact in a double.
    f64::from(u32::try_from(word >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}
