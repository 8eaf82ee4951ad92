//! The effect of `checkpoint_bytes` on the sale, on the disk, and on the opening after a kill.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stockhold::{Config, Engine};

use crate::common::insist;
use crate::load::{settle, stocked};
use crate::{bytes, count, head, ms, row};

/// The number of reserves, each released: some 130 MB of log.
const CYCLES: usize = 3_000_000;
const IN_FLIGHT: usize = 16_384;

/// `checkpoint_bytes` in MiB, and whether a ledger is kept.
const SETTINGS: [(usize, bool); 5] = [(1, false), (16, false), (64, false), (64, true), (256, false)];

fn config(which: usize) -> Config {
    let (mib, ledger) = SETTINGS[which];
    Config::default().checkpoint_bytes(mib << 20).ledger_kept(ledger.then_some(Duration::from_secs(86_400)))
}

pub fn checkpoints(scratch: &Path) -> String {
    let mut table =
        head(&["`checkpoint_bytes`", "decisions/s", "on disk", "opened after a kill in", "replayed"]);
    for (which, (mib, ledger)) in SETTINGS.into_iter().enumerate() {
        let directory = scratch.join("killed");
        let killed = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg("killed")
            .arg(&directory)
            .arg(which.to_string())
            .stderr(Stdio::null())
            .output()
            .expect("this program can be started");
        let per_second: f64 =
            String::from_utf8_lossy(&killed.stdout).trim().parse().expect("the killed child says its rate");
        let disk = bytes_under(&directory);
        let began = Instant::now();
        let engine = Engine::open(&directory, config(which)).expect("it opens again");
        let opened_ms = began.elapsed().as_secs_f64() * 1e3;
        let replayed = engine.report().records;
        drop(engine);
        std::fs::remove_dir_all(&directory).expect("it can be removed");
        let name = format!("{}{}", bytes(mib << 20), if ledger { " and a ledger" } else { "" });
        let (per_second, replayed) = (count(per_second), count(replayed as f64));
        table += &row(&[name, per_second, bytes(disk), ms(opened_ms), replayed]);
    }
    table
}

/// Sells, prints the rate, and ends like a killed process.
pub fn be_killed(directory: &Path, which: usize) -> ! {
    let engine = Engine::open(directory, config(which).ttl_default(Duration::from_secs(86_400)))
        .expect("a fresh directory opens");
    let keys = stocked(&engine, 1_000);
    let began = Instant::now();
    let mut mark = engine.durable();
    for number in 0..CYCLES {
        let key = keys[number % keys.len()];
        let reserve = || engine.reserve(stockhold::Reserve::units(key, 1).reference("order-17"));
        let hold = insist(reserve).not_yet_durable().hold;
        let released = insist(|| engine.release(hold));
        let position = released.position();
        let _ = released.not_yet_durable();
        if number % IN_FLIGHT == 0 {
            engine.wait(std::mem::replace(&mut mark, position)).expect("the log is durable");
        }
    }
    settle(&engine, keys[0]);
    println!("{}", 2.0 * CYCLES as f64 / began.elapsed().as_secs_f64());
    std::process::abort();
}

fn bytes_under(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_under(&entry.path()),
        Ok(found) => found.len() as usize,
        Err(_) => 0,
    });
    bytes.sum()
}
