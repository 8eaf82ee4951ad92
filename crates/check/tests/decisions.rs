//! Histories with planted breaches: the exact decision must find and describe them.

mod common;

use common::history::{History, window};
use common::{CROWD, NEVER, Shop};
use stockhold_check::{Call, Cart, Event, Options, check, check_carts, judge};
use stockhold_seeded::{Rng, seed_or};

#[test]
fn the_last_unit_sold_twice_has_no_legal_order() {
    let window = History::of(1).grant(10, 20, 1, 1, NEVER).grant(15, 30, 2, 1, NEVER).window();
    assert_eq!((window.calls.len(), window.available, window.possible), (1, vec![0], vec![0]));
}

#[test]
fn a_false_refusal_hidden_by_an_overlapping_call_is_found() {
    // Each refusal by itself may be right, since the grant overlaps both. Both cannot be: the later one names
    // more units.
    let history = History::of(1).grant(10, 40, 1, 1, NEVER).refuse(12, 20, 1, 0).refuse(25, 30, 2, 1);
    assert!(judge(&history.calls).is_clean());
    let window = history.window();
    assert_eq!((window.stuck.start_ns, window.possible), (25, vec![0]));
}

#[test]
fn a_false_refusal_hidden_by_two_calls_that_cannot_both_have_come_first_is_found() {
    // Both units were out only if the grants came before the release, and then the second had none to take.
    let history = History::of(1).grant(2, 3, 1, 1, NEVER).release(10, 30, 1).grant(10, 30, 2, 1, NEVER);
    history.clone().refuse(10, 30, 1, 0).pass();
    let history = history.refuse(10, 30, 2, 1).refuse(31, 32, 2, 1);
    assert_eq!(history.window().possible, [0]);
}

#[test]
fn a_refusal_with_a_wrong_number_is_found_and_may_be_let_pass() {
    let history = History::of(3).grant(10, 20, 1, 1, NEVER).refuse(30, 40, 3, 1);
    let foreign = Options { exact_refusals: false, ..Options::default() };
    assert!(check(&history.calls, &foreign).is_linearizable());
    let window = history.window();
    assert_eq!((window.calls.len(), &window.possible), (1, &vec![2]));
    assert!(window.to_string().contains("it needs exactly 1 available; during it there can have been 2"));
}

#[test]
fn a_release_counted_twice_is_found_by_what_was_granted_after_it() {
    let history = History::of(1).grant(2, 3, 1, 1, NEVER).release(4, 5, 1);
    let twice = history.grant(10, 20, 2, 1, NEVER).grant(10, 20, 3, 1, NEVER);
    assert_eq!(twice.window().available, [0]);
    let again = History::of(1).grant(2, 3, 1, 1, NEVER).release(4, 5, 1).release(6, 7, 1).window();
    assert!(again.why.contains("it was released"), "{again}");
}

#[test]
fn a_confirm_that_began_at_the_deadline_is_found() {
    let history = |start_ns| History::of(1).grant(10, 20, 1, 1, 100).confirm(start_ns, 150, 1, 1);
    history(99).pass();
    assert!(history(100).window().why.contains("its deadline had passed when the call began"));
}

#[test]
fn a_confirm_that_began_before_the_deadline_wins_unless_a_call_relied_on_the_expiry() {
    let history = || History::of(1).grant(10, 20, 1, 1, 100).confirm(90, 150, 1, 1);
    history().refuse(120, 130, 1, 0).pass();
    history().grant(120, 130, 2, 1, NEVER).window();
    history().call(120, 130, Event::ExpiredSeen { hold: 1 }).window();
}

#[test]
fn a_hold_counted_after_its_deadline_is_found() {
    let history = |start_ns| History::of(1).grant(10, 20, 1, 1, 100).refuse(start_ns, 120, 1, 0);
    history(99).pass();
    assert_eq!(history(100).window().possible, [1]);
}

#[test]
fn a_late_confirm_takes_what_is_there() {
    let retaken = Event::Confirm { hold: 1, quantity: 1, retaken: true };
    let history = || History::of(1).grant(10, 20, 1, 1, 100);
    history().call(90, 150, retaken).refuse(160, 170, 1, 0).pass();
    assert!(history().call(90, 99, retaken).window().why.contains("it had not expired"));
    assert_eq!(history().grant(110, 120, 2, 1, NEVER).call(130, 140, retaken).window().possible, [0]);
}

#[test]
fn a_replaced_hold_takes_the_difference_and_a_correction_may_leave_less_than_nothing() {
    let replaced = |quantity| Event::Replace { hold: 1, quantity, deadline_ns: NEVER };
    let history = || History::of(3).grant(10, 20, 1, 2, NEVER);
    history().call(30, 40, replaced(3)).refuse(50, 60, 1, 0).pass();
    history().call(30, 40, replaced(1)).call(50, 60, Event::Reading { available: 2 }).pass();
    history().call(30, 40, replaced(4)).window();
    let lost = |after| Event::Adjust { delta: -2, available: Some(after) };
    history().call(30, 40, lost(-1)).refuse(50, 60, 1, -1).pass();
    history().call(30, 40, lost(0)).window();
}

#[test]
fn one_spoilt_number_in_a_crowd_is_found_in_a_small_window() {
    let first = seed_or(0);
    let mut large = Vec::new();
    for seed in first..first + 40 {
        let mut calls = Shop { calls: 1_000, ..CROWD }.open(seed);
        let rng = &mut Rng::new(seed);
        let refusals: Vec<usize> =
            (0..calls.len()).filter(|&at| matches!(calls[at].event, Event::Refuse { .. })).collect();
        let at = refusals[rng.below(refusals.len() as u64) as usize];
        let Event::Refuse { available, .. } = &mut calls[at].event else { unreachable!("only refusals") };
        *available -= 70; // lower than the number ever was
        let window = window(&calls);
        assert_eq!(window.stuck, calls[at], "seed {seed}");
        if window.calls.len() > 6 {
            large.push(seed);
        }
    }
    // Calls that overlap the spoilt one can all be needed to refute it: with about one seed in ten they are more.
    assert!(large.len() <= 10, "of 40 windows, those of the seeds {large:?} have more than 6 calls");
}

#[test]
fn too_much_to_decide_is_never_a_pass() {
    let calls = Shop { calls: 300, ..CROWD }.open(1);
    let options = Options { configurations_max: 1, effort_max: 1, ..Options::default() };
    let mut spoilt = calls.clone();
    spoilt.push(Call { key: 0, start_ns: 0, end_ns: 90_000, event: Event::Reading { available: 900 } });
    let checked = check(&spoilt, &options);
    assert!(!checked.is_linearizable() && checked.broken.is_empty(), "{checked}");
}

/// A cart of three keys; each line is one call.
fn cart(lines: &[(u32, u64)]) -> (Vec<Call>, Cart) {
    let mut calls = Vec::new();
    for key in 0..3 {
        calls.push(Call { key, start_ns: 0, end_ns: 1, event: Event::Receive { quantity: 2 } });
    }
    for &(key, start_ns) in lines {
        let event = Event::Grant { hold: 7, quantity: 1 + key % 2, deadline_ns: NEVER };
        calls.push(Call { key, start_ns, end_ns: 30, event });
    }
    (calls, Cart { hold: 7, keys: vec![0, 1, 2] })
}

#[test]
fn a_cart_is_all_or_nothing() {
    let (mut calls, whole) = cart(&[(0, 10), (1, 10), (2, 10)]);
    assert!(check(&calls, &Options::default()).is_linearizable());
    assert_eq!(check_carts(&calls, std::slice::from_ref(&whole)), []);
    assert!(judge(&calls).is_clean());
    calls.push(Call { key: 1, start_ns: 40, end_ns: 50, event: Event::Release { hold: 7 } });
    let torn = check_carts(&calls, &[whole]);
    assert_eq!(torn[0].why, "it was released on key 1 and not on key 0");
}

#[test]
fn a_cart_with_a_missing_line_is_torn() {
    let (calls, cart) = cart(&[(0, 10), (2, 10)]);
    assert_eq!(check_carts(&calls, &[cart])[0].why, "key 1 has no line in it");
}

#[test]
fn a_cart_whose_lines_were_added_one_by_one_is_torn() {
    let (calls, cart) = cart(&[(0, 10), (1, 10), (2, 12)]);
    assert_eq!(check_carts(&calls, &[cart])[0].why, "it was granted on key 0 and on key 2 by two calls");
}
