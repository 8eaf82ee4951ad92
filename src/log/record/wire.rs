//! The written form of a record, and its codec.
//!
//! A record is a serde enum in bincode's variable-length form. A kind of entry may have two forms: one for a
//! single stock key, and one with packed lines for a cart. [`Record::fact`] says what either means; nothing
//! else reads this form.

use serde::{Deserialize, Serialize};

use super::fact::{Detail, Fact, Subject};
use super::kind::EntryKind;
use super::place::HoldPlace;
use super::span::Span;
use super::{CODEC, NotARecord, Op};
use crate::index::KeyIndex;
use crate::log::lines::LinePair;
use crate::request::AdjustReason;

/// The written form of what happened. `at` is in milliseconds since the opening; `key` is an index into the
/// catalogue; lines are packed, see [`lines`](crate::log::lines). A change of one line is written as one key
/// and its units, whether or not the hold has other lines; a reader also takes it packed.
///
/// The order of the variants is part of the format: append, never insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Record<'a> {
    /// A position was drawn, and then the hold had another outcome first.
    Void { words: u16 },
    /// The directory was opened: times count from `at_unix_ms`.
    Opened { epoch: u32, at_unix_ms: u64 },
    /// A stock key was declared.
    Declare { key: KeyIndex, sku: &'a str, location: &'a str },
    /// Units were taken and are held.
    Reserve {
        at: u64,
        place: HoldPlace,
        key: KeyIndex,
        quantity: u32,
        ttl: Span,
        #[serde(borrow)]
        reference: &'a [u8],
        op: Option<Op>,
    },
    /// `taken` units of a hold were paid for, and `returned` went back on sale.
    Confirm { at: u64, place: HoldPlace, key: KeyIndex, taken: u32, returned: u32, op: Option<Op> },
    /// The units of an expired hold were taken again and paid for.
    Retake { at: u64, place: HoldPlace, key: KeyIndex, taken: u32, op: Option<Op> },
    /// The holder gave a hold back.
    Release { at: u64, place: HoldPlace, key: KeyIndex, quantity: u32, op: Option<Op> },
    /// A hold ended at its deadline.
    Expire { at: u64, place: HoldPlace, key: KeyIndex, quantity: u32 },
    /// A hold lives until `at + ttl`.
    Extend { at: u64, place: HoldPlace, ttl: Span, op: Option<Op> },
    /// Payment began, and the hold lives until `at + ttl`.
    Pay { at: u64, place: HoldPlace, ttl: Span, op: Option<Op> },
    /// Committed units were shipped.
    Ship { at: u64, place: HoldPlace, key: KeyIndex, quantity: u32, op: Option<Op> },
    /// Committed units went back on sale.
    Cancel { at: u64, place: HoldPlace, key: KeyIndex, quantity: u32, op: Option<Op> },
    /// Units arrived.
    Receive { at: u64, key: KeyIndex, quantity: u32, reference: &'a [u8], op: Option<Op> },
    /// What is on hand was corrected.
    Adjust { at: u64, key: KeyIndex, delta: i64, reason: ReasonCode, reference: &'a [u8], op: Option<Op> },
    /// The stop switch of a key was set or cleared.
    Sale { at: u64, key: KeyIndex, stopped: bool },
    /// A refusal that is remembered under an op key.
    Refuse { at: u64, key: KeyIndex, asked: u32, op: Op },
    /// The units of all lines of a cart were taken and are held.
    ReserveCart { at: u64, place: HoldPlace, ttl: Span, lines: &'a [u8], reference: &'a [u8], op: Option<Op> },
    /// A cart was paid for: `taken` of its lines, while `returned` (perhaps no lines) went back on sale.
    ConfirmCart { at: u64, place: HoldPlace, taken: &'a [u8], returned: &'a [u8], op: Option<Op> },
    /// The units of an expired cart were taken again and paid for.
    RetakeCart { at: u64, place: HoldPlace, taken: &'a [u8], op: Option<Op> },
    /// The holder gave a cart back.
    ReleaseCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// A cart ended at its deadline.
    ExpireCart { at: u64, place: HoldPlace, lines: &'a [u8] },
    /// Committed units of a cart were shipped.
    ShipCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// Committed units of a cart went back on sale.
    CancelCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// A live hold got other lines: `lines` in place of `before`. It lives until `at + ttl`.
    Replace { at: u64, place: HoldPlace, ttl: Span, before: &'a [u8], lines: &'a [u8], op: Option<Op> },
    /// Sale of a key opens at `opens_at_ms` (Unix ms); reserves before it are refused. It overrides `Sale`,
    /// and `Sale` overrides it.
    Opens { at: u64, key: KeyIndex, opens_at_ms: u64 },
}

/// Why a quantity was corrected, as it is written. The order of the variants is part of the format: append,
/// never insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum ReasonCode {
    Count,
    Damaged,
    Lost,
    Found,
    Other,
}

impl From<AdjustReason> for ReasonCode {
    fn from(reason: AdjustReason) -> Self {
        match reason {
            AdjustReason::Count => ReasonCode::Count,
            AdjustReason::Damaged => ReasonCode::Damaged,
            AdjustReason::Lost => ReasonCode::Lost,
            AdjustReason::Found => ReasonCode::Found,
            AdjustReason::Other => ReasonCode::Other,
        }
    }
}

impl From<ReasonCode> for AdjustReason {
    fn from(code: ReasonCode) -> Self {
        match code {
            ReasonCode::Count => AdjustReason::Count,
            ReasonCode::Damaged => AdjustReason::Damaged,
            ReasonCode::Lost => AdjustReason::Lost,
            ReasonCode::Found => AdjustReason::Found,
            ReasonCode::Other => AdjustReason::Other,
        }
    }
}

impl<'a> Record<'a> {
    /// Encodes into `buffer`; `None` if it does not fit.
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let length = bincode::serde::encode_into_slice(self, &mut *buffer, CODEC).ok()?;
        buffer.get(..length)
    }

    /// Decodes the record at the start of `bytes`; also returns its length.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Record<'a>, usize), NotARecord> {
        bincode::serde::borrow_decode_from_slice(bytes, CODEC).map_err(|_| NotARecord)
    }

    /// Whether the record ends in an op: as [`fact`](Self::fact) says, without making the rest of it.
    pub(super) fn has_op(&self) -> bool {
        match self {
            Record::Reserve { op, .. }
            | Record::Confirm { op, .. }
            | Record::Retake { op, .. }
            | Record::Release { op, .. }
            | Record::Extend { op, .. }
            | Record::Pay { op, .. }
            | Record::Ship { op, .. }
            | Record::Cancel { op, .. }
            | Record::Receive { op, .. }
            | Record::Adjust { op, .. }
            | Record::ReserveCart { op, .. }
            | Record::ConfirmCart { op, .. }
            | Record::RetakeCart { op, .. }
            | Record::ReleaseCart { op, .. }
            | Record::ShipCart { op, .. }
            | Record::CancelCart { op, .. }
            | Record::Replace { op, .. } => op.is_some(),
            Record::Refuse { .. } => true,
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Expire { .. }
            | Record::ExpireCart { .. }
            | Record::Sale { .. }
            | Record::Opens { .. } => false,
        }
    }

    /// What the record means.
    pub(crate) fn fact(&self) -> Fact<'a> {
        let one = |key: KeyIndex, first, second| Subject::One(LinePair { target: key.into(), first, second });
        let cart = |first, second| Subject::Cart { first, second };
        // An entry about a hold, decided at `at`.
        let hold = |kind, at, place, subject, op| {
            let (at, place) = (Some(at), Some(place));
            Fact { at, place, subject, op, ..Fact::new(kind) }
        };
        let of_key =
            |kind, at, key, detail| Fact { at: Some(at), subject: one(key, 0, 0), detail, ..Fact::new(kind) };
        match *self {
            Record::Void { words } => Fact { detail: Detail::Words(words), ..Fact::new(EntryKind::Void) },
            Record::Opened { epoch, at_unix_ms } => {
                Fact { detail: Detail::Opening { epoch, at_unix_ms }, ..Fact::new(EntryKind::Opened) }
            }
            Record::Declare { key, sku, location } => {
                Fact { subject: Subject::NewKey { key, sku, location }, ..Fact::new(EntryKind::Declare) }
            }
            Record::Reserve { at, place, key, quantity, ttl, reference, op } => {
                Fact { ttl, reference, ..hold(EntryKind::Reserve, at, place, one(key, quantity, 0), op) }
            }
            Record::ReserveCart { at, place, ttl, lines, reference, op } => {
                Fact { ttl, reference, ..hold(EntryKind::Reserve, at, place, cart(lines, &[]), op) }
            }
            Record::Confirm { at, place, key, taken, returned, op } => {
                hold(EntryKind::Confirm, at, place, one(key, taken, returned), op)
            }
            Record::ConfirmCart { at, place, taken, returned, op } => {
                hold(EntryKind::Confirm, at, place, cart(taken, returned), op)
            }
            Record::Retake { at, place, key, taken, op } => {
                hold(EntryKind::Retake, at, place, one(key, taken, 0), op)
            }
            Record::RetakeCart { at, place, taken, op } => {
                hold(EntryKind::Retake, at, place, cart(taken, &[]), op)
            }
            Record::Release { at, place, key, quantity, op } => {
                hold(EntryKind::Release, at, place, one(key, quantity, 0), op)
            }
            Record::ReleaseCart { at, place, lines, op } => {
                hold(EntryKind::Release, at, place, cart(lines, &[]), op)
            }
            Record::Expire { at, place, key, quantity } => {
                hold(EntryKind::Expire, at, place, one(key, quantity, 0), None)
            }
            Record::ExpireCart { at, place, lines } => {
                hold(EntryKind::Expire, at, place, cart(lines, &[]), None)
            }
            Record::Extend { at, place, ttl, op } => {
                Fact { ttl, ..hold(EntryKind::Extend, at, place, Subject::Nothing, op) }
            }
            Record::Pay { at, place, ttl, op } => {
                Fact { ttl, ..hold(EntryKind::Pay, at, place, Subject::Nothing, op) }
            }
            Record::Ship { at, place, key, quantity, op } => {
                hold(EntryKind::Ship, at, place, one(key, quantity, 0), op)
            }
            Record::ShipCart { at, place, lines, op } => {
                hold(EntryKind::Ship, at, place, cart(lines, &[]), op)
            }
            Record::Cancel { at, place, key, quantity, op } => {
                hold(EntryKind::Cancel, at, place, one(key, quantity, 0), op)
            }
            Record::CancelCart { at, place, lines, op } => {
                hold(EntryKind::Cancel, at, place, cart(lines, &[]), op)
            }
            Record::Replace { at, place, ttl, before, lines, op } => {
                Fact { ttl, ..hold(EntryKind::Replace, at, place, cart(before, lines), op) }
            }
            Record::Receive { at, key, quantity, reference, op } => {
                let subject = one(key, quantity, 0);
                Fact { at: Some(at), subject, reference, op, ..Fact::new(EntryKind::Receive) }
            }
            Record::Adjust { at, key, delta, reason, reference, op } => {
                let [more, fewer] =
                    [delta, delta.saturating_neg()].map(|units| units.clamp(0, u32::MAX.into()));
                let detail = Detail::Correction { delta, reason: reason.into() };
                let subject = one(key, more as u32, fewer as u32);
                Fact { at: Some(at), subject, reference, op, detail, ..Fact::new(EntryKind::Adjust) }
            }
            Record::Sale { at, key, stopped } => {
                let kind = if stopped { EntryKind::Stop } else { EntryKind::Resume };
                of_key(kind, at, key, Detail::Gate { stopped, opens_at_ms: 0 })
            }
            Record::Opens { at, key, opens_at_ms } => {
                of_key(EntryKind::Opens, at, key, Detail::Gate { stopped: false, opens_at_ms })
            }
            Record::Refuse { at, key, asked, op } => {
                Fact { op: Some(op), ..of_key(EntryKind::Refuse, at, key, Detail::Asked(asked)) }
            }
        }
    }
}
