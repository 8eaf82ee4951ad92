//! The engine against a model that is simple enough to be right (`crates/model`): maps, a clock that the test
//! moves, and no threads.
//!
//! Both do every operation, and their answers are compared. Where the engine may know less than the model,
//! the model gives a range: units of holds that are due and not yet closed may still count as held in
//! [`Engine::available`]. Proptest prints the failing case and its seed.

mod client;
#[path = "../common/mod.rs"]
mod common;
mod pair;
mod steps;
mod strategies;
mod subject;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use stockhold as library;

use pair::Pair;
use strategies::*;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1_500))]
    #[test]
    fn the_engine_answers_as_the_model_does(steps in steps(action(), 120)) {
        Pair::run(&steps, false);
    }
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn large_quantities_are_answered_as_the_model_does(steps in large_steps(action(), 120)) {
        Pair::run(&steps, false);
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn the_engine_answers_as_the_model_does_across_restarts(steps in steps(action_on_disk(), 120)) {
        Pair::run(&steps, true);
    }
}

proptest! {
    #![proptest_config(cases(20))]
    #[test]
    fn large_quantities_survive_restarts(steps in large_steps(action_on_disk(), 120)) {
        Pair::run(&steps, true);
    }
}
