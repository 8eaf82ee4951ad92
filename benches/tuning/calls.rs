//! Several ways to reserve the same units, in memory on one thread.

use std::path::Path;
use std::time::Duration;

use stockhold::{CartLine, Config, Engine, HoldId, OpKey, Reserve, ReserveCart, StockKey};

use crate::common::insist;
use crate::load::{settle, stocked};
use crate::stopwatch::{Stopwatch, median};
use crate::{count, head, row};

const LINES: usize = 4;
const BATCH: usize = 64;
/// The calls of a lap, and the number of laps.
const LAP: usize = 5_000;
const LAPS: usize = 9;

fn opened() -> Engine {
    let config = Config::default().ttl_default(Duration::from_secs(86_400));
    Engine::in_memory(config).expect("an engine in memory opens")
}

/// The processor time of each way to reserve units.
pub fn calls(_: &Path) -> String {
    let engine = opened();
    let keys = stocked(&engine, LINES);
    let lines: Vec<CartLine> = keys.iter().map(|key| CartLine::units(*key, 1)).collect();
    let reserve = |key: &StockKey| insist(|| engine.reserve(Reserve::units(*key, 1))).not_yet_durable().hold;
    let batch: Vec<_> = (0..BATCH).map(|at| Reserve::units(keys[at % LINES], 1)).collect();
    let mut name = 0_u128;
    let mut once = || {
        name += 1;
        let request = Reserve::units(keys[0], 1).op_key(OpKey(name << 64 | 7));
        insist(|| engine.reserve(request)).not_yet_durable().hold
    };
    let mut table = head(&["way", "ns a call", "ns a unit", "bytes of log a unit"]);
    let mut measure = |way: &str, units: usize, call: &mut dyn FnMut() -> Vec<HoldId>| {
        let calls = LAP / units;
        let mut words = 0;
        let laps = (0..LAPS).map(|_| {
            let before = engine.metrics().position_drawn.0;
            let mut holds = Vec::with_capacity(LAP);
            let watch = Stopwatch::start();
            (0..calls).for_each(|_| holds.extend(call()));
            let took = watch.each(calls).cpu_ns;
            words = engine.metrics().position_drawn.0 - before;
            for hold in holds {
                insist(|| engine.release(hold)).not_yet_durable();
            }
            settle(&engine, keys[0]);
            took
        });
        let ns = median(laps);
        table += &row(&[
            way.to_owned(),
            count(ns),
            count(ns / units as f64),
            count(words as f64 * 8.0 / (calls * units) as f64),
        ]);
    };
    measure("`reserve`", 1, &mut || vec![reserve(&keys[0])]);
    measure("`reserve` with an op key", 1, &mut || vec![once()]);
    measure("four `reserve`s, one after another", LINES, &mut || keys.iter().map(reserve).collect());
    measure("`reserve_cart` of four lines", LINES, &mut || {
        vec![insist(|| engine.reserve_cart(ReserveCart::lines(&lines))).not_yet_durable().hold]
    });
    measure("`reserve_batch` of 64", BATCH, &mut || {
        let all = engine.reserve_batch(&batch).into_iter();
        all.filter_map(|one| one.ok().map(|receipt| receipt.not_yet_durable().hold)).collect()
    });
    table
}
