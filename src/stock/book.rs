//! The stock keys: for each its counter, its stop switch and its physical quantity.

use std::sync::OnceLock;

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;

use super::blocks::{Blocks, Lane, UNITS_PER_CELL_MIN};
use super::counter::Counter;
use crate::answer::RefusalReason;
use crate::clock::Timestamp;
use crate::segments::{NoRoom, Segments};
use crate::sync::{AtomicU64, Ordering};

/// The most stock keys.
pub(crate) const KEYS_MAX: usize = if cfg!(stockhold_loom) { 4 } else { 1 << 28 };

const OPEN: u64 = 0;
const STOPPED: u64 = u64::MAX;

/// Whether a key is on sale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    Open,
    Stopped,
    /// Not before this moment.
    OpensAt(Timestamp),
}

impl Gate {
    fn word(self) -> u64 {
        match self {
            Gate::Open => OPEN,
            Gate::Stopped => STOPPED,
            Gate::OpensAt(opens_at) => opens_at.0.min(STOPPED - 1),
        }
    }
}

/// One stock key.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) counter: Counter,
    /// When the sale opens, in Unix ms: [`OPEN`], [`STOPPED`], or a moment.
    gate: AtomicU64,
    /// Physically present. The lock serialises physical corrections of the key; sales never take it.
    pub(crate) on_hand: Mutex<i64>,
}

impl Item {
    pub(crate) fn new(available: i64, on_hand: i64, gate: Gate) -> Self {
        Item {
            counter: Counter::new(available),
            gate: AtomicU64::new(gate.word()),
            on_hand: Mutex::new(on_hand),
        }
    }

    /// Why reserves are refused whatever there is, if so. The clock is asked only for a sale that has a time to open, so
    /// all who wait for it find it open at once, with nobody to open it.
    pub(crate) fn closed(&self, now: impl FnOnce() -> Timestamp) -> Option<RefusalReason> {
        // Acquire: pairs with `set_gate`; a reserve that begins after the switch was answered sees it.
        match self.gate.load(Ordering::Acquire) {
            OPEN => None,
            STOPPED => Some(RefusalReason::Stopped),
            opens_at_ms => (now().0 < opens_at_ms).then_some(RefusalReason::NotOpen),
        }
    }

    /// The moment at which the sale opens, if it has one.
    pub(crate) fn opens_at(&self) -> Option<Timestamp> {
        let gate = self.gate.load(Ordering::Acquire); // as in `closed`
        (gate != OPEN && gate != STOPPED).then_some(Timestamp(gate))
    }

    pub(crate) fn set_gate(&self, gate: Gate) {
        self.gate.store(gate.word(), Ordering::Release);
    }
}

/// All stock keys, by index.
#[derive(Debug)]
pub(crate) struct Book {
    items: Segments<OnceLock<CachePadded<Item>>>,
    blocks: Blocks,
}

impl Book {
    /// Hot keys are split over `width` cells.
    pub(crate) fn new(width: usize) -> Self {
        Book::with_cells(width, UNITS_PER_CELL_MIN)
    }

    /// The same for keys that have `units_per_cell_min` units for each cell.
    pub(crate) fn with_cells(width: usize, units_per_cell_min: i64) -> Self {
        Book { items: Segments::new(KEYS_MAX), blocks: Blocks::new(width, units_per_cell_min) }
    }

    /// Where the thread `home` does its part of a key's work.
    pub(crate) fn lane(&self, home: usize, key: u32) -> Lane<'_> {
        Lane { blocks: &self.blocks, home, key }
    }

    /// Gathers the keys that are split and were not used for a while.
    pub(crate) fn cool(&self, now: Timestamp) {
        for (block, key) in self.blocks.idle(now) {
            if let Some(item) = self.get(key) {
                item.counter.gather_from(self.lane(0, key), block);
            }
        }
    }

    /// Splits a key in advance, and keeps it split until it is used; whether there is enough of it to split.
    pub(crate) fn prepare(&self, key: u32) -> bool {
        let block = self.get(key).and_then(|item| item.counter.split(self.lane(0, key)));
        block.inspect(|block| self.blocks.keep(*block)).is_some()
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Item> {
        Some(self.items.get(index as usize)?.get()?)
    }

    /// Adds the key `index`, once; full beyond [`KEYS_MAX`].
    pub(crate) fn add(&self, index: u32, item: Item) -> Result<(), NoRoom> {
        let place = self.items.get_or_grow(index as usize, OnceLock::new)?;
        place.set(CachePadded::new(item)).map_err(|_| NoRoom::Full)
    }
}
