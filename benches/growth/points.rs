//! The measurement of each point, in a process of its own, so that memory and caches of other points do not
//! count.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stockhold::{CartLine, Config, Engine, HoldId, Receive, Reserve, ReserveCart, StockKey};
use stockhold_seeded::Rng;

use crate::common::insist;
use crate::stopwatch::{Stopwatch, Took, median};

/// The most operations of a lap, and the number of laps for the median; one lap before them warms up.
const LAP: usize = 20_000;
const LAPS: usize = 7;
/// The number of stock keys for many holds, and the units of each.
const KEYS_OF_MANY_HOLDS: u64 = 1_000;
const UNITS: u32 = 1_000_000;
/// The reserves of all threads in a lap, and the refusals.
const SHARED: usize = 800_000;
const SHARED_REFUSALS: usize = 4_000_000;
/// Decisions in flight at an unlimited rate; one of `TIMED` is timed.
const IN_FLIGHT: usize = 65_536;
const TIMED: usize = 16;

/// Long-lived holds, and only requested checkpoints.
fn config() -> Config {
    let day = Duration::from_secs(86_400);
    Config::default().ttl_default(day).holds_max(1 << 30).checkpoint_bytes(512 << 20).ring_bytes(64 << 20)
}

fn reserve(engine: &Engine, key: StockKey, name: u64) -> HoldId {
    let reference = name.to_le_bytes();
    insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference))).not_yet_durable().hold
}

fn release(engine: &Engine, hold: HoldId) {
    insist(|| engine.release(hold)).not_yet_durable();
}

fn declared(engine: &Engine, keys: u64) -> Vec<StockKey> {
    let keys: Vec<_> =
        (0..keys).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "here"))).collect();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, UNITS))).not_yet_durable();
    }
    settle(engine, keys[0]);
    keys
}

/// Receives more units than any point takes of one key.
fn stock(engine: &Engine, key: StockKey) {
    for _ in 0..20 {
        insist(|| engine.receive(Receive::units(key, UNITS))).not_yet_durable();
    }
}

/// Waits until the log and the fold have nothing to do.
fn settle(engine: &Engine, key: StockKey) {
    engine.wait(engine.metrics().position_drawn).expect("the log is durable");
    engine.level(key).expect("the fold runs");
}

/// The median of the laps.
fn laps(mut lap: impl FnMut() -> Took) -> Took {
    lap();
    let all: Vec<Took> = (0..LAPS).map(|_| lap()).collect();
    Took {
        wall_ns: median(all.iter().map(|took| took.wall_ns)),
        cpu_ns: median(all.iter().map(|took| took.cpu_ns)),
    }
}

/// Many keys: a reserve and a refusal of random ones, and a checkpoint after all have changed.
pub fn keys(directory: &Path, count: u64) -> Vec<f64> {
    let engine = Engine::open(directory, config()).expect("a fresh directory opens");
    let keys = declared(&engine, count);
    let began = Instant::now();
    engine.checkpoint().expect("the log is durable");
    let checkpoint_ns = began.elapsed().as_nanos() as f64 / count as f64;
    let mut rng = Rng::new(1);
    let reserves = laps(|| {
        let chosen: Vec<StockKey> = (0..LAP).map(|_| keys[rng.index(keys.len())]).collect();
        let mut holds = Vec::with_capacity(LAP);
        let watch = Stopwatch::start();
        holds.extend(chosen.iter().zip(0..).map(|(key, name)| reserve(&engine, *key, name)));
        let took = watch.each(LAP);
        holds.into_iter().for_each(|hold| release(&engine, hold));
        settle(&engine, keys[0]);
        took
    });
    let refusals = laps(|| {
        let chosen: Vec<StockKey> = (0..LAP).map(|_| keys[rng.index(keys.len())]).collect();
        let watch = Stopwatch::start();
        for key in chosen {
            assert!(engine.reserve(Reserve::units(key, UNITS + 1)).is_err());
        }
        watch.each(LAP)
    });
    engine.checkpoint().expect("the log is durable");
    engine.shutdown().expect("it closes");
    vec![reserves.cpu_ns, reserves.wall_ns, refusals.cpu_ns, checkpoint_ns]
}

/// Many live holds: a reserve beside them, a release of a random one, and their first checkpoint.
pub fn holds(directory: &Path, count: u64) -> Vec<f64> {
    let engine = Engine::open(directory, config()).expect("a fresh directory opens");
    let keys = declared(&engine, KEYS_OF_MANY_HOLDS);
    let mut rng = Rng::new(1);
    let mut one = |name| reserve(&engine, keys[rng.index(keys.len())], name);
    let mut holds: Vec<HoldId> = (0..count).map(&mut one).collect();
    settle(&engine, keys[0]);
    let began = Instant::now();
    engine.checkpoint().expect("the log is durable");
    let checkpoint_ns = began.elapsed().as_nanos() as f64 / count as f64;
    let mut which = Rng::new(2);
    let lap = LAP.min(holds.len());
    let mut releases = Vec::new();
    let reserves = laps(|| {
        let at = which.index(holds.len());
        let chosen: Vec<usize> =
            (0..lap).map(|step| (at + step * (holds.len() / lap)) % holds.len()).collect();
        let watch = Stopwatch::start();
        chosen.iter().for_each(|at| release(&engine, holds[*at]));
        releases.push(watch.each(lap));
        settle(&engine, keys[0]);
        let watch = Stopwatch::start();
        chosen.iter().for_each(|at| holds[*at] = one(*at as u64));
        let took = watch.each(lap);
        settle(&engine, keys[0]);
        took
    });
    engine.checkpoint().expect("the log is durable");
    engine.shutdown().expect("it closes");
    vec![reserves.cpu_ns, reserves.wall_ns, median(releases.iter().map(|took| took.cpu_ns)), checkpoint_ns]
}

/// An opening of the directory that one of those has left.
pub fn opening(directory: &Path, count: u64) -> Vec<f64> {
    let began = Instant::now();
    let engine = Engine::open(directory, config()).expect("it opens again");
    let each = began.elapsed().as_nanos() as f64 / count as f64;
    drop(engine);
    vec![each]
}

/// The memory of one entry, by an engine in memory with many: keys, or holds of one key.
pub fn memory(of_holds: bool, count: u64) -> Vec<f64> {
    // A small ring, which is all in use before the measurement.
    let engine = Engine::in_memory(config().ring_bytes(64 << 10)).expect("an engine in memory opens");
    let hot = declared(&engine, 1)[0];
    stock(&engine, hot);
    (0..10_000).for_each(|name| _ = reserve(&engine, hot, name));
    settle(&engine, hot);
    let before = resident_bytes();
    if of_holds {
        for name in 0..count {
            reserve(&engine, hot, name);
            if name % 65_536 == 0 {
                engine.sweep(); // moves deadlines into the wheel
            }
        }
    } else {
        for number in 0..count {
            let key = insist(|| engine.declare(&format!("sku-{number}"), "here"));
            insist(|| engine.receive(Receive::units(key, UNITS))).not_yet_durable();
        }
    }
    settle(&engine, hot);
    thread::sleep(Duration::from_millis(100));
    vec![(resident_bytes() - before) / count as f64]
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4_096.0
}

/// Many threads on one hot key in memory: processor time of a reserve and a refusal, and the total rates of
/// both.
pub fn threads(count: u64) -> Vec<f64> {
    let engine = Engine::in_memory(config()).expect("an engine in memory opens");
    let keys = declared(&engine, 2);
    let (hot, sold_out) = (keys[0], keys[1]);
    insist(|| engine.reserve(Reserve::units(sold_out, UNITS))).not_yet_durable();
    stock(&engine, hot);
    let together = |all: usize, work: &(dyn Fn() + Sync)| {
        let each = all / count as usize;
        let began = Instant::now();
        let one = || {
            let watch = Stopwatch::start();
            (0..each).for_each(|_| work());
            watch.each(each).cpu_ns
        };
        let cpu_ns = thread::scope(|scope| {
            let all: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            median(all.into_iter().map(|thread| thread.join().expect("a thread ends")))
        });
        let wall_ns = began.elapsed().as_nanos() as f64 / (each * count as usize) as f64;
        settle(&engine, hot);
        Took { wall_ns, cpu_ns }
    };
    let reserves = laps(|| together(SHARED, &|| _ = reserve(&engine, hot, 7)));
    let refusals =
        laps(|| together(SHARED_REFUSALS, &|| assert!(engine.reserve(Reserve::units(sold_out, 1)).is_err())));
    vec![reserves.cpu_ns, refusals.cpu_ns, 1e9 / reserves.wall_ns, 1e9 / refusals.wall_ns]
}

/// A cart of many lines in any order, in memory: its processor time, and that of a line.
pub fn cart(lines: u64) -> Vec<f64> {
    let engine = Engine::in_memory(config()).expect("an engine in memory opens");
    let keys = declared(&engine, lines);
    let mut rng = Rng::new(1);
    let mut of: Vec<CartLine> = keys.iter().map(|key| CartLine::units(*key, 1)).collect();
    (1..of.len()).for_each(|at| of.swap(at, rng.index(at + 1)));
    let carts = (LAP * 4 / lines as usize).clamp(20, LAP);
    let took = laps(|| {
        let mut holds = Vec::with_capacity(carts);
        let watch = Stopwatch::start();
        for _ in 0..carts {
            let cart = insist(|| engine.reserve_cart(ReserveCart::lines(&of).reference("order-17")));
            holds.push(cart.not_yet_durable().hold);
        }
        let took = watch.each(carts);
        holds.into_iter().for_each(|hold| release(&engine, hold));
        settle(&engine, keys[0]);
        took
    });
    vec![took.cpu_ns, took.cpu_ns / lines as f64]
}

/// A rate of reserves offered at `Durability::Sync`, or 0 for an unlimited rate with 65,536 in flight.
/// Returns the acknowledged rate, and the latency since each was due (p50, p99, in milliseconds). Every
/// sixteenth is timed.
pub fn rate(directory: &Path, offered: u64) -> Vec<f64> {
    let engine = Engine::open(directory, config().ring_bytes(8 << 20)).expect("a fresh directory opens");
    let key = declared(&engine, 1)[0];
    stock(&engine, key);
    let count = if offered == 0 { 4_000_000 } else { offered };
    let (sender, receiver) = crossbeam::channel::bounded(IN_FLIGHT / TIMED);
    let began = Instant::now();
    let mut waits_ms = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut waits_ms = Vec::new();
            for (due, position) in receiver {
                engine.wait(position).expect("the log is durable");
                waits_ms.push(Instant::now().duration_since(due).as_nanos() as f64 / 1e6);
            }
            waits_ms
        });
        for name in 0..count {
            let mut due = Instant::now();
            if let Some(since) = (name * 1_000_000_000).checked_div(offered) {
                due = began + Duration::from_nanos(since);
                wait_until(due);
            }
            let reference = name.to_le_bytes();
            let receipt = insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference)));
            if name as usize % TIMED == TIMED - 1 {
                sender.send((due, receipt.position())).expect("the waiter runs");
            }
            let _ = receipt.not_yet_durable();
        }
        drop(sender);
        waiter.join().expect("the waiter ends")
    });
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    waits_ms.sort_unstable_by(f64::total_cmp);
    let at = |quantile: f64| waits_ms[((waits_ms.len() - 1) as f64 * quantile) as usize];
    vec![per_second, at(0.5), at(0.99)]
}

/// Sleeps or yields until the given time.
fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match left {
            Duration::ZERO => return,
            _ if left > Duration::from_micros(150) => thread::sleep(left - Duration::from_micros(100)),
            _ => thread::yield_now(),
        }
    }
}
