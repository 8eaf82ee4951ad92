//! Reserve: limits, counter, position, hold table, receipt.

use std::time::Duration;

use super::core::{Core, TOO_LONG, home, span};
use super::expire::{Horizon, Snapshot};
use super::transition::Pledges;
use crate::answer::{Refusal, RefusalReason, Remaining, Reserved};
use crate::clock::{Clock, Timestamp};
use crate::error::{Busy, QuantityError, ReserveError, SharedError};
use crate::expiry::timers::Turn;
use crate::fold::answers::{refusal_to_answer, remaining_to_answer};
use crate::hold::lines::Line;
use crate::hold::slot::Slot;
use crate::hold::state::{Phase, Word};
use crate::hold::table::{Full, NewHold, Room};
use crate::log::record::{Encoded, HoldPlace, Op, Record};
use crate::log::ring::{Drawn, Share};
use crate::metrics::Count;
use crate::request::Reserve;
use crate::stall::{self, Step};
use crate::stock::book::Item;
use crate::stock::counter::{Availability, Want};
use crate::sync::Patience;
use crate::types::{Position, QUANTITY_MAX, REFERENCE_BYTES_MAX};

/// Batches of expired holds that one decision reclaims at most before it answers `Busy`: a million.
const TURNS_MAX: usize = if cfg!(stockhold_loom) { 2 } else { 4_096 };

/// A reserve that passed the limits.
pub(crate) struct Wanted<'c, 'r> {
    pub item: Item<'c>,
    pub request: Reserve<'r>,
    pub ttl: Duration,
    /// Asked as often as it takes: an answer that rests on time rests on the latest.
    pub clock: &'c dyn Clock,
}

/// Whether a take that came up short is a refusal.
pub(crate) enum SoldOut {
    /// At an instant, with nothing pending and nothing due, so few units were there.
    Yes { available: i64 },
    /// Look again.
    Retry,
}

/// What a decision spends before it answers `Busy`.
pub(crate) struct Effort {
    patience: Patience,
    turns: usize,
    /// There was no room at the last look, and nothing due that stood in the way.
    full: Option<Full>,
}

/// A reserve that has everything but its units. Its record is beside it.
#[derive(Clone, Copy)]
pub(crate) struct Prepared<'c> {
    pub place: HoldPlace,
    slot: &'c Slot,
    pub line: Line,
    /// See [`Core::least`].
    least: u32,
    now: Timestamp,
    deadline: Timestamp,
    op: Option<Op>,
}

impl Effort {
    pub(crate) fn new() -> Self {
        Effort { patience: Patience::new(), turns: 0, full: None }
    }
}

pub(crate) fn quantity(asked: u32) -> Result<u32, QuantityError> {
    if (1..=QUANTITY_MAX).contains(&asked) { Ok(asked) } else { Err(QuantityError(asked.into())) }
}

pub(crate) fn reference(bytes: &[u8]) -> Result<&[u8], SharedError> {
    if bytes.len() <= REFERENCE_BYTES_MAX {
        Ok(bytes)
    } else {
        Err(SharedError::ReferenceTooLong(bytes.len()))
    }
}

impl Core {
    /// Limits: everything that can be refused without looking at stock.
    #[inline]
    pub(crate) fn limits<'c, 'r>(&'c self, request: Reserve<'r>) -> Result<Wanted<'c, 'r>, ReserveError> {
        let item = self.item(request.key)?;
        let Reserve { at_least, .. } = request;
        let quantity = quantity(request.quantity)?;
        if at_least == 0 || at_least > quantity {
            return Err(ReserveError::AtLeast { at_least, quantity });
        }
        reference(request.reference)?;
        Ok(Wanted { item, request, ttl: self.ttl(request.ttl)?, clock: self })
    }

    #[inline]
    pub(crate) fn ttl(&self, asked: Option<Duration>) -> Result<Duration, ReserveError> {
        let asked = asked.unwrap_or(self.config.ttl_default);
        let (min, max) = (self.config.ttl_min, self.config.ttl_max);
        if asked < min || asked > max { Err(ReserveError::Ttl { asked, min, max }) } else { Ok(asked) }
    }

    /// Decides: a hold, or a refusal that is true, or `Busy`.
    #[inline]
    pub(crate) fn decide(
        &self,
        wanted: &Wanted<'_, '_>,
        op: Option<Op>,
    ) -> Result<(Reserved, Position), ReserveError> {
        let mut effort = Effort::new();
        loop {
            let least = self.least(wanted, &mut effort)?;
            if let Some(granted) = self.take(wanted, least, op, &mut effort)? {
                self.count(Count::Granted);
                return Ok(granted);
            }
        }
    }

    /// How many units a take may not stay below, or why the reserve is refused before anything is taken. Fewer than asked
    /// for will do only if that was all there was at an instant, with nothing pending and nothing due.
    #[inline]
    pub(crate) fn least(&self, wanted: &Wanted<'_, '_>, effort: &mut Effort) -> Result<u32, ReserveError> {
        self.stopped()?;
        let Reserve { key, quantity, at_least, .. } = wanted.request;
        let line = Line { key: key.index, units: quantity };
        let fewest = Line { units: at_least, ..line };
        if let Some(refusal) = self.closed(wanted.item, fewest, wanted.clock) {
            return Err(ReserveError::Refused(refusal));
        }
        loop {
            let Availability::Short(_) = wanted.item.counter.look(self.lane(line.key), quantity) else {
                return Ok(quantity);
            };
            match self.sold_out(wanted.item, line, wanted.clock, effort)? {
                SoldOut::Retry => {}
                SoldOut::Yes { available } => match u32::try_from(available) {
                    Ok(all) if all >= at_least => return Ok(all),
                    _ => return Err(ReserveError::Refused(self.out_of_stock(fewest, available))),
                },
            }
        }
    }

    /// The refusal of a line whose sale is stopped, or has not opened.
    #[inline]
    pub(crate) fn closed(&self, item: Item<'_>, line: Line, clock: &dyn Clock) -> Option<Refusal> {
        let reason = item.closed(|| clock.now())?;
        self.count(if reason == RefusalReason::NotOpen { Count::NotOpen } else { Count::Stopped });
        let available = item.counter.approximate(self.lane(line.key));
        Some(self.refusal(line, reason, available))
    }

    #[inline]
    pub(crate) fn out_of_stock(&self, line: Line, available: i64) -> Refusal {
        self.count(Count::OutOfStock);
        self.refusal(line, RefusalReason::OutOfStock, available)
    }

    #[inline]
    fn refusal(&self, line: Line, reason: RefusalReason, available: i64) -> Refusal {
        let (key, asked) = (self.stock_key(line.key), line.units);
        Refusal { reason, key, asked, available, position: self.read_position() }
    }

    /// Why a line, one of several, is refused before anything is taken, if so.
    pub(crate) fn would_refuse(
        &self,
        line: Line,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<Option<Refusal>, SharedError> {
        let item = self.book.get(line.key).ok_or(SharedError::ForeignKey)?;
        if let Some(refusal) = self.closed(item, line, clock) {
            return Ok(Some(refusal));
        }
        while let Availability::Short(_) = item.counter.look(self.lane(line.key), line.units) {
            match self.sold_out(item, line, clock, effort)? {
                SoldOut::Retry => {}
                SoldOut::Yes { available } => return Ok(Some(self.out_of_stock(line, available))),
            }
        }
        Ok(None)
    }

    /// Takes all lines, each so that it can be rolled back, in the order of their keys; or none, and whether that is a
    /// refusal is to be asked again.
    pub(crate) fn take_tentatively<'c>(&'c self, lines: &[Line]) -> Option<Pledges<'c>> {
        let mut taken = Pledges::default();
        for line in lines {
            let took = self
                .book
                .get(line.key)
                .is_some_and(|item| taken.take(item.counter, self.lane(line.key), line.units).is_ok());
            if !took {
                taken.give();
                return None;
            }
            stall::at(Step::LineTaken);
        }
        Some(taken)
    }

    /// Reclaims what is due, then says whether fewer units than the line's were there at an instant.
    ///
    /// The clock is read after the counter: a hold whose deadline passed before the counter was read is due at a time
    /// read later, however long this thread slept in between.
    #[inline]
    pub(crate) fn sold_out(
        &self,
        item: Item<'_>,
        line: Line,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<SoldOut, SharedError> {
        let before = self.look();
        let Availability::Short(reading) = item.counter.look(self.lane(line.key), line.units) else {
            return Ok(SoldOut::Retry);
        };
        if reading.pending {
            return self.again(effort, Busy::Pending);
        }
        self.nothing_due(&before, reading.available, clock, effort)
    }

    /// Whether nothing was due when `available` was read, which was behind the look `before`.
    #[inline]
    pub(crate) fn nothing_due(
        &self,
        before: &Snapshot,
        available: i64,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<SoldOut, SharedError> {
        match self.horizon(Some(before), || clock.now()) {
            // Equal states around the reading: nothing was registered, and nobody reclaimed, in between.
            Horizon::Clean { same: true } => Ok(SoldOut::Yes { available }),
            Horizon::Clean { same: false } | Horizon::Turning => self.again(effort, Busy::Reclaiming),
            Horizon::Due(shard) => match self.turn(shard, clock.now()) {
                Turn::Turned { progress: true, .. } if effort.turns < TURNS_MAX => {
                    effort.turns += 1;
                    Ok(SoldOut::Retry)
                }
                Turn::Turned { .. } | Turn::Elsewhere => self.again(effort, Busy::Reclaiming),
            },
        }
    }

    pub(crate) fn again(&self, effort: &mut Effort, busy: Busy) -> Result<SoldOut, SharedError> {
        self.stopped()?;
        if effort.patience.spin_once() { Ok(SoldOut::Retry) } else { Err(self.busy(busy)) }
    }

    /// Takes the units and makes the hold; `None` if others were faster.
    #[inline]
    fn take(
        &self,
        wanted: &Wanted<'_, '_>,
        least: u32,
        op: Option<Op>,
        effort: &mut Effort,
    ) -> Result<Option<(Reserved, Position)>, ReserveError> {
        let mut record = Encoded::empty();
        let Some(mut prepared) = self.prepare(wanted, least, op, effort, &mut record)? else {
            return Ok(None);
        };
        stall::at(Step::Allocated);
        let claim = match self.claim(record.words(), Share::Take) {
            Ok(claim) => claim,
            Err(error) => {
                self.holds.discard(prepared.place);
                return Err(error.into());
            }
        };
        stall::at(Step::Claimed);
        let Some(left) = self.take_units(wanted, &mut prepared, &mut record) else { return Ok(None) };
        let drawn = claim.draw(record.words());
        let granted = self.finish(&prepared, &mut record, left, drawn);
        self.log.bell.ring();
        Ok(Some(granted))
    }

    /// Everything that can fail before the take: a place in the table, the record. The place must become a hold or vanish.
    #[inline]
    pub(crate) fn prepare<'c>(
        &'c self,
        wanted: &Wanted<'_, '_>,
        least: u32,
        op: Option<Op>,
        effort: &mut Effort,
        record: &mut Encoded,
    ) -> Result<Option<Prepared<'c>>, ReserveError> {
        let Reserve { key, quantity, reference, .. } = wanted.request;
        let now = wanted.clock.now();
        let deadline = now.plus(wanted.ttl);
        let line = Line { key: key.index, units: quantity };
        let new = NewHold { lines: &[line], born: now, deadline, reference, epoch: self.epoch };
        let Room { place, slot } = match self.holds.allocate(home(), new) {
            Ok(room) => room,
            Err(full) => return self.no_room(full, now, effort),
        };
        if record.put(&self.record(place, line, (now, deadline), reference, op)).is_none() {
            self.holds.discard(place);
            return Err(TOO_LONG.into());
        }
        Ok(Some(Prepared { place, slot, line, least, now, deadline, op }))
    }

    #[inline]
    fn record<'r>(
        &self,
        place: HoldPlace,
        line: Line,
        (now, deadline): (Timestamp, Timestamp),
        reference: &'r [u8],
        op: Option<Op>,
    ) -> Record<'r> {
        let (at, ttl, key, quantity) = (self.at(now), span(now, deadline), line.key, line.units);
        Record::Reserve { at, place, key, quantity, ttl, reference, op }
    }

    /// The take itself; `None` if it came up short, and the place has vanished. Room in the log was claimed before.
    #[inline]
    pub(crate) fn take_units(
        &self,
        wanted: &Wanted<'_, '_>,
        prepared: &mut Prepared<'_>,
        record: &mut Encoded,
    ) -> Option<Remaining> {
        let &mut Prepared { place, slot, line, least, now, deadline, op } = prepared;
        let Reserve { quantity, reference, .. } = wanted.request;
        // The deadline is registered before the units are taken: a refuser never misses it (F5).
        self.register(place.slot, slot, deadline);
        stall::at(Step::Registered);
        let want = Want { least, most: quantity };
        let Ok(taken) = wanted.item.counter.take(self.lane(line.key), want) else {
            stall::at(Step::Short);
            self.holds.discard(place);
            return None;
        };
        stall::at(Step::Taken);
        if taken.units < quantity {
            prepared.line.units = taken.units;
            // Fewer units take no more bytes: the claim is enough, and the record fits as the one before did.
            let _ = record.put(&self.record(place, prepared.line, (now, deadline), reference, op));
            self.holds.set_units(slot, prepared.line);
        }
        // Holds that are due and not yet swept may leave more.
        Some(if taken.exact && self.is_fresh(now) {
            Remaining::Exact(taken.left)
        } else {
            Remaining::AtLeast(taken.left)
        })
    }

    /// Nothing that can fail comes after the take: counter first, then log, then the hold is seen.
    #[inline]
    pub(crate) fn finish(
        &self,
        prepared: &Prepared<'_>,
        record: &mut Encoded,
        remaining: Remaining,
        drawn: Drawn<'_>,
    ) -> (Reserved, Position) {
        let &Prepared { place, slot, line, deadline, .. } = prepared;
        let position = Position(drawn.end());
        stall::at(Step::Drawn);
        slot.publish(Word::with_deadline(Phase::Active, place.generation, deadline));
        stall::at(Step::Published);
        record.set_answer(remaining_to_answer(remaining));
        drawn.fill(record.as_bytes());
        stall::at(Step::Filled);
        let hold = self.answers.ids.id(place, self.epoch);
        (Reserved { hold, quantity: line.units, deadline, remaining }, position)
    }

    /// No place: unless holds that are due stand in the way, the table is full.
    pub(crate) fn no_room<T>(
        &self,
        full: Full,
        now: Timestamp,
        effort: &mut Effort,
    ) -> Result<Option<T>, ReserveError> {
        if self.may_have_room(full, now, effort)? {
            return Ok(None);
        }
        self.count(Count::HoldsFull);
        Err(match full {
            Full::Lines => SharedError::LinesFull { lines_max: self.config.lines_max }.into(),
            _ => ReserveError::HoldsFull { holds_max: self.config.holds_max },
        })
    }

    /// Reclaims what is due and stands in the way; whether it is worth another look.
    pub(crate) fn may_have_room(
        &self,
        full: Full,
        now: Timestamp,
        effort: &mut Effort,
    ) -> Result<bool, SharedError> {
        if full == Full::Growing {
            return self.again(effort, Busy::Growing).map(|_| true);
        }
        match self.horizon(None, || now) {
            // Room that was reclaimed after the place was asked for is worth one more look.
            Horizon::Clean { .. } if effort.full != Some(full) => {
                effort.full = Some(full);
                Ok(true)
            }
            Horizon::Clean { .. } => Ok(false),
            Horizon::Due(shard) => {
                effort.full = None;
                if !matches!(self.turn(shard, now), Turn::Turned { progress: true, .. }) {
                    self.again(effort, Busy::Reclaiming)?;
                }
                Ok(true)
            }
            Horizon::Turning => {
                effort.full = None;
                self.again(effort, Busy::Reclaiming).map(|_| true)
            }
        }
    }

    /// Writes a refusal down that is to be remembered.
    pub(crate) fn remember(&self, refusal: Refusal, now: Timestamp, op: Op) -> Result<Refusal, SharedError> {
        let (key, asked) = (refusal.key.index, refusal.asked);
        let mut record = self.encode(&Record::Refuse { at: self.at(now), key, asked, op })?;
        record.set_answer(refusal_to_answer(&refusal));
        let drawn = self.claim(record.words(), Share::Take)?.draw(record.words());
        let position = Position(drawn.end());
        drawn.fill(record.as_bytes());
        self.log.bell.ring();
        Ok(Refusal { position, ..refusal })
    }
}
