//! The engine against a model that is obviously right: maps, a clock that is moved, and no threads.
//!
//! Every operation is done by both, and their answers are compared. Where the engine may know less than the model, the
//! model says so: units of holds that are due and that nobody has looked at yet may still count as held in
//! [`Engine::available`], so such numbers have a range. Proptest prints the failing case and its seed.

#[path = "../common/mod.rs"]
mod common;
mod pair;
mod real;
mod steps;
mod strategies;
mod truth;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

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
    fn the_engine_answers_as_the_model_does(steps in steps(what(), 120)) {
        Pair::run(&steps, false);
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn the_engine_answers_as_the_model_does_across_restarts(steps in steps(what_on_disk(), 120)) {
        Pair::run(&steps, true);
    }
}
