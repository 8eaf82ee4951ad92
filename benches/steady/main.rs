//! A long sale: checks that disk, memory and latency stay flat over many checkpoints.
//!
//! `cargo bench -p stockhold-benches --bench steady`; `STOCKHOLD_BENCH_OPERATIONS` sets how many (Default =
//! 20,000,000), `-- --plot FILE` draws the samples as SVG, and `STOCKHOLD_BENCH_DIR` sets where it writes
//! (Default = under the build's folder).
//!
//! Each buyer reserves a unit under one of 100,000 keys, confirms three of four and ships what is confirmed,
//! but for one in sixteen, which count as shipped after five seconds; and releases the others or lets them
//! expire. A sixteenth of the reserves carry an op key, remembered for ten seconds, and the ledger is kept
//! for twenty. Shipped units are received again. All at `Durability::Sync`, with 16,384 decisions in flight.
//! Another thread reserves 10,000 times a second and measures each call, during checkpoints and between them.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/plot.rs"]
mod lines;
mod plot;
mod sample;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::insist;
use sample::{Latencies, Sample};
use stockhold::{Config, Engine, OpKey, Position, Receive, Reserve, StockKey};
use stockhold_seeded::Rng;

const KEYS: u64 = 100_000;
const BUYERS: u64 = 2;
const IN_FLIGHT: u64 = 16_384;
const OP_KEYS_KEPT: Duration = Duration::from_secs(10);
const LEDGER_KEPT: Duration = Duration::from_secs(20);
const COMMITMENTS_KEPT: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_millis(500);
const LIFE_MAX: Duration = Duration::from_secs(2);

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok());
    let operations: u64 = number("STOCKHOLD_BENCH_OPERATIONS").unwrap_or(20_000_000);
    let scratch = common::scratch("steady");
    let mut args = std::env::args().skip_while(|arg| arg != "--plot").skip(1);
    common::machine();
    let samples = run(&scratch, operations);
    if let Some(file) = args.next() {
        std::fs::write(common::resolve(&file), plot::plot(&samples)).expect("the plot's file can be written");
        println!("drawn in {file}");
    }
    let began = Instant::now();
    let engine = Engine::open(&scratch, config()).expect("it opens again");
    println!("opened again in {:.2} s: {}", began.elapsed().as_secs_f64(), engine.report());
    drop(engine);
    let _ = std::fs::remove_dir_all(&scratch);
}

fn config() -> Config {
    Config::default()
        .op_key_retention(Some(OP_KEYS_KEPT))
        .ledger_kept(Some(LEDGER_KEPT))
        .commitments_kept(Some(COMMITMENTS_KEPT))
        .ttl_bounds(TTL, LIFE_MAX)
        .ttl_default(TTL)
        .payment_extension(TTL)
        .life_max(LIFE_MAX)
}

fn run(directory: &Path, operations: u64) -> Vec<Sample> {
    let engine = Engine::open(directory, config()).expect("a fresh directory opens");
    let keys: Vec<StockKey> = (0..KEYS)
        .map(|number| engine.declare(&format!("sku-{number}"), "here").expect("the ring keeps up"))
        .collect();
    for key in &keys {
        while engine.receive(Receive::units(*key, 1_000_000)).is_err() {
            thread::yield_now();
        }
    }
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let latencies = Latencies::default();
    let mut samples = Vec::new();
    thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let (engine, keys, done) = (engine.clone(), &keys, &done);
            scope.spawn(move || buy(&engine, keys, buyer, operations / BUYERS, done));
        }
        let (watched, key, stop, noted) = (engine.clone(), keys[0], &over, &latencies);
        scope.spawn(move || watch(&watched, key, stop, noted));
        let began = Instant::now();
        Sample::print_head();
        while done.load(Ordering::Relaxed) < operations {
            thread::sleep(Duration::from_secs(1));
            let sample = Sample::take(
                directory,
                &engine,
                began,
                done.load(Ordering::Relaxed),
                &latencies,
                samples.last(),
            );
            sample.print();
            samples.push(sample);
        }
        over.store(true, Ordering::Relaxed);
    });
    latencies.print();
    samples
}

fn buy(engine: &Engine, keys: &[StockKey], buyer: u64, operations: u64, done: &AtomicU64) {
    let mut rng = Rng::new(buyer);
    let (mut made, mut mark) = (0, Position::default());
    let mut told = 0;
    while made < operations {
        let random = rng.next();
        let chosen = random >> 33;
        let key = keys[(chosen % KEYS) as usize];
        let reference = random.to_le_bytes();
        let mut reserve = Reserve::units(key, 1).reference(&reference).ttl(TTL);
        if chosen & 0xF == 0 {
            reserve = reserve.op_key(OpKey(u128::from(random) << 1 | u128::from(buyer)));
        }
        let receipt = insist(|| engine.reserve(reserve));
        let (mut position, hold) = (receipt.position(), receipt.not_yet_durable().hold);
        made += 1;
        match chosen >> 4 & 15 {
            0 | 1 => {}
            2 => {
                if let Ok(confirmed) = engine.confirm(hold) {
                    position = confirmed.position();
                    let _ = confirmed.not_yet_durable();
                }
                made += 1;
            }
            3 | 4 => {
                if let Ok(released) = engine.release(hold) {
                    position = released.position();
                    let _ = released.not_yet_durable();
                }
                made += 1;
            }
            _ => {
                if let Ok(confirmed) = engine.confirm(hold) {
                    let _ = confirmed.not_yet_durable();
                    let _ = insist(|| engine.ship(hold)).not_yet_durable();
                    let received = insist(|| engine.receive(Receive::units(key, 1)));
                    position = received.position();
                    let _ = received.not_yet_durable();
                }
                made += 3;
            }
        }
        if made / IN_FLIGHT > told {
            done.fetch_add((made / IN_FLIGHT - told) * IN_FLIGHT, Ordering::Relaxed);
            told = made / IN_FLIGHT;
            engine.wait(std::mem::replace(&mut mark, position)).expect("the disk takes it");
        }
    }
    done.fetch_add(operations - told * IN_FLIGHT, Ordering::Relaxed);
    engine.wait(mark).expect("the disk takes it");
}

/// Measures reserves at 10,000 a second, beside the sale.
fn watch(engine: &Engine, key: StockKey, over: &AtomicBool, latencies: &Latencies) {
    let every = Duration::from_micros(100);
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        next += every;
        while Instant::now() < next {
            thread::sleep(
                next.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_micros(60)),
            );
        }
        let under_way = engine.metrics().checkpoint_under_way;
        let began = Instant::now();
        if let Ok(receipt) = engine.reserve(Reserve::units(key, 1)) {
            let took = began.elapsed();
            let hold = receipt.not_yet_durable().hold;
            latencies.note(under_way, took);
            let _ = engine.release(hold).map(|receipt| receipt.not_yet_durable());
        }
    }
}
