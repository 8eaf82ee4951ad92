//! Histories with planted breaches: each must be found, and nothing else. Correct histories must be clean.

mod common;

use common::NEVER;
use common::history::History;
use stockhold_check::{Call, Event, judge};
use stockhold_seeded::Rng;

#[track_caller]
fn clean(history: History) {
    let verdict = history.judge();
    assert!(verdict.is_clean(), "{verdict:?}");
}

#[test]
fn a_refusal_with_everything_taken_is_true() {
    clean(
        History::of(1)
            .grant(10, 20, 1, 1, NEVER)
            .refuse(30, 40, 1, 0)
            .confirm(50, 60, 1, 1)
            .refuse(70, 80, 1, 0),
    );
}

#[test]
fn a_refusal_that_overlaps_a_release_has_the_benefit_of_the_doubt() {
    let history =
        |start_ns| History::of(1).grant(10, 20, 1, 1, NEVER).release(30, 40, 1).refuse(start_ns, 50, 1, 0);
    clean(history(35));
    clean(history(40)); // the release may have happened at its last instant
    assert_eq!(history(41).judge().falsely_refused, 1);
}

#[test]
fn a_refusal_that_overlaps_a_grant_has_the_benefit_of_the_doubt() {
    let history = |end_ns| History::of(1).refuse(5, end_ns, 1, 0).grant(10, 20, 1, 1, NEVER);
    clean(history(10));
    assert_eq!(history(9).judge().falsely_refused, 1);
}

#[test]
fn an_expired_hold_counts_against_no_caller_from_its_deadline_on() {
    let history = |start_ns| History::of(1).grant(10, 20, 1, 1, 100).refuse(start_ns, 120, 1, 0);
    clean(history(99));
    assert_eq!(history(100).judge().falsely_refused, 1);
}

#[test]
fn a_confirmed_hold_counts_past_its_deadline() {
    clean(History::of(1).grant(10, 20, 1, 1, 100).confirm(90, 110, 1, 1).refuse(200, 210, 1, 0));
}

#[test]
fn an_extended_hold_counts_until_its_new_deadline() {
    let history = |start_ns| {
        History::of(1)
            .grant(10, 20, 1, 1, 100)
            .call(50, 60, Event::Extend { hold: 1, deadline_ns: 200 })
            .refuse(start_ns, 300, 1, 0)
    };
    clean(history(150));
    assert_eq!(history(200).judge().falsely_refused, 1);
}

#[test]
fn units_in_transit_between_two_holds_do_not_make_a_refusal_false() {
    // At every instant one of the two possibly has the unit.
    clean(
        History::of(1)
            .grant(10, 20, 1, 1, NEVER)
            .release(30, 50, 1)
            .grant(45, 60, 2, 1, NEVER)
            .refuse(40, 70, 1, 0),
    );
}

#[test]
fn a_refusal_is_false_only_if_enough_was_there_all_the_time() {
    let history = || History::of(3).grant(10, 20, 1, 2, 1_000).release(30, 40, 1);
    clean(history().refuse(25, 60, 2, 0));
    assert_eq!(history().refuse(25, 60, 1, 0).judge().falsely_refused, 1);
    assert_eq!(history().refuse(50, 60, 3, 0).judge().falsely_refused, 1);
}

#[test]
fn units_that_may_not_have_arrived_yet_do_not_make_a_refusal_false() {
    let late = || History::default().call(50, 60, Event::Receive { quantity: 1 });
    clean(late().refuse(10, 55, 1, 0));
    clean(late().refuse(60, 70, 1, 0));
    assert_eq!(late().refuse(61, 70, 1, 0).judge().falsely_refused, 1);
}

#[test]
fn a_grant_of_units_on_their_way_in_is_no_oversell() {
    clean(History::default().call(50, 60, Event::Receive { quantity: 1 }).grant(40, 55, 1, 1, NEVER));
    let early = History::default().call(50, 60, Event::Receive { quantity: 1 }).grant(40, 45, 1, 1, NEVER);
    assert_eq!(early.judge().oversold, 1);
}

#[test]
fn the_last_unit_sold_twice_is_an_oversell() {
    let history = History::of(1).grant(10, 20, 1, 1, 100).grant(10, 20, 2, 1, 100);
    assert_eq!(history.judge().oversold, 1);
}

#[test]
fn a_unit_resold_from_the_deadline_on_is_no_oversell() {
    clean(History::of(1).grant(10, 20, 1, 1, 100).grant(95, 105, 2, 1, 300).call(
        105,
        110,
        Event::ExpiredSeen { hold: 1 },
    ));
}

#[test]
fn a_confirm_after_the_deadline_whose_unit_was_resold_is_late_and_an_oversell() {
    let verdict =
        History::of(1).grant(10, 20, 1, 1, 100).grant(110, 120, 2, 1, 300).confirm(130, 140, 1, 1).judge();
    assert_eq!((verdict.late, verdict.oversold), (1, 1));
}

#[test]
fn a_late_confirm_that_took_the_units_again_is_neither() {
    let retaken = |quantity| {
        History::of(2)
            .grant(10, 20, 1, 2, 100)
            .call(120, 125, Event::ExpiredSeen { hold: 1 })
            .call(130, 140, Event::Confirm { hold: 1, quantity, retaken: true })
            .refuse(150, 160, 1, 0)
    };
    clean(retaken(2));
    assert_eq!(retaken(1).judge().falsely_refused, 1);
}

#[test]
fn what_a_part_confirm_leaves_goes_back() {
    let history = || History::of(2).grant(10, 20, 1, 2, 1_000).confirm(30, 40, 1, 1);
    clean(history().refuse(35, 50, 1, 0));
    clean(history().refuse(50, 60, 2, 0));
    assert_eq!(history().refuse(50, 60, 1, 0).judge().falsely_refused, 1);
    clean(history().grant(30, 60, 2, 1, NEVER));
    assert_eq!(history().grant(22, 25, 2, 1, NEVER).judge().oversold, 1);
}

#[test]
fn cancelled_units_can_be_sold_again() {
    let history = || {
        History::of(1).grant(10, 20, 1, 1, 1_000).confirm(30, 40, 1, 1).call(
            50,
            60,
            Event::Cancel { hold: 1, quantity: 1 },
        )
    };
    clean(history().grant(55, 70, 2, 1, NEVER).confirm(80, 90, 2, 1));
    assert_eq!(history().refuse(61, 70, 1, 0).judge().falsely_refused, 1);
    assert_eq!(history().grant(44, 48, 2, 1, NEVER).judge().oversold, 1);
}

#[test]
fn a_hold_with_two_winners_is_found_once() {
    let held = || History::of(9).grant(10, 20, 1, 1, 100);
    let both = held().confirm(30, 40, 1, 1).release(30, 40, 1);
    assert_eq!(both.judge().two_outcomes, 1);
    let twice = held().release(30, 40, 1).release(50, 60, 1);
    assert_eq!(twice.judge().two_outcomes, 1);
    let dead = held().confirm(95, 105, 1, 1).call(101, 110, Event::ExpiredSeen { hold: 1 });
    assert_eq!(dead.judge().two_outcomes, 1);
    let seen_often =
        held().call(101, 110, Event::ExpiredSeen { hold: 1 }).call(120, 121, Event::ExpiredSeen { hold: 1 });
    clean(seen_often);
}

#[test]
fn a_hold_seen_expired_before_its_deadline_is_early() {
    let seen =
        |end_ns| History::of(1).grant(10, 20, 1, 1, 100).call(90, end_ns, Event::ExpiredSeen { hold: 1 });
    clean(seen(100));
    assert_eq!(seen(99).judge().early, 1);
}

#[test]
fn an_expired_hold_is_not_resurrected_by_an_extension() {
    let history =
        History::of(1).grant(10, 20, 1, 1, 100).call(100, 110, Event::Extend { hold: 1, deadline_ns: 200 });
    assert_eq!(history.judge().late, 1);
}

#[test]
fn a_refusal_that_names_enough_units_contradicts_itself() {
    let history =
        History::of(1).grant(10, 20, 1, 1, NEVER).call(15, 30, Event::Refuse { asked: 1, available: 1 });
    assert_eq!(history.judge().contradicted, 1);
}

#[test]
fn a_number_must_be_that_of_an_instant_of_its_call() {
    let reading = |available| {
        History::of(5)
            .grant(10, 20, 1, 2, 100)
            .grant(30, 50, 2, 1, NEVER)
            .call(40, 60, Event::Reading { available })
            .judge()
            .wrong_numbers
    };
    assert_eq!([1, 2, 3, 4].map(reading), [1, 0, 0, 1]);
    // All that was held is due.
    let reading = |available| {
        let history = History::of(5).grant(10, 20, 1, 2, 100);
        history.call(100, 110, Event::Reading { available }).judge().wrong_numbers
    };
    assert_eq!([3, 4, 5, 6].map(reading), [1, 1, 0, 1]);
}

#[test]
fn the_number_of_a_correction_counts_the_correction() {
    let corrected = |delta, available| {
        let history = History::of(5).grant(10, 20, 1, 2, NEVER).release(40, 50, 1);
        history.call(45, 60, Event::Adjust { delta, available: Some(available) }).judge().wrong_numbers
    };
    assert_eq!([-3, -2, -1, 0, 1].map(|available| corrected(-5, available)), [1, 0, 0, 0, 1]);
    assert_eq!([7, 8, 9, 10, 11].map(|available| corrected(5, available)), [1, 0, 0, 0, 1]);
}

#[test]
fn outcomes_of_holds_that_were_never_granted_are_unfounded() {
    assert_eq!(History::of(1).confirm(10, 20, 7, 1).judge().unfounded, 1);
    assert_eq!(History::of(9).grant(1, 2, 7, 1, NEVER).confirm(10, 20, 7, 2).judge().unfounded, 1);
}

#[test]
fn more_confirmed_than_received_is_told_apart() {
    let verdict = History::of(1)
        .grant(10, 20, 1, 1, NEVER)
        .grant(10, 20, 2, 1, NEVER)
        .confirm(30, 40, 1, 1)
        .confirm(30, 40, 2, 1)
        .judge();
    assert_eq!((verdict.confirmed_beyond_received, verdict.oversold), (1, 1));
    assert!(
        verdict
            .examples
            .iter()
            .any(|sentence| sentence.contains("2 units are confirmed and 1 were received"))
    );
}

#[test]
fn stock_keys_are_judged_apart() {
    let mut history = History::of(5);
    history.calls.push(Call {
        key: 1,
        start_ns: 10,
        end_ns: 20,
        event: Event::Refuse { asked: 1, available: 0 },
    });
    clean(history);
}

/// The fault of a simulated shop.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A sold-out flag, set once and never cleared.
    SoldOutFlag,
    /// The check uses an old reading of the stock.
    StaleCheck,
}

/// Simulates a shop that decides at one instant within each call's span, correctly or with a fault.
fn simulate(seed: u64, fault: Fault) -> Vec<Call> {
    struct Live {
        hold: u128,
        quantity: u32,
        deadline_ns: u64,
    }
    let mut rng = Rng::new(seed);
    let units = 20 + rng.below(20) as i64;
    let mut calls =
        vec![Call { key: 0, start_ns: 0, end_ns: 3, event: Event::Receive { quantity: units as u64 } }];
    let mut available = units;
    let mut live: Vec<Live> = Vec::new();
    let mut sold_out = false;
    let mut stale = available;
    for turn in 1..400_u64 {
        let now_ns = turn * 10;
        live.retain(|hold| {
            let lives = now_ns < hold.deadline_ns;
            available += if lives { 0 } else { i64::from(hold.quantity) };
            lives
        });
        let (start_ns, end_ns) = (now_ns.saturating_sub(rng.below(60)), now_ns + rng.below(60));
        let event = match rng.below(10) {
            0..7 => {
                let quantity = 1 + rng.below(3) as u32;
                let seen = if fault == Fault::StaleCheck { stale } else { available };
                if seen < i64::from(quantity) || sold_out {
                    sold_out = fault == Fault::SoldOutFlag;
                    Event::Refuse { asked: quantity, available: seen.min(0) }
                } else {
                    available -= i64::from(quantity);
                    let deadline_ns = now_ns + 50 + rng.below(1_000);
                    live.push(Live { hold: u128::from(turn), quantity, deadline_ns });
                    Event::Grant { hold: u128::from(turn), quantity, deadline_ns }
                }
            }
            _ if live.is_empty() => continue,
            7 => {
                let hold = live.swap_remove(rng.below(live.len() as u64) as usize);
                // Only a few are confirmed: otherwise the stock would soon be used up.
                if rng.below(8) == 0 {
                    Event::Confirm { hold: hold.hold, quantity: hold.quantity, retaken: false }
                } else {
                    available += i64::from(hold.quantity);
                    Event::Release { hold: hold.hold }
                }
            }
            _ => {
                stale = available;
                Event::Reading { available }
            }
        };
        calls.push(Call { key: 0, start_ns, end_ns, event });
    }
    calls
}

#[test]
fn a_correct_shop_is_always_clean() {
    for seed in 0..500 {
        let verdict = judge(&simulate(seed, Fault::None));
        assert!(verdict.is_clean(), "seed {seed}: {:#?}", verdict.examples);
    }
}

#[test]
fn a_sold_out_flag_that_is_never_cleared_gives_false_refusals_and_no_oversell() {
    let verdicts: Vec<_> = (0..50).map(|seed| judge(&simulate(seed, Fault::SoldOutFlag))).collect();
    assert!(
        verdicts.iter().all(|verdict| verdict.falsely_refused > 10 && verdict.oversold == 0),
        "{verdicts:#?}"
    );
}

#[test]
fn check_then_act_gives_oversells() {
    let caught = (0..50).filter(|&seed| judge(&simulate(seed, Fault::StaleCheck)).oversold > 0).count();
    assert!(caught > 40, "{caught} of 50");
}
