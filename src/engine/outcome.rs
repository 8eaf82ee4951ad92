//! What happens to a hold after it was made: confirm, release, extend, payment, cancel, ship.

use super::core::{Core, span};
use super::find::{FoundHold, Hold, NotFound};
use super::part::{NoPart, Part, rest};
use super::reserve::Effort;
use super::told::Told;
use super::transition::{Beaten, Change, Pledges};
use crate::answer::{Confirmed, Extended, HoldState, Moved};
use crate::clock::Timestamp;
use crate::error::{Busy, Common, ConfirmError, HoldError, LookupError};
use crate::hold::lines::Lines;
use crate::hold::slot::{Slot, What};
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::log::record::{Encoded, Op, Place};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Confirm, Extend, OnHold};
use crate::stall;
use crate::types::{HoldId, Position};

/// One step in the life of a hold.
struct Step {
    event: Event,
    told: Told,
    /// What the hold has afterwards, where that is not what it had.
    has: Option<Lines>,
}

/// A hold that was changed.
struct Changed {
    before: Hold,
    after: Word,
    told: Told,
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
    NoPart(NoPart),
    Common(Common),
}

impl From<Common> for Stuck {
    fn from(cause: Common) -> Self {
        Stuck::Common(cause)
    }
}

impl From<NoPart> for Stuck {
    fn from(why: NoPart) -> Self {
        match why {
            NoPart::Common(cause) => Stuck::Common(cause),
            why => Stuck::NoPart(why),
        }
    }
}

impl From<NotFound> for Stuck {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => Stuck::Lookup(error),
            NotFound::Common(cause) => Stuck::Common(cause),
        }
    }
}

impl Core {
    /// Takes a hold one step on, logging it and giving back what it returns. `probe` is an event that the hold's phase
    /// allows if it allows the step's.
    #[inline]
    fn change(
        &self,
        found: FoundHold<'_>,
        now: Timestamp,
        op: Option<Op>,
        probe: Event,
        step: impl Fn(&Hold) -> Result<Step, NoPart>,
    ) -> Result<Changed, Stuck> {
        let FoundHold { slot, place, hold } = found;
        let mut just_found = Some(hold);
        loop {
            let hold = match just_found.take() {
                Some(hold) => hold,
                None => {
                    let hold = self.here(slot, place.generation)?;
                    hold.ok_or(Stuck::Lookup(LookupError::Forgotten))?
                }
            };
            match decide(hold.word, now, probe) {
                Ok(_) => {}
                // Whoever answers anything because a deadline has passed closes the hold first.
                Err(No::Due) => match self.expire(slot, place, now)? {
                    Some(_) => return Err(Stuck::No(No::Due)),
                    None => continue,
                },
                Err(no) => return Err(Stuck::No(no)),
            }
            let Step { event, told, has } = step(&hold)?;
            let next = decide(hold.word, now, event).map_err(Stuck::No)?;
            if next == hold.word && op.is_none() {
                // Nothing happens, so nothing is written: a swap that changes nothing does not say which of two
                // records came first.
                self.stopped().map_err(Common::from)?;
                return Ok(Changed { after: next, before: hold, told, position: self.read_position() });
            }
            let ttl = span(now, next.deadline());
            let mut record = Encoded::empty();
            let put = told.put(&mut record, hold.lines.len() > 1, (self.at(now), place), ttl, op);
            put.ok_or(Common::CartLines(hold.lines.len()))?;
            record.set_answer(next.units().into());
            let (to, has) = way(&hold, next, has)?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let (back, taken) = (self.announce(told.back())?, Pledges::default());
            let change = Change { claim, record: &record, slot, from: hold.word, to, back, taken };
            match change.make(|| self.write(slot, &hold, next, has)) {
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

    /// Behind a swap to `Changing`: what the hold has, and its next word.
    #[inline]
    fn write(&self, slot: &Slot, hold: &Hold, next: Word, has: Option<Lines>) {
        if let Some(has) = has {
            self.holds.change_units(slot, &hold.facts, next.retagged(), |key| has.of(key));
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
            let has = (!returned.is_empty()).then(|| taken.clone());
            Ok(Step {
                event: Event::Confirm { units: taken.units() },
                told: Told::Confirm { taken, returned },
                has,
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
        part: Part<'_>,
        (slot, place): (&Slot, Place),
        hold_id: HoldId,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let mut effort = Effort::new();
        loop {
            let hold = self.here(slot, place.generation)?.ok_or(LookupError::Forgotten)?;
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
            let has = (taken != hold.lines).then(|| taken.clone());
            let (to, has) = way(&hold, next, has).map_err(|why| confirm_error(why.into()))?;
            let told = Told::Retake { taken: taken.clone() };
            let (mut record, ttl) = (Encoded::empty(), span(now, now));
            let put = told.put(&mut record, hold.lines.len() > 1, (self.at(now), place), ttl, op);
            put.ok_or(Common::CartLines(taken.len()))?;
            let claim = self.claim(record.words(), Share::Keep)?;
            // Tentatively: should the hold have another outcome meanwhile, the units go back.
            let Some(again) = self.take_tentatively(&taken) else { continue };
            let back = Pledges::default();
            let change = Change { claim, record: &record, slot, from: hold.word, to, back, taken: again };
            match change.make(|| self.write(slot, &hold, next, has)) {
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
        request: OnHold<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let Changed { told, position, .. } = self
            .change(found, now, op, Event::Release, |hold| {
                self.whole(part, hold)?;
                Ok(Step {
                    event: Event::Release,
                    told: Told::Release { lines: hold.lines.clone() },
                    has: None,
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
            .change(found, now, op, event, |_| Ok(Step { event, told: Told::Extend, has: None }))
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
        request: OnHold<'_>,
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
                Ok(Step { event: Event::Pay { deadline }, told: Told::Pay, has: None })
            })
            .map_err(hold_error)?;
        self.count(Count::PaymentsBegun);
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    pub(crate) fn cancel(
        &self,
        request: OnHold<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let part = self.named(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(|why| hold_error(why.into()))?;
        let (moved, position) = self.move_committed(found, part, now, op, |lines| {
            (Event::Cancel { units: Some(lines.units()) }, Told::Cancel { lines })
        })?;
        self.count(Count::Cancelled);
        Ok((moved.of(request.hold), position))
    }

    pub(crate) fn ship(
        &self,
        request: OnHold<'_>,
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
        part: Part<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(MovedLines, Position), HoldError> {
        // The locks of physical movements: what is on hand falls with the shipment.
        let keys: Vec<u32> = found.hold.lines.iter().map(|line| line.key).collect();
        let alone = self.book.alone_with(keys.iter().copied());
        let (moved, position) = self.move_committed(found, part, now, op, |lines| {
            (Event::Ship { units: Some(lines.units()) }, Told::Ship { lines })
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
        part: Part<'_>,
        now: Timestamp,
        op: Option<Op>,
        step: impl Fn(Lines) -> (Event, Told),
    ) -> Result<(MovedLines, Position), HoldError> {
        let probe = Event::Cancel { units: None };
        let found_confirmed = found.hold.word.phase() == Phase::Confirmed;
        let Changed { before, after, told, position } = self
            .change(found, now, op, probe, |hold| {
                // Paid for since it was found, it may have got other lines before that, whose locks nobody has.
                if !found_confirmed {
                    return Err(NoPart::Common(self.busy(Busy::Changing)));
                }
                let lines = self.part(&hold.lines, part)?;
                let has = rest(&hold.lines, &lines);
                let (event, told) = step(lines);
                Ok(Step { event, told, has: (!has.is_empty()).then_some(has) })
            })
            .map_err(hold_error)?;
        let lines = match told {
            Told::Ship { lines } | Told::Cancel { lines } => lines,
            _ => before.lines,
        };
        Ok((MovedLines { lines, remaining: after.units() }, position))
    }

    /// Refuses to do for a part of a hold what is done for all of it.
    fn whole(&self, part: Part<'_>, hold: &Hold) -> Result<(), NoPart> {
        match self.part(&hold.lines, part) {
            Ok(part) if part == hold.lines => Ok(()),
            Ok(_) | Err(NoPart::NameLines { .. }) => Err(NoPart::WholeOnly { held: hold.lines.units() }),
            Err(why) => Err(why),
        }
    }
}

/// The word that a step swaps a hold to, and what is to be written behind it: what the word cannot say, where the hold's
/// lines stand in a chain, is written while it says `Changing`.
fn way(hold: &Hold, next: Word, has: Option<Lines>) -> Result<(Word, Option<Lines>), NoPart> {
    match has.filter(|_| matches!(hold.facts.what, What::Chain { .. })) {
        None => Ok((next, None)),
        Some(_) if !hold.facts.can_change() => Err(NoPart::TooOften),
        has => Ok((hold.word.changing(), has)),
    }
}

fn confirm_error(stuck: Stuck) -> ConfirmError {
    match stuck {
        Stuck::No(No::Due | No::Phase(Phase::Expired)) => ConfirmError::Expired,
        Stuck::No(No::Phase(phase)) => {
            phase.public().map_or(LookupError::Unknown.into(), ConfirmError::Ended)
        }
        Stuck::No(No::NotDue | No::TooMany { .. }) => LookupError::Unknown.into(),
        Stuck::NoPart(NoPart::TooMany { asked, there: held }) => ConfirmError::TooMany { asked, held },
        Stuck::NoPart(NoPart::NotHeld(key)) => ConfirmError::NotHeld(key),
        Stuck::NoPart(NoPart::NameLines { lines }) => ConfirmError::NameLines { lines },
        Stuck::NoPart(NoPart::WholeOnly { .. }) => LookupError::Unknown.into(),
        Stuck::NoPart(NoPart::TooOften) => ConfirmError::TooOften,
        Stuck::NoPart(NoPart::Common(cause)) | Stuck::Common(cause) => cause.into(),
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
        Stuck::NoPart(NoPart::TooMany { asked, there: remaining }) => HoldError::TooMany { asked, remaining },
        Stuck::NoPart(NoPart::NotHeld(key)) => HoldError::NotHeld(key),
        Stuck::NoPart(NoPart::NameLines { lines }) => HoldError::NameLines { lines },
        Stuck::NoPart(NoPart::WholeOnly { held }) => HoldError::WholeOnly { held },
        Stuck::NoPart(NoPart::TooOften) => HoldError::TooOften,
        Stuck::NoPart(NoPart::Common(cause)) | Stuck::Common(cause) => cause.into(),
        Stuck::Lookup(error) => error.into(),
    }
}
