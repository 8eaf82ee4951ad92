//! The whole state of an engine, as its log gives it. Recovery puts it back into an engine.

use super::hold::{self, FoldedHold};
use super::holds::Holds;
use super::levels::{Contradiction, Levels};
use crate::clock::Timestamp;
use crate::log::record::{Batch, Detail, Fact, Logged, Records, Subject};
use crate::stock::names::Names;

/// An operation with an op key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldedOp<'a> {
    pub fact: &'a Fact<'a>,
    /// Its encoded record.
    pub bytes: &'a [u8],
    pub position: u64,
    pub at: Timestamp,
    /// The opening that made the hold; without a hold, the opening that wrote the record.
    pub epoch: u32,
}

/// The state after a position. A hold stays until its slot is used again, as in the live table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    pub levels: Levels,
    pub names: Names,
    pub holds: Holds,
    /// The position behind the last record.
    pub position: u64,
    pub records: u64,
    /// The latest time in the log.
    pub now: Timestamp,
    /// The opening that wrote the last record.
    pub epoch: u32,
    /// The time of that opening: the times of its records count from here.
    pub opened_at: Timestamp,
}

impl Fold {
    /// Applies every record of a chunk's payload, and passes those with an op key to `ops`.
    pub(crate) fn payload(
        &mut self,
        start: u64,
        payload: &[u8],
        ops: &mut dyn FnMut(FoldedOp<'_>),
    ) -> Result<(), Contradiction> {
        let (mut records, mut batch) = (Records::new(payload, start), Batch::new());
        while records.next_batch(&mut batch, |fact| self.prefetch(fact)) {
            for record in batch.drain(..) {
                let logged = record.map_err(|_| Contradiction {
                    position: self.position,
                    what: "bytes that are not a record",
                })?;
                self.apply(&logged, ops)?;
            }
        }
        Ok(())
    }

    /// Reads a word of all that `fact` touches, so that it is in the cache when the fact is applied.
    fn prefetch(&self, fact: &Fact<'_>) -> u64 {
        let hold = fact.place.and_then(|place| self.holds.get(place.slot));
        self.levels.prefetch(fact).wrapping_add(hold.map_or(0, |hold| hold.word.0))
    }

    /// Applies the next record. It applies what the engine decided, and never decides again.
    pub(crate) fn apply(
        &mut self,
        logged: &Logged<'_>,
        ops: &mut dyn FnMut(FoldedOp<'_>),
    ) -> Result<(), Contradiction> {
        let Logged { position, ref fact, bytes } = *logged;
        let wrong = |what| Contradiction { position, what };
        self.levels.apply(position, fact)?;
        let at = self.time_of(fact);
        at.map_or(Ok(()), hold::check_time).map_err(wrong)?;
        if let Some((epoch, opened_at)) = fact.opening() {
            (self.epoch, self.opened_at) = (epoch, opened_at);
        }
        if let Subject::NewKey { sku, location, .. } = fact.subject {
            self.names.push(sku, location);
        }
        if let Detail::Gate { opens_at_ms, .. } = fact.detail {
            hold::check_time(Timestamp(opens_at_ms)).map_err(wrong)?;
        }
        let mut epoch = self.epoch;
        if let Some(place) = fact.place {
            hold::check(place).map_err(wrong)?;
            let before = self.holds.get_mut(place.slot);
            let made = FoldedHold::made(fact, at.unwrap_or_default(), self.epoch, before.as_deref());
            match (made.map_err(wrong)?, before) {
                (Some(hold), _) => self.holds.insert(place.slot, hold),
                (None, Some(hold)) => {
                    hold.apply(fact, at).map_err(wrong)?;
                    epoch = hold.epoch;
                }
                (None, None) => return Err(wrong("it changes a hold that was never made")),
            }
        }
        self.now = self.now.max(at.unwrap_or_default());
        self.position = position;
        self.records += 1;
        if fact.op.is_some() {
            ops(FoldedOp { fact, bytes, position, at: at.unwrap_or_default(), epoch });
        }
        Ok(())
    }

    /// The time at which the next entry, `fact`, was decided.
    pub(crate) fn time_of(&self, fact: &Fact<'_>) -> Option<Timestamp> {
        fact.time(self.opened_at)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
