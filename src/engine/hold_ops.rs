//! What happens to a hold after it was made: confirm, release, extend, payment, cancel, ship.

use super::core::{Core, span};
use super::hold_record::HoldChange;
use super::lookup::{FoundHold, Hold, NotFound};
use super::reserve::Effort;
use super::selection::{NoSelection, Selection, rest};
use super::transition::{Beaten, HoldTransition, Pledges};
use crate::answer::{Confirmed, Extended, HoldState, Moved};
use crate::clock::Timestamp;
use crate::error::{Busy, ConfirmError, HoldError, LookupError, SharedError};
use crate::hold::lines::Lines;
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::log::record::{Encoded, HoldPlace, Op};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Confirm, Extend, HoldAction};
use crate::stall;
use crate::types::{HoldId, Position};

/// One step in the life of a hold.
struct HoldStep {
    event: Event,
    told: HoldChange,
    /// What the hold has afterwards, where that is not what it had.
    remaining_lines: Option<Lines>,
}

/// A hold that was changed.
struct Changed {
    before: Hold,
    after: Word,
    told: HoldChange,
    position: Position,
}

/// What left a hold, and how much is still committed.
pub(super) struct MovedLines {
    lines: Lines,
    remaining: u32,
}

impl MovedLines {
    fn of(&self, hold: HoldId) -> Moved {
        Moved { hold, quantity: self.lines.units(), remaining: self.remaining }
    }
}

/// Why a hold could not be changed.
enum Stuck {
    Lookup(LookupError),
    No(No),
    NoSelection(NoSelection),
    Shared(SharedError),
}

impl From<SharedError> for Stuck {
    fn from(cause: SharedError) -> Self {
        Stuck::Shared(cause)
    }
}

impl From<NoSelection> for Stuck {
    fn from(why: NoSelection) -> Self {
        match why {
            NoSelection::Shared(cause) => Stuck::Shared(cause),
            why => Stuck::NoSelection(why),
        }
    }
}

impl From<NotFound> for Stuck {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => Stuck::Lookup(error),
            NotFound::Shared(cause) => Stuck::Shared(cause),
        }
    }
}

impl Core {
    /// Takes a hold one step on, logging it and giving back what it returns. `admits` is an event that the hold's phase
    /// allows if it allows the step's.
    #[inline]
    fn change(
        &self,
        found: FoundHold<'_>,
        now: Timestamp,
        op: Option<Op>,
        admits: Event,
        step: impl Fn(&Hold) -> Result<HoldStep, NoSelection>,
    ) -> Result<Changed, Stuck> {
        let FoundHold { slot, place, hold } = found;
        let mut just_found = Some(hold);
        loop {
            let hold = match just_found.take() {
                Some(hold) => hold,
                None => {
                    let hold = self.read(slot, place.generation)?;
                    hold.ok_or(Stuck::Lookup(LookupError::Forgotten))?
                }
            };
            match decide(hold.word, now, admits) {
                Ok(_) => {}
                // Whoever answers anything because a deadline has passed closes the hold first.
                Err(No::Due) => match self.expire(slot, place, now)? {
                    Some(_) => return Err(Stuck::No(No::Due)),
                    None => continue,
                },
                Err(no) => return Err(Stuck::No(no)),
            }
            let HoldStep { event, told, remaining_lines } = step(&hold)?;
            let next = decide(hold.word, now, event).map_err(Stuck::No)?;
            if next == hold.word && op.is_none() {
                // Nothing happens, so nothing is written: a swap that changes nothing does not say which of two
                // records came first.
                self.stopped().map_err(SharedError::from)?;
                return Ok(Changed { after: next, before: hold, told, position: self.read_position() });
            }
            let ttl = span(now, next.deadline());
            let mut record = Encoded::empty();
            let put = told.put(&mut record, hold.lines.len() > 1, (self.at(now), place), ttl, op);
            put.ok_or(SharedError::CartLines(hold.lines.len()))?;
            record.set_answer(next.units().into());
            let (to, remaining_lines) = plan_swap(&hold, next, remaining_lines)?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let (back, taken) = (self.announce(told.back())?, Pledges::default());
            let change = HoldTransition { claim, record: &record, slot, from: hold.word, to, back, taken };
            match change.make(|| self.write(slot, &hold, next, remaining_lines)) {
                Ok(end) => {
                    self.log.bell.ring();
                    stall::at(stall::Step::Ended);
                    if next.phase().is_over() {
                        self.holds.free(place.slot);
                    }
                    return Ok(Changed { before: hold, after: next, told, position: Position(end) });
                }
                Err(Beaten) => self.voided(),
            }
        }
    }

    /// Behind a swap to `Changing`: what the hold still has, and its next word.
    #[inline]
    fn write(&self, slot: &Slot, hold: &Hold, next: Word, remaining_lines: Option<Lines>) {
        if let Some(remaining_lines) = remaining_lines {
            self.holds.change_units(slot, &hold.facts, next.retagged(), |key| remaining_lines.of(key));
        }
    }

    pub(crate) fn confirm(
        &self,
        request: Confirm<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| confirm_error(why.into()))?;
        let (slot, place) = (found.slot, found.place);
        let changed = self.change(found, now, op, Event::Confirm { units: 1 }, |hold| {
            let taken = self.part(&hold.lines, part)?;
            let returned = rest(&hold.lines, &taken);
            let remaining_lines = (!returned.is_empty()).then(|| taken.clone());
            Ok(HoldStep {
                event: Event::Confirm { units: taken.units() },
                told: HoldChange::Confirm { taken, returned },
                remaining_lines,
            })
        });
        match changed {
            Ok(Changed { after, told, position, .. }) => {
                self.count(Count::Confirmed);
                let returned = told.back().iter().fold(0, |sum, line| sum + line.units);
                let confirmed =
                    Confirmed { hold: request.hold, quantity: after.units(), returned, retaken: false };
                Ok((confirmed, position))
            }
            Err(Stuck::No(No::Due | No::Phase(Phase::Expired))) if request.retake => {
                self.confirm_late(part, (slot, place), request.hold, now, op)
            }
            Err(stuck) => Err(confirm_error(stuck)),
        }
    }

    /// Takes an expired hold's units again and confirms, in one step.
    fn confirm_late(
        &self,
        part: Selection<'_>,
        (slot, place): (&Slot, HoldPlace),
        hold_id: HoldId,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let mut effort = Effort::new();
        loop {
            let hold = self.read(slot, place.generation)?.ok_or(LookupError::Forgotten)?;
            match decide(hold.word, now, Event::Retake { units: 1 }) {
                Ok(_) => {}
                Err(No::Phase(phase)) => {
                    return Err(ConfirmError::Ended(phase.public().unwrap_or(HoldState::Expired)));
                }
                Err(_) => return Err(ConfirmError::Expired),
            }
            let taken = self.part(&hold.lines, part).map_err(|why| confirm_error(why.into()))?;
            let units = taken.units();
            let next = decide(hold.word, now, Event::Retake { units }).map_err(|_| ConfirmError::Expired)?;
            for line in &*taken {
                match self.would_refuse(*line, self, &mut effort)? {
                    None => {}
                    Some(refusal) => return Err(ConfirmError::Refused(refusal)),
                }
            }
            let remaining_lines = (taken != hold.lines).then(|| taken.clone());
            let (to, remaining_lines) =
                plan_swap(&hold, next, remaining_lines).map_err(|why| confirm_error(why.into()))?;
            let told = HoldChange::Retake { taken: taken.clone() };
            let (mut record, ttl) = (Encoded::empty(), span(now, now));
            let put = told.put(&mut record, hold.lines.len() > 1, (self.at(now), place), ttl, op);
            put.ok_or(SharedError::CartLines(taken.len()))?;
            let claim = self.claim(record.words(), Share::Keep)?;
            // Tentatively: should the hold have another outcome meanwhile, the units go back.
            let Some(again) = self.take_tentatively(&taken) else { continue };
            let back = Pledges::default();
            let change =
                HoldTransition { claim, record: &record, slot, from: hold.word, to, back, taken: again };
            match change.make(|| self.write(slot, &hold, next, remaining_lines)) {
                Ok(end) => {
                    self.log.bell.ring();
                    self.count(Count::Confirmed);
                    self.count(Count::Retaken);
                    let confirmed = Confirmed { hold: hold_id, quantity: units, returned: 0, retaken: true };
                    return Ok((confirmed, Position(end)));
                }
                Err(Beaten) => self.voided(),
            }
        }
    }

    pub(crate) fn release(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let Changed { told, position, .. } = self
            .change(found, now, op, Event::Release, |hold| {
                self.whole(part, hold)?;
                Ok(HoldStep {
                    event: Event::Release,
                    told: HoldChange::Release { lines: hold.lines.clone() },
                    remaining_lines: None,
                })
            })
            .map_err(hold_error)?;
        self.count(Count::Released);
        let quantity = told.back().iter().fold(0, |sum, line| sum + line.units);
        Ok((Moved { hold: request.hold, quantity, remaining: 0 }, position))
    }

    pub(crate) fn extend(
        &self,
        request: Extend,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Extended, Position), HoldError> {
        let (min, max) = (self.config.ttl_min, self.config.ttl_max);
        if request.ttl < min || request.ttl > max {
            return Err(HoldError::Ttl { asked: request.ttl, min, max });
        }
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let deadline = now.plus(request.ttl);
        if let Some(latest) = self.beyond_life(&found.hold, now, deadline) {
            return Err(HoldError::LifeMax { latest });
        }
        let event = Event::Extend { deadline };
        let Changed { before, after, position, .. } = self
            .change(found, now, op, event, |_| {
                Ok(HoldStep { event, told: HoldChange::Extend, remaining_lines: None })
            })
            .map_err(hold_error)?;
        if after != before.word {
            self.count(Count::Extended);
        }
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    /// The last deadline that a live hold may have, if `deadline` is later. A hold that already lives longer is left as
    /// it is, and told so.
    pub(crate) fn beyond_life(&self, hold: &Hold, now: Timestamp, deadline: Timestamp) -> Option<Timestamp> {
        let latest = hold.facts.born.plus(self.config.life_max);
        let is_live = hold.word.phase().is_live() && !hold.is_due(now);
        (is_live && deadline > latest.max(hold.word.deadline())).then_some(latest)
    }

    pub(crate) fn begin_payment(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Extended, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let Changed { after, position, .. } = self
            .change(found, now, op, Event::Pay { deadline: now }, |hold| {
                self.whole(part, hold)?;
                let latest = hold.facts.born.plus(self.config.life_max);
                let deadline = hold.word.deadline().plus(self.config.payment_extension).min(latest);
                Ok(HoldStep { event: Event::Pay { deadline }, told: HoldChange::Pay, remaining_lines: None })
            })
            .map_err(hold_error)?;
        self.count(Count::PaymentsBegun);
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    pub(crate) fn cancel(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let (moved, position) = self.move_committed(found, part, now, op, |lines| {
            (Event::Cancel { units: Some(lines.units()) }, HoldChange::Cancel { lines })
        })?;
        self.count(Count::Cancelled);
        Ok((moved.of(request.hold), position))
    }

    pub(crate) fn ship(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let (moved, position) = self.ship_found(found, part, now, op)?;
        Ok((moved.of(request.hold), position))
    }

    /// Committed units of a hold leave the building.
    pub(super) fn ship_found(
        &self,
        found: FoundHold<'_>,
        part: Selection<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(MovedLines, Position), HoldError> {
        // The locks of physical movements: what is on hand falls with the shipment.
        let keys: Vec<u32> = found.hold.lines.iter().map(|line| line.key).collect();
        let alone = self.book.lock_keys(keys.iter().copied());
        let (moved, position) = self.move_committed(found, part, now, op, |lines| {
            (Event::Ship { units: Some(lines.units()) }, HoldChange::Ship { lines })
        })?;
        for key in keys {
            if let Some(item) = self.book.get(key) {
                item.set_on_hand(item.on_hand() - i64::from(moved.lines.of(key)));
            }
        }
        drop(alone);
        self.count(Count::Shipped);
        Ok((moved, position))
    }

    /// Committed units leave a hold: back on sale, or out of the building.
    fn move_committed(
        &self,
        found: FoundHold<'_>,
        part: Selection<'_>,
        now: Timestamp,
        op: Option<Op>,
        step: impl Fn(Lines) -> (Event, HoldChange),
    ) -> Result<(MovedLines, Position), HoldError> {
        let admits = Event::Cancel { units: None };
        let found_confirmed = found.hold.word.phase() == Phase::Confirmed;
        let Changed { before, after, told, position } = self
            .change(found, now, op, admits, |hold| {
                // Paid for since it was found, it may have got other lines before that, whose locks nobody has.
                if !found_confirmed {
                    return Err(NoSelection::Shared(self.busy(Busy::Changing)));
                }
                let lines = self.part(&hold.lines, part)?;
                let remaining_lines = rest(&hold.lines, &lines);
                let (event, told) = step(lines);
                Ok(HoldStep {
                    event,
                    told,
                    remaining_lines: (!remaining_lines.is_empty()).then_some(remaining_lines),
                })
            })
            .map_err(hold_error)?;
        let lines = match told {
            HoldChange::Ship { lines } | HoldChange::Cancel { lines } => lines,
            _ => before.lines,
        };
        Ok((MovedLines { lines, remaining: after.units() }, position))
    }

    /// Refuses to do for a part of a hold what is done for all of it.
    fn whole(&self, part: Selection<'_>, hold: &Hold) -> Result<(), NoSelection> {
        match self.part(&hold.lines, part) {
            Ok(part) if part == hold.lines => Ok(()),
            Ok(_) | Err(NoSelection::NameLines { .. }) => {
                Err(NoSelection::WholeOnly { held: hold.lines.units() })
            }
            Err(why) => Err(why),
        }
    }
}

/// The word that a step swaps a hold to, and what is to be written behind it: what the word cannot say, where the hold's
/// lines stand in a chain, is written while it says `Changing`.
fn plan_swap(
    hold: &Hold,
    next: Word,
    remaining_lines: Option<Lines>,
) -> Result<(Word, Option<Lines>), NoSelection> {
    match remaining_lines.filter(|_| hold.facts.is_chained()) {
        None => Ok((next, None)),
        Some(_) if !hold.facts.can_change() => Err(NoSelection::TooOften),
        remaining_lines => Ok((hold.word.changing(), remaining_lines)),
    }
}

fn confirm_error(stuck: Stuck) -> ConfirmError {
    match stuck {
        Stuck::No(No::Due | No::Phase(Phase::Expired)) => ConfirmError::Expired,
        Stuck::No(No::Phase(phase)) => {
            phase.public().map_or(LookupError::Unknown.into(), ConfirmError::Ended)
        }
        Stuck::No(No::NotDue | No::TooMany { .. }) => LookupError::Unknown.into(),
        Stuck::NoSelection(NoSelection::TooMany { asked, there: held }) => {
            ConfirmError::TooMany { asked, held }
        }
        Stuck::NoSelection(NoSelection::NotHeld(key)) => ConfirmError::NotHeld(key),
        Stuck::NoSelection(NoSelection::NameLines { lines }) => ConfirmError::NameLines { lines },
        Stuck::NoSelection(NoSelection::WholeOnly { .. }) => LookupError::Unknown.into(),
        Stuck::NoSelection(NoSelection::TooOften) => ConfirmError::TooOften,
        Stuck::NoSelection(NoSelection::Shared(cause)) | Stuck::Shared(cause) => cause.into(),
        Stuck::Lookup(error) => error.into(),
    }
}

fn hold_error(stuck: Stuck) -> HoldError {
    match stuck {
        Stuck::No(No::Due | No::Phase(Phase::Expired)) => HoldError::Expired,
        Stuck::No(No::Phase(phase)) => {
            phase.public().map_or(HoldError::Lookup(LookupError::Unknown), HoldError::WrongState)
        }
        Stuck::No(No::TooMany { remaining }) => HoldError::TooMany { asked: remaining, remaining },
        Stuck::No(No::NotDue) => HoldError::Lookup(LookupError::Unknown),
        Stuck::NoSelection(NoSelection::TooMany { asked, there: remaining }) => {
            HoldError::TooMany { asked, remaining }
        }
        Stuck::NoSelection(NoSelection::NotHeld(key)) => HoldError::NotHeld(key),
        Stuck::NoSelection(NoSelection::NameLines { lines }) => HoldError::NameLines { lines },
        Stuck::NoSelection(NoSelection::WholeOnly { held }) => HoldError::WholeOnly { held },
        Stuck::NoSelection(NoSelection::TooOften) => HoldError::TooOften,
        Stuck::NoSelection(NoSelection::Shared(cause)) | Stuck::Shared(cause) => cause.into(),
        Stuck::Lookup(error) => error.into(),
    }
}
