//! Loads of reserves with one setting after another.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use stockhold::{Config, Durability, Engine};

use crate::load::{Load, Seen, run, stocked};
use crate::{bytes, count, head, ms, row};

fn config() -> Config {
    Config::default().ttl_default(Duration::from_secs(86_400))
}

/// Runs one load on an engine of its own.
fn once(scratch: &Path, level: Durability, config: Config, keys: usize, load: Load) -> Seen {
    let directory = scratch.join("once");
    let engine = match level {
        Durability::Memory => Engine::in_memory(config),
        _ => Engine::open(&directory, config.durability(level)),
    };
    let engine = engine.expect("an engine opens");
    let keys = stocked(&engine, keys);
    let seen = run(&engine, &keys, load);
    engine.shutdown().expect("it closes");
    drop(engine);
    let _ = std::fs::remove_dir_all(&directory); // none in memory
    seen
}

/// Durability levels, and how many reserves one thread has in flight.
pub fn in_flight(scratch: &Path) -> String {
    let every = |ms| Durability::Interval(Duration::from_millis(ms));
    let levels = [Durability::Sync, every(10), every(1_000), Durability::Memory];
    let mut table = head(&["in flight", "`Sync`", "`Interval` of 10 ms", "`Interval` of 1 s", "`Memory`"]);
    for in_flight in [1, 16, 256, 4_096, 65_536] {
        let cells = levels.map(|level| {
            let at_once = level == Durability::Memory;
            if at_once && in_flight > 1 {
                return String::new();
            }
            let in_flight = if at_once { 0 } else { in_flight };
            let seen = once(scratch, level, config(), 1, Load { threads: 1, in_flight });
            format!("{}/s, {} / {}", count(seen.per_second), ms(seen.p50_ms), ms(seen.p99_ms))
        });
        table += &row(&[vec![in_flight.to_string()], cells.into()].concat());
    }
    table
}

pub fn ring(scratch: &Path) -> String {
    let mut table = head(&["ring", "holds/s", "acknowledged p50 / p99", "`Busy`, of 1,000 calls"]);
    for ring_bytes in [64 << 10, 1 << 20, 8 << 20, 64 << 20] {
        let load = Load { threads: 2, in_flight: usize::MAX >> 1 };
        let seen = once(scratch, Durability::Sync, config().ring_bytes(ring_bytes), 1, load);
        table += &row(&[
            bytes(ring_bytes),
            count(seen.per_second),
            format!("{} / {}", ms(seen.p50_ms), ms(seen.p99_ms)),
            count(seen.busy_permille),
        ]);
    }
    table
}

pub fn threads(scratch: &Path) -> String {
    let mut table = head(&["threads", "holds/s", "acknowledged p50 / p99"]);
    for threads in [1, 2, 4, 8, 64] {
        let seen = once(scratch, Durability::Sync, config(), 1, Load { threads, in_flight: 4_096 });
        table += &row(&[
            threads.to_string(),
            count(seen.per_second),
            format!("{} / {}", ms(seen.p50_ms), ms(seen.p99_ms)),
        ]);
    }
    table
}

/// One hot key against many.
pub fn keys(scratch: &Path) -> String {
    let mut table = head(&["stock keys", "`Memory`, 1 thread", "`Memory`, 2 threads", "`Sync`, 2 threads"]);
    for keys in [1, 10_000, 1_000_000] {
        let cell = |durability, threads| {
            let in_flight = if durability == Durability::Memory { 0 } else { 16_384 };
            let load = Load { threads, in_flight };
            let seen = once(scratch, durability, config(), keys, load);
            format!("{}/s", count(seen.per_second))
        };
        table += &row(&[
            count(keys as f64),
            cell(Durability::Memory, 1),
            cell(Durability::Memory, 2),
            cell(Durability::Sync, 2),
        ]);
    }
    table
}

/// The disk by itself: 4 KiB are appended to a file and synced.
pub fn disk(scratch: &Path) -> String {
    let mut table = head(&["where", "4 KiB and `fdatasync`, p50 / p99", "one hold at a time, `Sync`"]);
    let mut places = vec![(filesystem(scratch), scratch.to_path_buf())];
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        places.push((format!("{}, which is no disk", filesystem(memory.path())), memory.keep()));
    }
    for (name, directory) in &places {
        let mut file = File::create(directory.join("synced")).expect("a file can be made");
        let mut waits_ms: Vec<f64> = (0..500)
            .map(|_| {
                let began = Instant::now();
                file.write_all(&[7; 4_096]).and_then(|()| file.sync_data()).expect("the disk takes it");
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits_ms.sort_unstable_by(f64::total_cmp);
        let seen = once(directory, Durability::Sync, config(), 1, Load { threads: 1, in_flight: 1 });
        table += &row(&[
            name.clone(),
            format!("{} / {}", ms(waits_ms[250]), ms(waits_ms[495])),
            format!("{}/s, {} / {}", count(seen.per_second), ms(seen.p50_ms), ms(seen.p99_ms)),
        ]);
    }
    for (_, directory) in places.iter().skip(1) {
        std::fs::remove_dir_all(directory).expect("it can be removed");
    }
    table
}

/// The file system that a directory is on: that of the longest mount point above it.
fn filesystem(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    let above = mounts.lines().filter_map(of).filter(|(point, _)| directory.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or_else(|| "unknown".into(), |(_, name)| name)
}
