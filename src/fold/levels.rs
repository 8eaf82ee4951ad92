//! The levels of all stock keys at one position.

use super::level::KeyLevel;
use super::packed::{Packed, Unpacked};
use crate::index::KeyIndex;
use crate::log::lines::LinePair;
use crate::log::record::{Fact, Subject};

/// A record that contradicts the records before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record that ends at position {position} contradicts the log before it: {what}")]
pub(crate) struct Contradiction {
    pub position: u64,
    pub what: &'static str,
}

const UNDECLARED: &str = "a stock key that was never declared";

/// The level of every stock key, by index. A key takes 8 bytes, and 48 more once its level did not fit in
/// them; such a level is packed again only at the next opening.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    keys: Vec<Packed>,
    large: Vec<KeyLevel>,
}

impl Levels {
    /// Empty levels of so many keys.
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

    /// Reads a word of the level that `fact` touches first, so that it is in the cache when the fact is
    /// applied.
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
                return Err(wrong("a stock key is not declared with the next free index"));
            }
            self.keys.push(Packed::default());
            return Ok(());
        }
        if !fact.is_sane() {
            return Err(wrong("it moves more units than any operation can"));
        }
        fact.visit(|LinePair { target, first, second }| {
            let key = target.good().ok_or_else(|| wrong(UNDECLARED))?;
            self.change(key, |level| level.apply(fact, first, second)).map_err(wrong)
        })
    }

    /// Changes one level; the error says why the result is impossible.
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
    use super::super::level::NOT_THERE;
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
