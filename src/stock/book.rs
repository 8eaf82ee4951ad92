//! The stock keys: each with its counter, its gate and its physical quantity.

use crossbeam::utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};

use super::blocks::{Blocks, Lane, UNITS_PER_CELL_MIN};
use super::counter::Counter;
use super::gate::{GateWord, OverflowTable};
use crate::answer::RefusalReason;
use crate::clock::Timestamp;
use crate::index::KeyIndex;
use crate::segments::{NoRoom, SEGMENT_ITEMS, Segments};

pub(crate) use super::gate::{Gate, KEYS_MAX};

/// Keys that share a line of the cache.
const KEYS_A_LINE: usize = if cfg!(stockhold_loom) { 1 } else { 5 };
/// Consecutive keys that are spread over as many cache lines as a segment has.
const KEYS_A_SEGMENT: u32 = (KEYS_A_LINE * SEGMENT_ITEMS) as u32;
/// Locks for physical corrections, each for many keys.
const LOCKS: u32 = 64;

/// One cache line: the counters of several keys, and the gate of each.
#[derive(Debug)]
#[repr(align(64))]
struct KeyLine {
    counters: [Counter; KEYS_A_LINE],
    gates: [GateWord; KEYS_A_LINE],
}

#[cfg(not(stockhold_loom))]
const _: () = assert!(size_of::<KeyLine>() == 64);

impl KeyLine {
    fn new() -> Self {
        KeyLine {
            counters: std::array::from_fn(|_| Counter::new(0)),
            gates: std::array::from_fn(|_| GateWord::absent()),
        }
    }
}

/// One stock key of a book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'b> {
    pub(crate) counter: &'b Counter,
    gate: &'b GateWord,
    overflow: &'b OverflowTable,
}

impl Item<'_> {
    /// Why reserves are refused even if there are units, if they are; see [`GateWord::closed`].
    #[inline]
    pub(crate) fn closed(&self, now: impl FnOnce() -> Timestamp) -> Option<RefusalReason> {
        self.gate.closed(self.overflow, now)
    }

    /// The moment at which the sale opens, if it has one.
    pub(crate) fn opens_at(&self) -> Option<Timestamp> {
        match self.gate.gate(self.overflow) {
            Gate::OpensAt(opens_at) => Some(opens_at),
            Gate::Open | Gate::Stopped => None,
        }
    }

    /// The physical quantity. Only for a thread that has the key's [lock](Book::lock_key), like the two
    /// setters below.
    pub(crate) fn on_hand(&self) -> i64 {
        self.gate.on_hand(self.overflow)
    }

    /// Sets the physical quantity.
    pub(crate) fn set_on_hand(&self, on_hand: i64) {
        self.gate.set_on_hand(self.overflow, on_hand);
    }

    /// Stops the sale of the key, opens it, or sets the time when it opens.
    pub(crate) fn set_gate(&self, gate: Gate) {
        self.gate.set(self.overflow, gate, self.on_hand());
    }
}

/// The state that a key starts with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock {
    pub(crate) available: i64,
    pub(crate) on_hand: i64,
    pub(crate) gate: Gate,
}

/// All stock keys, by index: 12.8 bytes each.
///
/// Consecutive keys may all belong to one sale, so they are three cache lines apart: a core may fetch two
/// lines at once.
#[derive(Debug)]
pub(crate) struct Book {
    lines: Segments<KeyLine>,
    overflow: OverflowTable,
    locks: Box<[CachePadded<Mutex<()>>]>,
    blocks: Blocks,
}

impl Book {
    /// An empty book whose hot keys are split over `width` cells.
    pub(crate) fn new(width: usize) -> Self {
        Book::with_cells(width, UNITS_PER_CELL_MIN)
    }

    /// As [`new`](Self::new); a key is split if it has at least `units_per_cell_min` units for each cell.
    pub(crate) fn with_cells(width: usize, units_per_cell_min: i64) -> Self {
        Book {
            lines: Segments::new(KEYS_MAX.div_ceil(KEYS_A_SEGMENT as usize) * SEGMENT_ITEMS),
            overflow: OverflowTable::new(),
            locks: (0..LOCKS).map(|_| CachePadded::default()).collect(),
            blocks: Blocks::new(width, units_per_cell_min),
        }
    }

    /// The cells that the thread with the number `home` uses for a key.
    pub(crate) fn lane(&self, home: usize, key: KeyIndex) -> Lane<'_> {
        Lane { blocks: &self.blocks, home, key }
    }

    /// Gathers the keys that are split and were not used for a while.
    pub(crate) fn gather_idle(&self, now: Timestamp) {
        for (block, key) in self.blocks.idle(now) {
            if let Some(item) = self.get(key) {
                item.counter.gather_from(self.lane(0, key), block);
            }
        }
    }

    /// Splits a key in advance, and keeps it split until it is used. False if it has too few units to be
    /// split.
    pub(crate) fn prepare(&self, key: KeyIndex) -> bool {
        let block = self.get(key).and_then(|item| item.counter.split(self.lane(0, key)));
        block.inspect(|block| self.blocks.mark_prepared(*block)).is_some()
    }

    #[inline]
    pub(crate) fn get(&self, index: KeyIndex) -> Option<Item<'_>> {
        let KeyAddress { segment, line, at } = KeyAddress::of(index);
        let item = self.item(self.lines.get_in(segment, line)?, at)?;
        item.gate.exists().then_some(item)
    }

    fn item<'b>(&'b self, line: &'b KeyLine, at: usize) -> Option<Item<'b>> {
        Some(Item { counter: line.counters.get(at)?, gate: line.gates.get(at)?, overflow: &self.overflow })
    }

    /// Adds the key `index`. An error if it exists already, or is beyond [`KEYS_MAX`]. For one caller at a
    /// time.
    pub(crate) fn add(&self, index: KeyIndex, stock: Stock) -> Result<(), NoRoom> {
        let KeyAddress { segment, line, at } = KeyAddress::of(index);
        let line = self.lines.get_or_grow(segment * SEGMENT_ITEMS + line, KeyLine::new)?;
        let item = self.item(line, at).filter(|item| index.as_usize() < KEYS_MAX && !item.gate.exists());
        let item = item.ok_or(NoRoom::Full)?;
        // First its units, then the gate that makes it exist: see `GateWord::exists`.
        item.counter.correct(self.lane(0, index), stock.available);
        item.gate.set(&self.overflow, stock.gate, stock.on_hand);
        Ok(())
    }

    /// Takes the lock that serialises the physical corrections and switches of a key, and of some other keys.
    /// Sales never take it. A thread that has one such lock must not take another.
    pub(crate) fn lock_key(&self, key: KeyIndex) -> MutexGuard<'_, ()> {
        self.lock(key.0 % LOCKS)
    }

    fn lock(&self, number: u32) -> MutexGuard<'_, ()> {
        self.locks[number as usize].lock()
    }

    /// Takes the locks of several keys, each once and all in the same order.
    pub(crate) fn lock_keys(&self, keys: impl Iterator<Item = KeyIndex>) -> Vec<MutexGuard<'_, ()>> {
        let wanted = keys.fold(0_u64, |wanted, key| wanted | 1 << (key.0 % LOCKS));
        (0..LOCKS).filter(|lock| wanted >> lock & 1 == 1).map(|lock| self.lock(lock)).collect()
    }
}

/// The place of a key in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct KeyAddress {
    segment: usize,
    /// The cache line in the segment.
    line: usize,
    /// The key's number in the line.
    at: usize,
}

impl KeyAddress {
    #[inline]
    fn of(index: KeyIndex) -> KeyAddress {
        let (segment, within) = (index.0 / KEYS_A_SEGMENT, (index.0 % KEYS_A_SEGMENT) as usize);
        KeyAddress { segment: segment as usize, line: 3 * within % SEGMENT_ITEMS, at: within / SEGMENT_ITEMS }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_has_a_place_of_its_own_and_neighbours_lie_apart() {
        let mut taken = HashSet::new();
        for key in 0..3 * KEYS_A_SEGMENT {
            let place = KeyAddress::of(KeyIndex(key));
            assert!(place.line < SEGMENT_ITEMS && place.at < KEYS_A_LINE);
            assert!(taken.insert(place), "{key} shares its place");
            assert_ne!(KeyAddress::of(KeyIndex(key + 1)).line / 2, place.line / 2);
        }
    }

    #[test]
    fn a_key_is_added_once_and_there_from_then_on() {
        let book = Book::new(1);
        let stock = |units| Stock { available: units, on_hand: units, gate: Gate::Open };
        for key in [7, 8, 4_103, 50_000] {
            assert!(book.get(KeyIndex(key)).is_none());
            book.add(KeyIndex(key), stock(key.into())).unwrap();
            assert_eq!(book.add(KeyIndex(key), stock(1)), Err(NoRoom::Full));
            let item = book.get(KeyIndex(key)).unwrap();
            let found = (item.counter.approximate(book.lane(0, KeyIndex(key))), item.on_hand());
            assert_eq!(found, (key.into(), key.into()));
        }
        assert!(book.get(KeyIndex(9)).is_none() && book.get(KeyIndex(u32::MAX)).is_none());
        assert_eq!(book.add(KeyIndex(KEYS_MAX as u32), stock(1)), Err(NoRoom::Full));
    }

    #[test]
    fn the_locks_of_several_keys_are_each_taken_once() {
        let book = Book::new(1);
        assert_eq!(book.lock_keys([3, 67, 4, 3, 131].map(KeyIndex).into_iter()).len(), 2);
        assert_eq!(book.lock_keys((0..2_048).map(KeyIndex)).len(), LOCKS as usize);
    }
}
