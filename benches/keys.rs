//! The cost of a cold stock key: memory, and time of an opening.
//!
//! `cargo bench -p stockhold-benches --bench keys [-- 1_000_000,10_000_000]` (Default = 1,000,000 keys);
//! `STOCKHOLD_BENCH_DIR` sets where it writes (Default = under the build's folder; 100 million keys take some
//! 12 GB there for a while). Each row is a directory with so many stock keys, each with a SKU of 13 digits,
//! at one of ten locations, and some units received, none of them held. It is closed in order, with a
//! checkpoint made before, and opened by a process of its own, the file cache warm.
//!
//! Memory is what the process has resident beyond one that has opened a directory without keys. Of it, the
//! names are computed: a SKU's text, kept once for the ten keys in a row that have it, and 12 bytes a key. A
//! *cold key* takes the rest: counter, stock and gate; the fold's level; the catalogue's index.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{insist, machine};
use stockhold::{Config, Durability, Engine, Receive};

const LOCATIONS: [&str; 10] =
    ["berlin", "rome", "paris", "madrid", "vienna", "prague", "warsaw", "lisbon", "athens", "dublin"];
const SKU_BYTES: f64 = 13.0;
const OPENS: &str = "STOCKHOLD_BENCH_OPENS";

fn main() {
    if let Some(directory) = std::env::var_os(OPENS) {
        return open(Path::new(&directory));
    }
    let rows =
        std::env::args().skip(1).find(|argument| argument.starts_with(|first: char| first.is_ascii_digit()));
    let rows = rows.unwrap_or_else(|| "1_000_000".into()).replace('_', "");
    let scratch = common::scratch("keys");
    machine();
    make(&scratch, 0);
    let without = opened(&scratch);
    fs::remove_dir_all(&scratch).unwrap();
    println!(
        "{:>12} {:>9} {:>11} {:>10} {:>10} {:>10} {:>11} {:>10} {:>14}",
        "keys",
        "made in",
        "checkpoint",
        "opened in",
        "peak",
        "then",
        "bytes a key",
        "names",
        "a cold key has"
    );
    for keys in rows.split(',').filter_map(|keys| keys.parse::<u32>().ok()).filter(|keys| *keys > 0) {
        let began = Instant::now();
        let checkpoint = make(&scratch, keys);
        let made = began.elapsed();
        let opened = opened(&scratch);
        let names = 12.0 + SKU_BYTES / LOCATIONS.len() as f64;
        let each = (opened.resident - without.resident) / f64::from(keys);
        println!(
            "{keys:>12} {:>7.0} s {:>7} MiB {:>8.2} s {:>6.0} MiB {:>6.0} MiB {each:>11.1} {names:>10.1} {:>14.1}",
            made.as_secs_f64(),
            checkpoint >> 20,
            opened.seconds,
            opened.peak / MIB,
            opened.resident / MIB,
            each - names,
        );
        fs::remove_dir_all(&scratch).unwrap();
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// Makes a directory with this many stock keys. Returns the bytes of its checkpoint.
fn make(directory: &Path, keys: u32) -> u64 {
    // A loss in a crash would not matter.
    let durability = Durability::Interval(Duration::from_secs(1));
    let engine = Engine::open(directory, Config::default().durability(durability)).unwrap();
    for number in 0..keys {
        let (sku, location) = (number / LOCATIONS.len() as u32, number as usize % LOCATIONS.len());
        let sku = format!("{:013}", 4_000_000_000_000 + u64::from(sku));
        let key = insist(|| engine.declare(&sku, LOCATIONS[location]));
        insist(|| engine.receive(Receive::units(key, number % 1_000 + 1))).not_yet_durable();
    }
    engine.checkpoint().unwrap();
    let bytes = engine.metrics().checkpoint_bytes;
    engine.shutdown().unwrap();
    bytes
}

struct Opened {
    seconds: f64,
    peak: f64,
    resident: f64,
}

/// Opens a directory in a process of its own, and measures it.
fn opened(directory: &Path) -> Opened {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).env(OPENS, directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = output.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Opened { seconds: numbers[0], peak: numbers[1], resident: numbers[2] }
}

fn open(directory: &Path) {
    let began = Instant::now();
    let engine = Engine::open(directory, Config::default()).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    println!("{seconds} {} {}", status("VmHWM:"), status("VmRSS:"));
    drop(engine);
}

/// A line of this process's status, in bytes.
fn status(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
