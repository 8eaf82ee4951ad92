//! One entry of the log, as people and other programs read it: names instead of numbers, moments instead of
//! spans.

use crate::clock::Timestamp;
use crate::index::KeyIndex;
use crate::log::record::EntryKind;
use crate::request::AdjustReason;
use crate::stock::names::Names;
use crate::types::{HoldId, OpKey, Position, Reference};

/// Units of one stock key, where there are several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LineEntry<'a> {
    /// Of what.
    pub sku: &'a str,
    /// Where.
    pub location: &'a str,
    /// How many units: held, asked for, taken, paid for, given back, moved. 0 if all of a line was returned
    /// or replaced.
    pub quantity: u32,
    /// Units of a part confirm that went back on sale.
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

/// One entry of the log. What its kind does not have is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogEntry<'a> {
    /// Where it ends: what a caller who was answered with it was told.
    pub position: Position,
    /// When it was decided.
    pub at: Option<Timestamp>,
    /// Which opening of the directory wrote it.
    pub epoch: u32,
    /// What happened.
    pub kind: EntryKind,
    /// To stock of what, unless to a cart's.
    pub sku: Option<&'a str>,
    /// Where.
    pub location: Option<&'a str>,
    /// To these lines of a cart. Empty for an entry of one stock key.
    pub lines: Vec<LineEntry<'a>>,
    /// To which hold.
    pub hold: Option<HoldId>,
    /// How many units: asked for, taken, paid for, given back, moved; of an adjust how many more, or, below
    /// zero, fewer; of a cart all lines together.
    pub quantity: Option<i64>,
    /// Units of a part confirm that went back on sale.
    pub returned: Option<u32>,
    /// Until when the hold lives now.
    pub deadline: Option<Timestamp>,
    /// When sale opens.
    pub opens_at: Option<Timestamp>,
    /// Why it was corrected.
    pub reason: Option<AdjustReason>,
    /// What the caller calls it, if he calls it anything.
    pub reference: Option<Reference>,
    /// The operation's identity, if it was given one.
    pub op_key: Option<OpKey>,
    /// What a remembered refusal found available.
    pub available: Option<i64>,
}
