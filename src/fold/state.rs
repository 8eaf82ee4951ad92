//! The whole state of an engine, as its log says: what recovery puts back.

use std::collections::HashMap;

use super::levels::{Contradiction, Levels};
use crate::clock::{TIME_MAX, Timestamp};
use crate::hold::lines::{Line, Lines};
use crate::hold::state::{Phase, Word};
use crate::hold::table::USES_MAX;
use crate::log::lines::{Beside, beside};
use crate::log::record::{Place, Record, Records, Span};
use crate::types::Reference;

/// Slots of the table of holds at most.
const SLOTS_MAX: u32 = 1 << 30;

/// A hold, as the log says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FoldedHold {
    pub generation: u32,
    /// The opening that made it.
    pub epoch: u32,
    /// What it holds, or, confirmed, what of it is committed; of a hold that has ended, what it had last.
    pub lines: Lines,
    pub born: Timestamp,
    pub reference: Reference,
    pub word: Word,
}

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
    pub names: Vec<(Box<str>, Box<str>)>,
    pub holds: HashMap<u32, FoldedHold>,
    /// Behind the last record.
    pub position: u64,
    pub records: u64,
    /// The latest time in the log.
    pub now: Timestamp,
    /// The opening that wrote the last record.
    pub epoch: u32,
    opened_at: Timestamp,
}

impl Fold {
    /// Applies every record of a chunk's payload, handing those with an op key to `ops`.
    pub(crate) fn payload(
        &mut self,
        start: u64,
        payload: &[u8],
        ops: &mut dyn FnMut(FoldedOp<'_>),
    ) -> Result<(), Contradiction> {
        for record in Records::new(payload, start) {
            let (position, record) = record.map_err(|_| Contradiction {
                position: self.position,
                what: "bytes that are not a record",
            })?;
            self.apply(position, &record, ops)?;
        }
        Ok(())
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
        let is_one = |place: Place| place.slot < SLOTS_MAX && (1..=USES_MAX).contains(&place.generation);
        if record.place().is_some_and(|place| !is_one(place)) {
            return Err(wrong("a hold in a place that cannot be"));
        }
        if at.is_some_and(|at| at.0 > TIME_MAX.0) {
            return Err(wrong("a time that cannot be"));
        }
        let (first, second) = record.lines();
        let mut epoch = self.epoch;
        match *record {
            Record::Opened { epoch, at_unix_ms } => {
                self.epoch = epoch;
                if at_unix_ms > TIME_MAX.0 {
                    return Err(wrong("a time that cannot be"));
                }
                self.opened_at = Timestamp(at_unix_ms);
                self.now = self.now.max(self.opened_at);
            }
            Record::Declare { sku, location, .. } => self.names.push((sku.into(), location.into())),
            Record::Reserve { place, ttl, reference, .. }
            | Record::ReserveCart { place, ttl, reference, .. } => {
                let born = at.unwrap_or_default();
                let lines: Lines = first.collect();
                let hold = FoldedHold {
                    generation: place.generation,
                    epoch: self.epoch,
                    lines,
                    born,
                    reference: Reference::new(reference)
                        .ok_or_else(|| wrong("a reference that is too long"))?,
                    word: Word::with_deadline(
                        Phase::Active,
                        place.generation,
                        Timestamp(born.0.saturating_add(ttl.millis())),
                    ),
                };
                if let Some(before) = self.holds.insert(place.slot, hold)
                    && (before.generation >= place.generation
                        || before.word.phase().is_live()
                        || before.word.phase() == Phase::Confirmed)
                {
                    return Err(wrong("a slot is used again before its hold has ended"));
                }
            }
            Record::Void { .. } | Record::Receive { .. } | Record::Adjust { .. } => {}
            Record::Sale { .. } | Record::Refuse { .. } => {}
            Record::Opens { opens_at_ms, .. } if opens_at_ms > TIME_MAX.0 => {
                return Err(wrong("a time that cannot be"));
            }
            Record::Opens { .. } => {}
            Record::Confirm { place, .. } | Record::ConfirmCart { place, .. } => {
                let hold = self.hold(place).ok_or_else(|| wrong("a confirm of a hold that is not live"))?;
                let whole = beside(first.clone(), second)
                    .map(|Beside { key, first, second }| Line { key, units: first.saturating_add(second) });
                if !whole.eq(hold.lines.iter().copied()) {
                    return Err(wrong("a confirm of other lines than the hold has"));
                }
                hold.lines = first.collect();
                hold.word = Word::with_units(Phase::Confirmed, place.generation, hold.lines.units());
                epoch = hold.epoch;
            }
            Record::Retake { place, .. } | Record::RetakeCart { place, .. } => {
                let hold = self.any(place).filter(|hold| hold.word.phase() == Phase::Expired);
                let hold = hold.ok_or_else(|| wrong("a retake of a hold that had not expired"))?;
                let mut of_its_own = beside(hold.lines.iter().copied(), first.clone());
                if of_its_own.any(|line| line.second > line.first) {
                    return Err(wrong("a retake of more than the hold had"));
                }
                drop(of_its_own);
                hold.lines = first.collect();
                hold.word = Word::with_units(Phase::Confirmed, place.generation, hold.lines.units());
                epoch = hold.epoch;
            }
            Record::Release { place, .. } | Record::ReleaseCart { place, .. } => {
                let hold = self.hold(place).ok_or_else(|| wrong("a release of a hold that is not live"))?;
                if !first.eq(hold.lines.iter().copied()) {
                    return Err(wrong("a release of other lines than the hold has"));
                }
                hold.word = Word::with_units(Phase::Released, place.generation, 0);
                epoch = hold.epoch;
            }
            Record::Expire { place, .. } | Record::ExpireCart { place, .. } => {
                let hold = self.hold(place).ok_or_else(|| wrong("an expiry of a hold that is not live"))?;
                if !first.eq(hold.lines.iter().copied()) {
                    return Err(wrong("an expiry of other lines than the hold has"));
                }
                hold.word = Word::with_units(Phase::Expired, place.generation, 0);
                epoch = hold.epoch;
            }
            Record::Replace { place, ttl, .. } => {
                let hold =
                    self.hold(place).ok_or_else(|| wrong("other lines for a hold that is not live"))?;
                if !first.eq(hold.lines.iter().copied()) {
                    return Err(wrong("other lines are replaced than the hold has"));
                }
                hold.lines = second.collect();
                hold.word = later(hold.word, hold.word.phase(), place, at, ttl);
                epoch = hold.epoch;
            }
            Record::Extend { place, ttl, .. } | Record::Pay { place, ttl, .. } => {
                let pay = matches!(record, Record::Pay { .. });
                let hold = self.any(place).filter(|hold| {
                    // An extension that changed nothing is logged for its op key alone, and may lie behind the
                    // record of the outcome that came right after it.
                    hold.word.phase().is_live() || (!pay && record.op().is_some())
                });
                let hold = hold.ok_or_else(|| wrong("an extension of a hold that is not live"))?;
                if hold.word.phase().is_live() {
                    let phase = if pay { Phase::Paying } else { hold.word.phase() };
                    hold.word = later(hold.word, phase, place, at, ttl);
                }
                epoch = hold.epoch;
            }
            Record::Ship { place, .. }
            | Record::ShipCart { place, .. }
            | Record::Cancel { place, .. }
            | Record::CancelCart { place, .. } => {
                let hold = self.any(place).filter(|hold| hold.word.phase() == Phase::Confirmed);
                let hold = hold.ok_or_else(|| wrong("a movement of a hold that is not confirmed"))?;
                let left = || beside(hold.lines.iter().copied(), first.clone());
                if left().any(|line| line.second > line.first) {
                    return Err(wrong("more units move than the hold has"));
                }
                let left = left().map(|Beside { key, first, second }| Line { key, units: first - second });
                let rest: Lines = left.filter(|line| line.units > 0).collect();
                hold.word = if rest.is_empty() {
                    let shipped = matches!(record, Record::Ship { .. } | Record::ShipCart { .. });
                    let emptied = if shipped { Phase::Shipped } else { Phase::Cancelled };
                    Word::with_units(emptied, place.generation, 0)
                } else {
                    hold.lines = rest;
                    Word::with_units(Phase::Confirmed, place.generation, hold.lines.units())
                };
                epoch = hold.epoch;
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
        match *record {
            Record::Opened { at_unix_ms, .. } => Some(Timestamp(at_unix_ms)),
            _ => record.at().map(|at| Timestamp(self.opened_at.0.saturating_add(at))),
        }
    }

    fn any(&mut self, place: Place) -> Option<&mut FoldedHold> {
        self.holds.get_mut(&place.slot).filter(|hold| hold.generation == place.generation)
    }

    fn hold(&mut self, place: Place) -> Option<&mut FoldedHold> {
        self.any(place).filter(|hold| hold.word.phase().is_live())
    }
}

/// A live hold's word in `phase`, with the deadline `ttl` after `at`, unless the one it has is later.
fn later(word: Word, phase: Phase, place: Place, at: Option<Timestamp>, ttl: Span) -> Word {
    let deadline = Timestamp(at.unwrap_or_default().0.saturating_add(ttl.millis()));
    Word::with_deadline(phase, place.generation, deadline.max(word.deadline()))
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
