//! A test for each step of the sales path.

use std::thread;

use stockhold::stall::{Step, arm};

use crate::case::{
    Act, Case, FOLD, GROWING, LOG, Others, PENDING, RECLAIMING, SomeBusy, Truth, VICTIM, case,
};
use crate::play::{SPLIT, has_shards, play_all};
use crate::scene::{OTHERS, Scene};
use crate::stage::{alone, parked, watched};

#[test]
fn a_reserve_before_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 4, 0);
    play_all(
        [Step::Popping, Step::Allocated, Step::Claimed, Step::Marked, Step::Queued, Step::Registered]
            .map(reserve),
    );
    let short = case(Act::Reserve, Step::Allocated, Truth, 4, 0);
    play_all([short.then_at(Others::DrainFirst, Step::Short, 1).scarce_only()]);
}

#[test]
fn a_reserve_behind_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 2, 0);
    play_all([Step::Taken, Step::Drawn, Step::Published, Step::Filled].map(reserve));
    let batch = |step| case(Act::Batch, step, Truth, 2, 0);
    play_all([batch(Step::Taken).passage(2), batch(Step::Drawn), batch(Step::Drawn).passage(2)]);
}

#[test]
fn a_reserve_past_its_own_deadline() {
    let late = |step, granted, after| {
        // Of the key that all share, also what the others are about to give back is in the way.
        let parked = case(Act::ReserveShort, step, SomeBusy, granted, after);
        parked.then(Others::Later).elsewhere(RECLAIMING)
    };
    play_all([late(Step::Registered, 4, 0), late(Step::Taken, 2, 2), late(Step::Drawn, 2, 2)]);
}

#[test]
fn a_cart_at_each_of_its_lines() {
    let cart = |step, passage| case(Act::Cart, step, PENDING, 2, 0).passage(passage);
    play_all([
        cart(Step::LineTaken, 1),
        cart(Step::LineTaken, 2),
        cart(Step::Drawn, 1),
        cart(Step::Published, 1),
        cart(Step::Filled, 1),
        cart(Step::Settling, 1),
        Case { here: Truth, ..cart(Step::Settling, 2) },
    ]);
}

#[test]
fn a_cart_that_rolls_back() {
    let back = |here, granted, after, passage| {
        let parked = case(Act::Cart3, Step::LineTaken, here, granted, after).passage(2);
        parked.then_at(Others::DrainThird, Step::Giving, passage)
    };
    play_all([back(PENDING, 2, 2, 1), back(Truth, 4, 0, 2)]);
}

#[test]
fn a_change_that_gives_back() {
    let release = |step| case(Act::Release, step, PENDING, 2, 2);
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled, Step::Giving];
    play_all(steps.map(release));
    play_all([case(Act::Release, Step::Ended, Truth, 4, 0)]);
    let steps = [Step::Announced, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::ConfirmPart, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::Cancel, step, PENDING, 2, 2)));
}

#[test]
fn a_change_that_gives_nothing_back() {
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::Confirm, step, Truth, 2, 0)));
    play_all(steps.map(|step| case(Act::Extend, step, Truth, 2, 0)));
}

#[test]
fn a_change_in_more_than_one_step() {
    let steps = [Step::Announced, Step::Swapped, Step::Changing, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::ConfirmCart, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::ReplaceFewer, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    play_all([Step::LineTaken, Step::Settling].map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    // Nobody can close it, nor forget it.
    let late = case(Act::ReplaceShort, Step::Swapped, PENDING, 2, 2).then(Others::Later);
    play_all([late.elsewhere(RECLAIMING)]);
}

#[test]
fn a_change_that_was_beaten() {
    let beaten = case(Act::Release, Step::Announced, PENDING, 2, 0);
    play_all([
        beaten.then_at(Others::Confirm, Step::Beaten, 1),
        beaten.then_at(Others::Confirm, Step::Settling, 1),
    ]);
}

#[test]
fn a_late_confirm() {
    let steps = [Step::LineTaken, Step::Announced, Step::Swapped, Step::ChangeFilled, Step::Settling];
    play_all(steps.map(|step| case(Act::Retake, step, PENDING, 2, 0)));
}

#[test]
fn an_expiry_in_a_turn_of_the_wheel() {
    let turn = |step, granted, after| case(Act::Sweep, step, SomeBusy, granted, after).elsewhere(RECLAIMING);
    let steps =
        [Step::Turning, Step::Firing, Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| turn(step, 2, 2)));
    play_all([Step::Ended, Step::Burying, Step::TurnEnding].map(|step| turn(step, 4, 0)));
}

#[test]
fn an_expiry_by_who_asks_for_the_hold() {
    let inline = |step| case(Act::Inline, step, PENDING, 2, 2).plenty_only();
    play_all([Step::Announced, Step::Swapped, Step::ChangeFilled].map(inline));
}

#[test]
fn a_gather_and_a_split() {
    if !has_shards() {
        return println!("one core: no key is ever split");
    }
    let gather = |step| case(Act::Exactly, step, Truth, 0, 0);
    play_all([
        gather(Step::Frozen),
        gather(Step::Frozen).passage(2),
        gather(Step::Summed),
        gather(Step::Gathered),
        case(Act::Prepare, Step::Loaded, Truth, 0, 0),
    ]);
}

/// A sum that was taken before must not be believed after.
#[test]
fn a_gather_while_others_take_and_nobody_else_gathers() {
    if !has_shards() {
        return;
    }
    for step in [(Step::Frozen, 1), (Step::Frozen, 2), (Step::Summed, 1)] {
        let _alone = alone();
        watched(&format!("{step:?}"), || {
            let scene = Scene::new(&case(Act::Exactly, step.0, Truth, 0, 0), SPLIT);
            let stall = arm(VICTIM, step.0, step.1);
            thread::scope(|scope| {
                let builder = thread::Builder::new().name(VICTIM.into());
                let victim = builder.spawn_scoped(scope, || scene.act(Act::Exactly)).unwrap();
                parked(&stall, &step);
                let take = || (0..100).for_each(|_| assert!(scene.shop.try_reserve(1).is_ok()));
                let others: Vec<_> = (0..OTHERS).map(|_| scope.spawn(take)).collect();
                others.into_iter().for_each(|other| other.join().unwrap());
                drop(stall);
                victim.join().unwrap();
            });
            scene.shop.assert_level(SPLIT.into(), 100 * OTHERS as i64, 0);
            scene.settle();
        });
    }
}

#[test]
fn a_receive_before_it_adds() {
    play_all([case(Act::Receive, Step::Correcting, Truth, 4, 1)]);
}

#[test]
fn a_table_that_grows() {
    if has_shards() {
        play_all([Case { cold: true, ..case(Act::Reserve, Step::Growing, Truth, 4, 0) }]);
    }
    // Lines are allocated before slots, for all shards together.
    play_all([Case { cold: true, lines: GROWING, ..case(Act::Cart, Step::Growing, Truth, 4, 0) }]);
}

#[test]
fn the_engines_own_threads() {
    let own = |thread, step| case(Act::Reserve, step, Truth, 2, 0).of(thread);
    play_all([own(LOG, Step::LogFreeing), own(LOG, Step::LogWriting), own(FOLD, Step::Folding)]);
}
