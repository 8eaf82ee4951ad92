//! Measures each goal of the engine, and says whether it is reached; for durable rows, with the processor
//! time of each thread.
//!
//! `cargo bench -p stockhold-benches --bench goals`: a minute; `STOCKHOLD_BENCH_DIR` says where the durable
//! rows write (Default = a fresh directory under the build's). The figures are the best of three rounds,
//! since other load on the machine only makes them worse. Not in any figure: a network, replication. The
//! goals of latency at an offered rate are in `stockhold bench`, beside the disk alone; those of cold keys in
//! `--bench keys`, those of openings in `--bench recovery`.

#[path = "../common/mod.rs"]
mod common;
mod storm;
mod threads;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::{insist, machine, sale};
use stockhold::{Config, Engine, OpKey, Position, Reserve, StockKey};
use threads::Threads;

const ROUNDS: usize = 3;
/// Decisions that may wait for their acknowledgement at once.
const IN_FLIGHT: u64 = 131_072;
/// The bits of a name for its number; the bits above are the client.
const OF_THREAD: u32 = 40;

/// The calls of a client for each hold.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hold,
    /// With an op key.
    Once,
    /// Every other hold is released at once.
    HalfReleased,
}

fn main() {
    machine();
    let dir = common::scratch("goals");
    let rows = [
        ("durable holds of one hot key", Kind::Hold, 6_000_000, 5.0),
        ("the same, each with an op key", Kind::Once, 2_000_000, 3.0),
        ("durable holds, half of them released", Kind::HalfReleased, 4_000_000, 2.0),
    ];
    for (what, kind, count, goal) in rows {
        let rounds = (0..ROUNDS).map(|_| {
            let engine = Engine::open(&dir, config()).unwrap();
            let round = durable(&engine, kind, count);
            drop(engine);
            let _ = fs::remove_dir_all(&dir);
            round
        });
        let (millions, threads) = rounds.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
        verdict(what, millions, "M/s", goal, millions >= goal);
        println!("    processor time of each, ns: {threads}");
    }
    let (reserve_ns, refusal_ns) = in_memory();
    verdict("a reserve in memory, one thread", reserve_ns, "ns", 80.0, reserve_ns <= 80.0);
    verdict("a refusal at sold-out, with a live hold", refusal_ns, "ns", 25.0, refusal_ns <= 25.0);
    let storms = (0..ROUNDS).map(|_| storm::measure());
    let storm = storms.min_by(|one, other| one.worse().total_cmp(&other.worse())).unwrap();
    println!("{storm}");
    verdict(
        "reserve p99 while a million holds expire, against before",
        storm.worse(),
        "x",
        2.0,
        storm.worse() <= 2.0,
    );
}

fn config() -> Config {
    Config::default().holds_max(20_000_000).op_keys_max(20_000_000)
}

fn verdict(what: &str, seen: f64, unit: &str, goal: f64, reached: bool) {
    let verdict = if reached { "reached" } else { "MISSED" };
    println!("{what:<54} {seen:>8.2} {unit:<4} goal {goal:>5} {verdict}");
}

/// Two pipelined threads. Returns millions of holds per second, and the processor time of each thread.
fn durable(engine: &Engine, kind: Kind, count: u64) -> (f64, Threads) {
    let key = sale(engine, 2 * count);
    let before = Threads::now();
    let began = Instant::now();
    thread::scope(|scope| {
        for client in 0..2 {
            let work = move || work(engine, key, kind, client, count / 2);
            thread::Builder::new().name("client".into()).spawn_scoped(scope, work).unwrap();
        }
    });
    let elapsed = began.elapsed();
    (count as f64 / elapsed.as_secs_f64() / 1e6, Threads::now().since(&before, count))
}

fn work(engine: &Engine, key: StockKey, kind: Kind, client: u64, count: u64) {
    let (mut oldest, mut newest) = (Position::default(), Position::default());
    for number in 0..count {
        let name = client << OF_THREAD | number;
        let reference = name.to_le_bytes();
        let mut request = Reserve::units(key, 1).reference(&reference);
        if kind == Kind::Once {
            // Spread like random ones, and never with a time in it.
            request = request.op_key(OpKey(name.wrapping_mul(0x9e37_79b9_7f4a_7c15).into()));
        }
        let receipt = insist(|| engine.reserve(request));
        newest = receipt.position();
        let hold = receipt.not_yet_durable().hold;
        if kind == Kind::HalfReleased && number % 2 == 0 {
            let receipt = insist(|| engine.release(hold));
            newest = receipt.position();
            let _ = receipt.not_yet_durable();
        }
        if number % (IN_FLIGHT / 4) == 0 {
            engine.wait(std::mem::replace(&mut oldest, newest)).unwrap();
        }
    }
    engine.wait(newest).unwrap();
    threads::add_this(); // this thread has ended when the others are read
}

/// The nanoseconds of a reserve with used slots and memory, and of a refusal.
fn in_memory() -> (f64, f64) {
    const LAP: u64 = 200_000;
    let engine = Engine::in_memory(config()).unwrap();
    let key = sale(&engine, LAP);
    let laps: Vec<f64> = (0..9)
        .map(|_| {
            let began = Instant::now();
            let holds: Vec<_> = (0..LAP)
                .map(|name: u64| {
                    let reference = name.to_le_bytes();
                    insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference)))
                        .not_yet_durable()
                        .hold
                })
                .collect();
            let each_ns = began.elapsed().as_nanos() as f64 / LAP as f64;
            for hold in holds {
                let _ = insist(|| engine.release(hold)).not_yet_durable();
            }
            engine.level(key).unwrap(); // waits for the log and the fold
            each_ns
        })
        .collect();
    let _all = insist(|| engine.reserve(Reserve::units(key, LAP as u32).ttl(Duration::from_secs(600))));
    let began = Instant::now();
    let calls = 5_000_000;
    for _ in 0..calls {
        assert!(engine.reserve(Reserve::units(key, 1)).is_err());
    }
    (laps.into_iter().fold(f64::INFINITY, f64::min), began.elapsed().as_nanos() as f64 / f64::from(calls))
}
