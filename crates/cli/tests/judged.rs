//! The engine under stress, judged from outside: more threads than cores, holds that live for a few milliseconds,
//! and never quite enough stock, so that most refusals come within a hair of a deadline or a release.

use std::time::Duration;

use stockhold::error::{Common, ConfirmError, HoldError, ReserveError};
use stockhold::{Clock, Config, Engine, HoldId, Receive, Reserve, StockKey, Timestamp};
use stockhold_check::{Call, Event, Recorder, Stopwatch, judge};

const ORIGIN_MS: u64 = 1_700_000_000_000;

/// Engine time and the judge's time are one.
#[derive(Clone, Copy)]
struct SharedClock(Stopwatch);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        Timestamp(ORIGIN_MS + self.0.now_ns() / 1_000_000)
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Makes `turns` calls, keeping no units for good: what is confirmed is cancelled, so the key never sells out for ever.
fn shop(engine: &Engine, key: StockKey, stopwatch: Stopwatch, seed: u64, turns: usize) -> Recorder {
    let (mut recorder, mut dice) = (Recorder::new(stopwatch), Dice(seed));
    let (mut held, mut paid) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        let start_ns = recorder.now_ns();
        let event = match dice.below(8) {
            0 if !held.is_empty() => {
                let (hold, quantity) = held.swap_remove(dice.below(held.len() as u64) as usize);
                let name = HoldId::to_u128(hold);
                match engine.confirm(hold) {
                    Ok(_) => {
                        paid.push((hold, quantity));
                        Event::Confirm { hold: name, quantity, retaken: false }
                    }
                    Err(ConfirmError::Expired) => Event::ExpiredSeen { hold: name },
                    // Ended and forgotten, or not to be known now.
                    Err(ConfirmError::Lookup(_) | ConfirmError::Common(Common::Busy(_))) => continue,
                    Err(error) => panic!("{error}"),
                }
            }
            1 if !held.is_empty() => {
                let (hold, _) = held.swap_remove(dice.below(held.len() as u64) as usize);
                let name = hold.to_u128();
                match engine.release(hold) {
                    Ok(_) => Event::Release { hold: name },
                    Err(HoldError::Expired) => Event::ExpiredSeen { hold: name },
                    Err(HoldError::Lookup(_) | HoldError::Common(Common::Busy(_))) => continue,
                    Err(error) => panic!("{error}"),
                }
            }
            2 if !paid.is_empty() => {
                let (hold, quantity) = paid.swap_remove(0);
                match engine.cancel(hold) {
                    Ok(_) => Event::Cancel { hold: hold.to_u128(), quantity },
                    Err(error) if error.is_busy() => {
                        paid.push((hold, quantity));
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            _ => {
                let (quantity, ttl) = (1 + dice.below(3) as u32, Duration::from_millis(1 + dice.below(4)));
                match engine.reserve(Reserve::units(key, quantity).ttl(ttl)) {
                    Ok(receipt) => {
                        let reserved = receipt.not_yet_durable();
                        held.push((reserved.hold, quantity));
                        let deadline_ns = (reserved.deadline.0 - ORIGIN_MS) * 1_000_000;
                        Event::Grant { hold: reserved.hold.to_u128(), quantity, deadline_ns }
                    }
                    Err(ReserveError::Refused(refusal)) => {
                        Event::Refuse { asked: quantity, available: refusal.available }
                    }
                    Err(error) if error.is_busy() => continue,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        recorder.record(Call { key: 0, start_ns, end_ns: recorder.now_ns(), event });
    }
    recorder
}

/// One crowd; how many were granted and refused.
fn crowd(seed: u64, turns: usize) -> (usize, usize) {
    let stopwatch = Stopwatch::new();
    let config = Config::default().clock(SharedClock(stopwatch));
    let engine = Engine::in_memory(config).unwrap();
    let key = engine.declare("poster", "here").unwrap();
    let mut recorder = Recorder::new(stopwatch);
    let (units, start_ns) = (20, recorder.now_ns());
    let _ = engine.receive(Receive::units(key, units)).unwrap().not_yet_durable();
    let event = Event::Receive { quantity: units.into() };
    recorder.record(Call { key: 0, start_ns, end_ns: recorder.now_ns(), event });

    let mut calls = recorder.into_calls();
    std::thread::scope(|scope| {
        let engine = &engine;
        let shop = |thread| move || shop(engine, key, stopwatch, seed * 8 + thread, turns);
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(shop(thread))).collect();
        for thread in threads {
            calls.extend(thread.join().unwrap().into_calls());
        }
    });
    let verdict = judge(&calls);
    assert!(verdict.is_clean(), "seed {seed}: {verdict:#?}");
    let count = |test: fn(&Event) -> bool| calls.iter().filter(|call| test(&call.event)).count();
    (
        count(|event| matches!(event, Event::Grant { .. })),
        count(|event| matches!(event, Event::Refuse { .. })),
    )
}

#[test]
fn a_crowded_key_with_short_holds_is_judged_clean() {
    let seeds = std::env::var("STOCKHOLD_SEEDS").map_or(3, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in 0..seeds {
        let (granted, refused) = crowd(seed, 100_000);
        println!("seed {seed}: {granted} granted, {refused} refused");
        assert!(granted > 100 && refused > 100, "the crowd was not served");
    }
}
