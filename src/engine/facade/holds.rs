//! Operations on a hold.

use super::{Engine, wrong_answer_kind};
use crate::answer::{Confirmed, Extended, Moved};
use crate::engine::content::{Content, OpKind, hold_content};
use crate::error::{ConfirmError, HoldError};
use crate::hold::op_keys::Answer;
use crate::receipt::Receipt;
use crate::request::{Confirm, Extend, HoldAction};

fn moved(answer: Answer) -> Result<Moved, HoldError> {
    if let Answer::Moved(moved) = answer { Ok(moved) } else { wrong_answer_kind() }
}

fn extended(answer: Answer) -> Result<Extended, HoldError> {
    if let Answer::Extended(extended) = answer { Ok(extended) } else { wrong_answer_kind() }
}

/// # Holds
impl Engine {
    /// Confirms a hold: it is paid for, in whole or in part, and the rest goes back on sale. Final. Lock-free
    /// without an op key.
    ///
    /// At or after the deadline it fails, unless [`Confirm::retake_if_expired`] finds the units still there
    /// (and the key's sale not stopped).
    ///
    /// # Errors
    ///
    /// [`ConfirmError::Expired`] at or after the deadline, [`ConfirmError::Ended`] after another outcome;
    /// more units, or other lines, than the hold has; a hold that is not known or no longer remembered. The
    /// hold is as it was.
    pub fn confirm<'a>(
        &self,
        request: impl Into<Confirm<'a>>,
    ) -> Result<Receipt<'_, Confirmed>, ConfirmError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = || {
            Content::of(OpKind::Confirm)
                .hold(request.hold)
                .maybe(request.quantity)
                .number(u8::from(request.retake))
                .maybe_lines(core, request.lines)
                .hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        let unwrap = |answer| {
            if let Answer::Confirmed(confirmed) = answer { Ok(confirmed) } else { wrong_answer_kind() }
        };
        core.decide_once(request.op_key, content, now, Answer::Confirmed, unwrap, |op| {
            core.confirm(request, now, op)
        })
        .map(|confirmed| self.receipt(confirmed))
    }

    /// Releases a hold: all of its units go back on sale. Lock-free without an op key.
    ///
    /// # Errors
    ///
    /// [`HoldError`]: the hold has expired, has ended otherwise, or is not known. Nothing was changed.
    pub fn release<'a>(&self, request: impl Into<HoldAction<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, OpKind::Release, &request));
        core.decide_once(request.op_key, content, now, Answer::Moved, moved, |op| {
            core.release(request, now, op)
        })
        .map(|released| self.receipt(released))
    }

    /// Gives a hold a later deadline: never an earlier one, and never more life in all than
    /// [`Config::life_max`](crate::Config::life_max). A failed call extends nothing, and an expired hold does
    /// not come back.
    ///
    /// # Errors
    ///
    /// [`HoldError::LifeMax`] says how long it may live; a TTL out of bounds; a hold that has expired, ended,
    /// or is not known.
    pub fn extend(&self, request: Extend) -> Result<Receipt<'_, Extended>, HoldError> {
        let core = &self.inner.core;
        let now = core.now();
        let ttl_ns = request.ttl.as_nanos().min(i128::MAX as u128) as i128;
        let content = request
            .op_key
            .map_or(0, |_| Content::of(OpKind::Extend).hold(request.hold).number(ttl_ns).hash());
        core.decide_once(request.op_key, content, now, Answer::Extended, extended, |op| {
            core.extend(request, now, op)
        })
        .map(|extended| self.receipt(extended))
    }

    /// Marks a hold as being paid for: it lives
    /// [`Config::payment_extension`](crate::Config::payment_extension) longer, once, within
    /// [`Config::life_max`](crate::Config::life_max).
    ///
    /// # Errors
    ///
    /// A hold that has expired, ended, is being paid for already, or is not known.
    pub fn begin_payment<'a>(
        &self,
        request: impl Into<HoldAction<'a>>,
    ) -> Result<Receipt<'_, Extended>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, OpKind::BeginPayment, &request));
        core.decide_once(request.op_key, content, now, Answer::Extended, extended, |op| {
            core.begin_payment(request, now, op)
        })
        .map(|extended| self.receipt(extended))
    }

    /// Cancels committed units, all or a part: what was confirmed and has not shipped goes back on sale.
    ///
    /// # Errors
    ///
    /// A hold that is not confirmed; more units, or other lines, than it still has.
    pub fn cancel<'a>(&self, request: impl Into<HoldAction<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, OpKind::Cancel, &request));
        core.decide_once(request.op_key, content, now, Answer::Moved, moved, |op| {
            core.cancel(request, now, op)
        })
        .map(|cancelled| self.receipt(cancelled))
    }

    /// Ships committed units, all or a part: they leave what is on hand. Takes the key's lock of physical
    /// movements.
    ///
    /// # Errors
    ///
    /// A hold that is not confirmed; more units, or other lines, than it still has.
    pub fn ship<'a>(&self, request: impl Into<HoldAction<'a>>) -> Result<Receipt<'_, Moved>, HoldError> {
        let (core, request) = (&self.inner.core, request.into());
        let now = core.now();
        let content = request.op_key.map_or(0, |_| hold_content(core, OpKind::Ship, &request));
        core.decide_once(request.op_key, content, now, Answer::Moved, moved, |op| core.ship(request, now, op))
            .map(|shipped| self.receipt(shipped))
    }
}
