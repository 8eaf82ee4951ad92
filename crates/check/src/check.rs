//! The exact decision: is there an order of the calls that explains every answer?

use std::collections::BTreeMap;
use std::fmt;

use crate::call::{Call, Event};
use crate::history::History;
use crate::lives::follow;
use crate::options::Options;
use crate::passes::{Run, run};
use crate::sweep::{Halt, Sweep};
use crate::verdict::seconds;
use crate::window::{Window, of_history, of_hold};

/// A stock key that could not be decided: neither a pass nor a breach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undecided {
    /// The stock key.
    pub key: u32,
    /// There is a legal order up to this instant.
    pub at_ns: u64,
    /// Why it was not decided.
    pub why: &'static str,
}

/// The decision, and its cost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// The number of recorded calls.
    pub calls: usize,
    /// The number of stock keys.
    pub keys: usize,
    /// The most calls that were open at one instant, without those that could be placed immediately.
    pub overlap_max: usize,
    /// The most states that a stock key could be in at one moment.
    pub configurations_max: usize,
    /// Stock keys without a legal order: the first window without one, of each.
    pub broken: Vec<Window>,
    /// Stock keys that could not be decided.
    pub undecided: Vec<Undecided>,
}

impl Checked {
    /// Whether every stock key has a legal order. `false` may also mean that one could not be decided.
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

/// Decides for each stock key whether the history is linearizable; see
/// [`specification`](crate::specification).
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
    let history = match follow(calls, members, options.exact_refusals) {
        Ok(history) => history,
        Err(broken) => return checked.broken.push(of_hold(calls, key, broken)),
    };
    // A hold whose overlapping calls have no legal order even with unlimited units is reported by itself.
    for hold in 0..history.overlapping.len() as u32 {
        let alone = history.alone(hold);
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
    sweep(calls, key, &history, options, checked);
}

fn sweep(calls: &[Call], key: u32, history: &History, options: &Options, checked: &mut Checked) {
    let moments = history.moments();
    let Run { halt, sweep, complete } = run(history, &moments, options);
    checked.overlap_max = checked.overlap_max.max(sweep.overlap_max);
    checked.configurations_max = checked.configurations_max.max(sweep.configurations_max);
    match halt {
        None => {}
        Some((at, Halt::Stuck(_))) => {
            checked.broken.push(of_history(calls, key, &moments, at, complete));
        }
        Some((at, Halt::Effort(why))) => {
            checked.undecided.push(Undecided { key, at_ns: moments[at].0, why });
        }
    }
}

/// The most units that an event adds to any sum.
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
