//! Carts: several stock keys, one hold, all or nothing.
//!
//! # Why carts never deadlock, and never keep each other from being sold
//!
//! Lines are taken in the order of their keys, each tentatively: counted as pending until all are had. A cart that comes up
//! short gives back what it took, and only then looks again. Nobody waits for anybody, so there is no deadlock.
//!
//! Nor do carts chase each other for ever (livelock). Of all carts that hold something tentatively, look at the one that
//! has come furthest in the order of keys. What it wants next is short either for good (then it is refused, truly), or
//! because of a cart that has that key and so has come further: there is none. So in every round at least one cart gets all
//! its lines, or an answer.
//!
//! A cart that is about to roll back makes nobody sold out (F14): its units are pending, so who wants them meanwhile is told
//! to try again.

use super::core::{Core, home, span};
use super::reserve::{Effort, reference};
use crate::answer::ReservedCart;
use crate::clock::Clock;
use crate::error::{ReserveError, SharedError};
use crate::hold::lines::Lines;
use crate::hold::state::{Phase, Word};
use crate::hold::table::{NewHold, Room};
use crate::log::lines::pack;
use crate::log::record::{Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::ReserveCart;
use crate::stall::{self, Step};
use crate::types::Position;
use std::time::Duration;

/// A cart that passed the limits.
pub(crate) struct WantedCart<'c, 'r> {
    pub request: ReserveCart<'r>,
    /// In the order of the keys, each key once.
    pub lines: Lines,
    pub ttl: Duration,
    pub clock: &'c dyn Clock,
}

impl Core {
    /// Everything that can be refused without looking at stock.
    pub(crate) fn cart_limits<'c, 'r>(
        &'c self,
        request: ReserveCart<'r>,
    ) -> Result<WantedCart<'c, 'r>, ReserveError> {
        let lines = self.lines(request.lines)?;
        reference(request.reference)?;
        Ok(WantedCart { request, lines, ttl: self.ttl(request.ttl)?, clock: self })
    }

    /// Decides: one hold on all lines, or a refusal that is true of one of them, or `Busy`.
    pub(crate) fn decide_cart(
        &self,
        wanted: &WantedCart<'_, '_>,
        op: Option<Op>,
    ) -> Result<(ReservedCart, Position), ReserveError> {
        let mut effort = Effort::new();
        loop {
            self.stopped().map_err(SharedError::from)?;
            for line in &*wanted.lines {
                if let Some(refusal) = self.would_refuse(*line, wanted.clock, &mut effort)? {
                    return Err(ReserveError::Refused(refusal));
                }
            }
            if let Some(granted) = self.take_cart(wanted, op, &mut effort)? {
                self.count(Count::Granted);
                return Ok(granted);
            }
        }
    }

    /// Takes all lines and makes the hold; `None` if others were faster.
    fn take_cart(
        &self,
        wanted: &WantedCart<'_, '_>,
        op: Option<Op>,
        effort: &mut Effort,
    ) -> Result<Option<(ReservedCart, Position)>, ReserveError> {
        let WantedCart { request, lines, ttl, clock } = wanted;
        let now = clock.now();
        let (deadline, reference) = (now.plus(*ttl), request.reference);
        let new = NewHold { lines, born: now, deadline, reference, epoch: self.epoch };
        let Room { place, slot } = match self.holds.allocate(home(), new) {
            Ok(room) => room,
            Err(full) => return self.no_room(full, now, effort),
        };
        // From here on the place must become a hold or vanish.
        let (at, ttl) = (self.at(now), span(now, deadline));
        let record = match lines[..] {
            [line] => {
                let (key, quantity) = (line.key, line.units);
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
        let Some(taken) = self.take_tentatively(lines) else {
            self.holds.discard(place);
            return Ok(None);
        };
        // Nothing that can fail comes after the last take: counters first, then log, then the hold is seen.
        let drawn = claim.draw(record.words());
        stall::at(Step::Drawn);
        let position = Position(drawn.end());
        slot.publish(Word::with_deadline(Phase::Active, place.generation, deadline));
        stall::at(Step::Published);
        drawn.fill(record.as_bytes());
        stall::at(Step::Filled);
        taken.forgo();
        self.log.bell.ring();
        let hold = self.answers.ids.id(place, self.epoch);
        let quantity = request.lines.iter().map(|line| line.quantity).sum();
        Ok(Some((ReservedCart { hold, quantity, deadline }, position)))
    }
}
