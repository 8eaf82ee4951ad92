//! The throughput and latency of the engine on this machine, beside a careful hand-written baseline, in the
//! same run.
//!
//! `cargo bench -p stockhold-benches --bench engine`; `STOCKHOLD_BENCH_HOLDS` sets the size (Default =
//! 2,000,000 holds a row), and `STOCKHOLD_BENCH_DIR` where the durable rows write (Default = a fresh
//! directory under the build's). Not in any figure: a network, replication. The baseline is a
//! `Mutex<HashMap>` of stock and holds and, where durable, a plain file with one `fdatasync` a group.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{baseline, machine, sale};
use stockhold::retry::Retry;
use stockhold::{Config, Durability, Engine, Reserve, StockKey};

fn holds() -> u64 {
    std::env::var("STOCKHOLD_BENCH_HOLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_000)
}

fn main() {
    let scratch = common::scratch("engine");
    machine();
    bytes_a_hold(); // first: memory that another row has freed would hide the growth
    println!("\n{:<58} {:>14} {:>14} {:>7}", "", "stockhold", "baseline", "better");
    memory_reserve(1);
    memory_reserve(2);
    refusals(1);
    refusals(2);
    durable(&scratch, 2);
    open_loop(&scratch);
    let _ = fs::remove_dir_all(&scratch);
}

fn row(what: &str, ours: f64, baseline: f64, unit: &str) {
    // How many times better; below 1 the engine loses.
    let better = if unit == "ns" { baseline / ours } else { ours / baseline };
    println!("{what:<58} {:>14} {:>14} {better:>6.1}x", figure(ours, unit), figure(baseline, unit));
}

fn figure(value: f64, unit: &str) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2} M{unit}", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} k{unit}", value / 1e3),
        _ => format!("{value:.1} {unit}"),
    }
}

fn reserve(engine: &Engine, key: StockKey, number: u64) -> stockhold::Position {
    let reference = number.to_le_bytes();
    let request = Reserve::units(key, 1).reference(&reference);
    let receipt =
        Retry::yielding().call(|| engine.reserve(request)).unwrap_or_else(|error| panic!("{error}"));
    let position = receipt.position();
    let _ = receipt.not_yet_durable();
    position
}

/// Runs `work(thread, index)` on every thread, and returns the decisions per second.
fn rate(threads: u64, count: u64, work: impl Fn(u64, u64) + Sync) -> f64 {
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || (0..count / threads).for_each(|index| work(thread, index)));
        }
    });
    count as f64 / began.elapsed().as_secs_f64()
}

fn memory_reserve(threads: u64) {
    let count = holds();
    let engine = Engine::in_memory(Config::default().holds_max(count as u32 * 2)).unwrap();
    let key = sale(&engine, count);
    let ours = rate(threads, count, |thread, index| {
        reserve(&engine, key, thread << 32 | index);
    });
    let busy = engine.metrics().busy();
    let plain = baseline(count);
    let theirs = rate(threads, count, |thread, index| {
        assert!(plain.lock().unwrap().reserve(thread << 32 | index));
    });
    row(&format!("reserve, in memory, one hot key, {threads} thread(s)"), ours, theirs, "/s");
    if busy > 0 {
        println!("    ({busy} times Busy, retried)");
    }
}

fn refusals(threads: u64) {
    let count = holds() * 4;
    let engine = Engine::in_memory(Config::default()).unwrap();
    let key = sale(&engine, 1);
    reserve(&engine, key, 0);
    let refused = |_, _| assert!(engine.reserve(Reserve::units(key, 1)).is_err());
    let ours = 1e9 * threads as f64 / rate(threads, count, refused);
    let plain = baseline(0);
    let theirs = 1e9 * threads as f64
        / rate(threads, count, |_, index| assert!(!plain.lock().unwrap().reserve(index)));
    row(&format!("refusal at sold-out, ns a thread, {threads} thread(s)"), ours, theirs, "ns");
}

/// Half of the decisions of a thread that may wait for their acknowledgement at once: it waits for the mark
/// before the last.
const IN_FLIGHT: u64 = 32_768;

fn durable(scratch: &Path, threads: u64) {
    let count = holds();
    for durability in [Durability::Sync, Durability::Interval(Duration::from_millis(100))] {
        let directory = scratch.join(format!("{durability:?}"));
        let config = Config::default().holds_max(count as u32 * 2).durability(durability);
        let engine = Engine::open(&directory, config).unwrap();
        let key = sale(&engine, count);
        let began = Instant::now();
        thread::scope(|scope| {
            for thread in 0..threads {
                let engine = &engine;
                scope.spawn(move || {
                    let mut oldest = engine.durable();
                    let mut newest = oldest;
                    for index in 0..count / threads {
                        newest = reserve(engine, key, thread << 32 | index);
                        if index % IN_FLIGHT == IN_FLIGHT - 1 {
                            engine.wait(oldest).unwrap();
                            oldest = newest;
                        }
                    }
                    engine.wait(newest).unwrap();
                });
            }
        });
        let ours = count as f64 / began.elapsed().as_secs_f64();
        let metrics = engine.metrics();
        let theirs = durable_baseline(&scratch.join("plain"), threads, count);
        row(&format!("durable reserve, {durability:?}, {threads} threads, pipelined"), ours, theirs, "/s");
        println!(
            "    {:.1} log bytes a hold with an 8-byte reference, everything included; {} groups, the largest of {} \
             records; sync p50 <= {:?}, p99 <= {:?}; {} times Busy",
            metrics.log_bytes as f64 / metrics.records as f64,
            metrics.groups,
            metrics.group_records_max,
            metrics.sync_latency.quantile(0.5),
            metrics.sync_latency.quantile(0.99),
            metrics.busy(),
        );
    }
}

/// The same work with a plain file: decide under the lock, append, one `fdatasync` for all that gathered
/// meanwhile.
fn durable_baseline(path: &Path, threads: u64, count: u64) -> f64 {
    let plain = baseline(count);
    let queue: Mutex<Vec<u8>> = Mutex::default();
    let done = AtomicBool::new(false);
    let mut file = File::create(path).unwrap();
    let began = Instant::now();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            loop {
                let last = done.load(Ordering::Acquire);
                let group = std::mem::take(&mut *queue.lock().unwrap());
                if group.is_empty() {
                    if last {
                        return;
                    }
                    thread::yield_now();
                    continue;
                }
                file.write_all(&group).unwrap();
                file.sync_data().unwrap();
            }
        });
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (plain, queue) = (&plain, &queue);
                scope.spawn(move || {
                    for index in 0..count / threads {
                        let hold = thread << 32 | index;
                        // Under the lock, so that the file has the order of the decisions.
                        let mut stock = plain.lock().unwrap();
                        assert!(stock.reserve(hold));
                        let mut queue = queue.lock().unwrap();
                        queue.extend_from_slice(&hold.to_le_bytes());
                        queue.extend_from_slice(&[1; 24]);
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Release);
        writer.join().unwrap();
    });
    count as f64 / began.elapsed().as_secs_f64()
}

/// 100,000 reserves a second arrive whether or not the engine keeps up; each is timed from when it should
/// have come.
fn open_loop(scratch: &Path) {
    const RATE: u64 = 100_000;
    let count = RATE * 3;
    let engine = Engine::open(scratch.join("open-loop"), Config::default()).unwrap();
    let key = sale(&engine, count);
    let (sender, receiver) = crossbeam::channel::unbounded::<(Instant, stockhold::Position)>();
    let mut latencies_us = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut latencies_us = Vec::with_capacity(count as usize);
            for (due, position) in receiver {
                engine.wait(position).unwrap();
                latencies_us.push(due.elapsed().as_micros() as u64);
            }
            latencies_us
        });
        let began = Instant::now();
        for index in 0..count {
            let due = began + Duration::from_nanos(index * 1_000_000_000 / RATE);
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            sender.send((due, reserve(&engine, key, index))).unwrap();
        }
        drop(sender);
        waiter.join().unwrap()
    });
    latencies_us.sort_unstable();
    let at = |quantile: f64| latencies_us[((count - 1) as f64 * quantile) as usize] as f64 / 1_000.0;
    println!(
        "100,000/s offered, Sync: acknowledged after p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn bytes_a_hold() {
    let count = holds();
    let engine = Engine::in_memory(Config::default().holds_max(count as u32 * 2)).unwrap();
    let key = sale(&engine, count * 2);
    (0..1_000).for_each(|index| _ = reserve(&engine, key, index));
    engine.level(key).unwrap();
    let before = resident_bytes();
    for index in 0..count {
        reserve(&engine, key, index);
        if index % 65_536 == 0 {
            engine.sweep();
        }
    }
    engine.level(key).unwrap();
    // Deadlines into the wheel, where the driver has not put them yet.
    thread::sleep(Duration::from_millis(100));
    let bytes = resident_bytes().saturating_sub(before) as f64 / count as f64;
    println!("memory: {bytes:.0} bytes a live hold with an 8-byte reference ({count} holds, one thread)");
}
