//! Choices that a seed repeats.

/// SplitMix64: any seed is a good one, neighbours too.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        ((self.roll() >> 32) * sides) >> 32
    }

    pub(crate) fn upto(&mut self, most: u32) -> u32 {
        1 + self.below(u64::from(most)) as u32
    }

    /// Once in so many.
    pub(crate) fn once_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize]
    }
}
