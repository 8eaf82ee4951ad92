//! The counter alone: takes, gives, and what is pending between them.

use std::sync::Arc;

use super::explore;
use crate::stock::counter::{Counter, Reading, Short};
use crate::sync::thread;

fn settled(available: i64) -> Reading {
    Reading { available, pending: false }
}

/// Of so many takers of the last unit exactly one gets it, and the others are told the truth.
fn last_unit(takers: usize) {
    let counter = Arc::new(Counter::new(1));
    let threads: Vec<_> = (1..takers)
        .map(|_| {
            let counter = Arc::clone(&counter);
            thread::spawn(move || counter.take(1))
        })
        .collect();
    let mut answers = vec![counter.take(1)];
    answers.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(0)).count(), 1, "{answers:?}");
    let refused = Err(Short::Out { available: 0 });
    assert_eq!(answers.iter().filter(|answer| **answer == refused).count(), takers - 1, "{answers:?}");
    assert_eq!(counter.reading(), settled(0));
}

/// Somebody who takes one unit while another takes two of two: never both, and one of them at least.
fn big_and_small() {
    let counter = Arc::new(Counter::new(2));
    let big = Arc::clone(&counter);
    let big = thread::spawn(move || big.take(2));
    let small = counter.take(1);
    let big = big.join().unwrap();
    assert!(big.is_ok() != small.is_ok(), "{big:?} {small:?}");
    assert_eq!(counter.reading(), settled(i64::from(small.is_ok())));
}

/// An announced give-back makes nobody sold out: a taker gets the unit, or is told that it cannot be known yet.
pub(super) fn take_against_give() {
    let counter = Arc::new(Counter::new(0));
    counter.announce().unwrap();
    let giver = Arc::clone(&counter);
    let giver = thread::spawn(move || giver.give(1));
    let taken = counter.take(1);
    giver.join().unwrap();
    assert!(matches!(taken, Ok(0) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(counter.reading(), settled(i64::from(taken.is_err())));
}

/// A give and two takes that meet neither make nor lose a unit.
fn a_give_and_two_takes() {
    let counter = Arc::new(Counter::new(1));
    counter.announce().unwrap();
    let spawn = |work: fn(&Counter) -> bool| {
        let counter = Arc::clone(&counter);
        thread::spawn(move || work(&counter))
    };
    let takers = [spawn(|counter| counter.take(1).is_ok()), spawn(|counter| counter.take(1).is_ok())];
    counter.give(1);
    let taken = takers.into_iter().map(|taker| i64::from(taker.join().unwrap())).sum::<i64>();
    assert!(taken >= 1);
    assert_eq!(counter.reading(), settled(2 - taken));
}

/// A tentative take that rolls back makes nobody sold out.
pub(super) fn rollback_against_take() {
    let counter = Arc::new(Counter::new(1));
    let cart = Arc::clone(&counter);
    let cart = thread::spawn(move || {
        if cart.take_tentatively(1).is_ok() {
            cart.give(1);
        }
    });
    let taken = counter.take(1);
    cart.join().unwrap();
    assert!(matches!(taken, Ok(0) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(counter.reading(), settled(i64::from(taken.is_err())));
}

/// A physical correction, a give-back and a take that meet: nothing is lost, and a shortfall is paid first.
fn a_correction_in_between() {
    let counter = Arc::new(Counter::new(1));
    counter.announce().unwrap();
    let corrector = Arc::clone(&counter);
    let corrector = thread::spawn(move || corrector.correct(-2));
    let giver = Arc::clone(&counter);
    let giver = thread::spawn(move || giver.give(1));
    let taken = counter.take(1).is_ok();
    corrector.join().unwrap();
    giver.join().unwrap();
    assert_eq!(counter.reading(), settled(-i64::from(taken)));
}

#[test]
fn two_who_want_the_last_unit() {
    explore(|| last_unit(2));
}

#[test]
fn three_who_want_the_last_unit() {
    explore(|| last_unit(3));
}

#[test]
fn one_who_wants_both_and_one_who_wants_one() {
    explore(big_and_small);
}

#[test]
fn a_taker_against_a_giver() {
    explore(take_against_give);
}

#[test]
fn two_takers_against_a_giver() {
    explore(a_give_and_two_takes);
}

#[test]
fn a_taker_against_a_rollback() {
    explore(rollback_against_take);
}

#[test]
fn a_taker_a_giver_and_a_correction() {
    explore(a_correction_in_between);
}
