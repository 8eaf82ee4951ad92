//! The whole state of an engine, as its log says: what recovery puts back.

use super::hold::{self, FoldedHold};
use super::holds::Holds;
use super::levels::{Contradiction, Levels};
use crate::clock::Timestamp;
use crate::log::record::{Batch, Logged, Record, Records};
use crate::stock::names::Names;

/// An operation with an op key, as the log says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldedOp<'a> {
    pub record: &'a Record<'a>,
    pub position: u64,
    pub at: Timestamp,
    /// The opening that made the record's hold, or that wrote the record.
    pub epoch: u32,
}

/// See the module. Holds are kept by slot until the slot is used again, as the live table does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    pub levels: Levels,
    pub names: Names,
    pub holds: Holds,
    /// Behind the last record.
    pub position: u64,
    pub records: u64,
    /// The latest time in the log.
    pub now: Timestamp,
    /// The opening that wrote the last record.
    pub epoch: u32,
    /// Of that opening: times of records count from here.
    pub opened_at: Timestamp,
}

impl Fold {
    /// Applies every record of a chunk's payload, handing those with an op key to `ops`.
    pub(crate) fn payload(
        &mut self,
        start: u64,
        payload: &[u8],
        ops: &mut dyn FnMut(FoldedOp<'_>),
    ) -> Result<(), Contradiction> {
        let (mut records, mut batch) = (Records::new(payload, start), Batch::new());
        while records.next_batch(&mut batch, |record| self.prefetch(record)) {
            for record in batch.drain(..) {
                let Logged { position, record, .. } = record.map_err(|_| Contradiction {
                    position: self.position,
                    what: "bytes that are not a record",
                })?;
                self.apply(position, &record, ops)?;
            }
        }
        Ok(())
    }

    /// Something of all that `record` touches, to have it near.
    fn prefetch(&self, record: &Record<'_>) -> u64 {
        let hold = record.place().and_then(|place| self.holds.get(place.slot));
        self.levels.prefetch(record).wrapping_add(hold.map_or(0, |hold| hold.word.0))
    }

    /// Applies the record that ends at `position`. What was decided is applied, never decided again.
    pub(crate) fn apply(
        &mut self,
        position: u64,
        record: &Record<'_>,
        ops: &mut dyn FnMut(FoldedOp<'_>),
    ) -> Result<(), Contradiction> {
        let wrong = |what| Contradiction { position, what };
        self.levels.apply(position, record)?;
        let at = self.time_of(record);
        at.map_or(Ok(()), hold::check_time).map_err(wrong)?;
        let mut epoch = self.epoch;
        match *record {
            Record::Opened { epoch, at_unix_ms } => {
                (self.epoch, self.opened_at) = (epoch, Timestamp(at_unix_ms));
            }
            Record::Declare { sku, location, .. } => self.names.push(sku, location),
            Record::Opens { opens_at_ms, .. } => hold::check_time(Timestamp(opens_at_ms)).map_err(wrong)?,
            _ => {}
        }
        if let Some(place) = record.place() {
            hold::check(place).map_err(wrong)?;
            let before = self.holds.get_mut(place.slot);
            let made = FoldedHold::made(record, at.unwrap_or_default(), self.epoch, before.as_deref());
            match (made.map_err(wrong)?, before) {
                (Some(hold), _) => self.holds.insert(place.slot, hold),
                (None, Some(hold)) => {
                    hold.apply(record, at).map_err(wrong)?;
                    epoch = hold.epoch;
                }
                (None, None) => return Err(wrong("it happens to a hold that was never made")),
            }
        }
        self.now = self.now.max(at.unwrap_or_default());
        self.position = position;
        self.records += 1;
        if record.op().is_some() {
            ops(FoldedOp { record, position, at: at.unwrap_or_default(), epoch });
        }
        Ok(())
    }

    /// When the next record, `record`, was decided.
    pub(crate) fn time_of(&self, record: &Record<'_>) -> Option<Timestamp> {
        record.time(self.opened_at)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
