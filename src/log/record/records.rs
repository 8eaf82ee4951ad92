//! The records of a payload, one after another.

use std::hint::black_box;

use super::{Fact, NotARecord};
use crate::log::words::Words;

/// The number of records in a [batch](Records::next_batch).
const BATCH: usize = 32;

pub(crate) type Batch<'a> = Vec<Result<Logged<'a>, NotARecord>>;

/// A record of the log, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Logged<'a> {
    /// The position behind the record.
    pub position: u64,
    pub fact: Fact<'a>,
    pub bytes: &'a [u8],
}

#[cfg(all(test, not(stockhold_loom)))]
impl<'a> Logged<'a> {
    /// A record that ends at `position`, without its bytes.
    pub(crate) fn of(position: u64, record: &super::Record<'a>) -> Logged<'a> {
        Logged { position, fact: record.fact(), bytes: &[] }
    }
}

/// The records of a chunk's payload in order. It ends with an error at the first bytes that are not a record.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    position: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8], start: u64) -> Self {
        Records { rest: payload, position: start }
    }

    /// Replaces the content of `batch` by the next few records, and calls `look` with each: it reads the
    /// memory that the record will touch, so that the cache misses of a batch overlap. False if there are no
    /// more records.
    #[inline]
    pub(crate) fn next_batch(&mut self, batch: &mut Batch<'a>, look: impl Fn(&Fact<'a>) -> u64) -> bool {
        batch.clear();
        batch.extend(self.take(BATCH));
        // A sum, so that the compiler leaves none of the reads out.
        let seen = batch.iter().flatten().map(|logged| look(&logged.fact));
        black_box(seen.fold(0, u64::wrapping_add));
        !batch.is_empty()
    }

    fn decode(&mut self) -> Option<Logged<'a>> {
        let (fact, taken) = Fact::decode(self.rest).ok()?;
        let words = fact.words(taken);
        if words == Words::ZERO {
            return None;
        }
        let bytes;
        (bytes, self.rest) = self.rest.split_at_checked(taken)?;
        self.position = self.position.saturating_add(words.0);
        Some(Logged { position: self.position, fact, bytes })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Logged<'a>, NotARecord>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let decoded = self.decode();
        if decoded.is_none() {
            self.rest = &[];
        }
        Some(decoded.ok_or(NotARecord))
    }
}
