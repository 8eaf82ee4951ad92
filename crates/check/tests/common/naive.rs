//! The specification once more, as plainly as it can be put: every order, every instant, no shortcut.

use std::collections::{BTreeMap, HashSet};

use stockhold_check::{Call, Event};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
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
    lives: BTreeMap<u128, Life>,
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
        // Time goes on, past no call that has yet to happen.
        for &now_ns in instants.iter().filter(|&&instant| instant > state.now_ns) {
            if open().all(|call| calls[call].end_ns >= now_ns) {
                stack.push(State { now_ns, ..state.clone() });
            }
        }
        // A hold that is due ends, or not yet.
        for (&hold, &life) in &state.lives {
            if let Life::Live { quantity, deadline_ns } = life
                && deadline_ns <= state.now_ns
            {
                let mut next = state.clone();
                next.lives.insert(hold, Life::Expired { quantity });
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

/// Lets the call happen now, if it can.
fn happens(call: &Call, state: &mut State) -> bool {
    let State { now_ns, available, lives, .. } = state;
    let nobody_is_due = |lives: &BTreeMap<u128, Life>| {
        lives.values().all(|life| !matches!(life, Life::Live { deadline_ns, .. } if deadline_ns <= now_ns))
    };
    match call.event {
        Event::Receive { quantity } => *available += quantity as i64,
        Event::Adjust { delta, available: told } => {
            *available += delta;
            return told.is_none_or(|told| told == *available && nobody_is_due(lives));
        }
        Event::Reading { available: told } => return told == *available && nobody_is_due(lives),
        Event::Refuse { asked, available: told } => {
            return told == *available && told < i64::from(asked) && nobody_is_due(lives);
        }
        Event::Grant { hold, quantity, deadline_ns } => {
            let quantity = i64::from(quantity);
            *available -= quantity;
            return *available >= 0 && lives.insert(hold, Life::Live { quantity, deadline_ns }).is_none();
        }
        Event::Confirm { hold, quantity, retaken: true } => {
            let quantity = i64::from(quantity);
            let Some(&Life::Expired { quantity: held }) = lives.get(&hold) else { return false };
            *available -= quantity;
            lives.insert(hold, Life::Confirmed { left: quantity });
            return *available >= 0 && quantity <= held;
        }
        Event::ExpiredSeen { hold } => return matches!(lives.get(&hold), Some(Life::Expired { .. })),
        Event::Cancel { hold, quantity } => {
            let quantity = i64::from(quantity);
            let Some(&Life::Confirmed { left }) = lives.get(&hold) else { return false };
            *available += quantity;
            lives.insert(hold, Life::Confirmed { left: left - quantity });
            return quantity <= left;
        }
        Event::Release { hold }
        | Event::Extend { hold, .. }
        | Event::Confirm { hold, .. }
        | Event::Replace { hold, .. } => {
            let Some(&Life::Live { quantity: held, deadline_ns }) = lives.get(&hold) else { return false };
            if call.start_ns >= deadline_ns {
                return false;
            }
            match call.event {
                Event::Release { .. } => {
                    *available += held;
                    lives.insert(hold, Life::Released);
                }
                Event::Confirm { quantity, .. } => {
                    let quantity = i64::from(quantity);
                    *available += held - quantity;
                    lives.insert(hold, Life::Confirmed { left: quantity });
                    return quantity <= held;
                }
                Event::Extend { deadline_ns: later, .. } => {
                    lives.insert(hold, Life::Live { quantity: held, deadline_ns: later });
                    return later >= deadline_ns;
                }
                Event::Replace { quantity, deadline_ns, .. } => {
                    let quantity = i64::from(quantity);
                    *available += held - quantity;
                    lives.insert(hold, Life::Live { quantity, deadline_ns });
                    return quantity <= held || *available >= 0;
                }
                _ => unreachable!("matched above"),
            }
        }
    }
    true
}
