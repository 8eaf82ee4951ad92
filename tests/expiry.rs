//! Deadlines: they decide whether a hold has expired, with and without sweeps. Extensions and payments move
//! them.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{SECOND, Shop, insist, out_of_stock};
use stockhold::error::{Busy, ConfirmError, HoldError, ReserveError, SharedError};
use stockhold::{
    Adjust, AdjustReason, Confirm, Extend, HoldAction, HoldId, HoldState, OpKey, Receive, Reserve,
};

const DAY: Duration = Duration::from_secs(86_400);

fn reserve_for(shop: &Shop, ttl: Duration) -> HoldId {
    shop.engine.reserve(Reserve::units(shop.key, 1).ttl(ttl)).unwrap().wait().unwrap().hold
}

#[test]
fn an_idle_engine_expires_by_its_driver() {
    let shop = Shop::with(5, |config| config.driver_period(Some(Duration::from_millis(1))));
    shop.reserve(5);
    shop.clock.advance(600 * SECOND);
    // The count of expired holds changes last, after the units are back.
    while shop.engine.metrics().expired == 0 {
        thread::yield_now();
    }
    assert_eq!(shop.engine.available(shop.key), Ok(5));
    shop.assert_level(5, 0, 0);
    assert_eq!(shop.engine.metrics().expired, 1);
}

#[test]
fn a_hold_resolves_once_even_if_nothing_has_swept() {
    let shop = Shop::with_units(2);
    let hold = shop.reserve(2);
    shop.clock.advance(600 * SECOND);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Expired));
        scope.spawn(|| assert_eq!(shop.engine.release(hold).unwrap_err(), HoldError::Expired));
        scope.spawn(|| assert_eq!(shop.engine.begin_payment(hold).unwrap_err(), HoldError::Expired));
        scope.spawn(|| {
            assert_eq!(
                insist(|| shop.engine.extend(Extend::hold(hold, SECOND))).unwrap_err(),
                HoldError::Expired
            )
        });
    });
    assert_eq!(shop.engine.metrics().expired, 1);
    assert_eq!(shop.engine.sweep(), 0);
    shop.assert_level(2, 0, 0);
}

#[test]
fn a_call_that_answers_expired_has_given_the_units_back() {
    type Call = fn(&Shop, HoldId);
    let calls: [Call; 6] = [
        |shop, hold| assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Expired),
        |shop, hold| assert_eq!(shop.engine.release(hold).unwrap_err(), HoldError::Expired),
        |shop, hold| assert_eq!(shop.engine.begin_payment(hold).unwrap_err(), HoldError::Expired),
        |shop, hold| {
            assert_eq!(shop.engine.extend(Extend::hold(hold, SECOND)).unwrap_err(), HoldError::Expired)
        },
        |shop, hold| assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Expired),
        |shop, _| assert_eq!(shop.engine.holds_of("order")[0].state, HoldState::Expired),
    ];
    for call in calls {
        let shop = Shop::with_units(1);
        let reserve = Reserve::units(shop.key, 1).reference("order");
        let hold = shop.engine.reserve(reserve).unwrap().wait().unwrap().hold;
        shop.clock.advance(600 * SECOND);
        call(&shop, hold);
        assert_eq!(shop.engine.available(shop.key), Ok(1));
        shop.assert_level(1, 0, 0);
    }
}

#[test]
fn the_deadline_is_the_first_moment_at_which_the_hold_is_over() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(600 * SECOND - Duration::from_millis(1));
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    assert_eq!(shop.engine.sweep(), 0);
    assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Active);
    shop.clock.advance(Duration::from_millis(1));
    shop.reserve(1);
}

#[test]
fn a_far_deadline_never_hides_a_near_one() {
    // With the far deadline not yet in the wheel, and with it there.
    for swept_between in [false, true] {
        for near in [1, 63, 64, 65, 4_095, 4_096, 300_000, 86_400_000] {
            let shop = Shop::with_units(2);
            reserve_for(&shop, 30 * DAY);
            if swept_between {
                shop.engine.sweep();
            }
            let near = Duration::from_millis(near);
            let hold = reserve_for(&shop, near);
            shop.clock.advance(near - Duration::from_millis(1));
            assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
            shop.clock.advance(Duration::from_millis(1));
            shop.reserve(1);
            assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Expired);
            assert_eq!(
                out_of_stock(&shop.try_reserve(1)),
                Some(0),
                "the hold with the far deadline is still live"
            );
        }
    }
}

#[test]
fn a_million_equal_deadlines_are_reclaimed_in_batches_while_sales_go_on() {
    const MANY: u32 = 1_000_000;
    let shop = Shop::with(MANY, |config| config.ring_bytes(8 << 20));
    let other = shop.engine.declare("poster", "paris").unwrap();
    shop.engine.receive(Receive::units(other, MANY)).unwrap().wait().unwrap();
    for _ in 0..MANY {
        insist(|| shop.engine.reserve(Reserve::units(shop.key, 1))).unwrap().not_yet_durable();
    }
    shop.clock.advance(600 * SECOND);

    // A reserve that is short reclaims as much as it needs: for one unit, one batch is enough.
    insist(|| shop.engine.reserve(Reserve::units(shop.key, 1))).unwrap().not_yet_durable();
    let reclaimed = shop.engine.metrics().expired;
    assert!((1..=4_096).contains(&reclaimed), "{reclaimed} holds were reclaimed for one unit");

    let sweeping = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            while shop.engine.metrics().holds_overdue > 0 {
                shop.engine.sweep();
            }
            sweeping.store(false, Ordering::Release);
        });
        while sweeping.load(Ordering::Acquire) {
            match shop.engine.reserve(Reserve::units(other, 1)) {
                Ok(sold) => drop(shop.engine.release(sold.not_yet_durable().hold)),
                // The ring may be full, since the log also writes a million expiries.
                Err(ReserveError::Shared(SharedError::Busy(Busy::LogBehind))) => thread::yield_now(),
                Err(error) => panic!("a sale of another key was disturbed: {error}"),
            }
        }
    });
    assert_eq!(shop.engine.metrics().expired, MANY.into());
    shop.assert_level(MANY.into(), 1, 0);
    insist(|| shop.try_reserve(MANY - 1)).unwrap();
}

#[test]
fn one_reserve_can_need_the_units_of_all_expired_holds() {
    let shop = Shop::with_units(100_000);
    for _ in 0..100_000 {
        insist(|| shop.engine.reserve(Reserve::units(shop.key, 1))).unwrap().not_yet_durable();
    }
    shop.clock.advance(600 * SECOND);
    // One call cannot reclaim so many: it is Busy in between, never out of stock.
    insist(|| shop.try_reserve(100_000)).unwrap();
    shop.assert_level(100_000, 100_000, 0);
}

#[test]
fn a_failed_call_extends_nothing() {
    let shop = Shop::with_units(3);
    let hold = shop.reserve(2);
    let before = shop.engine.status(hold).unwrap();
    shop.clock.advance(SECOND);
    let engine = &shop.engine;
    assert!(engine.extend(Extend::hold(hold, Duration::ZERO)).is_err());
    assert!(engine.extend(Extend::hold(hold, 31 * DAY)).is_err());
    assert!(engine.confirm(Confirm::hold(hold).quantity(3)).is_err());
    assert!(engine.confirm(Confirm::hold(hold).quantity(0)).is_err());
    assert!(engine.release(HoldAction::hold(hold).quantity(1)).is_err());
    assert!(engine.ship(hold).is_err());
    assert!(engine.cancel(hold).is_err());
    assert!(shop.try_reserve(2).is_err());
    assert_eq!(engine.status(hold).unwrap(), before);
    assert_eq!(
        engine.begin_payment(hold).unwrap().wait().unwrap().deadline,
        before.deadline.unwrap().plus(300 * SECOND)
    );
    assert!(engine.begin_payment(hold).is_err());
    assert_eq!(engine.status(hold).unwrap().deadline, Some(before.deadline.unwrap().plus(300 * SECOND)));
}

#[test]
fn payment_does_not_lengthen_a_life_past_its_cap() {
    let shop = Shop::with(1, |config| config.life_max(30 * DAY));
    let hold = reserve_for(&shop, 30 * DAY);
    let latest = shop.engine.status(hold).unwrap().deadline.unwrap();
    assert_eq!(shop.engine.begin_payment(hold).unwrap().wait().unwrap().deadline, latest);
    shop.clock.advance(SECOND);
    let longer = shop.engine.extend(Extend::hold(hold, 30 * DAY));
    assert_eq!(longer.unwrap_err(), HoldError::LifeMax { latest });
}

#[test]
fn an_extension_never_shortens() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    let deadline = shop.engine.status(hold).unwrap().deadline.unwrap();
    for extend in [Extend::hold(hold, SECOND), Extend::hold(hold, SECOND).op_key(OpKey(1))] {
        assert_eq!(shop.engine.extend(extend).unwrap().wait().unwrap().deadline, deadline);
    }
    assert_eq!(shop.engine.status(hold).unwrap().deadline, Some(deadline));
}

#[test]
fn concurrent_extensions_are_answered_with_a_deadline_that_holds() {
    let shop = Shop::with_units(1);
    for _ in 0..500 {
        let hold = shop.reserve(1);
        thread::scope(|scope| {
            for seconds in [700, 800, 900] {
                let shop = &shop;
                scope.spawn(move || {
                    let ttl = seconds * SECOND;
                    let extended = shop.engine.extend(Extend::hold(hold, ttl)).unwrap().not_yet_durable();
                    assert!(extended.deadline >= shop.engine.now().plus(ttl));
                    assert!(shop.engine.status(hold).unwrap().deadline >= Some(extended.deadline));
                });
            }
        });
        assert_eq!(shop.engine.status(hold).unwrap().deadline, Some(shop.engine.now().plus(900 * SECOND)));
        shop.engine.release(hold).unwrap().wait().unwrap();
    }
}

#[test]
fn an_expired_hold_is_never_resurrected_by_an_extension() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(600 * SECOND);
    let raced = thread::scope(|scope| {
        let next = scope.spawn(|| insist(|| shop.try_reserve(1)).expect("the hold has expired"));
        let extended = insist(|| shop.engine.extend(Extend::hold(hold, 60 * SECOND)));
        assert_eq!(extended.unwrap_err(), HoldError::Expired);
        next.join().unwrap().hold
    });
    assert_eq!(shop.engine.extend(Extend::hold(hold, 60 * SECOND)).unwrap_err(), HoldError::Expired);
    shop.engine.confirm(raced).unwrap().wait().unwrap();
    shop.assert_level(1, 0, 1);
}

#[test]
fn counting_stock_works_while_holds_are_live() {
    let shop = Shop::with_units(10);
    let hold = shop.reserve(4);
    for delta in [-2, 5, -9] {
        shop.engine.adjust(Adjust::by(shop.key, delta, AdjustReason::Count)).unwrap().wait().unwrap();
    }
    shop.assert_level(4, 4, 0);
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    shop.assert_level(4, 0, 4);
}

#[test]
fn time_moves_for_all_handles() {
    let shop = Shop::with_units(1);
    let other = shop.engine.clone();
    let clock = Arc::clone(&shop.clock);
    let before = other.now();
    thread::spawn(move || clock.advance(SECOND)).join().unwrap();
    assert_eq!(other.now(), before.plus(SECOND));
}
