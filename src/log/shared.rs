//! The part of the log that the deciding threads and the log thread share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::bell::Bell;
use super::group::SpareBuffers;
use super::ring::Ring;
use super::stores::{OlderStores, Stores};
use super::watch::Watch;
use crate::metrics::LogMetrics;
use crate::poison::Poison;
use crate::sync::Ordering;

/// The shared part of one log.
pub(crate) struct LogShared {
    pub ring: Ring,
    pub bell: Bell,
    /// The position up to which the log is acknowledged: durable at the engine's durability level.
    pub durable: Watch,
    pub poison: Poison,
    pub metrics: LogMetrics,
    pub spare: SpareBuffers,
    /// The position up to which the log survives a loss of power, at every durability level that keeps a log.
    pub(super) synced: Watch,
    /// The position up to which some thread wants the log synced, whatever the durability level.
    pub(super) sync_wanted: AtomicU64,
    /// The position below which the log is not needed and may be cut.
    pub(super) cut_below: AtomicU64,
    /// The stores of earlier openings.
    older: Mutex<Option<OlderStores>>,
}

impl LogShared {
    /// A log that ends at `end`, with a ring of so many words. What earlier openings wrote is in `older`.
    pub(crate) fn new(ring_words: usize, end: u64, older: Option<OlderStores>) -> LogShared {
        LogShared {
            ring: Ring::new(ring_words, end),
            bell: Bell::default(),
            durable: Watch::new(end),
            poison: Poison::default(),
            metrics: LogMetrics::new(),
            spare: SpareBuffers::default(),
            synced: Watch::new(end),
            sync_wanted: AtomicU64::new(0),
            cut_below: AtomicU64::new(0),
            older: Mutex::new(older),
        }
    }

    /// The stores that have the log's chunks; `None` if the log is only in memory.
    pub(crate) fn stores(&self) -> Option<Arc<dyn Stores>> {
        self.older.lock().as_ref().map(|older| Arc::clone(&older.stores))
    }

    /// Waits until the log is synced up to `position`, the end of a group; false if it never will be.
    pub(crate) fn sync_up_to(&self, position: u64) -> bool {
        self.want_sync(position);
        if self.synced() < position {
            self.bell.ring();
        }
        self.synced.wait(position)
    }

    /// Asks the log thread to sync up to `position` in its next turn.
    pub(crate) fn want_sync(&self, position: u64) {
        // Relaxed: a wish that the log thread sees soon; the result comes back through the watch.
        self.sync_wanted.fetch_max(position, Ordering::Relaxed);
    }

    /// The position up to which the log survives a loss of power.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.position()
    }

    /// Ends the log, because it was closed or has failed: nothing is appended from now on.
    pub(crate) fn end(&self, outcome: Result<(), &str>) {
        if let Err(cause) = outcome {
            self.poison.fail(cause);
        }
        self.ring.close();
        self.durable.end();
        self.synced.end();
        self.synced.wake_now();
    }

    /// Gives up the log below `position`: older stores are removed now, chunks of the open store when the log
    /// thread has time.
    pub(crate) fn cut_below(&self, position: u64) {
        self.cut_below.fetch_max(position, Ordering::Relaxed); // as in `want_sync`
        if let Some(older) = &mut *self.older.lock() {
            older.cut_below(position);
        }
    }
}
