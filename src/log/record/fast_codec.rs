//! Writes and reads the most frequent kinds of records without the general codec.
//!
//! bincode defines the bytes; this module writes and reads the same bytes several times faster. Writing is a
//! good part of a decision, and reading is most of the time of the fold, an opening and a checkpoint. Other
//! kinds, and anything irregular, are left to bincode.

use crate::index::{Generation, KeyIndex, SlotIndex};
use crate::varint::{VarintReader, VarintWriter};

use super::{ANSWER_BYTES, EntryKind, Fact, HoldPlace, Op, Record, Span, Subject};
use crate::log::lines::LinePair;

/// A longer reference is left to bincode, which checks the limits.
const REFERENCE_BYTES_MAX: usize = 128;

/// The codec's numbers of the kinds that this module knows.
const RESERVE: u8 = 3;
const CONFIRM: u8 = 4;
const RELEASE: u8 = 6;
const EXPIRE: u8 = 7;
const SHIP: u8 = 10;
const RECEIVE: u8 = 12;

impl<'a> VarintReader<'a> {
    fn place(&mut self) -> Option<HoldPlace> {
        Some(HoldPlace { slot: SlotIndex(self.short()?), generation: Generation(self.short()?) })
    }

    fn reference(&mut self) -> Option<&'a [u8]> {
        self.slice().filter(|reference| reference.len() <= REFERENCE_BYTES_MAX)
    }

    fn op(&mut self) -> Option<Option<Op>> {
        match self.array()? {
            [0] => Some(None),
            [1] => {
                let (key, content) = (self.array()?, self.array()?);
                Some(Some(Op { key, content, answer: self.array::<ANSWER_BYTES>()? }))
            }
            _ => None,
        }
    }
}

/// Decodes the record at the start of `bytes` into a fact; also returns its length. `None` leaves it to
/// bincode.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Option<(Fact<'_>, usize)> {
    let mut rest = VarintReader(bytes);
    let [code] = rest.array()?;
    let kind = match code {
        RESERVE => EntryKind::Reserve,
        CONFIRM => EntryKind::Confirm,
        RELEASE => EntryKind::Release,
        EXPIRE => EntryKind::Expire,
        SHIP => EntryKind::Ship,
        RECEIVE => EntryKind::Receive,
        _ => return None,
    };
    let mut fact = Fact { at: Some(rest.long()?), ..Fact::new(kind) };
    if code != RECEIVE {
        fact.place = Some(rest.place()?);
    }
    let (target, first) = (KeyIndex(rest.short()?).into(), rest.short()?);
    let second = if code == CONFIRM { rest.short()? } else { 0 };
    fact.subject = Subject::One(LinePair { target, first, second });
    if code == RESERVE {
        fact.ttl = Span(rest.long()?);
    }
    if matches!(code, RESERVE | RECEIVE) {
        fact.reference = rest.reference()?;
    }
    if code != EXPIRE {
        fact.op = rest.op()?;
    }
    Some((fact, bytes.len() - rest.0.len()))
}

impl VarintWriter<'_> {
    #[inline]
    fn place(&mut self, place: HoldPlace) -> Option<()> {
        self.short(place.slot.0)?;
        self.short(place.generation.0)
    }

    #[inline]
    fn op(&mut self, op: &Option<Op>) -> Option<()> {
        let Some(Op { key, content, answer }) = op else { return self.byte(0) };
        self.byte(1)?;
        self.bytes(key)?;
        self.bytes(content)?;
        self.bytes(answer)
    }

    #[inline]
    fn units(&mut self, place: HoldPlace, key: KeyIndex, quantity: u32) -> Option<()> {
        self.place(place)?;
        self.short(key.0)?;
        self.short(quantity)
    }
}

/// Writes a record to the start of `buffer`; returns its length, and whether it has an op. `None` leaves it
/// to bincode.
#[inline]
pub(super) fn encode(record: &Record<'_>, buffer: &mut [u8]) -> Option<(usize, bool)> {
    let mut out = VarintWriter::new(buffer);
    let mut begin = |kind: u8, at: u64| {
        out.byte(kind)?;
        out.long(at)
    };
    let has_op = match *record {
        Record::Reserve { at, place, key, quantity, ttl, reference, ref op } => {
            begin(RESERVE, at)?;
            out.units(place, key, quantity)?;
            out.long(ttl.0)?;
            out.slice(reference)?;
            out.op(op)?;
            op.is_some()
        }
        Record::Confirm { at, place, key, taken, returned, ref op } => {
            begin(CONFIRM, at)?;
            out.units(place, key, taken)?;
            out.short(returned)?;
            out.op(op)?;
            op.is_some()
        }
        Record::Release { at, place, key, quantity, ref op } => {
            begin(RELEASE, at)?;
            out.units(place, key, quantity)?;
            out.op(op)?;
            op.is_some()
        }
        Record::Expire { at, place, key, quantity } => {
            begin(EXPIRE, at)?;
            out.units(place, key, quantity)?;
            false
        }
        Record::Ship { at, place, key, quantity, ref op } => {
            begin(SHIP, at)?;
            out.units(place, key, quantity)?;
            out.op(op)?;
            op.is_some()
        }
        Record::Receive { at, key, quantity, reference, ref op } => {
            begin(RECEIVE, at)?;
            out.short(key.0)?;
            out.short(quantity)?;
            out.slice(reference)?;
            out.op(op)?;
            op.is_some()
        }
        _ => return None,
    };
    Some((out.length(), has_op))
}
