//! A sample of the sale, taken once a second.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stockhold::Engine;

/// Buckets of a sixteenth of a power of two of nanoseconds.
const BUCKETS: usize = 64 * 16;

/// The latencies of reserves, during checkpoints and between them.
pub struct Latencies {
    buckets: [Box<[AtomicU64]>; 2],
    /// Latencies since the last sample.
    recent: Mutex<Vec<u64>>,
}

impl Default for Latencies {
    fn default() -> Self {
        let buckets = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Latencies { buckets: [buckets(), buckets()], recent: Mutex::default() }
    }
}

impl Latencies {
    pub fn note(&self, under_way: bool, took: Duration) {
        let ns = took.as_nanos().max(16) as u64;
        let power = 63 - ns.leading_zeros() as usize;
        let bucket = power * 16 + (ns >> (power - 4)) as usize % 16;
        self.buckets[usize::from(under_way)][bucket].fetch_add(1, Ordering::Relaxed);
        self.recent.lock().unwrap().push(ns);
    }

    fn quantile(&self, under_way: bool, quantile: f64) -> f64 {
        let buckets = &self.buckets[usize::from(under_way)];
        let count = |bucket: &AtomicU64| bucket.load(Ordering::Relaxed);
        let target = (buckets.iter().map(count).sum::<u64>() as f64 * quantile) as u64;
        let mut seen = 0;
        for (at, bucket) in buckets.iter().enumerate() {
            seen += count(bucket);
            if seen > target {
                return ((16 + at % 16) as f64) * 2f64.powi(at as i32 / 16 - 4) / 1e3;
            }
        }
        0.0
    }

    pub fn print(&self) {
        println!(
            "how long a reserve took, in microseconds (with the checkpointer at work, the sale and this thread on the same cores):"
        );
        for (under_way, when) in [(false, "no checkpoint under way"), (true, "a checkpoint under way")] {
            let at = |quantile| self.quantile(under_way, quantile);
            println!(
                "  {when:<24} p50 {:6.2}  p90 {:6.2}  p99 {:7.2}  p99.9 {:8.2}",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999)
            );
        }
    }

    fn recent_p99_us(&self) -> f64 {
        let mut recent = std::mem::take(&mut *self.recent.lock().unwrap());
        recent.sort_unstable();
        recent.get(recent.len() * 99 / 100).map_or(0.0, |ns| *ns as f64 / 1e3)
    }
}

pub struct Sample {
    pub seconds: f64,
    pub operations: u64,
    pub per_second: f64,
    pub log_mib: f64,
    pub checkpoint_mib: f64,
    pub ledger_mib: f64,
    pub resident_mib: f64,
    pub p99_us: f64,
    pub checkpoints: u64,
    pub holds: u64,
    /// Confirmed, and neither shipped nor cancelled.
    pub unshipped: u64,
    pub op_keys: u64,
    pub busy: u64,
}

impl Sample {
    pub fn take(
        directory: &Path,
        engine: &Engine,
        began: Instant,
        operations: u64,
        latencies: &Latencies,
        last: Option<&Sample>,
    ) -> Sample {
        let seconds = began.elapsed().as_secs_f64();
        let (before, at) = last.map_or((0, 0.0), |last| (last.operations, last.seconds));
        let metrics = engine.metrics();
        let ledger_mib = metrics.ledger_bytes as f64 / f64::from(1 << 20);
        Sample {
            seconds,
            operations,
            per_second: (operations - before) as f64 / (seconds - at),
            log_mib: mib(&directory.join("log")),
            checkpoint_mib: mib(&directory.join("checkpoint")) - ledger_mib,
            ledger_mib,
            resident_mib: resident_mib(),
            p99_us: latencies.recent_p99_us(),
            checkpoints: metrics.checkpoints,
            holds: metrics.holds_live,
            unshipped: metrics.confirmed.saturating_sub(metrics.shipped),
            op_keys: metrics.op_keys,
            busy: metrics.busy(),
        }
    }

    pub fn print_head() {
        println!(
            "{:>5} {:>7} {:>7} {:>8} {:>8} {:>8} {:>7} {:>8} {:>6} {:>9} {:>9} {:>9} {:>7}",
            "s",
            "M ops",
            "M/s",
            "log MiB",
            "chk MiB",
            "led MiB",
            "RSS MiB",
            "p99 us",
            "checks",
            "holds",
            "unshipped",
            "op keys",
            "busy"
        );
    }

    pub fn print(&self) {
        println!(
            "{:5.0} {:7.1} {:7.2} {:8.0} {:8.0} {:8.0} {:7.0} {:8.1} {:6} {:9} {:9} {:9} {:7}",
            self.seconds,
            self.operations as f64 / 1e6,
            self.per_second / 1e6,
            self.log_mib,
            self.checkpoint_mib,
            self.ledger_mib,
            self.resident_mib,
            self.p99_us,
            self.checkpoints,
            self.holds,
            self.unshipped,
            self.op_keys,
            self.busy
        );
    }
}

fn mib(directory: &Path) -> f64 {
    bytes_under(directory) as f64 / f64::from(1 << 20)
}

fn bytes_under(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_under(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0, // removed meanwhile
        })
        .sum()
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
