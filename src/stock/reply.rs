//! What a caller asks of a stock counter, and what the counter replies.

use super::shape::{BlockUse, SingleCell};

/// The units on sale, read at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Units on sale; below zero it is a shortfall.
    pub available: i64,
    /// Whether another thread has announced units, or may roll a take back.
    pub pending: bool,
}

impl From<SingleCell> for Reading {
    fn from(one: SingleCell) -> Self {
        Reading { available: one.available, pending: one.pending != 0 }
    }
}

/// Whether there is enough for a take that has not been tried yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Availability {
    /// There seems to be enough.
    Enough,
    /// There is not: read by one load of the one word that has every unit.
    Short(Reading),
}

/// How many units a take wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Want {
    pub least: u32,
    pub most: u32,
}

impl Want {
    pub(crate) fn all(quantity: u32) -> Want {
        Want { least: quantity, most: quantity }
    }
}

/// A take that succeeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub units: u32,
    /// Units left in the cell that they were taken from.
    pub left: i64,
    /// Whether the key has no other units left.
    pub exact: bool,
    /// To settle a tentative take.
    pub pledge: Pledge,
}

/// A take that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Short {
    /// There are fewer units than asked for, and none are pending.
    Out { available: i64 },
    /// There are fewer units than asked for, but some are pending: whether there is enough cannot be known
    /// now.
    Unknown,
}

/// Where a pending change is counted: an announced give-back, or a tentative take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "while a change is pending, no caller can be told that the key is sold out"]
pub(crate) struct Pledge {
    /// The use of a block that it was counted in; `None` if it was counted in the key's word.
    pub(super) at: Option<BlockUse>,
    pub(super) cell: usize,
}

/// A pledge that is counted in the key's word.
pub(super) const IN_THE_WORD: Pledge = Pledge { at: None, cell: 0 };

/// Too many changes are pending at once to count another; the caller answers `Busy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PendingFull;
