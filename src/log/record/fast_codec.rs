//! Writing and reading the kinds of records that a sale is full of by hand.
//!
//! bincode says what bytes mean; this writes the same bytes and reads the same from them, several times faster. Writing is
//! a good part of a decision, and reading is what the fold, an opening and a checkpoint spend most of their time on. What
//! it does not know at once, another kind or anything irregular, it leaves to bincode.

use crate::varint::{VarintReader, VarintWriter};

use super::{ANSWER_BYTES, HoldPlace, Op, Record, Span};

/// A longer reference is left to bincode, which knows the limits.
const REFERENCE_BYTES_MAX: usize = 128;

impl<'a> VarintReader<'a> {
    fn place(&mut self) -> Option<HoldPlace> {
        Some(HoldPlace { slot: self.short()?, generation: self.short()? })
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

/// The record at the start of `bytes`, and how many it took; `None` says nothing about them.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let mut rest = VarintReader(bytes);
    let [kind] = rest.array()?;
    let at = rest.long()?;
    let record = match kind {
        3 => Record::Reserve {
            at,
            place: rest.place()?,
            key: rest.short()?,
            quantity: rest.short()?,
            ttl: Span(rest.long()?),
            reference: rest.reference()?,
            op: rest.op()?,
        },
        4 => Record::Confirm {
            at,
            place: rest.place()?,
            key: rest.short()?,
            taken: rest.short()?,
            returned: rest.short()?,
            op: rest.op()?,
        },
        6 => Record::Release {
            at,
            place: rest.place()?,
            key: rest.short()?,
            quantity: rest.short()?,
            op: rest.op()?,
        },
        7 => Record::Expire { at, place: rest.place()?, key: rest.short()?, quantity: rest.short()? },
        10 => Record::Ship {
            at,
            place: rest.place()?,
            key: rest.short()?,
            quantity: rest.short()?,
            op: rest.op()?,
        },
        12 => Record::Receive {
            at,
            key: rest.short()?,
            quantity: rest.short()?,
            reference: rest.reference()?,
            op: rest.op()?,
        },
        _ => return None,
    };
    Some((record, bytes.len() - rest.0.len()))
}

impl VarintWriter<'_> {
    #[inline]
    fn place(&mut self, place: HoldPlace) -> Option<()> {
        self.short(place.slot)?;
        self.short(place.generation)
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
    fn units(&mut self, place: HoldPlace, key: u32, quantity: u32) -> Option<()> {
        self.place(place)?;
        self.short(key)?;
        self.short(quantity)
    }
}

/// Writes the record to the start of `buffer`; how many bytes it took. `None` says nothing about it.
#[inline]
pub(super) fn encode(record: &Record<'_>, buffer: &mut [u8]) -> Option<usize> {
    let mut out = VarintWriter::new(buffer);
    let mut begin = |kind: u8, at: u64| {
        out.byte(kind)?;
        out.long(at)
    };
    match *record {
        Record::Reserve { at, place, key, quantity, ttl, reference, ref op } => {
            begin(3, at)?;
            out.units(place, key, quantity)?;
            out.long(ttl.0)?;
            out.slice(reference)?;
            out.op(op)?;
        }
        Record::Confirm { at, place, key, taken, returned, ref op } => {
            begin(4, at)?;
            out.units(place, key, taken)?;
            out.short(returned)?;
            out.op(op)?;
        }
        Record::Release { at, place, key, quantity, ref op } => {
            begin(6, at)?;
            out.units(place, key, quantity)?;
            out.op(op)?;
        }
        Record::Expire { at, place, key, quantity } => {
            begin(7, at)?;
            out.units(place, key, quantity)?;
        }
        Record::Ship { at, place, key, quantity, ref op } => {
            begin(10, at)?;
            out.units(place, key, quantity)?;
            out.op(op)?;
        }
        Record::Receive { at, key, quantity, reference, ref op } => {
            begin(12, at)?;
            out.short(key)?;
            out.short(quantity)?;
            out.slice(reference)?;
            out.op(op)?;
        }
        _ => return None,
    }
    Some(out.length())
}
