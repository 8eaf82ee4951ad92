//! Split counters: one cell becomes many and many one, while others take and give.

use std::sync::Arc;

use super::counter::ManifestSet;
use super::{explore, explore_less};
use crate::stock::counter::{Counter, Reading, Short, Want};

fn settled(available: i64) -> Reading {
    Reading { available, pending: false }
}

/// The last unit of a key that is split over two or three cells: one of the takers gets it, whichever cell it lies in, and
/// the others are refused.
fn last_unit(cells: usize, takers: usize) {
    // One unit a cell; all but one are gone.
    let manifest_set = ManifestSet::split(cells, cells as i64);
    for home in 1..cells {
        manifest_set.take(home, 1).unwrap();
    }
    let threads: Vec<_> =
        (1..takers).map(|home| manifest_set.spawn(move |manifest_set| manifest_set.take(home, 1))).collect();
    let mut answers = vec![manifest_set.take(takers, 1)];
    answers.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let refused = Err(Short::Out { available: 0 });
    let told = answers.iter().filter(|answer| **answer == refused).count();
    assert_eq!(told, takers - 1, "sold out was said of units that were there: {answers:?}");
    assert_eq!(manifest_set.reading(), settled(0));
}

/// Two who want both units, which lie in two cells: neither gets half of them and both give up, one gets them (F13).
pub(super) fn two_who_want_both() {
    let manifest_set = ManifestSet::split(2, 2);
    let other = manifest_set.spawn(|manifest_set| manifest_set.take(1, 2));
    let mine = manifest_set.take(0, 2);
    let other = other.join().unwrap();
    assert!(mine.is_ok() != other.is_ok(), "{mine:?} {other:?}");
    assert_eq!(manifest_set.reading(), settled(0));
}

/// Somebody who wants both units of two cells, and one who wants one: exactly one of them is served.
pub(super) fn both_against_one() {
    let manifest_set = ManifestSet::split(2, 2);
    let both = manifest_set.spawn(|manifest_set| manifest_set.take(0, 2).is_ok());
    let one = manifest_set.take(1, 1).is_ok();
    let both = both.join().unwrap();
    assert!(both != one, "both: {both}, one: {one}");
    assert_eq!(manifest_set.reading(), settled(i64::from(one)), "units were made or lost");
}

/// A give-back that was announced while the key was split, gathered and split again meanwhile by others: nobody is told
/// sold out, no unit is lost, and what was pending is settled.
pub(super) fn give_during_a_reshape() {
    let manifest_set = ManifestSet::split(2, 2);
    let pledge = manifest_set.announce(1).unwrap();
    let giver = manifest_set.spawn(move |manifest_set| manifest_set.give(pledge, 1));
    let taken = manifest_set.take(0, 3);
    manifest_set.counter.split(manifest_set.lane(0));
    giver.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(manifest_set.reading(), settled(if taken.is_ok() { 0 } else { 3 }));
}

/// A tentative take that rolls back across a reshape makes nobody sold out.
pub(super) fn rollback_across_a_reshape() {
    let manifest_set = ManifestSet::split(2, 2);
    let cart = manifest_set.spawn(|manifest_set| {
        if let Ok(pledge) = manifest_set.take_tentatively(1, 1) {
            manifest_set.give(pledge, 1);
        }
    });
    let taken = manifest_set.take(0, 2);
    cart.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(manifest_set.reading(), settled(if taken.is_ok() { 0 } else { 2 }));
}

/// Two who split one key at once, over two blocks, while somebody takes: one split counts, and no unit is lost.
fn two_splits() {
    let manifest_set = Arc::new(ManifestSet::with_cells(2, 3));
    let other = manifest_set.spawn(|manifest_set| manifest_set.counter.split(manifest_set.lane(1)));
    let taker = manifest_set.spawn(|manifest_set| manifest_set.take(1, 1).is_ok());
    manifest_set.counter.split(manifest_set.lane(0));
    other.join().unwrap();
    assert!(taker.join().unwrap());
    assert_eq!(manifest_set.reading(), settled(2));
}

/// One splits what another gathers, while a third takes two of three units.
fn split_against_gather() {
    let manifest_set = ManifestSet::split(2, 3);
    let splitter = manifest_set.spawn(|manifest_set| manifest_set.counter.split(manifest_set.lane(1)));
    let taker = manifest_set.spawn(|manifest_set| manifest_set.take(1, 2).is_ok());
    let read = manifest_set.reading().available;
    splitter.join().unwrap();
    assert!(taker.join().unwrap());
    assert!([1, 3].contains(&read), "{read} was never on sale");
    assert_eq!(manifest_set.reading(), settled(1));
}

/// A helper that sleeps while the block it gathers is put back and used for another key, and for its own again, once or
/// more: it changes nothing of either.
pub(super) fn a_late_helper(uses: u32) {
    let manifest_set = ManifestSet::split(2, 4);
    let other = Arc::new(Counter::new(6));
    // It may be in the middle of this gather through all that follows.
    let helper = manifest_set.spawn(|manifest_set| manifest_set.counter.gather_from(manifest_set.lane(1), 0));
    assert!(manifest_set.take(0, 4).is_ok());
    for _ in 0..uses {
        other.split(manifest_set.lane(0));
        other.gather_from(manifest_set.lane(0), 0);
    }
    manifest_set.counter.correct(manifest_set.lane(0), 2);
    manifest_set.counter.split(manifest_set.lane(0));
    helper.join().unwrap();
    assert_eq!(manifest_set.reading(), settled(2), "units came out of nothing");
    assert_eq!(other.exactly(manifest_set.lane(0)), settled(6), "the other key's units were changed");
}

/// A correction into debt, and a gift that pays some of it, while the key is split: the debt is exact, and a key in debt
/// is not split.
fn debt() {
    let manifest_set = ManifestSet::split(2, 2);
    let pledge = manifest_set.announce(1).unwrap();
    let corrector = manifest_set.spawn(|manifest_set| manifest_set.counter.correct(manifest_set.lane(1), -4));
    let giver = manifest_set.spawn(move |manifest_set| manifest_set.give(pledge, 1));
    corrector.join().unwrap();
    manifest_set.counter.split(manifest_set.lane(0));
    giver.join().unwrap();
    assert_eq!(manifest_set.reading(), settled(-1));
    assert_eq!(manifest_set.take(0, 1), Err(Short::Out { available: -1 }));
}

/// Cooled while it is used: a key that is gathered because nobody seemed to use it loses nothing, and its block goes to
/// another key without confusing the two.
fn demotion_and_promotion() {
    let manifest_set = ManifestSet::split(2, 2);
    let taker = manifest_set.spawn(|manifest_set| manifest_set.take(1, 1).is_ok());
    manifest_set.counter.gather_from(manifest_set.lane(0), 0);
    let other = Counter::new(2);
    other.split(manifest_set.lane(0));
    assert!(other.take(manifest_set.lane(1), Want::all(1)).is_ok());
    assert!(taker.join().unwrap());
    assert_eq!(manifest_set.reading(), settled(1));
    assert_eq!(other.exactly(manifest_set.lane(0)), settled(1));
}

/// Fewer units than asked for, but all there are: two who take what is left take it all between them.
fn what_is_left() {
    let manifest_set = ManifestSet::split(2, 3);
    let other = manifest_set.spawn(|manifest_set| {
        manifest_set
            .counter
            .take(manifest_set.lane(1), Want { least: 1, most: 2 })
            .map_or(0, |taken| taken.units)
    });
    let mine = manifest_set.counter.take(manifest_set.lane(0), Want { least: 1, most: 2 });
    let mine = mine.map_or(0, |taken| taken.units);
    assert_eq!(mine + other.join().unwrap(), 3);
    assert_eq!(manifest_set.reading(), settled(0));
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
