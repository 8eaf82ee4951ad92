//! Counters, padded so that threads that count do not share a cache line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use crate::types::Position;

/// The counters of the deciding threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    Granted,
    OutOfStock,
    Stopped,
    NotOpen,
    HoldsFull,
    BusyPending,
    BusyReclaiming,
    BusyLogBehind,
    BusyOpKeysFull,
    BusyGrowing,
    BusyRoom,
    BusyChanging,
    Duplicates,
    Confirmed,
    Retaken,
    Released,
    Expired,
    Extended,
    Replaced,
    PaymentsBegun,
    Cancelled,
    Shipped,
    ShippedByTime,
    Received,
    Adjusted,
    Voided,
}

const COUNTS: usize = Count::Voided as usize + 1;

/// The counts of the deciding threads, in shards on cache lines of their own.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Their number is a power of two.
    shards: Box<[CachePadded<[AtomicU64; COUNTS]>]>,
}

impl Tally {
    pub(crate) fn new(shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two());
        Tally {
            shards: (0..shards)
                .map(|_| CachePadded::new(std::array::from_fn(|_| AtomicU64::new(0))))
                .collect(),
        }
    }

    pub(crate) fn add(&self, shard: usize, count: Count) {
        // Relaxed: a count orders nothing.
        self.shards[shard & (self.shards.len() - 1)][count as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self, count: Count) -> u64 {
        self.shards.iter().map(|shard| shard[count as usize].load(Ordering::Relaxed)).sum()
    }
}

/// Buckets of the sync latency histogram: powers of two of microseconds, the last one open.
pub const SYNC_BUCKETS: usize = 24;

/// The counters of the log thread.
#[derive(Debug)]
pub(crate) struct LogMetrics {
    began: Instant,
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    group_records_max: AtomicU64,
    sync_latency: [AtomicU64; SYNC_BUCKETS],
    /// Microseconds since `began` at which the reader last moved on.
    progressed_us: AtomicU64,
}

impl LogMetrics {
    pub(crate) fn new() -> Self {
        LogMetrics {
            began: Instant::now(),
            groups: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            group_records_max: AtomicU64::new(0),
            sync_latency: std::array::from_fn(|_| AtomicU64::new(0)),
            progressed_us: AtomicU64::new(0),
        }
    }

    /// Counts a group of `records` that was taken from the ring.
    pub(crate) fn group(&self, records: u64, bytes: u64) {
        // Relaxed: one thread writes, and counts order nothing.
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.group_records_max.fetch_max(records, Ordering::Relaxed);
        self.progressed_us.store(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// Notes that no drawn position waits to be filled.
    pub(crate) fn idle(&self) {
        self.progressed_us.store(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// Counts a sync that took this long.
    pub(crate) fn sync(&self, took: Duration) {
        let bucket = (u128::BITS - took.as_micros().leading_zeros()) as usize;
        self.sync_latency[bucket.min(SYNC_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

/// A histogram of how long syncs took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncLatency {
    /// `buckets[i]` syncs took less than 2^i microseconds and not less than half of that; the last bucket is
    /// open.
    pub buckets: [u64; SYNC_BUCKETS],
}

impl SyncLatency {
    /// The number of syncs.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper bound of the given quantile (0.0 to 1.0), within a factor of two; zero without syncs.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let target = (self.count() as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= target && seen > 0 {
                return Duration::from_micros(1 << bucket);
            }
        }
        Duration::ZERO
    }
}

/// What the engine has counted since it was opened, as [`Engine::metrics`](crate::Engine::metrics) returns
/// it. The numbers are read one after the other, while sales go on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Reserves granted.
    pub granted: u64,
    /// Reserves refused because too few units were available.
    pub refused_out_of_stock: u64,
    /// Reserves refused by the stop switch.
    pub refused_stopped: u64,
    /// Reserves refused because the sale had not opened.
    pub refused_not_open: u64,
    /// Reserves that failed because `holds_max` was reached.
    pub holds_full: u64,
    /// `Busy`: units were on their way back.
    pub busy_pending: u64,
    /// `Busy`: expired holds were being reclaimed.
    pub busy_reclaiming: u64,
    /// `Busy`: the ring was full.
    pub busy_log_behind: u64,
    /// `Busy`: the table of op keys was full.
    pub busy_op_keys_full: u64,
    /// `Busy`: another thread was allocating memory for more holds or stock keys.
    pub busy_growing: u64,
    /// `Busy`: other calls were taking or returning the last room for holds or lines of carts.
    pub busy_room: u64,
    /// `Busy`: another call was changing the hold.
    pub busy_changing: u64,
    /// Operations that were repetitions and returned the first result of their op key.
    pub duplicates: u64,
    /// Holds confirmed, late ones included.
    pub confirmed: u64,
    /// Holds confirmed late, by taking their units again.
    pub retaken: u64,
    /// Holds released.
    pub released: u64,
    /// Holds expired.
    pub expired: u64,
    /// Deadlines moved.
    pub extended: u64,
    /// Holds whose lines were replaced.
    pub replaced: u64,
    /// Payments begun.
    pub payments_begun: u64,
    /// Cancellations of confirmed units.
    pub cancelled: u64,
    /// Shipments, automatic ones included.
    pub shipped: u64,
    /// Commitments that were not shipped or cancelled in time, and count as shipped by
    /// [`Config::commitments_kept`](crate::Config::commitments_kept).
    pub shipped_by_time: u64,
    /// Receipts of stock.
    pub received: u64,
    /// Corrections of stock.
    pub adjusted: u64,
    /// Positions voided because another transition of the hold won.
    pub voided: u64,
    /// Live holds now.
    pub holds_live: u64,
    /// Live holds past their deadline, not yet swept.
    pub holds_overdue: u64,
    /// How far the timer wheels are behind engine time, in milliseconds; 0 when nothing is due.
    pub horizon_lag_ms: u64,
    /// The position behind the last one drawn.
    pub position_drawn: Position,
    /// Decisions are durable up to here.
    pub position_durable: Position,
    /// [`Engine::level`](crate::Engine::level) reflects the log up to here, without waiting.
    pub position_folded: Position,
    /// How long the log has waited for a drawn position to be filled, in microseconds; 0 when it does not
    /// wait.
    pub oldest_hole_us: u64,
    /// Bytes of the ring in use.
    pub ring_used_bytes: u64,
    /// Bytes of the ring.
    pub ring_bytes: u64,
    /// Groups written.
    pub groups: u64,
    /// Records in the largest group.
    pub group_records_max: u64,
    /// Records written.
    pub records: u64,
    /// Bytes handed to the log's store, chunk headers included.
    pub log_bytes: u64,
    /// How long syncs took.
    pub sync_latency: SyncLatency,
    /// Op keys remembered.
    pub op_keys: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// The position of the last checkpoint: the next opening replays the log from there.
    pub position_checkpoint: Position,
    /// Bytes of the last checkpoint, including files that it shares with earlier ones, without the ledger.
    pub checkpoint_bytes: u64,
    /// Bytes of the ledger, as of the last checkpoint.
    pub ledger_bytes: u64,
    /// Whether a checkpoint is being written.
    pub checkpoint_under_way: bool,
    /// Why the last attempt at a checkpoint failed, if it did. The log grows until one succeeds; if attempts
    /// have failed for four times [`checkpoint_bytes`](crate::Config::checkpoint_bytes), until the directory
    /// is opened again.
    pub checkpoint_failure: Option<Arc<str>>,
    /// How far engine time is ahead of the wall clock, in milliseconds; below zero it is behind. Worth an alert if
    /// it is ahead by hours, which takes 16 times as long to be made up for: set the wall clock right, or, if the
    /// wall is right, [engine time](crate::inspect::Inspection::set_time).
    pub clock_ahead_ms: i64,
    /// Times the wall clock moved by 128 ms or more against the time that passed.
    pub clock_jumps: u64,
    /// Whether the wall clock is further ahead than
    /// [`Config::clock_jump_max`](crate::Config::clock_jump_max), so that it is not followed. Worth an alert:
    /// set the clock right, or [accept it](crate::Engine::accept_clock).
    pub clock_unbelieved: bool,
}

impl Metrics {
    /// All answers of `Busy` together.
    pub fn busy(&self) -> u64 {
        self.busy_pending
            + self.busy_reclaiming
            + self.busy_log_behind
            + self.busy_op_keys_full
            + self.busy_growing
            + self.busy_room
            + self.busy_changing
    }

    pub(crate) fn count(&mut self, tally: &Tally) {
        use Count::*;
        for (field, count) in [
            (&mut self.granted, Granted),
            (&mut self.refused_out_of_stock, OutOfStock),
            (&mut self.refused_stopped, Stopped),
            (&mut self.refused_not_open, NotOpen),
            (&mut self.holds_full, HoldsFull),
            (&mut self.busy_pending, BusyPending),
            (&mut self.busy_reclaiming, BusyReclaiming),
            (&mut self.busy_log_behind, BusyLogBehind),
            (&mut self.busy_op_keys_full, BusyOpKeysFull),
            (&mut self.busy_growing, BusyGrowing),
            (&mut self.busy_room, BusyRoom),
            (&mut self.busy_changing, BusyChanging),
            (&mut self.duplicates, Duplicates),
            (&mut self.confirmed, Confirmed),
            (&mut self.retaken, Retaken),
            (&mut self.released, Released),
            (&mut self.expired, Expired),
            (&mut self.extended, Extended),
            (&mut self.replaced, Replaced),
            (&mut self.payments_begun, PaymentsBegun),
            (&mut self.cancelled, Cancelled),
            (&mut self.shipped, Shipped),
            (&mut self.shipped_by_time, ShippedByTime),
            (&mut self.received, Received),
            (&mut self.adjusted, Adjusted),
            (&mut self.voided, Voided),
        ] {
            *field = tally.sum(count);
        }
    }

    pub(crate) fn log(&mut self, log: &LogMetrics, hole: bool) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.groups = read(&log.groups);
        self.records = read(&log.records);
        self.log_bytes = read(&log.bytes);
        self.group_records_max = read(&log.group_records_max);
        self.sync_latency =
            SyncLatency { buckets: std::array::from_fn(|bucket| read(&log.sync_latency[bucket])) };
        if hole {
            let now_us = log.began.elapsed().as_micros() as u64;
            self.oldest_hole_us = now_us.saturating_sub(read(&log.progressed_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_latency_falls_into_its_power_of_two() {
        let log = LogMetrics::new();
        for us in [0, 1, 3, 900, u64::MAX] {
            log.sync(Duration::from_micros(us));
        }
        let mut metrics = Metrics::default();
        metrics.log(&log, false);
        let latency = metrics.sync_latency;
        assert_eq!(latency.count(), 5);
        assert_eq!(
            (latency.buckets[0], latency.buckets[1], latency.buckets[2], latency.buckets[10]),
            (1, 1, 1, 1)
        );
        assert_eq!(latency.quantile(0.5), Duration::from_micros(4));
        assert_eq!(SyncLatency::default().quantile(0.5), Duration::ZERO);
    }
}
