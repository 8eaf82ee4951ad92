//! The blocks of cells that hot keys are split over, and when a key is worth one.
//!
//! A block is as many padded cells as the machine has cores (up to 16). There are [`BLOCKS`] of them, made when the
//! engine opens: so many keys can be hot at once; a key that finds none stays on its one cell, which is as right and only
//! slower.
//!
//! # Policy
//!
//! - **Split** a key when one thread has lost [`MISSES_TO_SPLIT`] races for its cell and there are
//!   [`UNITS_PER_CELL_MIN`] units for each cell of a block. A split is tried only by a thread whose take has just
//!   succeeded. So between two splits of a key lie as many lost races, whatever anybody does to gather it.
//! - **Gather** it when no cell of the block has what a take wants, and whenever somebody asks for an exact number.
//! - **Cool**: a block that has not changed between two looks, a second apart, is gathered.
//!
//! None of it is a setting, and none of it can make an answer wrong.

use crossbeam::utils::CachePadded;

use super::shape::{BlockUse, CELL_PENDING_MAX, CELL_UNITS_MAX, Cell, SingleCell};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Keys that can be split at once.
const BLOCKS: u32 = if cfg!(stockhold_loom) { 2 } else { 256 };
/// Races for a key's one cell that a thread loses before it splits the key.
const MISSES_TO_SPLIT: u32 = 64;
/// Units that there must be for each cell.
pub(crate) const UNITS_PER_CELL_MIN: i64 = 64;
/// Time between two looks at what has not changed.
const COOL_AFTER_MS: u64 = 1_000;

#[derive(Debug)]
struct Block {
    used: AtomicBool,
    /// The key it was last used for. A hint: the key's own word says whether that is so.
    key: AtomicU32,
    /// What the cells came to at the last look; see [`Blocks::idle`].
    seen: AtomicU64,
    /// It was split in advance and has not changed since.
    prepared: AtomicBool,
}

/// One thread's lost races for one key: the key, and how many.
type Heat = AtomicU64;

#[derive(Debug)]
pub(crate) struct Blocks {
    width: usize,
    units_per_cell_min: i64,
    cells: Box<[CachePadded<AtomicU64>]>,
    blocks: Box<[Block]>,
    heat: Box<[CachePadded<Heat>]>,
    looked_at_ms: AtomicU64,
}

/// Where a thread does its part of a key's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'c> {
    pub blocks: &'c Blocks,
    /// The thread's number.
    pub home: usize,
    /// The key's index.
    pub key: u32,
}

impl Blocks {
    /// Blocks of `width` cells, for keys with so many units for each cell.
    pub(crate) fn new(width: usize, units_per_cell_min: i64) -> Self {
        // One cell is no split.
        let blocks = if width > 1 { BLOCKS } else { 0 };
        Blocks {
            width,
            units_per_cell_min,
            cells: (0..width * blocks as usize).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
            blocks: (0..blocks)
                .map(|_| Block {
                    used: AtomicBool::new(false),
                    key: AtomicU32::new(0),
                    seen: AtomicU64::new(0),
                    prepared: AtomicBool::new(false),
                })
                .collect(),
            heat: (0..width).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
            looked_at_ms: AtomicU64::new(0),
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

    /// Whether what is in one cell can be split, and is worth it.
    pub(crate) fn worth_splitting(&self, one: SingleCell) -> bool {
        let share = one.available / self.width as i64;
        // Room is left for what is given and announced later.
        self.width > 1
            && (self.units_per_cell_min..=CELL_UNITS_MAX / 2).contains(&share)
            && one.pending <= CELL_PENDING_MAX / 2
    }

    /// A free block, loaded with what `one` says: nobody knows of it yet. `None` if all are used.
    ///
    /// Its cells may be looked at by who comes late from the use before, but only changed by who expects that use's
    /// version in them.
    pub(crate) fn load(&self, key: u32, one: SingleCell) -> Option<BlockUse> {
        let block = (0..self.blocks.len() as u32).find(|block| {
            let used = &self.blocks[*block as usize].used;
            // Acquire: pairs with `put_back`; the use before is over. Not looked at first: loom takes a load of an old
            // value for leave to swap an old one.
            !used.swap(true, Ordering::Acquire)
        })?;
        let Block { key: used_for, prepared, .. } = &self.blocks[block as usize];
        used_for.store(key, Ordering::Relaxed); // hints both
        prepared.store(false, Ordering::Relaxed);
        let before = Cell::of(self.cell(block, 0).load(Ordering::Relaxed)); // ours since the swap
        let narrow = if planted(Fault::NarrowVersion) { 1 } else { u32::MAX };
        let version = before.version.wrapping_add(1) & narrow;
        let width = self.width as i64;
        let (share, rest) = (one.available / width, one.available % width);
        for (index, cell) in (0..).zip(self.cells(block)) {
            let units = share + i64::from(index < rest);
            // What is pending from before the split is all in the first cell.
            let pending = if index == 0 { one.pending } else { 0 };
            // Relaxed: published by the swap of the key's word.
            cell.store(Cell { version, frozen: false, pending, units }.word(), Ordering::Relaxed);
        }
        Some(BlockUse { block, version })
    }

    /// Ends a use, by whoever moved the key's word away from it, or never moved it there.
    pub(crate) fn put_back(&self, block: u32) {
        // Release: pairs with `load`.
        self.blocks[block as usize].used.store(false, Ordering::Release);
    }

    /// Notes that a thread has lost `misses` races for a key, and says whether to split it.
    pub(crate) fn is_hot(&self, lane: Lane<'_>, misses: u32) -> bool {
        let heat = &self.heat[lane.home % self.heat.len()];
        // Relaxed, and not one step: a note lost to another thread of the same number postpones a split.
        let note = heat.load(Ordering::Relaxed);
        let before = if (note >> 32) as u32 == lane.key { note as u32 } else { 0 };
        let sum = before.saturating_add(misses);
        let hot = sum >= MISSES_TO_SPLIT;
        heat.store(u64::from(lane.key) << 32 | u64::from(if hot { 0 } else { sum }), Ordering::Relaxed);
        hot
    }

    /// The blocks that have not changed since the last look, with the key each was used for. Empty unless it is time for
    /// another look.
    pub(crate) fn idle(&self, now: Timestamp) -> Vec<(u32, u32)> {
        let last = self.looked_at_ms.load(Ordering::Relaxed);
        if now.0 < last.saturating_add(COOL_AFTER_MS)
            // Relaxed: of several who look, one goes on; all else is a hint.
            || self.looked_at_ms.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Vec::new();
        }
        let idle = |&index: &u32| {
            let block = &self.blocks[index as usize];
            if !block.used.load(Ordering::Relaxed) {
                return false;
            }
            let digest = self.digest(index);
            let unchanged = block.seen.swap(digest, Ordering::Relaxed) == digest;
            if !unchanged {
                block.prepared.store(false, Ordering::Relaxed);
            }
            unchanged && !block.prepared.load(Ordering::Relaxed)
        };
        (0..self.blocks.len() as u32)
            .filter(idle)
            .map(|block| (block, self.blocks[block as usize].key.load(Ordering::Relaxed)))
            .collect()
    }

    /// Keeps a block that was split in advance from cooling before anybody has used it.
    pub(crate) fn keep(&self, block: u32) {
        let Block { seen, prepared, .. } = &self.blocks[block as usize];
        seen.store(self.digest(block), Ordering::Relaxed); // hints both
        prepared.store(true, Ordering::Relaxed);
    }

    /// Whether a block was split in advance, and nobody was seen to use it.
    pub(crate) fn is_kept(&self, block: u32) -> bool {
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
        let first = blocks.load(1, ONE).unwrap();
        assert_eq!(sum(&blocks, first), (7, 3));
        blocks.put_back(first.block);
        let second = blocks.load(2, ONE).unwrap();
        assert_eq!(second.block, first.block);
        assert_ne!(second.version, first.version);
    }

    #[test]
    fn so_many_keys_can_be_hot_and_no_more() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let uses: Vec<_> = std::iter::from_fn(|| blocks.load(0, ONE)).collect();
        assert_eq!(uses.len(), BLOCKS as usize);
        blocks.put_back(uses[9].block);
        assert_eq!(blocks.load(0, ONE).unwrap().block, uses[9].block);
    }

    #[test]
    fn only_a_thread_that_loses_often_splits_a_key() {
        let blocks = Blocks::new(2, UNITS_PER_CELL_MIN);
        let lane = |key| Lane { blocks: &blocks, home: 0, key };
        assert!(!blocks.is_hot(lane(1), MISSES_TO_SPLIT - 1));
        assert!(!blocks.is_hot(lane(2), 1), "another key's misses");
        assert!(!blocks.is_hot(lane(1), MISSES_TO_SPLIT - 1));
        assert!(blocks.is_hot(lane(1), 1));
        assert!(!blocks.is_hot(lane(1), 1), "it begins anew");
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
        let (idle, kept) = (blocks.load(1, ONE).unwrap(), blocks.load(2, ONE).unwrap());
        blocks.keep(kept.block);
        assert!(blocks.idle(Timestamp(10_000)).is_empty(), "the first look");
        assert!(blocks.idle(Timestamp(10_999)).is_empty(), "too early");
        assert_eq!(blocks.idle(Timestamp(11_000)), [(idle.block, 1)]);
        blocks.cell(kept.block, 1).fetch_sub(1, Ordering::Relaxed);
        assert_eq!(blocks.idle(Timestamp(12_000)), [(idle.block, 1)], "it was used");
        assert_eq!(blocks.idle(Timestamp(13_000)).len(), 2, "and now it is idle");
    }
}
