//! Numbers that name things, each with a type of its own, so that none is taken for another.

use serde::{Deserialize, Serialize};

/// A stock key, by its number in the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeyIndex(pub(crate) u32);

/// A slot of the table of holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SlotIndex(pub(crate) u32);

/// A slot within its shard of the table of holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) struct LocalIndex(pub(crate) u32);

/// Which of the holds that a slot has had one after another; it grows with each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Generation(pub(crate) u32);

/// What a line of a hold counts: a stock key, the *good* of the line, or a limit that the hold counts under.
/// Kind and number share 32 bits. Goods come before limits in every order of targets.
///
/// No limit exists yet, so a line of one is refused wherever lines are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) struct Target(u32);

/// The first target that is a limit.
const LIMITS: u32 = 1 << 30;

impl Target {
    /// The number of stock keys that can be targets.
    pub(crate) const GOODS: usize = LIMITS as usize;

    /// Targets are below this number.
    pub(crate) const END: u64 = 1 << 31;

    /// The target with this number, of either kind.
    #[inline]
    pub(crate) const fn of(number: u32) -> Target {
        Target(number)
    }

    #[inline]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The stock key, unless the target is a limit.
    #[inline]
    pub(crate) const fn good(self) -> Option<KeyIndex> {
        if self.0 < LIMITS { Some(KeyIndex(self.0)) } else { None }
    }
}

impl From<KeyIndex> for Target {
    #[inline]
    fn from(key: KeyIndex) -> Target {
        Target(key.0)
    }
}

impl KeyIndex {
    #[inline]
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl SlotIndex {
    #[inline]
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl LocalIndex {
    #[inline]
    pub(crate) const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_good_or_a_limit_by_its_number() {
        let most = KeyIndex(LIMITS - 1);
        assert_eq!(
            (Target::from(KeyIndex(7)).good(), Target::from(most).good()),
            (Some(KeyIndex(7)), Some(most))
        );
        assert_eq!((Target::of(LIMITS).good(), Target::of(u32::MAX).good()), (None, None));
        assert!(Target::from(most) < Target::of(LIMITS), "goods come first");
    }
}
