//! The values that the engine returns.

use crate::clock::Timestamp;
use crate::request::CartLine;
use crate::types::{HoldId, Position, Reference, StockKey};

/// How many units of a stock key are available after a decision.
///
/// Exact if at most 64 units are left, no hold is due and no other call is giving units of the key back or
/// may do so. Otherwise it is a lower bound. On a hot, plentiful key that is what is left in the cell of the
/// calling thread, so it may be far too low: show "in stock", not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// `available` was this at one instant of the call, with the units of this hold taken.
    Exact(i64),
    /// `available` was this or more when the units were taken.
    AtLeast(i64),
}

impl Remaining {
    /// The number, exact or not.
    pub fn units(self) -> i64 {
        match self {
            Remaining::Exact(units) | Remaining::AtLeast(units) => units,
        }
    }
}

/// A granted reserve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// The hold, for confirm and release.
    pub hold: HoldId,
    /// Units held.
    pub quantity: u32,
    /// When it expires unless it is confirmed, released or extended.
    pub deadline: Timestamp,
    /// What is left for others.
    pub remaining: Remaining,
}

/// A granted reserve of a cart: every line of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservedCart {
    /// The hold, one for all lines.
    pub hold: HoldId,
    /// Units held, of all lines together.
    pub quantity: u32,
    /// When it expires unless it is confirmed, released or extended.
    pub deadline: Timestamp,
}

/// A hold whose lines were replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// The hold.
    pub hold: HoldId,
    /// Units it holds now, of all lines together.
    pub quantity: u32,
    /// Its deadline now: never earlier than before.
    pub deadline: Timestamp,
}

/// A hold that was confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Confirmed {
    /// The hold.
    pub hold: HoldId,
    /// Units sold.
    pub quantity: u32,
    /// Units that were not confirmed and went back on sale.
    pub returned: u32,
    /// Whether the hold had expired, and its units were taken again.
    pub retaken: bool,
}

/// A hold whose deadline was moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extended {
    /// The hold.
    pub hold: HoldId,
    /// Its deadline now.
    pub deadline: Timestamp,
}

/// Units that left a hold: released, cancelled or shipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The hold.
    pub hold: HoldId,
    /// Units that left it.
    pub quantity: u32,
    /// Units of the hold that are still committed.
    pub remaining: u32,
}

/// Stock that was received or corrected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adjusted {
    /// `available` right after, at one instant with no hold due and nothing pending; below zero it is a
    /// shortfall.
    pub available: i64,
    /// Units that are held or committed and not on hand: 0, or `-available`.
    pub shortfall: i64,
}

/// Why a reserve was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RefusalReason {
    /// At an instant during the call, fewer units were available than asked for.
    OutOfStock,
    /// Sale of this stock key is stopped.
    Stopped,
    /// Sale of this stock key has not opened yet; [`Engine::opens_at`](crate::Engine::opens_at) says when it
    /// does.
    NotOpen,
}

/// A refusal that was true when it was decided, with its reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The stock key asked for.
    pub key: StockKey,
    /// Units asked for. With [`or_at_least`](crate::Reserve::or_at_least), the fewest that were acceptable;
    /// of a cart, all on that key; of a replaced hold, those that it would have needed in addition.
    pub asked: u32,
    /// Units available: for [`RefusalReason::OutOfStock`] exact at the deciding read, else approximate.
    pub available: i64,
    /// The log position that the refusal rests on. Await it with [`Engine::wait`](crate::Engine::wait).
    pub position: Position,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason {
            RefusalReason::OutOfStock => {
                write!(f, "out of stock: {} asked for, {} available", self.asked, self.available)
            }
            RefusalReason::Stopped => f.write_str("sale of this stock key is stopped"),
            RefusalReason::NotOpen => f.write_str("sale of this stock key has not opened yet"),
        }
    }
}

/// The live holds of a stock key, which can explain a refusal. Read after the refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockingHolds {
    /// Units in live holds of the key.
    pub held: i64,
    /// The earliest deadline of them: when units come back without a release.
    pub earliest_deadline: Option<Timestamp>,
}

/// The state of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HoldState {
    /// Units are held; not paid.
    Active,
    /// Units are held; the payment is under way.
    Paying,
    /// Paid; not all units are shipped or cancelled.
    Confirmed,
    /// All confirmed units were shipped.
    Shipped,
    /// Released before its deadline.
    Released,
    /// Ended by its deadline.
    Expired,
    /// All units that were confirmed and not shipped were cancelled.
    Cancelled,
}

impl std::fmt::Display for HoldState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HoldState::Active => "active",
            HoldState::Paying => "paying",
            HoldState::Confirmed => "confirmed",
            HoldState::Shipped => "shipped",
            HoldState::Released => "released",
            HoldState::Expired => "expired",
            HoldState::Cancelled => "cancelled",
        })
    }
}

/// One hold, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldStatus {
    /// The hold.
    pub hold: HoldId,
    /// Its lines, in the order of the stock keys. A cart, or a hold whose lines were replaced, that has been
    /// released, shipped or cancelled shows none any more.
    pub lines: Vec<CartLine>,
    /// The caller's reference.
    pub reference: Reference,
    /// Its state.
    pub state: HoldState,
    /// Units of all lines. Before a confirm: units held, also after a release or expiry. After a confirm:
    /// units not yet shipped or cancelled.
    pub quantity: u32,
    /// The deadline of a hold that is active or paying; `None` in any other state.
    pub deadline: Option<Timestamp>,
}

/// The levels of one stock key at one log position. They always add up:
/// `on_hand = available + held + committed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// Units physically present.
    pub on_hand: i64,
    /// Units in live holds; a hold past its deadline counts until its expiry is in the log.
    pub held: i64,
    /// Units confirmed and not yet shipped.
    pub committed: i64,
    /// `on_hand - held - committed`; below zero it is a shortfall.
    pub available: i64,
    /// Whether reserves are refused by the stop switch.
    pub stopped: bool,
    /// When sale opens, if a time was ever set; it may have passed.
    pub opens_at: Option<Timestamp>,
    /// The log position at which all of this holds.
    pub position: Position,
}
