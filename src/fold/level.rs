//! The level of one stock key: what a fact does to it, and which levels are possible.

use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::log::record::effect::Signs;
use crate::log::record::{Detail, EntryKind, Fact};
use crate::types::ON_HAND_MAX;

pub(super) const NOT_THERE: &str = "it takes units that the stock key does not have";

/// The level of one stock key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyLevel {
    pub on_hand: i64,
    pub held: i64,
    pub committed: i64,
    /// Sum of all corrections downwards: `available` may be below zero by this much.
    pub corrected_down: i64,
    pub stopped: bool,
    /// Reserves are refused before this time (Unix ms); 0 if no time was set.
    pub opens_at_ms: u64,
}

impl KeyLevel {
    pub(crate) fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.held).saturating_sub(self.committed)
    }

    pub(crate) fn opens_at(&self) -> Option<Timestamp> {
        (self.opens_at_ms > 0).then_some(Timestamp(self.opens_at_ms))
    }

    /// Applies `fact` to one of its stock keys, whose two quantities are `first` and `second`. It applies
    /// what the engine decided, and never decides again.
    #[inline(always)]
    pub(crate) fn apply(&mut self, fact: &Fact<'_>, first: u32, second: u32) {
        let (first, second) = (i64::from(first), i64::from(second));
        if planted(Fault::RejudgeInFold) && fact.kind == EntryKind::Reserve && self.available() < first {
            return;
        }
        let Signs { on_hand, held, committed, corrected_down } = &fact.kind.effect().signs;
        self.on_hand += on_hand[0] * first + on_hand[1] * second;
        self.held += held[0] * first + held[1] * second;
        self.committed += committed[0] * first + committed[1] * second;
        // The sum of all corrections ever made has no bound, unlike the others, which `check` bounds.
        let down = corrected_down[0] * first + corrected_down[1] * second;
        self.corrected_down = self.corrected_down.saturating_add(down);
        if let Detail::Gate { stopped, opens_at_ms } = fact.detail {
            (self.stopped, self.opens_at_ms) = (stopped, opens_at_ms);
        }
    }

    /// Checks that the level is possible; the error says why it is not.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.on_hand > ON_HAND_MAX || self.available() < -ON_HAND_MAX {
            return Err("it leaves the stock key with a quantity out of range");
        }
        if self.held < 0 || self.committed < 0 { Err(NOT_THERE) } else { self.covered() }
    }

    /// Checks that sales alone did not take `available` below zero. `on_hand` may be below zero: a warehouse
    /// may ship units that a count did not find. For a level that can be packed this is all of
    /// [`check`](Self::check).
    #[inline]
    pub(super) fn covered(&self) -> Result<(), &'static str> {
        if self.available().saturating_add(self.corrected_down) >= 0 { Ok(()) } else { Err(NOT_THERE) }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::index::KeyIndex;
    use crate::log::record::Record;
    use crate::request::AdjustReason;

    #[test]
    fn more_corrections_than_can_be_counted_leave_the_level_whole() {
        let (at, key, reason) = (0, KeyIndex(0), AdjustReason::Count.into());
        let correction = Record::Adjust { at, key, delta: -1, reason, reference: b"", op: None }.fact();
        let mut level = KeyLevel { on_hand: 5, corrected_down: i64::MAX, ..KeyLevel::default() };
        level.apply(&correction, 0, 1);
        assert_eq!((level.on_hand, level.check()), (4, Ok(())));
    }
}
