//! Records: what the log says happened, and the one codec for them.
//!
//! A record is a serde enum in bincode's variable-length form, always decoded under a size limit and only from
//! bytes whose checksum held. Its version is the chunk's format, outside the payload; golden bytes in the tests
//! pin it. Record size is throughput, so times are milliseconds since the opening that wrote the record, a
//! whole-second TTL is stored in seconds, and quantities take the bytes they need: a hold with an 8-byte
//! reference takes 23 to 31 bytes, and its share of the chunk's header comes to less than one.
//!
//! A record says what was decided and what moved, so that a reader of levels needs no table of holds. The lines of a
//! cart are packed ([`super::lines`]), so the record of one can be long: the longest takes nearly a whole chunk.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize};

use super::lines::{self, LINES_BYTES_MAX, LinePair};
use crate::clock::Timestamp;
use crate::hold::lines::Line;
use crate::request::AdjustReason;
use crate::types::QUANTITY_MAX;

mod fast_codec;
mod records;

pub(crate) use records::{Batch, Logged, Records};

/// The longest record, encoded: a [`Record::Replace`] of the longest lines by the longest.
pub(crate) const RECORD_BYTES_MAX: usize = 2 * LINES_BYTES_MAX + 128;
/// The longest record of a hold on one stock key, encoded; longer ones are kept on the heap until they are written.
pub(crate) const SHORT_BYTES_MAX: usize = 128;
/// The longest [`Record::Void`], encoded.
pub(crate) const VOID_BYTES_MAX: usize = 4;

const CODEC: Configuration<LittleEndian, Varint, Limit<RECORD_BYTES_MAX>> =
    bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();

/// The caller's op key, and what is needed to answer it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Op {
    pub key: [u8; 16],
    /// Hash of what was asked: the same key with another hash is an error.
    pub content: [u8; 8],
    /// The number in the first answer (see [`Op::answer`]), 48 bits. The last bytes of every record that has an op:
    /// written when the answer is known, after the record's place was claimed by its size.
    answer: [u8; ANSWER_BYTES],
}

const ANSWER_BYTES: usize = 6;

impl Op {
    pub(crate) fn new(key: u128, content: u64, answer: i64) -> Op {
        Op { key: key.to_le_bytes(), content: content.to_le_bytes(), answer: answer_bytes(answer) }
    }

    /// The number in the first answer: units left, available, or remaining.
    pub(crate) fn answer(&self) -> i64 {
        let mut bytes = [0; 8];
        bytes[8 - ANSWER_BYTES..].copy_from_slice(&self.answer);
        i64::from_le_bytes(bytes) >> (64 - 8 * ANSWER_BYTES)
    }
}

fn answer_bytes(answer: i64) -> [u8; ANSWER_BYTES] {
    let mut bytes = [0; ANSWER_BYTES];
    bytes.copy_from_slice(&answer.to_le_bytes()[..ANSWER_BYTES]);
    bytes
}

/// A record in its encoded form: a short one on the stack.
pub(crate) struct Encoded {
    short: [u8; SHORT_BYTES_MAX],
    /// The bytes of a record that is too long for `short`, else empty.
    long: Vec<u8>,
    length: usize,
    has_op: bool,
}

impl Encoded {
    /// `None` if it does not fit, which no validated request can cause.
    pub(crate) fn new(record: &Record<'_>) -> Option<Encoded> {
        let mut encoded = Encoded::empty();
        encoded.put(record).map(|()| encoded)
    }

    /// To be [put](Self::put) into where it stands: its bytes are many to be moved about.
    pub(crate) const fn empty() -> Encoded {
        Encoded { short: [0; SHORT_BYTES_MAX], long: Vec::new(), length: 0, has_op: false }
    }

    /// As [`new`](Self::new), in place.
    #[inline]
    pub(crate) fn put(&mut self, record: &Record<'_>) -> Option<()> {
        self.has_op = record.op().is_some();
        self.long.clear();
        self.length = match record.encode(&mut self.short) {
            Some(bytes) => bytes.len(),
            None => {
                self.long = bincode::serde::encode_to_vec(record, CODEC).ok()?;
                self.long.len()
            }
        };
        (self.length <= RECORD_BYTES_MAX).then_some(())
    }

    pub(crate) fn words(&self) -> u64 {
        words_for(self.length)
    }

    /// Puts the answer into the op, if there is one.
    #[inline]
    pub(crate) fn set_answer(&mut self, answer: i64) {
        if self.has_op {
            let bytes =
                if self.long.is_empty() { &mut self.short[..self.length] } else { &mut self.long[..] };
            bytes[self.length - ANSWER_BYTES..].copy_from_slice(&answer_bytes(answer));
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.length] } else { &self.long }
    }
}

/// A duration in few bytes: whole seconds shifted left with bit 0 set, else milliseconds shifted left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) fn from_millis(ms: u64) -> Span {
        let ms = ms.min(u64::MAX >> 1);
        if ms.is_multiple_of(1_000) { Span((ms / 1_000) << 1 | 1) } else { Span(ms << 1) }
    }

    pub(crate) fn millis(self) -> u64 {
        if self.0 & 1 == 1 { (self.0 >> 1).saturating_mul(1_000) } else { self.0 >> 1 }
    }
}

/// Which use of which slot of the hold table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct HoldPlace {
    pub slot: u32,
    pub generation: u32,
}

/// What happened. `at` is in milliseconds since the opening; `key` is an index into the catalogue; lines are packed, see
/// [`super::lines`]. What happens to one line is written as one key and its units, whether or not its hold has others;
/// a reader takes it packed as well.
///
/// The order of the variants is part of the format: append, never insert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Record<'a> {
    /// A position was drawn and nothing happened: its hold had another outcome first.
    Void { words: u16 },
    /// The directory was opened: times count from `at_unix_ms`.
    Opened { epoch: u32, at_unix_ms: u64 },
    /// A stock key came into being.
    Declare { key: u32, sku: &'a str, location: &'a str },
    /// Units were taken and are held.
    Reserve {
        at: u64,
        place: HoldPlace,
        key: u32,
        quantity: u32,
        ttl: Span,
        #[serde(borrow)]
        reference: &'a [u8],
        op: Option<Op>,
    },
    /// `taken` of a hold were paid for, `returned` went back.
    Confirm { at: u64, place: HoldPlace, key: u32, taken: u32, returned: u32, op: Option<Op> },
    /// An expired hold's units were taken again and paid for.
    Retake { at: u64, place: HoldPlace, key: u32, taken: u32, op: Option<Op> },
    /// A hold was given back by its holder.
    Release { at: u64, place: HoldPlace, key: u32, quantity: u32, op: Option<Op> },
    /// A hold was given back by time.
    Expire { at: u64, place: HoldPlace, key: u32, quantity: u32 },
    /// A hold lives until `at + ttl`.
    Extend { at: u64, place: HoldPlace, ttl: Span, op: Option<Op> },
    /// Payment began, and the hold lives until `at + ttl`.
    Pay { at: u64, place: HoldPlace, ttl: Span, op: Option<Op> },
    /// Committed units left the building.
    Ship { at: u64, place: HoldPlace, key: u32, quantity: u32, op: Option<Op> },
    /// Committed units went back on sale.
    Cancel { at: u64, place: HoldPlace, key: u32, quantity: u32, op: Option<Op> },
    /// Units arrived.
    Receive { at: u64, key: u32, quantity: u32, reference: &'a [u8], op: Option<Op> },
    /// What is on hand was corrected.
    Adjust { at: u64, key: u32, delta: i64, reason: AdjustReason, reference: &'a [u8], op: Option<Op> },
    /// The stop switch of a key was set or cleared.
    Sale { at: u64, key: u32, stopped: bool },
    /// A refusal that the caller wanted remembered.
    Refuse { at: u64, key: u32, asked: u32, op: Op },
    /// A cart's units were taken, all lines of it, and are held.
    ReserveCart { at: u64, place: HoldPlace, ttl: Span, lines: &'a [u8], reference: &'a [u8], op: Option<Op> },
    /// A cart was paid for: `taken` of its lines, `returned` (no lines, if nothing did) went back.
    ConfirmCart { at: u64, place: HoldPlace, taken: &'a [u8], returned: &'a [u8], op: Option<Op> },
    /// An expired cart's units were taken again and paid for.
    RetakeCart { at: u64, place: HoldPlace, taken: &'a [u8], op: Option<Op> },
    /// A cart was given back by its holder.
    ReleaseCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// A cart was given back by time.
    ExpireCart { at: u64, place: HoldPlace, lines: &'a [u8] },
    /// Committed units of a cart left the building.
    ShipCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// Committed units of a cart went back on sale.
    CancelCart { at: u64, place: HoldPlace, lines: &'a [u8], op: Option<Op> },
    /// A live hold has other lines now: `before` is what it had, `lines` what it has; it lives until `at + ttl`.
    Replace { at: u64, place: HoldPlace, ttl: Span, before: &'a [u8], lines: &'a [u8], op: Option<Op> },
    /// Sale of a key opens at `opens_at_ms` (Unix milliseconds); until then reserves are refused. It overrides `Sale`,
    /// and `Sale` overrides it.
    Opens { at: u64, key: u32, opens_at_ms: u64 },
}

/// Bytes that are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("bytes that are not a record of this format")]
pub(crate) struct NotARecord;

impl<'a> Record<'a> {
    /// Encodes into `buffer`; `None` if it does not fit, which no validated request can cause.
    #[inline(always)]
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let length = match fast_codec::encode(self, buffer) {
            Some(length) => length,
            None => self.encode_any(buffer)?,
        };
        buffer.get(..length)
    }

    /// The same for every kind, by the codec that says what bytes mean; how many it took.
    fn encode_any(&self, buffer: &mut [u8]) -> Option<usize> {
        bincode::serde::encode_into_slice(self, buffer, CODEC).ok()
    }

    /// Decodes the record at the start of `bytes`, and says how many it took.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Record<'a>, usize), NotARecord> {
        match fast_codec::decode(bytes) {
            Some(decoded) => Ok(decoded),
            None => Record::decode_any(bytes),
        }
    }

    /// The same for every kind, by the codec that says what bytes mean.
    pub(crate) fn decode_any(bytes: &'a [u8]) -> Result<(Record<'a>, usize), NotARecord> {
        bincode::serde::borrow_decode_from_slice(bytes, CODEC).map_err(|_| NotARecord)
    }

    /// Words of the log that it takes, which is how far the position moves on.
    pub(crate) fn words(&self, encoded_bytes: usize) -> u64 {
        match self {
            Record::Void { words } => u64::from(*words),
            _ => words_for(encoded_bytes),
        }
    }

    /// Whether it makes a hold.
    pub(crate) fn makes(&self) -> bool {
        matches!(self, Record::Reserve { .. } | Record::ReserveCart { .. })
    }

    /// The stock key that it names by itself, not in packed lines.
    pub(crate) fn stock_key(&self) -> Option<u32> {
        match *self {
            Record::Declare { key, .. }
            | Record::Reserve { key, .. }
            | Record::Confirm { key, .. }
            | Record::Retake { key, .. }
            | Record::Release { key, .. }
            | Record::Expire { key, .. }
            | Record::Ship { key, .. }
            | Record::Cancel { key, .. }
            | Record::Receive { key, .. }
            | Record::Adjust { key, .. }
            | Record::Sale { key, .. }
            | Record::Refuse { key, .. }
            | Record::Opens { key, .. } => Some(key),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Extend { .. }
            | Record::Pay { .. }
            | Record::ReserveCart { .. }
            | Record::ConfirmCart { .. }
            | Record::RetakeCart { .. }
            | Record::ReleaseCart { .. }
            | Record::ExpireCart { .. }
            | Record::ShipCart { .. }
            | Record::CancelCart { .. }
            | Record::Replace { .. } => None,
        }
    }

    /// The packed lines of a record that has such: what a confirm took and what it returned, what a replace found and
    /// what it left; others have one list, and the second is empty.
    pub(crate) fn packed(&self) -> Option<(&'a [u8], &'a [u8])> {
        match *self {
            Record::ReserveCart { lines, .. }
            | Record::ReleaseCart { lines, .. }
            | Record::ExpireCart { lines, .. }
            | Record::ShipCart { lines, .. }
            | Record::CancelCart { lines, .. } => Some((lines, &[])),
            Record::RetakeCart { taken, .. } => Some((taken, &[])),
            Record::ConfirmCart { taken, returned, .. } => Some((taken, returned)),
            Record::Replace { before, lines, .. } => Some((before, lines)),
            _ => None,
        }
    }

    /// The stock key that it names by itself, and its units as [`lines`](Self::lines) have them.
    #[inline]
    pub(crate) fn alone(&self) -> Option<LinePair> {
        let (first, second) = match *self {
            Record::Reserve { quantity, .. }
            | Record::Release { quantity, .. }
            | Record::Expire { quantity, .. }
            | Record::Ship { quantity, .. }
            | Record::Cancel { quantity, .. } => (quantity, 0),
            Record::Retake { taken, .. } => (taken, 0),
            Record::Confirm { taken, returned, .. } => (taken, returned),
            _ => (0, 0),
        };
        self.stock_key().map(|key| LinePair { key, first, second })
    }

    /// The lines of a hold's record, packed or not; the two lists are those of [`packed`](Self::packed).
    pub(crate) fn lines(&self) -> (NamedLines<'a>, NamedLines<'a>) {
        let one = |key, units: u32| (units > 0).then_some(Line { key, units });
        let (first, second) = match self.alone() {
            Some(LinePair { key, first, second }) => (one(key, first), one(key, second)),
            None => (None, None),
        };
        let (packed_first, packed_second) = self.packed().unwrap_or_default();
        let named = |one: Option<Line>, packed| one.into_iter().chain(lines::iter(packed));
        (named(first, packed_first), named(second, packed_second))
    }

    /// The keys whose books it touches, each once and in ascending order, with all that it does to them.
    #[inline]
    pub(crate) fn touched(&self) -> impl Iterator<Item = LinePair> + use<'a> {
        let (first, second) = self.packed().unwrap_or_default();
        self.alone().into_iter().chain(lines::join_lines(lines::iter(first), lines::iter(second)))
    }

    /// Visits what is [`touched`](Self::touched); a record of one key has no walk for it.
    #[inline]
    pub(crate) fn touch<E>(&self, mut visit: impl FnMut(LinePair) -> Result<(), E>) -> Result<(), E> {
        match self.alone() {
            Some(one) => visit(one),
            None => self.touched().try_for_each(visit),
        }
    }

    /// The hold whose life it is part of.
    pub(crate) fn place(&self) -> Option<HoldPlace> {
        match *self {
            Record::Reserve { place, .. }
            | Record::Confirm { place, .. }
            | Record::Retake { place, .. }
            | Record::Release { place, .. }
            | Record::Expire { place, .. }
            | Record::Extend { place, .. }
            | Record::Pay { place, .. }
            | Record::Ship { place, .. }
            | Record::Cancel { place, .. }
            | Record::ReserveCart { place, .. }
            | Record::ConfirmCart { place, .. }
            | Record::RetakeCart { place, .. }
            | Record::ReleaseCart { place, .. }
            | Record::ExpireCart { place, .. }
            | Record::ShipCart { place, .. }
            | Record::CancelCart { place, .. }
            | Record::Replace { place, .. } => Some(place),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Receive { .. }
            | Record::Adjust { .. }
            | Record::Sale { .. }
            | Record::Refuse { .. }
            | Record::Opens { .. } => None,
        }
    }

    /// Whether the units and lines that it names are within what an operation can move.
    pub(crate) fn is_sane(&self) -> bool {
        let units = |quantity: u32| (1..=QUANTITY_MAX).contains(&quantity);
        let some = |packed: &[u8]| lines::check(packed).is_some_and(|lines| lines.count > 0);
        match *self {
            Record::Reserve { quantity, .. }
            | Record::Release { quantity, .. }
            | Record::Expire { quantity, .. }
            | Record::Ship { quantity, .. }
            | Record::Cancel { quantity, .. }
            | Record::Receive { quantity, .. } => units(quantity),
            Record::Confirm { taken, returned, .. } => units(taken) && returned <= QUANTITY_MAX,
            Record::Retake { taken, .. } => units(taken),
            Record::Adjust { delta, .. } => delta != 0 && delta.unsigned_abs() <= QUANTITY_MAX.into(),
            Record::ReserveCart { lines, .. }
            | Record::ReleaseCart { lines, .. }
            | Record::ExpireCart { lines, .. }
            | Record::ShipCart { lines, .. }
            | Record::CancelCart { lines, .. } => some(lines),
            Record::ConfirmCart { taken, returned, .. } => some(taken) && lines::check(returned).is_some(),
            Record::RetakeCart { taken, .. } => some(taken),
            Record::Replace { before, lines, .. } => some(before) && some(lines),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Extend { .. }
            | Record::Pay { .. }
            | Record::Sale { .. }
            | Record::Refuse { .. }
            | Record::Opens { .. } => true,
        }
    }

    /// When it was decided, in milliseconds since the opening.
    pub(crate) fn at(&self) -> Option<u64> {
        match *self {
            Record::Reserve { at, .. }
            | Record::Confirm { at, .. }
            | Record::Retake { at, .. }
            | Record::Release { at, .. }
            | Record::Expire { at, .. }
            | Record::Extend { at, .. }
            | Record::Pay { at, .. }
            | Record::Ship { at, .. }
            | Record::Cancel { at, .. }
            | Record::Receive { at, .. }
            | Record::Adjust { at, .. }
            | Record::Sale { at, .. }
            | Record::Refuse { at, .. }
            | Record::ReserveCart { at, .. }
            | Record::ConfirmCart { at, .. }
            | Record::RetakeCart { at, .. }
            | Record::ReleaseCart { at, .. }
            | Record::ExpireCart { at, .. }
            | Record::ShipCart { at, .. }
            | Record::CancelCart { at, .. }
            | Record::Replace { at, .. }
            | Record::Opens { at, .. } => Some(at),
            Record::Void { .. } | Record::Opened { .. } | Record::Declare { .. } => None,
        }
    }

    /// When it was decided, in an opening at `opened_at`.
    pub(crate) fn time(&self, opened_at: Timestamp) -> Option<Timestamp> {
        match *self {
            Record::Opened { at_unix_ms, .. } => Some(Timestamp(at_unix_ms)),
            _ => self.at().map(|at| Timestamp(opened_at.0.saturating_add(at))),
        }
    }

    pub(crate) fn op(&self) -> Option<&Op> {
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
            | Record::Replace { op, .. } => op.as_ref(),
            Record::Refuse { op, .. } => Some(op),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Expire { .. }
            | Record::Sale { .. }
            | Record::ExpireCart { .. }
            | Record::Opens { .. } => None,
        }
    }
}

/// Lines as a record names them: one by itself, or packed ones.
pub(crate) type NamedLines<'a> = std::iter::Chain<std::option::IntoIter<Line>, lines::Iter<'a>>;

/// Words that a record of `bytes` takes in the ring, its 2-byte length included.
pub(crate) const fn words_for(bytes: usize) -> u64 {
    (bytes as u64 + 2).div_ceil(8)
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
