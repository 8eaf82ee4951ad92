//! The random numbers of tests, benchmarks and tools. A seed repeats them on every machine, in every version.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The environment variable that sets the seed.
pub const SEED_VARIABLE: &str = "STOCKHOLD_SEED";

/// The seed that the environment sets, if it sets one. `Err` says what is wrong with it.
pub fn seed_given() -> Result<Option<u64>, String> {
    let Ok(text) = std::env::var(SEED_VARIABLE) else { return Ok(None) };
    let seed = text.replace('_', "").parse();
    seed.map(Some).map_err(|_| format!("{SEED_VARIABLE} takes a number, not {text:?}"))
}

/// The seed of a test, which is printed: from the environment, otherwise a new one.
pub fn seed() -> u64 {
    printed(|| RandomState::new().build_hasher().finish())
}

/// The seed of a test, which is printed: from the environment, otherwise `default`.
pub fn seed_or(default: u64) -> u64 {
    printed(|| default)
}

fn printed(default: impl FnOnce() -> u64) -> u64 {
    let seed = seed_given().unwrap_or_else(|error| panic!("{error}")).unwrap_or_else(default);
    println!("{SEED_VARIABLE}={seed}");
    seed
}

/// A generator of random numbers: SplitMix64, for which any seed is a good one, neighbours too.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The numbers of one of a seed's streams, which are independent of those of the others.
    pub fn stream(seed: u64, stream: u64) -> Self {
        Rng(mix(seed ^ mix(stream.wrapping_add(1))))
    }

    /// Another generator, for thread number `number`.
    pub fn fork(&self, number: usize) -> Self {
        Rng::stream(self.0, number as u64)
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence needs no `Option`")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// The same for quantities.
    pub fn below_u32(&mut self, bound: u32) -> u32 {
        self.below(bound.into()) as u32
    }

    /// An index into something of that length; 0 if it is empty.
    ///
    /// By remainder, unlike [`Rng::below`]: with it were the seeds found that the simulation keeps.
    pub fn index(&mut self, length: usize) -> usize {
        (self.next() % length.max(1) as u64) as usize
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// A quantity from 1 to `most`.
    pub fn upto(&mut self, most: u32) -> u32 {
        1 + self.below_u32(most)
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// True `chance` times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of `items`, which are not empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// From 0 to just under 1.
    pub fn fraction(&mut self) -> f64 {
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
        let mut rng = Rng::stream(42, 7);
        assert_eq!([rng.next(), rng.next()], [0x08e6c826fb9056ad, 0x5045cb8db6530851]);
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.next(), rng.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let (mut below, mut index) = ([0; 6], [0; 6]);
        let mut rng = Rng::stream(1, 1);
        for _ in 0..6_000 {
            below[rng.below(6) as usize] += 1;
            index[rng.index(6)] += 1;
        }
        let even = |counts: [u32; 6]| counts.iter().all(|count| (850..1150).contains(count));
        assert!(even(below) && even(index), "{below:?} {index:?}");
        assert!((0..1_000).all(|stream| (0.0..1.0).contains(&Rng::stream(9, stream).fraction())));
        assert_eq!(rng.index(0), 0);
    }
}
