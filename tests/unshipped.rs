//! Confirmed holds that are never shipped: kept for the configured time, then counted as shipped.

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Disk, ON_DISK, SECOND, Shop, at_once, cart, insist};
use stockhold::error::{ConfirmError, HoldError, LookupError, ReserveError};
use stockhold::{Config, Confirm, HoldAction, HoldId, HoldState, Reserve};
use stockhold_seeded::{Rng, seed};

const MS: Duration = Duration::from_millis(1);
const KEPT: Duration = Duration::from_secs(86_400);

fn for_a_day(config: Config) -> Config {
    let hour = 3_600 * SECOND;
    config.ttl_bounds(MS, hour).life_max(hour).commitments_kept(Some(KEPT))
}

fn sold(shop: &Shop, quantity: u32) -> HoldId {
    let hold = shop.reserve(quantity);
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    hold
}

#[test]
fn an_unshipped_hold_counts_as_shipped_after_its_time_and_not_before() {
    let shop = Shop::with(10, for_a_day);
    let [poster, frame] = shop.keys();
    shop.receive(frame, 10);
    let hold = shop.reserve(3);
    // The time counts from the reserve, not from the confirm.
    shop.clock.advance(60 * SECOND);
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    let cart = shop.cart(&[(poster, 1), (frame, 4)]);
    shop.engine.confirm(cart).unwrap().wait().unwrap();

    shop.clock.advance(KEPT - 60 * SECOND - MS);
    shop.engine.sweep();
    assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Confirmed);
    shop.assert_level_of(poster, 10, 0, 4);

    shop.clock.advance(KEPT / 16);
    shop.engine.sweep();
    for hold in [hold, cart] {
        assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Shipped);
    }
    shop.assert_level_of(poster, 6, 0, 0);
    shop.assert_level_of(frame, 6, 0, 0);
    let metrics = shop.engine.metrics();
    assert_eq!((metrics.shipped, metrics.shipped_by_time), (2, 2));
}

#[test]
fn only_the_remaining_units_count_as_shipped() {
    let shop = Shop::with(10, for_a_day);
    let [poster, frame] = shop.keys();
    shop.receive(frame, 10);
    let single = sold(&shop, 5);
    let lines = shop.cart(&[(poster, 3), (frame, 4)]);
    shop.engine
        .confirm(Confirm::hold(lines).lines(&cart(&[(poster, 2), (frame, 4)])))
        .unwrap()
        .wait()
        .unwrap();
    shop.engine.ship(HoldAction::hold(single).quantity(2)).unwrap().wait().unwrap();
    shop.engine.cancel(HoldAction::hold(single).quantity(1)).unwrap().wait().unwrap();
    shop.engine.ship(HoldAction::hold(lines).lines(&cart(&[(frame, 4)]))).unwrap().wait().unwrap();
    shop.assert_level_of(poster, 8, 0, 4);
    shop.clock.advance(KEPT);
    shop.engine.sweep();
    shop.assert_level_of(poster, 4, 0, 0);
    shop.assert_level_of(frame, 6, 0, 0);
}

#[test]
fn later_calls_fail_because_the_hold_is_shipped() {
    let shop = Shop::with(10, for_a_day);
    let hold = sold(&shop, 2);
    shop.clock.advance(KEPT);
    shop.engine.sweep();
    let shipped = HoldError::WrongState(HoldState::Shipped);
    assert_eq!(shop.engine.ship(hold).unwrap_err(), shipped);
    assert_eq!(shop.engine.cancel(HoldAction::hold(hold).quantity(1)).unwrap_err(), shipped);
    assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Ended(HoldState::Shipped));
    // Once its slot has a later hold, it is forgotten.
    for _ in 0..64 {
        sold(&shop, 1);
        shop.receive(shop.key, 1);
        shop.clock.advance(KEPT);
        shop.engine.sweep();
    }
    assert_eq!(shop.engine.ship(hold).unwrap_err(), HoldError::Lookup(LookupError::Forgotten));
}

#[test]
fn the_time_of_a_late_confirm_counts_from_its_reserve_too() {
    let shop = Shop::with(10, for_a_day);
    let hold = shop.reserve(2);
    shop.clock.advance(2 * KEPT);
    shop.engine.sweep();
    assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Expired);
    shop.engine.confirm(Confirm::hold(hold).retake_if_expired()).unwrap().wait().unwrap();
    shop.clock.advance(KEPT / 16);
    shop.engine.sweep();
    assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Shipped);
    shop.assert_level(8, 0, 0);
}

#[test]
fn a_restart_does_not_delay_it() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let (old, young) = {
            let shop = disk.open_with(for_a_day);
            shop.receive(shop.key, 10);
            let old = sold(&shop, 3);
            shop.engine.checkpoint().unwrap();
            shop.clock.advance(KEPT / 2);
            (old, sold(&shop, 2))
        };
        // Each opening is so short that only its first round runs.
        for _ in 0..8 {
            disk.clock.advance(KEPT / 16);
            disk.open_with(for_a_day).engine.sweep();
        }
        let shop = disk.open_with(for_a_day);
        assert_eq!(shop.engine.status(old).unwrap().state, HoldState::Shipped);
        assert_eq!(shop.engine.status(young).unwrap().state, HoldState::Confirmed);
        shop.assert_level(7, 0, 2);
        shop.clock.advance(KEPT / 2);
        shop.engine.sweep();
        shop.assert_level(5, 0, 0);
        shop.engine.verify().unwrap();
        drop(shop);
        assert_eq!(disk.inspect().drift(), None);
        disk.open_with(|config| config).assert_level(5, 0, 0);
    }
}

#[test]
fn without_shipments_an_engine_needs_only_the_holds_of_that_time() {
    const HOLDS: u32 = 200;
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open_with(|config| for_a_day(config).holds_max(HOLDS).ring_bytes(64 << 10));
    let mut recent = VecDeque::new();
    for sold_before in 0..3_000 {
        // 96 holds are sold in the time for which they are kept.
        disk.clock.advance(KEPT / 96);
        shop.receive(shop.key, 1);
        recent.push_back(sold(&shop, 1));
        shop.engine.sweep();
        if recent.len() > 95 {
            recent.pop_front();
        }
        if sold_before % 500 == 0 {
            let kept = |hold: &HoldId| shop.engine.status(*hold).unwrap().state == HoldState::Confirmed;
            assert!(recent.iter().all(kept), "a hold was shipped before its time");
        }
    }
    let level = shop.engine.level(shop.key).unwrap();
    assert!((95..=103).contains(&level.committed) && level.available == 0, "{level:?}");
    shop.engine.verify().unwrap();
}

#[test]
fn the_driver_of_an_idle_engine_ships_them_and_without_the_setting_none_does() {
    let driven = |config: Config| config.driver_period(Some(MS));
    let shop = Shop::with(5, |config| for_a_day(driven(config)));
    let forever = Shop::with(5, driven);
    sold(&shop, 5);
    let hold = sold(&forever, 5);
    shop.clock.advance(KEPT);
    forever.clock.advance(1_000 * KEPT);
    while shop.engine.metrics().shipped_by_time == 0 {
        thread::yield_now();
    }
    shop.assert_level(0, 0, 0);
    forever.engine.sweep();
    assert_eq!(forever.engine.status(hold).unwrap().state, HoldState::Confirmed);
}

#[test]
fn a_hold_that_is_shipped_or_cancelled_meanwhile_has_one_outcome() {
    const SALES: usize = 3_000;
    let rng = Rng::new(seed());
    // The ring is so small that it is often full.
    let shop = Shop::with(4 * SALES as u32, |config| for_a_day(config).ring_bytes(64 << 10));
    let [poster, frame] = shop.keys();
    shop.receive(frame, 4 * SALES as u32);
    let holds: Vec<HoldId> = (0..SALES)
        .map(|number| {
            let hold = match number % 2 {
                0 => insist(|| shop.try_reserve(3)).unwrap().hold,
                _ => insist(|| shop.try_cart(&[(poster, 1), (frame, 2)])).unwrap().hold,
            };
            insist(|| shop.engine.confirm(hold)).unwrap().not_yet_durable();
            hold
        })
        .collect();
    shop.clock.advance(KEPT);
    let over = AtomicBool::new(false);
    let (shipped, cancelled) = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                shop.clock.advance(KEPT / 16);
                shop.engine.sweep();
            }
        });
        let moved = at_once(2, |thread| {
            let mut rng = rng.fork(thread);
            let (mut shipped, mut cancelled) = (0, 0);
            for hold in &holds {
                let ship = rng.below_u32(2) == 0;
                let moved = insist(|| if ship { shop.engine.ship(*hold) } else { shop.engine.cancel(*hold) });
                match moved {
                    Ok(moved) => {
                        *if ship { &mut shipped } else { &mut cancelled } += moved.not_yet_durable().quantity
                    }
                    Err(HoldError::WrongState(HoldState::Shipped | HoldState::Cancelled)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (shipped, cancelled)
        });
        over.store(true, Ordering::Release);
        moved.into_iter().fold((0, 0), |sum, (shipped, cancelled)| (sum.0 + shipped, sum.1 + cancelled))
    });
    let [on_hand, committed] = [poster, frame].iter().fold([0, 0], |[on_hand, committed], key| {
        let level = shop.engine.level(*key).unwrap();
        assert_eq!(shop.engine.available_exactly(*key), Ok(level.available));
        [on_hand + level.on_hand, committed + level.committed]
    });
    let metrics = shop.engine.metrics();
    println!("{shipped} units shipped, {cancelled} cancelled, {} holds by time", metrics.shipped_by_time);
    assert_eq!(committed, 0);
    let by_time = 3 * metrics.shipped_by_time as i64;
    assert_eq!(on_hand, 8 * SALES as i64 - i64::from(shipped) - by_time);
    assert_eq!(3 * SALES as i64, i64::from(shipped) + i64::from(cancelled) + by_time);
}

#[test]
fn a_table_full_of_unshipped_holds_refuses_until_their_time_has_passed() {
    let shop = Shop::with(10, |config| for_a_day(config).holds_max(4));
    for _ in 0..4 {
        sold(&shop, 1);
    }
    let full = ReserveError::HoldsFull { holds_max: 4 };
    assert_eq!(shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap_err(), full);
    shop.clock.advance(KEPT);
    shop.engine.sweep();
    shop.reserve(1);
}
