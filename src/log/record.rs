//! Records: what the log says happened.
//!
//! | file | is |
//! |---|---|
//! | [`wire`] | the written form of each record, and the codec |
//! | [`fact`] | what a record means, the same for a single line's and a cart's |
//! | [`kind`], [`effect`] | the kinds, and the table of what each does to stock and to its hold |
//! | [`place`], [`span`], [`op`] | parts of records: a hold's place, a duration, an op key with its answer |
//! | [`records`] | the records of a payload, one behind the other |
//! | [`fast_codec`] | the most frequent kinds, written and read by hand |
//!
//! A record is decoded under a size limit, and only from bytes whose checksum held. Its version is the
//! chunk's format, outside the payload; golden bytes in the tests pin it. Record size is throughput, so times
//! are milliseconds since the opening that wrote the record, a whole-second TTL is stored in seconds, and
//! quantities take the bytes they need: a hold with an 8-byte reference takes 23 to 31 bytes, and its share
//! of the chunk's header comes to less than one.
//!
//! A record says what was decided and what moved, so that a reader of levels needs no table of holds. The
//! lines of a cart are packed ([`super::lines`]), so its record can be long: the longest takes nearly a whole
//! chunk.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use super::lines::LINES_BYTES_MAX;
use super::newer::RECORD_KIND_MAX;
use super::words::Words;

pub(crate) mod effect;
pub(crate) mod fact;
mod fast_codec;
pub(crate) mod kind;
mod op;
mod place;
mod records;
mod span;
mod wire;

pub(crate) use fact::{Detail, Fact, Subject};
pub use kind::EntryKind;
pub(crate) use op::Op;
use op::{ANSWER_BYTES, answer_bytes};
pub(crate) use place::HoldPlace;
pub(crate) use records::{Batch, Logged, Records};
pub(crate) use span::Span;
pub(crate) use wire::Record;

/// The number of the kind of the record that is encoded at `at`: the number of its variant of [`Record`].
#[inline(always)]
pub(crate) fn kind_number(bytes: &[u8], at: usize) -> u8 {
    // Below 251 the codec writes it as one byte.
    const { assert!(RECORD_KIND_MAX < 251) };
    bytes.get(at).copied().unwrap_or(0)
}

/// The longest record, encoded: a [`Record::Replace`] of the longest lines by the longest.
pub(crate) const RECORD_BYTES_MAX: usize = 2 * LINES_BYTES_MAX + 128;
/// The longest record of a hold on one stock key, encoded; longer ones are kept on the heap until they are
/// written.
pub(crate) const SHORT_BYTES_MAX: usize = 128;
/// The longest [`Record::Void`], encoded.
pub(crate) const VOID_BYTES_MAX: usize = 4;

const CODEC: Configuration<LittleEndian, Varint, Limit<RECORD_BYTES_MAX>> =
    bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();

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
        self.long.clear();
        (self.length, self.has_op) = match fast_codec::encode(record, &mut self.short) {
            Some(written) => written,
            None => (self.put_any(record)?, record.has_op()),
        };
        (self.length <= RECORD_BYTES_MAX).then_some(())
    }

    /// The same by the codec, for every kind and length; how many bytes it took.
    fn put_any(&mut self, record: &Record<'_>) -> Option<usize> {
        if let Some(bytes) = record.encode(&mut self.short) {
            return Some(bytes.len());
        }
        self.long = bincode::serde::encode_to_vec(record, CODEC).ok()?;
        Some(self.long.len())
    }

    pub(crate) fn words(&self) -> Words {
        Words::of_record(self.length)
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

/// Bytes that are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("bytes that are not a record of this format")]
pub(crate) struct NotARecord;

impl<'a> Fact<'a> {
    /// Decodes the record at the start of `bytes`, and says how many it took.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Fact<'a>, usize), NotARecord> {
        match fast_codec::decode(bytes) {
            Some(decoded) => Ok(decoded),
            None => Record::decode(bytes).map(|(record, taken)| (record.fact(), taken)),
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
