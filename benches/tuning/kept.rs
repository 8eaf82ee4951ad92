//! The memory of each kind of kept entry, measured in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use stockhold::{Config, Engine, HoldId, OpKey, Reserve, StockKey};

use crate::common::insist;
use crate::load::{settle, stocked};
use crate::{count, head, row};

/// The number of measured entries, and of entries before them, after which fixed memory is allocated.
const KEPT: u64 = 500_000;
const BEFORE: u64 = 20_000;

type Keep = fn(&Engine, StockKey, u64);

const KINDS: [(&str, Keep); 4] = [
    ("live hold, 8-byte reference", |engine, key, name| {
        hold(engine, Reserve::units(key, 1).reference(&name.to_le_bytes()));
    }),
    ("confirmed, not shipped", |engine, key, name| {
        let hold = hold(engine, Reserve::units(key, 1).reference(&name.to_le_bytes()));
        insist(|| engine.confirm(hold)).not_yet_durable();
    }),
    ("op key, its hold released", |engine, key, name| {
        let hold = hold(engine, Reserve::units(key, 1).op_key(OpKey(u128::from(name) << 64 | 7)));
        insist(|| engine.release(hold)).not_yet_durable();
    }),
    ("stock key of 14 letters", |engine, _, name| {
        insist(|| engine.declare(&format!("{name:010}"), "here"));
    }),
];

fn hold(engine: &Engine, request: Reserve<'_>) -> HoldId {
    insist(|| engine.reserve(request)).not_yet_durable().hold
}

pub fn kept(_: &Path) -> String {
    let mut table = head(&["kept", "bytes each", "a million"]);
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        let child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["kept", &number.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("this program can be started");
        let each: f64 = String::from_utf8_lossy(&child.stdout).trim().parse().expect("the child says bytes");
        table +=
            &row(&[kind.to_string(), count(each), format!("{:.0} MiB", each * 1e6 / f64::from(1 << 20))]);
    }
    table
}

/// Runs in the child: makes the entries, and prints the bytes of each.
pub fn child(number: usize) {
    let (_, keep) = KINDS[number];
    let config = Config::default().ttl_default(Duration::from_secs(86_400)).ring_bytes(64 << 10);
    let engine = Engine::in_memory(config).expect("an engine in memory opens");
    let key = stocked(&engine, 1)[0];
    (0..BEFORE).for_each(|name| keep(&engine, key, KEPT + name));
    settle(&engine, key);
    let before = resident_bytes();
    for name in 0..KEPT {
        keep(&engine, key, name);
        if name % 65_536 == 0 {
            engine.sweep(); // moves deadlines into the wheel
        }
    }
    settle(&engine, key);
    thread::sleep(Duration::from_millis(50));
    println!("{}", (resident_bytes() - before) / KEPT as f64);
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4_096.0
}
