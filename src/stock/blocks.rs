//! The blocks of cells that hot keys are split over, and when a key gets one.
//!
//! A block is as many padded cells as the machine has cores (up to 16). [`BLOCKS`] of them are made when the
//! engine opens: so many keys can be hot at once. A key that finds no free block stays on its one cell, which
//! is as correct and only slower.
//!
//! # Policy
//!
//! - **Split** a key when one thread has lost [`MISSES_TO_SPLIT`] races for its cell and there are
//!   [`UNITS_PER_CELL_MIN`] units for each cell of a block. Only a thread whose take has just succeeded tries
//!   a split. So between two splits of a key there are as many lost races, however often the key is gathered.
//! - **Gather** it when no cell of the block has as many units as a take wants, and for every exact reading.
//! - **Gather** it also when its block has not changed between two checks, a second apart.
//!
//! None of this is a setting, and none of it can make an answer wrong.

use crossbeam::utils::CachePadded;

use super::shape::{BlockUse, CELL_PENDING_MAX, CELL_UNITS_MAX, Cell, SingleCell};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::index::KeyIndex;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Keys that can be split at once.
const BLOCKS: u32 = if cfg!(stockhold_loom) { 2 } else { 256 };
/// Races for a key's one cell that a thread loses before it splits the key.
const MISSES_TO_SPLIT: u32 = 64;
/// Units that a key must have for each cell of a block.
pub(crate) const UNITS_PER_CELL_MIN: i64 = 64;
/// Time between two checks for blocks that have not changed.
const IDLE_AFTER_MS: u64 = 1_000;

#[derive(Debug)]
struct Block {
    used: AtomicBool,
    /// The key it was last used for. A hint: the key's own word says whether it still is.
    key: AtomicU32,
    /// A digest of the cells at the last check; see [`Blocks::idle`].
    last_digest: AtomicU64,
    /// Whether the key was split in advance and the block has not changed since.
    prepared: AtomicBool,
}

/// One thread's lost races for one key: the key, and how many.
type LostRaces = AtomicU64;

/// All blocks of one engine.
#[derive(Debug)]
pub(crate) struct Blocks {
    width: usize,
    units_per_cell_min: i64,
    cells: Box<[CachePadded<AtomicU64>]>,
    blocks: Box<[Block]>,
    lost_races: Box<[CachePadded<LostRaces>]>,
    checked_at_ms: AtomicU64,
}

/// The cells that one thread uses for one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'c> {
    pub blocks: &'c Blocks,
    /// The thread's number, which selects its cell.
    pub home: usize,
    /// The key's index.
    pub key: KeyIndex,
}

impl Blocks {
    /// Makes blocks of `width` cells, for keys with at least `units_per_cell_min` units for each cell.
    pub(crate) fn new(width: usize, units_per_cell_min: i64) -> Self {
        // A block of one cell would be no split.
        let blocks = if width > 1 { BLOCKS } else { 0 };
        Blocks {
            width,
            units_per_cell_min,
            cells: (0..width * blocks as usize).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
            blocks: (0..blocks)
                .map(|_| Block {
                    used: AtomicBool::new(false),
                    key: AtomicU32::new(0),
                    last_digest: AtomicU64::new(0),
                    prepared: AtomicBool::new(false),
                })
                .collect(),
            lost_races: (0..width).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
            checked_at_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn cells(&self, block: u32) -> &[CachePadded<AtomicU64>] {
        let first = block as usize * self.width;
        self.cells.get(first..first + self.width).unwrap_or_default()
    }

    pub(crate) fn cell(&self, block: u32, index: usize) -> &AtomicU64 {
        &self.cells[block as usize * self.width + index % self.width]
    }

    /// Whether the units of one cell can be split over a block, and are enough for it.
    pub(crate) fn worth_splitting(&self, one: SingleCell) -> bool {
        let share = one.available / self.width as i64;
        // Each cell keeps room for units and announcements that come later.
        self.width > 1
            && (self.units_per_cell_min..=CELL_UNITS_MAX / 2).contains(&share)
            && one.pending <= CELL_PENDING_MAX / 2
    }

    /// Loads a free block with the units of `one`. No other thread knows of this use yet. `None` if all
    /// blocks are used.
    ///
    /// A thread that is late, from the use before, may still read the cells, but it only changes a cell that
    /// has the version of that use.
    pub(crate) fn load(&self, key: KeyIndex, one: SingleCell) -> Option<BlockUse> {
        let block = (0..self.blocks.len() as u32).find(|block| {
            let used = &self.blocks[*block as usize].used;
            // Acquire: pairs with `put_back`, so the use before is over. There is no load before the swap,
            // because loom lets a thread that loaded an old value also swap an old value.
            !used.swap(true, Ordering::Acquire)
        })?;
        let Block { key: used_for, prepared, .. } = &self.blocks[block as usize];
        used_for.store(key.0, Ordering::Relaxed); // Relaxed: both are hints
        prepared.store(false, Ordering::Relaxed);
        let before = Cell::of(self.cell(block, 0).load(Ordering::Relaxed)); // the block is ours by now
        let narrow = if planted(Fault::NarrowVersion) { 1 } else { u32::MAX };
        let version = before.version.wrapping_add(1) & narrow;
        let width = self.width as i64;
        let (share, rest) = (one.available / width, one.available % width);
        for (index, cell) in (0..).zip(self.cells(block)) {
            let units = share + i64::from(index < rest);
            // All that is pending from before the split is counted in the first cell.
            let pending = if index == 0 { one.pending } else { 0 };
            // Relaxed: published by the swap of the key's word.
            cell.store(Cell { version, frozen: false, pending, units }.word(), Ordering::Relaxed);
        }
        Some(BlockUse { block, version })
    }

    /// Ends a use. Called by the thread that moved the key's word away from it, or that never moved the word
    /// there.
    pub(crate) fn put_back(&self, block: u32) {
        // Release: pairs with `load`.
        self.blocks[block as usize].used.store(false, Ordering::Release);
    }

    /// Notes that a thread has lost `misses` races for a key, and says whether to split it.
    pub(crate) fn is_hot(&self, lane: Lane<'_>, misses: u32) -> bool {
        let lost_races = &self.lost_races[lane.home % self.lost_races.len()];
        // Relaxed, and not one atomic step: a note that another thread of the same number overwrites only
        // postpones a split.
        let note = lost_races.load(Ordering::Relaxed);
        let before = if (note >> 32) as u32 == lane.key.0 { note as u32 } else { 0 };
        let sum = before.saturating_add(misses);
        let hot = sum >= MISSES_TO_SPLIT;
        lost_races
            .store(u64::from(lane.key.0) << 32 | u64::from(if hot { 0 } else { sum }), Ordering::Relaxed);
        hot
    }

    /// The blocks that have not changed since the last check, each with the key it was used for. Empty unless
    /// another check is due.
    pub(crate) fn idle(&self, now: Timestamp) -> Vec<(u32, KeyIndex)> {
        let last = self.checked_at_ms.load(Ordering::Relaxed);
        if now.0 < last.saturating_add(IDLE_AFTER_MS)
            // Relaxed: of several threads that check, one goes on; everything else is a hint.
            || self.checked_at_ms.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Vec::new();
        }
        let idle = |&index: &u32| {
            let block = &self.blocks[index as usize];
            if !block.used.load(Ordering::Relaxed) {
                return false;
            }
            let digest = self.digest(index);
            let unchanged = block.last_digest.swap(digest, Ordering::Relaxed) == digest;
            if !unchanged {
                block.prepared.store(false, Ordering::Relaxed);
            }
            unchanged && !block.prepared.load(Ordering::Relaxed)
        };
        (0..self.blocks.len() as u32)
            .filter(idle)
            .map(|block| (block, KeyIndex(self.blocks[block as usize].key.load(Ordering::Relaxed))))
            .collect()
    }

    /// Marks a block whose key was split in advance, so that it is not idle before a thread has used it.
    pub(crate) fn mark_prepared(&self, block: u32) {
        let Block { last_digest, prepared, .. } = &self.blocks[block as usize];
        last_digest.store(self.digest(block), Ordering::Relaxed); // Relaxed: both are hints
        prepared.store(true, Ordering::Relaxed);
    }

    /// Whether the key of a block was split in advance, and no check has found the block changed.
    pub(crate) fn is_prepared(&self, block: u32) -> bool {
        self.blocks[block as usize].prepared.load(Ordering::Relaxed) // a hint
    }

    fn digest(&self, block: u32) -> u64 {
        let words = self.cells(block).iter().map(|cell| cell.load(Ordering::Relaxed));
        words.fold(0, |digest: u64, word| digest.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(word))
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const ONE: SingleCell = SingleCell { available: 7, pending: 3 };

    fn sum(blocks: &Blocks, at: BlockUse) -> (i64, u32) {
        let cells = blocks.cells(at.block).iter().map(|cell| Cell::of(cell.load(Ordering::Relaxed)));
        cells.fold((0, 0), |(units, pending), cell| {
            assert_eq!((cell.version, cell.frozen), (at.version, false));
            (units + cell.units, pending + cell.pending)
        })
    }

    #[test]
    fn a_block_is_loaded_with_every_unit_and_a_new_version() {
        let blocks = Blocks::new(4, UNITS_PER_CELL_MIN);
        let first = blocks.load(KeyIndex(1), ONE).unwrap();
        assert_eq!(sum(&blocks, first), (7, 3));
        blocks.put_back(first.block);
        let second = blocks.load(KeyIndex(2), ONE).unwrap();
        assert_eq!(second.block, first.block);
        assert_ne!(second.version, first.version);
    }

    #[test]
    fn so_many_keys_can_be_hot_and_no_more() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let uses: Vec<_> = std::iter::from_fn(|| blocks.load(KeyIndex(0), ONE)).collect();
        assert_eq!(uses.len(), BLOCKS as usize);
        blocks.put_back(uses[9].block);
        assert_eq!(blocks.load(KeyIndex(0), ONE).unwrap().block, uses[9].block);
    }

    #[test]
    fn only_a_thread_that_loses_often_splits_a_key() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let lane = |key| Lane { blocks: &blocks, home: 0, key };
        assert!(!blocks.is_hot(lane(KeyIndex(1)), MISSES_TO_SPLIT - 1));
        assert!(!blocks.is_hot(lane(KeyIndex(2)), 1), "another key's misses");
        assert!(!blocks.is_hot(lane(KeyIndex(1)), MISSES_TO_SPLIT - 1));
        assert!(blocks.is_hot(lane(KeyIndex(1)), 1));
        assert!(!blocks.is_hot(lane(KeyIndex(1)), 1), "it begins anew");
    }

    #[test]
    fn a_split_is_worth_it_only_in_plenty() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let worth = |available, pending| blocks.worth_splitting(SingleCell { available, pending });
        assert!(worth(2 * UNITS_PER_CELL_MIN, 0));
        assert!(!worth(2 * UNITS_PER_CELL_MIN - 1, 0));
        assert!(!worth(-1, 0), "a key in debt is never split");
        assert!(!worth(1 << 40, 0), "more than cells can hold");
        assert!(!worth(1_000, CELL_PENDING_MAX));
        assert!(
            !Blocks::new(1, UNITS_PER_CELL_MIN).worth_splitting(SingleCell { available: 1_000, pending: 0 })
        );
    }

    #[test]
    fn what_does_not_change_for_a_second_is_idle_unless_it_was_prepared() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let (idle, prepared) =
            (blocks.load(KeyIndex(1), ONE).unwrap(), blocks.load(KeyIndex(2), ONE).unwrap());
        blocks.mark_prepared(prepared.block);
        assert!(blocks.idle(Timestamp(10_000)).is_empty(), "the first check");
        assert!(blocks.idle(Timestamp(10_999)).is_empty(), "too early");
        assert_eq!(blocks.idle(Timestamp(11_000)), [(idle.block, KeyIndex(1))]);
        blocks.cell(prepared.block, 1).fetch_sub(1, Ordering::Relaxed);
        assert_eq!(blocks.idle(Timestamp(12_000)), [(idle.block, KeyIndex(1))], "it was used");
        assert_eq!(blocks.idle(Timestamp(13_000)).len(), 2, "and now it is idle");
    }
}
