//! A ring that is not emptied.

use std::thread;
use std::time::Instant;

use stockhold::error::Busy;
use stockhold::stall::{Step, arm};
use stockhold::types::QUANTITY_MAX;
use stockhold::{Metrics, Receive, Reserve};

use crate::case::{FOLD, LOG, VICTIM};
use crate::common::Shop;
use crate::scene::PLENTY;
use crate::stage::{HANG, alone, parked, watched};
use crate::why::{Why, is_out};

/// Groups that wait for the fold.
const FOLD_QUEUE: u64 = 64;

/// Until nothing waits for the log thread, nor for the fold.
fn drained(shop: &Shop) {
    let began = Instant::now();
    let waits =
        |metrics: Metrics| metrics.ring_used_bytes > 0 || metrics.position_folded < metrics.position_drawn;
    while waits(shop.engine.metrics()) {
        assert!(began.elapsed() < HANG / 4, "the log does not move");
        thread::yield_now();
    }
}

/// While the log stands still, as many decisions fit as the ring has room for, and each that does not is
/// `LogBehind`: takes at three quarters of it, what gives back at its end. Then everything goes on.
fn fills_up(thread: &'static str, step: Step) {
    let _alone = alone();
    watched(&format!("{step:?} of {thread}"), || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        let other = shop.engine.declare("other", "berlin").unwrap();
        shop.engine.receive(Receive::units(other, PLENTY)).unwrap().not_yet_durable();
        shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().not_yet_durable();
        drained(&shop);
        let words = |bytes: u64| bytes / 8;
        let all = words(shop.engine.metrics().ring_bytes);
        let used = || words(shop.engine.metrics().ring_used_bytes);
        let drawn = || shop.engine.metrics().position_drawn.0;
        let stall = arm(thread, step, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim =
                builder.spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(other, 1)).unwrap()));
            parked(&stall, &step);
            // Behind the fold the log goes on until so many groups wait, and one more that it has in hand.
            let groups = shop.engine.metrics().groups;
            let (mut holds, mut longest) = (Vec::new(), 0);
            // Alternately the key that the parked thread took of, and another.
            let refused_at = loop {
                let key = if holds.len() % 2 == 0 { other } else { shop.key };
                let (before, position) = (used(), drawn());
                let goes_on = thread == FOLD && shop.engine.metrics().groups < groups + FOLD_QUEUE + 1;
                match shop.engine.reserve(Reserve::units(key, 1)) {
                    Ok(granted) => holds.push(granted.not_yet_durable().hold),
                    Err(error) if goes_on => assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}"),
                    Err(error) => {
                        assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}");
                        break before;
                    }
                }
                longest = longest.max(drawn() - position);
            };
            // Nobody else claims: what was used at the last look can only have become less.
            assert!(refused_at + longest + 1 > all / 4 * 3, "Busy with {refused_at} of {all} words used");
            assert!(holds.len() as u64 >= (all / 4 * 3 - 64) / longest, "{} holds", holds.len());
            let mut released = 0;
            let refused_at = loop {
                let before = used();
                let Some(hold) = holds.pop() else { panic!("the ring never fills up") };
                match shop.engine.release(hold) {
                    Ok(_) => released += 1,
                    Err(error) => {
                        assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}");
                        holds.push(hold);
                        break before;
                    }
                }
            };
            assert!(refused_at + longest + 1 > all, "Busy with {refused_at} of {all} words used");
            // Refusals write nothing, so they are made all the same, and true.
            let answer = shop.engine.reserve(Reserve::units(other, QUANTITY_MAX));
            assert!(is_out(&answer), "{answer:?}");
            println!("{step:?}: {} holds and {released} releases in {all} words", holds.len() + released);
            drop(stall);
            victim.unwrap().join().unwrap();
            drained(&shop);
            for hold in holds {
                // A flood of releases, faster than the log: as a caller does who is told to.
                while let Err(error) = shop.engine.release(hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
        });
        drained(&shop);
        shop.engine.reserve(Reserve::units(other, 1)).unwrap().not_yet_durable();
        for key in [shop.key, other] {
            let level = shop.engine.level(key).unwrap();
            assert_eq!(level.available, shop.engine.available_exactly(key).unwrap(), "{level:?}");
        }
        shop.engine.shutdown().unwrap();
    });
}

#[test]
fn the_ring_fills_up_behind_a_hole() {
    fills_up(VICTIM, Step::Drawn);
    fills_up(VICTIM, Step::Published);
}

#[test]
fn the_ring_fills_up_behind_the_log_thread() {
    fills_up(LOG, Step::LogFreeing);
    fills_up(LOG, Step::LogWriting);
}

#[test]
fn the_ring_fills_up_behind_the_fold() {
    fills_up(FOLD, Step::Folding);
}

/// What a claim counted that found no room stays counted while its thread is parked: at most one record, and
/// nobody is told anything but to try again.
#[test]
fn a_claim_that_found_no_room() {
    let _alone = alone();
    watched("claim", || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        drained(&shop);
        let hole = arm(VICTIM, Step::Drawn, 1);
        thread::scope(|scope| {
            let named = || thread::Builder::new().name(VICTIM.into());
            let first = named()
                .spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap()));
            parked(&hole, &"hole");
            let mut holds = Vec::new();
            while let Ok(granted) = shop.engine.reserve(Reserve::units(shop.key, 1)) {
                holds.push(granted.not_yet_durable().hold);
            }
            let full = arm(VICTIM, Step::Unclaiming, 1);
            let second = named().spawn_scoped(scope, || {
                let answer = shop.engine.reserve(Reserve::units(shop.key, 1));
                assert_eq!(answer.unwrap_err().busy(), Some(Busy::LogBehind));
            });
            parked(&full, &"full");
            // What is kept for giving back is there.
            shop.engine.release(holds[0]).unwrap().not_yet_durable();
            drop(hole);
            first.unwrap().join().unwrap();
            // And everything goes on beside it.
            for hold in &holds[1..] {
                while let Err(error) = shop.engine.release(*hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
            drop(full);
            second.unwrap().join().unwrap();
        });
        drained(&shop);
        shop.assert_level(PLENTY.into(), 1, 0);
        shop.engine.shutdown().unwrap();
    });
}
