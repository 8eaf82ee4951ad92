//! The smallest part of a history without a legal order, to be read by people.

use std::fmt;

use crate::call::{Call, Event};
use crate::history::{Effect, Moment};
use crate::lives::Broken;
use crate::sweep::{Halt, Sweep};
use crate::verdict::seconds;

/// How many moments before the stuck call the window may begin.
const BACK_MAX: usize = 256;
/// How many calls are tried for whether the window stays without a legal order if they are left out.
const TRIED_MAX: usize = 256;
/// The states, and the steps of the search, of one try at one moment; if they are too few, the call stays.
const TRY_STATES: usize = 128;
const TRY_EFFORT: usize = 4_000;
/// How many possible numbers of available units are reported.
const POSSIBLE_MAX: usize = 8;

/// Calls on one stock key without a legal order, as few as were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// The stock key.
    pub key: u32,
    /// The number of available units at the start of the window: one of these. Empty if it does not matter.
    pub available: Vec<i64>,
    /// The calls, in the order of their starts, without those that had certainly happened before the window.
    pub calls: Vec<Call>,
    /// Holds that expired meanwhile: the instant, and the units that were returned.
    pub expiries: Vec<(u64, i64)>,
    /// The call that has no place in any order.
    pub stuck: Call,
    /// The numbers of units that can have been available during that call, by the other calls; at most the
    /// lowest eight.
    pub possible: Vec<i64>,
    /// The number of other calls that were open meanwhile. There is no legal order with or without them.
    pub left_out: usize,
    /// Why there is no legal order.
    pub why: String,
}

/// The window of a hold whose own calls have no legal order.
pub(crate) fn of_hold(calls: &[Call], key: u32, broken: Broken) -> Window {
    let mut of_hold: Vec<Call> = broken.calls.iter().map(|&index| calls[index]).collect();
    let stuck = *of_hold.last().expect("a breach has a call");
    of_hold.sort_by_key(|call| (call.start_ns, call.end_ns));
    Window {
        key,
        available: Vec::new(),
        calls: of_hold,
        expiries: Vec::new(),
        stuck,
        possible: Vec::new(),
        left_out: 0,
        why: broken.why,
    }
}

/// A sweep that can be run again from where the window begins.
struct Rerun<'a> {
    begin: Sweep<'a>,
    moments: &'a [(u64, Moment)],
    stuck: usize,
}

/// The window that ends where a sweep over `moments` got stuck.
pub(crate) fn of_history(
    calls: &[Call],
    key: u32,
    moments: &[(u64, Moment)],
    end: usize,
    complete: (usize, Sweep<'_>),
) -> Window {
    let history = complete.1.history;
    let (Moment::End(stuck) | Moment::EndBefore(stuck)) = moments[end].1 else {
        unreachable!("only the end of a call leaves no state")
    };
    let (from, begin) = beginning(moments, end, complete);
    let mut rerun = Rerun { begin, moments: &moments[from..=end], stuck };
    let mut members: Vec<usize> = rerun.members();
    let all = members.len();
    members.sort_unstable_by_key(|&member| history.operations[member].start_ns);
    // Reads first: leaving one out is cheap, while leaving out a give or a take doubles the states.
    let is_read = |member: &usize| matches!(history.operations[*member].effect, Effect::Read { .. });
    let (reads, others): (Vec<usize>, Vec<usize>) = members.iter().copied().partition(is_read);
    for (tried, member) in reads.into_iter().chain(others).enumerate() {
        if member != stuck && tried < TRIED_MAX {
            rerun.begin.waived.push(member);
            match rerun.is_stuck(None) {
                true => members.retain(|&other| other != member),
                false => drop(rerun.begin.waived.pop()),
            }
        }
    }
    let mut available: Vec<i64> = rerun.begin.configurations.iter().map(|state| state.available).collect();
    available.sort_unstable();
    available.dedup();
    let possible = rerun.possible();
    let expiries = rerun.moments.iter().filter_map(|&(at_ns, moment)| match moment {
        Moment::Deadline(units) if units != 0 => Some((at_ns, units)),
        _ => None,
    });
    let call = |member: usize| calls[history.operations[member].call];
    Window {
        key,
        available,
        calls: members.iter().map(|&member| call(member)).collect(),
        expiries: expiries.collect(),
        stuck: call(stuck),
        left_out: all - members.len(),
        why: why(&call(stuck), history.operations[stuck].effect, &possible),
        possible,
    }
}

/// The latest moment at which the key can be in only one state, or else in the fewest; and the sweep there.
fn beginning<'a>(
    moments: &[(u64, Moment)],
    end: usize,
    (from, mut sweep): (usize, Sweep<'a>),
) -> (usize, Sweep<'a>) {
    sweep.width = None;
    let mut begin: Option<(usize, Sweep<'a>)> = None;
    for (at, &(at_ns, moment)) in moments[..end].iter().enumerate().skip(from) {
        let fewest = begin.as_ref().map_or(usize::MAX, |(_, sweep)| sweep.configurations.len());
        if at + BACK_MAX >= end && sweep.configurations.len() <= fewest {
            begin = Some((at, sweep.clone()));
        }
        sweep.pass(at_ns, moment).expect("as far as it went before");
    }
    match begin {
        Some(begin) if begin.1.configurations.len() < sweep.configurations.len() => begin,
        _ => (end, sweep),
    }
}

impl Rerun<'_> {
    /// The operations that happen in the window, or may.
    fn members(&self) -> Vec<usize> {
        let undone = |slot: usize| self.begin.configurations.iter().any(|state| state.done & 1 << slot == 0);
        let open = self.begin.slots.iter().enumerate();
        let open = open.filter(|&(slot, _)| undone(slot)).filter_map(|(_, &operation)| operation);
        let begun = self.moments.iter().filter_map(|&(_, moment)| match moment {
            Moment::Start(operation) => Some(operation),
            _ => None,
        });
        open.chain(begun).collect()
    }

    /// Whether there is no legal order. With a probe, whether no number in that range can have been available
    /// instead.
    fn is_stuck(&self, probe: Option<(i64, i64)>) -> bool {
        let mut sweep = self.begin.clone();
        (sweep.states_max, sweep.effort_max) = (TRY_STATES.max(sweep.configurations.len()), TRY_EFFORT);
        sweep.probe = probe.map(|(least, most)| (self.stuck, least, most));
        // The open operations again, with the effects they have in this run.
        (sweep.groups, sweep.reads, sweep.singles) = (Vec::new(), Vec::new(), 0);
        for slot in 0..sweep.slots.len() {
            if let Some(operation) = sweep.slots[slot] {
                sweep.join(slot as u8, operation, sweep.effect(operation));
            }
        }
        let mut states = std::mem::take(&mut sweep.configurations);
        states.iter_mut().for_each(|state| sweep.see(state));
        sweep.configurations = states;
        let halt = self.moments.iter().find_map(|&(at_ns, moment)| sweep.pass(at_ns, moment).err());
        matches!(halt, Some(Halt::Stuck(_)))
    }

    /// The numbers of units that can have been available during the stuck call, lowest first.
    fn possible(&self) -> Vec<i64> {
        let mut found = Vec::new();
        let mut spans = vec![(-(1_i64 << 40), 1_i64 << 40)];
        while let Some((least, most)) = spans.pop() {
            if found.len() == POSSIBLE_MAX {
                break;
            }
            if self.is_stuck(Some((least, most))) {
                continue;
            }
            if least == most {
                found.push(least);
                continue;
            }
            let middle = least + (most - least) / 2;
            spans.push((middle + 1, most));
            spans.push((least, middle));
        }
        found
    }
}

fn why(stuck: &Call, effect: Effect, possible: &[i64]) -> String {
    let numbers: Vec<_> = possible.iter().map(i64::to_string).collect();
    let had = match numbers.len() {
        0 => return "the calls before it leave no legal order".to_owned(),
        POSSIBLE_MAX => format!("{} or others", numbers.join(", ")),
        _ => numbers.join(" or "),
    };
    let needs = match effect {
        Effect::Read { least, most } if least == most => format!("exactly {least}"),
        Effect::Read { most, .. } => format!("at most {most}"),
        Effect::Take(units) => format!("at least {units}"),
        Effect::Shift { delta, after: Some(after) } => format!("exactly {} before it", after - delta),
        _ => format!("a place for: {}", Readable(stuck.event)),
    };
    format!("it needs {needs} available; during it there can have been {had}")
}

/// An event as text.
struct Readable(Event);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = |deadline_ns: u64| match deadline_ns {
            u64::MAX => "for ever".to_owned(),
            _ => format!("until {}", seconds(deadline_ns)),
        };
        match self.0 {
            Event::Receive { quantity } => write!(f, "receive {quantity}"),
            Event::Grant { hold, quantity, deadline_ns } => {
                write!(f, "grant {quantity} as hold {hold:x} {}", until(deadline_ns))
            }
            Event::Refuse { asked, available } => write!(f, "refuse {asked}: {available} available"),
            Event::Extend { hold, deadline_ns } => write!(f, "extend hold {hold:x} {}", until(deadline_ns)),
            Event::Confirm { hold, quantity, retaken: false } => {
                write!(f, "confirm {quantity} of hold {hold:x}")
            }
            Event::Confirm { hold, quantity, retaken: true } => {
                write!(f, "confirm {quantity} of hold {hold:x}, taken again")
            }
            Event::Release { hold } => write!(f, "release hold {hold:x}"),
            Event::ExpiredSeen { hold } => write!(f, "see hold {hold:x} expired"),
            Event::Cancel { hold, quantity } => write!(f, "cancel {quantity} of hold {hold:x}"),
            Event::Adjust { delta, available: None } => write!(f, "adjust by {delta:+}"),
            Event::Adjust { delta, available: Some(after) } => {
                write!(f, "adjust by {delta:+}: {after} available")
            }
            Event::Replace { hold, quantity, deadline_ns } => {
                write!(f, "replace hold {hold:x} by {quantity} {}", until(deadline_ns))
            }
            Event::Reading { available } => write!(f, "read {available} available"),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { key, available, calls, expiries, stuck, left_out, why, .. } = self;
        let numbers: Vec<_> = available.iter().map(i64::to_string).collect();
        match numbers.is_empty() {
            true => writeln!(f, "key {key}: no legal order, whatever was available")?,
            false => writeln!(f, "key {key}: no legal order from {} available", numbers.join(" or "))?,
        }
        writeln!(f, "  {:>17}  {:>17}  call", "from", "to")?;
        let mut expiries = expiries.iter().peekable();
        let come_back = |f: &mut fmt::Formatter<'_>, &(at_ns, units): &(u64, i64)| {
            writeln!(f, "  {:>17}  {:>17}  deadline: {units} back", seconds(at_ns), "")
        };
        for call in calls {
            while let Some(expiry) = expiries.next_if(|expiry| expiry.0 <= call.start_ns) {
                come_back(f, expiry)?;
            }
            let mark = if call == stuck { "  <- no place" } else { "" };
            let (start, end) = (seconds(call.start_ns), seconds(call.end_ns));
            writeln!(f, "  {start:>17}  {end:>17}  {}{mark}", Readable(call.event))?;
        }
        expiries.try_for_each(|expiry| come_back(f, expiry))?;
        writeln!(f, "  {why}")?;
        match left_out {
            0 => Ok(()),
            _ => writeln!(f, "  ({left_out} other calls overlap; with or without them, no legal order)"),
        }
    }
}
