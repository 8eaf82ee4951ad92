//! Overselling: each known cause of units sold twice, and a test that the engine does not have it.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use common::{Disk, ON_DISK, SECOND, Shop, at_once, insist, out_of_stock};
use stockhold::error::{ConfirmError, ReserveError, StockError};
use stockhold::types::{ON_HAND_MAX, QUANTITY_MAX};
use stockhold::{Adjust, AdjustReason, Confirm, OpKey, Receive, Reserve};

#[test]
fn o01_four_threads_fight_for_the_last_units_and_every_refusal_is_justified() {
    for round in 0..300u32 {
        let units = 1 + round % 9;
        let shop = Shop::with_units(units);
        let outcomes = at_once(4, |thread| {
            let mut outcome = Vec::new();
            for asked in [1 + (thread as u32 + round) % 3, 2, 1, 1, 1, 1] {
                let answer = insist(|| shop.try_reserve(asked));
                outcome.push((asked, answer.is_ok(), out_of_stock(&answer)));
            }
            outcome
        });
        let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
        let granted: u32 = outcomes.iter().filter(|(_, granted, _)| *granted).map(|(asked, ..)| asked).sum();
        assert_eq!(granted, units, "the last unit is sold, and not one more");
        for (asked, granted, available) in outcomes {
            // Nothing is given back here, so a refusal saw fewer units than were asked for, and not less than
            // none.
            assert!(granted || (0..i64::from(asked)).contains(&available.unwrap()));
        }
        shop.assert_level(units.into(), units.into(), 0);
    }
}

#[test]
fn o02_no_update_is_lost() {
    let shop = Shop::with_units(10_000);
    at_once(4, |thread| {
        for _ in 0..2_000 {
            match thread {
                0 => drop(insist(|| shop.engine.receive(Receive::units(shop.key, 3))).unwrap()),
                1 => {
                    // Down and up again, with enough stock that it never falls below zero.
                    for delta in [-2, 1] {
                        let adjust = Adjust::by(shop.key, delta, AdjustReason::Count);
                        drop(insist(|| shop.engine.adjust(adjust)).unwrap());
                    }
                }
                _ => {
                    let Ok(granted) = insist(|| shop.engine.reserve(Reserve::units(shop.key, 2))) else {
                        continue;
                    };
                    let hold = granted.not_yet_durable().hold;
                    drop(insist(|| shop.engine.confirm(Confirm::hold(hold).quantity(1))).unwrap());
                    drop(insist(|| shop.engine.cancel(hold)).unwrap());
                }
            }
        }
    });
    shop.assert_level(10_000 + 3 * 2_000 - 2_000, 0, 0);
}

#[test]
fn o04_what_a_cart_had_taken_when_it_is_refused_is_all_given_back() {
    let shop = Shop::with_units(5);
    let [poster, mug, shirt] = shop.keys();
    shop.receive(mug, 5);
    for _ in 0..3 {
        let refused = shop.try_cart(&[(poster, 5), (mug, 5), (shirt, 1)]);
        assert_eq!(out_of_stock(&refused), Some(0));
    }
    shop.assert_level_of(poster, 5, 0, 0);
    shop.assert_level_of(mug, 5, 0, 0);
    shop.cart(&[(poster, 5), (mug, 5)]);
    shop.assert_level_of(mug, 5, 5, 0);
}

#[test]
fn o05_of_release_confirm_and_expiry_at_once_one_wins_and_gives_back_once() {
    let shop = Shop::with_units(3);
    for round in 0..1_000 {
        let hold = shop.reserve(3);
        let before = shop.engine.metrics().expired;
        let won = at_once(4, |thread| match thread {
            0 | 1 => insist(|| shop.engine.release(hold)).is_ok(),
            2 => insist(|| shop.engine.confirm(hold)).is_ok(),
            _ => {
                if round % 2 == 0 {
                    shop.clock.advance(600 * SECOND);
                }
                shop.engine.sweep();
                false
            }
        });
        let won = won.into_iter().filter(|won| *won).count() as u64;
        // Not only the sweep: any call that finds the deadline passed expires the hold.
        assert_eq!(won + shop.engine.metrics().expired - before, 1, "one hold, one outcome");
        let level = shop.engine.level(shop.key).unwrap();
        assert_eq!((level.held, level.available + level.committed), (0, 3));
        assert_eq!(shop.engine.available(shop.key), Ok(level.available));
        if level.committed > 0 {
            let won: u32 = at_once(3, |_| u32::from(shop.engine.cancel(hold).is_ok())).into_iter().sum();
            assert_eq!(won, 1);
        }
        shop.assert_level(3, 0, 0);
    }
}

#[test]
fn o06_as_many_as_there_are_and_not_one_more() {
    for units in 1..5 {
        let shop = Shop::with_units(units);
        assert_eq!(out_of_stock(&shop.try_reserve(units + 1)), Some(units.into()));
        assert_eq!(shop.try_reserve(units).unwrap().remaining.units(), 0);
        assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    }
}

#[test]
fn o07_every_way_to_a_unit_passes_the_counter() {
    for round in 0..300u128 {
        let shop = Shop::with_units(1);
        let late = shop.reserve(1);
        shop.clock.advance(600 * SECOND);
        let won: u32 = at_once(4, |thread| {
            let reserve = Reserve::units(shop.key, 1);
            u32::from(match thread {
                0 => insist(|| shop.engine.reserve(reserve)).is_ok(),
                1 => insist(|| shop.engine.reserve(reserve.op_key(OpKey(round)))).is_ok(),
                2 => insist(|| shop.engine.reserve(reserve.op_key(OpKey(!round)).remember_refusal())).is_ok(),
                _ => insist(|| shop.engine.confirm(Confirm::hold(late).retake_if_expired())).is_ok(),
            })
        })
        .into_iter()
        .sum();
        assert_eq!(won, 1);
        assert_eq!(shop.engine.available(shop.key), Ok(0));
    }
}

#[test]
fn o09_a_confirm_at_the_deadline_never_shares_its_units_with_the_next_buyer() {
    let shop = Shop::with_units(1);
    for _ in 0..1_000 {
        let hold = shop.reserve(1);
        shop.clock.advance(600 * SECOND);
        let (late, next) = thread::scope(|scope| {
            let next = scope.spawn(|| insist(|| shop.try_reserve(1)));
            let late = insist(|| shop.engine.confirm(hold)).map(drop);
            (late, next.join().unwrap())
        });
        assert_eq!(late, Err(ConfirmError::Expired));
        let next = next.expect("the expired units are on sale").hold;
        shop.engine.release(next).unwrap().wait().unwrap();
    }
}

#[test]
fn o10_what_was_acknowledged_is_not_sold_again_after_a_restart() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let shop = disk.open();
        shop.engine.receive(Receive::units(shop.key, 3)).unwrap().wait().unwrap();
        shop.reserve(1);
        let sold = shop.reserve(1);
        shop.engine.confirm(sold).unwrap().wait().unwrap();
        drop(shop);
        let shop = disk.open();
        shop.assert_level(3, 1, 1);
        shop.reserve(1);
        assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    }
}

#[test]
fn o10_the_level_and_the_counter_agree() {
    let shop = Shop::with_units(100);
    at_once(3, |_| {
        for _ in 0..1_000 {
            if let Ok(granted) = insist(|| shop.try_reserve(7)) {
                drop(insist(|| shop.engine.release(granted.hold)).unwrap());
            }
        }
    });
    shop.assert_level(100, 0, 0);
}

#[test]
fn o11_no_quantity_overflows_or_turns_the_sign() {
    let shop = Shop::with_units(1);
    for asked in [0, QUANTITY_MAX + 1, u32::MAX] {
        assert!(matches!(shop.try_reserve(asked), Err(ReserveError::Shared(_))));
        assert!(shop.engine.receive(Receive::units(shop.key, asked)).is_err());
    }
    assert_eq!(out_of_stock(&shop.try_reserve(QUANTITY_MAX)), Some(1));
    for delta in [0, i64::MIN, i64::MAX, i64::from(QUANTITY_MAX) + 1] {
        assert!(shop.engine.adjust(Adjust::by(shop.key, delta, AdjustReason::Other)).is_err());
    }
    shop.assert_level(1, 0, 0);
    let room = (ON_HAND_MAX - 1) as u64;
    for _ in 0..room / u64::from(QUANTITY_MAX) {
        drop(insist(|| shop.engine.receive(Receive::units(shop.key, QUANTITY_MAX))).unwrap());
    }
    let rest = (room % u64::from(QUANTITY_MAX)) as u32;
    let full = |quantity| shop.engine.receive(Receive::units(shop.key, quantity)).map(drop);
    assert_eq!(full(rest + 1), Err(StockError::TooMuch));
    assert_eq!(full(rest), Ok(()));
    assert_eq!(full(1), Err(StockError::TooMuch));
    shop.assert_level(ON_HAND_MAX, 0, 0);
    shop.reserve(QUANTITY_MAX);
    shop.assert_level(ON_HAND_MAX, QUANTITY_MAX.into(), 0);
}

#[test]
fn o12_nothing_sets_stock_during_a_sale() {
    let disk = Disk::new(ON_DISK[1]);
    for left in (0..5).rev() {
        let shop = disk.open();
        if left == 4 {
            shop.engine.receive(Receive::units(shop.key, 5)).unwrap().wait().unwrap();
        }
        assert_eq!(shop.engine.declare("poster", "berlin"), Ok(shop.key));
        shop.reserve(1);
        assert_eq!(shop.engine.available(shop.key), Ok(left));
    }
    assert!(out_of_stock(&disk.open().try_reserve(1)).is_some());
}

#[test]
fn o12_a_count_during_a_sale_is_a_difference() {
    let shop = Shop::with_units(500);
    let sold = AtomicU32::new(0);
    at_once(2, |thread| {
        for _ in 0..250 {
            if thread == 0 {
                insist(|| shop.try_reserve(1)).unwrap();
                sold.fetch_add(1, Ordering::Relaxed);
            } else {
                let delta = Adjust::by(shop.key, -1, AdjustReason::Lost);
                drop(shop.engine.adjust(delta).unwrap());
            }
        }
    });
    shop.assert_level(250, 250, 0);
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
}

#[test]
fn o13_what_spends_units_lies_behind_what_gave_them_back() {
    let shop = Shop::with_units(1);
    for _ in 0..2_000 {
        let hold = shop.reserve(1);
        let (released, spent) = thread::scope(|scope| {
            let spender = scope.spawn(|| {
                loop {
                    if let Ok(granted) = shop.engine.reserve(Reserve::units(shop.key, 1)) {
                        let position = granted.position();
                        shop.engine.release(granted.not_yet_durable().hold).unwrap().wait().unwrap();
                        return position;
                    }
                }
            });
            (shop.engine.release(hold).unwrap().position(), spender.join().unwrap())
        });
        assert!(released < spent, "released at {released}, spent at {spent}");
    }
}
