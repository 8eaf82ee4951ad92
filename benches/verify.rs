//! The time and the memory of a verification. The memory depends on the live holds and not on the length of
//! the history.
//!
//! `cargo bench -p stockhold-benches --bench verify`; `STOCKHOLD_BENCH_RECORDS` sets how many records the
//! longest history has (Default = 10,000,000; the goal is stated for 100,000,000), `STOCKHOLD_BENCH_DIR`
//! where it writes (Default = under the build's folder). Each row is a directory that keeps all of its
//! ledger: units are reserved under 10,000 keys, confirmed, shipped and received again, and 10,000 holds are
//! live at the end. A process of its own then judges every entry from the first on and compares with the
//! checkpoints, as `stockhold verify` does; the peak of its memory is reported.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{insist, machine};
use stockhold::inspect::Inspection;
use stockhold::{Config, Engine, Receive, Reserve, StockKey};

const KEYS: u64 = 10_000;
const HELD: u64 = 10_000;
const VERIFIES: &str = "STOCKHOLD_BENCH_VERIFIES";

fn main() {
    if let Some(directory) = std::env::var_os(VERIFIES) {
        return verify(Path::new(&directory));
    }
    let records = std::env::var("STOCKHOLD_BENCH_RECORDS").ok();
    let records: u64 = records.and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(10_000_000);
    let scratch = common::scratch("verify");
    machine();
    println!("{:>12} {:>12} {:>10} {:>12}", "records", "ledger", "verified in", "peak memory");
    for records in [records / 100, records / 10, records] {
        write(&scratch, records);
        let itself = std::env::current_exe().unwrap();
        assert!(Command::new(itself).env(VERIFIES, &scratch).status().unwrap().success());
        fs::remove_dir_all(&scratch).unwrap();
    }
}

fn write(directory: &Path, records: u64) {
    let engine = Engine::open(directory, Config::default().ledger_kept(Some(Duration::MAX))).unwrap();
    let keys: Vec<StockKey> =
        (0..KEYS).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "berlin"))).collect();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, 1_000))).not_yet_durable();
    }
    let reserve = |number: u64| {
        let reference = number.to_le_bytes();
        let key = keys[(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % keys.len()];
        (key, insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference))).not_yet_durable().hold)
    };
    for number in 0..records / 4 {
        let (key, hold) = reserve(number);
        insist(|| engine.confirm(hold)).not_yet_durable();
        insist(|| engine.ship(hold)).not_yet_durable();
        insist(|| engine.receive(Receive::units(key, 1))).not_yet_durable();
    }
    for number in 0..HELD {
        reserve(number);
    }
    engine.checkpoint().unwrap();
    engine.shutdown().unwrap();
}

fn verify(directory: &Path) {
    let began = Instant::now();
    let inspection = Inspection::open(directory).unwrap();
    assert!(inspection.drift().is_none());
    let records = inspection.verify_ledger().unwrap();
    let took = began.elapsed();
    assert_eq!(
        (inspection.report().records, inspection.report().ledger_from),
        (records, Some(Default::default()))
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let ledger = inspection.report().ledger_bytes >> 20;
    println!("{records:>12} {ledger:>8} MiB {:>8.1} s {:>8} MiB", took.as_secs_f64(), peak >> 10);
}
