//! Levels by the fold: the book of every stock key at one position.

use super::packed::{Packed, Unpacked};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::index::KeyIndex;
use crate::log::lines::LinePair;
use crate::log::record::effect::Signs;
use crate::log::record::{Detail, EntryKind, Fact, Subject};
use crate::types::ON_HAND_MAX;

/// A record that contradicts what lies before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record that ends at position {position} contradicts the log before it: {what}")]
pub(crate) struct Contradiction {
    pub position: u64,
    pub what: &'static str,
}

const UNDECLARED: &str = "a stock key that was never declared";
const NOT_THERE: &str = "it leaves the stock key with units that are not there";

/// One stock key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyLevel {
    pub on_hand: i64,
    pub held: i64,
    pub committed: i64,
    /// Sum of the corrections downwards: how far below zero `available` may lie.
    pub corrected_down: i64,
    pub stopped: bool,
    /// Until when reserves are refused, in Unix milliseconds; 0 = no time was set.
    pub opens_at_ms: u64,
}

impl KeyLevel {
    pub(crate) fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.held).saturating_sub(self.committed)
    }

    pub(crate) fn opens_at(&self) -> Option<Timestamp> {
        (self.opens_at_ms > 0).then_some(Timestamp(self.opens_at_ms))
    }

    /// What `fact` does to one of its stock keys, whose quantities in it are `first` and `second`. What was decided is
    /// applied, never decided again.
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
        self.corrected_down += corrected_down[0] * first + corrected_down[1] * second;
        if let Detail::Gate { stopped, opens_at_ms } = fact.detail {
            (self.stopped, self.opens_at_ms) = (stopped, opens_at_ms);
        }
    }

    /// What makes a level one that cannot be.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.on_hand > ON_HAND_MAX || self.available() < -ON_HAND_MAX {
            return Err("it leaves more units than can be counted");
        }
        if self.held < 0 || self.committed < 0 { Err(NOT_THERE) } else { self.covered() }
    }

    /// Sales alone never take `available` below zero. (`on_hand` may lie there: a warehouse that ships what a count
    /// had denied is believed.) All of [`check`](Self::check) for a level that can be packed.
    #[inline]
    fn covered(&self) -> Result<(), &'static str> {
        if self.available().saturating_add(self.corrected_down) >= 0 { Ok(()) } else { Err(NOT_THERE) }
    }
}

/// Every stock key, by index: 8 bytes each, and 48 more for one whose level has not always fitted them. Those are not
/// packed again before the next opening.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    keys: Vec<Packed>,
    large: Vec<KeyLevel>,
}

impl Levels {
    /// Of so many keys, all empty.
    pub(crate) fn of(keys: usize) -> Levels {
        Levels { keys: vec![Packed::default(); keys], large: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, key: KeyIndex) -> Option<KeyLevel> {
        match self.keys.get(key.as_usize())?.unpack() {
            Unpacked::Here(level) => Some(level),
            Unpacked::Elsewhere(number) => self.large.get(number).copied(),
        }
    }

    /// Reads a word of the level that `fact` touches first, so that it is in the cache when the fact is applied.
    #[inline]
    pub(crate) fn prefetch(&self, fact: &Fact<'_>) -> u64 {
        let packed = fact.stock_key().and_then(|key| self.keys.get(key.as_usize()));
        packed.map_or(0, |packed| packed.prefetch())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (KeyIndex, KeyLevel)> {
        (0..self.keys.len() as u32).map(KeyIndex).filter_map(|key| Some((key, self.get(key)?)))
    }

    /// Applies `fact`, whose record ends at `position`. Every prefix of the log must leave the levels valid.
    pub(crate) fn apply(&mut self, position: u64, fact: &Fact<'_>) -> Result<(), Contradiction> {
        let wrong = |what| Contradiction { position, what };
        if let Subject::NewKey { key, .. } = fact.subject {
            if key.as_usize() != self.keys.len() {
                return Err(wrong("a stock key is declared out of turn"));
            }
            self.keys.push(Packed::default());
            return Ok(());
        }
        if !fact.is_sane() {
            return Err(wrong("it moves a number of units that no operation can"));
        }
        fact.visit(|LinePair { target, first, second }| {
            let key = target.good().ok_or(wrong(UNDECLARED))?;
            self.change(key, |level| level.apply(fact, first, second)).map_err(wrong)
        })
    }

    /// Changes one level, and says what makes it one that cannot be.
    #[inline]
    pub(crate) fn change(
        &mut self,
        key: KeyIndex,
        change: impl Fn(&mut KeyLevel),
    ) -> Result<(), &'static str> {
        let packed = self.keys.get_mut(key.as_usize()).ok_or(UNDECLARED)?;
        match packed.unpack() {
            Unpacked::Here(mut level) => {
                change(&mut level);
                match Packed::of(&level) {
                    Some(changed) => {
                        *packed = changed;
                        level.covered()
                    }
                    None => {
                        *packed = Packed::elsewhere(self.large.len());
                        self.large.push(level);
                        level.check()
                    }
                }
            }
            Unpacked::Elsewhere(number) => {
                let level = self.large.get_mut(number).ok_or(UNDECLARED)?;
                change(level);
                level.check()
            }
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::log::record::Record;

    #[test]
    fn a_level_that_no_longer_fits_is_counted_on_beside() {
        let mut levels = Levels::of(2);
        let mut whole = KeyLevel::default();
        let receive =
            |quantity| Record::Receive { at: 0, key: KeyIndex(1), quantity, reference: b"", op: None };
        let opens = Record::Opens { at: 0, key: KeyIndex(1), opens_at_ms: 7 };
        let quantity = 1_000_000;
        for (record, units) in [(receive(quantity), quantity), (receive(quantity), quantity), (opens, 0)] {
            levels.apply(1, &record.fact()).unwrap();
            whole.apply(&record.fact(), units, 0);
            assert_eq!(levels.get(KeyIndex(1)), Some(whole));
        }
        assert_eq!((levels.large.len(), levels.get(KeyIndex(2))), (1, None));
        assert!(levels.iter().eq([(KeyIndex(0), KeyLevel::default()), (KeyIndex(1), whole)]));
        for key in [0, 1] {
            assert_eq!(levels.change(KeyIndex(key), |level| level.held -= 1), Err(NOT_THERE));
        }
    }
}
