//! The answers to calls on the parked thread's hold, op key or slot.

use std::thread;

use stockhold::answer::Remaining;
use stockhold::error::{Busy, ConfirmError, LookupError, OpKeyError, ReserveError, SharedError};
use stockhold::stall::{Step, arm};
use stockhold::{Extend, HoldAction, HoldId, HoldState, OpKey, Replace, Reserve};

use crate::busy::BusyCause;
use crate::case::{Act, Truth, VICTIM, case};
use crate::common::{SECOND, Shop};
use crate::fixture::{Fixture, SCARCE};
use crate::watchdog::{exclusive, wait_until_parked, watched};

/// Parks `act` at `step`, and calls `check` with its hold.
pub fn while_parked(act: Act, step: Step, check: impl FnOnce(&Shop, HoldId)) {
    let _exclusive = exclusive();
    watched(&format!("{act:?} at {step:?}"), || {
        let fixture = Fixture::new(&case(act, step, Truth, 0, 0), SCARCE);
        let stall = arm(VICTIM, step, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim = builder.spawn_scoped(scope, || fixture.act(act)).unwrap();
            wait_until_parked(&stall, &(act, step));
            check(&fixture.shop, fixture.hold.unwrap());
            drop(stall);
            victim.join().unwrap();
        });
        fixture.settle();
    });
}

#[test]
fn a_hold_whose_release_has_not_swapped_can_still_be_changed() {
    for step in [Step::Announced, Step::ChangeDrawn] {
        while_parked(Act::Release, step, |shop, hold| {
            assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Active);
            shop.engine.extend(Extend::hold(hold, 900 * SECOND)).unwrap().not_yet_durable();
            shop.engine.replace(Replace::quantity(hold, 3)).unwrap().not_yet_durable();
            shop.engine.confirm(hold).unwrap().not_yet_durable();
            let again = shop.engine.confirm(hold);
            assert!(matches!(again, Err(ConfirmError::Ended(HoldState::Confirmed))), "{again:?}");
        });
    }
}

#[test]
fn a_hold_whose_release_has_swapped_is_over() {
    for step in [Step::Swapped, Step::ChangeFilled, Step::Ended] {
        while_parked(Act::Release, step, |shop, hold| {
            assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Released);
            let late = shop.engine.confirm(hold);
            assert!(matches!(late, Err(ConfirmError::Ended(HoldState::Released))), "{late:?}");
        });
    }
}

#[test]
fn a_hold_that_is_being_changed_is_busy() {
    for (act, step) in [
        (Act::ReplaceMore, Step::Swapped),
        (Act::ReplaceFewer, Step::Changing),
        (Act::ConfirmCart, Step::Swapped),
        (Act::ConfirmCart, Step::Changing),
    ] {
        while_parked(act, step, |shop, hold| {
            let changing = Some(Busy::Changing);
            assert_eq!(shop.engine.status(hold), Err(LookupError::Changing));
            assert_eq!(shop.engine.confirm(hold).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.release(hold).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.cancel(HoldAction::hold(hold)).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.replace(Replace::quantity(hold, 1)).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.extend(Extend::hold(hold, SECOND)).unwrap_err().busy(), changing);
        });
    }
}

#[test]
fn an_op_key_whose_operation_is_parked_is_in_progress_and_no_other_is() {
    let _exclusive = exclusive();
    watched("op key", || {
        let shop = Shop::with_units(SCARCE);
        let stall = arm(VICTIM, Step::Drawn, 1);
        let request = |key| Reserve::units(shop.key, 1).op_key(OpKey(key));
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim =
                builder.spawn_scoped(scope, || shop.engine.reserve(request(1)).unwrap().not_yet_durable());
            wait_until_parked(&stall, &"op key");
            let again = shop.engine.reserve(request(1));
            let in_progress = SharedError::OpKey(OpKeyError::InProgress);
            assert!(matches!(&again, Err(ReserveError::Shared(cause)) if *cause == in_progress), "{again:?}");
            let left = shop.engine.reserve(request(2)).unwrap().not_yet_durable().remaining;
            assert_eq!(left, Remaining::Exact(2));
            drop(stall);
            let first = victim.unwrap().join().unwrap();
            assert_eq!(shop.engine.reserve(request(1)).unwrap().not_yet_durable(), first);
        });
        shop.assert_level(4, 2, 0);
    });
}

/// The slot belongs to the parked thread until it is given back, and counts as used until then.
#[test]
fn a_slot_that_has_not_come_back_counts_as_a_hold() {
    let _exclusive = exclusive();
    watched("holds_max", || {
        let shop = Shop::with(SCARCE, |config| config.holds_max(1));
        let hold = shop.reserve(1);
        let stall = arm(VICTIM, Step::Ended, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim = builder.spawn_scoped(scope, || drop(shop.engine.release(hold).unwrap())).unwrap();
            wait_until_parked(&stall, &"holds_max");
            assert_eq!(shop.engine.available_exactly(shop.key), Ok(4));
            assert!(matches!(shop.try_reserve(1), Err(ReserveError::HoldsFull { holds_max: 1 })));
            drop(stall);
            victim.join().unwrap();
        });
        shop.reserve(1);
    });
}
