//! What becomes of one line: a reserve and its confirm, each under an op key of its own.
//!
//! Why a rerun ends where one run would have: the same key gives the same hold, and a confirm that a crash took
//! away is made up for. Reserve and confirm of a line are neighbours in a worker, so a crash can leave one line a
//! worker in between. Its units stay held for [`UNFINISHED_TTL`] until the rerun comes; if it comes later still,
//! the confirm takes the units again. Refusals are remembered, so that a line that was refused is not granted
//! by the next run because holds have expired in between.

use std::time::Duration;

use stockhold::error::{Common, ConfirmError, NameError, OpKeyError, ReserveError};
use stockhold::types::REFERENCE_BYTES_MAX;
use stockhold::{Confirm, Engine, HoldId, HoldState, Position, Refusal, RefusalReason, Reserve};
use xxhash_rust::xxh3::xxh3_128;

use super::key::LineKeys;
use super::line::Names;
use super::retry::until_answered;

/// How long a line that a crash left without its confirm keeps its units: the longest that `Config` allows.
const UNFINISHED_TTL: Duration = Duration::from_secs(30 * 86_400);

/// What a granted line becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Sold.
    Confirm,
    /// Held for this long.
    Hold(Duration),
}

/// One line on its way through the engine.
#[derive(Debug)]
pub struct Line {
    /// Where it began in the file.
    pub number: u64,
    /// Units asked for.
    pub quantity: u32,
    /// Its identity.
    pub keys: LineKeys,
    /// Order id, SKU and location in one piece, and where the first two end.
    text: Box<str>,
    ends: [usize; 2],
}

impl Line {
    /// Takes a copy of the names.
    pub fn new(number: u64, names: Names<'_>, quantity: u32, keys: LineKeys) -> Self {
        let Names { order_id, sku, location } = names;
        let text = [order_id, sku, location].concat().into();
        Line { number, quantity, keys, text, ends: [order_id.len(), order_id.len() + sku.len()] }
    }

    /// What it asks for.
    pub fn names(&self) -> Names<'_> {
        let [order_id, sku] = self.ends;
        Names {
            order_id: &self.text[..order_id],
            sku: &self.text[order_id..sku],
            location: &self.text[sku..],
        }
    }
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
}

impl Why {
    /// All of them, in the order of [`Why::index`].
    pub const ALL: [Why; 5] =
        [Why::OutOfStock, Why::Stopped, Why::UnknownSku, Why::UnknownLocation, Why::HoldEnded];

    /// As it stands in the outcomes.
    pub fn name(self) -> &'static str {
        match self {
            Why::OutOfStock => "out_of_stock",
            Why::Stopped => "stopped",
            Why::UnknownSku => "unknown_sku",
            Why::UnknownLocation => "unknown_location",
            Why::HoldEnded => "hold_ended",
        }
    }

    /// For counting by reason.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What became of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It got its units.
    Granted { hold: HoldId, available: i64 },
    /// It got nothing.
    Refused { why: Why, available: i64 },
    /// Its op key belongs to a line with other content.
    DecidedOtherwise,
    /// The engine cannot go on.
    Failed(String),
}

/// A verdict, and the log position that it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What became of the line.
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

    fn refused(refusal: Refusal) -> Self {
        let why = match refusal.reason {
            RefusalReason::OutOfStock => Why::OutOfStock,
            RefusalReason::Stopped => Why::Stopped,
            reason => {
                return Decision::at_once(Verdict::Failed(format!(
                    "a refusal of an unknown kind: {reason:?}"
                )));
            }
        };
        Decision::at(refusal.position, Verdict::Refused { why, available: refusal.available })
    }
}

/// Decides `line`; waits for nothing but an answer.
pub fn decide(engine: &Engine, line: &Line, mode: Mode) -> Decision {
    let names = line.names();
    let unknown = |why| Decision::at_once(Verdict::Refused { why, available: 0 });
    let key = match engine.key(names.sku, names.location) {
        Ok(key) => key,
        Err(NameError::UnknownSku(_)) => return unknown(Why::UnknownSku),
        Err(NameError::UnknownLocation { .. }) => return unknown(Why::UnknownLocation),
        Err(error) => return Decision::at_once(Verdict::Failed(error.to_string())),
    };
    let ttl = match mode {
        Mode::Confirm => UNFINISHED_TTL,
        Mode::Hold(ttl) => ttl,
    };
    let mut digest = String::new();
    let reference = reference(names.order_id, &mut digest);
    let reserve = Reserve::units(key, line.quantity)
        .ttl(ttl)
        .reference(reference)
        .op_key(line.keys.reserve)
        .remember_refusal();
    let reserved = match until_answered(|| engine.reserve(reserve)) {
        Ok(receipt) => receipt,
        Err(ReserveError::Refused(refusal)) => return Decision::refused(refusal),
        Err(ReserveError::Common(Common::OpKey(OpKeyError::OtherContent))) => {
            return Decision::at_once(Verdict::DecidedOtherwise);
        }
        Err(error) => return Decision::at_once(Verdict::Failed(error.to_string())),
    };
    let position = reserved.position();
    let reserved = reserved.not_yet_durable();
    let granted = Verdict::Granted { hold: reserved.hold, available: reserved.left.units() };
    if let Mode::Hold(_) = mode {
        return Decision::at(position, granted);
    }
    let confirm = Confirm::hold(reserved.hold).retake_if_expired().op_key(line.keys.confirm);
    match until_answered(|| engine.confirm(confirm)) {
        Ok(receipt) => Decision::at(position.max(receipt.position()), granted),
        // Whoever got to this hold before has sold it.
        Err(ConfirmError::Ended(HoldState::Confirmed | HoldState::Shipped | HoldState::Cancelled)) => {
            Decision::at(position, granted)
        }
        Err(ConfirmError::Refused(refusal)) => Decision::refused(refusal),
        Err(ConfirmError::Ended(_) | ConfirmError::Expired | ConfirmError::Lookup(_)) => Decision::at(
            position,
            Verdict::Refused { why: Why::HoldEnded, available: engine.available(key).unwrap_or(0) },
        ),
        Err(ConfirmError::Common(Common::OpKey(OpKeyError::OtherContent))) => {
            Decision::at_once(Verdict::DecidedOtherwise)
        }
        Err(error) => Decision::at_once(Verdict::Failed(error.to_string())),
    }
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
    use super::super::key::KeyMaker;
    use super::*;

    #[test]
    fn a_line_gives_its_names_back() {
        for (order_id, sku, location) in [("o-1", "poster", "berlin"), ("", "", ""), ("é", "", "ü")] {
            let names = Names { order_id, sku, location };
            let line = Line::new(7, names, 1, KeyMaker::default().order_line(names));
            assert_eq!(line.names(), names);
        }
    }

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
