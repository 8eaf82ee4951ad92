//! Does one run after the other. A run that fails is repeated with fewer steps while it still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::schedule::{Crash, Schedule, ScheduleStep};
use super::simulator::{Simulator, Violation};
use stockhold_seeded::seed;

/// The step that failed, which is not known of a panic, and why.
type Failure = (Option<usize>, Violation);

fn run(schedule: &Schedule) -> Result<Counts, Failure> {
    let ran = catch_unwind(AssertUnwindSafe(|| Simulator::run(schedule)));
    match ran {
        Ok(result) => result.map_err(|(step, wrong)| (Some(step), wrong)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err((None, format!("panicked: {}", text.unwrap_or_default())))
        }
    }
}

/// The shortest schedule found that still fails, and its failure.
fn shrunk(schedule: &Schedule, patience: Duration) -> (Schedule, Failure) {
    let began = Instant::now();
    let mut best = schedule.clone();
    let mut failure = run(schedule).expect_err("it failed a moment ago");
    let mut length = best.steps.len().div_ceil(2);
    while began.elapsed() < patience {
        if let Some(last) = failure.0 {
            best.steps.truncate(last + 1);
        }
        let mut at = 0;
        let mut less = false;
        while at < best.steps.len() && began.elapsed() < patience {
            let mut fewer = best.clone();
            fewer.steps.drain(at..(at + length).min(best.steps.len()));
            match run(&fewer) {
                Err(still) => (best, failure, less) = (fewer, still, true),
                Ok(_) => at += length,
            }
        }
        match length {
            1 if !less => break,
            _ => length = (length / 2).max(1),
        }
    }
    for at in 0..best.steps.len() {
        let mut simple = best.clone();
        let (ScheduleStep::Crash(crash) | ScheduleStep::Close(crash) | ScheduleStep::EndIn { crash, .. }) =
            &mut simple.steps[at]
        else {
            continue;
        };
        *crash = Crash { damage: None, openings: Vec::new(), trouble: None, ..crash.clone() };
        if let Err(still) = run(&simple) {
            (best, failure) = (simple, still);
        }
    }
    (best, failure)
}

/// Runs the schedule of a seed. If it fails, the error has the shortest schedule found that fails.
fn one(seed: u64) -> Result<Counts, String> {
    let schedule = Schedule::of(seed);
    let (step, wrong) = match run(&schedule) {
        Ok(counts) => return Ok(counts),
        Err(failure) => failure,
    };
    let mut text = format!("seed {seed}: at step {step:?} of {}: {wrong}\n", schedule.steps.len());
    let (fewest, (_, wrong)) = shrunk(&schedule, Duration::from_secs(20));
    text += &format!("in {} steps, with {:?}:\n", fewest.steps.len(), fewest.settings);
    for (number, step) in fewest.steps.iter().enumerate() {
        text += &format!("  {number:3} {step:?}\n");
    }
    text += &format!("wrong: {wrong}\nagain: tests/simulate.sh seed {seed}");
    Err(text)
}

/// Runs until `enough`; returns the counts and the number of runs.
fn runs(first: u64, enough: impl Fn(&Counts) -> bool) -> (Counts, u64) {
    let (mut counts, mut seed) = (Counts::default(), first);
    while !enough(&counts) {
        match one(seed) {
            Ok(more) => counts.add(&more),
            Err(text) => panic!("after {} crashes: {text}", counts.crashes),
        }
        seed = seed.wrapping_add(1);
    }
    (counts, seed.wrapping_sub(first))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_seed_is_one_run_and_no_other() {
    let first = seed();
    for seed in (0..20).map(|number| first.wrapping_add(number)) {
        assert_eq!(one(seed), one(seed), "seed {seed}");
    }
}

/// Seeds of runs that failed once, and why. They test the same only while a seed leads to the same schedule.
#[test]
fn what_failed_once_does_not_fail_again() {
    // An opening relied on a checkpoint's name that a power failure could still undo.
    let failed = [9_988_576_287_608_344_933];
    for seed in failed {
        one(seed).unwrap();
    }
}

#[test]
fn whatever_the_disk_does_the_contract_holds() {
    let first = seed();
    let began = Instant::now();
    let minutes = number("STOCKHOLD_SIMULATE_MINUTES");
    let crashes = number("STOCKHOLD_SIMULATE_CRASHES").unwrap_or(3_000);
    let (counts, runs) = match minutes {
        Some(minutes) => {
            let until = Duration::from_secs(60 * minutes);
            runs(first, |_| began.elapsed() >= until)
        }
        None => runs(first, |counts| counts.crashes >= crashes),
    };
    let a_minute = counts.crashes as f64 / began.elapsed().as_secs_f64() * 60.0;
    println!("{runs} runs, {a_minute:.0} crashes a minute: {counts:?}");
}
