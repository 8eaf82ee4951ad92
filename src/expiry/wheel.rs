//! A hierarchical timing wheel: which timers are due, without looking at the others.
//!
//! Pure: no clock, no thread. Time is an argument, in milliseconds.
//!
//! The idea is Varghese and Lauck's (1987); the arithmetic is that of tokio's timer. Write the wheel's time
//! and a deadline in base 64. The highest digit in which they differ is the timer's *level*, and the
//! deadline's digit there is its *slot*. One `u64` per level says which slots are occupied.
//!
//! ```text
//! elapsed   .. 07 31 12        (base-64 digits, level 0 on the right)
//! deadline  .. 07 31 40   ->   level 0, slot 40: one slot is one millisecond
//! deadline  .. 07 55 03   ->   level 1, slot 55: 64 ms, spread over level 0 when time reaches 55 00
//! deadline  .. 09 00 00   ->   level 2, slot 9:  4096 ms, spread over levels 0 and 1 at 09 00 00
//! ```
//!
//! Eleven levels cover every `u64`, so no level ever laps and there is no range to cap. A wheel with fewer
//! levels laps at the top, where a deadline a full turn away shares its slot with the present.
//!
//! Invariants
//! - A timer stands in the list that `elapsed` and its deadline name. Moving `elapsed` up to the start of the
//!   earliest occupied slot changes no list but that slot's, so that slot is emptied before time goes on:
//!   it is the *open* slot, `elapsed`'s own on level `open_level`.
//! - Hence all of level 0 is earlier than all of level 1, and so on up: the lowest occupied slot of the
//!   lowest occupied level is the earliest, and a far deadline cannot hide a near one.
//! - When a slot is opened, all lower levels are empty. Lists are first in, first out, and whatever arrives
//!   for the open slot joins its end. So equal deadlines keep the order of insertion through every cascade.
//! - Every step of [`Wheel::advance`] moves one timer down or out, and a timer moves at most [`LEVELS`]
//!   times.
//!
//! Memory: 16 bytes for each index up to the highest ever used (twice that in the worst case, as the vector
//! doubles), which is never given back, and 11 KiB for the slots.

#[cfg(test)]
mod tests;

const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;

/// Enough levels for any `u64`: the highest uses only the four bits that are left.
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// The heads of the lists stand in front of the timers, in the same vector.
const HEADS: u32 = (LEVELS * SLOTS) as u32;

const NONE: u32 = u32::MAX;

/// Whether [`Wheel::advance`] has anything left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Progress {
    /// Every deadline up to the time given has been handed out.
    Done,
    /// The batch was full: call again, even if nothing was handed out.
    More,
}

/// A member of one circular list, or its head. A circle with its head in it can be left without knowing which
/// list it is, so an entry need not say.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Of no meaning in a head.
    deadline_ms: u64,
    /// `NONE`, like `next`, in a timer that is not in the wheel.
    prev: u32,
    next: u32,
}

const _: () = assert!(size_of::<Entry>() == 16);

const ABSENT: Entry = Entry { deadline_ms: 0, prev: NONE, next: NONE };

/// Timers named by a dense index of the caller's choosing, one timer an index.
#[derive(Debug)]
pub(crate) struct Wheel {
    elapsed_ms: u64,
    /// The level whose slot `elapsed_ms` lies in may still be occupied: 0 for the present millisecond, more
    /// while a slot of that level is being spread over the levels below.
    open_level: usize,
    /// No timer that was already overdue when inserted, and is still here, has an earlier deadline.
    overdue_from_ms: u64,
    occupied: [u64; LEVELS],
    /// `HEADS` heads, then the timers by index.
    entries: Vec<Entry>,
}

impl Wheel {
    /// The highest index a timer can have.
    pub(crate) const INDEX_MAX: u32 = NONE - 1 - HEADS;

    pub(crate) fn new(now_ms: u64) -> Self {
        let head = |list| Entry { deadline_ms: 0, prev: list, next: list };
        Self {
            elapsed_ms: now_ms,
            open_level: 0,
            overdue_from_ms: u64::MAX,
            occupied: [0; LEVELS],
            entries: (0..HEADS).map(head).collect(),
        }
    }

    /// The time reached. After [`Progress::More`] it may be short of the time given.
    #[cfg(test)]
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// Sets the timer of `index`, in place of the one it may have. O(1), unless the slab grows.
    ///
    /// A deadline that has passed is taken for the present: due at the next [`advance`](Self::advance).
    ///
    /// # Panics
    ///
    /// If `index` is above [`INDEX_MAX`](Self::INDEX_MAX).
    pub(crate) fn insert(&mut self, index: u32, deadline_ms: u64) {
        assert!(index <= Self::INDEX_MAX, "timer index {index} is above {}", Self::INDEX_MAX);
        self.remove(index);
        let entry = index + HEADS;
        if self.entries.len() <= entry as usize {
            self.entries.resize(entry as usize + 1, ABSENT);
        }
        if deadline_ms < self.elapsed_ms {
            self.overdue_from_ms = self.overdue_from_ms.min(deadline_ms);
        }
        self.entries[entry as usize].deadline_ms = deadline_ms;
        // While a slot is open its deadlines wait behind those already in it, or they would overtake.
        self.link(entry, self.open_level);
    }

    /// Drops the timer of `index`, if it has one. O(1).
    pub(crate) fn remove(&mut self, index: u32) {
        if self.deadline(index).is_some() {
            self.unlink(index + HEADS);
        }
    }

    /// The deadline of `index`, as it was inserted, while its timer is in the wheel.
    pub(crate) fn deadline(&self, index: u32) -> Option<u64> {
        let entry = self.entries.get(index as usize + HEADS as usize)?;
        (entry.next != NONE).then_some(entry.deadline_ms)
    }

    /// The next moment at which the wheel has work to do, `None` when it is empty.
    ///
    /// A lower bound: never later than the earliest deadline, and that very deadline when it lies in level 0,
    /// that is, in the same 64 ms as [`elapsed_ms`](Self::elapsed_ms). From further away the work may be to
    /// spread a slot, and nothing may be due yet. Overdue timers count from the earliest of them, or before.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        if self.is_open(self.open_level) || self.is_open(0) {
            return Some(self.elapsed_ms.min(self.overdue_from_ms));
        }
        self.earliest_slot().map(|(_, start_ms)| start_ms)
    }

    /// Moves time towards `now_ms` and appends to `due` the timers that come up; they are then out of the
    /// wheel.
    ///
    /// They come in the order of their deadlines, and equal deadlines in the order of insertion. For a timer
    /// inserted late, the time reached at its insertion stands in for its deadline; setting a timer again,
    /// even to the same deadline, is a new insertion.
    ///
    /// One call takes at most `batch_max` steps, each of which hands out one timer or moves one a level or
    /// more down: the cost of a call is bounded, and `More` may come with nothing handed out. Between calls
    /// timers may be set and dropped freely. A `batch_max` of 0 gets nowhere.
    ///
    /// Time never goes back: an earlier `now_ms` is taken for the time already reached.
    pub(crate) fn advance(&mut self, now_ms: u64, batch_max: usize, due: &mut Vec<u32>) -> Progress {
        let now_ms = now_ms.max(self.elapsed_ms);
        let mut steps_left = batch_max;
        loop {
            while self.open_level > 0 {
                let Some(entry) = self.first_open() else {
                    self.open_level = 0;
                    break;
                };
                if !take_step(&mut steps_left) {
                    return Progress::More;
                }
                self.unlink(entry);
                self.link(entry, 0);
            }
            while let Some(entry) = self.first_open() {
                if !take_step(&mut steps_left) {
                    return Progress::More;
                }
                self.unlink(entry);
                due.push(entry - HEADS);
            }
            self.overdue_from_ms = u64::MAX;
            match self.earliest_slot() {
                Some((level, start_ms)) if start_ms <= now_ms => {
                    self.open_level = level;
                    self.elapsed_ms = start_ms;
                }
                _ => {
                    self.elapsed_ms = now_ms;
                    return Progress::Done;
                }
            }
        }
    }

    /// The level and the first millisecond of the earliest occupied slot, once the open one is empty.
    fn earliest_slot(&self) -> Option<(usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = u64::from(self.occupied[level].trailing_zeros());
        let shift = level as u32 * DIGIT_BITS;
        // The digits above the level are `elapsed`'s; the top level has none above it.
        let above = u64::MAX.checked_shl(shift + DIGIT_BITS).unwrap_or(0);
        Some((level, (self.elapsed_ms & above) | (slot << shift)))
    }

    fn is_open(&self, level: usize) -> bool {
        self.occupied[level] & (1 << digit(self.elapsed_ms, level)) != 0
    }

    /// The first entry of the open slot.
    fn first_open(&self) -> Option<u32> {
        let head = head_of(self.open_level, digit(self.elapsed_ms, self.open_level));
        let first = self.entries[head as usize].next;
        (first != head).then_some(first)
    }

    /// Puts an entry at the end of its list, on `level_min` or above.
    fn link(&mut self, entry: u32, level_min: usize) {
        let counted_ms = self.entries[entry as usize].deadline_ms.max(self.elapsed_ms);
        let level = level_of(self.elapsed_ms, counted_ms).max(level_min);
        let slot = digit(counted_ms, level);
        self.occupied[level] |= 1 << slot;

        let head = head_of(level, slot);
        let last = std::mem::replace(&mut self.entries[head as usize].prev, entry);
        self.entries[last as usize].next = entry;
        self.entries[entry as usize].prev = last;
        self.entries[entry as usize].next = head;
    }

    fn unlink(&mut self, entry: u32) {
        let Entry { deadline_ms, prev, next } = self.entries[entry as usize];
        // The deadline stays, for a timer that is only being moved down.
        self.entries[entry as usize] = Entry { deadline_ms, ..ABSENT };
        self.entries[prev as usize].next = next;
        self.entries[next as usize].prev = prev;
        // Only the head of a list of one is on both sides.
        if prev == next {
            self.occupied[prev as usize / SLOTS] &= !(1 << (prev as usize % SLOTS));
        }
    }
}

/// The highest base-64 digit in which the two differ; 0 when they are equal.
fn level_of(elapsed_ms: u64, deadline_ms: u64) -> usize {
    // The digit of level 0 is filled so that there is always a highest bit.
    let differing = (elapsed_ms ^ deadline_ms) | (SLOTS as u64 - 1);
    (differing.ilog2() / DIGIT_BITS) as usize
}

fn digit(time_ms: u64, level: usize) -> usize {
    (time_ms >> (level as u32 * DIGIT_BITS)) as usize % SLOTS
}

fn head_of(level: usize, slot: usize) -> u32 {
    (level * SLOTS + slot) as u32
}

fn take_step(steps_left: &mut usize) -> bool {
    let any = *steps_left > 0;
    *steps_left = steps_left.saturating_sub(1);
    any
}
