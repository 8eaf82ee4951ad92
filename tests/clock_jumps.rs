//! A wall clock that jumps, a machine that is suspended, and restarts in between: no hold expires early, none
//! lives much longer than asked for, and no outcome is undone. The rules are in `stockhold::clock`.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::machine::{ShopOnMachine, ms};
use common::{SECOND, START, out_of_stock};
use stockhold::error::{ClockError, ConfirmError};
use stockhold::{HoldId, OpKey, Receive, Reserve, Timestamp};
use stockhold_seeded::{Rng, seed};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn uuid_v7(at: Timestamp, number: u128) -> OpKey {
    OpKey(u128::from(at.0) << 80 | 7 << 76 | 0b10 << 62 | number)
}

fn signed(duration: Duration) -> i64 {
    ms(duration) as i64
}

#[test]
fn a_wall_set_back_by_minutes_makes_holds_live_a_little_longer() {
    let shop = ShopOnMachine::open();
    let hold = shop.reserve(10 * MINUTE);
    shop.machine.set_wall(-signed(5 * MINUTE));
    shop.assert_ends_after(hold, 600..=641);
    shop.assert_clock(1..=signed(5 * MINUTE), 1, false);
    shop.run_for(70 * MINUTE);
    shop.assert_clock(-1..=1, 1, false);
}

#[test]
fn a_wall_set_ahead_a_little_makes_holds_live_hardly_shorter() {
    let shop = ShopOnMachine::open();
    let hold = shop.reserve(10 * MINUTE);
    shop.machine.set_wall(signed(30 * SECOND));
    shop.assert_ends_after(hold, 599..=600);
    shop.assert_clock(-signed(30 * SECOND)..=-signed(29 * SECOND), 1, false);
}

#[test]
fn a_wall_set_a_day_ahead_is_not_believed_and_reported() {
    let shop = ShopOnMachine::open();
    let hold = shop.reserve(10 * MINUTE);
    shop.machine.set_wall(signed(DAY));
    shop.run_for(MINUTE);
    assert_eq!(shop.engine().sweep(), 0);
    shop.assert_clock(-signed(DAY)..=-signed(DAY), 1, true);
    let later = shop.reserve(10 * MINUTE);
    shop.assert_ends_after(hold, 539..=540);
    shop.assert_ends_after(later, 59..=60);
    shop.machine.set_wall(0);
    shop.run_for(2 * SECOND);
    shop.assert_clock(0..=0, 2, false);
}

#[test]
fn an_operator_who_accepts_the_wall_expires_what_is_due_by_it() {
    let shop = ShopOnMachine::open();
    let (short, long) = (shop.reserve(10 * MINUTE), shop.reserve(2 * DAY));
    shop.machine.set_wall(signed(DAY));
    shop.run_for(2 * SECOND);
    let wall = shop.machine.wall();
    assert_eq!(shop.engine().accept_clock(), Ok(DAY));
    assert_eq!(shop.engine().now(), wall);
    assert_eq!((shop.is_live(short), shop.is_live(long)), (false, true));
    shop.assert_clock(0..=0, 1, false);
    assert_eq!(shop.engine().accept_clock(), Ok(Duration::ZERO));
    shop.machine.set_wall(0);
    let before = shop.engine().now();
    assert_eq!(shop.engine().accept_clock(), Ok(Duration::ZERO));
    assert_eq!(shop.engine().now(), before, "time never falls");
}

/// A wall at 2100 was accepted, a reserve was acknowledged by it, and no later opening went on.
#[test]
fn a_wall_that_no_opening_takes_cannot_be_accepted() {
    let mut shop = ShopOnMachine::open();
    let hold = shop.reserve(10 * MINUTE);
    for wall in [Timestamp(4_102_444_800_000), Timestamp(3_439_756_800_000), Timestamp(86_400_000)] {
        shop.machine.set_wall(wall.0 as i64 - START.0 as i64 - shop.machine.passed_ms() as i64);
        shop.run_for(2 * SECOND);
        let (before, wall) = (shop.engine().now(), shop.machine.wall());
        assert_eq!(shop.engine().accept_clock(), Err(ClockError::OutOfRange { wall }));
        assert_eq!(shop.engine().now(), before);
        shop.reserve(MINUTE);
        assert!(shop.is_live(hold));
    }
    let sentence = shop.engine().accept_clock().unwrap_err().to_string();
    assert!(
        sentence.contains("1970-01-02") && sentence.contains("set the machine's clock right"),
        "{sentence}"
    );
    shop.restart(|machine| machine.set_wall(0));
    assert!(shop.is_live(hold));
    // The last time that an opening takes may be accepted, and does not go on from there.
    shop.machine.set_wall((3_439_756_800_000 - START.0 - shop.machine.passed_ms() - 1) as i64);
    shop.engine().accept_clock().unwrap();
    let late = shop.reserve(MINUTE);
    shop.machine.pass(DAY);
    assert_eq!(shop.engine().now().to_string(), "2078-12-31T23:59:59.999Z");
    assert!(shop.is_live(late));
    shop.restart(|machine| machine.set_wall(0));
    assert!(shop.is_live(late));
}

#[test]
fn a_steady_clock_that_jumps_out_of_range_leaves_a_directory_that_opens() {
    let mut shop = ShopOnMachine::open();
    for years in [60, 200, 1_000_000] {
        shop.machine.pass(years * 365 * DAY);
        shop.reserve(MINUTE);
        assert_eq!(shop.engine().now().to_string(), "2078-12-31T23:59:59.999Z");
        shop.restart(|machine| {
            let passed_ms = machine.passed_ms.swap(0, Ordering::SeqCst);
            assert!(passed_ms > 0);
            machine.restart();
        });
        shop.engine().verify().unwrap();
    }
}

#[test]
fn time_passes_during_a_suspension() {
    let shop = ShopOnMachine::open();
    let (short, long) = (shop.reserve(10 * MINUTE), shop.reserve(2 * HOUR));
    shop.machine.pass(HOUR);
    // No call has read the wall clock yet: the new hold still starts after the suspension, not before it.
    let new = shop.reserve(10 * MINUTE);
    assert_eq!((shop.is_live(short), shop.is_live(long)), (false, true));
    shop.assert_clock(0..=0, 0, false);
    shop.assert_ends_after(new, 599..=600);
    shop.assert_ends_after(long, 2_999..=3_000);
}

#[test]
fn time_goes_on_over_a_restart_whatever_the_wall_does_meanwhile() {
    for wall_ahead_ms in [signed(DAY), -signed(DAY), -signed(5 * MINUTE), signed(10 * SECOND), 0] {
        let mut shop = ShopOnMachine::open();
        let hold = shop.reserve(10 * MINUTE);
        shop.run_for(MINUTE);
        let before = shop.engine().now();
        shop.restart(|machine| {
            machine.pass(MINUTE);
            machine.set_wall(wall_ahead_ms);
        });
        let engine = shop.engine();
        assert_eq!(engine.now(), before.plus(MINUTE));
        assert_eq!(engine.report().clock_ahead_ms, -wall_ahead_ms);
        assert_eq!(engine.metrics().clock_unbelieved, wall_ahead_ms == signed(DAY));
        shop.restart(|_| {});
        shop.assert_ends_after(hold, 479..=513); // 480 * 16 / 15
    }
}

/// The wall was right all along, and a hold of ten minutes was gone within a second.
#[test]
fn the_uptime_of_another_time_namespace_moves_no_deadline() {
    for offset in [SECOND, HOUR, DAY, 2 * DAY, 90 * DAY] {
        let mut shop = ShopOnMachine::open();
        shop.machine.pass(100 * DAY);
        let hold = shop.reserve(10 * MINUTE);
        let namespaces = [(1, signed(offset)), (0, 0), (2, -signed(offset)), (1, signed(offset)), (0, 0)];
        for (number, (namespace, offset_ms)) in (0..).zip(namespaces) {
            shop.restart(|machine| machine.count_from(namespace, offset_ms));
            assert_eq!(shop.engine().now(), shop.machine.wall(), "{offset:?}, namespace {namespace}");
            shop.assert_clock(0..=0, 0, false);
            assert!(shop.is_live(hold));
            let key = uuid_v7(shop.machine.wall(), number);
            assert_eq!(shop.engine().reserve(Reserve::units(shop.key, 1).op_key(key)).map(drop), Ok(()));
        }
        shop.assert_ends_after(hold, 599..=600);
    }
}

/// As after a virtual machine was restored: it has the same boot id, and another uptime.
#[test]
fn an_uptime_that_contradicts_the_wall_by_days_moves_no_deadline() {
    for offset in [4 * DAY, 90 * DAY, 5_000 * DAY] {
        let mut shop = ShopOnMachine::open();
        let hold = shop.reserve(10 * MINUTE);
        shop.restart(|machine| machine.count_from(0, signed(offset)));
        assert_eq!(shop.engine().now(), shop.machine.wall());
        shop.assert_ends_after(hold, 599..=600);
    }
}

#[test]
fn a_hold_that_was_due_while_the_engine_was_closed_has_expired() {
    let mut shop = ShopOnMachine::open();
    let hold = shop.reserve(10 * MINUTE);
    shop.restart(|machine| machine.pass(DAY));
    assert!(!shop.is_live(hold));
    assert!(matches!(shop.engine().confirm(hold), Err(ConfirmError::Expired)));
}

#[test]
fn after_a_start_of_the_machine_the_wall_is_believed() {
    let mut shop = ShopOnMachine::open();
    let hold = shop.reserve(2 * HOUR);
    shop.restart(|machine| {
        machine.pass(HOUR);
        machine.restart();
    });
    assert_eq!(shop.engine().now(), shop.machine.wall());
    shop.assert_ends_after(hold, 3_599..=3_600);
}

#[test]
fn after_a_start_of_the_machine_time_is_not_below_the_logs_and_loses_its_lead_slowly() {
    let mut shop = ShopOnMachine::open();
    shop.run_for(HOUR);
    let hold = shop.reserve(10 * MINUTE);
    let last = shop.engine().now();
    shop.restart(|machine| {
        machine.restart();
        machine.set_wall(-signed(HOUR));
    });
    assert_eq!(shop.engine().now(), last);
    assert_eq!(shop.engine().report().clock_ahead_ms, signed(HOUR));
    shop.assert_ends_after(hold, 600..=641);
    shop.run_for(16 * HOUR);
    shop.assert_clock(-1..=1, 0, false);
}

#[test]
fn a_damaged_or_missing_file_is_as_a_start_of_the_machine() {
    for damage in [None, Some(&b""[..]), Some(&[7; 44])] {
        let mut shop = ShopOnMachine::open();
        let file = shop.directory.path().join("clock");
        shop.restart(|machine| {
            match damage {
                None => std::fs::remove_file(&file).unwrap(),
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            }
            machine.set_wall(signed(DAY));
        });
        assert_eq!(shop.engine().now(), shop.machine.wall());
    }
}

#[test]
fn expired_stays_expired_and_its_units_stay_sold() {
    let mut shop = ShopOnMachine::open();
    let key = shop.engine().declare("last one", "berlin").unwrap();
    shop.engine().receive(Receive::units(key, 1)).unwrap().wait().unwrap();
    let reserve = |shop: &ShopOnMachine, ttl| {
        Ok(shop.engine().reserve(Reserve::units(key, 1).ttl(ttl))?.wait().unwrap())
    };
    let first = reserve(&shop, MINUTE).unwrap().hold;
    shop.machine.pass(MINUTE);
    let expired = |shop: &ShopOnMachine| matches!(shop.engine().confirm(first), Err(ConfirmError::Expired));
    assert!(expired(&shop));
    let second = reserve(&shop, DAY).unwrap().hold;
    for (wall_ahead_ms, machine_too) in
        [(-signed(HOUR), false), (signed(DAY), false), (-signed(DAY), true), (signed(HOUR), true)]
    {
        shop.machine.set_wall(wall_ahead_ms);
        shop.run_for(2 * SECOND);
        shop.restart(|machine| {
            if machine_too {
                machine.restart();
            }
        });
        assert!(expired(&shop));
        assert_eq!(out_of_stock(&reserve(&shop, MINUTE)), Some(0));
    }
    shop.engine().confirm(second).unwrap().wait().unwrap();
}

/// Holds live from `ttl * 1024/1025` to `ttl * 16/15` in true time.
#[test]
fn a_hold_lives_as_long_as_was_asked_for_whatever_the_wall_does() {
    let mut rng = Rng::new(seed());
    for _ in 0..30 {
        let mut shop = ShopOnMachine::open();
        let mut holds: Vec<(HoldId, u64, u64, bool)> = Vec::new();
        let mut last = Timestamp(0);
        for _ in 0..120 {
            match rng.below_u32(20) {
                0 => shop.machine.set_wall(i64::from(rng.below_u32(600_000)) - 300_000),
                1 => shop.machine.set_wall(i64::from(rng.below_u32(400_000_000)) - 200_000_000),
                2 => shop.machine.set_wall(0),
                // Suspended, or idle.
                3 => shop.machine.pass(Duration::from_millis(rng.below_u32(7_200_000).into())),
                4 => {
                    shop.restart(|machine| machine.pass(Duration::from_millis(rng.below_u32(600_000).into())))
                }
                5..10 => {
                    let ttl_ms = 1 + u64::from(rng.below_u32(1_200_000));
                    let hold = shop.reserve(Duration::from_millis(ttl_ms));
                    holds.push((hold, shop.machine.passed_ms(), ttl_ms, true));
                }
                _ => shop.machine.pass(Duration::from_millis(rng.below_u32(60_000).into())),
            }
            let now = shop.engine().now();
            assert!(now >= last, "{now} after {last}");
            last = now;
            for (hold, born_ms, ttl_ms, live) in &mut holds {
                let lived_ms = shop.machine.passed_ms() - *born_ms;
                match (*live, shop.is_live(*hold)) {
                    (true, true) => assert!(lived_ms <= *ttl_ms * 16 / 15 + 3, "{lived_ms} of {ttl_ms}"),
                    (true, false) => {
                        assert!(lived_ms + 3 >= *ttl_ms * 1_024 / 1_025, "{lived_ms} of {ttl_ms}")
                    }
                    (false, live) => assert!(!live, "an expired hold is live again"),
                }
                *live = shop.is_live(*hold);
            }
        }
    }
}
