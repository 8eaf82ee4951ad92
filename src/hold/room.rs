//! How many lines of carts are free, in one word, so that a cart takes room for all of its lines in one swap.
//!
//! ```text
//! version (20) │ pending (12) │ free lines (32)
//! ```
//!
//! # Ground rules
//!
//! 1. Room is taken before the lines and given after them. So whoever has taken room for n lines finds n of
//!    them, and two carts never take half of the rest each and give up (F13).
//! 2. A cart that is being made may yet give its lines back. Until it is a hold, or has given them back, it is
//!    counted as pending: meanwhile no other cart is told that the lines are used up.
//! 3. The version differs after every change. To be fooled, a thread must sleep between two loads while the
//!    word is changed a multiple of 2^20 times.

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

const PENDING_SHIFT: u32 = 32;
const PENDING_MAX: u64 = (1 << 12) - 1;
const ONE_PENDING: u64 = 1 << PENDING_SHIFT;
const FREE_MASK: u64 = (1 << PENDING_SHIFT) - 1;
const NEXT_VERSION: u64 = 1 << 44;

/// Why there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoLines {
    /// Too few lines are free, and none may come back from a cart that is being made.
    Full(Seen),
    /// Too few are free, but some may come back.
    Unknown,
    /// Another thread is taking memory for more.
    Growing,
}

/// The word at one load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen(u64);

#[derive(Debug)]
pub(super) struct LineRoom(CachePadded<AtomicU64>);

impl LineRoom {
    pub(super) fn new(lines_max: u32) -> Self {
        LineRoom(CachePadded::new(AtomicU64::new(lines_max.into())))
    }

    fn load(&self) -> u64 {
        // Acquire: pairs with the AcqRel of `change`.
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn seen(&self) -> Seen {
        Seen(self.load())
    }

    /// Whether the word has not changed since.
    pub(super) fn is_still(&self, seen: Seen) -> bool {
        self.seen() == seen
    }

    /// Takes room for `lines`, which is pending until it is [settled](Self::settle) or given back.
    pub(super) fn take(&self, lines: u64) -> Result<(), NoLines> {
        loop {
            let word = self.load();
            let (pending, free) = (word >> PENDING_SHIFT & PENDING_MAX, word & FREE_MASK);
            match free < lines {
                true if pending == 0 => return Err(NoLines::Full(Seen(word))),
                false if pending < PENDING_MAX => {}
                _ => return Err(NoLines::Unknown),
            }
            if self.change(word, word - lines + ONE_PENDING) {
                return Ok(());
            }
        }
    }

    /// The cart has become a hold: its lines stay taken.
    pub(super) fn settle(&self) {
        while !{
            let word = self.load();
            self.change(word, word - ONE_PENDING)
        } {}
    }

    /// Gives room for `lines` back, whose lines are free again; `pending` if they belonged to a cart that was
    /// being made.
    pub(super) fn give(&self, lines: u64, pending: bool) {
        while !{
            let word = self.load();
            self.change(word, word + lines - if pending { ONE_PENDING } else { 0 })
        } {}
    }

    /// Replaces the word if it still is `before`.
    fn change(&self, before: u64, after: u64) -> bool {
        // AcqRel: releases the lines that were freed before to the thread that takes their room.
        let after = after.wrapping_add(NEXT_VERSION);
        self.0.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
