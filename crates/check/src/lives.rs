//! Turns the calls of one stock key into operations on one number, by following each hold through its calls.
//!
//! # Why a hold can be followed without a search
//!
//! If no two calls on a hold overlap, their order is known, and with it everything about the hold but the
//! exact instants. Two bounds come from the deadline, and neither loses a legal order:
//!
//! - If a call ends a hold, extends it or makes it smaller, and its span reaches past the deadline, the span
//!   is cut there. From the deadline on, no refusal and no reading is possible before that call happens (they
//!   would have closed the hold, and the call succeeded). So between the deadline and the call there are only
//!   gives and takes, which stay legal if the units are returned earlier.
//! - A late confirm cannot happen before the deadline, so its span begins there.
//!
//! A hold that no call ends, of those that began before its deadline, expires at the deadline: a later expiry
//! allows no order that this one does not.
//!
//! The rest is left to the search: overlapping calls, a grant that outlasts its own deadline, a replacement
//! that may.

use std::collections::HashMap;

use crate::call::{Call, Event};
use crate::history::{Effect, History, Operation};
use crate::hold::{Hold, Step};

/// A hold whose own calls have no legal order, whatever the number of available units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    /// The calls that show it; the last one is impossible.
    pub(crate) calls: Vec<usize>,
    pub(crate) why: String,
}

/// Follows every hold of one stock key; `members` are the indices of its calls.
pub(crate) fn follow(calls: &[Call], members: &[usize], exact: bool) -> Result<History, Broken> {
    let mut history = History::default();
    let mut holds: HashMap<u128, Vec<usize>> = HashMap::new();
    for &index in members {
        let call = calls[index];
        let effect = match call.event {
            Event::Receive { quantity } => Effect::Give(i64::try_from(quantity).unwrap_or(i64::MAX)),
            Event::Refuse { asked, available } => {
                if available >= i64::from(asked) {
                    let why = "the refusal itself names enough".to_owned();
                    return Err(Broken { calls: vec![index], why });
                }
                match exact {
                    true => Effect::Read { least: available, most: available },
                    false => Effect::Read { least: i64::MIN, most: i64::from(asked) - 1 },
                }
            }
            Event::Reading { available } => Effect::Read { least: available, most: available },
            Event::Adjust { delta, available: None } if delta >= 0 => Effect::Give(delta),
            Event::Adjust { delta, available } => Effect::Shift { delta, after: available },
            event => {
                let (hold, _) = step(event);
                holds.entry(hold).or_default().push(index);
                continue;
            }
        };
        history.operations.push(plain(index, &call, effect));
    }
    let mut broken: Option<Broken> = None;
    for mut of_hold in holds.into_values() {
        of_hold.sort_unstable_by_key(|&index| (calls[index].start_ns, calls[index].end_ns));
        let before = (history.operations.len(), history.expiries.len());
        match simple(calls, &of_hold, &mut history) {
            Ok(true) => {}
            Ok(false) => {
                history.operations.truncate(before.0);
                history.expiries.truncate(before.1);
                add_overlapping(calls, &of_hold, &mut history);
            }
            Err(found) => {
                // Keep the earliest: later ones may follow from it.
                let at = |broken: &Broken| calls[broken.calls[broken.calls.len() - 1]].end_ns;
                if broken.as_ref().is_none_or(|broken| at(&found) < at(broken)) {
                    broken = Some(found);
                }
            }
        }
    }
    match broken {
        Some(broken) => Err(broken),
        None => Ok(history),
    }
}

fn plain(index: usize, call: &Call, effect: Effect) -> Operation {
    let Call { start_ns, end_ns, .. } = *call;
    Operation { call: index, start_ns, end_ns, before_deadline: false, effect }
}

/// The hold of an event, and its step.
fn step(event: Event) -> (u128, Step) {
    match event {
        Event::Grant { hold, quantity, deadline_ns } => {
            (hold, Step::Grant { quantity: quantity.into(), deadline_ns })
        }
        Event::Extend { hold, deadline_ns } => (hold, Step::Extend { deadline_ns }),
        Event::Confirm { hold, quantity, retaken: false } => {
            (hold, Step::Confirm { quantity: quantity.into() })
        }
        Event::Confirm { hold, quantity, retaken: true } => {
            (hold, Step::Retake { quantity: quantity.into() })
        }
        Event::Release { hold } => (hold, Step::Release),
        Event::ExpiredSeen { hold } => (hold, Step::Seen),
        Event::Cancel { hold, quantity } => (hold, Step::Cancel { quantity: quantity.into() }),
        Event::Replace { hold, quantity, deadline_ns } => {
            (hold, Step::Replace { quantity: quantity.into(), deadline_ns })
        }
        Event::Receive { .. } | Event::Refuse { .. } | Event::Adjust { .. } | Event::Reading { .. } => {
            unreachable!("names no hold")
        }
    }
}

/// Follows a hold whose calls come one after the other; `false` if they do not.
fn simple(calls: &[Call], of_hold: &[usize], history: &mut History) -> Result<bool, Broken> {
    let is_seen = |index: &usize| matches!(calls[*index].event, Event::ExpiredSeen { .. });
    let steps: Vec<usize> = of_hold.iter().copied().filter(|index| !is_seen(index)).collect();
    if steps.windows(2).any(|pair| calls[pair[0]].end_ns >= calls[pair[1]].start_ns) {
        return Ok(false);
    }
    let mut state: Option<Hold> = None;
    // When it expired, and from when to when it was retaken.
    let (mut expired_ns, mut retaken) = (None, None);
    for (at, &index) in steps.iter().enumerate() {
        let call = &calls[index];
        let (_, step) = step(call.event);
        let retakes = matches!(step, Step::Retake { .. });
        if let Some(Hold::Live { quantity, deadline_ns }) = state
            && (deadline_ns <= call.start_ns || retakes && deadline_ns <= call.end_ns)
        {
            history.expiries.push((deadline_ns, quantity));
            expired_ns = Some(deadline_ns);
            // A step that needs a live hold fails with "its deadline had passed", which says more than
            // "expired".
            if !step.needs_live() {
                state = Some(Hold::Expired { quantity });
            }
        }
        let stepped = step.take(state, call.start_ns).map_err(|why| Broken {
            calls: steps[..=at].to_vec(),
            why: format!("hold {:x} cannot have been {}: {why}", name(call.event), verb(step)),
        })?;
        let mut operation = plain(index, call, effect(stepped.units));
        if let Some(Hold::Live { deadline_ns, .. }) = state
            && deadline_ns <= call.end_ns
        {
            if stepped.units < 0 {
                return Ok(false);
            }
            (operation.end_ns, operation.before_deadline) = (deadline_ns, true);
        }
        match (step, stepped.hold) {
            (Step::Grant { .. } | Step::Replace { .. }, Hold::Live { deadline_ns, .. })
                if deadline_ns <= call.end_ns =>
            {
                return Ok(false);
            }
            _ => {}
        }
        if retakes {
            operation.start_ns = call.start_ns.max(expired_ns.unwrap_or(0));
            retaken = Some(index);
        }
        if stepped.units != 0 {
            history.operations.push(operation);
        }
        state = Some(stepped.hold);
    }
    if let Some(Hold::Live { quantity, deadline_ns }) = state
        && deadline_ns != u64::MAX
    {
        history.expiries.push((deadline_ns, quantity));
        expired_ns = Some(deadline_ns);
    }
    for &index in of_hold.iter().filter(|index| is_seen(index)) {
        let call = &calls[index];
        // Seen expired while being retaken: the search decides the order.
        if retaken.is_some_and(|retaken: usize| {
            call.start_ns <= calls[retaken].end_ns && calls[retaken].start_ns <= call.end_ns
        }) {
            return Ok(false);
        }
        let late = retaken.is_some_and(|retaken: usize| calls[retaken].end_ns < call.start_ns);
        if late || expired_ns.is_none_or(|expired_ns| call.end_ns < expired_ns) {
            let had = match (late, expired_ns) {
                (true, _) => "a late confirm had taken its units again".to_owned(),
                (_, Some(_)) => "its deadline came after the call".to_owned(),
                _ => "it never expired".to_owned(),
            };
            let mut shown = steps;
            shown.retain(|&step| late || expired_ns.is_none() || calls[step].start_ns <= call.end_ns);
            shown.push(index);
            let why = format!("hold {:x} cannot have been seen expired: {had}", name(call.event));
            return Err(Broken { calls: shown, why });
        }
    }
    Ok(true)
}

/// Leaves the steps of a hold to the search.
fn add_overlapping(calls: &[Call], of_hold: &[usize], history: &mut History) {
    let hold = history.overlapping.len() as u32;
    history.overlapping.push(of_hold.len() as u32);
    for &index in of_hold {
        let (_, step) = step(calls[index].event);
        if let Step::Grant { deadline_ns, .. }
        | Step::Extend { deadline_ns }
        | Step::Replace { deadline_ns, .. } = step
            && deadline_ns != u64::MAX
        {
            history.deadlines.push(deadline_ns);
        }
        history.operations.push(plain(index, &calls[index], Effect::Step { hold, step }));
    }
}

fn effect(units: i64) -> Effect {
    if units < 0 { Effect::Take(-units) } else { Effect::Give(units) }
}

fn name(event: Event) -> u128 {
    step(event).0
}

fn verb(step: Step) -> &'static str {
    match step {
        Step::Grant { .. } => "granted",
        Step::Release => "released",
        Step::Confirm { .. } => "confirmed",
        Step::Retake { .. } => "confirmed late",
        Step::Extend { .. } => "extended",
        Step::Seen => "seen expired",
        Step::Cancel { .. } => "cancelled",
        Step::Replace { .. } => "replaced",
    }
}
