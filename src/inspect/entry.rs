//! One entry of the log as people and other programs read it: with names and times.

use crate::clock::Timestamp;
use crate::index::KeyIndex;
use crate::log::record::EntryKind;
use crate::request::AdjustReason;
use crate::stock::names::Names;
use crate::types::{HoldId, OpKey, Position, Reference};

/// Units of one stock key in an entry of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LineEntry<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// The location.
    pub location: &'a str,
    /// The units that were held, asked for, taken, paid for, given back or moved. 0 if the whole line was
    /// returned or replaced.
    pub quantity: u32,
    /// Units that a partial confirm returned to sale.
    pub returned: Option<u32>,
    /// Units that the hold had before its lines were replaced.
    pub before: Option<u32>,
}

impl<'a> LineEntry<'a> {
    pub(super) fn of(names: &'a Names, key: KeyIndex, quantity: u32) -> Option<LineEntry<'a>> {
        let (sku, location) = names.get(key)?;
        Some(LineEntry { sku, location, quantity, returned: None, before: None })
    }
}

/// One entry of the log. Fields that its kind does not have are `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogEntry<'a> {
    /// Where the entry ends: the position that its caller got with the answer.
    pub position: Position,
    /// The time at which it was decided.
    pub at: Option<Timestamp>,
    /// The number of the opening that wrote it.
    pub epoch: u32,
    /// The kind of entry.
    pub kind: EntryKind,
    /// The SKU, unless it is an entry of a cart.
    pub sku: Option<&'a str>,
    /// The location.
    pub location: Option<&'a str>,
    /// The lines of a cart. Empty for an entry of one stock key.
    pub lines: Vec<LineEntry<'a>>,
    /// The hold that it is about.
    pub hold: Option<HoldId>,
    /// The units that were asked for, taken, paid for, given back or moved; of an adjust the correction,
    /// which may be below zero; of a cart the sum of all lines.
    pub quantity: Option<i64>,
    /// Units that a partial confirm returned to sale.
    pub returned: Option<u32>,
    /// The deadline of the hold after the entry.
    pub deadline: Option<Timestamp>,
    /// The time at which sale opens.
    pub opens_at: Option<Timestamp>,
    /// The reason of an adjust.
    pub reason: Option<AdjustReason>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// The operation's op key.
    pub op_key: Option<OpKey>,
    /// What was available to a remembered refusal.
    pub available: Option<i64>,
}
