//! The numbers in answers while a thread is parked: each is of one instant, or the answer is `Busy`.

use std::fmt::Debug;

use stockhold::answer::{Adjusted, Remaining};
use stockhold::error::{Busy, ReserveError, SharedError, StockError};
use stockhold::stall::{Step, arm};
use stockhold::types::LINES_MAX;
use stockhold::{Adjust, AdjustReason, CartLine, OpKey, Receipt, Receive, ReserveCart, StockKey};

use crate::busy::BusyCause;
use crate::case::{Act, VICTIM};
use crate::common::Shop;
use crate::fixture::OTHERS;
use crate::hold::while_parked;
use crate::watchdog::{exclusive, wait_until_parked, watched};

/// Where units are on their way back, or may go back yet.
const HALF_DONE: [(Act, Step); 13] = [
    (Act::Release, Step::Announced),
    (Act::Release, Step::ChangeDrawn),
    (Act::Release, Step::Swapped),
    (Act::Release, Step::ChangeFilled),
    (Act::Release, Step::Giving),
    (Act::ConfirmPart, Step::Swapped),
    (Act::Cancel, Step::Swapped),
    (Act::ReplaceFewer, Step::Swapped),
    (Act::ReplaceMore, Step::LineTaken),
    (Act::Retake, Step::LineTaken),
    (Act::Inline, Step::Announced),
    (Act::Inline, Step::Swapped),
    (Act::Inline, Step::ChangeFilled),
];

/// Where holds that are due are being reclaimed.
const RECLAIMING: [Step; 9] = [
    Step::Turning,
    Step::Firing,
    Step::Announced,
    Step::ChangeDrawn,
    Step::Swapped,
    Step::ChangeFilled,
    Step::Ended,
    Step::Burying,
    Step::TurnEnding,
];

/// Receipts before a scenario begins: those of the fixture.
const RECEIPTS: u64 = 3 + 2 * OTHERS as u64;

fn lost(shop: &Shop, units: i64) -> Adjust<'static> {
    Adjust::by(shop.key, -units, AdjustReason::Lost)
}

fn half_done() -> impl Iterator<Item = (Act, Step)> {
    HALF_DONE.into_iter().chain(RECLAIMING.map(|step| (Act::Sweep, step)))
}

/// Asserts that the answer is `Busy`, because the number in it is not known.
fn unknown(answer: Result<Receipt<'_, Adjusted>, StockError>, at: impl Debug) {
    let answer = answer.map(Receipt::not_yet_durable);
    let busy = answer.as_ref().err().and_then(BusyCause::busy);
    let expected = matches!(busy, Some(Busy::Pending | Busy::Reclaiming));
    assert!(expected, "a number that is of no instant: {answer:?} at {at:?}");
}

/// 4 units on hand, 2 of them in a hold that is ended, expired or changed: no shortfall of 3 lost units is told,
/// and none is remembered. What was not known changed nothing.
#[test]
fn a_correction_counts_nothing_that_is_under_way() {
    for (act, step) in half_done() {
        while_parked(act, step, |shop, _| {
            unknown(shop.engine.adjust(lost(shop, 3).op_key(OpKey(1))), (act, step));
            unknown(shop.engine.receive(Receive::units(shop.key, 1)), (act, step));
            assert_eq!(shop.engine.metrics().received + shop.engine.metrics().adjusted, RECEIPTS, "changed");
        });
    }
}

#[test]
fn a_correction_behind_all_that_is_under_way_is_exact_and_remembered() {
    while_parked(Act::Release, Step::Ended, |shop, _| {
        let answer = || shop.engine.adjust(lost(shop, 3).op_key(OpKey(1))).unwrap().not_yet_durable();
        assert_eq!((answer(), answer()), (Adjusted { available: 1, shortfall: 0 }, answer()));
        let answer = shop.engine.adjust(lost(shop, 1)).unwrap().not_yet_durable();
        assert_eq!(answer, Adjusted { available: 0, shortfall: 0 });
        let answer = shop.engine.receive(Receive::units(shop.key, 7)).unwrap().not_yet_durable();
        assert_eq!(answer, Adjusted { available: 7, shortfall: 0 });
    });
}

/// What remains is exact only if nothing is under way.
#[test]
fn what_remains_is_a_lower_bound_while_units_are_under_way() {
    for (act, step) in half_done() {
        while_parked(act, step, |shop, _| {
            let remaining = shop.engine.available(shop.key).unwrap() - 1;
            if remaining >= 0 {
                let reserved = shop.try_reserve(1).unwrap();
                assert_eq!(reserved.remaining, Remaining::AtLeast(remaining), "{act:?} {step:?}");
                shop.engine.release(reserved.hold).unwrap().not_yet_durable();
            }
        });
    }
    while_parked(Act::Release, Step::Ended, |shop, _| {
        assert_eq!(shop.try_reserve(1).unwrap().remaining, Remaining::Exact(3));
    });
}

/// A cart that has its lines in the table may yet give them back: no other cart is told that they are used up.
#[test]
fn a_cart_that_is_being_made_uses_up_no_lines() {
    let _exclusive = exclusive();
    watched("lines_max", || {
        let shop = Shop::with(4, |config| config.lines_max(LINES_MAX as u32).expired_kept(0));
        let keys: [StockKey; 1_100] = shop.keys();
        keys[1..].iter().for_each(|key| shop.receive(*key, 4));
        let lines = keys.map(|key| CartLine::units(key, 1));
        let cart = || shop.engine.reserve_cart(ReserveCart::lines(&lines)).map(Receipt::not_yet_durable);
        let stall = arm(VICTIM, Step::LineTaken, 1);
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name(VICTIM.into());
            let victim = builder.spawn_scoped(scope, cart).unwrap();
            wait_until_parked(&stall, &"lines_max");
            assert_eq!(cart().unwrap_err().busy(), Some(Busy::Room));
            drop(stall);
            let made = victim.join().unwrap().unwrap();
            let full = SharedError::LinesFull { lines_max: LINES_MAX as u32 };
            assert_eq!(cart().unwrap_err(), ReserveError::Shared(full));
            shop.engine.release(made.hold).unwrap().not_yet_durable();
        });
        cart().unwrap();
    });
}
