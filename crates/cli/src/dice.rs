//! Randomness from a seed: the same on every machine and in every version, and any shopper's share of it can be had
//! without rolling for those before. (SplitMix64.)

/// A stream of numbers that a seed and a stream number determine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Dice(mix(seed ^ mix(stream.wrapping_add(1))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to `sides - 1`.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(sides)) >> 64) as u64
    }

    /// From 0 to just under 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut dice = Dice::new(42, 7);
        assert_eq!([dice.next(), dice.next()], [0x08e6c826fb9056ad, 0x5045cb8db6530851]);
    }

    #[test]
    fn rolls_are_spread_evenly() {
        let mut counts = [0; 6];
        let mut dice = Dice::new(1, 1);
        for _ in 0..6_000 {
            counts[dice.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert!((0..1_000).all(|stream| (0.0..1.0).contains(&Dice::new(9, stream).fraction())));
    }
}
