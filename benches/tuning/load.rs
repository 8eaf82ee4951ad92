//! Buyers who reserve as fast as they can, with so many reserves in flight.

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
    /// Of all threads together: a thread that has its share waits for the oldest. 0 if each is acknowledged at once.
    pub in_flight: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub per_second: f64,
    /// From the call to the acknowledgement.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Answers of `Busy`, of 1,000.
    pub busy_permille: f64,
}

/// Keys with more units than any load takes.
pub fn stocked(engine: &Engine, count: usize) -> Vec<StockKey> {
    let keys: Vec<_> =
        (0..count).map(|number| insist(|| engine.declare(&format!("sku-{number}"), "here"))).collect();
    for key in &keys {
        insist(|| engine.receive(Receive::units(*key, 100_000_000))).not_yet_durable();
    }
    settle(engine, keys[0]);
    keys
}

/// Until log and fold have nothing to do.
pub fn settle(engine: &Engine, key: StockKey) {
    engine.wait(engine.metrics().position_drawn).expect("the disk takes it");
    engine.level(key).expect("the fold goes on");
}

/// Reserves under one key after the other.
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

/// One of 16 is timed, or each of a few.
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
                engine.wait(flying[0].1).expect("the disk takes it");
                land(&mut flying, &mut waits_ms);
            } else if made % 64 == 0 {
                land(&mut flying, &mut waits_ms);
            }
        }
    }
    if let Some((_, last)) = flying.back() {
        engine.wait(*last).expect("the disk takes it");
        land(&mut flying, &mut waits_ms);
    }
    (made, waits_ms)
}
