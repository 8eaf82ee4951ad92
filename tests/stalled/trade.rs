//! The calls of the other threads meanwhile, and the answers that they must get.

use stockhold::error::Busy;
use stockhold::types::QUANTITY_MAX;
use stockhold::{CartLine, Confirm, Extend, HoldState, Replace, Reserve, ReserveCart, StockKey};

use crate::case::{Answer, Case, SomeBusy, Truth};
use crate::common::SECOND;
use crate::scene::Scene;
use crate::why::{Why, is_out};

/// Decisions that each of the other threads completes.
const DECISIONS: u32 = 2_000;
/// Attempts until a decision that only other running threads keep `Busy` is made.
const ATTEMPTS: usize = 1_000;

impl Scene {
    /// Units that others get of the first key, until they are answered something else.
    pub fn sell_out(&self, answer: Answer) -> u32 {
        let mut granted = 0;
        while self.refused(self.keys[0], 1, answer, 1) {
            granted += 1;
        }
        granted
    }

    /// Asks for `units`; `true` if they were granted, else the answer was `expected`, after so many
    /// `attempts` at most of which the others, who run, may keep it `Busy`.
    pub fn refused(&self, key: StockKey, units: u32, expected: Answer, attempts: usize) -> bool {
        for _ in 0..attempts {
            let answer = self.shop.engine.reserve(Reserve::units(key, units));
            let busy = answer.as_ref().err().and_then(Why::busy);
            match expected {
                _ if answer.is_ok() => return true,
                Truth if is_out(&answer) => return false,
                Truth if busy.is_some() && attempts > 1 => {}
                SomeBusy if matches!(busy, Some(Busy::Pending | Busy::Reclaiming)) => return false,
                Answer::Busy(why) if busy == Some(why) => return false,
                _ => panic!("expected {expected:?}: {answer:?}"),
            }
        }
        panic!("Busy for {attempts} attempts");
    }

    fn exactly(&self, key: StockKey, expected: Answer, attempts: usize) {
        for _ in 0..attempts {
            let answer = self.shop.engine.available_exactly(key);
            let busy = answer.as_ref().err().and_then(Why::busy);
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

    /// One of the other threads: decisions of every kind, each ended before the next.
    pub fn trade(&self, case: &Case, other: usize, scarce: bool) {
        let own = self.own[other];
        for number in 0..DECISIONS {
            if number % 2 == 0 {
                self.decide(case, number / 2, own[0], own[1], (case.elsewhere, 1));
            } else if !scarce {
                self.decide(case, number / 2, self.keys[0], own[1], (case.here, ATTEMPTS));
            } else if number % if case.here == Truth { 16 } else { 128 } == 1 {
                assert!(!self.refused(self.keys[0], 1, case.here, 1), "everything was sold");
            }
        }
    }

    /// One decision on `key`, and what ends its hold. `refusal`: what is answered to who would be refused the
    /// key, and how often the other running threads may be in the way of it.
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
            expected_lines(case, answer.map(|cart| cart.not_yet_durable().hold))
        };
        // Patience takes a machine with work to do some time: of what ends in `Busy`, one in ten is asked.
        let impatient = refusal.0 != Truth && !(number / 10).is_multiple_of(10);
        match number % 10 {
            6 | 7 if impatient => release(reserve(1)),
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
                    expected_lines(case, answer.map(drop));
                }
                let answer = made(case, || engine.replace(Replace::lines(hold, &lines)));
                expected_lines(case, answer.map(drop));
                release(hold);
            }
            6 => assert!(!self.refused(key, QUANTITY_MAX, refusal.0, refusal.1), "more than there is"),
            7 => self.exactly(key, refusal.0, refusal.1),
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

/// A decision that nobody parked can keep from being made: the first attempt, unless memory is taken for the
/// first time.
fn made<T, E: Why>(case: &Case, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(error) if case.cold && case.lines == Truth && error.busy() == Some(Busy::Growing) => {}
            answer => return answer,
        }
    }
    ask()
}

fn expected_lines<T, E: Why + std::fmt::Debug>(case: &Case, answer: Result<T, E>) -> Option<T> {
    match (answer, case.lines) {
        (Ok(made), Truth) => Some(made),
        (Err(error), Answer::Busy(why)) if error.busy() == Some(why) => None,
        (Ok(_), _) => panic!("{case:?}: the lines cannot have been had"),
        (Err(error), _) => panic!("{case:?}: {error:?}"),
    }
}
