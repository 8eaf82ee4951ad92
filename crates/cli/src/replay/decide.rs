//! What becomes of one cart: a reserve and its confirm, each under an op key of its own.
//!
//! Why a rerun ends where one run would have: the same key gives the same hold, and a confirm that a crash took
//! away is made up for. Reserve and confirm of a cart are neighbours in a worker, so a crash can leave one cart a
//! worker in between. Its units stay held for [`UNFINISHED_TTL`] until the rerun comes; if it comes later still,
//! the confirm takes the units again. Refusals are remembered, so that a cart that was refused is not granted
//! by the next run because holds have expired in between.
//!
//! Why a changed file grants nothing twice: the carts of an order are numbered, and a cart's op key is made of its
//! order and number. One is decided only after all with smaller numbers are, in the run that decides it, and an op key
//! with other content is no decision. So what is new is decided only where all that was decided before stands in the
//! file as it was. In a directory of separate lines, a line's op key is made of all that it names.

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

/// How long a cart that a crash left without its confirm keeps its units: the longest that `Config` allows.
const UNFINISHED_TTL: Duration = Duration::from_secs(30 * 86_400);

/// What a granted cart becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Sold.
    Confirm,
    /// Held for this long.
    Hold(Duration),
}

/// Why a line got nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// Fewer units were available than it asked for.
    OutOfStock,
    /// The sale of its stock key is stopped.
    Stopped,
    /// No line of stock ever named its SKU.
    UnknownSku,
    /// Its SKU is known, but not there.
    UnknownLocation,
    /// It had a hold once that somebody ended unsold.
    HoldEnded,
    /// Another line of its cart is short: that one says of what.
    OtherLine,
}

impl Why {
    /// All of them, in the order of [`Why::index`].
    pub const ALL: [Why; 6] = [
        Why::OutOfStock,
        Why::Stopped,
        Why::UnknownSku,
        Why::UnknownLocation,
        Why::HoldEnded,
        Why::OtherLine,
    ];

    /// As it stands in the outcomes.
    pub fn name(self) -> &'static str {
        match self {
            Why::OutOfStock => "out_of_stock",
            Why::Stopped => "stopped",
            Why::UnknownSku => "unknown_sku",
            Why::UnknownLocation => "unknown_location",
            Why::HoldEnded => "hold_ended",
            Why::OtherLine => "other_line",
        }
    }

    /// For counting by reason.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What one line got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its units. What was available after it is told of a cart of one line alone: the engine tells none of others.
    Granted { hold: HoldId, available: Option<i64> },
    /// Nothing. What was available is told of the lines that were looked at.
    Refused { why: Why, available: Option<i64> },
}

/// What became of a cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every line got its units.
    Granted { hold: HoldId, available: Option<i64> },
    /// No line got any: why, and what was available, line by line.
    Refused(Box<[(Why, Option<i64>)]>),
    /// Its op key belongs to a cart with other content.
    DecidedOtherwise,
    /// A cart of its order that comes before it was not decided.
    HeldUp,
    /// The engine cannot go on.
    Failed(String),
}

impl Verdict {
    /// What the line at `index` of the cart got; `None` if that is no outcome.
    pub fn of_line(&self, index: usize) -> Option<Outcome> {
        match self {
            &Verdict::Granted { hold, available } => Some(Outcome::Granted { hold, available }),
            Verdict::Refused(lines) => {
                lines.get(index).map(|&(why, available)| Outcome::Refused { why, available })
            }
            Verdict::DecidedOtherwise | Verdict::HeldUp | Verdict::Failed(_) => None,
        }
    }
}

/// A verdict, and the log position that it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What became of the cart.
    pub verdict: Verdict,
    /// Durable up to here, the verdict can be relied on.
    pub position: Position,
}

impl Decision {
    fn at(position: Position, verdict: Verdict) -> Self {
        Decision { verdict, position }
    }

    /// Rests on nothing that could be lost.
    fn at_once(verdict: Verdict) -> Self {
        Decision::at(Position::default(), verdict)
    }

    fn failed(error: &dyn Display) -> Self {
        Decision::at_once(Verdict::Failed(error.to_string()))
    }

    /// The lines on the stock key of `refusal` are short, the others go with them.
    fn refused(refusal: Refusal, keys: &[StockKey]) -> Self {
        let why = match refusal.reason {
            RefusalReason::OutOfStock => Why::OutOfStock,
            RefusalReason::Stopped => Why::Stopped,
            RefusalReason::NotOpen => {
                return Decision::failed(&"the sale of this SKU has not opened yet: run again when it has");
            }
            reason => return Decision::failed(&format!("a refusal of an unknown kind: {reason:?}")),
        };
        let told = |&key| match key == refusal.key {
            true => (why, Some(refusal.available)),
            false => (Why::OtherLine, None),
        };
        Decision::at(refusal.position, Verdict::Refused(keys.iter().map(told).collect()))
    }
}

/// Decides `cart`; waits for nothing but an answer.
pub fn decide(engine: &Engine, board: &Board, cart: &Cart, mode: Mode) -> Decision {
    let decision = match resolve(engine, cart) {
        Err(unresolved) => unresolved,
        // Only what is remembered is told of a cart that is held up.
        Ok(_) if cart.place.is_some_and(|place| board.is_held_up(place)) && !is_known(engine, cart) => {
            Decision::at_once(Verdict::HeldUp)
        }
        Ok(keys) => sell(engine, cart, &keys, mode),
    };
    // Whatever leaves no trace in the log lets none of the order's later carts be decided: numbers without gaps are what
    // makes a cart that has changed, come, gone or moved meet an op key of other content, before anything is granted.
    let leaves_none = |why: &(Why, _)| matches!(why.0, Why::UnknownSku | Why::UnknownLocation);
    let undecided = match &decision.verdict {
        Verdict::Granted { .. } => false,
        Verdict::Refused(lines) => lines.iter().any(leaves_none),
        Verdict::DecidedOtherwise | Verdict::HeldUp | Verdict::Failed(_) => true,
    };
    if let (true, Some(place)) = (undecided, cart.place) {
        board.hold_up(place);
    }
    decision
}

/// The stock keys of a cart's lines, or what becomes of one that names others.
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
            Err(NameError::UnknownSku(_)) => Why::UnknownSku,
            Err(NameError::UnknownLocation { .. }) => Why::UnknownLocation,
            Err(error) => return Err(Decision::failed(&error)),
        };
        let told = unknown.get_or_insert_with(|| vec![(Why::OtherLine, None); cart.lines.len()]);
        told[index] = (why, Some(0));
    }
    match unknown {
        None => Ok(keys),
        // It was granted or refused without the line that nobody knows.
        Some(_) if cart.place.is_some() && is_known(engine, cart) => {
            Err(Decision::at_once(Verdict::DecidedOtherwise))
        }
        Some(told) => Err(Decision::at_once(Verdict::Refused(told.into()))),
    }
}

/// Whether the cart was decided before, with whatever content. An engine that cannot say will say why when it is asked to
/// decide.
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
            return Decision::at_once(Verdict::DecidedOtherwise);
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
        // Whoever got to this hold before has sold it.
        Err(ConfirmError::Ended(HoldState::Confirmed | HoldState::Shipped | HoldState::Cancelled)) => {
            Decision::at(position, granted)
        }
        Err(ConfirmError::Refused(refusal)) => Decision::refused(refusal, keys),
        Err(ConfirmError::Ended(_) | ConfirmError::Expired | ConfirmError::Lookup(_)) => {
            let told = keys.iter().map(|&key| (Why::HoldEnded, Some(engine.available(key).unwrap_or(0))));
            Decision::at(position, Verdict::Refused(told.collect()))
        }
        Err(ConfirmError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => {
            Decision::at_once(Verdict::DecidedOtherwise)
        }
        Err(error) => Decision::failed(&error),
    }
}

/// One hold on all lines; the engine adds up those on the same stock key.
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

/// What the engine calls the order: its id, or a hash of one that is too long.
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
    fn a_long_order_id_is_referred_to_by_its_hash() {
        let mut digest = String::new();
        assert_eq!(reference(&"x".repeat(40), &mut digest), "x".repeat(40));
        assert_eq!(reference(&"x".repeat(41), &mut digest), "f923813aa2577d61a79b84257aed7e6e");
    }

    #[test]
    fn reasons_count_in_their_own_places() {
        for (index, why) in Why::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), index);
        }
    }
}
