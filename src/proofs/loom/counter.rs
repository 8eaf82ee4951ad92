//! The counter alone: takes, gives, and pending units between them.

use std::sync::Arc;

use super::explore;
use crate::index::KeyIndex;
use crate::stock::blocks::{Blocks, Lane};
use crate::stock::counter::{Counter, PendingFull, Pledge, Reading, Short, Taken, Want};
use crate::sync::thread;

/// One stock key, and the blocks that it may be split over.
pub(super) struct OneKey {
    pub counter: Counter,
    pub blocks: Blocks,
}

impl OneKey {
    /// On one cell, never split.
    pub(super) fn new(available: i64) -> OneKey {
        OneKey::with_cells(1, available)
    }

    /// On one cell that may be split over `width`.
    pub(super) fn with_cells(width: usize, available: i64) -> OneKey {
        OneKey { counter: Counter::new(available), blocks: Blocks::new(width, 1) }
    }

    /// Split over `width` cells.
    pub(super) fn split(width: usize, available: i64) -> Arc<OneKey> {
        let one_key = OneKey::with_cells(width, available);
        assert!(one_key.counter.split(one_key.lane(0)).is_some());
        Arc::new(one_key)
    }

    pub(super) fn lane(&self, home: usize) -> Lane<'_> {
        Lane { blocks: &self.blocks, home, key: KeyIndex(0) }
    }

    pub(super) fn take(&self, home: usize, quantity: u32) -> Result<Taken, Short> {
        self.counter.take(self.lane(home), Want::all(quantity))
    }

    pub(super) fn take_tentatively(&self, home: usize, quantity: u32) -> Result<Pledge, Short> {
        self.counter.take_tentatively(self.lane(home), quantity)
    }

    pub(super) fn announce(&self, home: usize) -> Result<Pledge, PendingFull> {
        self.counter.announce(self.lane(home))
    }

    pub(super) fn give(&self, pledge: Pledge, quantity: u32) {
        self.counter.give(self.lane(0), pledge, quantity);
    }

    pub(super) fn reading(&self) -> Reading {
        self.counter.exactly(self.lane(0))
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&OneKey) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let one_key = Arc::clone(self);
        thread::spawn(move || work(&one_key))
    }
}

fn settled(available: i64) -> Reading {
    Reading { available, pending: false }
}

/// Of several threads that take the last unit exactly one gets it, and the others get a true answer.
fn last_unit(takers: usize) {
    let one_key = Arc::new(OneKey::new(1));
    let threads: Vec<_> =
        (1..takers).map(|home| one_key.spawn(move |one_key| one_key.take(home, 1))).collect();
    let mut answers = vec![one_key.take(0, 1)];
    answers.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let refused = Err(Short::Out { available: 0 });
    assert_eq!(answers.iter().filter(|answer| **answer == refused).count(), takers - 1, "{answers:?}");
    assert_eq!(one_key.reading(), settled(0));
}

/// One thread takes one unit while another takes two of two: never both succeed, and at least one does.
fn big_and_small() {
    let one_key = Arc::new(OneKey::new(2));
    let big = one_key.spawn(|one_key| one_key.take(1, 2));
    let small = one_key.take(0, 1);
    let big = big.join().unwrap();
    assert!(big.is_ok() != small.is_ok(), "{big:?} {small:?}");
    assert_eq!(one_key.reading(), settled(i64::from(small.is_ok())));
}

/// While a give-back is announced no taker is sold out: it gets the unit, or the answer is not known yet.
pub(super) fn take_against_give() {
    let one_key = Arc::new(OneKey::new(0));
    let pledge = one_key.announce(0).unwrap();
    let giver = one_key.spawn(move |one_key| one_key.give(pledge, 1));
    let taken = one_key.take(1, 1);
    giver.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(one_key.reading(), settled(i64::from(taken.is_err())));
}

/// A give and two takes at once neither make nor lose a unit.
fn a_give_and_two_takes() {
    let one_key = Arc::new(OneKey::new(1));
    let pledge = one_key.announce(0).unwrap();
    let takers = [1, 2].map(|home| one_key.spawn(move |one_key| one_key.take(home, 1).is_ok()));
    one_key.give(pledge, 1);
    let taken = takers.into_iter().map(|taker| i64::from(taker.join().unwrap())).sum::<i64>();
    assert!(taken >= 1);
    assert_eq!(one_key.reading(), settled(2 - taken));
}

/// While a tentative take rolls back no taker is sold out.
pub(super) fn rollback_against_take() {
    let one_key = Arc::new(OneKey::new(1));
    let cart = one_key.spawn(|one_key| {
        if let Ok(pledge) = one_key.take_tentatively(0, 1) {
            one_key.give(pledge, 1);
        }
    });
    let taken = one_key.take(1, 1);
    cart.join().unwrap();
    assert!(matches!(taken, Ok(_) | Err(Short::Unknown)), "a false refusal: {taken:?}");
    assert_eq!(one_key.reading(), settled(i64::from(taken.is_err())));
}

/// A physical correction, a give-back and a take at once: nothing is lost, and a shortfall is paid first.
fn a_correction_in_between() {
    let one_key = Arc::new(OneKey::new(1));
    let pledge = one_key.announce(0).unwrap();
    let corrector = one_key.spawn(|one_key| one_key.counter.correct(one_key.lane(1), -2));
    let giver = one_key.spawn(move |one_key| one_key.give(pledge, 1));
    let taken = one_key.take(2, 1).is_ok();
    corrector.join().unwrap();
    giver.join().unwrap();
    assert_eq!(one_key.reading(), settled(-i64::from(taken)));
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
