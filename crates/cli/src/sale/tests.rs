//! Tests of the sale without the engine: a shop that is exact because it uses one lock takes its place.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stockhold::{Durability, Position};
use stockhold_check::{Call, Event, Stopwatch};

use super::baselines::{CheckThenAct, FixedBuckets};
use super::durability::DurabilityArg;
use super::judged_sale::{judged, run_baseline};
use super::setup::{Setup, Storage};
use super::shop::{EndAnswer, ReserveAnswer, ReserveRequest, SaleClock, Shop};
use super::shopper_threads::{LiveCounts, run_shoppers};
use super::shoppers::Crowd;

/// Exact, because each call takes one lock and reads the clock once.
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
    fn reserve(&self, request: ReserveRequest) -> ReserveAnswer {
        self.with(|state, now_ns| {
            if state.available < i64::from(request.quantity) {
                return ReserveAnswer::Refused { available: state.available };
            }
            state.available -= i64::from(request.quantity);
            state.given += 1;
            let deadline_ns = now_ns + self.ttl.as_nanos() as u64;
            state.live.insert(state.given, (request.quantity, deadline_ns));
            ReserveAnswer::Granted { hold: state.given, deadline_ns, position: Position(0) }
        })
    }

    fn confirm(&self, hold: u128) -> EndAnswer {
        let had = self.with(|state, _| state.live.remove(&hold));
        had.map_or(EndAnswer::Expired, |_| EndAnswer::Done { position: Position(0) })
    }

    fn release(&self, hold: u128) -> EndAnswer {
        self.with(|state, _| match state.live.remove(&hold) {
            None => EndAnswer::Expired,
            Some((quantity, _)) => {
                state.available += i64::from(quantity);
                EndAnswer::Done { position: Position(0) }
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

fn setup(seed: u64) -> Setup {
    let ttl = Duration::from_millis(60);
    Setup {
        crowd: Crowd { seed, shoppers: 1_500, skus: 1, ttl, cancel: 0.2, abandon: 0.4 },
        units: 200,
        threads: 2,
        durability: DurabilityArg(Durability::Memory),
        storage: Storage::Memory,
        kill_test_decisions: 0,
        plant: None,
        clock: SaleClock::new(),
    }
}

fn received(units: u32) -> Call {
    Call { key: 0, start_ns: 0, end_ns: 0, event: Event::Receive { quantity: units.into() } }
}

#[test]
fn an_exact_shop_comes_out_clean_and_every_shopper_is_accounted_for() {
    let setup = setup(1);
    let stopwatch = setup.clock.stopwatch;
    let shop = ExactShop::new(stopwatch, setup.units, setup.crowd.ttl);
    let counts = LiveCounts::default();
    let run = run_shoppers(&shop, &setup.crowd.plan(), 2, stopwatch, &counts, &AtomicBool::new(false));
    let calls: Vec<Call> = run.calls.iter().copied().chain([received(200)]).collect();
    let (tally, violations) = judged(&run, &calls, &counts);
    assert_eq!(violations, [""; 0]);
    assert_eq!(tally.granted + tally.refused, 1_500);
    assert_eq!(tally.granted, tally.confirmed + tally.released + tally.expired);
    assert!(tally.expired > 50 && tally.released > 50 && tally.units_sold <= 200, "{tally:?}");
    assert_eq!(run.purchases.len() as u64, tally.granted);
    assert!(run.purchases.iter().all(|purchase| purchase.grant_acknowledged));
}

#[test]
fn fixed_buckets_refuse_falsely_and_oversell_nothing() {
    let setup = setup(2);
    let tally = run_baseline(&setup, &setup.crowd.plan(), FixedBuckets::new(&[200]), &LiveCounts::default());
    assert_eq!((tally.oversold, tally.other_breaches), (0, 0), "{tally:?}");
    assert!(tally.falsely_refused > 0, "{tally:?}");
}

#[test]
fn check_then_act_is_judged_by_what_it_did() {
    let setup = setup(3);
    let tally = run_baseline(&setup, &setup.crowd.plan(), CheckThenAct::new(&[200]), &LiveCounts::default());
    // How much it oversells depends on the scheduler. Every unit must be accounted for.
    assert_eq!(tally.granted, tally.confirmed + tally.released + tally.expired);
    assert!(tally.oversold >= tally.units_sold.saturating_sub(200) && tally.other_breaches == 0, "{tally:?}");
}
