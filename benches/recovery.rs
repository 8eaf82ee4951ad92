//! The time of an opening, which depends on the live holds and keys and not on the history.
//!
//! `cargo bench -p stockhold-benches --bench recovery`; `STOCKHOLD_BENCH_HOLDS` sets the largest number of
//! live holds and of stock keys (Default = 1,000,000; the goal is stated for 10,000,000),
//! `STOCKHOLD_BENCH_DIR` where it writes. Each row is a directory with so many stock keys and as many live
//! holds, with an 8-byte reference and no op key; then the same after ten times as many holds have come and
//! gone. Closed in order, with a checkpoint made before; the file cache is warm.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{insist, machine};
use stockhold::{Config, Engine, Receive, Reserve, StockKey};

fn main() {
    let holds: u64 = std::env::var("STOCKHOLD_BENCH_HOLDS")
        .ok()
        .and_then(|text| text.replace('_', "").parse().ok())
        .unwrap_or(1_000_000);
    let scratch = common::scratch("recovery");
    machine();
    println!(
        "{:>12} {:>12} {:>14} {:>10} {:>12}",
        "keys", "live holds", "holds before", "opened in", "checkpoint"
    );
    for holds in [holds / 100, holds / 10, holds] {
        for history in [0, 10] {
            run(&scratch, holds.max(1), history);
        }
    }
}

fn config(holds: u64) -> Config {
    Config::default().holds_max((holds * 2) as u32).ttl_default(Duration::from_secs(86_400))
}

fn run(scratch: &Path, holds: u64, history: u64) {
    let engine = Engine::open(scratch, config(holds)).unwrap();
    let keys: Vec<StockKey> =
        (0..holds).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "berlin"))).collect();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, 100))).not_yet_durable();
    }
    let reserve = |number: u64| {
        let reference = number.to_le_bytes();
        let key = keys[(number % holds) as usize];
        insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference))).not_yet_durable().hold
    };
    for number in 0..holds * history {
        let hold = reserve(number);
        insist(|| engine.release(hold)).not_yet_durable();
    }
    for number in 0..holds {
        reserve(number);
    }
    engine.checkpoint().unwrap();
    let bytes = engine.metrics().checkpoint_bytes;
    engine.shutdown().unwrap();
    drop(engine);

    let began = Instant::now();
    let engine = Engine::open(scratch, config(holds)).unwrap();
    let took = began.elapsed();
    assert_eq!(engine.report().holds_live, holds);
    println!(
        "{holds:>12} {holds:>12} {:>14} {:>8.2} s {:>8} MiB",
        holds * history,
        took.as_secs_f64(),
        bytes >> 20
    );
    drop(engine);
    std::fs::remove_dir_all(scratch).unwrap();
}
