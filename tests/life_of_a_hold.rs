//! A hold from its reserve to its outcome, as a caller sees it.

mod common;

use std::time::Duration;

use common::{SECOND, Shop};
use stockhold::error::{ConfirmError, HoldError, LookupError, ReserveError};
use stockhold::{Confirm, Extend, HoldAction, HoldState, Reserve};

#[test]
fn a_sale_from_receive_to_shipment() {
    let shop = Shop::with_units(10);
    let reserved =
        shop.engine.reserve(Reserve::units(shop.key, 3).reference("order-1")).unwrap().wait().unwrap();
    assert_eq!((reserved.quantity, reserved.remaining.units()), (3, 7));
    shop.assert_level(10, 3, 0);

    let confirmed = shop.engine.confirm(reserved.hold).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned, confirmed.retaken), (3, 0, false));
    shop.assert_level(10, 0, 3);

    let shipped = shop.engine.ship(HoldAction::hold(reserved.hold).quantity(2)).unwrap().wait().unwrap();
    assert_eq!((shipped.quantity, shipped.remaining), (2, 1));
    shop.assert_level(8, 0, 1);
    let cancelled = shop.engine.cancel(reserved.hold).unwrap().wait().unwrap();
    assert_eq!((cancelled.quantity, cancelled.remaining), (1, 0));
    shop.assert_level(8, 0, 0);
}

#[test]
fn a_part_confirm_gives_the_rest_back() {
    let shop = Shop::with_units(5);
    let hold = shop.reserve(5);
    let confirmed = shop.engine.confirm(Confirm::hold(hold).quantity(2)).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (2, 3));
    shop.assert_level(5, 0, 2);
    assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Ended(HoldState::Confirmed));
}

#[test]
fn o05_a_hold_is_released_only_once() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.engine.release(hold).unwrap().wait().unwrap();
    assert!(matches!(
        shop.engine.release(hold).unwrap_err(),
        HoldError::WrongState(HoldState::Released) | HoldError::Lookup(LookupError::Forgotten)
    ));
    shop.clock.advance(Duration::from_secs(3_600));
    shop.engine.sweep();
    shop.assert_level(1, 0, 0);
}

#[test]
fn f05_expired_hold_does_not_count() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    assert!(matches!(shop.try_reserve(1), Err(ReserveError::Refused(_))));
    shop.clock.advance(600 * SECOND);
    // Nothing has swept: no driver runs here.
    let next = shop.reserve(1);
    assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Expired);
    assert_eq!(shop.engine.status(next).unwrap().state, HoldState::Active);
    assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Expired);
}

#[test]
fn o09_a_confirm_at_the_deadline_loses_and_its_units_are_on_sale() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(600 * SECOND);
    assert_eq!(shop.engine.confirm(hold).unwrap_err(), ConfirmError::Expired);
    assert_eq!(shop.engine.available(shop.key), Ok(1));
}

#[test]
fn a_late_confirm_takes_the_units_again_if_they_are_there() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(600 * SECOND);
    let confirmed = shop.engine.confirm(Confirm::hold(hold).retake_if_expired()).unwrap().wait().unwrap();
    assert!(confirmed.retaken);
    shop.assert_level(1, 0, 1);

    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(600 * SECOND);
    let other = shop.reserve(1);
    let late = shop.engine.confirm(Confirm::hold(hold).retake_if_expired());
    assert!(matches!(late, Err(ConfirmError::Refused(refusal)) if refusal.available == 0));
    shop.engine.confirm(other).unwrap().wait().unwrap();
    shop.assert_level(1, 0, 1);
}

#[test]
fn an_extension_moves_the_deadline_and_a_failed_one_does_not() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    shop.clock.advance(500 * SECOND);
    let extended = shop.engine.extend(Extend::hold(hold, 200 * SECOND)).unwrap().wait().unwrap();
    assert_eq!(extended.deadline, shop.engine.now().plus(200 * SECOND));
    let day = 86_400 * SECOND;
    assert!(matches!(shop.engine.extend(Extend::hold(hold, 31 * day)), Err(HoldError::Ttl { .. })));
    assert_eq!(shop.engine.status(hold).unwrap().deadline, Some(extended.deadline));
    shop.clock.advance(199 * SECOND);
    assert!(matches!(shop.try_reserve(1), Err(ReserveError::Refused(_))));
    shop.clock.advance(SECOND);
    assert_eq!(shop.engine.extend(Extend::hold(hold, 200 * SECOND)).unwrap_err(), HoldError::Expired);
    shop.reserve(1);
}

#[test]
fn a_holds_life_is_capped_however_often_it_is_extended() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    let day = 86_400 * SECOND;
    shop.engine.extend(Extend::hold(hold, 30 * day)).unwrap().wait().unwrap();
    shop.clock.advance(29 * day);
    shop.engine.extend(Extend::hold(hold, 30 * day)).unwrap().wait().unwrap();
    shop.clock.advance(2 * day);
    assert!(matches!(shop.engine.extend(Extend::hold(hold, 30 * day)), Err(HoldError::LifeMax { .. })));
}

#[test]
fn payment_extends_once() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    let before = shop.engine.status(hold).unwrap().deadline.unwrap();
    let paying = shop.engine.begin_payment(hold).unwrap().wait().unwrap();
    assert_eq!(paying.deadline, before.plus(300 * SECOND));
    assert_eq!(shop.engine.begin_payment(hold).unwrap_err(), HoldError::WrongState(HoldState::Paying));
    shop.clock.advance(800 * SECOND);
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    shop.assert_level(1, 0, 1);
}

#[test]
fn holds_are_found_by_reference() {
    let shop = Shop::with_units(9);
    for (quantity, reference) in [(1, "a"), (2, "b"), (3, "a")] {
        shop.engine.reserve(Reserve::units(shop.key, quantity).reference(reference)).unwrap().wait().unwrap();
    }
    let mut quantities: Vec<_> = shop.engine.holds_of("a").iter().map(|status| status.quantity).collect();
    quantities.sort_unstable();
    assert_eq!(quantities, [1, 3]);
    assert!(shop.engine.holds_of("c").is_empty());
}

#[test]
fn a_forged_id_names_nothing() {
    let shop = Shop::with_units(1);
    let hold = shop.reserve(1);
    let forged = stockhold::HoldId::from_u128(hold.to_u128() ^ 1);
    assert_eq!(shop.engine.status(forged).unwrap_err(), LookupError::Unknown);
    assert_eq!(shop.engine.release(forged).unwrap_err(), HoldError::Lookup(LookupError::Unknown));
    shop.engine.release(hold).unwrap().wait().unwrap();
}
