//! Split counters: one cell becomes many and many become one, while other threads take and give.

use std::sync::Arc;

use super::counter::OneKey;
use super::{explore, explore_less};
use crate::stock::counter::{Counter, Reading, Short, Want};

fn settled(available: i64) -> Reading {
    Reading { available, pending: false }
}

/// The last unit of a key that is split over two or three cells: one of the takers gets it, whichever cell
/// has it, and the others are refused.
fn last_unit(cells: usize, takers: usize) {
    // One unit a cell; all but one are gone.
    let one_key = OneKey::split(cells, cells as i64);
    for home in 1..cells {
        one_key.take(home, 1).unwrap();
    }
    let threads: Vec<_> =
        (1..takers).map(|home| one_key.spawn(move |one_key| one_key.take(home, 1))).collect();
    let mut answers = vec![one_key.take(takers, 1)];
    answers.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let refused = Err(Short::Out { available: 0 });
    let told = answers.iter().filter(|answer| **answer == refused).count();
    assert_eq!(told, takers - 1, "sold out was said of units that were there: {answers:?}");
    assert_eq!(one_key.reading(), settled(0));
}

/// Two threads want both units, which are in two cells: one gets both; they never take half each and give up
/// (F13).
pub(super) fn two_who_want_both() {
    let one_key = OneKey::split(2, 2);
    let other = one_key.spawn(|one_key| one_key.take(1, 2));
    let mine = one_key.take(0, 2);
    let other = other.join().unwrap();
    assert!(mine.is_ok() != other.is_ok(), "{mine:?} {other:?}");
    assert_eq!(one_key.reading(), settled(0));
}

/// One thread wants both units of two cells, and another wants one: exactly one of them gets what it wants.
pub(super) fn both_against_one() {
    let one_key = OneKey::split(2, 2);
    let both = one_key.spawn(|one_key| one_key.take(0, 2).is_ok());
    let one = one_key.take(1, 1).is_ok();
    let both = both.join().unwrap();
    assert!(both != one, "both: {both}, one: {one}");
    assert_eq!(one_key.reading(), settled(i64::from(one)), "units were made or lost");
}

/// A give-back was announced while the key was split, and other threads gather and split it meanwhile: no
/// taker is sold out, no unit is lost, and nothing stays pending.
pub(super) fn give_during_a_reshape() {
    let one_key = OneKey::split(2, 2);
    let pledge = one_key.announce(1).unwrap();
    let giver = one_key.spawn(move |one_key| one_key.give(pledge, 1));
    let taken = one_key.take(0, 3);
    one_key.counter.split(one_key.lane(0));
    giver.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(one_key.reading(), settled(if taken.is_ok() { 0 } else { 3 }));
}

/// A tentative take that rolls back across a reshape makes no taker sold out.
pub(super) fn rollback_across_a_reshape() {
    let one_key = OneKey::split(2, 2);
    let cart = one_key.spawn(|one_key| {
        if let Ok(pledge) = one_key.take_tentatively(1, 1) {
            one_key.give(pledge, 1);
        }
    });
    let taken = one_key.take(0, 2);
    cart.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(one_key.reading(), settled(if taken.is_ok() { 0 } else { 2 }));
}

/// Two threads split one key at once, over two blocks, while a third takes: one split counts, and no unit is
/// lost.
fn two_splits() {
    let one_key = Arc::new(OneKey::with_cells(2, 3));
    let other = one_key.spawn(|one_key| one_key.counter.split(one_key.lane(1)));
    let taker = one_key.spawn(|one_key| one_key.take(1, 1).is_ok());
    one_key.counter.split(one_key.lane(0));
    other.join().unwrap();
    assert!(taker.join().unwrap());
    assert_eq!(one_key.reading(), settled(2));
}

/// One thread splits while another gathers, and a third takes two of three units.
fn split_against_gather() {
    let one_key = OneKey::split(2, 3);
    let splitter = one_key.spawn(|one_key| one_key.counter.split(one_key.lane(1)));
    let taker = one_key.spawn(|one_key| one_key.take(1, 2).is_ok());
    let read = one_key.reading().available;
    splitter.join().unwrap();
    assert!(taker.join().unwrap());
    assert!([1, 3].contains(&read), "{read} was never on sale");
    assert_eq!(one_key.reading(), settled(1));
}

/// A helper sleeps while the block that it gathers is put back and used for another key, and for its own key
/// again, once or more: it changes neither.
pub(super) fn a_late_helper(uses: u32) {
    let one_key = OneKey::split(2, 4);
    let other = Arc::new(Counter::new(6));
    // The helper may be in the middle of this gather through all that follows.
    let helper = one_key.spawn(|one_key| one_key.counter.gather_from(one_key.lane(1), 0));
    assert!(one_key.take(0, 4).is_ok());
    for _ in 0..uses {
        other.split(one_key.lane(0));
        other.gather_from(one_key.lane(0), 0);
    }
    one_key.counter.correct(one_key.lane(0), 2);
    one_key.counter.split(one_key.lane(0));
    helper.join().unwrap();
    assert_eq!(one_key.reading(), settled(2), "units came out of nothing");
    assert_eq!(other.exactly(one_key.lane(0)), settled(6), "the other key's units were changed");
}

/// A correction into debt, and a give that pays some of it, while the key is split: the debt is exact, and a
/// key in debt is not split.
fn debt() {
    let one_key = OneKey::split(2, 2);
    let pledge = one_key.announce(1).unwrap();
    let corrector = one_key.spawn(|one_key| one_key.counter.correct(one_key.lane(1), -4));
    let giver = one_key.spawn(move |one_key| one_key.give(pledge, 1));
    corrector.join().unwrap();
    one_key.counter.split(one_key.lane(0));
    giver.join().unwrap();
    assert_eq!(one_key.reading(), settled(-1));
    assert_eq!(one_key.take(0, 1), Err(Short::Out { available: -1 }));
}

/// A key is gathered as idle while it is used: it loses nothing, and its block goes to another key without
/// mixing up the two.
fn demotion_and_promotion() {
    let one_key = OneKey::split(2, 2);
    let taker = one_key.spawn(|one_key| one_key.take(1, 1).is_ok());
    one_key.counter.gather_from(one_key.lane(0), 0);
    let other = Counter::new(2);
    other.split(one_key.lane(0));
    assert!(other.take(one_key.lane(1), Want::all(1)).is_ok());
    assert!(taker.join().unwrap());
    assert_eq!(one_key.reading(), settled(1));
    assert_eq!(other.exactly(one_key.lane(0)), settled(1));
}

/// Two threads ask for more units than there are, and take fewer: together they take all.
fn what_is_left() {
    let one_key = OneKey::split(2, 3);
    let other = one_key.spawn(|one_key| {
        one_key.counter.take(one_key.lane(1), Want { least: 1, most: 2 }).map_or(0, |taken| taken.units)
    });
    let mine = one_key.counter.take(one_key.lane(0), Want { least: 1, most: 2 });
    let mine = mine.map_or(0, |taken| taken.units);
    assert_eq!(mine + other.join().unwrap(), 3);
    assert_eq!(one_key.reading(), settled(0));
}

#[test]
fn two_takers_of_the_last_unit_in_two_cells() {
    explore(|| last_unit(2, 2));
}

#[test]
fn three_takers_of_the_last_unit_in_two_cells() {
    explore(|| last_unit(2, 3));
}

#[test]
fn two_takers_of_the_last_unit_in_three_cells() {
    explore(|| last_unit(3, 2));
}

#[test]
fn three_takers_of_the_last_unit_in_three_cells() {
    explore_less(|| last_unit(3, 3));
}

#[test]
fn two_takers_who_both_want_both_cells() {
    explore(two_who_want_both);
}

#[test]
fn a_taker_of_both_cells_against_one_of_one() {
    explore(both_against_one);
}

#[test]
fn a_giver_against_a_gather_and_a_split() {
    explore(give_during_a_reshape);
}

#[test]
fn a_rollback_against_a_gather() {
    explore(rollback_across_a_reshape);
}

#[test]
fn two_splits_and_a_taker() {
    explore(two_splits);
}

#[test]
fn a_split_a_gather_and_a_taker() {
    explore(split_against_gather);
}

#[test]
fn a_helper_one_version_late() {
    explore(|| a_late_helper(0));
}

#[test]
fn a_helper_two_versions_late() {
    explore(|| a_late_helper(1));
}

#[test]
fn a_debt_a_gift_and_a_split() {
    explore(debt);
}

#[test]
fn a_block_goes_from_key_to_key() {
    explore(demotion_and_promotion);
}

#[test]
fn two_who_take_what_is_left() {
    explore(what_is_left);
}
