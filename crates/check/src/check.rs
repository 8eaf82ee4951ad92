//! The exact decision: is there an order of the calls that explains every answer?

use std::collections::BTreeMap;
use std::fmt;

use crate::call::{Call, Event};
use crate::counter::Line;
use crate::lives::follow;
use crate::passes::{Run, run};
use crate::sweep::{Halt, Sweep};
use crate::verdict::seconds;
use crate::window::{Window, of_hold, of_line};

/// What is asked of the answers, and how much may be spent on the decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The number in a refusal is exact at the deciding instant (the default). Without it a refusal says only that
    /// fewer units were available than were asked for: for traces whose refusals name no number.
    pub exact_refusals: bool,
    /// States that a stock key may be in at one moment, at most.
    pub configurations_max: usize,
    /// Steps of the search at one moment, at most.
    pub effort_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { exact_refusals: true, configurations_max: 4_096, effort_max: 4_000_000 }
    }
}

/// A stock key that could not be decided: neither a pass nor a breach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undecided {
    /// Which.
    pub key: u32,
    /// Up to this instant there is a legal order.
    pub at_ns: u64,
    /// What was in the way.
    pub why: &'static str,
}

/// What the decision is, and what it took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Calls in the history.
    pub calls: usize,
    /// Stock keys.
    pub keys: usize,
    /// Calls that were open at one instant, at most; those that could be placed at once are not counted.
    pub overlap_max: usize,
    /// States that a stock key could be in at one moment, at most.
    pub configurations_max: usize,
    /// Stock keys without a legal order: the first window of each that has none.
    pub broken: Vec<Window>,
    /// Stock keys that could not be decided.
    pub undecided: Vec<Undecided>,
}

impl Checked {
    /// Every stock key has a legal order. `false` may also mean that one could not be decided.
    pub fn is_linearizable(&self) -> bool {
        self.broken.is_empty() && self.undecided.is_empty()
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { calls, keys, overlap_max, configurations_max, broken, undecided } = self;
        let decided = match (broken.len(), undecided.len()) {
            (0, 0) => "linearizable".to_owned(),
            (0, open) => format!("{open} keys undecided, the others linearizable"),
            (broken, 0) => format!("{broken} keys NOT linearizable"),
            (broken, open) => format!("{broken} keys NOT linearizable, {open} undecided"),
        };
        writeln!(
            f,
            "{calls} calls on {keys} keys: {decided} (at most {overlap_max} calls open at once, {configurations_max} \
             states possible)"
        )?;
        for Undecided { key, at_ns, why } in undecided {
            writeln!(f, "key {key}: undecided from {} on: {why}", seconds(*at_ns))?;
        }
        broken.iter().try_for_each(|window| write!(f, "\n{window}"))
    }
}

/// Decides for each stock key whether the history is linearizable; see [`specification`](crate::specification).
///
/// The calls may be in any order. Every stock key begins with nothing available.
pub fn check(calls: &[Call], options: &Options) -> Checked {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        members.entry(call.key).or_default().push(index);
    }
    let mut checked = Checked { calls: calls.len(), keys: members.len(), ..Checked::default() };
    for (key, members) in members {
        decide(calls, key, &members, options, &mut checked);
    }
    checked
}

fn decide(calls: &[Call], key: u32, members: &[usize], options: &Options, checked: &mut Checked) {
    let mut undecided = |at_ns, why| checked.undecided.push(Undecided { key, at_ns, why });
    if let Some(&index) = members.iter().find(|&&index| calls[index].start_ns > calls[index].end_ns) {
        return undecided(calls[index].start_ns, "a call ends before it begins");
    }
    let units = members.iter().try_fold(0_u64, |sum, &index| sum.checked_add(size(calls[index].event)));
    if units.is_none_or(|units| units > i64::MAX as u64 / 4) {
        return undecided(0, "the units do not fit into a number");
    }
    let line = match follow(calls, members, options.exact_refusals) {
        Ok(line) => line,
        Err(broken) => return checked.broken.push(of_hold(calls, key, broken)),
    };
    // A tangled hold that could not even be if there were plenty is told as such.
    for hold in 0..line.tangled.len() as u32 {
        let alone = line.alone(hold);
        let mut sweep = Sweep::new(&alone, options);
        sweep.configurations[0].available = i64::MAX / 2;
        let moments = alone.moments();
        let halt = moments.iter().find_map(|&(at_ns, moment)| sweep.pass(at_ns, moment).err());
        if let Some(Halt::Stuck(_)) = halt {
            let broken = crate::lives::Broken {
                calls: alone.operations.iter().map(|operation| operation.call).collect(),
                why: "these calls on one hold have no legal order, whatever was available".to_owned(),
            };
            return checked.broken.push(of_hold(calls, key, broken));
        }
    }
    sweep(calls, key, &line, options, checked);
}

fn sweep(calls: &[Call], key: u32, line: &Line, options: &Options, checked: &mut Checked) {
    let moments = line.moments();
    let Run { halt, sweep, whole } = run(line, &moments, options);
    checked.overlap_max = checked.overlap_max.max(sweep.overlap_max);
    checked.configurations_max = checked.configurations_max.max(sweep.configurations_max);
    match halt {
        None => {}
        Some((at, Halt::Stuck(_))) => {
            checked.broken.push(of_line(calls, key, &moments, at, whole));
        }
        Some((at, Halt::Effort(why))) => {
            checked.undecided.push(Undecided { key, at_ns: moments[at].0, why });
        }
    }
}

/// The most that an event adds to any sum.
fn size(event: Event) -> u64 {
    match event {
        Event::Receive { quantity } => quantity,
        Event::Grant { quantity, .. }
        | Event::Confirm { quantity, .. }
        | Event::Cancel { quantity, .. }
        | Event::Replace { quantity, .. } => quantity.into(),
        Event::Adjust { delta, .. } => delta.unsigned_abs(),
        Event::Refuse { .. }
        | Event::Extend { .. }
        | Event::Release { .. }
        | Event::ExpiredSeen { .. }
        | Event::Reading { .. } => 0,
    }
}
