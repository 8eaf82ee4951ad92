//! Sales that open at a set time.

mod common;

use common::{Disk, ON_DISK, SECOND, START, Shop, at_once, insist, out_of_stock};
use stockhold::answer::Remaining;
use stockhold::error::{ConfirmError, ErrorKind, ReplaceError, ReserveError, SharedError, StockError};
use stockhold::{Confirm, OpKey, Receive, RefusalReason, Replace, Reserve, Reserved, Timestamp};

const OPENS_AT: Timestamp = Timestamp(START.0 + 60_000);

fn opens_at(shop: &Shop, moment: Timestamp) {
    shop.engine.open_sale_at(shop.key, moment).unwrap().wait().unwrap();
}

fn wait_until(shop: &Shop, moment: Timestamp) {
    shop.clock.advance(moment.since(shop.engine.now()));
}

/// Why a reserve was refused, if it was.
fn reason(answer: Result<Reserved, ReserveError>) -> Option<RefusalReason> {
    match answer {
        Ok(_) => None,
        Err(ReserveError::Refused(refusal)) => Some(refusal.reason),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_prepared_key_stays_prepared_after_an_exact_query_and_a_receive() {
    let shop = Shop::with_units(10_000);
    if !shop.engine.prepare(shop.key).unwrap() {
        return; // with one core no key is ever split
    }
    assert_eq!(shop.engine.available_exactly(shop.key), Ok(10_000));
    shop.receive(shop.key, 10_000);
    for _ in 0..5 {
        shop.clock.advance(2 * SECOND);
        shop.engine.sweep();
    }
    let left = shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().wait().unwrap().remaining;
    assert!(matches!(left, Remaining::AtLeast(_)), "the key is not split: {left:?}");
}

#[test]
fn a_sale_opens_at_its_time_without_a_call() {
    let shop = Shop::with_units(3);
    opens_at(&shop, OPENS_AT);
    assert_eq!(shop.engine.level(shop.key).unwrap().opens_at, Some(OPENS_AT));
    for moment in [START, Timestamp(OPENS_AT.0 - 1)] {
        wait_until(&shop, moment);
        let Err(ReserveError::Refused(refusal)) = shop.try_reserve(1) else { panic!("too early") };
        assert_eq!((refusal.reason, refusal.asked, refusal.available), (RefusalReason::NotOpen, 1, 3));
        assert_eq!(reason(shop.try_reserve(9)), Some(RefusalReason::NotOpen));
    }
    wait_until(&shop, OPENS_AT);
    shop.reserve(3);
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    assert_eq!(
        shop.engine.level(shop.key).unwrap().opens_at,
        Some(OPENS_AT),
        "a level still has a time that has passed"
    );
}

#[test]
fn every_reserve_from_the_opening_on_is_granted() {
    let shop = Shop::with_units(4_000);
    opens_at(&shop, OPENS_AT);
    shop.engine.prepare(shop.key).unwrap();
    let refused: u32 = at_once(4, |thread| {
        let mut refused = 0;
        for round in 0..1_000 {
            if thread == 0 && round == 500 {
                wait_until(&shop, OPENS_AT);
            }
            let open = shop.engine.now() >= OPENS_AT;
            match reason(insist(|| shop.try_reserve(1))) {
                None => assert!(shop.engine.now() >= OPENS_AT, "a reserve was granted too early"),
                Some(RefusalReason::NotOpen) => {
                    assert!(!open, "a reserve was refused too late");
                    refused += 1;
                }
                Some(reason) => panic!("{reason:?}"),
            }
        }
        refused
    })
    .into_iter()
    .sum();
    let held = i64::from(4_000 - refused);
    shop.assert_level(4_000, held, 0);
}

#[test]
fn of_a_stop_and_an_opening_time_the_later_call_counts() {
    let shop = Shop::with_units(9);
    let level = || {
        let level = shop.engine.level(shop.key).unwrap();
        (level.stopped, level.opens_at)
    };
    let (key, engine) = (shop.key, &shop.engine);
    opens_at(&shop, OPENS_AT);
    engine.stop_sale(key).unwrap().wait().unwrap();
    assert_eq!((reason(shop.try_reserve(1)), level()), (Some(RefusalReason::Stopped), (true, None)));
    opens_at(&shop, OPENS_AT);
    let closed = (false, Some(OPENS_AT));
    assert_eq!((reason(shop.try_reserve(1)), level()), (Some(RefusalReason::NotOpen), closed));
    engine.resume_sale(key).unwrap().wait().unwrap();
    assert_eq!((reason(shop.try_reserve(1)), level()), (None, (false, None)));
    opens_at(&shop, OPENS_AT);
    wait_until(&shop, OPENS_AT);
    engine.stop_sale(key).unwrap().wait().unwrap();
    assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::Stopped));
    // A time that has passed opens at once.
    opens_at(&shop, START);
    assert_eq!((reason(shop.try_reserve(1)), level()), (None, (false, Some(START))));
    opens_at(&shop, Timestamp::MIN);
    assert_eq!((reason(shop.try_reserve(1)), level()), (None, (false, Some(Timestamp::MIN))));
}

#[test]
fn an_opening_time_survives_a_restart_and_so_does_a_stop() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let mut shop = disk.open();
        let reopen = |shop: &mut Shop| {
            *shop = {
                drop(std::mem::replace(shop, Shop::with_units(0)));
                disk.open()
            }
        };
        shop.receive(shop.key, 9);
        opens_at(&shop, OPENS_AT);
        reopen(&mut shop);
        assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::NotOpen));
        assert_eq!(shop.engine.level(shop.key).unwrap().opens_at, Some(OPENS_AT));
        shop.engine.stop_sale(shop.key).unwrap().wait().unwrap();
        reopen(&mut shop);
        assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::Stopped));
        opens_at(&shop, OPENS_AT);
        reopen(&mut shop);
        shop.clock.advance(60 * SECOND);
        shop.reserve(1);
    }
}

#[test]
fn a_sale_may_open_at_the_end_of_time() {
    let disk = Disk::new(ON_DISK[0]);
    let shop = disk.open();
    shop.receive(shop.key, 1);
    opens_at(&shop, Timestamp::MAX);
    let stored = shop.engine.level(shop.key).unwrap().opens_at;
    assert_eq!(stored, Some(Timestamp::MAX));
    assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::NotOpen));
    drop(shop);
    let shop = disk.open();
    assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::NotOpen));
    assert_eq!(shop.engine.level(shop.key).unwrap().opens_at, stored);
    shop.engine.resume_sale(shop.key).unwrap().wait().unwrap();
    shop.reserve(1);
}

/// A moment in another unit opened the sale a day early, or never.
#[test]
fn a_moment_that_is_no_number_of_milliseconds_is_refused_and_the_gate_stays() {
    let shop = Shop::with_units(1);
    opens_at(&shop, OPENS_AT);
    let tomorrow = START.0 + 86_400_000;
    for (number, unit) in [
        (tomorrow / 1_000, "a number of seconds"),
        (tomorrow * 1_000, "a number of microseconds"),
        (tomorrow * 1_000_000, "a number of nanoseconds"),
        (0, "not one of them"),
        (Timestamp::MIN.0 - 1, "not one of them"),
        (Timestamp::MAX.0 + 1, "not one of them"),
        (u64::MAX, "not one of them"),
    ] {
        let error = shop.engine.open_sale_at(shop.key, Timestamp(number)).map(drop).unwrap_err();
        assert!(matches!(error, StockError::Shared(SharedError::Time(_))), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let sentence = error.to_string();
        assert!(sentence.contains("milliseconds since 1970") && sentence.contains(unit), "{sentence}");
        assert_eq!(shop.engine.level(shop.key).unwrap().opens_at, Some(OPENS_AT));
        assert_eq!(reason(shop.try_reserve(1)), Some(RefusalReason::NotOpen));
    }
    wait_until(&shop, OPENS_AT);
    shop.reserve(1);
}

#[test]
fn a_refusal_before_the_opening_is_not_remembered() {
    let shop = Shop::with_units(1);
    opens_at(&shop, OPENS_AT);
    let again = || {
        let request = Reserve::units(shop.key, 1).op_key(OpKey(1)).remember_refusal();
        reason(shop.engine.reserve(request).map(|granted| granted.not_yet_durable()))
    };
    assert_eq!(again(), Some(RefusalReason::NotOpen));
    wait_until(&shop, OPENS_AT);
    assert_eq!(again(), None);
    shop.assert_level(1, 1, 0);
}

#[test]
fn held_units_need_no_open_sale_but_more_units_do() {
    let shop = Shop::with_units(9);
    let [late, grows, sold] = [0; 3].map(|_| shop.reserve(2));
    shop.clock.advance(600 * SECOND);
    shop.engine.sweep();
    let [grows, sold] = [grows, sold].map(|_| shop.reserve(2));
    opens_at(&shop, shop.engine.now().plus(60 * SECOND));
    shop.engine.confirm(sold).unwrap().wait().unwrap();
    let retaken = shop.engine.confirm(Confirm::hold(late).retake_if_expired()).map(drop);
    assert!(
        matches!(retaken, Err(ConfirmError::Refused(refusal)) if refusal.reason == RefusalReason::NotOpen)
    );
    shop.engine.replace(Replace::quantity(grows, 1)).unwrap().wait().unwrap();
    let more = shop.engine.replace(Replace::quantity(grows, 2)).map(drop);
    assert!(matches!(more, Err(ReplaceError::Refused(refusal)) if refusal.reason == RefusalReason::NotOpen));
    shop.assert_level(9, 1, 2);
}

#[test]
fn a_key_of_another_directory_can_be_neither_opened_nor_prepared() {
    let (shop, foreign) = (Shop::with_units(1), Shop::with_units(1).key);
    let error = StockError::Shared(SharedError::ForeignKey);
    assert_eq!(shop.engine.open_sale_at(foreign, OPENS_AT).map(drop), Err(error.clone()));
    assert_eq!(shop.engine.prepare(foreign), Err(error));
}

#[test]
fn prepare_changes_no_level() {
    let shop = Shop::with_units(0);
    for units in [1, 10, 100_000] {
        drop(shop.engine.receive(Receive::units(shop.key, units)).unwrap());
        let before = shop.engine.level(shop.key).unwrap();
        for _ in 0..3 {
            shop.engine.prepare(shop.key).unwrap();
            shop.assert_level(before.on_hand, 0, 0);
            assert_eq!(shop.engine.available_exactly(shop.key), Ok(before.available));
        }
        assert_eq!(out_of_stock(&shop.try_reserve(before.available as u32 + 1)), Some(before.available));
    }
}
