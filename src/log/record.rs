//! Records: what the log says happened, and the one codec for them.
//!
//! A record is a serde enum in bincode's variable-length form, always decoded under a size limit and only from
//! bytes whose checksum held. Its version is the chunk's format, outside the payload; golden bytes in the tests
//! pin it. Record size is throughput, so times are milliseconds since the opening that wrote the record, a
//! whole-second TTL is stored in seconds, and quantities take the bytes they need: a hold with an 8-byte
//! reference takes 23 to 31 bytes, and its share of the chunk's header comes to less than one.
//!
//! A record says what was decided and what moved, so that a reader of levels needs no table of holds.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize};

use crate::request::AdjustReason;
use crate::types::QUANTITY_MAX;

/// The longest record, encoded.
pub(crate) const RECORD_BYTES_MAX: usize = 2 * 255 + 64;

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

/// A record in its encoded form, on the stack.
pub(crate) struct Encoded {
    bytes: [u8; RECORD_BYTES_MAX],
    length: usize,
    has_op: bool,
}

impl Encoded {
    /// `None` if it does not fit, which no validated request can cause.
    pub(crate) fn new(record: &Record<'_>) -> Option<Encoded> {
        let mut bytes = [0; RECORD_BYTES_MAX];
        let length = record.encode(&mut bytes)?.len();
        Some(Encoded { bytes, length, has_op: record.op().is_some() })
    }

    pub(crate) fn words(&self) -> u64 {
        words_for(self.length)
    }

    /// Puts the answer into the op, if there is one.
    pub(crate) fn set_answer(&mut self, answer: i64) {
        if self.has_op {
            self.bytes[self.length - ANSWER_BYTES..self.length].copy_from_slice(&answer_bytes(answer));
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
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
pub(crate) struct Place {
    pub slot: u32,
    pub generation: u32,
}

/// What happened. `at` is in milliseconds since the opening; `key` is an index into the catalogue.
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
        place: Place,
        key: u32,
        quantity: u32,
        ttl: Span,
        #[serde(borrow)]
        reference: &'a [u8],
        op: Option<Op>,
    },
    /// `taken` of a hold were paid for, `returned` went back.
    Confirm { at: u64, place: Place, key: u32, taken: u32, returned: u32, op: Option<Op> },
    /// An expired hold's units were taken again and paid for.
    Retake { at: u64, place: Place, key: u32, taken: u32, op: Option<Op> },
    /// A hold was given back by its holder.
    Release { at: u64, place: Place, key: u32, quantity: u32, op: Option<Op> },
    /// A hold was given back by time.
    Expire { at: u64, place: Place, key: u32, quantity: u32 },
    /// A hold lives until `at + ttl`.
    Extend { at: u64, place: Place, ttl: Span, op: Option<Op> },
    /// Payment began, and the hold lives until `at + ttl`.
    Pay { at: u64, place: Place, ttl: Span, op: Option<Op> },
    /// Committed units left the building.
    Ship { at: u64, place: Place, key: u32, quantity: u32, op: Option<Op> },
    /// Committed units went back on sale.
    Cancel { at: u64, place: Place, key: u32, quantity: u32, op: Option<Op> },
    /// Units arrived.
    Receive { at: u64, key: u32, quantity: u32, reference: &'a [u8], op: Option<Op> },
    /// What is on hand was corrected.
    Adjust { at: u64, key: u32, delta: i64, reason: AdjustReason, reference: &'a [u8], op: Option<Op> },
    /// The stop switch of a key was set or cleared.
    Sale { at: u64, key: u32, stopped: bool },
    /// A refusal that the caller wanted remembered.
    Refuse { at: u64, key: u32, asked: u32, op: Op },
}

/// Bytes that are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("bytes that are not a record of this format")]
pub(crate) struct NotARecord;

impl<'a> Record<'a> {
    /// Encodes into `buffer`; `None` if it does not fit, which no validated request can cause.
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8; RECORD_BYTES_MAX]) -> Option<&'b [u8]> {
        let length = bincode::serde::encode_into_slice(self, buffer, CODEC).ok()?;
        buffer.get(..length)
    }

    /// Decodes the record at the start of `bytes`, and says how many it took.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(Record<'a>, usize), NotARecord> {
        bincode::serde::borrow_decode_from_slice(bytes, CODEC).map_err(|_| NotARecord)
    }

    /// Words of the log that it takes, which is how far the position moves on.
    pub(crate) fn words(&self, encoded_bytes: usize) -> u64 {
        match self {
            Record::Void { words } => u64::from(*words),
            _ => words_for(encoded_bytes),
        }
    }

    /// The stock key whose book it touches.
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
            | Record::Refuse { key, .. } => Some(key),
            Record::Void { .. } | Record::Opened { .. } | Record::Extend { .. } | Record::Pay { .. } => None,
        }
    }

    /// The hold whose life it is part of.
    pub(crate) fn place(&self) -> Option<Place> {
        match *self {
            Record::Reserve { place, .. }
            | Record::Confirm { place, .. }
            | Record::Retake { place, .. }
            | Record::Release { place, .. }
            | Record::Expire { place, .. }
            | Record::Extend { place, .. }
            | Record::Pay { place, .. }
            | Record::Ship { place, .. }
            | Record::Cancel { place, .. } => Some(place),
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Receive { .. }
            | Record::Adjust { .. }
            | Record::Sale { .. }
            | Record::Refuse { .. } => None,
        }
    }

    /// Whether the units it names are within what an operation can move.
    pub(crate) fn is_sane(&self) -> bool {
        let units = |quantity: u32| (1..=QUANTITY_MAX).contains(&quantity);
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
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Extend { .. }
            | Record::Pay { .. }
            | Record::Sale { .. }
            | Record::Refuse { .. } => true,
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
            | Record::Refuse { at, .. } => Some(at),
            Record::Void { .. } | Record::Opened { .. } | Record::Declare { .. } => None,
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
            | Record::Adjust { op, .. } => op.as_ref(),
            Record::Refuse { op, .. } => Some(op),
            Record::Void { .. } | Record::Opened { .. } | Record::Declare { .. } | Record::Expire { .. } => {
                None
            }
            Record::Sale { .. } => None,
        }
    }
}

/// Words that a record of `bytes` takes in the ring, its 2-byte length included.
pub(crate) const fn words_for(bytes: usize) -> u64 {
    (bytes as u64 + 2).div_ceil(8)
}

/// The records of a chunk's payload in order, each with the position behind it.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    position: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8], start: u64) -> Self {
        Records { rest: payload, position: start }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(u64, Record<'a>), NotARecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Ok((record, bytes)) = Record::decode(self.rest) else {
            self.rest = &[];
            return Some(Err(NotARecord));
        };
        let words = record.words(bytes);
        if words == 0 || bytes == 0 {
            self.rest = &[];
            return Some(Err(NotARecord));
        }
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        self.position = self.position.saturating_add(words);
        Some(Ok((self.position, record)))
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const PLACE: Place = Place { slot: 70_000, generation: 3 };
    const OP: Op = Op { key: [0xab; 16], content: [0xcd; 8], answer: [41, 0, 0, 0, 0, 0] };

    fn bytes(record: Record<'_>) -> Vec<u8> {
        record.encode(&mut [0; RECORD_BYTES_MAX]).unwrap().to_vec()
    }

    fn every_kind() -> Vec<Record<'static>> {
        let (at, key, place, quantity, ttl) = (123_456, 300, PLACE, 2, Span::from_millis(600_000));
        let op = Some(OP);
        vec![
            Record::Void { words: 4 },
            Record::Opened { epoch: 1, at_unix_ms: 1_700_000_000_000 },
            Record::Declare { key, sku: "poster", location: "berlin" },
            Record::Reserve { at, place, key, quantity, ttl, reference: b"order-17", op: None },
            Record::Confirm { at, place, key, taken: 1, returned: 1, op: None },
            Record::Retake { at, place, key, taken: 2, op },
            Record::Release { at, place, key, quantity, op: None },
            Record::Expire { at, place, key, quantity },
            Record::Extend { at, place, ttl, op: None },
            Record::Pay { at, place, ttl: Span::from_millis(1_500), op: None },
            Record::Ship { at, place, key, quantity, op: None },
            Record::Cancel { at, place, key, quantity, op: None },
            Record::Receive { at, key, quantity: 1_000, reference: b"PO-1", op },
            Record::Adjust { at, key, delta: -3, reason: AdjustReason::Damaged, reference: b"", op: None },
            Record::Sale { at, key, stopped: true },
            Record::Refuse { at, key, asked: 2, op: OP },
        ]
    }

    #[test]
    fn every_record_survives_its_bytes() {
        let mut payload = Vec::new();
        let mut ends = Vec::new();
        for record in every_kind() {
            let encoded = bytes(record);
            ends.push(ends.last().unwrap_or(&100) + record.words(encoded.len()));
            payload.extend(encoded);
        }
        let read: Vec<_> = Records::new(&payload, 100).map(Result::unwrap).collect();
        assert_eq!(read, ends.into_iter().zip(every_kind()).collect::<Vec<_>>());
    }

    /// Format 1. These bytes lie on disks: a change here is a new format, not a new expectation.
    #[test]
    fn golden_bytes_of_every_record() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let golden: Vec<String> = every_kind().into_iter().map(|record| hex(bytes(record))).collect();
        assert_eq!(golden.join("\n"), include_str!("golden/records.txt").trim_end());
    }

    #[test]
    fn a_hold_with_an_eight_byte_reference_takes_32_log_bytes_at_most() {
        let hold = Record::Reserve {
            at: u64::from(u32::MAX),
            place: Place { slot: 1 << 24, generation: 60_000 },
            key: 60_000,
            quantity: 4,
            ttl: Span::from_millis(600_000),
            reference: b"12345678",
            op: None,
        };
        assert!(bytes(hold).len() <= 31, "{}", bytes(hold).len());
    }

    #[test]
    fn the_longest_record_fits_the_limit() {
        let name = "x".repeat(crate::types::NAME_BYTES_MAX);
        bytes(Record::Declare { key: u32::MAX, sku: &name, location: &name });
        let place = Place { slot: u32::MAX, generation: u32::MAX };
        let longest = Record::Reserve {
            at: u64::MAX,
            place,
            key: u32::MAX,
            quantity: u32::MAX,
            ttl: Span(u64::MAX),
            reference: &[0; 40],
            op: Some(OP),
        };
        assert!(bytes(longest).len() <= 128);
    }

    #[test]
    fn hostile_bytes_are_refused_or_read_but_never_panic() {
        for record in every_kind() {
            let good = bytes(record);
            for at in 0..good.len() {
                for flip in 1..=255u8 {
                    let mut bad = good.clone();
                    bad[at] ^= flip;
                    let _ = Record::decode(&bad);
                    let _ = Record::decode(&bad[..at]);
                }
            }
        }
        // A length that claims the address space.
        assert_eq!(Record::decode(&[2, 0, 253, 255, 255, 255, 255, 255, 255, 255, 255]), Err(NotARecord));
        assert!(Records::new(&[0, 0], 0).next().unwrap().is_err(), "a void of no words would never end");
    }

    #[test]
    fn an_answer_is_set_after_its_record_was_sized() {
        for answer in [0, 41, -1, 1 << 46, -(1 << 46)] {
            let record = Record::Receive { at: 1, key: 2, quantity: 3, reference: b"PO-1", op: Some(OP) };
            let mut encoded = Encoded::new(&record).unwrap();
            encoded.set_answer(answer);
            let (read, _) = Record::decode(encoded.as_bytes()).unwrap();
            assert_eq!(read.op().unwrap().answer(), answer);
        }
    }

    #[test]
    fn a_span_keeps_its_milliseconds() {
        for ms in [0, 1, 999, 1_000, 1_001, 600_000, 315_360_000_000] {
            assert_eq!(Span::from_millis(ms).millis(), ms);
        }
        assert_eq!(Span(u64::MAX).millis(), u64::MAX);
    }
}
