//! One hold's place in memory: its word, its fields, and when a reader may believe them.
//!
//! # Ground rules
//!
//! 1. A slot has one owner from the moment it is handed out until its word says `Active`; until then only the
//!    owner writes its fields. Afterwards the word changes by swaps, and the fields change only while the
//!    word says `Changing`: then the thread that made it so writes them.
//! 2. A reader takes the word, then the fields, then the word again, and believes them only if both words
//!    have the same tag and belong to a hold that was made. A thread changes the word before it writes a
//!    field.

use super::id::EPOCHS;
use super::state::{TAG_BITS, Word};
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::index::{Generation, Target};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Set in [`Slot::timer`] while the slot is in its shard's intake.
const QUEUED: u32 = 1 << 31;
/// Set in [`Slot::lines`] if the lines are in a chain.
const CHAIN: u64 = 1 << 63;
/// How often a hold can be changed in a way that its word cannot express, in any use of its slot.
pub(crate) const CHANGES_MAX: u32 = 1 << 16;

/// One hold's place in memory.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The hold's [`Word`].
    pub(crate) word: AtomicU64,
    /// See [`StoredLines`].
    lines: AtomicU64,
    /// Born in ms since 2020 (41 bits), reference length (6), high end of the uses (13), opening (4).
    life: AtomicU64,
    pub(super) next_free: AtomicU32,
    /// Link of the timer intake, see [`crate::expiry::timers`].
    pub(crate) timer: AtomicU32,
}

#[cfg(not(stockhold_loom))]
const _: () = assert!(size_of::<Slot>() == 32);

/// Where the lines of a hold are.
///
/// ```text
/// bit 63   62 ........ 32   31 ......... 0
///     0    target           units
///     1    changes          chain of lines
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoredLines {
    /// In the slot: one line.
    Line { target: Target, units: u32 },
    /// In a chain of the table; and how often the hold was changed.
    Chain { head: u32, changes: u32 },
}

/// The fields of a hold, as read from its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HoldFields {
    pub lines: StoredLines,
    pub born: Timestamp,
    /// The generation in the hold's id: the slot's uses when the hold was made.
    pub generation: Generation,
    /// All 32 bits of the slot's uses.
    pub uses: u32,
    /// The word, read after the fields.
    pub word: Word,
    /// The opening that made it, modulo [`EPOCHS`].
    pub epoch: u32,
    pub(super) reference_length: u8,
}

/// The fields of a hold, to be written to its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub lines: StoredLines,
    pub born: Timestamp,
    pub uses: u32,
    pub epoch: u32,
    pub reference_length: u8,
}

impl HoldFields {
    /// Whether the lines are in a chain.
    pub(crate) fn is_chained(&self) -> bool {
        matches!(self.lines, StoredLines::Chain { .. })
    }

    /// Whether the hold can be changed once more in a way that its word cannot express. After [`CHANGES_MAX`]
    /// times, a change takes a number that a later hold of the slot would have had.
    pub(crate) fn can_change(&self) -> bool {
        self.uses < u32::MAX && self.uses - self.generation.0 < u32::MAX >> 1
    }
}

impl Slot {
    pub(crate) fn new() -> Self {
        Slot {
            word: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            life: AtomicU64::new(0),
            next_free: AtomicU32::new(super::indices::NONE),
            timer: AtomicU32::new(0),
        }
    }

    pub(crate) fn word(&self) -> Word {
        // Acquire: pairs with the Release of `publish` and the AcqRel of swaps, so that the fields are those
        // of this hold.
        Word(self.word.load(Ordering::Acquire))
    }

    /// Makes one transition: of several threads that try, one wins.
    pub(crate) fn swap(&self, old: Word, new: Word) -> Result<(), Word> {
        // AcqRel: what the winner does next is ordered behind the thread that made the old word, and a reader
        // of the new word sees what the winner did before.
        match self.word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }

    /// Makes `word` visible to other threads. Called by the owner alone.
    pub(crate) fn publish(&self, word: Word) {
        // Release: publishes the fields; pairs with `word()`.
        self.word.store(word.0, Ordering::Release);
    }

    /// Replaces the word before the new owner writes the fields: a reader of a new field sees that the old
    /// hold is gone.
    pub(super) fn take_over(&self, word: Word) {
        self.word.store(word.0, Ordering::Relaxed); // ordered before the fields by the fence
        self.taken_over();
    }

    /// Orders a change of the word before the writes of fields that follow.
    pub(super) fn taken_over(&self) {
        fence(Ordering::Release); // pairs with the fence in `word_behind`
    }

    /// The fields; rule 2 says when to believe them.
    pub(crate) fn fields(&self) -> HoldFields {
        // Relaxed: ordered by the Acquire of the word read before.
        let (stored, life) = (self.lines.load(Ordering::Relaxed), self.life.load(Ordering::Relaxed));
        let word = self.word_behind();
        let uses = ((life >> 4) as u32 & 0x1fff) << TAG_BITS | word.tag();
        let (high, low) = ((stored >> 32) as u32 & (u32::MAX >> 1), stored as u32);
        let (lines, changes) = if stored & CHAIN != 0 {
            (StoredLines::Chain { head: low, changes: high }, high)
        } else {
            (StoredLines::Line { target: Target::of(high), units: low }, 0)
        };
        HoldFields {
            lines,
            born: Timestamp(EPOCH_2020_MS + (life >> 23)),
            generation: Generation(uses.wrapping_sub(changes)),
            uses,
            word,
            epoch: life as u32 % EPOCHS,
            reference_length: (life >> 17) as u8 & 0x3f,
        }
    }

    /// The word, read after everything that was read of the slot before.
    pub(super) fn word_behind(&self) -> Word {
        // Acquire fence: if a field belonged to a later hold, so does the word that is read now, and it does
        // not match. Pairs with the fence in `taken_over`.
        fence(Ordering::Acquire);
        Word(self.word.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, fields: Fields) {
        let Fields { lines, born, uses, epoch, reference_length } = fields;
        let born = born.0.saturating_sub(EPOCH_2020_MS) & ((1 << 41) - 1);
        let high = u64::from(uses >> TAG_BITS);
        // Relaxed: published by the word.
        self.lines.store(
            match lines {
                StoredLines::Line { target, units } => u64::from(target.number()) << 32 | u64::from(units),
                StoredLines::Chain { head, changes } => CHAIN | u64::from(changes) << 32 | u64::from(head),
            },
            Ordering::Relaxed,
        );
        self.life.store(
            born << 23 | u64::from(reference_length) << 17 | high << 4 | u64::from(epoch % EPOCHS),
            Ordering::Relaxed,
        );
    }
}

/// Marks a slot as queued; `true` if it was not, and the caller has to link it.
pub(crate) fn queue(timer: &AtomicU32) -> bool {
    // AcqRel, always a read-modify-write: of this and `unqueue`, one sees the other, so that a word published
    // before is either drained or leads to a new link.
    timer.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED == 0
}

/// Links a slot that [`queue`] marked in front of `next`.
pub(crate) fn link(timer: &AtomicU32, next: u32) {
    timer.store(QUEUED | (next & !QUEUED), Ordering::Relaxed); // released by the push
}

/// Unmarks a slot and returns its link. From then on the slot may be queued again.
pub(crate) fn unqueue(timer: &AtomicU32) -> u32 {
    timer.fetch_and(!QUEUED, Ordering::AcqRel) & !QUEUED
}
