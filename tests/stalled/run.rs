//! Runs a case.

use std::thread;
use std::time::Instant;

use stockhold::stall::arm;

use crate::case::{Case, Others, VICTIM};
use crate::fixture::{Fixture, OTHERS, PLENTY, SCARCE};
use crate::watchdog::{exclusive, wait_until_parked, watched};

/// Units enough to split a key over the widest block.
pub const SPLIT: u32 = 1_024;

fn run(case: &Case, units: u32) {
    let scarce = units != PLENTY;
    let fixture = Fixture::new(case, units);
    let mut stall = arm(case.thread, case.step.0, case.step.1);
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(VICTIM.into());
        let victim = builder.spawn_scoped(scope, || fixture.act(case.act)).unwrap();
        wait_until_parked(&stall, case);
        // If a thread of the engine is parked instead, the call ends by itself.
        while case.thread != VICTIM && !victim.is_finished() {
            thread::yield_now();
        }
        if let Some((others, next)) = case.then {
            fixture.others(others);
            if let Some((step, passage)) = next {
                stall = arm(case.thread, step, passage); // releases the thread from its step before
                wait_until_parked(&stall, case);
            }
        }
        if scarce {
            let drained = if let Some((Others::DrainFirst, _)) = case.then { SCARCE } else { 0 };
            let granted = if case.is_split() { units } else { case.granted };
            assert_eq!(fixture.sell_out(case.first_key) + drained, granted, "{case:?}");
        }
        let others: Vec<_> = (0..OTHERS)
            .map(|other| {
                scope.spawn({
                    let fixture = &fixture;
                    move || fixture.trade(case, other, scarce)
                })
            })
            .collect();
        let failed = others.into_iter().any(|other| other.join().is_err());
        drop(stall);
        victim.join().unwrap();
        assert!(!failed, "{case:?}, {units} units");
    });
    if scarce {
        // A refusal was true only if it would be the same now: the parked thread's units did not come back.
        assert_eq!(
            fixture.shop.engine.available_exactly(fixture.shop.key),
            Ok(case.available_after),
            "{case:?}"
        );
    }
    fixture.settle();
}

pub fn run_all(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let _exclusive = exclusive();
        let scarce = if case.is_split() { SPLIT } else { SCARCE };
        for units in [(case.scarce, scarce), (case.plenty, PLENTY)]
            .into_iter()
            .filter_map(|(runs, units)| runs.then_some(units))
        {
            let began = Instant::now();
            watched(&format!("{case:?}"), || run(&case, units));
            println!("{:?} {:?} {units}: {:?}", case.act, case.step, began.elapsed());
        }
    }
}

/// Whether the engine has more than one shard, and so more than one cell for a key.
pub fn has_shards() -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}
