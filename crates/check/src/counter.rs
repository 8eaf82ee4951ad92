//! What the exact decision sees of a history: operations on one number, each within a span.
//!
//! Nearly every hold disappears here. One whose calls follow one another has had a single order of its own, so all
//! that is left of it is how many units came and went, and when ([`lives`](crate::lives)). The few whose calls overlap
//! stay as they are, and are decided together with the number ([`tangle`](crate::tangle)).

use crate::tangle::Step;

/// What an operation does to the units available.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// So many units come. Always possible.
    Give(i64),
    /// So many units go, if they are there.
    Take(i64),
    /// Nothing: at some instant, so many units were there (both ends included).
    Read { least: i64, most: i64 },
    /// Units found or lost, there or not; then so many are there, if that is known.
    Shift { delta: i64, after: Option<i64> },
    /// A step of a hold whose calls overlap.
    Step { hold: u32, step: Step },
}

/// One call, as far as it concerns the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    /// Its place among the calls of the history.
    pub(crate) call: usize,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// It came before whatever its end, a deadline, ends.
    pub(crate) before_deadline: bool,
    pub(crate) effect: Effect,
}

/// All that happened to the number of one stock key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Line {
    pub(crate) operations: Vec<Operation>,
    /// Holds that ended by themselves: the instant, and the units that came back.
    pub(crate) expiries: Vec<(u64, i64)>,
    /// Deadlines that a hold whose calls overlap may have had.
    pub(crate) deadlines: Vec<u64>,
    /// Of each such hold, how many calls name it.
    pub(crate) tangled: Vec<u32>,
}

/// Something that happens at a known instant, in the order in which it does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Moment {
    /// An operation has happened by now, and before any deadline of this instant.
    EndBefore(usize),
    /// So many units come back; whatever has its deadline now is due.
    Deadline(i64),
    /// From now on an operation may happen.
    Start(usize),
    /// An operation has happened by now.
    End(usize),
}

impl Line {
    /// Everything in order of time. At one instant: what a deadline cut short, deadlines, starts, ends; so calls that
    /// touch overlap, and a call that begins at a deadline begins after it.
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

    /// One hold whose calls overlap, and nothing else.
    pub(crate) fn alone(&self, wanted: u32) -> Line {
        let of_hold =
            |operation: &&Operation| matches!(operation.effect, Effect::Step { hold, .. } if hold == wanted);
        Line {
            operations: self.operations.iter().filter(of_hold).copied().collect(),
            deadlines: self.deadlines.clone(),
            tangled: self.tangled.clone(),
            ..Line::default()
        }
    }
}
