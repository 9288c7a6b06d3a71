//! Chance from a seed (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", 2014).

#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Less than `limit`; 0 if that is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// Less than `limit`, small numbers more often: half of them below the square root or so.
    pub(super) fn few(&mut self, limit: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((limit as f64 + 1.0).powf(unit) as usize)
            .saturating_sub(1)
            .min(limit.saturating_sub(1))
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// About `mean`, between half and twice of it.
    pub(super) fn about(&mut self, mean: usize) -> usize {
        mean / 2 + self.few(mean * 3 / 2).max(self.below(mean))
    }
}
