//! The history of one stock key as the exact decision sees it: operations on one number, each within a span.
//!
//! Nearly every hold disappears here. If its calls follow one another, they have a single order, so only the
//! units that it gave and took are kept, with their times ([`lives`](crate::lives)). The few holds whose
//! calls overlap are kept as they are, and are decided together with the number ([`hold`](crate::hold)).

use crate::hold::Step;

/// The effect of an operation on the number of available units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Adds units. Always possible.
    Give(i64),
    /// Takes units, if that many are available.
    Take(i64),
    /// Changes nothing: at some instant, the number was between the two (both included).
    Read { least: i64, most: i64 },
    /// Adds or takes units whether or not they are available; `after` is the resulting number, if known.
    Shift { delta: i64, after: Option<i64> },
    /// A step of a hold whose calls overlap.
    Step { hold: u32, step: Step },
}

/// One call, reduced to its effect on the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    /// Its index among the recorded calls.
    pub(crate) call: usize,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Its span was cut at a deadline, and it happens before that deadline takes effect.
    pub(crate) before_deadline: bool,
    pub(crate) effect: Effect,
}

/// All operations on the number of one stock key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    /// Holds that expired: the instant, and the units that were returned.
    pub(crate) expiries: Vec<(u64, i64)>,
    /// Deadlines that holds with overlapping calls may have had.
    pub(crate) deadlines: Vec<u64>,
    /// The number of calls of each such hold.
    pub(crate) overlapping: Vec<u32>,
}

/// Something at a known instant. At the same instant, in the order of the variants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Moment {
    /// The last instant of an operation, before any deadline of this instant.
    EndBefore(usize),
    /// These units are returned; holds with this deadline are due.
    Deadline(i64),
    /// The first instant of an operation.
    Start(usize),
    /// The last instant of an operation.
    End(usize),
}

impl History {
    /// All moments in order of time. At one instant: ends cut by a deadline, deadlines, starts, ends. So
    /// calls that touch overlap, and a call that begins at a deadline begins after it.
    pub(crate) fn moments(&self) -> Vec<(u64, Moment)> {
        let mut moments = Vec::with_capacity(2 * self.operations.len() + self.expiries.len());
        for (index, operation) in self.operations.iter().enumerate() {
            moments.push((operation.start_ns, Moment::Start(index)));
            let end = match operation.before_deadline {
                true => Moment::EndBefore(index),
                false => Moment::End(index),
            };
            moments.push((operation.end_ns, end));
        }
        moments.extend(self.expiries.iter().map(|&(at_ns, units)| (at_ns, Moment::Deadline(units))));
        moments.extend(self.deadlines.iter().map(|&at_ns| (at_ns, Moment::Deadline(0))));
        moments.sort_unstable();
        // Deadlines of one instant are one moment: nothing happens between them.
        moments.dedup_by(|next, kept| match (&mut kept.1, next.1) {
            (Moment::Deadline(sum), Moment::Deadline(units)) if kept.0 == next.0 => {
                *sum += units;
                true
            }
            _ => false,
        });
        moments
    }

    /// The history of one hold with overlapping calls, and nothing else.
    pub(crate) fn alone(&self, wanted: u32) -> History {
        let of_hold =
            |operation: &&Operation| matches!(operation.effect, Effect::Step { hold, .. } if hold == wanted);
        History {
            operations: self.operations.iter().filter(of_hold).copied().collect(),
            deadlines: self.deadlines.clone(),
            overlapping: self.overlapping.clone(),
            ..History::default()
        }
    }
}
