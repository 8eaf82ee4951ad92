//! Reserve: checks of the input, stock counter, log position, hold table, receipt.

use std::time::Duration;

use super::core::{Core, RECORD_TOO_LONG, record_ttl, thread_number};
use super::expire::Horizon;
use super::take::{Effort, StockCheck, retry_until_decided};
use super::validate::{at_least, quantity, reference};
use crate::answer::{Refusal, Remaining, Reserved};
use crate::clock::{Clock, Timestamp};
use crate::error::{ReserveError, SharedError};
use crate::fault::{Fault, planted};
use crate::fold::answers::{refusal_to_answer, remaining_to_answer};
use crate::hold::lines::Good;
use crate::hold::slot::Slot;
use crate::hold::state::{Phase, Word};
use crate::hold::table::{NewHold, Room};
use crate::log::record::{Encoded, HoldPlace, Op, Record};
use crate::log::ring::{Drawn, Share};
use crate::metrics::Count;
use crate::request::Reserve;
use crate::stall::{self, Step};
use crate::stock::book::Item;
use crate::stock::counter::{Reading, Want};
use crate::types::Position;

/// The most remaining units that are told exactly: about as many as a key must have to be split. An exact
/// number takes a second reading of the clock.
const EXACT_MAX: i64 = 64;

/// A reserve whose input passed the checks.
pub(crate) struct ValidReserve<'c, 'r> {
    pub item: Item<'c>,
    pub request: Reserve<'r>,
    pub ttl: Duration,
    /// Re-read for every decision, so that a decision always uses the current time.
    pub clock: &'c dyn Clock,
}

/// A reserve that has everything but its units. Its record is beside it.
#[derive(Clone, Copy)]
pub(crate) struct PreparedReserve<'c> {
    pub place: HoldPlace,
    slot: &'c Slot,
    good: Good,
    /// See [`Core::check_reserve`].
    least: u32,
    now: Timestamp,
    deadline: Timestamp,
    op: Option<Op>,
}

impl Core {
    /// Limits: everything that can be refused without looking at stock.
    #[inline]
    pub(crate) fn validate_reserve<'c, 'r>(
        &'c self,
        request: Reserve<'r>,
    ) -> Result<ValidReserve<'c, 'r>, ReserveError> {
        let item = self.item(request.key)?;
        at_least(request.at_least, quantity(request.quantity)?)?;
        reference(request.reference)?;
        Ok(ValidReserve { item, request, ttl: self.ttl_or_default(request.ttl)?, clock: self })
    }

    /// Decides: a hold, or a refusal that is true, or `Busy`.
    #[inline]
    pub(crate) fn reserve(
        &self,
        wanted: &ValidReserve<'_, '_>,
        op: Option<Op>,
    ) -> Result<(Reserved, Position), ReserveError> {
        let granted = retry_until_decided(|effort| self.attempt_reserve(wanted, op, effort))?;
        self.count(Count::Granted);
        Ok(granted)
    }

    /// Looks, takes the units and makes the hold. With one counter the take is for good: nothing that can
    /// fail follows it.
    #[inline]
    fn attempt_reserve(
        &self,
        wanted: &ValidReserve<'_, '_>,
        op: Option<Op>,
        effort: &mut Effort,
    ) -> Result<Option<(Reserved, Position)>, ReserveError> {
        let Some(least) = self.check_reserve(wanted, effort)? else { return Ok(None) };
        let mut record = Encoded::empty();
        let prepared = self.prepare_reserve(wanted, least, op, effort, &mut record)?;
        let Some(mut prepared) = prepared else { return Ok(None) };
        stall::at(Step::Allocated);
        let claim = match self.claim(record.words(), Share::Take) {
            Ok(claim) => claim,
            Err(error) => {
                self.holds.discard(prepared.place);
                return Err(error.into());
            }
        };
        stall::at(Step::Claimed);
        let Some(remaining) = self.take_units(wanted, &mut prepared, &mut record) else { return Ok(None) };
        let drawn = claim.draw(record.words());
        let granted = self.publish(&prepared, &mut record, remaining, drawn);
        self.log.bell.ring();
        Ok(Some(granted))
    }

    /// The fewest units that the take must get, or why the reserve is refused before anything is taken.
    /// Fewer than asked for will do only if that was all there was at an instant, with nothing pending and
    /// nothing due.
    #[inline(always)]
    pub(crate) fn check_reserve(
        &self,
        wanted: &ValidReserve<'_, '_>,
        effort: &mut Effort,
    ) -> Result<Option<u32>, ReserveError> {
        self.stopped()?;
        let Reserve { key, quantity, at_least, .. } = wanted.request;
        let asked = Good { key: key.index, units: quantity };
        let fewest = Good { units: at_least, ..asked };
        if let Some(refusal) = self.sale_closed(wanted.item, fewest, wanted.clock) {
            return Err(ReserveError::Refused(refusal));
        }
        match self.check_stock(wanted.item, asked, wanted.clock, effort)? {
            StockCheck::Enough => Ok(Some(quantity)),
            StockCheck::Retry => Ok(None),
            StockCheck::Short { available } => match u32::try_from(available) {
                Ok(all) if all >= at_least => Ok(Some(all)),
                _ => Err(ReserveError::Refused(self.out_of_stock(fewest, available))),
            },
        }
    }

    /// Everything that can fail before the take: a slot in the table, the record. The slot must become a hold
    /// or be discarded.
    #[inline]
    pub(crate) fn prepare_reserve<'c>(
        &'c self,
        wanted: &ValidReserve<'_, '_>,
        least: u32,
        op: Option<Op>,
        effort: &mut Effort,
        record: &mut Encoded,
    ) -> Result<Option<PreparedReserve<'c>>, ReserveError> {
        let Reserve { key, quantity, reference, .. } = wanted.request;
        let now = wanted.clock.now();
        let deadline = now.plus(wanted.ttl);
        let good = Good { key: key.index, units: quantity };
        let new = NewHold { lines: &[good.into()], born: now, deadline, reference, epoch: self.epoch };
        let Room { place, slot } = match self.holds.allocate(thread_number(), new) {
            Ok(room) => room,
            Err(full) => return self.no_room(full, wanted.clock, effort),
        };
        if record.put(&self.reserve_record(place, good, (now, deadline), reference, op)).is_none() {
            self.holds.discard(place);
            return Err(RECORD_TOO_LONG.into());
        }
        Ok(Some(PreparedReserve { place, slot, good, least, now, deadline, op }))
    }

    #[inline]
    fn reserve_record<'r>(
        &self,
        place: HoldPlace,
        good: Good,
        (now, deadline): (Timestamp, Timestamp),
        reference: &'r [u8],
        op: Option<Op>,
    ) -> Record<'r> {
        let (at, ttl) = (self.record_time(now), record_ttl(now, deadline));
        let Good { key, units: quantity } = good;
        Record::Reserve { at, place, key, quantity, ttl, reference, op }
    }

    /// The take itself; `None` if it came up short, and the slot was discarded. Room in the log was claimed
    /// before.
    #[inline]
    pub(crate) fn take_units(
        &self,
        wanted: &ValidReserve<'_, '_>,
        prepared: &mut PreparedReserve<'_>,
        record: &mut Encoded,
    ) -> Option<Remaining> {
        let &mut PreparedReserve { place, slot, good, least, now, deadline, op } = prepared;
        let Reserve { quantity, reference, .. } = wanted.request;
        // The deadline is registered before the units are taken: a refuser never misses it (F5).
        self.register(place.slot, slot, deadline);
        stall::at(Step::Registered);
        let want = Want { least, most: quantity };
        let Ok(taken) = wanted.item.counter.take(self.lane(good.key), want) else {
            stall::at(Step::Short);
            self.holds.discard(place);
            return None;
        };
        stall::at(Step::Taken);
        if taken.units < quantity {
            prepared.good.units = taken.units;
            // Fewer units take no more bytes: the claim is enough, and the record fits as the one before did.
            let _ = record.put(&self.reserve_record(place, prepared.good, (now, deadline), reference, op));
            self.holds.set_units(slot, prepared.good.into());
        }
        Some(if taken.exact && taken.left <= EXACT_MAX {
            self.remaining(wanted, taken.left)
        } else {
            Remaining::AtLeast(taken.left)
        })
    }

    /// What is left of a scarce key behind a take that left `left` units. Exact only if it is so at one instant
    /// with no hold due and nothing pending; what the take itself saw is a lower bound, since holds that are
    /// due and units on their way back may leave more.
    #[inline(never)] // plentiful keys do not pay for it
    fn remaining(&self, wanted: &ValidReserve<'_, '_>, left: i64) -> Remaining {
        let before = self.timer_states();
        match wanted.item.counter.exactly_if_single() {
            Some(now) if planted(Fault::ExactWhilePending) => Remaining::Exact(now.available),
            // The clock is read last, as in `settled`.
            Some(Reading { available, pending: false })
                if matches!(
                    self.horizon(Some(&before), || wanted.clock.now()),
                    Horizon::Clean { same: true }
                ) =>
            {
                Remaining::Exact(available)
            }
            _ => Remaining::AtLeast(left),
        }
    }

    /// Makes the hold visible, then its record. The order: counter, position, hold, record; nothing here can
    /// fail.
    #[inline]
    pub(crate) fn publish(
        &self,
        prepared: &PreparedReserve<'_>,
        record: &mut Encoded,
        remaining: Remaining,
        drawn: Drawn<'_>,
    ) -> (Reserved, Position) {
        let &PreparedReserve { place, slot, good, deadline, .. } = prepared;
        let position = Position(drawn.end());
        stall::at(Step::Drawn);
        slot.publish(Word::with_deadline(Phase::Active, place.generation.0, deadline));
        stall::at(Step::Published);
        record.set_answer(remaining_to_answer(remaining));
        drawn.fill(record.as_bytes());
        stall::at(Step::Filled);
        let hold = self.answers.ids.id(place, self.epoch);
        (Reserved { hold, quantity: good.units, deadline, remaining }, position)
    }

    /// Logs a refusal that is to be remembered under its op key.
    pub(crate) fn log_refusal(
        &self,
        refusal: Refusal,
        now: Timestamp,
        op: Op,
    ) -> Result<Refusal, SharedError> {
        let (key, asked) = (refusal.key.index, refusal.asked);
        let mut record = self.encode(&Record::Refuse { at: self.record_time(now), key, asked, op })?;
        record.set_answer(refusal_to_answer(&refusal));
        let drawn = self.claim(record.words(), Share::Take)?.draw(record.words());
        let position = Position(drawn.end());
        drawn.fill(record.as_bytes());
        self.log.bell.ring();
        Ok(Refusal { position, ..refusal })
    }
}
