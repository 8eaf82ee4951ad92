//! Writing and reading the kinds of records that a sale is full of by hand.
//!
//! bincode says what bytes mean; this writes the same bytes and reads the same from them, several times faster. Writing is
//! a good part of a decision, and reading is what the fold, an opening and a checkpoint spend most of their time on. What
//! it does not know at once, another kind or anything irregular, it leaves to bincode.

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

/// What is written to.
struct Out<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl Out<'_> {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.buffer.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    #[inline]
    fn byte(&mut self, byte: u8) -> Option<()> {
        *self.buffer.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    #[inline]
    fn long(&mut self, number: u64) -> Option<()> {
        if number <= 250 { self.byte(number as u8) } else { self.wide(number) }
    }

    /// A number of two bytes or more, behind the mark that says how many.
    #[inline]
    fn wide(&mut self, number: u64) -> Option<()> {
        let (mark, bytes) = match number {
            0..=0xffff => (251, 2),
            0x1_0000..=0xffff_ffff => (252, 4),
            _ => (253, 8),
        };
        // All eight, of which the next field overwrites what is not the number's.
        let all = self.buffer.get_mut(self.length..self.length + 9)?;
        all[0] = mark;
        all[1..].copy_from_slice(&number.to_le_bytes());
        self.length += 1 + bytes;
        Some(())
    }

    #[inline]
    fn short(&mut self, number: u32) -> Option<()> {
        self.long(number.into())
    }

    #[inline]
    fn place(&mut self, place: Place) -> Option<()> {
        self.short(place.slot)?;
        self.short(place.generation)
    }

    #[inline]
    fn reference(&mut self, reference: &[u8]) -> Option<()> {
        self.long(reference.len() as u64)?;
        self.bytes(reference)
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
    fn units(&mut self, place: Place, key: u32, quantity: u32) -> Option<()> {
        self.place(place)?;
        self.short(key)?;
        self.short(quantity)
    }
}

/// Writes the record to the start of `buffer`; how many bytes it took. `None` says nothing about it.
#[inline]
pub(super) fn encode(record: &Record<'_>, buffer: &mut [u8]) -> Option<usize> {
    let mut out = Out { buffer, length: 0 };
    let mut begin = |kind: u8, at: u64| {
        out.byte(kind)?;
        out.long(at)
    };
    match *record {
        Record::Reserve { at, place, key, quantity, ttl, reference, ref op } => {
            begin(3, at)?;
            out.units(place, key, quantity)?;
            out.long(ttl.0)?;
            out.reference(reference)?;
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
            out.reference(reference)?;
            out.op(op)?;
        }
        _ => return None,
    }
    Some(out.length)
}
