//! Carts: several stock keys, one hold, all or nothing.

mod common;

use common::{Disk, ON_DISK, SECOND, Shop, cart, insist, out_of_stock};
use stockhold::error::{
    ConfirmError, HoldError, LookupError, OpKeyError, QuantityError, ReserveError, SharedError,
};
use stockhold::inspect::Inspection;
use stockhold::types::{LINES_MAX, QUANTITY_MAX};
use stockhold::{
    CartLine, Confirm, Engine, Extend, HoldAction, HoldId, HoldState, OpKey, RefusalReason, Reserve,
    ReserveCart, StockKey,
};
use stockhold_seeded::{Rng, seed};

/// A shop with three stock keys that have `units`.
fn stocked(units: [u32; 3]) -> (Shop, [StockKey; 3]) {
    let shop = Shop::with_units(0);
    let keys = stock(&shop, units);
    (shop, keys)
}

fn stock(shop: &Shop, units: [u32; 3]) -> [StockKey; 3] {
    let keys = shop.keys();
    for (key, units) in keys.iter().zip(units).filter(|(_, units)| *units > 0) {
        shop.receive(*key, units);
    }
    keys
}

/// Asserts `(on_hand, held, committed)` of each key.
#[track_caller]
fn assert_levels(shop: &Shop, levels: [(i64, i64, i64); 3]) {
    for (key, (on_hand, held, committed)) in shop.keys::<3>().into_iter().zip(levels) {
        shop.assert_level_of(key, on_hand, held, committed);
    }
}

fn of_lines<'a>(hold: HoldId, lines: &'a [CartLine]) -> HoldAction<'a> {
    HoldAction::hold(hold).lines(lines)
}

#[test]
fn a_cart_takes_every_line_under_one_id_deadline_and_reference() {
    let (shop, keys) = stocked([5, 5, 5]);
    let [a, b, c] = keys;
    // Not in the order of the keys.
    let lines = cart(&[(c, 3), (a, 1), (b, 2)]);
    let request = ReserveCart::lines(&lines).reference("order-1").ttl(60 * SECOND);
    let granted = shop.engine.reserve_cart(request).unwrap().wait().unwrap();
    assert_eq!((granted.quantity, granted.deadline), (6, shop.engine.now().plus(60 * SECOND)));
    let status = shop.engine.status(granted.hold).unwrap();
    assert_eq!(status.lines, cart(&[(a, 1), (b, 2), (c, 3)]));
    assert_eq!((status.quantity, status.deadline), (6, Some(granted.deadline)));
    assert_eq!(status.reference.as_bytes(), b"order-1");
    assert_eq!(shop.engine.holds_of("order-1"), [status]);
    assert_eq!(shop.engine.blocking_holds(b).unwrap().held, 2);
    assert_levels(&shop, [(5, 1, 0), (5, 2, 0), (5, 3, 0)]);
}

#[test]
fn a_cart_that_is_short_of_one_line_takes_none_and_names_it() {
    for short in 0..3 {
        let mut units = [5; 3];
        units[short] = 1;
        let (shop, keys) = stocked(units);
        let lines = keys.map(|key| (key, 2));
        let Err(ReserveError::Refused(refusal)) = shop.try_cart(&lines) else { panic!("one line is short") };
        assert_eq!((refusal.reason, refusal.key), (RefusalReason::OutOfStock, keys[short]));
        assert_eq!((refusal.asked, refusal.available), (2, 1));
        assert_levels(&shop, units.map(|units| (units.into(), 0, 0)));
        assert_eq!(shop.engine.metrics().holds_live, 0);
        for (key, units) in keys.into_iter().zip(units) {
            assert_eq!(shop.engine.available_exactly(key), Ok(units.into()));
        }
    }
}

#[test]
fn o03_lines_of_one_cart_on_the_same_key_are_added_up() {
    let (shop, [a, b, _]) = stocked([5, 5, 0]);
    let Err(ReserveError::Refused(refusal)) = shop.try_cart(&[(a, 3), (b, 1), (a, 3)]) else {
        panic!("six of five")
    };
    assert_eq!((refusal.key, refusal.asked, refusal.available), (a, 6, 5));
    let hold = shop.cart(&[(a, 3), (b, 1), (a, 2)]);
    assert_eq!(shop.lines(hold).1, [(a, 5), (b, 1)]);
    assert_eq!(out_of_stock(&shop.try_reserve(1)), Some(0));
    // A part of a hold is added up in the same way.
    let more = cart(&[(a, 3), (a, 3)]);
    let too_many = shop.engine.confirm(Confirm::hold(hold).lines(&more)).map(drop);
    assert_eq!(too_many, Err(ConfirmError::TooMany { asked: 6, held: 5 }));
    let part = cart(&[(a, 1), (a, 1)]);
    shop.engine.confirm(Confirm::hold(hold).lines(&part)).unwrap().wait().unwrap();
    assert_levels(&shop, [(5, 0, 2), (5, 0, 0), (0, 0, 0)]);
}

#[test]
fn a_cart_of_one_key_is_a_hold_like_any_other() {
    let (shop, [a, ..]) = stocked([5, 0, 0]);
    let hold = shop.cart(&[(a, 1), (a, 2)]);
    assert_eq!(shop.lines(hold).1, [(a, 3)]);
    let confirmed = shop.engine.confirm(Confirm::hold(hold).quantity(2)).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (2, 1));
    let part = cart(&[(a, 1)]);
    let moved = shop.engine.ship(of_lines(hold, &part)).unwrap().wait().unwrap();
    assert_eq!((moved.quantity, moved.remaining), (1, 1));
    shop.assert_level(4, 0, 1);
}

#[test]
fn a_cart_is_confirmed_released_and_expires_as_one() {
    let (shop, [a, b, c]) = stocked([5, 5, 5]);
    let [sold, released, expired] = [0; 3].map(|_| shop.cart(&[(a, 1), (b, 1), (c, 1)]));
    let confirmed = shop.engine.confirm(sold).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (3, 0));
    assert_eq!(shop.engine.release(released).unwrap().wait().unwrap().quantity, 3);
    assert_levels(&shop, [(5, 1, 1); 3]);
    shop.clock.advance(600 * SECOND);
    assert_eq!(shop.engine.confirm(expired).map(drop), Err(ConfirmError::Expired));
    assert_eq!(shop.lines(expired), (HoldState::Expired, vec![(a, 1), (b, 1), (c, 1)]));
    assert_levels(&shop, [(5, 0, 1); 3]);
    assert_eq!(shop.engine.release(released).map(drop), Err(HoldError::WrongState(HoldState::Released)));
    let shipped = shop.engine.ship(sold).unwrap().wait().unwrap();
    assert_eq!((shipped.quantity, shipped.remaining), (3, 0));
    assert_levels(&shop, [(4, 0, 0); 3]);
}

#[test]
fn a_cart_of_an_invalid_size_is_refused_before_anything_is_taken() {
    let shop = Shop::with_units(10_000);
    let error = |lines: &[(StockKey, u32)]| match shop.try_cart(lines) {
        Err(ReserveError::Shared(cause)) => cause,
        other => panic!("{other:?}"),
    };
    let one = (shop.key, 1);
    assert_eq!(error(&[]), SharedError::CartLines(0));
    assert_eq!(error(&[one; LINES_MAX + 1]), SharedError::CartLines(LINES_MAX + 1));
    assert_eq!(error(&[one, (shop.key, 0)]), QuantityError(0).into());
    let most = (shop.key, QUANTITY_MAX);
    assert_eq!(error(&[(shop.key, QUANTITY_MAX + 1)]), QuantityError(i64::from(QUANTITY_MAX) + 1).into());
    for key in shop.keys::<2>() {
        let sum = i64::from(QUANTITY_MAX) + 1;
        assert_eq!(
            error(&[most, (key, 1)]),
            QuantityError(sum).into(),
            "the limit is on the sum of all lines"
        );
    }
    let sum = i64::from(QUANTITY_MAX) * LINES_MAX as i64;
    assert_eq!(error(&[most; LINES_MAX]), QuantityError(sum).into(), "the sum must not overflow");
    assert_eq!(out_of_stock(&shop.try_cart(&[most])), Some(10_000));
    let foreign = Shop::with_units(1).key;
    assert_eq!(error(&[one, (foreign, 1)]), SharedError::ForeignKey);
    shop.assert_level(10_000, 0, 0);
    shop.cart(&[one; LINES_MAX]);
    shop.assert_level(10_000, LINES_MAX as i64, 0);
}

#[test]
fn the_largest_cart_goes_from_reserve_to_shipment_over_restarts() {
    let disk = Disk::new(ON_DISK[1]);
    let smallest = |config: stockhold::Config| config.ring_bytes(64 << 10).lines_max(LINES_MAX as u32);
    let shop = disk.open_with(smallest);
    let keys = shop.keys::<LINES_MAX>();
    for key in keys {
        insist(|| shop.engine.receive(stockhold::Receive::units(key, 300))).unwrap().not_yet_durable();
    }
    let lines = keys.map(|key| (key, 300));
    let wanted = cart(&lines);
    let reserve =
        |shop: &Shop| insist(|| shop.engine.reserve_cart(ReserveCart::lines(&wanted))).unwrap().wait();
    let released = reserve(&shop).unwrap().hold;
    insist(|| shop.engine.release(released)).unwrap().wait().unwrap();
    reserve(&shop).unwrap();
    shop.clock.advance(600 * SECOND);
    let hold = reserve(&shop).unwrap().hold;
    drop(shop);
    let shop = disk.open_with(smallest);
    assert_eq!(shop.lines(hold), (HoldState::Active, lines.to_vec()));
    let part = cart(&keys.map(|key| (key, 200)));
    let confirmed = insist(|| shop.engine.confirm(Confirm::hold(hold).lines(&part))).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (200 * LINES_MAX as u32, 100 * LINES_MAX as u32));
    drop(shop);
    let shop = disk.open_with(smallest);
    let half = cart(&keys.map(|key| (key, 100)));
    insist(|| shop.engine.ship(of_lines(hold, &half))).unwrap().wait().unwrap();
    for key in keys {
        shop.assert_level_of(key, 200, 0, 100);
    }
}

#[test]
fn carts_have_room_for_lines_max_and_return_it_however_they_end() {
    let shop = Shop::with(1_000_000, |config| config.lines_max(LINES_MAX as u32));
    let [a, b] = shop.keys();
    shop.receive(b, 1_000_000);
    let full = ReserveError::Shared(SharedError::LinesFull { lines_max: LINES_MAX as u32 });
    let fill = || (0..LINES_MAX / 2).map(|_| shop.cart(&[(a, 1), (b, 1)])).collect::<Vec<_>>();
    let mut rng = Rng::new(seed());
    for _ in 0..20 {
        let live = fill();
        assert_eq!(shop.try_cart(&[(a, 1), (b, 1)]), Err(full.clone()));
        shop.engine.release(shop.cart(&[(a, 1)])).unwrap().wait().unwrap();
        for hold in live {
            match rng.below_u32(6) {
                0 => drop(shop.engine.release(hold).unwrap()),
                1 => {
                    shop.engine.confirm(hold).unwrap().not_yet_durable();
                    drop(shop.engine.ship(hold).unwrap());
                }
                2 => {
                    let part = cart(&[(b, 1)]);
                    shop.engine.confirm(Confirm::hold(hold).lines(&part)).unwrap().not_yet_durable();
                    drop(shop.engine.cancel(hold).unwrap());
                }
                3 => {
                    shop.engine.release(hold).unwrap().not_yet_durable();
                    assert!(out_of_stock(&shop.try_cart(&[(a, 1), (b, 1_000_001)])).is_some());
                }
                _ => {} // it expires
            }
        }
        shop.clock.advance(600 * SECOND);
    }
    // Expired carts are remembered only until their lines are needed for others.
    fill();
    assert_eq!(shop.try_cart(&[(a, 1), (b, 1)]), Err(full));
}

#[test]
fn a_part_of_a_cart_is_given_by_lines() {
    let (shop, [a, b, c]) = stocked([5, 5, 5]);
    let hold = shop.cart(&[(a, 2), (b, 3)]);
    let confirm = |confirm: Confirm<'_>| shop.engine.confirm(confirm).map(drop);
    let whole = Confirm::hold(hold);
    assert_eq!(confirm(whole.quantity(4)), Err(ConfirmError::NameLines { lines: 2 }));
    assert_eq!(confirm(whole.quantity(6)), Err(ConfirmError::TooMany { asked: 6, held: 5 }));
    assert_eq!(confirm(whole.lines(&cart(&[(c, 1)]))), Err(ConfirmError::NotHeld(c)));
    let too_many = ConfirmError::TooMany { asked: 4, held: 3 };
    assert_eq!(confirm(whole.lines(&cart(&[(a, 1), (b, 4)]))), Err(too_many));
    assert_eq!(confirm(whole.lines(&[])), Err(ConfirmError::Shared(SharedError::CartLines(0))));
    let part = cart(&[(a, 2)]);
    for answer in [
        shop.engine.release(of_lines(hold, &part)).map(drop),
        shop.engine.begin_payment(of_lines(hold, &part)).map(drop),
    ] {
        assert_eq!(answer, Err(HoldError::WholeOnly { held: 5 }));
    }
    assert_levels(&shop, [(5, 2, 0), (5, 3, 0), (5, 0, 0)]);
    let part = cart(&[(b, 2)]);
    let confirmed = shop.engine.confirm(whole.lines(&part)).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (2, 3));
    assert_eq!(shop.lines(hold), (HoldState::Confirmed, vec![(b, 2)]));
    assert_levels(&shop, [(5, 0, 0), (5, 0, 2), (5, 0, 0)]);
    // One line is left, so a quantity is enough.
    let refused = shop.engine.ship(of_lines(hold, &cart(&[(a, 1)]))).map(drop);
    assert_eq!(refused, Err(HoldError::NotHeld(a)));
    assert_eq!(shop.engine.cancel(HoldAction::hold(hold).quantity(1)).unwrap().wait().unwrap().remaining, 1);
    assert_levels(&shop, [(5, 0, 0), (5, 0, 1), (5, 0, 0)]);
}

#[test]
fn a_cart_ships_and_is_cancelled_part_by_part_in_any_order_over_restarts() {
    let mut rng = Rng::new(seed());
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let mut shop = disk.open();
        let keys = stock(&shop, [9, 9, 9]);
        let hold = shop.cart(&keys.map(|key| (key, 6)));
        shop.engine.confirm(hold).unwrap().wait().unwrap();
        let (mut committed, mut on_hand) = ([6_u32; 3], [9_i64; 3]);
        while committed.iter().sum::<u32>() > 0 {
            let number = rng.below_u32(3) as usize;
            let mut take = [0; 3];
            take[number] = committed[number].min(1 + rng.below_u32(3));
            let other = (number + 1) % 3;
            take[other] = committed[other].min(rng.below_u32(2));
            let named: Vec<_> =
                (0..3).filter(|key| take[*key] > 0).map(|key| (keys[key], take[key])).collect();
            if named.is_empty() {
                continue;
            }
            let (named, ships) = (cart(&named), rng.below_u32(2) == 0);
            let request = of_lines(hold, &named);
            let moved = if ships { shop.engine.ship(request) } else { shop.engine.cancel(request) };
            let moved = moved.unwrap().wait().unwrap();
            for key in 0..3 {
                committed[key] -= take[key];
                on_hand[key] -= if ships { take[key].into() } else { 0 };
            }
            assert_eq!((moved.quantity, moved.remaining), (take.iter().sum(), committed.iter().sum()));
            let left: Vec<_> =
                (0..3).filter(|key| committed[*key] > 0).map(|key| (keys[key], committed[key])).collect();
            if !left.is_empty() {
                assert_eq!(shop.lines(hold), (HoldState::Confirmed, left));
            }
            if rng.below_u32(2) == 0 {
                drop(shop);
                shop = disk.open();
            }
            assert_levels(&shop, [0, 1, 2].map(|key| (on_hand[key], 0, committed[key].into())));
        }
        let over = shop.engine.cancel(hold).map(drop).unwrap_err();
        assert!(
            matches!(over, HoldError::WrongState(_) | HoldError::Lookup(LookupError::Forgotten)),
            "{over}"
        );
    }
}

#[test]
fn a_cart_that_is_over_shows_no_lines_before_and_after_a_restart() {
    let disk = Disk::new(ON_DISK[0]);
    let shop = disk.open();
    let [a, b, _] = stock(&shop, [9, 9, 9]);
    let [released, shipped] = [0; 2].map(|_| shop.cart(&[(a, 1), (b, 2)]));
    shop.engine.confirm(shipped).unwrap().wait().unwrap();
    shop.engine.ship(shipped).unwrap().wait().unwrap();
    shop.engine.release(released).unwrap().wait().unwrap();
    let before = [shipped, released].map(|hold| shop.engine.status(hold).unwrap());
    assert!(before.iter().all(|status| status.lines.is_empty() && status.quantity == 0));
    drop(shop);
    let shop = disk.open();
    assert_eq!([shipped, released].map(|hold| shop.engine.status(hold).unwrap()), before);
}

#[test]
fn an_expired_cart_is_confirmed_late_whole_or_in_part_if_its_units_are_there() {
    for restart in [false, true] {
        for part in [None, Some([(0, 1), (1, 3)].as_slice()), Some(&[(1, 2)])] {
            let disk = Disk::new(ON_DISK[1]);
            let mut shop = disk.open();
            let keys @ [a, b, c] = stock(&shop, [4, 3, 2]);
            let hold = shop.cart(&[(a, 2), (b, 3), (c, 1)]);
            shop.clock.advance(600 * SECOND);
            shop.engine.sweep();
            if restart {
                drop(shop);
                shop = disk.open();
            }
            // Another cart has the units: the hold stays expired, and none of its lines is taken.
            let other = shop.cart(&[(b, 2), (a, 1)]);
            let part: Option<Vec<_>> =
                part.map(|part| part.iter().map(|(key, units)| (keys[*key], *units)).collect());
            let named = part.as_ref().map(|part| cart(part));
            let late = Confirm::hold(hold).retake_if_expired();
            let late = named.as_ref().map_or(late, |named| late.lines(named));
            let asked = if named.is_some() && part.as_ref().unwrap().len() == 1 { 2 } else { 3 };
            let Err(ConfirmError::Refused(refusal)) = shop.engine.confirm(late) else { panic!() };
            assert_eq!((refusal.key, refusal.asked, refusal.available), (b, asked, 1));
            assert_eq!(shop.lines(hold).0, HoldState::Expired);
            assert_levels(&shop, [(4, 1, 0), (3, 2, 0), (2, 0, 0)]);
            shop.engine.release(other).unwrap().wait().unwrap();
            let confirmed = shop.engine.confirm(late).unwrap().wait().unwrap();
            let lines = part.unwrap_or(vec![(a, 2), (b, 3), (c, 1)]);
            let units = lines.iter().map(|(_, units)| units).sum();
            assert_eq!((confirmed.quantity, confirmed.returned, confirmed.retaken), (units, 0, true));
            drop(shop);
            let shop = disk.open();
            assert_eq!(shop.lines(hold), (HoldState::Confirmed, lines.clone()));
            let committed = |key| lines.iter().find(|line| line.0 == key).map_or(0, |line| line.1.into());
            assert_levels(&shop, [(4, 0, committed(a)), (3, 0, committed(b)), (2, 0, committed(c))]);
            shop.engine.ship(hold).unwrap().wait().unwrap();
        }
    }
}

#[test]
fn a_late_confirm_accepts_only_lines_that_the_cart_had() {
    let (shop, [a, b, c]) = stocked([4, 3, 2]);
    let hold = shop.cart(&[(a, 2), (b, 3)]);
    shop.clock.advance(600 * SECOND);
    let late = Confirm::hold(hold).retake_if_expired();
    let confirm = |confirm: Confirm<'_>| shop.engine.confirm(confirm).map(drop);
    assert_eq!(confirm(late.lines(&cart(&[(c, 1)]))), Err(ConfirmError::NotHeld(c)));
    assert_eq!(confirm(late.lines(&cart(&[(a, 3)]))), Err(ConfirmError::TooMany { asked: 3, held: 2 }));
    assert_eq!(confirm(late.quantity(1)), Err(ConfirmError::NameLines { lines: 2 }));
    shop.engine.stop_sale(b).unwrap().wait().unwrap();
    assert_eq!(confirm(late.lines(&cart(&[(a, 1)]))), Ok(()));
    assert_levels(&shop, [(4, 0, 1), (3, 0, 0), (2, 0, 0)]);
}

#[test]
fn a_stopped_key_in_a_cart_refuses_all_of_it() {
    let (shop, [a, b, c]) = stocked([5, 5, 5]);
    let hold = shop.cart(&[(a, 1), (b, 1), (c, 1)]);
    shop.engine.stop_sale(b).unwrap().wait().unwrap();
    let Err(ReserveError::Refused(refusal)) = shop.try_cart(&[(a, 1), (b, 1)]) else { panic!() };
    assert_eq!((refusal.reason, refusal.key, refusal.asked), (RefusalReason::Stopped, b, 1));
    shop.cart(&[(a, 1), (c, 1)]);
    // Units that are held can still be confirmed.
    shop.engine.confirm(hold).unwrap().wait().unwrap();
    assert_levels(&shop, [(5, 1, 1), (5, 0, 1), (5, 1, 1)]);
    shop.engine.open_sale_at(b, shop.engine.now().plus(SECOND)).unwrap().wait().unwrap();
    let Err(ReserveError::Refused(refusal)) = shop.try_cart(&[(a, 1), (b, 1)]) else { panic!() };
    assert_eq!((refusal.reason, refusal.key), (RefusalReason::NotOpen, b));
    shop.clock.advance(SECOND);
    shop.cart(&[(a, 1), (b, 1)]);
}

#[test]
fn a_cart_lives_longer_by_an_extension_and_a_payment() {
    let (shop, [a, b, _]) = stocked([5, 5, 5]);
    let hold = shop.cart(&[(a, 1), (b, 1)]);
    shop.engine.extend(Extend::hold(hold, 700 * SECOND)).unwrap().wait().unwrap();
    shop.engine.begin_payment(hold).unwrap().wait().unwrap();
    shop.clock.advance(999 * SECOND);
    assert_eq!(shop.lines(hold), (HoldState::Paying, vec![(a, 1), (b, 1)]));
    shop.clock.advance(SECOND);
    assert_eq!(shop.lines(hold).0, HoldState::Expired);
}

#[test]
fn f05_the_units_of_a_cart_that_is_due_are_on_sale_on_all_its_keys() {
    let (shop, [a, b, c]) = stocked([5, 5, 5]);
    for _ in 0..10 {
        shop.cart(&[(a, 5), (b, 5), (c, 5)]);
        shop.clock.advance(600 * SECOND);
        shop.engine.release(shop.cart(&[(c, 5), (b, 1)])).unwrap().wait().unwrap();
        shop.cart(&[(a, 1), (b, 5)]);
        shop.clock.advance(600 * SECOND);
        shop.engine.release(shop.reserve(5)).unwrap().wait().unwrap();
    }
    shop.clock.advance(600 * SECOND);
    assert_eq!(shop.engine.available_exactly(a), Ok(5));
    assert_levels(&shop, [(5, 0, 0); 3]);
}

/// Repeats every operation on a cart with its op key, and with the op key for other content.
#[test]
fn an_operation_on_a_cart_happens_once_restarts_included() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    let [a, b, _] = stock(&shop, [99, 99, 0]);
    let [first, more] = [cart(&[(a, 1), (b, 2)]), cart(&[(a, 2), (b, 2)])];
    let late = shop.cart(&[(a, 4), (b, 4)]);
    shop.clock.advance(600 * SECOND);
    shop.engine.sweep();
    let [sold, released, shipped, cancelled] = [0; 4].map(|_| shop.cart(&[(a, 4), (b, 4)]));
    for hold in [shipped, cancelled] {
        shop.engine.confirm(hold).unwrap().wait().unwrap();
    }
    /// The answers of eight operations on lines, each with its op key.
    fn answers(engine: &Engine, holds: [HoldId; 5], lines: &[CartLine], short: StockKey) -> Vec<String> {
        let [late, sold, released, shipped, cancelled] = holds;
        macro_rules! text {
            ($answer:expr) => {
                match $answer {
                    Ok(receipt) => format!("{:?} {:?}", receipt.position(), receipt.not_yet_durable()),
                    Err(error) => format!("{error:?}"),
                }
            };
        }
        let many = [lines, &[CartLine::units(short, 1_000)]].concat();
        let release = HoldAction::hold(released).op_key(OpKey(4));
        vec![
            text!(engine.reserve_cart(ReserveCart::lines(lines).op_key(OpKey(1)))),
            text!(engine.confirm(Confirm::hold(late).lines(lines).retake_if_expired().op_key(OpKey(2)))),
            text!(engine.confirm(Confirm::hold(sold).lines(lines).op_key(OpKey(3)))),
            text!(engine.release(if lines[0].quantity == 1 { release } else { release.quantity(8) })),
            text!(engine.ship(HoldAction::hold(shipped).lines(lines).op_key(OpKey(5)))),
            text!(engine.cancel(HoldAction::hold(cancelled).lines(lines).op_key(OpKey(6)))),
            text!(engine.reserve_cart(ReserveCart::lines(&many).op_key(OpKey(7)).remember_refusal())),
            text!(engine.reserve_cart(ReserveCart::lines(&lines[..1]).op_key(OpKey(8)))),
        ]
    }
    let holds = [late, sold, released, shipped, cancelled];
    let before = answers(&shop.engine, holds, &first, b);
    assert_eq!(before.iter().filter(|answer| answer.contains("Refus")).count(), 1, "{before:#?}");
    let other = format!("{:?}", ReserveError::Shared(SharedError::OpKey(OpKeyError::OtherContent)));
    let levels = [a, b].map(|key| shop.engine.level(key).unwrap());
    let again = |shop: &Shop| {
        shop.clock.advance(900 * SECOND);
        shop.engine.sweep();
        assert_eq!(answers(&shop.engine, holds, &first, b), before);
        assert!(answers(&shop.engine, holds, &more, b).iter().all(|answer| *answer == other));
        let reserve = Reserve::units(a, 1).op_key(OpKey(8));
        let of_another_kind = shop.engine.reserve(reserve).map(drop).unwrap_err();
        assert_eq!(format!("{of_another_kind:?}"), other);
    };
    again(&shop);
    drop(shop);
    let shop = disk.open();
    again(&shop);
    // Carts that were granted have expired meanwhile.
    for (key, before) in [a, b].into_iter().zip(levels) {
        shop.engine.available_exactly(key).unwrap();
        let level = shop.engine.level(key).unwrap();
        assert_eq!((level.on_hand, level.held, level.committed), (before.on_hand, 0, before.committed));
    }
}

#[test]
fn an_inspection_shows_carts_as_the_engine_did() {
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    let keys @ [a, b, c] = stock(&shop, [50, 50, 50]);
    let held = shop.cart(&[(a, 1), (b, 2), (c, 3)]);
    let sold = shop.cart(&[(a, 4), (c, 5)]);
    shop.engine.confirm(Confirm::hold(sold).lines(&cart(&[(a, 3), (c, 5)]))).unwrap().wait().unwrap();
    shop.engine.ship(of_lines(sold, &cart(&[(c, 1)]))).unwrap().wait().unwrap();
    let released = shop.cart(&[(a, 1), (b, 1)]);
    shop.engine.release(released).unwrap().wait().unwrap();
    let (now, levels) = (shop.engine.now(), keys.map(|key| shop.engine.level(key).unwrap()));
    shop.engine.shutdown().unwrap();
    let inspection = Inspection::open(disk.directory.path()).unwrap();
    assert_eq!(inspection.drift(), None);
    for (entry, level) in inspection.levels().zip(levels) {
        let counts = |level: stockhold::Level| (level.on_hand, level.held, level.committed, level.available);
        assert_eq!(counts(entry.level), counts(level));
    }
    let found: Vec<_> = inspection.holds(now).unwrap().collect();
    for hold in [held, sold] {
        let entry = found.iter().find(|entry| entry.hold == hold).unwrap();
        let lines: Vec<_> = entry.lines.iter().map(|line| line.quantity).collect();
        assert_eq!(
            (entry.quantity, &lines[..]),
            if hold == held { (6, &[1, 2, 3][..]) } else { (7, &[3, 4][..]) }
        );
    }
    assert_eq!(found.len(), 2);
    assert!(inspection.log(stockhold::Position(0)).all(|entry| entry.is_ok()));
}
