//! Provokes every typed error, and checks that the failed call changes nothing.

mod common;

use std::time::Duration;

use common::{SECOND, Shop};
use stockhold::error::{
    ConfirmError, HoldError, LookupError, NameError, QuantityError, ReserveError, SharedError, StockError,
    Stopped,
};
use stockhold::types::{ON_HAND_MAX, QUANTITY_MAX};
use stockhold::{
    Adjust, AdjustReason, Confirm, Extend, HoldAction, HoldId, HoldState, Level, Metrics, Receive,
    RefusalReason, Reserve, StockKey,
};

/// A shop of ten units with one hold of two, which no call of the test may change. Checked when it is
/// dropped.
struct Unchanged {
    shop: Shop,
    hold: HoldId,
    level: Level,
    metrics: Metrics,
}

impl Unchanged {
    fn new() -> Unchanged {
        let shop = Shop::with_units(10);
        let hold = shop.reserve(2);
        let level = shop.engine.level(shop.key).unwrap();
        let metrics = shop.engine.metrics();
        Unchanged { shop, hold, level, metrics }
    }

    fn reserve(&self, request: impl for<'a> FnOnce(Reserve<'a>) -> Reserve<'a>) -> ReserveError {
        self.shop.engine.reserve(request(Reserve::units(self.shop.key, 1))).unwrap_err()
    }
}

impl Drop for Unchanged {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (after, before) = (self.shop.engine.metrics(), &self.metrics);
        assert_eq!(after.position_drawn, before.position_drawn, "a record was written");
        assert_eq!(after.holds_live, before.holds_live);
        assert_eq!(self.shop.engine.level(self.shop.key), Ok(self.level));
        assert_eq!(self.shop.engine.status(self.hold).unwrap().state, HoldState::Active);
    }
}

fn quantity<E: From<SharedError>>(asked: i64) -> E {
    SharedError::Quantity(QuantityError(asked)).into()
}

#[test]
fn quantities() {
    let unchanged = Unchanged::new();
    let (engine, key, hold) = (&unchanged.shop.engine, unchanged.shop.key, unchanged.hold);
    for bad in [0, QUANTITY_MAX + 1, u32::MAX] {
        let asked = i64::from(bad);
        assert_eq!(engine.reserve(Reserve::units(key, bad)).unwrap_err(), quantity(asked));
        assert_eq!(engine.receive(Receive::units(key, bad)).unwrap_err(), quantity(asked));
        assert_eq!(engine.confirm(Confirm::hold(hold).quantity(bad)).unwrap_err(), quantity(asked));
        assert_eq!(engine.ship(HoldAction::hold(hold).quantity(bad)).unwrap_err(), quantity(asked));
        assert_eq!(engine.cancel(HoldAction::hold(hold).quantity(bad)).unwrap_err(), quantity(asked));
    }
    for bad in [0, i64::from(QUANTITY_MAX) + 1, -i64::from(QUANTITY_MAX) - 1, i64::MIN, i64::MAX] {
        let adjusted = engine.adjust(Adjust::by(key, bad, AdjustReason::Other));
        assert_eq!(adjusted.unwrap_err(), quantity(bad));
    }
}

#[test]
fn more_units_than_the_hold_has() {
    let unchanged = Unchanged::new();
    let engine = &unchanged.shop.engine;
    let confirmed = engine.confirm(Confirm::hold(unchanged.hold).quantity(3));
    assert_eq!(confirmed.unwrap_err(), ConfirmError::TooMany { asked: 3, held: 2 });
    let released = engine.release(HoldAction::hold(unchanged.hold).quantity(3));
    assert_eq!(released.unwrap_err(), HoldError::TooMany { asked: 3, remaining: 2 });
    drop(unchanged);

    let shop = Shop::with_units(2);
    let sold = shop.reserve(2);
    shop.engine.confirm(sold).unwrap().wait().unwrap();
    let too_many = HoldError::TooMany { asked: 3, remaining: 2 };
    assert_eq!(shop.engine.ship(HoldAction::hold(sold).quantity(3)).unwrap_err(), too_many);
    assert_eq!(shop.engine.cancel(HoldAction::hold(sold).quantity(3)).unwrap_err(), too_many);
    shop.assert_level(2, 0, 2);
}

#[test]
fn physical_bounds() {
    let unchanged = Unchanged::new();
    let (engine, key) = (&unchanged.shop.engine, unchanged.shop.key);
    let below = engine.adjust(Adjust::by(key, -11, AdjustReason::Lost));
    assert_eq!(below.unwrap_err(), StockError::BelowZero { asked: 11, on_hand: 10 });
    drop(unchanged);

    let shop = Shop::with_units(0);
    let add = |quantity| shop.engine.receive(Receive::units(shop.key, quantity)).map(drop);
    while add(QUANTITY_MAX).is_ok() {}
    let before = shop.engine.level(shop.key).unwrap();
    assert!(before.on_hand > ON_HAND_MAX - i64::from(QUANTITY_MAX));
    assert_eq!(add(QUANTITY_MAX), Err(StockError::TooMuch));
    assert_eq!(shop.engine.level(shop.key), Ok(before));
}

#[test]
fn times_to_live() {
    let unchanged = Unchanged::new();
    let (min, max) = (Duration::from_millis(1), 30 * 86_400 * SECOND);
    for asked in [Duration::ZERO, Duration::from_micros(999), max + Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(unchanged.reserve(|reserve| reserve.ttl(asked)), ReserveError::Ttl { asked, min, max });
        let extended = unchanged.shop.engine.extend(Extend::hold(unchanged.hold, asked));
        assert_eq!(extended.unwrap_err(), HoldError::Ttl { asked, min, max });
    }
}

#[test]
fn references() {
    let unchanged = Unchanged::new();
    let (engine, key) = (&unchanged.shop.engine, unchanged.shop.key);
    let long = [b'x'; 41];
    assert_eq!(
        engine.reserve(Reserve::units(key, 1).reference(&long)).unwrap_err(),
        SharedError::ReferenceTooLong(41).into()
    );
    assert_eq!(
        engine.receive(Receive::units(key, 1).reference(&long)).unwrap_err(),
        SharedError::ReferenceTooLong(41).into()
    );
    let adjust = Adjust::by(key, 1, AdjustReason::Found).reference(&long);
    assert_eq!(engine.adjust(adjust).unwrap_err(), SharedError::ReferenceTooLong(41).into());
    drop(unchanged);

    let shop = Shop::with_units(1);
    let reserve = Reserve::units(shop.key, 1).reference(&long[..40]);
    let hold = shop.engine.reserve(reserve).unwrap().wait().unwrap().hold;
    assert_eq!(shop.engine.status(hold).unwrap().reference.as_bytes(), &long[..40]);
    assert_eq!(shop.engine.holds_of(&long[..40]).len(), 1);
}

#[test]
fn a_key_of_another_directory() {
    let unchanged = Unchanged::new();
    let elsewhere = Shop::with_units(5);
    let (engine, foreign) = (&unchanged.shop.engine, elsewhere.key);
    assert_eq!(engine.reserve(Reserve::units(foreign, 1)).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.receive(Receive::units(foreign, 1)).unwrap_err(), SharedError::ForeignKey.into());
    let adjust = Adjust::by(foreign, 1, AdjustReason::Found);
    assert_eq!(engine.adjust(adjust).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.stop_sale(foreign).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.resume_sale(foreign).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.available(foreign).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.level(foreign).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.blocking_holds(foreign).unwrap_err(), SharedError::ForeignKey.into());
    assert_eq!(engine.name(foreign), None);
    elsewhere.assert_level(5, 0, 0);
}

#[test]
fn a_hold_of_another_directory_or_a_forged_one() {
    let unchanged = Unchanged::new();
    let engine = &unchanged.shop.engine;
    let elsewhere = Shop::with_units(5);
    let forged = [0, 1, u128::MAX, unchanged.hold.to_u128() ^ 1, unchanged.hold.to_u128() ^ 1 << 127]
        .map(HoldId::from_u128);
    for hold in forged.into_iter().chain([elsewhere.reserve(1)]) {
        let unknown = HoldError::Lookup(LookupError::Unknown);
        assert_eq!(engine.status(hold), Err(LookupError::Unknown));
        assert_eq!(engine.confirm(hold).unwrap_err(), ConfirmError::Lookup(LookupError::Unknown));
        assert_eq!(engine.release(hold).unwrap_err(), unknown);
        assert_eq!(engine.extend(Extend::hold(hold, SECOND)).unwrap_err(), unknown);
        assert_eq!(engine.begin_payment(hold).unwrap_err(), unknown);
        assert_eq!(engine.cancel(hold).unwrap_err(), unknown);
        assert_eq!(engine.ship(hold).unwrap_err(), unknown);
    }
}

#[test]
fn names() {
    let unchanged = Unchanged::new();
    let engine = &unchanged.shop.engine;
    type Resolve<'e> = &'e dyn Fn(&str, &str) -> Result<StockKey, NameError>;
    let long = "é".repeat(128);
    let both: [Resolve<'_>; 2] = [&|sku, at| engine.declare(sku, at), &|sku, at| engine.key(sku, at)];
    for resolve in both {
        assert_eq!(resolve("", "berlin"), Err(NameError::Empty));
        assert_eq!(resolve("poster", ""), Err(NameError::Empty));
        assert_eq!(resolve(&long, "berlin"), Err(NameError::TooLong(256)));
        assert_eq!(resolve("poster", &long), Err(NameError::TooLong(256)));
    }
    assert_eq!(engine.key("mug", "berlin"), Err(NameError::UnknownSku("mug".into())));
    let (sku, location) = ("poster".to_owned(), "paris".to_owned());
    assert_eq!(engine.key("poster", "paris"), Err(NameError::UnknownLocation { sku, location }));
    assert_eq!(engine.key("poster", "berlin"), Ok(unchanged.shop.key));
    assert_eq!(engine.keys(), [unchanged.shop.key]);
}

#[test]
fn the_longest_names_are_accepted() {
    let shop = Shop::with_units(0);
    let long = "x".repeat(255);
    let key = shop.engine.declare(&long, &long).unwrap();
    shop.engine.receive(Receive::units(key, 1)).unwrap().wait().unwrap();
    let (sku, location) = shop.engine.name(key).unwrap();
    assert_eq!((&*sku, &*location), (&*long, &*long));
}

#[test]
fn states_that_do_not_allow_the_operation() {
    let unchanged = Unchanged::new();
    let active = HoldError::WrongState(HoldState::Active);
    assert_eq!(unchanged.shop.engine.ship(unchanged.hold).unwrap_err(), active);
    assert_eq!(unchanged.shop.engine.cancel(unchanged.hold).unwrap_err(), active);
    drop(unchanged);

    let shop = Shop::with_units(1);
    let engine = &shop.engine;
    let hold = shop.reserve(1);
    engine.confirm(hold).unwrap().wait().unwrap();
    for ended in [HoldState::Confirmed, HoldState::Shipped] {
        let wrong = HoldError::WrongState(ended);
        assert_eq!(engine.confirm(hold).unwrap_err(), ConfirmError::Ended(ended));
        let late = Confirm::hold(hold).retake_if_expired();
        assert_eq!(engine.confirm(late).unwrap_err(), ConfirmError::Ended(ended));
        assert_eq!(engine.release(hold).unwrap_err(), wrong);
        assert_eq!(engine.extend(Extend::hold(hold, SECOND)).unwrap_err(), wrong);
        assert_eq!(engine.begin_payment(hold).unwrap_err(), wrong);
        if ended == HoldState::Confirmed {
            engine.ship(hold).unwrap().wait().unwrap();
        }
    }
    assert_eq!(engine.cancel(hold).unwrap_err(), HoldError::WrongState(HoldState::Shipped));
    shop.assert_level(0, 0, 0);
}

#[test]
fn no_more_holds_than_holds_max() {
    let shop = Shop::with(10, |config| config.holds_max(3));
    let holds = [shop.reserve(1), shop.reserve(1), shop.reserve(1)];
    let before = shop.engine.level(shop.key).unwrap();
    assert_eq!(shop.try_reserve(1), Err(ReserveError::HoldsFull { holds_max: 3 }));
    assert_eq!(shop.engine.level(shop.key), Ok(before));
    // A confirmed hold counts until it has shipped.
    shop.engine.confirm(holds[0]).unwrap().wait().unwrap();
    assert_eq!(shop.try_reserve(1), Err(ReserveError::HoldsFull { holds_max: 3 }));
    shop.engine.ship(holds[0]).unwrap().wait().unwrap();
    shop.reserve(1);
    shop.engine.release(holds[1]).unwrap().wait().unwrap();
    shop.reserve(1);
    // Holds that are due are reclaimed before a reserve is refused.
    shop.clock.advance(600 * SECOND);
    shop.reserve(1);
    assert_eq!(shop.engine.status(holds[1]), Err(LookupError::Forgotten));
}

#[test]
fn a_stopped_sale_refuses_reserves_and_nothing_else() {
    let shop = Shop::with_units(5);
    let (first, second, late) = (shop.reserve(1), shop.reserve(1), shop.reserve(1));
    shop.engine.stop_sale(shop.key).unwrap().wait().unwrap();
    assert!(shop.engine.level(shop.key).unwrap().stopped);
    let Err(ReserveError::Refused(refusal)) = shop.try_reserve(1) else { panic!("not refused") };
    assert_eq!((refusal.reason, refusal.available, refusal.asked), (RefusalReason::Stopped, 2, 1));
    shop.engine.confirm(first).unwrap().wait().unwrap();
    shop.engine.extend(Extend::hold(second, 900 * SECOND)).unwrap().wait().unwrap();
    shop.engine.receive(Receive::units(shop.key, 1)).unwrap().wait().unwrap();
    shop.engine.ship(first).unwrap().wait().unwrap();
    shop.clock.advance(600 * SECOND);
    let retaken = shop.engine.confirm(Confirm::hold(late).retake_if_expired());
    let Err(ConfirmError::Refused(refusal)) = retaken else { panic!("not refused") };
    assert_eq!(refusal.reason, RefusalReason::Stopped);
    shop.engine.release(second).unwrap().wait().unwrap();
    shop.assert_level(5, 0, 0);
}

#[test]
fn an_engine_that_was_shut_down_says_so() {
    let shop = Shop::with_units(5);
    let hold = shop.reserve(1);
    let other = shop.engine.clone();
    shop.engine.shutdown().unwrap();
    let down = || SharedError::Stopped(Stopped::ShutDown);
    assert_eq!(shop.try_reserve(1), Err(down().into()));
    assert_eq!(other.confirm(hold).unwrap_err(), down().into());
    assert_eq!(other.release(hold).unwrap_err(), down().into());
    assert_eq!(other.extend(Extend::hold(hold, 900 * SECOND)).unwrap_err(), down().into());
    assert_eq!(other.begin_payment(hold).unwrap_err(), down().into());
    assert_eq!(other.receive(Receive::units(shop.key, 1)).unwrap_err(), down().into());
    assert_eq!(other.stop_sale(shop.key).unwrap_err(), down().into());
    assert_eq!(other.declare("mug", "berlin"), Err(down().into()));
    assert_eq!(other.shutdown(), Ok(()));
    // Queries are still answered.
    shop.assert_level(5, 1, 0);
    assert_eq!(other.status(hold).unwrap().state, HoldState::Active);
}

#[test]
fn every_error_is_a_sentence() {
    let unchanged = Unchanged::new();
    let refused = unchanged.reserve(|_| Reserve::units(unchanged.shop.key, 9)).to_string();
    assert_eq!(refused, "out of stock: 9 asked for, 8 available");
    let bad = unchanged.reserve(|_| Reserve::units(unchanged.shop.key, 0)).to_string();
    assert_eq!(bad, "a quantity of 0 is not between 1 and 2147483647; ask for a number in that range");
}
