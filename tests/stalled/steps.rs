//! The cases: each step of the sales path.

use std::thread;

use stockhold::stall::{Step, arm};

use crate::case::{
    Act, Case, FOLD, GROWING, LOG, Others, PENDING, RECLAIMING, SomeBusy, Truth, VICTIM, case,
};
use crate::fixture::{Fixture, OTHERS};
use crate::run::{SPLIT, has_shards, run_all};
use crate::watchdog::{exclusive, wait_until_parked, watched};

#[test]
fn a_reserve_before_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 4, 0);
    run_all(
        [Step::Popping, Step::Allocated, Step::Claimed, Step::Marked, Step::Queued, Step::Registered]
            .map(reserve),
    );
    let short = case(Act::Reserve, Step::Allocated, Truth, 4, 0);
    run_all([short.then_at(Others::DrainFirst, Step::Short, 1).scarce_only()]);
}

#[test]
fn a_reserve_behind_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 2, 0);
    run_all([Step::Taken, Step::Drawn, Step::Published, Step::Filled].map(reserve));
    let batch = |step| case(Act::Batch, step, Truth, 2, 0);
    run_all([batch(Step::Taken).passage(2), batch(Step::Drawn), batch(Step::Drawn).passage(2)]);
}

#[test]
fn a_reserve_past_its_own_deadline() {
    let late = |step, granted, after| {
        // On the key that all threads share, `Pending` units of the others may be the cause too.
        let parked = case(Act::ReserveShort, step, SomeBusy, granted, after);
        parked.then(Others::Later).other_keys(RECLAIMING)
    };
    run_all([late(Step::Registered, 4, 0), late(Step::Taken, 2, 2), late(Step::Drawn, 2, 2)]);
}

#[test]
fn a_cart_at_each_of_its_lines() {
    let cart = |step, passage| case(Act::Cart, step, PENDING, 2, 0).passage(passage);
    run_all([
        cart(Step::LineTaken, 1),
        cart(Step::LineTaken, 2),
        cart(Step::Drawn, 1),
        cart(Step::Published, 1),
        cart(Step::Filled, 1),
        cart(Step::Settling, 1),
        Case { first_key: Truth, ..cart(Step::Settling, 2) },
    ]);
}

#[test]
fn a_cart_that_rolls_back() {
    let rolls_back = |first_key, granted, after, passage| {
        let parked = case(Act::Cart3, Step::LineTaken, first_key, granted, after).passage(2);
        parked.then_at(Others::DrainThird, Step::Giving, passage)
    };
    run_all([rolls_back(PENDING, 2, 2, 1), rolls_back(Truth, 4, 0, 2)]);
}

#[test]
fn a_change_that_gives_back() {
    let release = |step| case(Act::Release, step, PENDING, 2, 2);
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled, Step::Giving];
    run_all(steps.map(release));
    run_all([case(Act::Release, Step::Ended, Truth, 4, 0)]);
    let steps = [Step::Announced, Step::Swapped, Step::ChangeFilled];
    run_all(steps.map(|step| case(Act::ConfirmPart, step, PENDING, 2, 1)));
    run_all(steps.map(|step| case(Act::Cancel, step, PENDING, 2, 2)));
}

#[test]
fn a_change_that_gives_nothing_back() {
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    run_all(steps.map(|step| case(Act::Confirm, step, Truth, 2, 0)));
    run_all(steps.map(|step| case(Act::Extend, step, Truth, 2, 0)));
}

#[test]
fn a_change_in_more_than_one_step() {
    let steps = [Step::Announced, Step::Swapped, Step::Changing, Step::ChangeFilled];
    run_all(steps.map(|step| case(Act::ConfirmCart, step, PENDING, 2, 1)));
    run_all(steps.map(|step| case(Act::ReplaceFewer, step, PENDING, 2, 1)));
    run_all(steps.map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    run_all([Step::LineTaken, Step::Settling].map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    // No thread can close the hold or forget it.
    let late = case(Act::ReplaceShort, Step::Swapped, PENDING, 2, 2).then(Others::Later);
    run_all([late.other_keys(RECLAIMING)]);
}

#[test]
fn a_change_that_lost_to_another() {
    let lost = case(Act::Release, Step::Announced, PENDING, 2, 0);
    run_all([
        lost.then_at(Others::Confirm, Step::Beaten, 1),
        lost.then_at(Others::Confirm, Step::Settling, 1),
    ]);
}

#[test]
fn a_late_confirm() {
    let steps = [Step::LineTaken, Step::Announced, Step::Swapped, Step::ChangeFilled, Step::Settling];
    run_all(steps.map(|step| case(Act::Retake, step, PENDING, 2, 0)));
}

#[test]
fn an_expiry_in_a_turn_of_the_wheel() {
    let turn = |step, granted, after| case(Act::Sweep, step, SomeBusy, granted, after).other_keys(RECLAIMING);
    let steps =
        [Step::Turning, Step::Firing, Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    run_all(steps.map(|step| turn(step, 2, 2)));
    run_all([Step::Ended, Step::Burying, Step::TurnEnding].map(|step| turn(step, 4, 0)));
}

#[test]
fn an_expiry_by_a_call_on_the_hold() {
    let inline = |step| case(Act::Inline, step, PENDING, 2, 2).plenty_only();
    run_all([Step::Announced, Step::Swapped, Step::ChangeFilled].map(inline));
}

#[test]
fn a_gather_and_a_split() {
    if !has_shards() {
        return println!("skipped: with one core no key is ever split");
    }
    let gather = |step| case(Act::Exactly, step, Truth, 0, 0);
    run_all([
        gather(Step::Frozen),
        gather(Step::Frozen).passage(2),
        gather(Step::Summed),
        gather(Step::Gathered),
        case(Act::Prepare, Step::Loaded, Truth, 0, 0),
    ]);
}

/// A sum of the cells must not be used once other threads have taken from them.
#[test]
fn a_gather_while_others_take_and_no_other_thread_gathers() {
    if !has_shards() {
        return;
    }
    for step in [(Step::Frozen, 1), (Step::Frozen, 2), (Step::Summed, 1)] {
        let _exclusive = exclusive();
        watched(&format!("{step:?}"), || {
            let fixture = Fixture::new(&case(Act::Exactly, step.0, Truth, 0, 0), SPLIT);
            let stall = arm(VICTIM, step.0, step.1);
            thread::scope(|scope| {
                let builder = thread::Builder::new().name(VICTIM.into());
                let victim = builder.spawn_scoped(scope, || fixture.act(Act::Exactly)).unwrap();
                wait_until_parked(&stall, &step);
                let take = || (0..100).for_each(|_| assert!(fixture.shop.try_reserve(1).is_ok()));
                let others: Vec<_> = (0..OTHERS).map(|_| scope.spawn(take)).collect();
                others.into_iter().for_each(|other| other.join().unwrap());
                drop(stall);
                victim.join().unwrap();
            });
            fixture.shop.assert_level(SPLIT.into(), 100 * OTHERS as i64, 0);
            fixture.settle();
        });
    }
}

#[test]
fn a_correction_before_it_ends() {
    run_all([
        case(Act::Receive, Step::Correcting, PENDING, 4, 1),
        case(Act::Adjust, Step::Correcting, PENDING, 3, 0),
    ]);
}

#[test]
fn a_table_that_grows() {
    if has_shards() {
        run_all([Case { cold: true, ..case(Act::Reserve, Step::Growing, Truth, 4, 0) }]);
    }
    // Lines are allocated before slots, once for all shards.
    run_all([Case { cold: true, carts: GROWING, ..case(Act::Cart, Step::Growing, Truth, 4, 0) }]);
}

#[test]
fn the_engines_own_threads() {
    let engine_thread = |thread, step| case(Act::Reserve, step, Truth, 2, 0).in_thread(thread);
    run_all([
        engine_thread(LOG, Step::LogFreeing),
        engine_thread(LOG, Step::LogWriting),
        engine_thread(FOLD, Step::Folding),
    ]);
}
