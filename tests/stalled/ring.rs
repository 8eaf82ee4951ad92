//! The answers while nothing leaves the ring.

use std::thread;
use std::time::Instant;

use stockhold::error::Busy;
use stockhold::stall::{Step, arm};
use stockhold::types::QUANTITY_MAX;
use stockhold::{Metrics, Receive, Reserve};

use crate::busy::{BusyCause, is_out_of_stock};
use crate::case::{FOLD, LOG, VICTIM};
use crate::common::Shop;
use crate::fixture::PLENTY;
use crate::watchdog::{SCENARIO_MAX, exclusive, wait_until_parked, watched};

/// The groups that can wait for the fold.
const FOLD_QUEUE: u64 = 64;

/// Waits until the log thread and the fold have nothing left to do.
fn wait_until_drained(shop: &Shop) {
    let began = Instant::now();
    let has_work =
        |metrics: Metrics| metrics.ring_used_bytes > 0 || metrics.position_folded < metrics.position_drawn;
    while has_work(shop.engine.metrics()) {
        assert!(began.elapsed() < SCENARIO_MAX / 4, "the log does not move");
        thread::yield_now();
    }
}

/// While the log stands still, as many decisions fit as the ring has room for, and the next is `LogBehind`: a
/// take at three quarters of the ring, a call that gives back at its end. Then everything goes on.
fn fills_up(thread: &'static str, step: Step) {
    let _exclusive = exclusive();
    watched(&format!("{step:?} of {thread}"), || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        let other = shop.engine.declare("other", "berlin").unwrap();
        shop.engine.receive(Receive::units(other, PLENTY)).unwrap().not_yet_durable();
        shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().not_yet_durable();
        wait_until_drained(&shop);
        let words = |bytes: u64| bytes / 8;
        let all = words(shop.engine.metrics().ring_bytes);
        let used = || words(shop.engine.metrics().ring_used_bytes);
        let drawn = || shop.engine.metrics().position_drawn.0;
        let stall = arm(thread, step, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim =
                builder.spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(other, 1)).unwrap()));
            wait_until_parked(&stall, &step);
            // A parked fold stops the log only once its queue is full and one more group is in hand.
            let groups = shop.engine.metrics().groups;
            let (mut holds, mut longest) = (Vec::new(), 0);
            // Alternates between the key that the parked thread took of and another.
            let refused_at = loop {
                let key = if holds.len() % 2 == 0 { other } else { shop.key };
                let (before, position) = (used(), drawn());
                let log_goes_on = thread == FOLD && shop.engine.metrics().groups < groups + FOLD_QUEUE + 1;
                match shop.engine.reserve(Reserve::units(key, 1)) {
                    Ok(granted) => holds.push(granted.not_yet_durable().hold),
                    Err(error) if log_goes_on => assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}"),
                    Err(error) => {
                        assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}");
                        break before;
                    }
                }
                longest = longest.max(drawn() - position);
            };
            // No other thread claims, so no more can be used than was read before the call.
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
            // Refusals write nothing, so they are still made, and true.
            let answer = shop.engine.reserve(Reserve::units(other, QUANTITY_MAX));
            assert!(is_out_of_stock(&answer), "{answer:?}");
            println!("{step:?}: {} holds and {released} releases in {all} words", holds.len() + released);
            drop(stall);
            victim.unwrap().join().unwrap();
            wait_until_drained(&shop);
            for hold in holds {
                // The releases are faster than the log, so they are repeated as `Busy` says.
                while let Err(error) = shop.engine.release(hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
        });
        wait_until_drained(&shop);
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

/// A claim that found no room stays counted while its thread is parked. That is one record at most, and only
/// makes calls `Busy`.
#[test]
fn a_claim_that_found_no_room() {
    let _exclusive = exclusive();
    watched("claim", || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        wait_until_drained(&shop);
        let hole = arm(VICTIM, Step::Drawn, 1);
        thread::scope(|scope| {
            let named = || thread::Builder::new().name(VICTIM.into());
            let first = named()
                .spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap()));
            wait_until_parked(&hole, &"hole");
            let mut holds = Vec::new();
            while let Ok(granted) = shop.engine.reserve(Reserve::units(shop.key, 1)) {
                holds.push(granted.not_yet_durable().hold);
            }
            let full = arm(VICTIM, Step::Unclaiming, 1);
            let second = named().spawn_scoped(scope, || {
                let answer = shop.engine.reserve(Reserve::units(shop.key, 1));
                assert_eq!(answer.unwrap_err().busy(), Some(Busy::LogBehind));
            });
            wait_until_parked(&full, &"full");
            // The room that is kept for give-backs is there.
            shop.engine.release(holds[0]).unwrap().not_yet_durable();
            drop(hole);
            first.unwrap().join().unwrap();
            // All other calls go on.
            for hold in &holds[1..] {
                while let Err(error) = shop.engine.release(*hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
            drop(full);
            second.unwrap().join().unwrap();
        });
        wait_until_drained(&shop);
        shop.assert_level(PLENTY.into(), 1, 0);
        shop.engine.shutdown().unwrap();
    });
}
