//! What happens to a hold after it was made: confirm, release, extend, payment, cancel, ship.

use super::core::{Core, span};
use super::reserve::{Effort, SoldOut, quantity};
use super::transition::{Beaten, Change, Pledges};
use crate::answer::{Confirmed, Extended, HoldState, Moved, Refusal, RefusalReason};
use crate::clock::Timestamp;
use crate::error::{Common, ConfirmError, HoldError, LookupError};
use crate::hold::id::HoldIds;
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::hold::table::{Facts, Slot};
use crate::log::record::{Op, Place, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Confirm, Extend, OnHold};
use crate::types::{HoldId, Position, StockKey};

/// A hold that was found.
#[derive(Clone, Copy)]
pub(crate) struct FoundHold<'c> {
    pub slot: &'c Slot,
    pub place: Place,
    /// As it was when it was found; a change looks again.
    pub word: Word,
    pub facts: Facts,
}

/// A hold before and after it was changed.
struct Changed {
    before: Word,
    after: Word,
    facts: Facts,
    position: Position,
}

/// Why a hold could not be changed.
enum Stuck {
    Lookup(LookupError),
    No(No),
    Common(Common),
}

impl From<Common> for Stuck {
    fn from(cause: Common) -> Self {
        Stuck::Common(cause)
    }
}

impl Core {
    /// The hold that an id names.
    pub(crate) fn find(&self, id: HoldId) -> Result<FoundHold<'_>, LookupError> {
        let place = HoldIds::place(id);
        let slot = self.holds.slot(place.slot).ok_or(LookupError::Unknown)?;
        match self.seen(slot, place.generation) {
            Some((word, facts)) if self.answers.ids.id(place, facts.epoch) == id => {
                Ok(FoundHold { slot, place, word, facts })
            }
            Some(_) => Err(LookupError::Unknown),
            // A slot that was taken and given up again is free at the generation of the hold before.
            None if slot.facts().generation >= place.generation && self.answers.ids.is_ours(id) => {
                Err(LookupError::Forgotten)
            }
            None => Err(LookupError::Unknown),
        }
    }

    /// Applies an event to a hold, logging what `describe` says of it before and after, and giving back what it
    /// returns.
    fn change(
        &self,
        found: FoundHold<'_>,
        now: Timestamp,
        event: impl Fn(Word, &Facts) -> Event,
        describe: impl Fn(Word, Word, &Facts) -> (Record<'static>, u32),
    ) -> Result<Changed, Stuck> {
        let FoundHold { slot, place, .. } = found;
        loop {
            let (word, facts) =
                self.seen(slot, place.generation).ok_or(Stuck::Lookup(LookupError::Forgotten))?;
            let next = match decide(word, now, event(word, &facts)) {
                Ok(next) => next,
                // Whoever answers anything because a deadline has passed closes the hold first.
                Err(No::Due) => match self.expire(slot, place, now)? {
                    Some(_) => return Err(Stuck::No(No::Due)),
                    None => continue,
                },
                Err(no) => return Err(Stuck::No(no)),
            };
            let (record, returned) = describe(word, next, &facts);
            if next == word && record.op().is_none() {
                // Nothing happens, so nothing is written: a swap that changes nothing does not say which of two
                // records came first.
                self.stopped().map_err(Common::from)?;
                return Ok(Changed { before: word, after: next, facts, position: self.read_position() });
            }
            let mut record = self.encode(&record)?;
            record.set_answer(next.units().into());
            let claim = self.claim(record.words(), Share::Keep)?;
            let (mut back, taken) = (Pledges::default(), Pledges::default());
            if returned > 0 {
                self.announce(&mut back, facts.key, returned)?;
            }
            let change = Change { claim, record: &record, slot, from: word, to: next, back, taken };
            match change.make(|| {}) {
                Ok(end) => {
                    self.log.bell.ring();
                    if matches!(next.phase(), Phase::Released | Phase::Shipped | Phase::Cancelled) {
                        self.holds.free(place.slot);
                    }
                    return Ok(Changed { before: word, after: next, facts, position: Position(end) });
                }
                Err(Beaten) => self.voided(),
            }
        }
    }

    pub(crate) fn confirm(
        &self,
        request: Confirm,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let found = self.find(request.hold)?;
        let facts = found.facts;
        let held = facts.quantity;
        let taken = quantity(request.quantity.unwrap_or(held))?;
        if taken > held {
            return Err(ConfirmError::TooMany { asked: taken, held });
        }
        let (at, place, returned) = (self.at(now), found.place, held - taken);
        let event = |_, _: &Facts| Event::Confirm { units: taken };
        let changed = self.change(found, now, event, |_, _, facts| {
            (Record::Confirm { at, place, key: facts.key, taken, returned, op }, returned)
        });
        match changed {
            Ok(Changed { position, .. }) => {
                self.count(Count::Confirmed);
                Ok((Confirmed { hold: request.hold, quantity: taken, returned, retaken: false }, position))
            }
            Err(Stuck::No(No::Due | No::Phase(Phase::Expired))) if request.retake => {
                self.confirm_late(request.hold, found, facts.key, taken, now, op)
            }
            Err(Stuck::No(No::Due | No::Phase(Phase::Expired))) => Err(ConfirmError::Expired),
            Err(Stuck::No(No::Phase(phase))) => {
                Err(phase.public().map_or(LookupError::Unknown.into(), ConfirmError::Ended))
            }
            Err(Stuck::No(No::NotDue | No::TooMany { .. })) => Err(LookupError::Unknown.into()),
            Err(Stuck::Lookup(error)) => Err(error.into()),
            Err(Stuck::Common(cause)) => Err(cause.into()),
        }
    }

    /// Takes an expired hold's units again and confirms, in one step.
    fn confirm_late(
        &self,
        hold: HoldId,
        found: FoundHold<'_>,
        key: u32,
        taken: u32,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let item = self.book.get(key).ok_or(LookupError::Unknown)?;
        let refuse = |reason, available| {
            let key = StockKey { index: key, tag: self.answers.tag };
            let position = self.read_position();
            Err(ConfirmError::Refused(Refusal { reason, key, asked: taken, available, position }))
        };
        let mut effort = Effort::new();
        loop {
            let (word, _) = self.seen(found.slot, found.place.generation).ok_or(LookupError::Forgotten)?;
            let next = match decide(word, now, Event::Retake { units: taken }) {
                Ok(next) => next,
                Err(No::Phase(phase)) => {
                    return Err(ConfirmError::Ended(phase.public().unwrap_or(HoldState::Expired)));
                }
                Err(_) => return Err(ConfirmError::Expired),
            };
            if item.is_stopped() {
                return refuse(RefusalReason::Stopped, item.counter.roughly(self.lane(key)));
            }
            let (at, place) = (self.at(now), found.place);
            let record = self.encode(&Record::Retake { at, place, key, taken, op })?;
            let claim = self.claim(record.words(), Share::Keep)?;
            // Tentatively: should the hold have another outcome meanwhile, the units go back.
            let (back, mut again) = (Pledges::default(), Pledges::default());
            if again.take(&item.counter, self.lane(key), taken).is_err() {
                again.give();
                drop(claim);
                match self.sold_out(item, key, taken, self, &mut effort)? {
                    SoldOut::Retry => continue,
                    SoldOut::Yes { available } => return refuse(RefusalReason::OutOfStock, available),
                }
            }
            let slot = found.slot;
            let change = Change { claim, record: &record, slot, from: word, to: next, back, taken: again };
            match change.make(|| {}) {
                Ok(end) => {
                    self.log.bell.ring();
                    self.count(Count::Confirmed);
                    self.count(Count::Retaken);
                    let confirmed = Confirmed { hold, quantity: taken, returned: 0, retaken: true };
                    return Ok((confirmed, Position(end)));
                }
                Err(Beaten) => self.voided(),
            }
        }
    }

    pub(crate) fn release(
        &self,
        request: OnHold,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let found = self.find(request.hold)?;
        whole(request, found.facts.quantity)?;
        let (at, place) = (self.at(now), found.place);
        let Changed { facts, position, .. } = self
            .change(
                found,
                now,
                |_, _| Event::Release,
                |_, _, facts| {
                    let quantity = facts.quantity;
                    (Record::Release { at, place, key: facts.key, quantity, op }, quantity)
                },
            )
            .map_err(hold_error)?;
        self.count(Count::Released);
        Ok((Moved { hold: request.hold, quantity: facts.quantity, remaining: 0 }, position))
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
        let found = self.find(request.hold)?;
        let deadline = now.plus(request.ttl);
        let FoundHold { word, facts, .. } = found;
        let latest = facts.born.plus(self.config.life_max);
        // A hold that already lives longer is left as it is, and told so.
        if word.phase().is_live() && word.deadline() > now && deadline > latest.max(word.deadline()) {
            return Err(HoldError::LifeMax { latest });
        }
        let (at, place) = (self.at(now), found.place);
        let Changed { before, after, position, .. } = self
            .change(
                found,
                now,
                |_, _| Event::Extend { deadline },
                |_, next, _| (Record::Extend { at, place, ttl: span(now, next.deadline()), op }, 0),
            )
            .map_err(hold_error)?;
        if after != before {
            self.count(Count::Extended);
        }
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    pub(crate) fn begin_payment(
        &self,
        request: OnHold,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Extended, Position), HoldError> {
        let found = self.find(request.hold)?;
        whole(request, found.facts.quantity)?;
        let (at, place) = (self.at(now), found.place);
        let Changed { after, position, .. } = self
            .change(
                found,
                now,
                |word, facts| {
                    let latest = facts.born.plus(self.config.life_max);
                    Event::Pay { deadline: word.deadline().plus(self.config.payment_extension).min(latest) }
                },
                |_, next, _| (Record::Pay { at, place, ttl: span(now, next.deadline()), op }, 0),
            )
            .map_err(hold_error)?;
        self.count(Count::PaymentsBegun);
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    pub(crate) fn cancel(
        &self,
        request: OnHold,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let moved = self.move_committed(request, now, true, op)?;
        self.count(Count::Cancelled);
        Ok(moved)
    }

    pub(crate) fn ship(
        &self,
        request: OnHold,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let found = self.find(request.hold)?;
        let item = self.book.get(found.facts.key).ok_or(LookupError::Unknown)?;
        // The lock of physical movements: what is on hand falls with the shipment.
        let mut on_hand = item.on_hand.lock();
        let moved = self.move_committed(request, now, false, op)?;
        *on_hand -= i64::from(moved.0.quantity);
        drop(on_hand);
        self.count(Count::Shipped);
        Ok(moved)
    }

    /// Committed units leave a hold: back on sale, or out of the building.
    fn move_committed(
        &self,
        request: OnHold,
        now: Timestamp,
        back: bool,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let found = self.find(request.hold)?;
        let units = request.quantity.map(quantity).transpose()?;
        let (at, place) = (self.at(now), found.place);
        let event = |_, _: &Facts| if back { Event::Cancel { units } } else { Event::Ship { units } };
        let Changed { before: word, position, .. } = self
            .change(found, now, event, |word, _, facts| {
                let (key, quantity) = (facts.key, units.unwrap_or(word.units()));
                if back {
                    (Record::Cancel { at, place, key, quantity, op }, quantity)
                } else {
                    (Record::Ship { at, place, key, quantity, op }, 0)
                }
            })
            .map_err(|stuck| match stuck {
                Stuck::No(No::TooMany { remaining }) => {
                    HoldError::TooMany { asked: request.quantity.unwrap_or(0), remaining }
                }
                other => hold_error(other),
            })?;
        let quantity = units.unwrap_or(word.units());
        Ok((Moved { hold: request.hold, quantity, remaining: word.units() - quantity }, position))
    }
}

/// Refuses to do for a part of a hold what is done for all of it.
fn whole(request: OnHold, held: u32) -> Result<(), HoldError> {
    match request.quantity.map(quantity).transpose()? {
        Some(asked) if asked > held => Err(HoldError::TooMany { asked, remaining: held }),
        Some(asked) if asked < held => Err(HoldError::WholeOnly { held }),
        _ => Ok(()),
    }
}

fn hold_error(stuck: Stuck) -> HoldError {
    match stuck {
        Stuck::Lookup(error) => error.into(),
        Stuck::Common(cause) => cause.into(),
        Stuck::No(No::Due | No::Phase(Phase::Expired)) => HoldError::Expired,
        Stuck::No(No::Phase(phase)) => {
            phase.public().map_or(HoldError::Lookup(LookupError::Unknown), HoldError::WrongState)
        }
        Stuck::No(No::TooMany { remaining }) => HoldError::TooMany { asked: 0, remaining },
        Stuck::No(No::NotDue) => HoldError::Lookup(LookupError::Unknown),
    }
}
