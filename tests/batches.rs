//! Many reserves in one call, and reserves that accept fewer units than they ask for.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{Disk, ON_DISK, SECOND, START, Shop, at_once, insist, out_of_stock};
use stockhold::error::{QuantityError, ReserveError, SharedError};
use stockhold::{Clock, Config, Confirm, Engine, HoldState, OpKey, Receive, Reserve, Reserved, Timestamp};

fn batch(shop: &Shop, requests: &[Reserve<'_>]) -> Vec<Result<Reserved, ReserveError>> {
    let granted = shop.engine.reserve_batch(requests).into_iter();
    granted.map(|answer| answer.map(|granted| granted.wait().unwrap())).collect()
}

fn granted(answers: &[Result<Reserved, ReserveError>]) -> u32 {
    answers.iter().flatten().map(|granted| granted.quantity).sum()
}

#[test]
fn results_are_in_the_order_of_the_requests() {
    let shop = Shop::with_units(1_000);
    for size in [0, 1, 2, 63, 64, 65, 200] {
        let references: Vec<_> = (0..size).map(|number| format!("{size} of {number}")).collect();
        let request = |number: usize| {
            Reserve::units(shop.key, 1 + number as u32 % 3)
                .reference(&references[number])
                .ttl((1 + number as u32) * SECOND)
        };
        let requests: Vec<_> = (0..size).map(request).collect();
        let answers = batch(&shop, &requests);
        assert_eq!(answers.len(), size);
        for (number, answer) in answers.into_iter().enumerate() {
            let granted = answer.unwrap();
            let status = shop.engine.status(granted.hold).unwrap();
            assert_eq!(status.reference.as_bytes(), references[number].as_bytes());
            assert_eq!((granted.quantity, status.quantity), (1 + number as u32 % 3, granted.quantity));
            assert_eq!(granted.deadline, shop.engine.now().plus((1 + number as u32) * SECOND));
            shop.engine.release(granted.hold).unwrap().not_yet_durable();
        }
    }
    shop.assert_level(1_000, 0, 0);
}

#[test]
fn a_batch_for_more_than_there_is_sells_exactly_the_stock() {
    for units in [0, 1, 63, 64, 65, 150] {
        let shop = Shop::with_units(units);
        let answers = batch(&shop, &[Reserve::units(shop.key, 1); 200]);
        assert_eq!(granted(&answers), units);
        assert!(answers.iter().all(|answer| answer.is_ok() || out_of_stock(answer) == Some(0)));
        shop.assert_level(units.into(), units.into(), 0);
        assert_eq!(shop.engine.metrics().holds_live, units.into());
    }
}

#[test]
fn bad_requests_among_good_ones_get_their_own_errors() {
    let shop = Shop::with_units(10);
    let [key, empty, stopped] = shop.keys();
    let foreign = Shop::with_units(1).key;
    shop.engine.stop_sale(stopped).unwrap().wait().unwrap();
    let long = [b'x'; 41];
    let requests = [
        Reserve::units(key, 1),
        Reserve::units(key, 0),
        Reserve::units(foreign, 1),
        Reserve::units(key, 2).reference(&long),
        Reserve::units(empty, 1),
        Reserve::units(key, 3).or_at_least(4),
        Reserve::units(stopped, 1),
        Reserve::units(key, 11),
        Reserve::units(key, 4).ttl(std::time::Duration::ZERO),
        Reserve::units(key, 9),
    ];
    let answers = batch(&shop, &requests);
    let each: Vec<_> =
        requests.iter().map(|request| insist(|| shop.engine.reserve(*request)).map(drop)).collect();
    assert!(answers[0].is_ok() && answers[9].is_ok());
    assert_eq!(answers[1], Err(QuantityError(0).into()));
    assert_eq!(answers[2], Err(SharedError::ForeignKey.into()));
    assert_eq!(answers[3], Err(SharedError::ReferenceTooLong(41).into()));
    assert_eq!(answers[5], Err(ReserveError::AtLeast { at_least: 4, quantity: 3 }));
    assert_eq!((out_of_stock(&answers[4]), out_of_stock(&answers[7])), (Some(0), Some(10)));
    for (together, each) in answers.iter().zip(&each).take(9).skip(1) {
        let kind = |error: &ReserveError| std::mem::discriminant(error);
        assert_eq!(together.as_ref().map_err(kind).err(), each.as_ref().map_err(kind).err());
    }
    shop.assert_level(10, 10, 0);
}

#[test]
fn a_batch_needs_slots_only_for_what_it_is_granted() {
    let shop = Shop::with(5, |config| config.holds_max(2));
    let [key, other] = shop.keys();
    shop.receive(other, 9);
    let requests =
        [Reserve::units(key, 5), Reserve::units(key, 5), Reserve::units(key, 5), Reserve::units(other, 1)];
    let answers = batch(&shop, &requests);
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(batch(&shop, &requests[3..]), [Err(ReserveError::HoldsFull { holds_max: 2 })]);
}

#[test]
fn a_batch_reclaims_what_is_due() {
    let shop = Shop::with_units(100);
    for _ in 0..5 {
        assert_eq!(granted(&batch(&shop, &[Reserve::units(shop.key, 1); 100])), 100);
        shop.clock.advance(600 * SECOND);
    }
}

#[test]
fn a_batch_with_op_keys_happens_once() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    shop.receive(shop.key, 100);
    let requests = |shop: &Shop| -> Vec<_> {
        (0..70).map(|number| Reserve::units(shop.key, 1).op_key(OpKey(number / 2))).collect()
    };
    let first = batch(&shop, &requests(&shop));
    shop.assert_level(100, 35, 0);
    assert_eq!(batch(&shop, &requests(&shop)), first);
    drop(shop);
    let shop = disk.open();
    assert_eq!(batch(&shop, &requests(&shop)), first);
    shop.assert_level(100, 35, 0);
}

#[test]
fn a_batch_survives_a_restart() {
    let disk = Disk::new(ON_DISK[0]);
    let shop = disk.open();
    let [a, b] = shop.keys();
    shop.receive(a, 100);
    shop.receive(b, 10);
    let requests: Vec<_> =
        (0..130).map(|number| Reserve::units([a, b][number % 2], 1).reference("o")).collect();
    let answers = batch(&shop, &requests);
    assert_eq!(granted(&answers), 75);
    drop(shop);
    let shop = disk.open();
    shop.assert_level_of(a, 100, 65, 0);
    shop.assert_level_of(b, 10, 10, 0);
    assert_eq!(shop.engine.holds_of("o").len(), 75);
    for granted in answers.into_iter().flatten() {
        shop.engine.confirm(granted.hold).unwrap().not_yet_durable();
    }
}

#[test]
fn batches_of_many_threads_sell_exactly_what_there_is() {
    let shop = Shop::with_units(5_000);
    let [a, b] = shop.keys();
    shop.receive(b, 1_000);
    for key in [a, b] {
        shop.engine.prepare(key).unwrap();
    }
    let sold: u32 = at_once(4, |_| {
        let requests: Vec<_> = (0..150)
            .map(|number| Reserve::units(if number % 3 == 0 { b } else { a }, 1 + number % 2))
            .collect();
        let mut sold = 0;
        loop {
            let answers: Vec<_> = shop
                .engine
                .reserve_batch(&requests)
                .into_iter()
                .map(|answer| answer.map(|granted| granted.not_yet_durable()))
                .collect();
            sold += granted(&answers);
            let refused = |answer: &_| out_of_stock(answer).is_some();
            if answers.iter().all(refused) {
                return sold;
            }
            assert!(
                answers.iter().all(|answer| answer.as_ref().map_or_else(|error| error.is_busy(), |_| true)
                    || refused(answer))
            );
        }
    })
    .into_iter()
    .sum();
    assert_eq!(sold, 6_000);
    shop.assert_level_of(a, 5_000, 5_000, 0);
    shop.assert_level_of(b, 1_000, 1_000, 0);
}

// ── at least ───────────────────────────────────────────────────────────────────────────────────────────────

fn at_least(shop: &Shop, quantity: u32, least: u32) -> Result<Reserved, ReserveError> {
    Ok(shop.engine.reserve(Reserve::units(shop.key, quantity).or_at_least(least))?.wait().unwrap())
}

#[test]
fn a_reserve_takes_what_is_left_but_not_less_than_its_minimum() {
    for left in 0..8 {
        let shop = Shop::with_units(left);
        let answer = at_least(&shop, 6, 3);
        match left {
            0..3 => {
                let Err(ReserveError::Refused(refusal)) = answer else { panic!("{left}: {answer:?}") };
                assert_eq!((refusal.asked, refusal.available), (3, left.into()));
            }
            left => {
                let granted = answer.unwrap();
                assert_eq!(
                    (granted.quantity, granted.remaining.units()),
                    (left.min(6), i64::from(left.max(6) - 6))
                );
                assert_eq!(shop.engine.status(granted.hold).unwrap().quantity, left.min(6));
                shop.assert_level(left.into(), left.min(6).into(), 0);
            }
        }
    }
}

#[test]
fn every_answer_has_the_quantity_that_was_taken_restarts_included() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    shop.receive(shop.key, 7);
    let request = Reserve::units(shop.key, 300).or_at_least(1).reference("order-1").op_key(OpKey(1));
    let first = shop.engine.reserve(request).unwrap().wait().unwrap();
    assert_eq!(first.quantity, 7);
    let check = |shop: &Shop| {
        assert_eq!(shop.engine.reserve(request).unwrap().not_yet_durable(), first);
        let other = shop.engine.reserve(Reserve::units(shop.key, 300).reference("order-1").op_key(OpKey(1)));
        assert!(matches!(other.map(drop), Err(ReserveError::Shared(SharedError::OpKey(_)))));
        shop.assert_level(7, 7, 0);
        assert_eq!(shop.engine.holds_of("order-1")[0].quantity, 7);
    };
    check(&shop);
    drop(shop);
    let shop = disk.open();
    check(&shop);
    let confirmed = shop.engine.confirm(Confirm::hold(first.hold).quantity(5)).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (5, 2));
    drop(shop);
    disk.open().assert_level(7, 0, 5);
}

#[test]
fn an_impossible_minimum_is_refused() {
    let shop = Shop::with_units(9);
    for least in [0, 4, u32::MAX] {
        let refused = at_least(&shop, 3, least);
        assert_eq!(refused, Err(ReserveError::AtLeast { at_least: least, quantity: 3 }));
    }
    shop.assert_level(9, 0, 0);
}

#[test]
fn what_is_due_is_reclaimed_before_less_is_taken() {
    let shop = Shop::with_units(10);
    shop.reserve(4);
    shop.clock.advance(300 * SECOND);
    shop.reserve(4);
    shop.clock.advance(300 * SECOND);
    assert_eq!(at_least(&shop, 8, 1).unwrap().quantity, 6);
    shop.clock.advance(300 * SECOND);
    assert_eq!(out_of_stock(&at_least(&shop, 8, 5)), Some(4));
    assert_eq!(at_least(&shop, 8, 4).unwrap().quantity, 4);
}

type Interruption = Box<dyn FnOnce() + Send>;

/// A clock that runs an interruption just before it returns the time.
#[derive(Default)]
struct InterruptingClock {
    now_ms: AtomicU64,
    interruption: Mutex<Option<Interruption>>,
}

impl Clock for InterruptingClock {
    fn now(&self) -> Timestamp {
        let interruption = self.interruption.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption();
        }
        Timestamp(START.0 + self.now_ms.load(Ordering::SeqCst))
    }
}

#[test]
fn f05_a_take_of_at_least_some_is_not_cut_short_while_more_units_are_due() {
    let clock = Arc::new(InterruptingClock::default());
    let engine = Engine::in_memory(Config::default().driver_period(None).clock(Arc::clone(&clock))).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    let reserve = |units| Reserve::units(key, units);
    engine.receive(Receive::units(key, 15)).unwrap().not_yet_durable();
    engine.reserve(reserve(10).ttl(SECOND)).unwrap().not_yet_durable();
    let (other, time) = (engine.clone(), Arc::clone(&clock));
    // The reserve has seen five units. Then there are two, and ten of a hold that is due.
    *clock.interruption.lock().unwrap() = Some(Box::new(move || {
        other.reserve(Reserve::units(key, 3)).unwrap().not_yet_durable();
        time.now_ms.store(1_000, Ordering::SeqCst);
    }));
    assert_eq!(engine.reserve(reserve(5).or_at_least(1)).unwrap().not_yet_durable().quantity, 5);
}

#[test]
fn threads_that_take_what_is_left_leave_nothing_and_none_is_refused_while_there_is_some() {
    for units in [1_u32, 100, 5_003] {
        let shop = Shop::with_units(units);
        shop.engine.prepare(shop.key).unwrap();
        let sold: u32 = at_once(4, |thread| {
            let mut sold = 0;
            loop {
                let request = Reserve::units(shop.key, 3 + thread as u32).or_at_least(1);
                match insist(|| shop.engine.reserve(request)) {
                    Ok(granted) => sold += granted.not_yet_durable().quantity,
                    Err(refused) => {
                        assert_eq!(out_of_stock::<()>(&Err(refused)), Some(0));
                        return sold;
                    }
                }
            }
        })
        .into_iter()
        .sum();
        assert_eq!(sold, units);
        shop.assert_level(units.into(), units.into(), 0);
    }
}

#[test]
fn what_is_left_in_a_batch() {
    let shop = Shop::with_units(7);
    let answers = batch(&shop, &[Reserve::units(shop.key, 3).or_at_least(1); 4]);
    assert_eq!(granted(&answers), 7);
    assert_eq!(answers.iter().flatten().map(|granted| granted.quantity).collect::<Vec<_>>(), [3, 3, 1]);
    let first = answers[0].as_ref().unwrap().hold;
    assert_eq!(shop.engine.status(first).unwrap().state, HoldState::Active);
    shop.assert_level(7, 7, 0);
}
