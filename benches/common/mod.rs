//! Shared by the benches: the machine's description, scratch directories, a sale to measure, and a
//! hand-written baseline.

#![allow(dead_code)] // each bench uses a part of it

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use stockhold::retry::Retry;
use stockhold::{Engine, Receive, StockKey};

/// Resolves a path that the caller gave, against the repository's root: cargo starts a bench in its package's
/// folder.
pub fn resolve(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above").join(path)
}

/// A fresh path to write under: in `STOCKHOLD_BENCH_DIR`, or else in the build's folder.
pub fn scratch(bench: &str) -> PathBuf {
    let parent = std::env::var("STOCKHOLD_BENCH_DIR");
    let parent = parent.map_or_else(|_| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), resolve);
    parent.join(format!("bench-{bench}-{}", std::process::id()))
}

pub fn machine() {
    println!("machine: {}", this_machine());
}

/// The number of cores, their model, and the kernel.
pub fn this_machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" : unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

/// Makes `call` until it succeeds, whatever its error: for errors that pass, like a full ring.
pub fn insist<T, E>(call: impl FnMut() -> Result<T, E>) -> T {
    let answer = Retry::yielding().call_while(|_| true, call);
    answer.unwrap_or_else(|_| unreachable!("every error is retried"))
}

/// Declares a key with this many units on sale.
pub fn sale(engine: &Engine, units: u64) -> StockKey {
    let key = engine.declare("hot", "here").unwrap();
    for _ in 0..units.div_ceil(2_000_000_000) {
        engine.receive(Receive::units(key, units.min(2_000_000_000) as u32)).unwrap().wait().unwrap();
    }
    key
}

/// A hand-written stock: everything behind one lock, without expiry, log order or op keys.
#[derive(Default)]
pub struct Baseline {
    pub available: HashMap<u64, i64>,
    pub holds: HashMap<u64, BaselineHold>,
}

/// A hold of the hand-written stock.
pub struct BaselineHold {
    pub key: u64,
    pub quantity: u32,
    pub deadline: Instant,
    pub reference: [u8; 8],
    pub confirmed: bool,
}

impl BaselineHold {
    pub fn new(key: u64, hold: u64) -> Self {
        let deadline = Instant::now() + Duration::from_secs(600);
        BaselineHold { key, quantity: 1, deadline, reference: hold.to_le_bytes(), confirmed: false }
    }
}

/// The hot key.
pub const HOT: u64 = 7;

impl Baseline {
    pub fn reserve(&mut self, hold: u64) -> bool {
        let available = self.available.get_mut(&HOT).unwrap();
        if *available < 1 {
            return false;
        }
        *available -= 1;
        self.holds.insert(hold, BaselineHold::new(HOT, hold));
        true
    }
}

pub fn baseline(units: u64) -> Mutex<Baseline> {
    let mut baseline = Baseline::default();
    baseline.available.insert(HOT, units as i64);
    Mutex::new(baseline)
}
