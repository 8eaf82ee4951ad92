//! The judged sale: the shoppers run against the engine, the judge checks the calls, and an audit checks the
//! disk. The same shoppers run against the baselines, with the same judge.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stockhold::{Engine, Receive, StockKey};
use stockhold_check::{Call, Event, Recorder, judge};

use super::audit::{Audit, ExpectedLevel};
use super::baselines::{Baseline, BaselineStock, CheckThenAct, FixedBuckets};
use super::interrupt;
use super::progress::{bar, during, latency};
use super::purchase::{Fate, Purchase};
use super::receipt::{BaselineTally, DesignTally, Receipt};
use super::setup::{Setup, Storage};
use super::shop::{EngineShop, PlantedShop, Shop};
use super::shopper_threads::{LiveCounts, ShopperRun, run_shoppers};
use super::shoppers::Shopper;
use super::stock::{shares, sku};
use crate::exit::CommandError;
use crate::figure::thousands;

/// Location of the stock of the judged sale.
const LOCATION: &str = "judged-sale";

/// Runs the shoppers against the engine, judges the calls, and audits what is on disk.
pub(super) fn run(setup: &Setup, plan: &[Shopper], receipt: &mut Receipt) -> Result<(), CommandError> {
    let units = shares(setup.units, setup.crowd.skus);
    let engine = setup.open()?;
    let (keys, mut calls) = receive_stock(setup, &engine, &units)?;
    let counts = LiveCounts::default();
    let shop = EngineShop { engine: &engine, clock: setup.clock, keys: &keys, ttl: setup.crowd.ttl };
    let run = match setup.plant {
        None => run_with_progress("stockhold", setup, plan, &shop, &counts),
        Some(plant) => {
            let shop = PlantedShop::new(shop, plant);
            run_with_progress("stockhold, a fault planted", setup, plan, &shop, &counts)
        }
    };
    calls.extend_from_slice(&run.calls);
    let (tally, violations) = judged(&run, &calls, &counts);
    receipt.engine = tally;
    receipt.complaints = violations;
    receipt.complaints.extend(run.failures.iter().cloned());
    receipt.busy = counts.busy.load(Ordering::Relaxed);
    receipt.decisions_per_second =
        (receipt.engine.decisions as f64 / run.elapsed.as_secs_f64().max(1e-9)) as u64;
    receipt.ack_p50_us = counts.ack_us_at(0.50);
    receipt.ack_p99_us = counts.ack_us_at(0.99);

    let audit = match setup.storage {
        Storage::Memory => audit(setup, &engine, &keys, &units, &run),
        Storage::Directory(_) => {
            engine.shutdown().map_err(environment)?;
            drop(engine);
            let engine = setup.open()?;
            receipt.reopened = true;
            let audit = audit(setup, &engine, &keys, &units, &run);
            engine.shutdown().map_err(environment)?;
            audit
        }
    };
    receipt.found_acknowledgements = audit.found;
    receipt.lost_acknowledgements = audit.lost;
    receipt.verified = receipt.complaints.is_empty() && audit.is_clean();
    receipt.complaints.extend(audit.complaints);
    Ok(())
}

/// Runs the shoppers against both baselines at the same time. They share no thread and take little of the
/// processor.
pub(super) fn run_baselines(setup: &Setup, plan: &[Shopper]) -> Vec<BaselineTally> {
    let units = shares(setup.units, setup.crowd.skus);
    let counts = [LiveCounts::default(), LiveCounts::default()];
    let names = ["check-then-act", "fixed buckets"];
    let frame = || {
        let line = |(name, counts): (&&str, &LiveCounts)| {
            let (arrived, shoppers) = (read(&counts.arrived), plan.len() as u64);
            let bar = bar(arrived, shoppers, 30);
            format!("the same shoppers, {name:14}  {bar} {} of {}", thousands(arrived), thousands(shoppers))
        };
        names.iter().zip(&counts).map(line).collect()
    };
    let tallies = during(frame, || {
        std::thread::scope(|scope| {
            let checks = scope.spawn(|| run_baseline(setup, plan, CheckThenAct::new(&units), &counts[0]));
            let buckets = scope.spawn(|| run_baseline(setup, plan, FixedBuckets::new(&units), &counts[1]));
            [checks, buckets].map(|design| design.join().expect("a baseline panicked"))
        })
    });
    names.into_iter().zip(tallies).map(|(design, tally)| BaselineTally { design, tally }).collect()
}

pub(super) fn run_baseline(
    setup: &Setup,
    plan: &[Shopper],
    stock: impl BaselineStock,
    counts: &LiveCounts,
) -> DesignTally {
    let stopwatch = setup.clock.stopwatch;
    let mut recorder = Recorder::new(stopwatch);
    for (key, units) in shares(setup.units, setup.crowd.skus).into_iter().enumerate() {
        let (start_ns, end_ns) = (recorder.now_ns(), recorder.now_ns());
        let event = Event::Receive { quantity: units.into() };
        recorder.record(Call { key: key as u32, start_ns, end_ns, event });
    }
    let shop = Baseline::new(stock, stopwatch, setup.crowd.ttl);
    let closed = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| shop.sweep_until(&closed));
        let run = run_shoppers(&shop, plan, setup.threads, stopwatch, counts, interrupt::flag());
        closed.store(true, Ordering::Relaxed);
        run
    });
    let mut calls = recorder.into_calls();
    calls.extend_from_slice(&run.calls);
    judged(&run, &calls, counts).0
}

/// Counts the answers that the shoppers received, and lets the judge check the calls.
pub(super) fn judged(run: &ShopperRun, calls: &[Call], counts: &LiveCounts) -> (DesignTally, Vec<String>) {
    let verdict = judge(calls);
    let tally = DesignTally {
        decisions: read(&counts.decisions),
        granted: read(&counts.granted),
        refused: read(&counts.refused),
        confirmed: run.count(Fate::Confirmed),
        released: run.count(Fate::Released),
        expired: run.count(Fate::Expired),
        live: run.count(Fate::Live),
        units_sold: run.units(Fate::Confirmed),
        oversold: verdict.oversold,
        falsely_refused: verdict.falsely_refused,
        // "Confirmed beyond received" is left out: it is part of `oversold`.
        other_breaches: verdict.two_outcomes
            + verdict.late
            + verdict.early
            + verdict.contradicted
            + verdict.wrong_numbers
            + verdict.unfounded,
    };
    (tally, verdict.examples)
}

/// Declares the stock keys and receives the units, recorded for the judge.
fn receive_stock(
    setup: &Setup,
    engine: &Engine,
    units: &[u32],
) -> Result<(Vec<StockKey>, Vec<Call>), CommandError> {
    let mut recorder = Recorder::new(setup.clock.stopwatch);
    let mut keys = Vec::new();
    for (number, &quantity) in units.iter().enumerate() {
        let key = engine.declare(&sku(number as u32), LOCATION).map_err(environment)?;
        let start_ns = recorder.now_ns();
        let receive = Receive::units(key, quantity).reference("judged sale");
        let receipt = engine.receive(receive).map_err(environment)?;
        let end_ns = recorder.now_ns();
        receipt.wait().map_err(environment)?;
        let event = Event::Receive { quantity: quantity.into() };
        recorder.record(Call { key: number as u32, start_ns, end_ns, event });
        keys.push(key);
    }
    Ok((keys, recorder.into_calls()))
}

/// Runs the shoppers against a shop and shows progress.
fn run_with_progress(
    name: &str,
    setup: &Setup,
    plan: &[Shopper],
    shop: &dyn Shop,
    counts: &LiveCounts,
) -> ShopperRun {
    let (stopwatch, opened_ns) = (setup.clock.stopwatch, setup.clock.stopwatch.now_ns());
    let frame = || {
        let (arrived, shoppers) = (read(&counts.arrived), plan.len() as u64);
        let seconds = (stopwatch.now_ns() - opened_ns) as f64 / 1e9;
        let decisions = read(&counts.decisions);
        let (available, committed) = (shop.available(), counts.units_committed.load(Ordering::Relaxed));
        let held = i64::from(setup.units) - available - committed;
        let (p50, p99) = (latency(counts.ack_us_at(0.5)), latency(counts.ack_us_at(0.99)));
        let rate = thousands((decisions as f64 / seconds) as u64);
        vec![
            format!(
                "judged sale, {name}  {} {} of {}",
                bar(arrived, shoppers, 30),
                thousands(arrived),
                thousands(shoppers)
            ),
            format!(
                "  decisions  {} ({rate} a second), acknowledged p50 {p50}, p99 {p99}",
                thousands(decisions)
            ),
            format!("  units      available {available:>7}   held {held:>7}   committed {committed:>7}"),
            format!(
                "  refused    out of stock {}   answered \"try again\" {}",
                thousands(read(&counts.refused)),
                read(&counts.busy)
            ),
        ]
    };
    during(frame, || run_shoppers(shop, plan, setup.threads, stopwatch, counts, interrupt::flag()))
}

/// Looks up every acknowledged hold, and compares the levels with what the shoppers know.
fn audit(setup: &Setup, engine: &Engine, keys: &[StockKey], units: &[u32], run: &ShopperRun) -> Audit {
    let mut audit = Audit::default();
    for purchase in run.purchases.iter().filter(|purchase| purchase.grant_acknowledged) {
        // An end that was not acknowledged may or may not be on disk.
        let ended = matches!(purchase.fate, Fate::Confirmed | Fate::Released);
        if !ended || purchase.end_acknowledged {
            audit.hold(engine, setup.clock, purchase);
        }
    }
    let mut by_key = vec![Vec::new(); keys.len()];
    for purchase in &run.purchases {
        by_key[purchase.key as usize].push(purchase);
    }
    // Expired holds are swept first. A hold whose deadline passes during the audit may be counted or not.
    let before_ns = setup.clock.stopwatch.now_ns();
    engine.sweep();
    for (number, (&key, &on_hand)) in keys.iter().zip(units).enumerate() {
        let sum = |test: &dyn Fn(&Purchase) -> bool| -> u64 {
            let purchases = by_key[number].iter().filter(|purchase| test(purchase));
            purchases.map(|purchase| u64::from(purchase.quantity)).sum()
        };
        let live_after = |at_ns| sum(&|p| p.fate == Fate::Live && p.deadline_ns > at_ns);
        let committed = sum(&|p| p.fate == Fate::Confirmed);
        let expected = || ExpectedLevel {
            on_hand: on_hand.into(),
            committed: (committed, committed),
            held: (live_after(setup.clock.stopwatch.now_ns()), live_after(before_ns)),
        };
        audit.level(engine, key, &format!("{} at {LOCATION}", sku(number as u32)), expected);
    }
    audit
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn environment(error: impl fmt::Display) -> CommandError {
    CommandError::Environment(error.to_string())
}
