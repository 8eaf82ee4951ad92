//! One hold's place in memory: its word, its fields, and what to believe of them.
//!
//! # Ground rules
//!
//! 1. A slot has one owner from when it is handed out until its word says `Active`; only the owner writes its fields
//!    then. Afterwards the word changes, by swaps; the fields change only while it says `Changing`, by who made it so.
//! 2. A reader takes the word, then the fields, then the word again, and believes them only if both words have the same
//!    tag and are of a hold that came to be. Whoever writes a field has changed the word before.

use super::id::EPOCHS;
use super::state::{TAG_BITS, Word};
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Set in [`Slot::timer`] while the slot is in its shard's intake.
const QUEUED: u32 = 1 << 31;
/// Set in [`Slot::what`] when it names a chain of lines.
const CHAIN: u64 = 1 << 63;
/// Times that any hold can be changed in a way that its word cannot say, in whichever use of its slot.
pub(crate) const CHANGES_MAX: u32 = 1 << 16;

/// One hold's place in memory.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The hold's [`Word`].
    pub(crate) word: AtomicU64,
    /// See [`What`].
    what: AtomicU64,
    /// Born in ms since 2020 (41 bits), reference length (6), high end of the uses (13), opening (4).
    life: AtomicU64,
    pub(super) next_free: AtomicU32,
    /// Link of the timer intake, see [`crate::expiry::timers`].
    pub(crate) timer: AtomicU32,
}

#[cfg(not(stockhold_loom))]
const _: () = assert!(size_of::<Slot>() == 32);

/// What a hold holds.
///
/// ```text
/// bit 63   62 ........ 32   31 ......... 0
///     0    key              units
///     1    changes          chain of lines
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Units of one stock key.
    Line { key: u32, units: u32 },
    /// Lines that the table keeps elsewhere, and how often the hold was changed.
    Chain { head: u32, changes: u32 },
}

/// What a slot says beside its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    pub what: What,
    pub born: Timestamp,
    /// The generation in the hold's id: the slot's uses when the hold was made.
    pub generation: u32,
    /// All 32 bits.
    pub uses: u32,
    /// The word, as it was after the fields were read.
    pub word: Word,
    /// The opening that made it, modulo [`EPOCHS`].
    pub epoch: u32,
    pub(super) reference_length: u8,
}

/// The fields, to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub what: What,
    pub born: Timestamp,
    pub uses: u32,
    pub epoch: u32,
    pub reference_length: u8,
}

impl Facts {
    /// Whether the hold can be changed once more in a way that its word cannot say. After [`CHANGES_MAX`] times, the
    /// change takes a number that a later hold of the slot would have had.
    pub(crate) fn can_change(&self) -> bool {
        self.uses < u32::MAX && self.uses - self.generation < u32::MAX >> 1
    }
}

impl Slot {
    pub(crate) fn new() -> Self {
        Slot {
            word: AtomicU64::new(0),
            what: AtomicU64::new(0),
            life: AtomicU64::new(0),
            next_free: AtomicU32::new(super::indices::NONE),
            timer: AtomicU32::new(0),
        }
    }

    pub(crate) fn word(&self) -> Word {
        // Acquire: pairs with the Release of `publish` and the AcqRel of swaps: the fields are the hold's.
        Word(self.word.load(Ordering::Acquire))
    }

    /// One transition: one winner.
    pub(crate) fn swap(&self, old: Word, new: Word) -> Result<(), Word> {
        // AcqRel: what the winner does next is ordered behind what made the old word, and seen with the new one.
        match self.word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }

    /// By the owner alone: makes `word` what others see.
    pub(crate) fn publish(&self, word: Word) {
        // Release: the fields before it; pairs with `word()`.
        self.word.store(word.0, Ordering::Release);
    }

    /// By the new owner, before it writes the fields: whoever reads a new field sees that the old hold is gone.
    pub(super) fn take_over(&self, word: Word) {
        self.word.store(word.0, Ordering::Relaxed); // ordered before the fields by the fence
        self.taken_over();
    }

    /// The word was changed, and the fields come now.
    pub(super) fn taken_over(&self) {
        fence(Ordering::Release); // pairs with the fence in `facts`
    }

    /// The fields; see rule 2 for when to believe them.
    pub(crate) fn facts(&self) -> Facts {
        // Relaxed: ordered by the Acquire of the word read before.
        let (what, life) = (self.what.load(Ordering::Relaxed), self.life.load(Ordering::Relaxed));
        let word = self.word_behind();
        let uses = ((life >> 4) as u32 & 0x1fff) << TAG_BITS | word.tag();
        let (high, low) = ((what >> 32) as u32 & (u32::MAX >> 1), what as u32);
        let (what, changes) = if what & CHAIN != 0 {
            (What::Chain { head: low, changes: high }, high)
        } else {
            (What::Line { key: high, units: low }, 0)
        };
        Facts {
            what,
            born: Timestamp(EPOCH_2020_MS + (life >> 23)),
            generation: uses.wrapping_sub(changes),
            uses,
            word,
            epoch: life as u32 % EPOCHS,
            reference_length: (life >> 17) as u8 & 0x3f,
        }
    }

    /// The word, behind everything that was read of the slot before.
    pub(super) fn word_behind(&self) -> Word {
        // Acquire fence: had a field been of a later hold, the word read now would be too, and not fit. Pairs with the
        // fence in `taken_over`.
        fence(Ordering::Acquire);
        Word(self.word.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, fields: Fields) {
        let Fields { what, born, uses, epoch, reference_length } = fields;
        let born = born.0.saturating_sub(EPOCH_2020_MS) & ((1 << 41) - 1);
        let high = u64::from(uses >> TAG_BITS);
        // Relaxed: published by the word.
        self.what.store(
            match what {
                What::Line { key, units } => u64::from(key) << 32 | u64::from(units),
                What::Chain { head, changes } => CHAIN | u64::from(changes) << 32 | u64::from(head),
            },
            Ordering::Relaxed,
        );
        self.life.store(
            born << 23 | u64::from(reference_length) << 17 | high << 4 | u64::from(epoch % EPOCHS),
            Ordering::Relaxed,
        );
    }
}

/// Marks a slot as queued; `true` if it was not, and the caller is to link it.
pub(crate) fn queue(timer: &AtomicU32) -> bool {
    // AcqRel, always a read-modify-write: with `unqueue`, one of the two sees the other, so that a word published
    // before is either drained or leads to a new link.
    timer.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED == 0
}

/// Links a slot that [`queue`] marked in front of `next`.
pub(crate) fn link(timer: &AtomicU32, next: u32) {
    timer.store(QUEUED | (next & !QUEUED), Ordering::Relaxed); // released by the push
}

/// The link; after it the slot may be queued again.
pub(crate) fn unqueue(timer: &AtomicU32) -> u32 {
    timer.fetch_and(!QUEUED, Ordering::AcqRel) & !QUEUED
}
