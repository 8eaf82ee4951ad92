//! Reading the kinds of records that a sale is full of by hand.
//!
//! bincode says what bytes mean; this reads the same from the same bytes, several times faster, and is what the fold, an
//! opening and a checkpoint spend most of their time on. What it does not know at once, another kind or anything
//! irregular, it leaves to bincode.

use super::{ANSWER_BYTES, Op, Place, Record, Span};

/// A longer reference is left to bincode, which knows the limits.
const REFERENCE_BYTES_MAX: usize = 128;

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A number of two bytes or more, by the mark before it.
    fn wide(&mut self, mark: u8) -> Option<u64> {
        match mark {
            251 => self.array().map(|bytes| u16::from_le_bytes(bytes).into()),
            252 => self.array().map(|bytes| u32::from_le_bytes(bytes).into()),
            253 => self.array().map(u64::from_le_bytes),
            _ => None,
        }
    }

    #[inline]
    fn long(&mut self) -> Option<u64> {
        match self.array()? {
            [number @ 0..=250] => Some(number.into()),
            [mark] => self.wide(mark),
        }
    }

    #[inline]
    fn short(&mut self) -> Option<u32> {
        match self.array()? {
            [number @ 0..=250] => Some(number.into()),
            [mark @ 251..=252] => self.wide(mark).map(|number| number as u32),
            _ => None,
        }
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { slot: self.short()?, generation: self.short()? })
    }

    fn reference(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.take(usize::try_from(length).ok().filter(|length| *length <= REFERENCE_BYTES_MAX)?)
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
    let mut rest = Bytes(bytes);
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
