//! The specification a second time, as simply as possible: every order, every instant, no shortcut.

use std::collections::{BTreeMap, HashSet};

use stockhold_check::{Call, Event};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum HoldState {
    Live { quantity: i64, deadline_ns: u64 },
    Confirmed { left: i64 },
    Released,
    Expired { quantity: i64 },
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    done: u32,
    now_ns: u64,
    available: i64,
    lives: BTreeMap<u128, HoldState>,
}

/// Whether a short history on one key is linearizable.
pub fn is_linearizable(calls: &[Call]) -> bool {
    assert!(calls.len() < 16, "short histories only");
    let instants: Vec<u64> = calls
        .iter()
        .flat_map(|call| match call.event {
            Event::Grant { deadline_ns, .. }
            | Event::Extend { deadline_ns, .. }
            | Event::Replace { deadline_ns, .. } => vec![call.start_ns, deadline_ns],
            _ => vec![call.start_ns],
        })
        .collect();
    let mut seen = HashSet::new();
    let mut stack = vec![State { done: 0, now_ns: 0, available: 0, lives: BTreeMap::new() }];
    while let Some(state) = stack.pop() {
        if state.done.count_ones() as usize == calls.len() {
            return true;
        }
        if !seen.insert(state.clone()) {
            continue;
        }
        let open = || (0..calls.len()).filter(|call| state.done & 1 << call == 0);
        // Advance the time, but not past the end of a call that has not happened.
        for &now_ns in instants.iter().filter(|&&instant| instant > state.now_ns) {
            if open().all(|call| calls[call].end_ns >= now_ns) {
                stack.push(State { now_ns, ..state.clone() });
            }
        }
        // A due hold expires now, or later.
        for (&hold, &life) in &state.lives {
            if let HoldState::Live { quantity, deadline_ns } = life
                && deadline_ns <= state.now_ns
            {
                let mut next = state.clone();
                next.lives.insert(hold, HoldState::Expired { quantity });
                next.available += quantity;
                stack.push(next);
            }
        }
        for call in open() {
            if calls[call].start_ns <= state.now_ns {
                let mut next = state.clone();
                next.done |= 1 << call;
                if happens(&calls[call], &mut next) {
                    stack.push(next);
                }
            }
        }
    }
    false
}

/// Applies the call now, if it is legal.
fn happens(call: &Call, state: &mut State) -> bool {
    let State { now_ns, available, lives, .. } = state;
    let no_hold_is_due = |lives: &BTreeMap<u128, HoldState>| {
        lives
            .values()
            .all(|life| !matches!(life, HoldState::Live { deadline_ns, .. } if deadline_ns <= now_ns))
    };
    match call.event {
        Event::Receive { quantity } => *available += quantity as i64,
        Event::Adjust { delta, available: told } => {
            *available += delta;
            return told.is_none_or(|told| told == *available && no_hold_is_due(lives));
        }
        Event::Reading { available: told } => return told == *available && no_hold_is_due(lives),
        Event::Refuse { asked, available: told } => {
            return told == *available && told < i64::from(asked) && no_hold_is_due(lives);
        }
        Event::Grant { hold, quantity, deadline_ns } => {
            let quantity = i64::from(quantity);
            *available -= quantity;
            return *available >= 0
                && lives.insert(hold, HoldState::Live { quantity, deadline_ns }).is_none();
        }
        Event::Confirm { hold, quantity, retaken: true } => {
            let quantity = i64::from(quantity);
            let Some(&HoldState::Expired { quantity: held }) = lives.get(&hold) else { return false };
            *available -= quantity;
            lives.insert(hold, HoldState::Confirmed { left: quantity });
            return *available >= 0 && quantity <= held;
        }
        Event::ExpiredSeen { hold } => return matches!(lives.get(&hold), Some(HoldState::Expired { .. })),
        Event::Cancel { hold, quantity } => {
            let quantity = i64::from(quantity);
            let Some(&HoldState::Confirmed { left }) = lives.get(&hold) else { return false };
            *available += quantity;
            lives.insert(hold, HoldState::Confirmed { left: left - quantity });
            return quantity <= left;
        }
        Event::Release { hold }
        | Event::Extend { hold, .. }
        | Event::Confirm { hold, .. }
        | Event::Replace { hold, .. } => {
            let Some(&HoldState::Live { quantity: held, deadline_ns }) = lives.get(&hold) else {
                return false;
            };
            if call.start_ns >= deadline_ns {
                return false;
            }
            match call.event {
                Event::Release { .. } => {
                    *available += held;
                    lives.insert(hold, HoldState::Released);
                }
                Event::Confirm { quantity, .. } => {
                    let quantity = i64::from(quantity);
                    *available += held - quantity;
                    lives.insert(hold, HoldState::Confirmed { left: quantity });
                    return quantity <= held;
                }
                Event::Extend { deadline_ns: later, .. } => {
                    lives.insert(hold, HoldState::Live { quantity: held, deadline_ns: later });
                    return later >= deadline_ns;
                }
                Event::Replace { quantity, deadline_ns, .. } => {
                    let quantity = i64::from(quantity);
                    *available += held - quantity;
                    lives.insert(hold, HoldState::Live { quantity, deadline_ns });
                    return quantity <= held || *available >= 0;
                }
                _ => unreachable!("matched above"),
            }
        }
    }
    true
}
