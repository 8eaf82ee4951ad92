//! Replaces the units of a live hold in one step.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{Disk, ON_DISK, SECOND, Shop, at_once, cart, insist};
use stockhold::answer::Replaced;
use stockhold::error::{
    ConfirmError, HoldError, LookupError, QuantityError, ReplaceError, SharedError, StockError,
};
use stockhold::types::{LINES_MAX, QUANTITY_MAX};
use stockhold::{
    Adjust, AdjustReason, Confirm, Extend, HoldAction, HoldId, HoldState, OpKey, Receive, RefusalReason,
    Replace, Reserve, StockKey,
};
use stockhold_seeded::{Rng, seed};

fn replace(shop: &Shop, request: Replace<'_>) -> Result<Replaced, ReplaceError> {
    Ok(shop.engine.replace(request)?.wait().unwrap())
}

fn with_lines(shop: &Shop, hold: HoldId, lines: &[(StockKey, u32)]) -> Result<Replaced, ReplaceError> {
    replace(shop, Replace::lines(hold, &cart(lines)))
}

/// The refusal's key, the additional units that it needed, and the units that were available.
fn refused(answer: Result<Replaced, ReplaceError>) -> (StockKey, u32, i64) {
    match answer {
        Err(ReplaceError::Refused(refusal)) => {
            assert_eq!(refusal.reason, RefusalReason::OutOfStock);
            (refusal.key, refusal.asked, refusal.available)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn f04_a_hold_never_competes_with_itself() {
    let shop = Shop::with_units(5);
    let hold = shop.reserve(3);
    let deadline = shop.engine.status(hold).unwrap().deadline;
    for quantity in [5, 5, 1, 4, 5, 3] {
        let replaced = replace(&shop, Replace::quantity(hold, quantity)).unwrap();
        assert_eq!((replaced.hold, replaced.quantity, Some(replaced.deadline)), (hold, quantity, deadline));
        assert_eq!(shop.lines(hold), (HoldState::Active, vec![(shop.key, quantity)]));
        shop.assert_level(5, quantity.into(), 0);
    }
    assert_eq!(refused(replace(&shop, Replace::quantity(hold, 6))), (shop.key, 3, 2));
    assert_eq!(
        refused(replace(&shop, Replace::quantity(hold, QUANTITY_MAX))),
        (shop.key, QUANTITY_MAX - 3, 2)
    );
    shop.assert_level(5, 3, 0);
    let confirmed = shop.engine.confirm(Confirm::hold(hold).quantity(2)).unwrap().wait().unwrap();
    assert_eq!((confirmed.quantity, confirmed.returned), (2, 1));
    shop.engine.ship(HoldAction::hold(hold).quantity(1)).unwrap().wait().unwrap();
    shop.assert_level(4, 0, 1);
}

#[test]
fn a_hold_becomes_a_cart_and_one_line_again() {
    let shop = Shop::with_units(5);
    let [a, b, c] = shop.keys();
    shop.receive(b, 5);
    let hold = shop.reserve(4);
    with_lines(&shop, hold, &[(b, 3), (a, 1), (b, 2)]).unwrap();
    assert_eq!(shop.lines(hold).1, [(a, 1), (b, 5)]);
    assert_eq!(replace(&shop, Replace::quantity(hold, 2)), Err(ReplaceError::NameLines { lines: 2 }));
    assert_eq!(refused(with_lines(&shop, hold, &[(a, 2), (c, 1)])), (c, 1, 0));
    assert_eq!(refused(with_lines(&shop, hold, &[(a, 9), (b, 1)])), (a, 8, 4));
    assert_eq!(shop.lines(hold).1, [(a, 1), (b, 5)]);
    shop.assert_level_of(a, 5, 1, 0);
    shop.assert_level_of(b, 5, 5, 0);
    with_lines(&shop, hold, &[(b, 2)]).unwrap();
    replace(&shop, Replace::quantity(hold, 3)).unwrap();
    assert_eq!(shop.lines(hold).1, [(b, 3)]);
    shop.assert_level_of(a, 5, 0, 0);
    shop.assert_level_of(b, 5, 3, 0);
    assert_eq!(shop.engine.release(hold).unwrap().wait().unwrap().quantity, 3);
    shop.assert_level_of(b, 5, 0, 0);
}

#[test]
fn of_two_holds_that_want_each_others_units_both_are_refused() {
    let shop = Shop::with_units(1);
    let [a, b] = shop.keys();
    shop.receive(b, 1);
    let (first, second) = (shop.cart(&[(a, 1)]), shop.cart(&[(b, 1)]));
    assert_eq!(refused(with_lines(&shop, first, &[(b, 1)])), (b, 1, 0));
    assert_eq!(refused(with_lines(&shop, second, &[(a, 1), (b, 1)])), (a, 1, 0));
    assert_eq!((shop.lines(first).1, shop.lines(second).1), (vec![(a, 1)], vec![(b, 1)]));
}

#[test]
fn the_deadline_stays_unless_a_later_one_is_asked_for() {
    let shop = Shop::with(9, |config| config.ttl_bounds(SECOND, 600 * SECOND).life_max(1_000 * SECOND));
    let hold = shop.reserve(1);
    let born = shop.engine.now();
    let replace_for = |units, ttl| replace(&shop, Replace::quantity(hold, units).ttl(ttl));
    shop.clock.advance(100 * SECOND);
    assert_eq!(replace(&shop, Replace::quantity(hold, 2)).unwrap().deadline, born.plus(600 * SECOND));
    assert_eq!(replace_for(3, 10 * SECOND).unwrap().deadline, born.plus(600 * SECOND), "never earlier");
    assert_eq!(replace_for(4, 600 * SECOND).unwrap().deadline, born.plus(700 * SECOND));
    shop.clock.advance(550 * SECOND);
    assert_eq!(
        replace_for(5, 600 * SECOND),
        Err(ReplaceError::LifeMax { latest: born.plus(1_000 * SECOND) })
    );
    let (min, max) = (SECOND, 600 * SECOND);
    for asked in [max + SECOND, SECOND / 2] {
        assert_eq!(replace_for(5, asked), Err(ReplaceError::Ttl { asked, min, max }));
    }
    assert_eq!(shop.lines(hold).1, [(shop.key, 4)]);
    assert_eq!(replace_for(5, 350 * SECOND).unwrap().deadline, born.plus(1_000 * SECOND));
    shop.engine.begin_payment(hold).unwrap().wait().unwrap();
    replace(&shop, Replace::quantity(hold, 6)).unwrap();
    assert_eq!(shop.lines(hold), (HoldState::Paying, vec![(shop.key, 6)]));
    shop.clock.advance(349 * SECOND);
    assert_eq!(shop.lines(hold).0, HoldState::Paying);
    shop.clock.advance(SECOND);
    assert_eq!(shop.try_reserve(9).unwrap().quantity, 9, "it has expired");
    assert_eq!(replace(&shop, Replace::quantity(hold, 1)), Err(ReplaceError::Expired));
}

#[test]
fn a_hold_that_has_ended_is_not_replaced() {
    let shop = Shop::with_units(9);
    let [released, sold, due, swept] = [0; 4].map(|_| shop.reserve(1));
    shop.engine.release(released).unwrap().wait().unwrap();
    shop.engine.confirm(sold).unwrap().wait().unwrap();
    let more = |hold| replace(&shop, Replace::quantity(hold, 2));
    assert_eq!(more(released), Err(ReplaceError::WrongState(HoldState::Released)));
    assert_eq!(more(sold), Err(ReplaceError::WrongState(HoldState::Confirmed)));
    shop.clock.advance(600 * SECOND);
    assert_eq!(more(due), Err(ReplaceError::Expired));
    shop.engine.sweep();
    assert_eq!(more(swept), Err(ReplaceError::Expired));
    assert_eq!(more(HoldId::from_u128(7)), Err(ReplaceError::Lookup(LookupError::Unknown)));
    shop.assert_level(9, 0, 1);
    // A late confirm takes the units that the hold had last.
    shop.engine.confirm(Confirm::hold(due).retake_if_expired()).unwrap().wait().unwrap();
    shop.assert_level(9, 0, 2);
}

#[test]
fn invalid_units_are_refused() {
    let shop = Shop::with_units(9);
    let hold = shop.reserve(2);
    let (one, foreign) = ((shop.key, 1), (Shop::with_units(1).key, 1));
    let quantity = |units: u32| Err(QuantityError(units.into()).into());
    for units in [0, QUANTITY_MAX + 1] {
        assert_eq!(replace(&shop, Replace::quantity(hold, units)), quantity(units));
        assert_eq!(with_lines(&shop, hold, &[(shop.key, units)]), quantity(units));
    }
    assert_eq!(with_lines(&shop, hold, &[]), Err(SharedError::CartLines(0).into()));
    let many = SharedError::CartLines(LINES_MAX + 1);
    assert_eq!(with_lines(&shop, hold, &[one; LINES_MAX + 1]), Err(many.into()));
    assert_eq!(with_lines(&shop, hold, &[one, foreign]), Err(SharedError::ForeignKey.into()));
    shop.assert_level(9, 2, 0);
}

#[test]
fn a_hold_that_was_replaced_too_often_can_still_be_confirmed() {
    let shop = Shop::with(9, |config| config.lines_max(LINES_MAX as u32));
    let [a, b] = shop.keys();
    shop.receive(b, 9);
    let (hold, often) = (shop.reserve(1), u32::from(u16::MAX));
    let lines = |round: u32| [(a, 1 + round % 4), (b, 1 + round % 3)];
    for round in 0..often {
        let wanted = cart(&lines(round));
        insist(|| shop.engine.replace(Replace::lines(hold, &wanted))).unwrap().not_yet_durable();
    }
    assert_eq!(with_lines(&shop, hold, &[(a, 1)]), Err(ReplaceError::TooOften));
    let [(_, of_a), (_, of_b)] = lines(often - 1);
    assert_eq!(shop.lines(hold).1, lines(often - 1));
    shop.assert_level_of(a, 9, of_a.into(), 0);
    shop.assert_level_of(b, 9, of_b.into(), 0);
    let part = cart(&[(b, of_b)]);
    shop.engine.confirm(Confirm::hold(hold).lines(&part)).unwrap().wait().unwrap();
    shop.engine.ship(hold).unwrap().wait().unwrap();
    // Its slot is used again, with ids that were never given.
    for _ in 0..20 {
        let next = shop.cart(&[(a, 1), (b, 1)]);
        assert_ne!(next, hold);
        shop.engine.release(next).unwrap().wait().unwrap();
    }
    shop.assert_level_of(a, 9, 0, 0);
    shop.assert_level_of(b, 9 - i64::from(of_b), 0, 0);
}

#[test]
fn replaced_lines_survive_restarts_and_ids_stay_unique() {
    let mut rng = Rng::new(seed());
    let disk = Disk::new(ON_DISK[1]);
    let mut shop = disk.open();
    let keys = shop.keys::<3>();
    keys.iter().for_each(|key| shop.receive(*key, 100));
    let mut known: Vec<HoldId> = Vec::new();
    for _ in 0..8 {
        let hold = shop.reserve(1);
        assert!(!known.contains(&hold));
        known.push(hold);
        let mut lines = Vec::new();
        for _ in 0..4 {
            for _ in 0..20 {
                lines = keys.iter().map(|key| (*key, rng.below_u32(4))).filter(|line| line.1 > 0).collect();
                if lines.is_empty() {
                    lines.push((keys[1], 9));
                }
                with_lines(&shop, hold, &lines).unwrap();
            }
            drop(shop);
            shop = disk.open();
            assert_eq!(shop.lines(hold), (HoldState::Active, lines.clone()));
        }
        for key in keys {
            let held = lines.iter().find(|line| line.0 == key).map_or(0, |line| line.1.into());
            shop.assert_level_of(key, 100, held, 0);
        }
        shop.engine.release(hold).unwrap().wait().unwrap();
    }
}

#[test]
fn a_replacement_happens_once_restarts_included() {
    let disk = Disk::new(ON_DISK[0]);
    let shop = disk.open();
    shop.receive(shop.key, 9);
    let [first, second] = [0; 2].map(|_| shop.reserve(1));
    let lines = cart(&[(shop.key, 4)]);
    let answers = |shop: &Shop| {
        [
            Replace::quantity(first, 3).ttl(700 * SECOND).op_key(OpKey(1)),
            Replace::lines(second, &lines).op_key(OpKey(2)),
        ]
        .map(|request| {
            let receipt = shop.engine.replace(request).unwrap();
            (receipt.position(), receipt.wait().unwrap())
        })
    };
    let before = answers(&shop);
    replace(&shop, Replace::quantity(first, 2)).unwrap();
    let again = |shop: &Shop| {
        assert_eq!(answers(shop), before);
        for other in [Replace::quantity(first, 4), Replace::quantity(first, 3), Replace::quantity(second, 3)]
        {
            let refused = replace(shop, other.op_key(OpKey(1)));
            assert!(matches!(refused, Err(ReplaceError::Shared(SharedError::OpKey(_)))), "{refused:?}");
        }
        shop.assert_level(9, 6, 0);
    };
    again(&shop);
    drop(shop);
    again(&disk.open());
}

#[test]
fn replacements_need_room_for_lines_and_give_it_back() {
    let shop = Shop::with(1_000_000, |config| config.lines_max(LINES_MAX as u32));
    for _ in 0..4 {
        let holds: Vec<_> = (0..LINES_MAX).map(|_| shop.reserve(1)).collect();
        for hold in &holds[..LINES_MAX - 1] {
            insist(|| shop.engine.replace(Replace::quantity(*hold, 2))).unwrap().not_yet_durable();
        }
        // Every replacement needs a free line for a moment.
        for _ in 0..3 {
            replace(&shop, Replace::quantity(holds[0], 3)).unwrap();
        }
        replace(&shop, Replace::quantity(holds[LINES_MAX - 1], 2)).unwrap();
        let full = ReplaceError::Shared(SharedError::LinesFull { lines_max: LINES_MAX as u32 });
        assert_eq!(replace(&shop, Replace::quantity(holds[0], 1)), Err(full));
        assert_eq!(shop.lines(holds[0]).1, [(shop.key, 3)]);
        shop.clock.advance(600 * SECOND);
        shop.engine.sweep();
    }
    shop.assert_level(1_000_000, 0, 0);
}

#[test]
fn a_hold_is_found_by_its_reference_while_it_is_being_replaced() {
    let shop = Shop::with_units(9);
    let hold =
        shop.engine.reserve(Reserve::units(shop.key, 1).reference("order-1")).unwrap().wait().unwrap().hold;
    let over = AtomicBool::new(false);
    at_once(2, |thread| {
        if thread == 0 {
            for round in 0..30_000 {
                insist(|| shop.engine.replace(Replace::quantity(hold, 1 + round % 5)))
                    .unwrap()
                    .not_yet_durable();
            }
            over.store(true, Ordering::Relaxed);
        }
        while !over.load(Ordering::Relaxed) {
            let found = shop.engine.holds_of("order-1");
            assert_eq!(found.iter().map(|status| status.hold).collect::<Vec<_>>(), [hold]);
            assert!(found[0].quantity <= 5 && shop.engine.blocking_holds(shop.key).unwrap().held > 0);
        }
    });
}

/// Threads replace, confirm, release, extend, ship and let expire the same few holds.
#[test]
fn no_race_with_a_replacement_loses_or_makes_a_unit() {
    let rng = Rng::new(seed());
    let disk = Disk::new(ON_DISK[1]);
    let shop = disk.open();
    let keys = shop.keys::<3>();
    keys.iter().for_each(|key| shop.receive(*key, 60));
    for round in 0..60 {
        let holds: [HoldId; 4] = std::array::from_fn(|number| {
            let lines: Vec<_> = (0..=number % 3).map(|key| (keys[key], 2)).collect();
            insist(|| shop.try_cart(&lines)).unwrap().hold
        });
        at_once(4, |thread| {
            let mut rng = rng.fork(round * 4 + thread);
            for _ in 0..60 {
                let hold = holds[rng.below_u32(4) as usize];
                let mut lines: Vec<_> = keys.iter().map(|key| (*key, rng.below_u32(7))).collect();
                lines.retain(|line| line.1 > 0);
                let lines = cart(&lines);
                match rng.below_u32(40) {
                    0 => drop(shop.engine.release(hold)),
                    1 => drop(shop.engine.confirm(hold)),
                    2 => drop(shop.engine.confirm(Confirm::hold(hold).lines(&lines).retake_if_expired())),
                    3 => drop(shop.engine.ship(HoldAction::hold(hold).lines(&lines))),
                    4 => drop(shop.engine.cancel(HoldAction::hold(hold).lines(&lines))),
                    5 => shop.clock.advance(60 * SECOND),
                    6 => drop(shop.engine.extend(Extend::hold(hold, 300 * SECOND))),
                    7 => drop(shop.engine.begin_payment(hold)),
                    8 => drop(shop.engine.status(hold)),
                    _ => match shop.engine.replace(Replace::lines(hold, &lines)) {
                        Ok(replaced) => {
                            let units = lines.iter().map(|line| line.quantity).sum();
                            assert_eq!(replaced.not_yet_durable().quantity, units);
                        }
                        Err(ReplaceError::Refused(refusal)) => {
                            assert!(refusal.available < refusal.asked.into())
                        }
                        Err(ReplaceError::Shared(cause)) => {
                            assert!(
                                matches!(cause, SharedError::Busy(_) | SharedError::CartLines(0)),
                                "{cause}"
                            );
                        }
                        Err(error) => assert!(
                            matches!(
                                error,
                                ReplaceError::Expired | ReplaceError::WrongState(_) | ReplaceError::Lookup(_)
                            ),
                            "{error}"
                        ),
                    },
                }
            }
        });
        // The holds, the levels and the counters agree.
        let status: Vec<_> = holds.iter().filter_map(|hold| shop.engine.status(*hold).ok()).collect();
        for key in keys {
            let available = shop.engine.available_exactly(key).unwrap();
            let level = shop.engine.level(key).unwrap();
            assert_eq!(level.available, available);
            let units = |states: &[HoldState]| {
                let these = status.iter().filter(|status| states.contains(&status.state));
                let lines = these.flat_map(|status| &status.lines).filter(|line| line.key == key);
                lines.map(|line| i64::from(line.quantity)).sum::<i64>()
            };
            assert_eq!(level.held, units(&[HoldState::Active, HoldState::Paying]));
            assert_eq!(level.committed, units(&[HoldState::Confirmed]));
            let below = Adjust::by(key, -1_000, AdjustReason::Count);
            let on_hand = level.on_hand;
            let adjusted = shop.engine.adjust(below).map(drop);
            assert_eq!(
                adjusted,
                Err(StockError::BelowZero { asked: 1_000, on_hand }),
                "the stock on hand agrees too"
            );
        }
        for hold in holds {
            drop(shop.engine.release(hold));
            drop(shop.engine.cancel(hold));
        }
        for key in keys {
            let on_hand = shop.engine.level(key).unwrap().on_hand;
            shop.receive(key, 61 - on_hand as u32);
            drop(shop.engine.adjust(Adjust::by(key, -1, AdjustReason::Count)).unwrap());
            shop.assert_level_of(key, 60, 0, 0);
        }
    }
    shop.engine.shutdown().unwrap();
    let inspection = stockhold::inspect::Inspection::open(disk.directory.path()).unwrap();
    assert_eq!(inspection.drift(), None);
    drop(inspection);
    let shop = disk.open();
    keys.iter().for_each(|key| shop.assert_level_of(*key, 60, 0, 0));
}

#[test]
fn a_shipment_takes_the_units_that_were_confirmed_though_the_lines_were_replaced() {
    let shop = Shop::with_units(10_000);
    let [a, b] = shop.keys();
    shop.receive(b, 10_000);
    for _ in 0..2_000 {
        let hold = shop.reserve(1);
        let lines = cart(&[(b, 1)]);
        at_once(3, |thread| match thread {
            0 => while shop.engine.ship(hold).is_err() {},
            1 => (0..10).for_each(|_| drop(insist(|| shop.engine.receive(Receive::units(a, 1))).unwrap())),
            _ => {
                drop(insist(|| shop.engine.replace(Replace::lines(hold, &lines))).unwrap());
                drop(insist(|| shop.engine.confirm(hold)).unwrap());
            }
        });
        let on_hand = shop.engine.level(b).unwrap().on_hand;
        let adjusted = shop.engine.adjust(Adjust::by(b, -20_000, AdjustReason::Count)).map(drop);
        assert_eq!(adjusted, Err(StockError::BelowZero { asked: 20_000, on_hand }));
    }
}

#[test]
fn of_a_concurrent_replacement_and_end_the_units_follow_the_winner() {
    let shop = Shop::with_units(9);
    let [a, b] = shop.keys();
    shop.receive(b, 9);
    for round in 0..1_500 {
        let hold = shop.reserve(2);
        let lines = cart(&[(a, 1), (b, 4)]);
        let answers = at_once(2, |thread| match (thread, round % 3) {
            (0, _) => insist(|| shop.engine.replace(Replace::lines(hold, &lines))).is_ok(),
            (_, 0) => {
                insist(|| shop.engine.release(hold)).map_err(|error: HoldError| panic!("{error}")).is_ok()
            }
            (_, 1) => {
                insist(|| shop.engine.confirm(hold)).map_err(|error: ConfirmError| panic!("{error}")).is_ok()
            }
            _ => {
                shop.clock.advance(600 * SECOND);
                insist(|| shop.engine.reserve(Reserve::units(a, 9)))
                    .map(|granted| shop.engine.release(granted.not_yet_durable().hold).unwrap())
                    .is_ok()
            }
        });
        assert!(answers[1]);
        if round % 3 == 1 {
            let sold = if answers[0] { vec![(a, 1), (b, 4)] } else { vec![(a, 2)] };
            assert_eq!(shop.lines(hold), (HoldState::Confirmed, sold));
            shop.engine.cancel(hold).unwrap().wait().unwrap();
        }
        shop.engine.sweep();
        [a, b].iter().for_each(|key| shop.assert_level_of(*key, 9, 0, 0));
    }
}
