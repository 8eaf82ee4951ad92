//! Reserve: limits, counter, position, hold table, receipt.

use super::core::{Core, Horizon, home, span};
use crate::answer::{Left, Refusal, RefusalReason, Reserved};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::error::{Busy, Common, QuantityError, ReserveError};
use crate::expiry::timers::Turn;
use crate::fold::answers::{left_to_answer, refusal_to_answer};
use crate::hold::state::{Phase, Word};
use crate::hold::table::NewHold;
use crate::log::record::{Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::Reserve;
use crate::segments::NoRoom;
use crate::stock::book::Item;
use crate::stock::counter::{Look, Short, Want};
use crate::sync::Patience;
use crate::types::{Position, QUANTITY_MAX, REFERENCE_BYTES_MAX, StockKey};

/// Batches of expired holds that one decision reclaims at most before it answers `Busy`: a million.
const TURNS_MAX: usize = if cfg!(stockhold_loom) { 2 } else { 4_096 };

/// A reserve that passed the limits.
pub(crate) struct Wanted<'c, 'r> {
    pub item: &'c Item,
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
}

impl Effort {
    pub(crate) fn new() -> Self {
        Effort { patience: Patience::new(), turns: 0 }
    }
}

pub(crate) fn quantity(asked: u32) -> Result<u32, QuantityError> {
    if (1..=QUANTITY_MAX).contains(&asked) { Ok(asked) } else { Err(QuantityError(asked.into())) }
}

pub(crate) fn reference(bytes: &[u8]) -> Result<&[u8], Common> {
    if bytes.len() <= REFERENCE_BYTES_MAX { Ok(bytes) } else { Err(Common::ReferenceTooLong(bytes.len())) }
}

impl Core {
    /// Limits: everything that can be refused without looking at stock.
    pub(crate) fn limits<'c, 'r>(&'c self, request: Reserve<'r>) -> Result<Wanted<'c, 'r>, ReserveError> {
        let item = self.item(request.key)?;
        quantity(request.quantity)?;
        reference(request.reference)?;
        let ttl = request.ttl.unwrap_or(self.config.ttl_default);
        let (min, max) = (self.config.ttl_min, self.config.ttl_max);
        if ttl < min || ttl > max {
            return Err(ReserveError::Ttl { asked: ttl, min, max });
        }
        Ok(Wanted { item, request, ttl, clock: self })
    }

    /// Decides: a hold, or a refusal that is true, or `Busy`.
    pub(crate) fn decide(
        &self,
        wanted: &Wanted<'_, '_>,
        op: Option<Op>,
    ) -> Result<(Reserved, Position), ReserveError> {
        let mut effort = Effort::new();
        loop {
            self.stopped().map_err(Common::from)?;
            if wanted.item.is_stopped() {
                self.count(Count::Stopped);
                let available = wanted.item.counter.roughly(self.lane(wanted.request.key.index));
                return Err(ReserveError::Refused(self.refusal(
                    wanted.request,
                    RefusalReason::Stopped,
                    available,
                )));
            }
            let (key, quantity) = (wanted.request.key.index, wanted.request.quantity);
            if let Look::Short(_) = wanted.item.counter.look(self.lane(key), quantity) {
                match self.sold_out(wanted.item, key, quantity, wanted.clock, &mut effort)? {
                    SoldOut::Retry => continue,
                    SoldOut::Yes { available } => {
                        self.count(Count::OutOfStock);
                        let reason = RefusalReason::OutOfStock;
                        return Err(ReserveError::Refused(self.refusal(wanted.request, reason, available)));
                    }
                }
            }
            if let Some(granted) = self.take(wanted, op, &mut effort)? {
                self.count(Count::Granted);
                return Ok(granted);
            }
        }
    }

    fn refusal(&self, request: Reserve<'_>, reason: RefusalReason, available: i64) -> Refusal {
        let (key, asked) = (request.key, request.quantity);
        Refusal { reason, key, asked, available, position: self.read_position() }
    }

    /// Reclaims what is due, then says whether fewer than `quantity` units were there at an instant.
    ///
    /// The clock is read after the counter: a hold whose deadline passed before the counter was read is due at a time
    /// read later, however long this thread slept in between.
    pub(crate) fn sold_out(
        &self,
        item: &Item,
        key: u32,
        quantity: u32,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<SoldOut, Common> {
        let before = self.look();
        let Look::Short(reading) = item.counter.look(self.lane(key), quantity) else {
            return Ok(SoldOut::Retry);
        };
        if reading.pending {
            return self.again(effort, Busy::Pending);
        }
        let now = clock.now();
        match self.horizon(now) {
            // Equal states around the reading: nothing was registered, and nobody reclaimed, in between.
            Horizon::Clean(after) if after == before => Ok(SoldOut::Yes { available: reading.available }),
            Horizon::Clean(_) | Horizon::Turning => self.again(effort, Busy::Reclaiming),
            Horizon::Due(shard) => match self.turn(shard, now) {
                Turn::Turned { progress: true, .. } if effort.turns < TURNS_MAX => {
                    effort.turns += 1;
                    Ok(SoldOut::Retry)
                }
                Turn::Turned { .. } | Turn::Elsewhere => self.again(effort, Busy::Reclaiming),
            },
        }
    }

    fn again(&self, effort: &mut Effort, busy: Busy) -> Result<SoldOut, Common> {
        self.stopped()?;
        if effort.patience.last() { Ok(SoldOut::Retry) } else { Err(self.busy(busy)) }
    }

    /// Takes the units and makes the hold; `None` if others were faster.
    fn take(
        &self,
        wanted: &Wanted<'_, '_>,
        op: Option<Op>,
        effort: &mut Effort,
    ) -> Result<Option<(Reserved, Position)>, ReserveError> {
        let &Wanted { item, request, ttl, clock } = wanted;
        let now = clock.now();
        let deadline = now.plus(ttl);
        let Reserve { key: StockKey { index: key, .. }, quantity, reference, .. } = request;
        let new = NewHold { key, quantity, born: now, deadline, reference, epoch: self.epoch };
        let place = match self.holds.allocate(home(), new) {
            Ok(place) => place,
            Err(NoRoom::Full) => return self.holds_full(now, effort),
            Err(NoRoom::Growing) => {
                self.again(effort, Busy::Growing)?;
                return Ok(None);
            }
        };
        // From here on the place must become a hold or vanish.
        let vanish = |error| {
            self.holds.vanish(place);
            Err(error)
        };
        let ttl = span(now, deadline);
        let record = Record::Reserve { at: self.at(now), place, key, quantity, ttl, reference, op };
        let mut record = match self.encode(&record) {
            Ok(record) => record,
            Err(error) => return vanish(error.into()),
        };
        let claim = match self.claim(record.words(), Share::Take) {
            Ok(claim) => claim,
            Err(error) => return vanish(error.into()),
        };
        // The deadline is registered before the units are taken: a refuser never misses it (F5).
        let (timers, slots, local) = self.timers_of(place.slot);
        timers.register(&slots, local, deadline);
        let left = match item.counter.take(self.lane(key), Want::all(quantity)) {
            // Holds that are due and not yet swept may leave more.
            Ok(taken) if taken.exact && self.is_fresh(now) => Left::Exact(taken.left),
            Ok(taken) => Left::AtLeast(taken.left),
            Err(Short::Out { .. } | Short::Unknown) => {
                self.holds.vanish(place);
                return Ok(None);
            }
        };
        // Nothing that can fail comes after the take: counter first, then log, then the hold is seen.
        let drawn = claim.draw(record.words());
        let position = Position(drawn.end());
        if let Some(slot) = self.holds.slot(place.slot) {
            slot.publish(Word::with_deadline(Phase::Active, place.generation, deadline));
        }
        record.set_answer(left_to_answer(left));
        drawn.fill(record.as_bytes());
        self.log.bell.ring();
        let hold = self.answers.ids.id(place, self.epoch);
        Ok(Some((Reserved { hold, quantity, deadline, left }, position)))
    }

    /// No slot: unless holds that are due stand in the way, the table is full.
    fn holds_full<T>(&self, now: Timestamp, effort: &mut Effort) -> Result<Option<T>, ReserveError> {
        match self.horizon(now) {
            Horizon::Clean(_) => {
                self.count(Count::HoldsFull);
                Err(ReserveError::HoldsFull { holds_max: self.config.holds_max })
            }
            Horizon::Due(shard) => {
                if !matches!(self.turn(shard, now), Turn::Turned { progress: true, .. }) {
                    self.again(effort, Busy::Reclaiming)?;
                }
                Ok(None)
            }
            Horizon::Turning => self.again(effort, Busy::Reclaiming).map(|_| None).map_err(Into::into),
        }
    }

    /// Writes a refusal down that is to be remembered.
    pub(crate) fn remember(&self, refusal: Refusal, now: Timestamp, op: Op) -> Result<Refusal, Common> {
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
