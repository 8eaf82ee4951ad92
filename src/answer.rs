//! What the engine answers: values, never strings.

use crate::clock::Timestamp;
use crate::request::CartLine;
use crate::types::{HoldId, Position, Reference, StockKey};

/// What is left of a stock key after a decision.
///
/// Exact on a key that is on one cell, as every scarce one is, with nothing due. On a hot, plentiful key it is what the
/// taker's own cell has left, so it may be far too low: show "in stock", not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// `available` at the instant of the decision.
    Exact(i64),
    /// `available` was this or more.
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
    /// When it ends unless it is confirmed, released or extended.
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
    /// When it ends unless it is confirmed, released or extended.
    pub deadline: Timestamp,
}

/// A live hold has other lines now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Which one.
    pub hold: HoldId,
    /// Units it holds now, of all lines together.
    pub quantity: u32,
    /// When it ends now: never earlier than before.
    pub deadline: Timestamp,
}

/// A hold was paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Confirmed {
    /// Which one.
    pub hold: HoldId,
    /// Units sold.
    pub quantity: u32,
    /// Units of a part confirm that went back on sale.
    pub returned: u32,
    /// The hold had expired, and its units were taken again.
    pub retaken: bool,
}

/// A hold lives until `deadline`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extended {
    /// Which one.
    pub hold: HoldId,
    /// When it ends now.
    pub deadline: Timestamp,
}

/// Units left a hold: released, cancelled or shipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Which hold.
    pub hold: HoldId,
    /// How many units moved.
    pub quantity: u32,
    /// Units of the hold that are still committed.
    pub remaining: u32,
}

/// Stock was received or corrected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adjusted {
    /// `available` right after; below zero it is a shortfall.
    pub available: i64,
    /// Units promised that are not there: 0, or `-available`.
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
    /// Sale of this stock key has not opened yet; [`Engine::opens_at`](crate::Engine::opens_at) says when it does.
    NotOpen,
}

/// A refusal that was true, and what it rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The limit that bound.
    pub reason: RefusalReason,
    /// The stock key asked for.
    pub key: StockKey,
    /// Units asked for: the fewest that would have done; of a cart, all on that key; of a replaced hold, those that it
    /// would have needed in addition.
    pub asked: u32,
    /// What was available: for [`RefusalReason::OutOfStock`] exact at the deciding read, else about.
    pub available: i64,
    /// The log position it rests on; can be awaited with [`Engine::wait`](crate::Engine::wait).
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

/// What stands in the way of a refused reserve, read after the refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockingHolds {
    /// Units in live holds of the key.
    pub held: i64,
    /// The first moment at which one of them comes back by itself.
    pub earliest_deadline: Option<Timestamp>,
}

/// Where in its life a hold is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HoldState {
    /// Claimed, unpaid.
    Active,
    /// Claimed, payment under way.
    Paying,
    /// Paid, in part not yet shipped or cancelled.
    Confirmed,
    /// All that was confirmed has left.
    Shipped,
    /// Given back by its holder.
    Released,
    /// Given back by time.
    Expired,
    /// All that was confirmed and not shipped was given back.
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
    /// Which one.
    pub hold: HoldId,
    /// What it holds, in the order of the stock keys. A cart, or a hold whose lines were replaced, that has been released,
    /// shipped or cancelled shows none any more.
    pub lines: Vec<CartLine>,
    /// What the caller calls it.
    pub reference: Reference,
    /// Where in its life.
    pub state: HoldState,
    /// Units of all lines: held (or that were, until it was released or expired); once confirmed, units committed and not
    /// yet shipped or cancelled.
    pub quantity: u32,
    /// When a hold that is active or paying ends; `None` in any other state.
    pub deadline: Option<Timestamp>,
}

/// The book of one stock key at one log position. The terms always add up:
/// `on_hand = available + held + committed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// Physically present.
    pub on_hand: i64,
    /// In holds not yet seen to end.
    pub held: i64,
    /// Confirmed, not yet shipped.
    pub committed: i64,
    /// `on_hand - held - committed`; below zero it is a shortfall.
    pub available: i64,
    /// Whether reserves are refused by the stop switch.
    pub stopped: bool,
    /// Until when reserves are refused because sale has not opened, if a time was ever set; it may have passed.
    pub opens_at: Option<Timestamp>,
    /// Where in the log all of this is true.
    pub position: Position,
}
