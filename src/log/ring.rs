//! The ring between the deciding threads and the log thread: one byte ring, one total order.
//!
//! A record's position is where a `fetch_add` put it. The ring is plain atomic words: the first word of a
//! record carries its length and first bytes, and publishes the rest.
//!
//! ```text
//! word 0   bits 63 ..... 16            15 .. 0
//!          first 6 bytes of the record length + 1; 0 = not published yet; VOID = nothing happened,
//!                                      bits 31..16 say how many words to skip
//! word 1.. the other bytes, zero-padded
//! ```
//!
//! # Ground rules
//!
//! 1. **Room before mutation.** Words are claimed as credits before anything changes; a claim that is dropped
//!    gives them back. A share of the ring is reserved for operations that give units back or keep a promise,
//!    so that a flood of reserves cannot stop a confirm.
//! 2. Every drawn word is covered by a claim, and `used` counts claims not yet freed. So the words that a
//!    draw hands out are free: to have `p + n` words drawn, as many were claimed, and the last of those
//!    claims saw `used <= capacity`, hence that everything a lap behind was freed.
//! 3. Every drawn position is filled or voided. A writer that is descheduled between the two delays
//!    acknowledgements, not decisions, until the ring is full; then the answer is `Busy`.
//! 4. The reader zeroes what it has read before it frees it: no byte of a caller's can pass for a header.
//! 5. Closing is a bit in `used`: after it no claim succeeds, while those under way may still draw and fill.

use crossbeam::utils::CachePadded;

use super::words::Words;
use crate::fault::{Fault, planted};
use crate::stall::{self, Step};
use crate::sync::{AtomicU64, Ordering};

/// Set in `used`: no claim succeeds any more.
const CLOSED: u64 = 1 << 63;
const VOID: u64 = 0xffff;
const _: () = assert!((super::record::RECORD_BYTES_MAX as u64) + 1 < VOID, "a header carries every length");
/// Bytes of a record that its first word carries.
const HEAD_BYTES: usize = 6;

/// Which part of the ring an operation may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Share {
    /// For operations that take units: all but the reserved words.
    Take,
    /// For confirm, release, extend, expire, and physical movements: the whole ring.
    Keep,
}

/// Why a claim failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoClaim {
    /// The log thread is behind.
    Full,
    /// The ring is closed: shut down, or poisoned.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Ring {
    words: Box<[AtomicU64]>,
    /// Words that only [`Share::Keep`] may use.
    reserved: u64,
    /// The next position to hand out.
    drawn: CachePadded<AtomicU64>,
    /// Words claimed and not yet freed, and the closed bit.
    used: CachePadded<AtomicU64>,
}

/// Words that a decision may draw. If it is dropped, they go back.
#[derive(Debug)]
pub(crate) struct Claim<'r> {
    ring: &'r Ring,
    words: Words,
}

/// A drawn position, to be filled or voided.
#[derive(Debug)]
#[must_use = "a drawn position that is neither filled nor voided stops the log"]
pub(crate) struct Drawn<'r> {
    ring: &'r Ring,
    start: u64,
    words: Words,
}

impl Ring {
    /// `words` is a power of two; positions begin at `start`.
    pub(crate) fn new(words: usize, start: u64) -> Self {
        assert!(words.is_power_of_two() && words >= 4, "a ring of {words} words");
        Ring {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            reserved: words as u64 / 4,
            drawn: CachePadded::new(AtomicU64::new(start)),
            used: CachePadded::new(AtomicU64::new(0)),
        }
    }

    pub(crate) fn capacity_words(&self) -> u64 {
        self.words.len() as u64
    }

    /// Words claimed and not yet freed.
    pub(crate) fn used_words(&self) -> u64 {
        // Acquire: pairs with the AcqRel of claims; zero after closing means that every fill is visible.
        self.used.load(Ordering::Acquire) & !CLOSED
    }

    /// The position behind everything drawn so far.
    pub(crate) fn drawn(&self) -> u64 {
        // Acquire: pairs with `draw`, so that a reader that saw the effect of a decision sees its position.
        self.drawn.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a hint for refusals; claims decide by their own read-modify-write.
        self.used.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// No claim succeeds after this.
    pub(crate) fn close(&self) {
        self.used.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Claims room for `words`.
    #[inline]
    pub(crate) fn claim(&self, words: Words, share: Share) -> Result<Claim<'_>, NoClaim> {
        let limit = match share {
            Share::Take => self.capacity_words() - self.reserved,
            Share::Keep => self.capacity_words(),
        };
        // AcqRel: acquires the zeroing of the words that `free` released (rule 2), and releases it onwards,
        // through `drawn`, to the thread that draws next.
        let before = self.used.fetch_add(words.0, Ordering::AcqRel);
        if before & CLOSED == 0 && before + words.0 <= limit {
            return Ok(Claim { ring: self, words });
        }
        stall::at(Step::Unclaiming);
        self.used.fetch_sub(words.0, Ordering::Release);
        Err(if before & CLOSED != 0 { NoClaim::Closed } else { NoClaim::Full })
    }

    #[inline]
    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[(position & (self.capacity_words() - 1)) as usize]
    }
}

impl<'r> Claim<'r> {
    /// Draws the position of a record of `words`, at most what was claimed; the rest goes back.
    #[inline]
    pub(crate) fn draw(mut self, words: Words) -> Drawn<'r> {
        let words = words.min(self.words);
        self.words -= words;
        // AcqRel: passes on what earlier claims acquired of freed words, to this draw and to later ones (rule
        // 2); and pairs with the Acquire in `drawn()`.
        let start = self.ring.drawn.fetch_add(words.0, Ordering::AcqRel);
        Drawn { ring: self.ring, start, words }
    }
}

impl<'r> Claim<'r> {
    /// Draws the positions of several records at once, one behind the other; each must be filled.
    pub(crate) fn draw_all(self, words: &[Words]) -> impl Iterator<Item = Drawn<'r>> {
        let Drawn { ring, mut start, .. } = self.draw(words.iter().copied().sum::<Words>());
        words.iter().map(move |&words| {
            start += words.0;
            Drawn { ring, start: start - words.0, words }
        })
    }
}

impl Drop for Claim<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.words > Words::ZERO {
            self.ring.used.fetch_sub(self.words.0, Ordering::Release);
        }
    }
}

impl Drawn<'_> {
    /// The position behind the record.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.words.0
    }

    /// Publishes the record, which takes exactly the words drawn.
    #[inline]
    pub(crate) fn fill(self, record: &[u8]) {
        debug_assert_eq!(Words::of_record(record.len()), self.words);
        let (head, tail) = record.split_at(record.len().min(HEAD_BYTES));
        let (words, rest) = tail.as_chunks::<8>();
        let rest = if rest.is_empty() { None } else { Some(little_endian(rest)) };
        let words = words.iter().map(|bytes| u64::from_le_bytes(*bytes)).chain(rest);
        for (position, word) in (self.start + 1..self.end()).zip(words) {
            // Relaxed: published by the header below.
            self.ring.word(position).store(word, Ordering::Relaxed);
        }
        let header = little_endian(head) << 16 | (record.len() as u64 + 1);
        // Release: publishes the words above; pairs with the reader's Acquire.
        self.ring.word(self.start).store(header, Ordering::Release);
    }

    /// Publishes that nothing happened at this position.
    pub(crate) fn void(self) {
        // Release: as in `fill`; the reader may free the words at once.
        self.ring.word(self.start).store(self.words.0 << 16 | VOID, Ordering::Release);
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// The next item of the ring, as its reader finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RingItem {
    /// Nothing is published yet.
    Nothing,
    /// A record, appended to the buffer.
    Record { words: Words },
    /// A position where nothing happened.
    Void { words: Words },
}

/// The one reader: takes the contiguous prefix of what is published.
#[derive(Debug)]
pub(crate) struct Reader {
    position: u64,
}

impl Reader {
    pub(crate) fn new(start: u64) -> Self {
        Reader { position: start }
    }

    /// The position behind everything read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether something is published at the reader's position.
    pub(crate) fn has_next(&self, ring: &Ring) -> bool {
        ring.word(self.position).load(Ordering::Acquire) != 0
    }

    /// The bytes that the next record adds to a chunk, for a void those of the longest; `None` if nothing is
    /// published yet.
    pub(crate) fn next_bytes(&self, ring: &Ring) -> Option<usize> {
        // Relaxed: only a length is read; `next` acquires the record itself.
        match ring.word(self.position).load(Ordering::Relaxed) & 0xffff {
            0 => None,
            VOID => Some(super::record::VOID_BYTES_MAX),
            length => Some(length as usize - 1),
        }
    }

    /// Reads the next record onto the end of `out`, zeroes its words and moves on. The words are not free
    /// yet.
    pub(crate) fn next(&mut self, ring: &Ring, out: &mut Vec<u8>) -> RingItem {
        // Acquire: pairs with the Release of `fill` or `void`.
        let header = ring.word(self.position).load(Ordering::Acquire);
        if header == 0 {
            return RingItem::Nothing;
        }
        let (start, end) = (self.position, out.len());
        let found = if header & 0xffff == VOID {
            RingItem::Void { words: Words(header >> 16) }
        } else {
            let bytes = (header & 0xffff) as usize - 1;
            let words = Words::of_record(bytes);
            // Whole words are appended, and then cut to the record's bytes.
            out.reserve(words.0 as usize * 8);
            out.extend_from_slice(&(header >> 16).to_le_bytes());
            out.truncate(end + HEAD_BYTES);
            for position in start + 1..start + words.0 {
                // Relaxed: ordered by the Acquire of the header.
                out.extend_from_slice(&ring.word(position).load(Ordering::Relaxed).to_le_bytes());
            }
            out.truncate(end + bytes);
            RingItem::Record { words }
        };
        if let RingItem::Record { words } | RingItem::Void { words } = found {
            if !planted(Fault::SkipZeroing) {
                for position in start..start + words.0 {
                    // Relaxed: released by `free`.
                    ring.word(position).store(0, Ordering::Relaxed);
                }
            }
            self.position += words.0;
        }
        found
    }

    /// Gives `words` that were read back to the writers.
    pub(crate) fn free(&self, ring: &Ring, words: Words) {
        // Release: hands the zeroed words to the claim that acquires them (rule 2).
        ring.used.fetch_sub(words.0, Ordering::Release);
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    fn put(ring: &Ring, record: &[u8]) -> u64 {
        let words = Words::of_record(record.len());
        let drawn = ring.claim(words, Share::Take).unwrap().draw(words);
        let end = drawn.end();
        drawn.fill(record);
        end
    }

    #[test]
    fn records_of_every_length_come_out_in_order_over_many_laps() {
        let ring = Ring::new(64, 1_000);
        let mut reader = Reader::new(1_000);
        for lap in 0..300usize {
            let record: Vec<u8> = (0..lap % 90).map(|i| (i * 7 + lap) as u8).collect();
            let end = put(&ring, &record);
            let mut out = Vec::new();
            let found = reader.next(&ring, &mut out);
            assert_eq!(found, RingItem::Record { words: Words::of_record(record.len()) });
            assert_eq!(out, record);
            assert_eq!(reader.position(), end);
            reader.free(&ring, Words::of_record(record.len()));
        }
        assert_eq!(ring.used_words(), 0);
    }

    #[test]
    fn a_hole_holds_back_what_lies_behind_it() {
        let ring = Ring::new(64, 0);
        let mut reader = Reader::new(0);
        let hole = ring.claim(Words(1), Share::Take).unwrap().draw(Words(1));
        put(&ring, b"behind");
        let mut out = Vec::new();
        assert_eq!(reader.next(&ring, &mut out), RingItem::Nothing);
        hole.void();
        assert_eq!(reader.next(&ring, &mut out), RingItem::Void { words: Words(1) });
        assert_eq!(reader.next(&ring, &mut out), RingItem::Record { words: Words(1) });
        assert_eq!(out, b"behind");
    }

    #[test]
    fn a_full_ring_reserves_words_for_operations_that_give_back() {
        let ring = Ring::new(16, 0);
        let takes: Vec<_> = (0..12).map(|_| ring.claim(Words(1), Share::Take).unwrap()).collect();
        assert_eq!(ring.claim(Words(1), Share::Take).unwrap_err(), NoClaim::Full);
        let keep = ring.claim(Words(4), Share::Keep).unwrap();
        assert_eq!(ring.claim(Words(1), Share::Keep).unwrap_err(), NoClaim::Full);
        drop((takes, keep));
        assert_eq!(ring.used_words(), 0);
    }

    #[test]
    fn a_closed_ring_refuses_claims_and_lets_those_under_way_finish() {
        let ring = Ring::new(16, 0);
        let claim = ring.claim(Words(2), Share::Take).unwrap();
        ring.close();
        assert_eq!(ring.claim(Words(1), Share::Keep).unwrap_err(), NoClaim::Closed);
        claim.draw(Words(1)).fill(b"late");
        assert_eq!(ring.used_words(), 1, "the word not drawn went back");
        let mut reader = Reader::new(0);
        assert_eq!(reader.next(&ring, &mut Vec::new()), RingItem::Record { words: Words(1) });
        reader.free(&ring, Words(1));
        assert_eq!(ring.used_words(), 0);
    }

    #[test]
    fn a_callers_bytes_never_pass_for_a_header() {
        let ring = Ring::new(4, 0);
        let mut reader = Reader::new(0);
        put(&ring, &[0xff; 14]); // two words, the second all ones
        assert_eq!(reader.next(&ring, &mut Vec::new()), RingItem::Record { words: Words(2) });
        reader.free(&ring, Words(2));
        put(&ring, b"");
        reader.next(&ring, &mut Vec::new());
        reader.free(&ring, Words(1));
        let _drawn = (ring.claim(Words(3), Share::Keep).unwrap().draw(Words(3)), ());
        assert_eq!(reader.next(&ring, &mut Vec::new()), RingItem::Nothing);
    }
}
