//! Stock on hand, and whether a key is on sale.

use super::{Engine, wrong_answer_kind};
use crate::answer::Adjusted;
use crate::clock::Timestamp;
use crate::engine::content::{Content, OpKind};
use crate::error::StockError;
use crate::hold::op_keys::Answer;
use crate::receipt::Receipt;
use crate::request::{Adjust, Receive};
use crate::stock::book::Gate;
use crate::types::StockKey;

fn adjusted(answer: Answer) -> Result<Adjusted, StockError> {
    if let Answer::Adjusted(adjusted) = answer { Ok(adjusted) } else { wrong_answer_kind() }
}

/// # Stock
impl Engine {
    /// Adds units that have arrived; they are on sale at once. Takes the key's lock of physical movements.
    ///
    /// # Errors
    ///
    /// [`StockError::TooMuch`] beyond what can be counted; a quantity or reference out of range.
    pub fn receive(&self, request: Receive<'_>) -> Result<Receipt<'_, Adjusted>, StockError> {
        let core = &self.inner.core;
        core.item(request.key)?;
        let now = core.now();
        let content = || {
            Content::of(OpKind::Receive)
                .number(request.key.index.0)
                .number(request.quantity)
                .bytes(request.reference)
                .hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        core.decide_once(request.op_key, content, now, Answer::Adjusted, adjusted, |op| {
            core.receive(request, now, op)
        })
        .map(|received| self.receipt(received))
    }

    /// Corrects what is on hand. A correction below what is held and committed makes a shortfall: it is
    /// applied, and reported in the answer; units that are received later cover it first. Takes the key's
    /// lock of physical movements.
    ///
    /// # Errors
    ///
    /// [`StockError::BelowZero`] for more than is on hand; a delta or reference out of range.
    pub fn adjust(&self, request: Adjust<'_>) -> Result<Receipt<'_, Adjusted>, StockError> {
        let core = &self.inner.core;
        core.item(request.key)?;
        let now = core.now();
        let content = || {
            Content::of(OpKind::Adjust)
                .number(request.key.index.0)
                .number(request.delta)
                .reason(request.reason)
                .bytes(request.reference)
                .hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        core.decide_once(request.op_key, content, now, Answer::Adjusted, adjusted, |op| {
            core.adjust(request, now, op)
        })
        .map(|corrected| self.receipt(corrected))
    }

    /// Stops the sale of a key: from now on reserves are refused with
    /// [`RefusalReason::Stopped`](crate::answer::RefusalReason::Stopped), everything else goes on. Survives a
    /// restart.
    ///
    /// # Errors
    ///
    /// A key of another directory; an engine that takes no new operations, or whose log is behind.
    pub fn stop_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::Stopped).map(|stopped| self.receipt(stopped))
    }

    /// Opens the sale of a key at a moment of engine time: before it reserves are refused with
    /// [`RefusalReason::NotOpen`](crate::answer::RefusalReason::NotOpen), from then on no reserve is refused
    /// for that reason; no call is needed at that moment. A moment that has passed opens it now. Survives a
    /// restart.
    ///
    /// A key has one gate: open, stopped, or opening at a moment. [`stop_sale`](Self::stop_sale) discards the
    /// moment, so a later [`resume_sale`](Self::resume_sale) opens the sale at once. To keep it closed, give
    /// the moment again instead.
    ///
    /// # Errors
    ///
    /// [`TimeError`](crate::error::TimeError) for a moment outside the years 2020 to 2089: it is most likely no
    /// number of milliseconds, and the sale is as it was. A key of another directory; an engine that takes no
    /// new operations, or whose log is behind.
    pub fn open_sale_at(&self, key: StockKey, opens_at: Timestamp) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::OpensAt(opens_at)).map(|set| self.receipt(set))
    }

    /// Splits a key's counter in advance, for a sale whose first moment will be its hottest; returns whether
    /// it is split now. It is not if it has fewer than 64 units or more than 8 million for each core (up to
    /// 16), if 256 other keys are split, or on a machine with one core; no answer is wrong because of that.
    /// Without this call a key is split by contention alone, within microseconds. A prepared key stays split
    /// until it has been used and then been idle for a second. Changes no number; not remembered over a
    /// restart.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn prepare(&self, key: StockKey) -> Result<bool, StockError> {
        let core = &self.inner.core;
        core.item(key)?;
        Ok(core.book.prepare(key.index))
    }

    /// Clears the stop switch, and the moment of opening.
    ///
    /// # Errors
    ///
    /// A key of another directory; an engine that takes no new operations, or whose log is behind.
    pub fn resume_sale(&self, key: StockKey) -> Result<Receipt<'_, ()>, StockError> {
        self.inner.core.switch(key, Gate::Open).map(|resumed| self.receipt(resumed))
    }
}
