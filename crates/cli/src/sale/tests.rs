//! The sale's machinery without the engine: an exact shop behind one lock stands in for it.

use std::collections::HashMap;
use std::sync::Mutex;

use stockhold::Position;
use stockhold_check::Stopwatch;

use super::shop::{Answer, Outcome, Wish};
use super::*;

/// Exact, because it does everything under one lock with one look at the clock.
struct ExactShop {
    stopwatch: Stopwatch,
    ttl: Duration,
    state: Mutex<Exact>,
}

struct Exact {
    available: i64,
    /// Hold to quantity and deadline.
    live: HashMap<u128, (u32, u64)>,
    given: u128,
}

impl ExactShop {
    fn new(stopwatch: Stopwatch, units: u32, ttl: Duration) -> Self {
        let state = Exact { available: units.into(), live: HashMap::new(), given: 0 };
        ExactShop { stopwatch, ttl, state: Mutex::new(state) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Exact, u64) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let now_ns = self.stopwatch.now_ns();
        let Exact { available, live, .. } = &mut *state;
        live.retain(|_, &mut (quantity, deadline_ns)| {
            *available += if now_ns < deadline_ns { 0 } else { i64::from(quantity) };
            now_ns < deadline_ns
        });
        act(&mut state, now_ns)
    }
}

impl Shop for ExactShop {
    fn reserve(&self, wish: Wish) -> Answer {
        self.with(|state, now_ns| {
            if state.available < i64::from(wish.quantity) {
                return Answer::Refused { available: state.available };
            }
            state.available -= i64::from(wish.quantity);
            state.given += 1;
            let deadline_ns = now_ns + self.ttl.as_nanos() as u64;
            state.live.insert(state.given, (wish.quantity, deadline_ns));
            Answer::Granted { hold: state.given, deadline_ns, position: Position(0) }
        })
    }

    fn confirm(&self, hold: u128) -> Outcome {
        let had = self.with(|state, _| state.live.remove(&hold));
        had.map_or(Outcome::Expired, |_| Outcome::Done { position: Position(0) })
    }

    fn release(&self, hold: u128) -> Outcome {
        self.with(|state, _| match state.live.remove(&hold) {
            None => Outcome::Expired,
            Some((quantity, _)) => {
                state.available += i64::from(quantity);
                Outcome::Done { position: Position(0) }
            }
        })
    }

    fn has_expired(&self, hold: u128) -> bool {
        self.with(|state, _| !state.live.contains_key(&hold))
    }

    fn acknowledge(&self, _position: Position) -> Result<(), String> {
        Ok(())
    }

    fn available(&self) -> i64 {
        self.with(|state, _| state.available)
    }
}

fn stage(seed: u64) -> Stage {
    let ttl = Duration::from_millis(60);
    Stage {
        crowd: Crowd { seed, shoppers: 1_500, skus: 1, ttl, cancel: 0.2, abandon: 0.4 },
        units: 200,
        threads: 2,
        durability: DurabilityArg(Durability::Memory),
        place: Place::Memory,
        second_act: 0,
        plant: None,
        clock: SaleClock::new(),
    }
}

fn received(units: u32) -> Call {
    Call { key: 0, start_ns: 0, end_ns: 0, event: Event::Receive { quantity: units.into() } }
}

#[test]
fn an_exact_shop_comes_out_clean_and_everybody_is_accounted_for() {
    let stage = stage(1);
    let stopwatch = stage.clock.stopwatch;
    let shop = ExactShop::new(stopwatch, stage.units, stage.crowd.ttl);
    let progress = Progress::default();
    let walked = walk(&shop, &stage.crowd.plan(), 2, stopwatch, &progress, &AtomicBool::new(false));
    let calls: Vec<Call> = walked.calls.iter().copied().chain([received(200)]).collect();
    let (tally, told) = judged(&walked, &calls, &progress);
    assert_eq!(told, [""; 0]);
    assert_eq!(tally.granted + tally.refused, 1_500);
    assert_eq!(tally.granted, tally.confirmed + tally.released + tally.expired);
    assert!(tally.expired > 50 && tally.released > 50 && tally.units_sold <= 200, "{tally:?}");
    assert_eq!(walked.purchases.len() as u64, tally.granted);
    assert!(walked.purchases.iter().all(|purchase| purchase.grant_acknowledged));
}

#[test]
fn fixed_buckets_refuse_falsely_and_oversell_nothing() {
    let stage = stage(2);
    let tally = usual_design(&stage, &stage.crowd.plan(), FixedBuckets::new(&[200]), &Progress::default());
    assert_eq!((tally.oversold, tally.other_breaches), (0, 0), "{tally:?}");
    assert!(tally.falsely_refused > 0, "{tally:?}");
}

#[test]
fn check_then_act_is_judged_by_what_it_did() {
    let stage = stage(3);
    let tally = usual_design(&stage, &stage.crowd.plan(), CheckThenAct::new(&[200]), &Progress::default());
    // How much it oversells is the scheduler's to say; that its units do not vanish is not.
    assert_eq!(tally.granted, tally.confirmed + tally.released + tally.expired);
    assert!(tally.oversold >= tally.units_sold.saturating_sub(200) && tally.other_breaches == 0, "{tally:?}");
}

#[test]
fn durabilities_are_read_as_they_are_written() {
    for text in ["sync", "interval:100ms", "interval:2000ms", "memory"] {
        assert_eq!(text.parse::<DurabilityArg>().unwrap().to_string(), text);
    }
    assert_eq!("interval:2s".parse::<DurabilityArg>().unwrap().to_string(), "interval:2000ms");
    for text in ["", "often", "interval:", "interval:5", "interval:ms", "interval:99999999999999999999s"] {
        assert!(text.parse::<DurabilityArg>().is_err(), "{text:?}");
    }
}
