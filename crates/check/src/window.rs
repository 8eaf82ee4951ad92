//! The smallest part of a history that has no legal order, for people to read.

use std::fmt;

use crate::call::{Call, Event};
use crate::counter::{Effect, Moment};
use crate::lives::Broken;
use crate::sweep::{Halt, Sweep};
use crate::verdict::seconds;

/// How far back from the call without a place a beginning is looked for, in moments.
const BACK_MAX: usize = 256;
/// Calls of which each is tried whether the window can do without it.
const TRIED_MAX: usize = 256;
/// States, and steps of the search, that one try may take at one moment; where that is too few, the call stays.
const TRY_STATES: usize = 128;
const TRY_EFFORT: usize = 4_000;
/// Numbers of available units that are told.
const TOLD_MAX: usize = 8;

/// Calls on one stock key that have no legal order, as few as were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Of which stock key.
    pub key: u32,
    /// What was available when the window begins: one of these numbers. Empty if it does not matter.
    pub available: Vec<i64>,
    /// The calls, in the order in which they began. Those that had surely happened before the window are not among them.
    pub calls: Vec<Call>,
    /// Holds that ended by themselves meanwhile: the instant, and the units that came back.
    pub expiries: Vec<(u64, i64)>,
    /// The call that has no place.
    pub stuck: Call,
    /// What can have been available during that call, as far as the others allow; at most the lowest eight.
    pub possible: Vec<i64>,
    /// Other calls that were open meanwhile. There is no legal order with or without them.
    pub left_out: usize,
    /// Why there is no legal order.
    pub why: String,
}

/// The window of a hold that has no legal order by itself.
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
pub(crate) fn of_line(
    calls: &[Call],
    key: u32,
    moments: &[(u64, Moment)],
    end: usize,
    whole: (usize, Sweep<'_>),
) -> Window {
    let line = whole.1.line;
    let (Moment::End(stuck) | Moment::EndBefore(stuck)) = moments[end].1 else {
        unreachable!("only the end of a call leaves no state")
    };
    let (from, begin) = beginning(moments, end, whole);
    let mut rerun = Rerun { begin, moments: &moments[from..=end], stuck };
    let mut members: Vec<usize> = rerun.members();
    let all = members.len();
    members.sort_unstable_by_key(|&member| line.operations[member].start_ns);
    // Answers first: to do without one costs nothing, and without a give or a take it doubles the states.
    let is_read = |member: &usize| matches!(line.operations[*member].effect, Effect::Read { .. });
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
    let call = |member: usize| calls[line.operations[member].call];
    Window {
        key,
        available,
        calls: members.iter().map(|&member| call(member)).collect(),
        expiries: expiries.collect(),
        stuck: call(stuck),
        left_out: all - members.len(),
        why: why(&call(stuck), line.operations[stuck].effect, &possible),
        possible,
    }
}

/// The latest moment at which the key can be in one state alone, or in as few as there are; and the sweep there.
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
    /// Operations that happen in the window, or may.
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

    /// Whether there is no legal order; with a probe, whether so many units cannot have been there instead.
    fn is_stuck(&self, probe: Option<(i64, i64)>) -> bool {
        let mut sweep = self.begin.clone();
        (sweep.states_max, sweep.effort_max) = (TRY_STATES.max(sweep.configurations.len()), TRY_EFFORT);
        sweep.probe = probe.map(|(least, most)| (self.stuck, least, most));
        // What is open already, as what it is asked as now.
        (sweep.kin, sweep.reads, sweep.singles) = (Vec::new(), Vec::new(), 0);
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

    /// What can have been available during the call that is stuck, lowest first.
    fn possible(&self) -> Vec<i64> {
        let mut told = Vec::new();
        let mut spans = vec![(-(1_i64 << 40), 1_i64 << 40)];
        while let Some((least, most)) = spans.pop() {
            if told.len() == TOLD_MAX {
                break;
            }
            if self.is_stuck(Some((least, most))) {
                continue;
            }
            if least == most {
                told.push(least);
                continue;
            }
            let middle = least + (most - least) / 2;
            spans.push((middle + 1, most));
            spans.push((least, middle));
        }
        told
    }
}

fn why(stuck: &Call, effect: Effect, possible: &[i64]) -> String {
    let numbers: Vec<_> = possible.iter().map(i64::to_string).collect();
    let had = match numbers.len() {
        0 => return "the calls before it have used up every legal order".to_owned(),
        TOLD_MAX => format!("{} or others", numbers.join(", ")),
        _ => numbers.join(" or "),
    };
    let needs = match effect {
        Effect::Read { least, most } if least == most => format!("exactly {least}"),
        Effect::Read { most, .. } => format!("at most {most}"),
        Effect::Take(units) => format!("at least {units}"),
        Effect::Shift { delta, after: Some(after) } => format!("exactly {} before it", after - delta),
        _ => format!("a place for: {}", Told(stuck.event)),
    };
    format!("it needs {needs} available; during it there can have been {had}")
}

/// An event, as people read it.
struct Told(Event);

impl fmt::Display for Told {
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
            writeln!(f, "  {start:>17}  {end:>17}  {}{mark}", Told(call.event))?;
        }
        expiries.try_for_each(|expiry| come_back(f, expiry))?;
        writeln!(f, "  {why}")?;
        match left_out {
            0 => Ok(()),
            _ => writeln!(f, "  ({left_out} other calls overlap; with or without them, no legal order)"),
        }
    }
}
