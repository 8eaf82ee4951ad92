//! Levels by the fold: the book of every stock key at one position.

use crate::log::record::Record;
use crate::types::ON_HAND_MAX;

/// A record that contradicts what lies before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record that ends at position {position} contradicts the log before it: {what}")]
pub(crate) struct Contradiction {
    pub position: u64,
    pub what: &'static str,
}

/// One stock key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyLevel {
    pub on_hand: i64,
    pub held: i64,
    pub committed: i64,
    /// Sum of the corrections downwards: how far below zero `available` may lie.
    pub corrected_down: i64,
    pub stopped: bool,
}

impl KeyLevel {
    pub(crate) fn available(&self) -> i64 {
        self.on_hand.saturating_sub(self.held).saturating_sub(self.committed)
    }

    /// Sales alone never take `available` below zero. (`on_hand` may lie there: a warehouse that ships what a count
    /// had denied is believed.)
    pub(crate) fn is_valid(&self) -> bool {
        self.held >= 0 && self.committed >= 0 && self.available().saturating_add(self.corrected_down) >= 0
    }
}

/// Every stock key, by index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    keys: Vec<KeyLevel>,
}

impl Levels {
    pub(crate) fn get(&self, key: u32) -> Option<&KeyLevel> {
        self.keys.get(key as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &KeyLevel)> {
        (0..).zip(&self.keys)
    }

    /// What `record` does to the book. Every prefix of the log must leave it valid.
    pub(crate) fn apply(&mut self, position: u64, record: &Record<'_>) -> Result<(), Contradiction> {
        let wrong = |what| Contradiction { position, what };
        if let Record::Declare { key, .. } = *record {
            if key as usize != self.keys.len() {
                return Err(wrong("a stock key is declared out of turn"));
            }
            self.keys.push(KeyLevel::default());
            return Ok(());
        }
        let Some(key) = record.stock_key() else { return Ok(()) };
        if !record.is_sane() {
            return Err(wrong("it moves a number of units that no operation can"));
        }
        let level =
            self.keys.get_mut(key as usize).ok_or_else(|| wrong("a stock key that was never declared"))?;
        match *record {
            Record::Reserve { quantity, .. } => level.held += i64::from(quantity),
            Record::Confirm { taken, returned, .. } => {
                level.held -= i64::from(taken) + i64::from(returned);
                level.committed += i64::from(taken);
            }
            Record::Retake { taken, .. } => level.committed += i64::from(taken),
            Record::Release { quantity, .. } | Record::Expire { quantity, .. } => {
                level.held -= i64::from(quantity);
            }
            Record::Ship { quantity, .. } => {
                level.on_hand -= i64::from(quantity);
                level.committed -= i64::from(quantity);
            }
            Record::Cancel { quantity, .. } => level.committed -= i64::from(quantity),
            Record::Receive { quantity, .. } => level.on_hand += i64::from(quantity),
            Record::Adjust { delta, .. } => {
                level.on_hand = level.on_hand.saturating_add(delta);
                level.corrected_down = level.corrected_down.saturating_add(delta.min(0).saturating_neg());
            }
            Record::Sale { stopped, .. } => level.stopped = stopped,
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Extend { .. }
            | Record::Pay { .. }
            | Record::Refuse { .. } => {}
        }
        if level.on_hand > ON_HAND_MAX || level.available() < -ON_HAND_MAX {
            return Err(wrong("it leaves more units than can be counted"));
        }
        if level.is_valid() {
            Ok(())
        } else {
            Err(wrong("it leaves the stock key with units that are not there"))
        }
    }
}
