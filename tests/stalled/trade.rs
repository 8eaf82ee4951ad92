//! The calls of the other threads while one is parked, and the answers that they must get.

use stockhold::error::Busy;
use stockhold::types::QUANTITY_MAX;
use stockhold::{CartLine, Confirm, Extend, HoldState, Replace, Reserve, ReserveCart, StockKey};

use crate::busy::{BusyCause, is_out_of_stock};
use crate::case::{Answer, Case, SomeBusy, Truth};
use crate::common::SECOND;
use crate::fixture::Fixture;

/// Decisions that each of the other threads completes.
const DECISIONS: u32 = 2_000;
/// The most attempts at a decision that only running threads keep `Busy`.
const ATTEMPTS: usize = 1_000;

impl Fixture {
    /// Reserves units of the first key, one by one, until the answer is `answer`. Returns how many were
    /// granted.
    pub fn sell_out(&self, answer: Answer) -> u32 {
        let mut granted = 0;
        while self.is_granted(self.keys[0], 1, answer, 1) {
            granted += 1;
        }
        granted
    }

    /// Reserves `units`, and returns whether they were granted. If not, asserts that the answer was
    /// `expected`, after at most `attempts` in which running threads may make it `Busy`.
    pub fn is_granted(&self, key: StockKey, units: u32, expected: Answer, attempts: usize) -> bool {
        for _ in 0..attempts {
            let answer = self.shop.engine.reserve(Reserve::units(key, units));
            let busy = answer.as_ref().err().and_then(BusyCause::busy);
            match expected {
                _ if answer.is_ok() => return true,
                Truth if is_out_of_stock(&answer) => return false,
                Truth if busy.is_some() && attempts > 1 => {}
                SomeBusy if matches!(busy, Some(Busy::Pending | Busy::Reclaiming)) => return false,
                Answer::Busy(why) if busy == Some(why) => return false,
                _ => panic!("expected {expected:?}: {answer:?}"),
            }
        }
        panic!("Busy for {attempts} attempts");
    }

    /// Asserts the answer of an exact query, as [`Fixture::is_granted`] does of a reserve.
    fn assert_exactly(&self, key: StockKey, expected: Answer, attempts: usize) {
        for _ in 0..attempts {
            let answer = self.shop.engine.available_exactly(key);
            let busy = answer.as_ref().err().and_then(BusyCause::busy);
            match expected {
                Truth if answer.is_ok() => return,
                Truth if busy.is_some() && attempts > 1 => {}
                SomeBusy if matches!(busy, Some(Busy::Pending | Busy::Reclaiming)) => return,
                Answer::Busy(why) if busy == Some(why) => return,
                _ => panic!("expected {expected:?}: {answer:?}"),
            }
        }
        panic!("Busy for {attempts} attempts");
    }

    /// The calls of one of the other threads: decisions of every kind, each hold ended before the next
    /// decision.
    pub fn trade(&self, case: &Case, other: usize, scarce: bool) {
        let own = self.own[other];
        for number in 0..DECISIONS {
            if number % 2 == 0 {
                self.decide(case, number / 2, own[0], own[1], (case.other_keys, 1));
            } else if !scarce {
                self.decide(case, number / 2, self.keys[0], own[1], (case.first_key, ATTEMPTS));
            } else if number % if case.first_key == Truth { 16 } else { 128 } == 1 {
                assert!(
                    !self.is_granted(self.keys[0], 1, case.first_key, 1),
                    "a unit was granted after everything was sold"
                );
            }
        }
    }

    /// One decision on `key`, and the end of its hold. `refusal` is the answer to a call that needs more
    /// units than there are, and the number of attempts in which running threads may make it `Busy`.
    fn decide(&self, case: &Case, number: u32, key: StockKey, beside: StockKey, refusal: (Answer, usize)) {
        let engine = &self.shop.engine;
        let reserve = |units| {
            let request = Reserve::units(key, units);
            made(case, || engine.reserve(request)).unwrap().not_yet_durable().hold
        };
        let release = |hold| drop(made(case, || engine.release(hold)).unwrap());
        let cancel = |hold| drop(made(case, || engine.cancel(hold)).unwrap());
        let lines = [key, beside].map(|key| CartLine::units(key, 2));
        let cart = || {
            let answer = made(case, || engine.reserve_cart(ReserveCart::lines(&lines)));
            expect_cart(case, answer.map(|cart| cart.not_yet_durable().hold))
        };
        // A call that ends in `Busy` retries for some time first, so only one in ten of them is made.
        let skips = refusal.0 != Truth && !(number / 10).is_multiple_of(10);
        match number % 10 {
            6 | 7 if skips => release(reserve(1)),
            0 => release(reserve(1)),
            1 => {
                let hold = reserve(3);
                made(case, || engine.confirm(hold)).unwrap().not_yet_durable();
                cancel(hold);
            }
            2 => {
                let hold = reserve(2);
                made(case, || engine.extend(Extend::hold(hold, 900 * SECOND))).unwrap().not_yet_durable();
                made(case, || engine.begin_payment(hold)).unwrap().not_yet_durable();
                release(hold);
            }
            3 => {
                if let Some(hold) = cart() {
                    let part = [key, beside].map(|key| CartLine::units(key, 1));
                    let part = Confirm::hold(hold).lines(&part);
                    made(case, || engine.confirm(part)).unwrap().not_yet_durable();
                    cancel(hold);
                }
            }
            4 => {
                if let Some(hold) = cart() {
                    release(hold);
                }
            }
            5 => {
                let hold = reserve(2);
                for units in [5, 1] {
                    let answer = made(case, || engine.replace(Replace::quantity(hold, units)));
                    expect_cart(case, answer.map(drop));
                }
                let answer = made(case, || engine.replace(Replace::lines(hold, &lines)));
                expect_cart(case, answer.map(drop));
                release(hold);
            }
            6 => assert!(
                !self.is_granted(key, QUANTITY_MAX, refusal.0, refusal.1),
                "more units were granted than there are"
            ),
            7 => self.assert_exactly(key, refusal.0, refusal.1),
            8 => drop(engine.sweep()),
            _ => {
                let hold = reserve(4);
                let status = engine.status(hold).unwrap();
                assert_eq!((status.state, status.quantity), (HoldState::Active, 4));
                made(case, || engine.confirm(Confirm::hold(hold).quantity(3))).unwrap().not_yet_durable();
                cancel(hold);
            }
        }
    }
}

/// A decision that the parked thread cannot prevent: made at the first attempt, unless memory is being
/// allocated.
fn made<T, E: BusyCause>(case: &Case, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(error) if case.cold && case.carts == Truth && error.busy() == Some(Busy::Growing) => {}
            answer => return answer,
        }
    }
    ask()
}

/// Asserts the answer to a cart or a replace.
fn expect_cart<T, E: BusyCause + std::fmt::Debug>(case: &Case, answer: Result<T, E>) -> Option<T> {
    match (answer, case.carts) {
        (Ok(made), Truth) => Some(made),
        (Err(error), Answer::Busy(why)) if error.busy() == Some(why) => None,
        (Ok(_), _) => panic!("{case:?}: granted, though no lines can be allocated"),
        (Err(error), _) => panic!("{case:?}: {error:?}"),
    }
}
