//! Levels by the fold: the book of every stock key at one position.

use super::packed::{Packed, Unpacked};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::log::lines::LinePair;
use crate::log::record::Record;
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

    /// What `record` does to one key that it touches: `first` and `second` are the key's units in the record's
    /// [lines](Record::lines).
    #[inline(always)]
    pub(crate) fn apply(&mut self, record: &Record<'_>, first: u32, second: u32) {
        let (first, second) = (i64::from(first), i64::from(second));
        match *record {
            // What was decided is applied, never decided again.
            Record::Reserve { .. } if planted(Fault::RejudgeInFold) && self.available() < first => {}
            Record::Reserve { .. } | Record::ReserveCart { .. } => self.held += first,
            Record::Confirm { .. } | Record::ConfirmCart { .. } => {
                self.held -= first + second;
                self.committed += first;
            }
            Record::Retake { .. } | Record::RetakeCart { .. } => self.committed += first,
            Record::Release { .. }
            | Record::Expire { .. }
            | Record::ReleaseCart { .. }
            | Record::ExpireCart { .. } => self.held -= first,
            Record::Ship { .. } | Record::ShipCart { .. } => {
                self.on_hand -= first;
                self.committed -= first;
            }
            Record::Cancel { .. } | Record::CancelCart { .. } => self.committed -= first,
            Record::Replace { .. } => self.held += second - first,
            Record::Receive { quantity, .. } => self.on_hand += i64::from(quantity),
            Record::Adjust { delta, .. } => {
                self.on_hand = self.on_hand.saturating_add(delta);
                self.corrected_down = self.corrected_down.saturating_add(delta.min(0).saturating_neg());
            }
            Record::Sale { stopped, .. } => (self.stopped, self.opens_at_ms) = (stopped, 0),
            Record::Opens { opens_at_ms, .. } => (self.stopped, self.opens_at_ms) = (false, opens_at_ms),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Extend { .. }
            | Record::Pay { .. }
            | Record::Refuse { .. } => {}
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
    pub(crate) fn get(&self, key: u32) -> Option<KeyLevel> {
        match self.keys.get(key as usize)?.unpack() {
            Unpacked::Here(level) => Some(level),
            Unpacked::Elsewhere(number) => self.large.get(number).copied(),
        }
    }

    /// Something of the book that `record` touches first, to have it near.
    #[inline]
    pub(crate) fn prefetch(&self, record: &Record<'_>) -> u64 {
        let packed = record.stock_key().and_then(|key| self.keys.get(key as usize));
        packed.map_or(0, |packed| packed.prefetch())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, KeyLevel)> {
        (0..self.keys.len() as u32).filter_map(|key| Some((key, self.get(key)?)))
    }

    /// What `record` does to the book. Every prefix of the log must leave it valid.
    pub(crate) fn apply(&mut self, position: u64, record: &Record<'_>) -> Result<(), Contradiction> {
        let wrong = |what| Contradiction { position, what };
        if let Record::Declare { key, .. } = *record {
            if key as usize != self.keys.len() {
                return Err(wrong("a stock key is declared out of turn"));
            }
            self.keys.push(Packed::default());
            return Ok(());
        }
        if !record.is_sane() {
            return Err(wrong("it moves a number of units that no operation can"));
        }
        record.touch(|LinePair { key, first, second }| {
            self.change(key, |level| level.apply(record, first, second)).map_err(wrong)
        })
    }

    /// Changes one level, and says what makes it one that cannot be.
    #[inline]
    pub(crate) fn change(&mut self, key: u32, change: impl Fn(&mut KeyLevel)) -> Result<(), &'static str> {
        let packed = self.keys.get_mut(key as usize).ok_or(UNDECLARED)?;
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

    #[test]
    fn a_level_that_no_longer_fits_is_counted_on_beside() {
        let mut levels = Levels::of(2);
        let mut whole = KeyLevel::default();
        let receive = |quantity| Record::Receive { at: 0, key: 1, quantity, reference: b"", op: None };
        let opens = Record::Opens { at: 0, key: 1, opens_at_ms: 7 };
        let quantity = 1_000_000;
        for (record, units) in [(receive(quantity), quantity), (receive(quantity), quantity), (opens, 0)] {
            levels.apply(1, &record).unwrap();
            whole.apply(&record, units, 0);
            assert_eq!(levels.get(1), Some(whole));
        }
        assert_eq!((levels.large.len(), levels.get(2)), (1, None));
        assert!(levels.iter().eq([(0, KeyLevel::default()), (1, whole)]));
        for key in [0, 1] {
            assert_eq!(levels.change(key, |level| level.held -= 1), Err(NOT_THERE));
        }
    }
}
