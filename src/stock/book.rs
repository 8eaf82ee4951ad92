//! The stock keys: for each its counter, its stop switch and its physical quantity.

use std::sync::OnceLock;

use crossbeam::utils::CachePadded;
use parking_lot::Mutex;

use super::blocks::{Blocks, Lane, UNITS_PER_CELL_MIN};
use super::counter::Counter;
use crate::clock::Timestamp;
use crate::segments::{NoRoom, Segments};
use crate::sync::{AtomicBool, Ordering};

/// The most stock keys.
pub(crate) const KEYS_MAX: usize = if cfg!(stockhold_loom) { 4 } else { 1 << 28 };

/// One stock key.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) counter: Counter,
    stopped: AtomicBool,
    /// Physically present. The lock serialises physical corrections of the key; sales never take it.
    pub(crate) on_hand: Mutex<i64>,
}

impl Item {
    pub(crate) fn new(available: i64, on_hand: i64, stopped: bool) -> Self {
        Item {
            counter: Counter::new(available),
            stopped: AtomicBool::new(stopped),
            on_hand: Mutex::new(on_hand),
        }
    }

    /// Whether reserves are refused.
    pub(crate) fn is_stopped(&self) -> bool {
        // Acquire: pairs with `set_stopped`; a reserve that begins after the switch was answered sees it.
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
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
        Book { items: Segments::new(KEYS_MAX), blocks: Blocks::new(width, UNITS_PER_CELL_MIN) }
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
