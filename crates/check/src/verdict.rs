//! The verdict of the judge.

/// Breaches of each kind that are described; the rest are only counted.
const EXAMPLES_MAX: usize = 5;

/// Counts of certain breaches. All zero for a correct engine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Calls that were judged.
    pub calls: usize,
    /// Units, added up over the stock keys: the most that was certainly promised beyond the stock, at the
    /// worst instant of each key.
    pub oversold: u64,
    /// Refusals with enough units available during their whole span.
    pub falsely_refused: u64,
    /// Units that are confirmed and not cancelled at the end, beyond all that were received.
    pub confirmed_beyond_received: u64,
    /// Holds with more than one of confirm, release and expiry among their answers, or one of the first two
    /// twice, and holds granted twice.
    pub two_outcomes: u64,
    /// Calls that confirmed, released or extended a hold although they began at or after its deadline.
    pub late: u64,
    /// Calls that reported a hold as expired although they ended before its deadline.
    pub early: u64,
    /// Refusals that themselves name enough units available.
    pub contradicted: u64,
    /// Readings and corrections that name a number of available units that the key had at no instant of the
    /// call.
    pub wrong_numbers: u64,
    /// Outcomes of holds without a recorded grant, or of more units than the hold had.
    pub unfounded: u64,
    /// The first few breaches of each kind, as sentences.
    pub examples: Vec<String>,
}

impl Verdict {
    /// No breach of any kind.
    pub fn is_clean(&self) -> bool {
        let Verdict {
            calls: _,
            oversold,
            falsely_refused,
            confirmed_beyond_received,
            two_outcomes,
            late,
            early,
            contradicted,
            wrong_numbers,
            unfounded,
            examples: _,
        } = *self;
        oversold
            + falsely_refused
            + confirmed_beyond_received
            + two_outcomes
            + late
            + early
            + contradicted
            + wrong_numbers
            + unfounded
            == 0
    }

    /// Adds to `count` and, for the first few of a kind, describes the breach.
    pub(crate) fn breach(
        &mut self,
        count: impl Fn(&mut Verdict) -> &mut u64,
        units: u64,
        sentence: impl FnOnce() -> String,
    ) {
        let before = *count(self);
        *count(self) += units;
        if before < EXAMPLES_MAX as u64 {
            self.examples.push(sentence());
        }
    }
}

/// An instant in seconds, to be read by people.
pub(crate) fn seconds(at_ns: u64) -> String {
    format!("{}.{:09} s", at_ns / 1_000_000_000, at_ns % 1_000_000_000)
}
