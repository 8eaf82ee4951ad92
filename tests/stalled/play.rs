//! Runs a case.

use std::thread;
use std::time::Instant;

use stockhold::stall::arm;

use crate::case::{Case, Others, VICTIM};
use crate::scene::{OTHERS, PLENTY, SCARCE, Scene};
use crate::stage::{alone, parked, watched};

/// As much as the widest block needs to be split over.
pub const SPLIT: u32 = 1_024;

fn play(case: &Case, units: u32) {
    let scarce = units != PLENTY;
    let scene = Scene::new(case, units);
    let mut stall = arm(case.thread, case.step.0, case.step.1);
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(VICTIM.into());
        let victim = builder.spawn_scoped(scope, || scene.act(case.act)).unwrap();
        parked(&stall, case);
        // Where it is another that is parked, what this thread does is over.
        while case.thread != VICTIM && !victim.is_finished() {
            thread::yield_now();
        }
        if let Some((others, next)) = case.then {
            scene.others(others);
            if let Some((step, passage)) = next {
                stall = arm(case.thread, step, passage); // the one before lets go
                parked(&stall, case);
            }
        }
        if scarce {
            let drained = if let Some((Others::DrainFirst, _)) = case.then { SCARCE } else { 0 };
            let granted = if case.is_split() { units } else { case.granted };
            assert_eq!(scene.sell_out(case.here) + drained, granted, "{case:?}");
        }
        let others: Vec<_> = (0..OTHERS)
            .map(|other| {
                scope.spawn({
                    let scene = &scene;
                    move || scene.trade(case, other, scarce)
                })
            })
            .collect();
        let failed = others.into_iter().any(|other| other.join().is_err());
        drop(stall);
        victim.join().unwrap();
        assert!(!failed, "{case:?}, {units} units");
    });
    if scarce {
        // Whoever was told the truth would be told the same now: what the parked thread had did not come
        // back.
        assert_eq!(scene.shop.engine.available_exactly(scene.shop.key), Ok(case.after), "{case:?}");
    }
    scene.settle();
}

pub fn play_all(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let _alone = alone();
        let scarce = if case.is_split() { SPLIT } else { SCARCE };
        for units in [(case.scarce, scarce), (case.plenty, PLENTY)]
            .into_iter()
            .filter_map(|(it, units)| it.then_some(units))
        {
            let began = Instant::now();
            watched(&format!("{case:?}"), || play(&case, units));
            println!("{:?} {:?} {units}: {:?}", case.act, case.step, began.elapsed());
        }
    }
}

pub fn has_shards() -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}
