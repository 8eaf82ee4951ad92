//! Stock keys and their stock: declare, receive, adjust, stop, open, resume.

use super::core::Core;
use super::take::retry_until_decided;
use super::validate::{delta, quantity, reference};
use crate::answer::Adjusted;
use crate::clock::Timestamp;
use crate::error::{Busy, NameError, SharedError, StockError};
use crate::fault::{Fault, planted};
use crate::fold::answers::adjusted;
use crate::index::KeyIndex;
use crate::log::record::{Encoded, Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Adjust, Receive};
use crate::segments::NoRoom;
use crate::stall::{self, Step};
use crate::stock::blocks::Lane;
use crate::stock::book::{Gate, Item, Stock};
use crate::stock::counter::{Correction, PendingFull};
use crate::types::{ON_HAND_MAX, Position, StockKey};

impl Core {
    /// The key of a name, made and logged if it is new. Its record lies before every other record with the
    /// key.
    pub(crate) fn declare(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        let index = self.catalog.declare(sku, location, |key| {
            let record = self.encode(&Record::Declare { key, sku, location })?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let stock = Stock { available: 0, on_hand: 0, gate: Gate::Open };
            self.book.add(key, stock).map_err(|none| match none {
                NoRoom::Full => NameError::Full,
                NoRoom::Growing => self.busy(Busy::Growing).into(),
            })?;
            claim.draw(record.words()).fill(record.as_bytes());
            self.log.bell.ring();
            Ok(())
        })?;
        Ok(self.stock_key(index))
    }

    pub(crate) fn receive(
        &self,
        request: Receive<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Adjusted, Position), StockError> {
        let item = self.item(request.key)?;
        let (at, key) = (self.record_time(now), request.key.index);
        let (quantity, reference) = (quantity(request.quantity)?, reference(request.reference)?);
        let record = self.encode(&Record::Receive { at, key, quantity, reference, op })?;
        let corrected = self.change_on_hand(item, key, quantity.into(), record)?;
        self.count(Count::Received);
        Ok(corrected)
    }

    pub(crate) fn adjust(
        &self,
        request: Adjust<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Adjusted, Position), StockError> {
        let item = self.item(request.key)?;
        let (delta, reason) = (delta(request.delta)?, request.reason);
        let (at, key, reference) = (self.record_time(now), request.key.index, reference(request.reference)?);
        let record = self.encode(&Record::Adjust { at, key, delta, reason: reason.into(), reference, op })?;
        let corrected = self.change_on_hand(item, key, delta, record)?;
        self.count(Count::Adjusted);
        Ok(corrected)
    }

    /// Changes what is on hand. Upwards: position first, then counter. Downwards: counter first, then
    /// position.
    ///
    /// The number in the answer is of one instant, at which no hold was due and nothing but this correction
    /// was pending. The correction counts as made at that instant: from its beginning to its end it is pending
    /// itself, so no other thread refuses a caller or reads an exact number in between, and takes and
    /// give-backs are as right before it as after it. While there is no such instant, nothing is changed and
    /// the answer is `Busy`.
    fn change_on_hand(
        &self,
        item: Item<'_>,
        key: KeyIndex,
        delta: i64,
        mut record: Encoded,
    ) -> Result<(Adjusted, Position), StockError> {
        // A hold past its deadline never counts. What is due already is expired here, before any other thread
        // can meet the correction.
        self.sweep(self.now());
        let lane = self.lane(key);
        let locked = self.book.lock_key(key);
        let on_hand = item.on_hand();
        let after = on_hand + delta;
        if after > ON_HAND_MAX {
            return Err(StockError::TooMuch);
        }
        if delta < 0 && after < 0 {
            return Err(StockError::BelowZero { asked: -delta, on_hand });
        }
        let claim = self.claim(record.words(), Share::Keep)?;
        let begun = item.counter.begin_correction(lane, delta);
        let correction = begun.map_err(|PendingFull| self.busy(Busy::Pending))?;
        let available = match self.available_beside(item, lane, &correction) {
            Ok(available) => available,
            Err(cause) => {
                item.counter.undo_correction(lane, correction);
                return Err(cause.into());
            }
        };
        let drawn = claim.draw(record.words());
        stall::at(Step::Correcting);
        item.counter.end_correction(lane, correction);
        item.set_on_hand(after);
        record.set_answer(available);
        let position = Position(drawn.end());
        drawn.fill(record.as_bytes());
        drop(locked);
        self.log.bell.ring();
        Ok((adjusted(available), position))
    }

    /// What is available with a correction that was begun, at one instant, with no hold due and nothing else
    /// pending.
    fn available_beside(
        &self,
        item: Item<'_>,
        lane: Lane<'_>,
        correction: &Correction,
    ) -> Result<i64, SharedError> {
        retry_until_decided(|effort| {
            let before = self.timer_states();
            let reading = item.counter.exactly_beside(lane, correction);
            if planted(Fault::CorrectUnsettled) {
                return Ok(Some(reading.available));
            }
            self.settled(&before, reading, self, effort)
        })
    }

    /// Opens or stops the sale of a key, now or at a moment.
    pub(crate) fn switch(&self, key: StockKey, gate: Gate) -> Result<((), Position), StockError> {
        let item = self.item(key)?;
        if let Gate::OpensAt(opens_at) = gate {
            opens_at.check()?;
        }
        let (at, key) = (self.record_time(self.now()), key.index);
        let record = self.encode(&match gate {
            Gate::Open => Record::Sale { at, key, stopped: false },
            Gate::Stopped => Record::Sale { at, key, stopped: true },
            Gate::OpensAt(opens_at) => Record::Opens { at, key, opens_at_ms: opens_at.0 },
        })?;
        // The lock keeps the order of switches the same in memory and in the log.
        let _switching = self.book.lock_key(key);
        let drawn = self.claim(record.words(), Share::Keep)?.draw(record.words());
        item.set_gate(gate);
        let position = Position(drawn.end());
        drawn.fill(record.as_bytes());
        self.log.bell.ring();
        Ok(((), position))
    }
}
