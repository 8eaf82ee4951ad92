//! The cost of a checkpoint of many changed stock keys for the sale that goes on meanwhile.
//!
//! `cargo bench -p stockhold-benches --bench checkpoint`; `STOCKHOLD_BENCH_KEYS` sets how many keys change
//! (Default = 1,000,000; the goal is stated for 10,000,000), `STOCKHOLD_BENCH_DIR` where it writes (Default =
//! under the build's folder). Every key gets a movement after the last checkpoint; two buyers reserve and
//! release under random ones at `Durability::Sync`, with 16,384 decisions in flight each, first without a
//! checkpoint and then during a requested one.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{insist, machine};
use stockhold::{Config, Engine, Position, Receive, Reserve, StockKey};
use stockhold_seeded::Rng;

const BUYERS: u64 = 2;
const IN_FLIGHT: u64 = 16_384;
const QUIET: Duration = Duration::from_secs(3);

fn main() {
    let keys = std::env::var("STOCKHOLD_BENCH_KEYS").ok();
    let keys: u64 = keys.and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(1_000_000);
    let scratch = common::scratch("checkpoint");
    machine();
    println!(
        "{:>12} {:>16} {:>16} {:>7} {:>9} {:>12}",
        "keys changed", "reserves/s", "meanwhile", "ratio", "took", "checkpoint"
    );
    for keys in [keys / 100, keys / 10, keys] {
        // Only requested checkpoints, with the longest window.
        let config = Config::default().checkpoint_bytes(512 << 20);
        let engine = Engine::open(&scratch, config).unwrap();
        run(&engine, keys.max(1));
        engine.shutdown().unwrap();
        drop(engine);
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}

fn run(engine: &Engine, count: u64) {
    let keys: Vec<StockKey> =
        (0..count).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "berlin"))).collect();
    engine.checkpoint().unwrap();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, 100))).not_yet_durable();
    }
    let (reserves, over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let (keys, reserves, over) = (&keys, &reserves, &over);
            scope.spawn(move || buy(engine, keys, buyer, reserves, over));
        }
        let rate_until = |end: &dyn Fn()| {
            let (began, before) = (Instant::now(), reserves.load(Ordering::Relaxed));
            end();
            let took = began.elapsed().as_secs_f64();
            (took, (reserves.load(Ordering::Relaxed) - before) as f64 / took)
        };
        thread::sleep(QUIET / 3);
        let (_, quiet) = rate_until(&|| thread::sleep(QUIET));
        let (took, meanwhile) = rate_until(&|| {
            engine.checkpoint().unwrap();
        });
        over.store(true, Ordering::Relaxed);
        println!(
            "{count:>12} {quiet:>16.0} {meanwhile:>16.0} {:>7.2} {took:>7.2} s {:>8} MiB",
            meanwhile / quiet,
            engine.metrics().checkpoint_bytes >> 20
        );
    });
}

fn buy(engine: &Engine, keys: &[StockKey], buyer: u64, reserves: &AtomicU64, over: &AtomicBool) {
    let mut rng = Rng::new(buyer);
    let (mut made, mut mark) = (0_u64, Position::default());
    while !over.load(Ordering::Relaxed) {
        let random = rng.next();
        let key = keys[((random >> 33) % keys.len() as u64) as usize];
        let reference = random.to_le_bytes();
        let held = insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference)));
        let hold = held.not_yet_durable().hold;
        let released = insist(|| engine.release(hold));
        let position = released.position();
        let _ = released.not_yet_durable();
        made += 1;
        if made.is_multiple_of(256) {
            reserves.fetch_add(256, Ordering::Relaxed);
        }
        if made.is_multiple_of(IN_FLIGHT / 2) {
            engine.wait(std::mem::replace(&mut mark, position)).expect("the log is durable");
        }
    }
}
