//! Decides one cart: a reserve and a confirm, each with its own op key.
//!
//! Why a rerun has the same result as a single run: the same op key returns the same hold, and a confirm that
//! was lost in a crash is made by the rerun. A worker confirms a cart directly after its reserve, so a crash
//! leaves at most one unconfirmed cart per worker. Its units stay held for [`UNFINISHED_TTL`]; if the rerun
//! comes later, the confirm takes the units again. Refusals are remembered, so that a refused cart is not
//! granted by a rerun after holds have expired.
//!
//! Why a changed file grants nothing twice: the carts of an order are numbered, and a cart's op key is made
//! from its order and number. A cart is decided only after all carts of its order with smaller numbers, in
//! the same run, and an op key that was used with other content decides nothing. So a new cart is decided
//! only if every cart decided before is in the file unchanged. In a directory of separate lines, a line's op
//! key is made from all its names.

use std::fmt::Display;
use std::time::Duration;

use stockhold::error::{ConfirmError, NameError, OpKeyError, ReserveError, SharedError};
use stockhold::retry::until_answered;
use stockhold::types::REFERENCE_BYTES_MAX;
use stockhold::{
    CartLine, Confirm, Engine, HoldId, HoldState, Position, Refusal, RefusalReason, Reserve, ReserveCart,
    StockKey,
};
use xxhash_rust::xxh3::xxh3_128;

use super::cart::Cart;
use super::mark;
use super::turns::Board;

/// Time to live of the hold between reserve and confirm, should a crash separate them: the longest that
/// `Config` allows.
const UNFINISHED_TTL: Duration = Duration::from_secs(30 * 86_400);

/// What happens to a granted cart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It is sold.
    Confirm,
    /// It is held for this time.
    Hold(Duration),
}

/// Why a line was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Fewer units were available than it asked for.
    OutOfStock,
    /// The sale of its stock key is stopped.
    Stopped,
    /// No stock key with its SKU was ever declared.
    UnknownSku,
    /// Its SKU is known, but not at its location.
    UnknownLocation,
    /// The hold of an earlier run was ended without a sale.
    HoldEnded,
    /// Another line of its cart was refused, for one of the other reasons.
    OtherLine,
}

impl Reason {
    /// All of them, in the order of [`Reason::index`].
    pub const ALL: [Reason; 6] = [
        Reason::OutOfStock,
        Reason::Stopped,
        Reason::UnknownSku,
        Reason::UnknownLocation,
        Reason::HoldEnded,
        Reason::OtherLine,
    ];

    /// The name in the outcomes.
    pub fn name(self) -> &'static str {
        match self {
            Reason::OutOfStock => "out_of_stock",
            Reason::Stopped => "stopped",
            Reason::UnknownSku => "unknown_sku",
            Reason::UnknownLocation => "unknown_location",
            Reason::HoldEnded => "hold_ended",
            Reason::OtherLine => "other_line",
        }
    }

    /// For counting by reason.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The outcome of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineOutcome {
    /// It received its units. `available` (afterwards) is known only for a cart of one line.
    Granted { hold: HoldId, available: Option<i64> },
    /// It received nothing. `available` is known for the lines that were checked.
    Refused { why: Reason, available: Option<i64> },
}

/// The outcome of a cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every line received its units.
    Granted { hold: HoldId, available: Option<i64> },
    /// No line received any: the reason and the available units of each line.
    Refused(Box<[(Reason, Option<i64>)]>),
    /// Its op key was used with other content.
    ContentChanged,
    /// An earlier cart of its order was not decided.
    Blocked,
    /// The engine failed.
    Failed(String),
}

impl Verdict {
    /// The outcome of the line at `index` of the cart; `None` if the cart was not decided.
    pub fn of_line(&self, index: usize) -> Option<LineOutcome> {
        match self {
            &Verdict::Granted { hold, available } => Some(LineOutcome::Granted { hold, available }),
            Verdict::Refused(lines) => {
                lines.get(index).map(|&(why, available)| LineOutcome::Refused { why, available })
            }
            Verdict::ContentChanged | Verdict::Blocked | Verdict::Failed(_) => None,
        }
    }
}

/// A verdict, and the log position that makes it durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// The verdict is durable when the log is durable up to here.
    pub position: Position,
}

impl Decision {
    fn at(position: Position, verdict: Verdict) -> Self {
        Decision { verdict, position }
    }

    /// A verdict that depends on no record.
    fn without_record(verdict: Verdict) -> Self {
        Decision::at(Position::default(), verdict)
    }

    fn failed(error: &dyn Display) -> Self {
        Decision::without_record(Verdict::Failed(error.to_string()))
    }

    /// The lines on the stock key of `refusal` have its reason, the other lines [`Reason::OtherLine`].
    fn refused(refusal: Refusal, keys: &[StockKey]) -> Self {
        let why = match refusal.reason {
            RefusalReason::OutOfStock => Reason::OutOfStock,
            RefusalReason::Stopped => Reason::Stopped,
            RefusalReason::NotOpen => {
                return Decision::failed(&"the sale of this SKU has not opened yet: run again when it has");
            }
            reason => return Decision::failed(&format!("a refusal of an unknown kind: {reason:?}")),
        };
        let of_line = |&key| match key == refusal.key {
            true => (why, Some(refusal.available)),
            false => (Reason::OtherLine, None),
        };
        Decision::at(refusal.position, Verdict::Refused(keys.iter().map(of_line).collect()))
    }
}

/// Decides `cart`, without waiting for durability.
pub fn decide(engine: &Engine, board: &Board, cart: &Cart, mode: Mode) -> Decision {
    let decision = match resolve(engine, cart) {
        Err(unresolved) => unresolved,
        // A blocked cart is not decided now. If an earlier run decided it, its remembered answer is repeated.
        Ok(_) if cart.place.is_some_and(|place| board.is_blocked(place)) && !is_known(engine, cart) => {
            Decision::without_record(Verdict::Blocked)
        }
        Ok(keys) => sell(engine, cart, &keys, mode),
    };
    // A cart without a record in the log blocks the later carts of its order. The numbers of decided carts
    // must have no gaps: then a cart that was changed, added, removed or moved meets an op key with other
    // content before any grant.
    let has_no_record = |why: &(Reason, _)| matches!(why.0, Reason::UnknownSku | Reason::UnknownLocation);
    let undecided = match &decision.verdict {
        Verdict::Granted { .. } => false,
        Verdict::Refused(lines) => lines.iter().any(has_no_record),
        Verdict::ContentChanged | Verdict::Blocked | Verdict::Failed(_) => true,
    };
    if let (true, Some(place)) = (undecided, cart.place) {
        board.block(place);
    }
    decision
}

/// The stock keys of a cart's lines, or the decision on a cart that names an unknown one.
fn resolve(engine: &Engine, cart: &Cart) -> Result<Vec<StockKey>, Decision> {
    let mut keys = Vec::with_capacity(cart.lines.len());
    let mut unknown = None;
    for (index, line) in cart.lines.iter().enumerate() {
        let names = line.names();
        let why = match engine.key(names.sku, names.location) {
            Ok(key) => {
                keys.push(key);
                continue;
            }
            Err(NameError::UnknownSku(_)) => Reason::UnknownSku,
            Err(NameError::UnknownLocation { .. }) => Reason::UnknownLocation,
            Err(error) => return Err(Decision::failed(&error)),
        };
        let lines = unknown.get_or_insert_with(|| vec![(Reason::OtherLine, None); cart.lines.len()]);
        lines[index] = (why, Some(0));
    }
    match unknown {
        None => Ok(keys),
        // An earlier run decided it without the line that names an unknown stock key.
        Some(_) if cart.place.is_some() && is_known(engine, cart) => {
            Err(Decision::without_record(Verdict::ContentChanged))
        }
        Some(lines) => Err(Decision::without_record(Verdict::Refused(lines.into()))),
    }
}

/// Whether the cart was decided before, with any content. If the engine fails here, `true` makes the next
/// call report why.
fn is_known(engine: &Engine, cart: &Cart) -> bool {
    mark::is_known(engine, cart.keys.reserve).unwrap_or(true)
}

fn sell(engine: &Engine, cart: &Cart, keys: &[StockKey], mode: Mode) -> Decision {
    let ttl = match mode {
        Mode::Confirm => UNFINISHED_TTL,
        Mode::Hold(ttl) => ttl,
    };
    let mut digest = String::new();
    let reference = reference(cart.lines[0].names().order_id, &mut digest);
    let (position, hold, available) = match reserve(engine, cart, keys, (ttl, reference)) {
        Ok(granted) => granted,
        Err(ReserveError::Refused(refusal)) => return Decision::refused(refusal, keys),
        Err(ReserveError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => {
            return Decision::without_record(Verdict::ContentChanged);
        }
        Err(error) => return Decision::failed(&error),
    };
    let granted = Verdict::Granted { hold, available };
    if let Mode::Hold(_) = mode {
        return Decision::at(position, granted);
    }
    let confirm = Confirm::hold(hold).retake_if_expired().op_key(cart.keys.confirm);
    match until_answered(|| engine.confirm(confirm)) {
        Ok(receipt) => Decision::at(position.max(receipt.position()), granted),
        // An earlier run sold it.
        Err(ConfirmError::Ended(HoldState::Confirmed | HoldState::Shipped | HoldState::Cancelled)) => {
            Decision::at(position, granted)
        }
        Err(ConfirmError::Refused(refusal)) => Decision::refused(refusal, keys),
        Err(ConfirmError::Ended(_) | ConfirmError::Expired | ConfirmError::Lookup(_)) => {
            let lines = keys.iter().map(|&key| (Reason::HoldEnded, Some(engine.available(key).unwrap_or(0))));
            Decision::at(position, Verdict::Refused(lines.collect()))
        }
        Err(ConfirmError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => {
            Decision::without_record(Verdict::ContentChanged)
        }
        Err(error) => Decision::failed(&error),
    }
}

/// Reserves one hold on all lines; the engine adds up lines on the same stock key.
fn reserve(
    engine: &Engine,
    cart: &Cart,
    keys: &[StockKey],
    (ttl, reference): (Duration, &str),
) -> Result<(Position, HoldId, Option<i64>), ReserveError> {
    let op_key = cart.keys.reserve;
    if let ([line], [key]) = (&cart.lines[..], keys) {
        let request = Reserve::units(*key, line.quantity)
            .ttl(ttl)
            .reference(reference)
            .op_key(op_key)
            .remember_refusal();
        let receipt = until_answered(|| engine.reserve(request))?;
        let position = receipt.position();
        let reserved = receipt.not_yet_durable();
        return Ok((position, reserved.hold, Some(reserved.remaining.units())));
    }
    let lines: Vec<CartLine> =
        keys.iter().zip(&cart.lines).map(|(&key, line)| CartLine::units(key, line.quantity)).collect();
    let request = ReserveCart::lines(&lines).ttl(ttl).reference(reference).op_key(op_key).remember_refusal();
    let receipt = until_answered(|| engine.reserve_cart(request))?;
    Ok((receipt.position(), receipt.not_yet_durable().hold, None))
}

/// The reference of the order's holds: its id, or the hash of an id that is too long.
fn reference<'a>(order_id: &'a str, digest: &'a mut String) -> &'a str {
    if order_id.len() <= REFERENCE_BYTES_MAX {
        return order_id;
    }
    *digest = format!("{:032x}", xxh3_128(order_id.as_bytes()));
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_order_id_is_replaced_by_its_hash() {
        let mut digest = String::new();
        assert_eq!(reference(&"x".repeat(40), &mut digest), "x".repeat(40));
        assert_eq!(reference(&"x".repeat(41), &mut digest), "f923813aa2577d61a79b84257aed7e6e");
    }

    #[test]
    fn each_reason_has_its_own_index() {
        for (index, why) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), index);
        }
    }
}
