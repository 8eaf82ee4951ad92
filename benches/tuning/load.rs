//! Buyers that reserve as fast as they can, with a limit of reserves in flight.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use stockhold::{Engine, Position, Receive, Reserve, StockKey};

use crate::common::insist;

/// How long each load lasts.
const LASTS: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
pub struct Load {
    pub threads: usize,
    /// The reserves in flight of all threads: a thread with its share waits for the oldest. 0 = acknowledged
    /// at once.
    pub in_flight: usize,
}

/// The measured figures.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub per_second: f64,
    /// The time from the call to its acknowledgement.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The `Busy` answers in a thousand calls.
    pub busy_permille: f64,
}

/// Declares keys with more units than any load takes.
pub fn stocked(engine: &Engine, count: usize) -> Vec<StockKey> {
    let keys: Vec<_> =
        (0..count).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "here"))).collect();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, 100_000_000))).not_yet_durable();
    }
    settle(engine, keys[0]);
    keys
}

/// Waits until the log and the fold have nothing to do.
pub fn settle(engine: &Engine, key: StockKey) {
    engine.wait(engine.metrics().position_drawn).expect("the log is durable");
    engine.level(key).expect("the fold runs");
}

/// Runs buyers that reserve from one key after another.
pub fn run(engine: &Engine, keys: &[StockKey], load: Load) -> Seen {
    let busy = engine.metrics().busy();
    let until = Instant::now() + LASTS;
    let (mut made, mut waits_ms) = (0, Vec::new());
    let began = Instant::now();
    thread::scope(|scope| {
        let buy = |buyer| move || buy(engine, keys, buyer, load.in_flight.div_ceil(load.threads), until);
        let buyers: Vec<_> = (0..load.threads).map(|buyer| scope.spawn(buy(buyer))).collect();
        for buyer in buyers {
            let (count, waits) = buyer.join().expect("a buyer ends");
            made += count;
            waits_ms.extend(waits);
        }
    });
    let per_second = made as f64 / began.elapsed().as_secs_f64();
    let busy = (engine.metrics().busy() - busy) as f64;
    waits_ms.sort_unstable_by(f64::total_cmp);
    let at = |quantile: f64| waits_ms[((waits_ms.len() - 1) as f64 * quantile) as usize];
    Seen { per_second, p50_ms: at(0.5), p99_ms: at(0.99), busy_permille: 1e3 * busy / (busy + made as f64) }
}

/// One call in 16 is timed, or each of a few.
fn buy(
    engine: &Engine,
    keys: &[StockKey],
    buyer: usize,
    in_flight: usize,
    until: Instant,
) -> (usize, Vec<f64>) {
    let timed = (in_flight / 16).clamp(1, 16);
    let mut flying: VecDeque<(Instant, Position)> = VecDeque::new();
    let mut waits_ms = Vec::new();
    let mut made = 0;
    let land = |flying: &mut VecDeque<(Instant, Position)>, waits_ms: &mut Vec<f64>| {
        let (durable, now) = (engine.durable(), Instant::now());
        while flying.front().is_some_and(|front| front.1 <= durable) {
            let (called, _) = flying.pop_front().expect("there is one");
            waits_ms.push((now - called).as_secs_f64() * 1e3);
        }
    };
    while made % 64 != 0 || Instant::now() < until {
        let called = Instant::now();
        let reference = (made as u64).to_le_bytes();
        let key = keys[(made + buyer * keys.len() / 2) % keys.len()];
        let receipt = insist(|| engine.reserve(Reserve::units(key, 1).reference(&reference)));
        let position = receipt.position();
        let _ = receipt.not_yet_durable();
        made += 1;
        if in_flight == 0 {
            if made % 16 == 0 {
                waits_ms.push(called.elapsed().as_secs_f64() * 1e3);
            }
        } else if made % timed == 0 {
            flying.push_back((called, position));
            if flying.len() * timed >= in_flight {
                engine.wait(flying[0].1).expect("the log is durable");
                land(&mut flying, &mut waits_ms);
            } else if made % 64 == 0 {
                land(&mut flying, &mut waits_ms);
            }
        }
    }
    if let Some((_, last)) = flying.back() {
        engine.wait(*last).expect("the log is durable");
        land(&mut flying, &mut waits_ms);
    }
    (made, waits_ms)
}
