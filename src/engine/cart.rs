//! Carts: several stock keys, one hold, all or nothing.
//!
//! # Why carts never deadlock, and never keep each other from being sold
//!
//! Lines are taken in the order of their keys, each tentatively: counted as pending until all are taken. A
//! cart that comes up short gives back what it took, and only then tries again. No cart waits for another, so
//! there is no deadlock.
//!
//! Nor do carts make each other retry for ever (livelock). Of all carts that have tentative takes, consider
//! the one that has come furthest in the order of keys. Its next key is short either for good (then the cart
//! is refused, truly), or because of a cart that has taken that key and so has come further: there is none.
//! So in every round at least one cart gets all its lines, or an answer.
//!
//! A cart that is about to roll back makes no other call sold out (F14): its units are pending, so a call
//! that wants them meanwhile is told to try again.

use std::time::Duration;

use super::core::{Core, record_ttl, thread_number};
use super::take::{Effort, retry_until_decided};
use super::validate::reference;
use crate::answer::ReservedCart;
use crate::clock::Clock;
use crate::error::ReserveError;
use crate::hold::lines::{Good, Lines};
use crate::hold::state::{Phase, Word};
use crate::hold::table::{NewHold, Room};
use crate::log::lines::pack;
use crate::log::record::{Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::ReserveCart;
use crate::stall::{self, Step};
use crate::types::Position;

/// A cart whose input passed the checks.
pub(crate) struct ValidCart<'c, 'r> {
    pub request: ReserveCart<'r>,
    /// In the order of the keys, each key once.
    pub lines: Lines,
    pub ttl: Duration,
    pub clock: &'c dyn Clock,
}

impl Core {
    /// Limits: everything that can be refused without looking at stock.
    pub(crate) fn validate_cart<'c, 'r>(
        &'c self,
        request: ReserveCart<'r>,
    ) -> Result<ValidCart<'c, 'r>, ReserveError> {
        let lines = self.lines(request.lines)?;
        reference(request.reference)?;
        Ok(ValidCart { request, lines, ttl: self.ttl_or_default(request.ttl)?, clock: self })
    }

    /// Decides: one hold on all lines, or a refusal that is true of one of them, or `Busy`.
    pub(crate) fn reserve_cart(
        &self,
        wanted: &ValidCart<'_, '_>,
        op: Option<Op>,
    ) -> Result<(ReservedCart, Position), ReserveError> {
        let granted = retry_until_decided(|effort| self.attempt_cart(wanted, op, effort))?;
        self.count(Count::Granted);
        Ok(granted)
    }

    /// Looks, takes all lines and makes the hold.
    #[inline]
    fn attempt_cart(
        &self,
        wanted: &ValidCart<'_, '_>,
        op: Option<Op>,
        effort: &mut Effort,
    ) -> Result<Option<(ReservedCart, Position)>, ReserveError> {
        let ValidCart { request, lines, ttl, clock } = wanted;
        self.stopped()?;
        let Some(()) = self.check_lines(lines, *clock, effort, ReserveError::Refused)? else {
            return Ok(None);
        };
        let now = clock.now();
        let (deadline, reference) = (now.plus(*ttl), request.reference);
        let new = NewHold { lines, born: now, deadline, reference, epoch: self.epoch };
        let Room { place, slot } = match self.holds.allocate(thread_number(), new) {
            Ok(room) => room,
            Err(full) => return self.no_room(full, *clock, effort),
        };
        // From here on the slot must become a hold or be discarded.
        let (at, ttl) = (self.record_time(now), record_ttl(now, deadline));
        let record = match lines[..] {
            [line] if let Some(Good { key, units: quantity }) = line.good() => {
                self.encode(&Record::Reserve { at, place, key, quantity, ttl, reference, op })
            }
            _ => {
                let lines = &*pack(lines);
                self.encode(&Record::ReserveCart { at, place, ttl, lines, reference, op })
            }
        };
        let claimed = record.and_then(|record| Ok((self.claim(record.words(), Share::Take)?, record)));
        let (claim, record) = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                self.holds.discard(place);
                return Err(error.into());
            }
        };
        // The deadline is registered before the units are taken: a refuser never misses it (F5).
        self.register(place.slot, slot, deadline);
        let Some(takes) = self.take_tentatively(lines) else {
            self.holds.discard(place);
            return Ok(None);
        };
        // Nothing that can fail comes after the last take: counters first, then log, then the hold is
        // visible.
        let drawn = claim.draw(record.words());
        stall::at(Step::Drawn);
        let position = Position(drawn.end());
        slot.publish(Word::with_deadline(Phase::Active, place.generation.0, deadline));
        stall::at(Step::Published);
        drawn.fill(record.as_bytes());
        stall::at(Step::Filled);
        takes.settle();
        self.holds.settle_lines(lines);
        self.log.bell.ring();
        let hold = self.answers.ids.id(place, self.epoch);
        let quantity = request.lines.iter().map(|line| line.quantity).sum();
        Ok(Some((ReservedCart { hold, quantity, deadline }, position)))
    }
}
