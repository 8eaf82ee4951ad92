//! Lengths in words of the log, as a type of their own: they are not bytes, and they are not positions.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// A number of 8-byte words of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Words(pub(crate) u64);

impl Words {
    pub(crate) const ZERO: Words = Words(0);

    /// The words that a record of so many bytes takes in the ring, its 2-byte length included.
    #[inline]
    pub(crate) const fn of_record(bytes: usize) -> Words {
        Words((bytes as u64 + 2).div_ceil(8))
    }
}

impl Add for Words {
    type Output = Words;
    #[inline]
    fn add(self, other: Words) -> Words {
        Words(self.0 + other.0)
    }
}

impl Sub for Words {
    type Output = Words;
    #[inline]
    fn sub(self, other: Words) -> Words {
        Words(self.0 - other.0)
    }
}

impl AddAssign for Words {
    #[inline]
    fn add_assign(&mut self, other: Words) {
        *self = *self + other;
    }
}

impl SubAssign for Words {
    #[inline]
    fn sub_assign(&mut self, other: Words) {
        *self = *self - other;
    }
}

impl Sum for Words {
    #[inline]
    fn sum<I: Iterator<Item = Words>>(words: I) -> Words {
        words.fold(Words::ZERO, Add::add)
    }
}
