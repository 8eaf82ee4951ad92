//! Op keys: an operation that is sent again happens once, restarts included.

mod common;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use common::{Disk, ON_DISK, SECOND, START, Shop, out_of_stock};
use stockhold::error::{Busy, OpKeyError, ReserveError, SharedError};
use stockhold::retry::Retry;
use stockhold::{
    Adjust, AdjustReason, CartLine, Confirm, Extend, HoldAction, HoldId, OpKey, Position, Receipt, Receive,
    Refusal, RefusalReason, Reserve, ReserveCart,
};

/// A UUIDv7 with this time.
fn uuid_v7(unix_ms: u64, number: u64) -> OpKey {
    OpKey(u128::from(unix_ms) << 80 | 7 << 76 | 0b10 << 62 | u128::from(number))
}

/// The answer to an operation: its value and position, or its error.
type Answer = Result<(String, Position), String>;

fn answer<T: Debug, E: Debug>(result: Result<Receipt<'_, T>, E>) -> Answer {
    let receipt = result.map_err(|error| format!("{error:?}"))?;
    let position = receipt.position();
    Ok((format!("{:?}", receipt.wait().unwrap()), position))
}

/// A hold for each operation, so that none depends on another.
struct Holds {
    holds: [HoldId; 8],
}

impl Holds {
    fn new(shop: &Shop) -> Holds {
        shop.engine.receive(Receive::units(shop.key, 100)).unwrap().wait().unwrap();
        let short = Reserve::units(shop.key, 3).ttl(SECOND);
        let late = shop.engine.reserve(short).unwrap().wait().unwrap().hold;
        shop.clock.advance(2 * SECOND);
        let mut holds = [late; 8];
        holds[1..].iter_mut().for_each(|hold| *hold = shop.reserve(3));
        for sold in &holds[1..3] {
            shop.engine.confirm(*sold).unwrap().wait().unwrap();
        }
        Holds { holds }
    }
}

/// An operation with an op key. Its content depends on `units`, which is 1 or 2.
type Operation = fn(&Shop, &Holds, OpKey, u32) -> Answer;

const OPERATIONS: [(&str, Operation); 11] = [
    ("reserve", |shop, _, key, units| {
        answer(shop.engine.reserve(Reserve::units(shop.key, units).reference("order-1").op_key(key)))
    }),
    ("late confirm", |shop, all, key, units| {
        let late = Confirm::hold(all.holds[0]).retake_if_expired();
        answer(shop.engine.confirm(late.quantity(units).op_key(key)))
    }),
    ("ship", |shop, all, key, units| {
        answer(shop.engine.ship(HoldAction::hold(all.holds[1]).quantity(units).op_key(key)))
    }),
    ("cancel", |shop, all, key, units| {
        answer(shop.engine.cancel(HoldAction::hold(all.holds[2]).quantity(units).op_key(key)))
    }),
    ("confirm", |shop, all, key, units| {
        answer(shop.engine.confirm(Confirm::hold(all.holds[3]).quantity(units).op_key(key)))
    }),
    ("release", |shop, all, key, units| {
        let hold = HoldAction::hold(all.holds[4]);
        answer(shop.engine.release(if units == 1 { hold } else { hold.quantity(3) }.op_key(key)))
    }),
    ("extend", |shop, all, key, units| {
        answer(shop.engine.extend(Extend::hold(all.holds[5], 1_000 * units * SECOND).op_key(key)))
    }),
    ("extend by nothing", |shop, all, key, units| {
        answer(shop.engine.extend(Extend::hold(all.holds[6], units * SECOND).op_key(key)))
    }),
    ("begin payment", |shop, all, key, units| {
        let hold = HoldAction::hold(all.holds[7]);
        answer(shop.engine.begin_payment(if units == 1 { hold } else { hold.quantity(3) }.op_key(key)))
    }),
    ("receive", |shop, _, key, units| {
        answer(shop.engine.receive(Receive::units(shop.key, units).reference("PO-1").op_key(key)))
    }),
    ("adjust", |shop, _, key, units| {
        let delta = -i64::from(units);
        answer(shop.engine.adjust(Adjust::by(shop.key, delta, AdjustReason::Damaged).op_key(key)))
    }),
];

const OTHER_CONTENT: &str = "Shared(OpKey(OtherContent))";

/// Does every operation once and returns the answers, which a repetition must get too.
fn do_all(shop: &Shop, holds: &Holds) -> Vec<Answer> {
    let mut first = Vec::new();
    for (number, (name, operation)) in OPERATIONS.iter().enumerate() {
        let answer = operation(shop, holds, OpKey(number as u128), 1);
        assert!(answer.is_ok(), "{name}: {answer:?}");
        first.push(answer);
    }
    first
}

fn repeat_all(shop: &Shop, holds: &Holds, first: &[Answer]) {
    let before = shop.engine.level(shop.key).unwrap();
    let written = shop.engine.metrics().position_drawn;
    for (number, ((name, operation), first)) in OPERATIONS.iter().zip(first).enumerate() {
        let key = OpKey(number as u128);
        assert_eq!(&operation(shop, holds, key, 1), first, "{name}");
        assert_eq!(operation(shop, holds, key, 2), Err(OTHER_CONTENT.into()), "{name} of other content");
        let (other, another) = OPERATIONS[(number + 1) % OPERATIONS.len()];
        assert_eq!(another(shop, holds, key, 1), Err(OTHER_CONTENT.into()), "{name}, then {other}");
    }
    assert_eq!(shop.engine.metrics().position_drawn, written, "a repetition writes nothing");
    assert_eq!(shop.engine.level(shop.key).unwrap(), before);
}

#[test]
fn a_repeated_operation_gets_its_first_answer() {
    let shop = Shop::with_units(0);
    let holds = Holds::new(&shop);
    let first = do_all(&shop, &holds);
    repeat_all(&shop, &holds, &first);
    // The answers do not change with time.
    shop.clock.advance(3_600 * SECOND);
    shop.engine.sweep();
    repeat_all(&shop, &holds, &first);
    assert_eq!(shop.engine.metrics().duplicates, 2 * OPERATIONS.len() as u64);
}

#[test]
fn a_repeated_operation_gets_its_first_answer_after_a_restart() {
    for durability in ON_DISK {
        for orderly in [true, false] {
            let disk = Disk::new(durability);
            let shop = disk.open();
            let holds = Holds::new(&shop);
            let first = do_all(&shop, &holds);
            if orderly {
                shop.engine.shutdown().unwrap();
            }
            drop(shop);
            let shop = disk.open();
            assert_eq!(shop.engine.report().op_keys, OPERATIONS.len() as u64);
            repeat_all(&shop, &holds, &first);
            drop(shop);
            disk.clock.advance(3_600 * SECOND);
            repeat_all(&disk.open(), &holds, &first);
        }
    }
}

#[test]
fn a_failed_operation_leaves_its_key_unused() {
    let shop = Shop::with_units(1);
    let key = OpKey(7);
    let reserve = |units| shop.engine.reserve(Reserve::units(shop.key, units).op_key(key));
    assert!(out_of_stock(&reserve(2)).is_some());
    assert!(matches!(reserve(0), Err(ReserveError::Shared(SharedError::Quantity(_)))));
    assert!(shop.engine.release(HoldAction::hold(HoldId::from_u128(9)).op_key(key)).is_err());
    let granted = reserve(1).unwrap().wait().unwrap();
    assert_eq!(reserve(1).unwrap().wait().unwrap(), granted);
}

#[test]
fn a_refusal_is_not_remembered_by_default() {
    let shop = Shop::with_units(0);
    let reserve = || shop.engine.reserve(Reserve::units(shop.key, 1).op_key(OpKey(1)));
    assert_eq!(out_of_stock(&reserve()), Some(0));
    assert_eq!(shop.engine.metrics().op_keys, 0);
    shop.engine.receive(Receive::units(shop.key, 1)).unwrap().wait().unwrap();
    reserve().unwrap().wait().unwrap();
}

#[test]
fn a_refusal_is_remembered_on_request_with_its_reason() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let shop = disk.open();
        let refused = |shop: &Shop, key| -> Refusal {
            let reserve = Reserve::units(shop.key, 2).op_key(OpKey(key)).remember_refusal();
            match shop.engine.reserve(reserve) {
                Err(ReserveError::Refused(refusal)) => refusal,
                other => panic!("{other:?}"),
            }
        };
        shop.engine.receive(Receive::units(shop.key, 1)).unwrap().wait().unwrap();
        let sold_out = refused(&shop, 1);
        assert_eq!((sold_out.reason, sold_out.available), (RefusalReason::OutOfStock, 1));
        shop.engine.receive(Receive::units(shop.key, 9)).unwrap().wait().unwrap();
        shop.engine.stop_sale(shop.key).unwrap().wait().unwrap();
        let stopped = refused(&shop, 2);
        assert_eq!((stopped.reason, stopped.available), (RefusalReason::Stopped, 10));
        shop.engine.resume_sale(shop.key).unwrap().wait().unwrap();
        // Makes the available units fall to a shortfall.
        shop.engine.adjust(Adjust::by(shop.key, -10, AdjustReason::Lost)).unwrap().wait().unwrap();
        shop.engine.wait(stopped.position).unwrap();
        assert_eq!([refused(&shop, 1), refused(&shop, 2)], [sold_out, stopped]);
        drop(shop);
        let shop = disk.open();
        assert_eq!([refused(&shop, 1), refused(&shop, 2)], [sold_out, stopped]);
    }
}

#[test]
fn a_remembered_refusal_of_a_shortfall_keeps_its_sign() {
    let disk = Disk::new(ON_DISK[0]);
    let reserve = |shop: &Shop| {
        shop.engine.reserve(Reserve::units(shop.key, 1).op_key(OpKey(1)).remember_refusal()).unwrap_err()
    };
    let shop = disk.open();
    shop.engine.receive(Receive::units(shop.key, 3)).unwrap().wait().unwrap();
    shop.reserve(3);
    shop.engine.adjust(Adjust::by(shop.key, -2, AdjustReason::Lost)).unwrap().wait().unwrap();
    let first = reserve(&shop);
    assert!(matches!(first, ReserveError::Refused(refusal) if refusal.available == -2));
    drop(shop);
    assert_eq!(reserve(&disk.open()), first);
}

#[test]
fn of_concurrent_operations_with_one_key_one_happens_and_all_get_its_answer() {
    let shop = Shop::with_units(1_000);
    for round in 0..200 {
        let holds: BTreeSet<HoldId> = thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let reserve = Reserve::units(shop.key, 1).op_key(OpKey(round));
                        // Here another thread may be using the key.
                        let reserved = Retry::yielding().call(|| shop.engine.reserve(reserve));
                        reserved.unwrap().wait().unwrap().hold
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(holds.len(), 1);
    }
    shop.assert_level(1_000, 200, 0);
}

#[test]
fn a_full_table_is_busy_and_forgets_no_key() {
    let disk = Disk::new(ON_DISK[0]);
    let full = |shop: &Shop| {
        let receive = |key| shop.engine.receive(Receive::units(shop.key, 1).op_key(OpKey(key))).map(drop);
        assert_eq!(receive(3), Err(SharedError::Busy(Busy::OpKeysFull).into()));
        assert_eq!((receive(1), receive(2)), (Ok(()), Ok(())));
        shop.assert_level(2, 0, 0);
    };
    let shop = disk.open_with(|config| config.op_keys_max(2));
    for key in [1, 2] {
        let receive = Receive::units(shop.key, 1).op_key(OpKey(key));
        shop.engine.receive(receive).unwrap().wait().unwrap();
    }
    full(&shop);
    assert_eq!(shop.engine.metrics().busy_op_keys_full, 1);
    // Operations without an op key go on.
    let hold = shop.reserve(1);
    shop.engine.release(hold).unwrap().wait().unwrap();
    drop(shop);
    full(&disk.open_with(|config| config.op_keys_max(2)));
    // Nor does a table that is smaller than the number of its keys.
    let shop = disk.open_with(|config| config.op_keys_max(1));
    assert_eq!(shop.engine.metrics().op_keys, 2);
    full(&shop);
}

#[test]
fn keys_are_kept_for_the_retention_window() {
    let retention = Duration::from_secs(1_000);
    let shop = Shop::with(0, |config| {
        config.op_key_retention(Some(retention)).driver_period(Some(Duration::from_millis(1)))
    });
    let receive = |key| {
        let receive = Receive::units(shop.key, 1).op_key(OpKey(key));
        shop.engine.receive(receive).unwrap().wait().unwrap().available
    };
    assert_eq!(receive(1), 1);
    // A hold that expires shows that the driver runs.
    let hold = Reserve::units(shop.key, 1).ttl(Duration::from_millis(1));
    shop.engine.reserve(hold).unwrap().wait().unwrap();
    shop.clock.advance(Duration::from_millis(1));
    while shop.engine.metrics().expired != 1 {
        thread::yield_now();
    }
    shop.clock.advance(retention - Duration::from_millis(1));
    assert_eq!((receive(2), receive(1)), (2, 1));
    shop.clock.advance(SECOND * 100);
    while shop.engine.metrics().op_keys != 1 {
        thread::yield_now();
    }
    assert_eq!((receive(1), receive(2)), (3, 2));
}

#[test]
fn the_retention_window_spans_restarts() {
    let disk = Disk::new(ON_DISK[1]);
    let open = |kept: Option<Duration>| disk.open_with(|config| config.op_key_retention(kept));
    let shop = open(None);
    let receive = |shop: &Shop, key| {
        let receive = Receive::units(shop.key, 1).op_key(OpKey(key));
        shop.engine.receive(receive).unwrap().wait().unwrap().available
    };
    assert_eq!(receive(&shop, 1), 1);
    shop.clock.advance(1_000 * SECOND);
    assert_eq!(receive(&shop, 2), 2);
    drop(shop);
    // Kept for the directory's life, then for half an hour, then for less than the key's age.
    for (kept, remembered) in [(None, 2), (Some(1_800 * SECOND), 2), (Some(900 * SECOND), 1)] {
        let shop = open(kept);
        assert_eq!(shop.engine.metrics().op_keys, remembered);
        assert_eq!(receive(&shop, 2), 2);
    }
    assert_eq!(receive(&open(Some(900 * SECOND)), 1), 3);
}

#[test]
fn an_old_uuid_is_refused_and_not_treated_as_new() {
    let retention = Duration::from_secs(1_000);
    let disk = Disk::new(ON_DISK[0]);
    let open = || disk.open_with(|config| config.op_key_retention(Some(retention)));
    let receive = |shop: &Shop, key| {
        shop.engine.receive(Receive::units(shop.key, 1).op_key(key)).map(|receipt| receipt.wait().unwrap())
    };
    let too_old = || Err(SharedError::OpKey(OpKeyError::TooOld).into());
    let shop = open();
    let (fresh, edge, old) =
        (uuid_v7(START.0, 1), uuid_v7(START.0 - 1_000_000, 2), uuid_v7(START.0 - 1_000_001, 3));
    assert_eq!(receive(&shop, old), too_old());
    let first = receive(&shop, fresh);
    assert!(first.is_ok() && receive(&shop, edge).is_ok());
    shop.clock.advance(retention);
    // A key that is still remembered is answered at any age.
    assert_eq!(receive(&shop, fresh), first);
    assert!(receive(&shop, edge).is_ok());
    assert_eq!(receive(&shop, uuid_v7(START.0 - 1, 4)), too_old());
    shop.assert_level(2, 0, 0);
    drop(shop);
    disk.clock.advance(SECOND);
    let shop = open();
    assert_eq!(receive(&shop, fresh), too_old());
    assert_eq!(receive(&shop, old), too_old());
    shop.assert_level(2, 0, 0);
    drop(shop);
    // Kept for the directory's life, no key is too old.
    let shop = disk.open_with(|config| config.op_key_retention(None));
    assert_eq!(receive(&shop, fresh), first);
    assert!(receive(&shop, old).is_ok());
}

#[test]
fn a_cart_sent_again_with_its_lines_in_another_order_is_the_same_cart() {
    let shop = Shop::with_units(0);
    let [first, second] = shop.keys();
    for key in [first, second] {
        shop.receive(key, 5);
    }
    let lines = [(first, 2), (second, 1)].map(|(key, quantity)| CartLine::units(key, quantity));
    let again = [(second, 1), (first, 1), (first, 1)].map(|(key, quantity)| CartLine::units(key, quantity));
    let [sent, sent_again] = [&lines[..], &again[..]].map(|lines| {
        shop.engine.reserve_cart(ReserveCart::lines(lines).op_key(OpKey(7))).unwrap().wait().unwrap()
    });
    assert_eq!(sent, sent_again);
}
