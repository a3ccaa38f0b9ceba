//! Numbers that look random and are the same for the same seed (xorshift64*).

#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            dice.roll();
        }
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// 0 to `bound - 1`; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let roll = self.roll() >> 33;
        roll.checked_rem(bound).unwrap_or_default()
    }

    /// From the one to the other, the latter left out.
    pub(crate) fn between(&mut self, from: u64, until: u64) -> u64 {
        from + self.below(until.saturating_sub(from))
    }

    /// Whether something happens that does so this often in ten thousand.
    pub(crate) fn happens(&mut self, in_ten_thousand: u64) -> bool {
        in_ten_thousand > 0 && self.below(10_000) < in_ten_thousand
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or_default();
        &all[at]
    }
}
