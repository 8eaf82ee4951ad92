//! Carts and replacements, through the engine's own calls.

use std::sync::Arc;

use super::engine::{Bare, key};
use super::{BEFORE, DEADLINE, LATER, at, explore, explore_less};
use crate::answer::{Refusal, RefusalReason};
use crate::error::{ConfirmError, ReplaceError, ReserveError, SharedError};
use crate::hold::lines::Line;
use crate::hold::state::Phase;
use crate::index::{KeyIndex, Target};
use crate::request::{Adjust, AdjustReason, CartLine, Confirm, HoldAction, Replace};
use crate::stock::counter::{Reading, Short, Want};
use crate::types::HoldId;

const LINES: [Line; 2] = [Line { target: Target::of(0), units: 1 }, Line { target: Target::of(1), units: 1 }];

fn refused<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(Refusal { reason: RefusalReason::OutOfStock, .. })))
}

fn busy<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(error) if error.is_busy())
}

/// Two carts want the same two last units, named in different orders: one gets both, or a caller is told to
/// try again. No cart gets only one of them, and not both are refused for good.
fn cart_against_cart() {
    let bare = Bare::with(1, &[1, 1], 2);
    let other = bare.spawn(|bare| bare.reserve_cart(&[1, 0], (at(0), DEADLINE)));
    let mine = bare.reserve_cart(&[0, 1], (at(0), DEADLINE));
    let other = other.join().unwrap();
    let granted = usize::from(mine.is_ok()) + usize::from(other.is_ok());
    assert!(granted <= 1, "two carts have the same units");
    if granted == 0 {
        assert!(busy(&mine) || busy(&other), "both were refused: {mine:?} {other:?}");
    }
    assert_eq!(bare.log(&[1, 1]).len(), granted);
}

/// A cart whose second line is short takes the first and gives it back, while another thread wants the first
/// line: that thread is granted it or busy, never sold out (F14).
pub(super) fn rollback_against_reserve() {
    let bare = Bare::with(1, &[1, 0], 2);
    let cart = bare.spawn(|bare| bare.core.take_tentatively(&LINES).map(|takes| takes.settle()).is_none());
    let asked = bare.reserve(at(0), DEADLINE);
    assert!(cart.join().unwrap());
    assert!(asked.is_ok() || busy(&asked), "a false refusal: {asked:?}");
    bare.log(&[1, 0]);
}

/// The same on a split key, while a thread that wants both of its units gathers it.
fn rollback_across_a_reshape() {
    let bare = Bare::with(2, &[2, 0], 2);
    assert!(bare.core.book.prepare(KeyIndex(0)));
    let cart = bare.spawn(|bare| bare.core.take_tentatively(&LINES).map(|takes| takes.settle()).is_none());
    let counter = &bare.core.item(key(0)).unwrap().counter;
    let taken = counter.take(bare.core.lane(KeyIndex(0)), Want::all(2));
    assert!(cart.join().unwrap());
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    let left = if taken.is_ok() { 0 } else { 2 };
    assert_eq!(bare.counter_of(KeyIndex(0)), Reading { available: left, pending: false });
}

/// A thread takes the second line of a cart in between: a thread that wants the first line is refused only if
/// the cart got it.
fn a_cart_that_comes_up_short() {
    let bare = Bare::with(1, &[1, 1], 3);
    let cart = bare.spawn(|bare| bare.reserve_cart(&[0, 1], (at(0), DEADLINE)));
    let thief = bare.spawn(|bare| {
        let counter = &bare.core.item(key(1)).unwrap().counter;
        counter.take(bare.core.lane(KeyIndex(1)), Want::all(1)).is_ok()
    });
    let asked = bare.reserve(at(0), DEADLINE);
    let (cart, stolen) = (cart.join().unwrap(), thief.join().unwrap());
    assert!(!(cart.is_ok() && stolen), "the last unit was sold twice");
    assert!(!refused(&asked) || cart.is_ok(), "a false refusal: {asked:?} {cart:?}");
    assert!(!refused(&cart) || stolen || asked.is_ok(), "a false refusal: {cart:?} {asked:?}");
}

/// A hold expires while a replacement by another quantity, which began in time, is under way: the units go
/// where the winner says, and are never given back twice.
fn replace_against_sweep() {
    let (bare, hold) = held();
    let replace = bare.spawn(move |bare| bare.core.replace(Replace::quantity(hold, 2), BEFORE, None));
    bare.core.sweep(DEADLINE);
    match replace.join().unwrap() {
        Ok((replaced, _)) => assert_eq!(replaced.quantity, 2),
        Err(ReplaceError::Expired | ReplaceError::Lookup(_)) => {
            assert_eq!(bare.phase(hold), Phase::Expired)
        }
        Err(error) => panic!("{error:?}"),
    }
    bare.core.sweep(DEADLINE);
    assert_eq!(bare.phase(hold), Phase::Expired, "due, and no thread closed it");
    assert_eq!(bare.counter(), Reading { available: 2, pending: false });
    bare.log(&[2]);
}

/// A confirm against a replacement by more units: the confirm is of the lines before or of the lines after,
/// and the log says which; or it is busy.
pub(super) fn replace_against_confirm() {
    let (bare, hold) = held();
    let replace = bare.spawn(move |bare| bare.core.replace(Replace::quantity(hold, 2), BEFORE, None));
    let confirmed = bare.core.confirm(Confirm::hold(hold), BEFORE, None);
    let replaced = replace.join().unwrap();
    let left = match (&confirmed, &replaced) {
        (Ok((confirmed, _)), Ok(_)) => {
            assert_eq!(confirmed.quantity, 2, "confirmed as it was before it was replaced");
            0
        }
        (Ok((confirmed, _)), Err(ReplaceError::WrongState(_))) => {
            assert_eq!(confirmed.quantity, 1);
            1
        }
        (Err(ConfirmError::Shared(SharedError::Busy(_))), Ok(_)) => 0,
        both => panic!("{both:?}"),
    };
    assert_eq!(bare.counter(), Reading { available: left, pending: false });
    bare.log(&[2]);
}

/// Two replacements of one hold: they happen one after the other, in either order.
fn replace_against_replace() {
    let (bare, hold) = held();
    let more = bare.spawn(move |bare| bare.core.replace(Replace::quantity(hold, 2), BEFORE, None));
    let same = bare.core.replace(Replace::quantity(hold, 1), BEFORE, None);
    let more = more.join().unwrap();
    for answer in [&same, &more] {
        if let Err(error) = answer {
            assert!(error.is_busy(), "{error:?}");
        }
    }
    bare.log(&[2]);
}

/// A hold of one of two units.
fn held() -> (Arc<Bare>, HoldId) {
    let bare = Bare::new(2, 1);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    (bare, hold)
}

/// Part of a cart is confirmed while its deadline passes: the rest is given back once, or all of it is.
fn part_confirm_against_sweep() {
    let bare = Bare::with(1, &[1, 1], 1);
    let hold = bare.reserve_cart(&[0, 1], (at(0), DEADLINE)).unwrap().hold;
    let confirm = bare.spawn(move |bare| {
        let lines = [CartLine::units(key(1), 1)];
        bare.core.confirm(Confirm::hold(hold).lines(&lines), BEFORE, None)
    });
    bare.core.sweep(DEADLINE);
    let left = match confirm.join().unwrap() {
        Ok((confirmed, _)) => {
            assert_eq!((confirmed.quantity, confirmed.returned), (1, 1));
            [1, 0]
        }
        Err(ConfirmError::Expired | ConfirmError::Lookup(_)) => [1, 1],
        Err(error) => panic!("{error:?}"),
    };
    for (index, available) in (0..).zip(left) {
        assert_eq!(bare.counter_of(KeyIndex(index)), Reading { available, pending: false });
    }
    bare.log(&[1, 1]);
}

/// A cart is released while its slot and lines may be given to a new cart: each cart has its own lines.
fn release_against_a_new_cart() {
    let bare = Bare::with(1, &[2, 2], 1);
    let old = bare.reserve_cart(&[0, 1], (at(0), DEADLINE)).unwrap().hold;
    let release = bare.spawn(move |bare| bare.core.release(HoldAction::hold(old), BEFORE, None).is_ok());
    let new = bare.reserve_cart(&[0, 1], (BEFORE, LATER));
    assert!(release.join().unwrap());
    let left = 2 - i64::from(new.is_ok());
    for index in [0, 1] {
        assert_eq!(bare.counter_of(KeyIndex(index)), Reading { available: left, pending: false });
    }
    bare.log(&[2, 2]);
}

/// A cart names one stock key on two lines. It could fill either line, but not both.
pub(super) fn lines_on_one_key() {
    let bare = Bare::with(1, &[1], 1);
    let cart = bare.reserve_cart(&[0, 0], (at(0), DEADLINE));
    assert!(refused(&cart), "more was granted than there was: {cart:?}");
    bare.log(&[1]);
}

/// A correction downwards against a reserve: the log and the counter agree on the shortfall, in either order
/// of the records.
pub(super) fn correction_against_reserve() {
    let bare = Bare::with(1, &[1], 1);
    let reserve = bare.spawn(|bare| bare.reserve(at(0), DEADLINE));
    let adjust = Adjust::by(key(0), -1, AdjustReason::Lost);
    bare.core.adjust(adjust, at(0), None).unwrap();
    let reserved = reserve.join().unwrap();
    assert_eq!(bare.counter().available, -i64::from(reserved.is_ok()));
    bare.log(&[1]);
}

#[test]
fn two_lines_on_one_key() {
    explore(lines_on_one_key);
}

#[test]
fn a_correction_against_a_reserve() {
    explore(correction_against_reserve);
}

#[test]
fn two_carts_of_the_same_last_units() {
    explore_less(cart_against_cart);
}

#[test]
fn a_rollback_against_a_reserve() {
    explore(rollback_against_reserve);
}

#[test]
fn a_rollback_against_a_gather() {
    explore(rollback_across_a_reshape);
}

#[test]
fn a_short_cart_a_thief_and_a_reserve() {
    explore_less(a_cart_that_comes_up_short);
}

#[test]
fn a_replace_against_the_sweep() {
    explore(replace_against_sweep);
}

#[test]
fn a_replace_against_a_confirm() {
    explore(replace_against_confirm);
}

#[test]
fn two_replaces_of_one_hold() {
    explore(replace_against_replace);
}

#[test]
fn a_part_confirm_against_the_sweep() {
    explore(part_confirm_against_sweep);
}

#[test]
fn a_release_against_a_new_cart_in_its_place() {
    explore_less(release_against_a_new_cart);
}
