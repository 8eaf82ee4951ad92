//! False refusals: each known cause of "sold out" while units are available, and a test that the engine does
//! not have it.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use common::{Disk, ON_DISK, SECOND, START, Shop, at_once, cart, insist, out_of_stock};
use stockhold::error::ReplaceError;
use stockhold::{
    Adjust, AdjustReason, Clock, Confirm, Engine, HoldAction, HoldId, HoldState, ManualClock, Receive,
    Replace, Reserve, ReserveCart, StockKey, Timestamp,
};

#[test]
fn f01_sold_out_ends_with_every_way_in_which_stock_give_back() {
    let shop = Shop::with_units(2);
    let sold_out = || assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    let hold = shop.reserve(2);
    sold_out();
    shop.engine.release(hold).unwrap().wait().unwrap();
    let hold = shop.reserve(2);
    sold_out();
    shop.engine.confirm(Confirm::hold(hold).quantity(1)).unwrap().wait().unwrap();
    shop.reserve(1);
    sold_out();
    shop.engine.cancel(hold).unwrap().wait().unwrap();
    shop.reserve(1);
    sold_out();
    shop.clock.advance(600 * SECOND);
    shop.reserve(2);
    sold_out();
    shop.engine.receive(Receive::units(shop.key, 1)).unwrap().wait().unwrap();
    shop.reserve(1);
    sold_out();
    shop.engine.adjust(Adjust::by(shop.key, 1, AdjustReason::Found)).unwrap().wait().unwrap();
    shop.reserve(1);
    sold_out();
}

#[test]
fn f01_a_stopped_sale_resumes() {
    let shop = Shop::with_units(1);
    shop.engine.stop_sale(shop.key).unwrap().wait().unwrap();
    assert!(shop.try_reserve(1).is_err());
    assert_eq!(out_of_stock(&shop.try_reserve(1)), None, "a stopped sale is not reported as out of stock");
    shop.engine.resume_sale(shop.key).unwrap().wait().unwrap();
    shop.reserve(1);
}

#[test]
fn f02_a_big_request_does_not_poison_the_small_ones_after_it() {
    let shop = Shop::with_units(3);
    for asked in [4, 10, 1 << 30] {
        assert_eq!(out_of_stock(&shop.try_reserve(asked)), Some(3));
    }
    shop.reserve(2);
    assert_eq!(out_of_stock(&shop.try_reserve(2)), Some(1));
    shop.reserve(1);
}

#[test]
fn f02_big_requests_of_others_meanwhile_do_not_count() {
    let shop = Shop::with_units(1_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                assert!(out_of_stock(&insist(|| shop.try_reserve(1_001))).is_some());
            }
        });
        for _ in 0..1_000 {
            insist(|| shop.try_reserve(1)).unwrap();
        }
    });
}

#[test]
fn f05_without_a_sweep_the_expired_units_of_all_threads_sell_to_one_buyer() {
    let shop = Shop::with_units(400);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    shop.reserve(1);
                }
            });
        }
    });
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    shop.clock.advance(600 * SECOND);
    shop.reserve(400);
    shop.assert_level(400, 400, 0);
}

#[test]
fn f07_a_buyer_who_vanishes_keeps_nothing_past_the_deadline() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let shop = disk.open();
        shop.engine.receive(Receive::units(shop.key, 2)).unwrap().wait().unwrap();
        // The buyer never reads the answer, and the process ends.
        drop(shop.engine.reserve(Reserve::units(shop.key, 2)).unwrap());
        drop(shop);
        let shop = disk.open();
        assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
        shop.clock.advance(600 * SECOND);
        shop.reserve(2);
    }
}

/// The buyers want exactly the units that there are, so every refusal for lack of stock is false.
#[test]
fn f08_f11_while_expired_units_are_reclaimed_no_caller_is_told_sold_out() {
    let shop = Shop::with_units(8);
    for _ in 0..300 {
        for _ in 0..4 {
            insist(|| shop.try_reserve(2)).unwrap();
        }
        shop.clock.advance(600 * SECOND);
        let begin = Barrier::new(5);
        let sold: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                begin.wait();
                shop.engine.sweep();
            });
            let buyers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        insist(|| shop.try_reserve(2))
                    })
                })
                .collect();
            buyers.into_iter().map(|buyer| buyer.join().unwrap().unwrap().hold).collect()
        });
        sold.into_iter().for_each(|hold| drop(shop.engine.release(hold).unwrap()));
    }
    shop.assert_level(8, 0, 0);
}

#[derive(Clone, Copy)]
enum GiveBack {
    Release,
    PartConfirm,
    Cancel,
}

/// Once any thread can see that the hold has ended, its units are on sale or pending, never refused.
fn f11(give_back: GiveBack) {
    let shop = Shop::with_units(2);
    for _ in 0..600 {
        let hold = shop.reserve(2);
        if let GiveBack::Cancel = give_back {
            shop.engine.confirm(hold).unwrap().wait().unwrap();
        }
        let before = shop.engine.status(hold).unwrap().state;
        let next = thread::scope(|scope| {
            scope.spawn(|| match give_back {
                GiveBack::Release => drop(shop.engine.release(hold).unwrap()),
                GiveBack::PartConfirm => drop(shop.engine.confirm(Confirm::hold(hold).quantity(1)).unwrap()),
                GiveBack::Cancel => drop(shop.engine.cancel(HoldAction::hold(hold).quantity(2)).unwrap()),
            });
            while shop.engine.status(hold).is_ok_and(|status| status.state == before) {
                thread::yield_now();
            }
            insist(|| shop.try_reserve(1)).expect("its unit is on sale or pending").hold
        });
        shop.engine.release(next).unwrap().wait().unwrap();
        if let GiveBack::PartConfirm = give_back {
            shop.engine.cancel(hold).unwrap().wait().unwrap();
        }
    }
    shop.assert_level(2, 0, 0);
}

#[test]
fn f11_released_units_are_on_their_way() {
    f11(GiveBack::Release);
}

#[test]
fn f11_units_left_over_by_a_part_confirm_are_on_their_way() {
    f11(GiveBack::PartConfirm);
}

#[test]
fn f11_cancelled_units_are_on_their_way() {
    f11(GiveBack::Cancel);
}

#[test]
fn f09_keys_taken_in_opposite_orders_never_lock_each_other_out() {
    let shop = Shop::with_units(4);
    let other = shop.engine.declare("poster", "paris").unwrap();
    shop.engine.receive(Receive::units(other, 4)).unwrap().wait().unwrap();
    let orders = [[shop.key, other], [other, shop.key]];
    thread::scope(|scope| {
        for order in orders.iter().cycle().take(4) {
            scope.spawn(|| {
                for _ in 0..3_000 {
                    let holds = order.map(|key| {
                        let reserve = || shop.engine.reserve(Reserve::units(key, 1));
                        insist(reserve).expect("there is a unit for each thread").not_yet_durable().hold
                    });
                    for hold in holds {
                        insist(|| shop.engine.release(hold)).unwrap().not_yet_durable();
                    }
                }
            });
        }
    });
    shop.assert_level(4, 0, 0);
}

#[test]
fn f10_the_counter_does_not_drift_from_the_holds() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    shop.engine.receive(Receive::units(shop.key, 50)).unwrap().wait().unwrap();
    thread::scope(|scope| {
        for thread in 0..4u32 {
            let shop = &shop;
            scope.spawn(move || {
                for step in 0..1_500u32 {
                    let quantity = 1 + (step * 7 + thread) % 4;
                    let Ok(granted) = insist(|| shop.engine.reserve(Reserve::units(shop.key, quantity)))
                    else {
                        shop.clock.advance(60 * SECOND);
                        continue;
                    };
                    let hold = granted.not_yet_durable().hold;
                    // Calls on a hold that has expired meanwhile fail, as they must.
                    match (step + thread) % 4 {
                        0 => drop(insist(|| shop.engine.release(hold))),
                        1 if insist(|| shop.engine.confirm(Confirm::hold(hold).quantity(1))).is_ok() => {
                            shop.engine.ship(hold).unwrap().not_yet_durable();
                            let receive = || shop.engine.receive(Receive::units(shop.key, 1));
                            insist(receive).unwrap().not_yet_durable();
                        }
                        2 if insist(|| shop.engine.confirm(Confirm::hold(hold).retake_if_expired()))
                            .is_ok() =>
                        {
                            insist(|| shop.engine.cancel(HoldAction::hold(hold).quantity(1)))
                                .unwrap()
                                .not_yet_durable();
                            let _ = insist(|| shop.engine.cancel(hold));
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    shop.clock.advance(600 * SECOND);
    shop.engine.sweep();
    shop.assert_level(50, 0, 0);
    shop.engine.shutdown().unwrap();
    let shop = disk.open();
    shop.assert_level(50, 0, 0);
    shop.reserve(50);
}

#[test]
fn a_failed_reserve_does_not_change_the_status_of_the_slots_last_hold() {
    // Threads compete for one unit; each looks up the hold that it released just before.
    let shop = Shop::with_units(1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3_000 {
                    let Ok(granted) = shop.try_reserve(1) else { continue };
                    insist(|| shop.engine.release(granted.hold)).unwrap().not_yet_durable();
                    match shop.engine.status(granted.hold) {
                        Ok(status) => assert_eq!(status.state, HoldState::Released),
                        Err(error) => assert_eq!(error, stockhold::error::LookupError::Forgotten),
                    }
                }
            });
        }
    });
}

thread_local! {
    /// How many more readings of the clock by this thread may move the last unit.
    static READINGS_LEFT: Cell<u32> = const { Cell::new(0) };
}

/// A clock that, when a thread reads it, takes the last unit of a key or gives it back. A cart sees that
/// unit, and then it is gone.
struct SnatchingClock {
    time: ManualClock,
    shop: OnceLock<(Engine, StockKey)>,
    taken: Mutex<Option<HoldId>>,
}

impl SnatchingClock {
    fn snatch(&self) {
        let (Some((engine, key)), mut taken) = (self.shop.get(), self.taken.lock().unwrap()) else { return };
        *taken = match taken.take() {
            Some(hold) => {
                insist(|| engine.release(hold)).unwrap().not_yet_durable();
                None
            }
            None => Some(insist(|| engine.reserve(Reserve::units(*key, 1))).unwrap().not_yet_durable().hold),
        };
    }
}

impl Clock for SnatchingClock {
    fn now(&self) -> Timestamp {
        let left = READINGS_LEFT.replace(0);
        // After the last reading the unit is taken.
        if left > 1 || left == 1 && self.taken.lock().unwrap().is_none() {
            self.snatch();
        }
        READINGS_LEFT.set(left.saturating_sub(1).max(left.min(1)));
        self.time.now()
    }
}

/// A cart wants all units of a key, many other keys, and a last one that it never gets, so it rolls back
/// again and again. No other thread may be refused units that the cart was never granted.
fn f14(prepared: bool, other: impl Fn(&Shop, &ManualClock) + Sync) {
    let clock =
        SnatchingClock { time: ManualClock::new(START), shop: OnceLock::new(), taken: Mutex::new(None) };
    let clock = Arc::new(clock);
    let units = if prepared { 4_000 } else { 2 };
    let shop = Shop::with(units, |config| config.clock(Arc::clone(&clock)));
    let keys = shop.keys::<200>();
    keys[1..].iter().for_each(|key| shop.receive(*key, 1));
    let last = keys[199];
    // An opening time on the last key makes a cart read the clock at its last line.
    shop.engine.open_sale_at(last, START).unwrap().wait().unwrap();
    assert!(clock.shop.set((shop.engine.clone(), last)).is_ok());
    clock.snatch();
    let mut lines = keys.map(|key| (key, 1));
    lines[0].1 = units;
    let (lines, over) = (cart(&lines), AtomicBool::new(false));
    at_once(2, |thread| {
        if thread == 0 {
            for _ in 0..100 {
                READINGS_LEFT.set(100);
                let refused = insist(|| shop.engine.reserve_cart(ReserveCart::lines(&lines)));
                assert!(out_of_stock(&refused).is_some());
            }
            READINGS_LEFT.set(0);
            over.store(true, Ordering::Relaxed);
        }
        while !over.load(Ordering::Relaxed) {
            if prepared {
                shop.engine.prepare(shop.key).unwrap();
            }
            other(&shop, &clock.time);
        }
    });
    shop.assert_level(units.into(), 0, 0);
}

fn release(shop: &Shop, hold: HoldId) {
    insist(|| shop.engine.release(hold)).unwrap().not_yet_durable();
}

const NOT_GRANTED: &str = "no other call was ever granted any units";

#[test]
fn f14_a_cart_that_rolls_back_refuses_no_reserve() {
    for prepared in [false, true] {
        f14(prepared, |shop, _| release(shop, insist(|| shop.try_reserve(2)).expect(NOT_GRANTED).hold));
    }
}

#[test]
fn f14_a_cart_that_rolls_back_refuses_no_other_cart() {
    let lines = |shop: &Shop| [(shop.key, 1), (shop.key, 1)];
    f14(false, |shop, _| release(shop, insist(|| shop.try_cart(&lines(shop))).expect(NOT_GRANTED).hold));
}

#[test]
fn f14_a_cart_that_rolls_back_makes_no_batch_smaller() {
    for prepared in [false, true] {
        f14(prepared, |shop, _| {
            let request = Reserve::units(shop.key, 2).or_at_least(1);
            let granted = insist(|| shop.engine.reserve(request)).expect(NOT_GRANTED).not_yet_durable();
            assert_eq!(granted.quantity, 2);
            release(shop, granted.hold);
        });
    }
}

#[test]
fn f14_a_cart_that_rolls_back_refuses_no_replacement() {
    f14(false, |shop, _| {
        // The hold begins with another key, so that the cart can take units while the hold is replaced.
        let [_, paris] = shop.keys();
        let hold = match insist(|| shop.try_cart(&[(paris, 1)])) {
            Ok(granted) => granted.hold,
            Err(_) => return, // the cart has the unit
        };
        let lines = cart(&[(shop.key, 2)]);
        insist(|| shop.engine.replace(Replace::lines(hold, &lines))).expect(NOT_GRANTED).not_yet_durable();
        release(shop, hold);
    });
}

#[test]
fn f14_a_cart_that_rolls_back_refuses_no_late_confirm() {
    f14(false, |shop, time| {
        let short = Reserve::units(shop.key, 2).ttl(SECOND / 1_000);
        let hold = insist(|| shop.engine.reserve(short)).expect(NOT_GRANTED).not_yet_durable().hold;
        time.advance(SECOND / 1_000);
        let late = Confirm::hold(hold).retake_if_expired();
        insist(|| shop.engine.confirm(late)).expect(NOT_GRANTED).not_yet_durable();
        insist(|| shop.engine.cancel(hold)).unwrap().not_yet_durable();
    });
}

#[test]
fn f04_a_refused_replacement_makes_no_other_caller_see_sold_out() {
    let shop = Shop::with_units(2);
    let [key, never] = shop.keys();
    let hold = shop.reserve(1);
    at_once(3, |thread| {
        for _ in 0..3_000 {
            if thread == 0 {
                // The hold would give up its unit for one that does not exist, so it keeps it.
                let refused = insist(|| shop.engine.replace(Replace::lines(hold, &cart(&[(never, 1)]))));
                assert!(matches!(refused, Err(ReplaceError::Refused(refusal)) if refusal.key == never));
            } else if thread == 1 {
                let next = insist(|| shop.try_reserve(1)).expect("the other unit is available").hold;
                insist(|| shop.engine.release(next)).unwrap().not_yet_durable();
            } else {
                let level = shop.engine.level(key).unwrap();
                assert!((0..=1).contains(&level.available), "{level:?}");
            }
        }
    });
    shop.assert_level(2, 1, 0);
}

#[test]
fn f09_carts_with_their_lines_in_opposite_orders_never_lock_each_other_out() {
    let shop = Shop::with_units(4);
    let keys = shop.keys::<3>();
    keys[1..].iter().for_each(|key| shop.receive(*key, 4));
    at_once(4, |thread| {
        let mut lines = keys.map(|key| (key, 1));
        lines.rotate_left(thread % 3);
        for _ in 0..3_000 {
            let hold = insist(|| shop.try_cart(&lines)).expect("there is a unit for each thread").hold;
            insist(|| shop.engine.release(hold)).unwrap().not_yet_durable();
        }
    });
    keys.iter().for_each(|key| shop.assert_level_of(*key, 4, 0, 0));
}
