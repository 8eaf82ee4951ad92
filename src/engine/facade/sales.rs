//! Operations that take units: reserve, cart, batch, replace.

use super::{Engine, wrong_answer_kind};
use crate::answer::{Refusal, RefusalReason, Replaced, Reserved, ReservedCart};
use crate::engine::content::{Content, OpKind};
use crate::error::{ReplaceError, ReserveError};
use crate::hold::op_keys::Answer;
use crate::log::record::Op;
use crate::receipt::Receipt;
use crate::request::{Replace, ReplaceBy, Reserve, ReserveCart};
use crate::types::{OpKey, Position};

/// # Sales
impl Engine {
    /// Takes units of a stock key and holds them until they are confirmed, released or expire.
    ///
    /// Lock-free without an op key. Cost: one compare-and-swap on the counter, one on the free list of slots,
    /// two additions on the log. A refusal writes nothing but its own count; if holds are past their deadline
    /// it expires them first, 256 at a time, up to a million before it answers `Busy`.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Refused`] is a true answer; [`is_busy`](ReserveError::is_busy) means try again; any
    /// other error is invalid input, or an engine that takes no new operations. None of them changes
    /// anything.
    pub fn reserve(&self, request: Reserve<'_>) -> Result<Receipt<'_, Reserved>, ReserveError> {
        let core = &self.inner.core;
        let wanted = core.validate_reserve(request)?;
        if request.op_key.is_none() {
            return core.reserve(&wanted, None).map(|granted| self.receipt(granted));
        }
        let content = Content::of(OpKind::Reserve)
            .number(request.key.index.0)
            .number(request.quantity)
            .span(request.ttl)
            .bytes(request.reference);
        // Added only if it is not the quantity, so that an all-or-nothing reserve keeps the hash that it had
        // before there was a smallest quantity.
        let content = match request.at_least {
            all if all == request.quantity => content,
            fewer => content.number(fewer),
        };
        self.reserve_once(
            (request.op_key, content.hash(), request.remember_refusal),
            Answer::Reserved,
            |answer| if let Answer::Reserved(reserved) = answer { Ok(reserved) } else { Err(answer) },
            |op| core.reserve(&wanted, op),
        )
    }

    /// Reserves several stock keys in one hold, all or nothing: one id, one deadline, one confirm or release.
    ///
    /// Lock-free without an op key. Cost: as [`reserve`](Self::reserve), and two swaps a line. A cart that
    /// comes up short gives back what it took before another call is answered sold out because of it, and
    /// carts that want the same lines in different orders never block each other: lines are taken in one
    /// order, and no cart waits.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Refused`] names the line that is short, with the quantities on its key added up; the
    /// rest is as for [`reserve`](Self::reserve). None of them changes anything.
    pub fn reserve_cart(&self, request: ReserveCart<'_>) -> Result<Receipt<'_, ReservedCart>, ReserveError> {
        let core = &self.inner.core;
        let wanted = core.validate_cart(request)?;
        if request.op_key.is_none() {
            return core.reserve_cart(&wanted, None).map(|granted| self.receipt(granted));
        }
        let content = Content::of(OpKind::ReserveCart)
            .lines(&wanted.lines)
            .span(request.ttl)
            .bytes(request.reference)
            .hash();
        self.reserve_once(
            (request.op_key, content, request.remember_refusal),
            Answer::Cart,
            |answer| match answer {
                Answer::Cart(cart) => Ok(cart),
                // A cart of one line is logged as what it is.
                Answer::Reserved(Reserved { hold, quantity, deadline, .. }) => {
                    Ok(ReservedCart { hold, quantity, deadline })
                }
                answer => Err(answer),
            },
            |op| core.reserve_cart(&wanted, op),
        )
    }

    /// Decides a reserve once for its op key. A remembered refusal is an answer like a grant.
    fn reserve_once<T: Copy>(
        &self,
        (op_key, content, remember): (Option<OpKey>, u64, bool),
        wrap: fn(T) -> Answer,
        unwrap: fn(Answer) -> Result<T, Answer>,
        decide: impl Fn(Option<Op>) -> Result<(T, Position), ReserveError>,
    ) -> Result<Receipt<'_, T>, ReserveError> {
        let core = &self.inner.core;
        let now = core.now();
        let decided = core.decide_once(
            op_key,
            content,
            now,
            |decided: Result<T, Refusal>| decided.map_or_else(Answer::Refused, wrap),
            |answer| match unwrap(answer) {
                Ok(granted) => Ok(Ok(granted)),
                Err(Answer::Refused(refusal)) => Ok(Err(refusal)),
                Err(_) => wrong_answer_kind(),
            },
            |op| match (decide(op), op) {
                // Not if the sale has not opened: it will, so the refusal does not stay true.
                (Err(ReserveError::Refused(refusal)), Some(op))
                    if remember && refusal.reason != RefusalReason::NotOpen =>
                {
                    let refusal = core.log_refusal(refusal, now, op)?;
                    Ok((Err(refusal), refusal.position))
                }
                (decided, _) => decided.map(|(granted, position)| (Ok(granted), position)),
            },
        )?;
        match decided {
            (Ok(granted), position) => Ok(self.receipt((granted, position))),
            (Err(refusal), _) => Err(ReserveError::Refused(refusal)),
        }
    }

    /// Decides many independent reserves in one call: each is granted or refused by itself, and the results
    /// are in the order of the requests. Cheaper than as many calls: up to 64 at a time share their claim and
    /// their draw of the log. A reserve that comes up short at the first attempt is decided again after the
    /// others of its 64. If any request has an op key, all are decided one by one.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive, Reserve};
    /// # let engine = Engine::in_memory(Config::default())?;
    /// # let key = engine.declare("poster", "berlin")?;
    /// # engine.receive(Receive::units(key, 3))?.wait()?;
    /// let wanted = [2, 2, 1].map(|quantity| Reserve::units(key, quantity));
    /// let granted: Vec<bool> = engine.reserve_batch(&wanted).iter().map(|result| result.is_ok()).collect();
    /// assert_eq!(granted.iter().filter(|granted| **granted).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Each result has its own: see [`reserve`](Self::reserve).
    pub fn reserve_batch(
        &self,
        requests: &[Reserve<'_>],
    ) -> Vec<Result<Receipt<'_, Reserved>, ReserveError>> {
        if requests.iter().any(|request| request.op_key.is_some()) {
            return requests.iter().map(|request| self.reserve(*request)).collect();
        }
        let decided = self.inner.core.reserve_batch(requests);
        decided.into_iter().map(|one| one.map(|granted| self.receipt(granted))).collect()
    }

    /// Gives a live hold another quantity, or other lines, in one step: it keeps its id, and its deadline
    /// unless a later one is asked for. Only the units that it needs in addition are taken, so it never
    /// competes with itself; those that it no longer needs go back on sale. Lock-free without an op key. At
    /// most 65,535 times a hold.
    ///
    /// # Errors
    ///
    /// [`ReplaceError::Refused`] is true of the units that the hold would need in addition. After any error
    /// the hold is as it was.
    pub fn replace(&self, request: Replace<'_>) -> Result<Receipt<'_, Replaced>, ReplaceError> {
        let core = &self.inner.core;
        let now = core.now();
        let content = || {
            let content = Content::of(OpKind::Replace).hold(request.hold);
            let content = match request.by {
                ReplaceBy::Quantity(units) => content.number(0).number(units),
                ReplaceBy::Lines(lines) => content.number(1).cart_lines(core, lines),
            };
            content.span(request.ttl).hash()
        };
        let content = request.op_key.map_or(0, |_| content());
        let unwrap =
            |answer| if let Answer::Replaced(replaced) = answer { Ok(replaced) } else { wrong_answer_kind() };
        core.decide_once(request.op_key, content, now, Answer::Replaced, unwrap, |op| {
            core.replace(request, now, op)
        })
        .map(|replaced| self.receipt(replaced))
    }
}
