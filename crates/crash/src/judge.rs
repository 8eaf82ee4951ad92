//! Judges a directory by what the witness knew when it was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use stockhold::error::OpenError;
use stockhold::inspect::Inspection;
use stockhold::{Config, Engine, ManualClock, OpKey, Position, Timestamp};

use crate::book::Book;
use crate::operation::{Reply, declare, op_key};
use crate::witness::{Outcome, Witness};

/// The most complaints that are reported.
const COMPLAINTS_MAX: usize = 12;

/// A time before every log: the engine then uses the time of its log, and no hold that was live at the cut
/// expires.
pub(crate) const LONG_AGO: Timestamp = Timestamp(1_577_923_200_000);

/// The judgement of a directory.
#[derive(Default, Debug)]
pub(crate) struct Judgement {
    /// The report of its opening.
    pub(crate) report: String,
    /// Operations that were neither answered nor declined, and the number of them that had happened.
    pub(crate) unknown: usize,
    pub(crate) unknown_happened: usize,
    /// The broken promises; empty if there are none.
    pub(crate) complaints: Vec<String>,
}

impl Judgement {
    fn complain(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }
}

/// Opens and judges the directory. Operations whose outcome the witness does not know are requested again,
/// and the witness then knows their outcome. The engine's time stands still at `time`, or at the last time in
/// the log.
pub(crate) fn judge(directory: &Path, witness: &mut Witness, time: Timestamp) -> Judgement {
    let mut judged = Judgement::default();
    judge_into(directory, witness, time, &mut judged);
    if judged.complaints.len() > COMPLAINTS_MAX {
        let more = judged.complaints.len() - COMPLAINTS_MAX;
        judged.complaints.truncate(COMPLAINTS_MAX);
        judged.complain(format!("and {more} more"));
    }
    judged
}

fn judge_into(directory: &Path, witness: &mut Witness, time: Timestamp, judged: &mut Judgement) {
    let before = match Logged::read(directory, judged) {
        Ok(logged) => logged,
        Err(OpenError::Missing(_)) if witness.answered() == 0 => Logged::default(),
        Err(error) => return judged.complain(format!("it cannot be inspected: {error}")),
    };
    let Some(engine) = open(directory, time, judged) else { return };
    judged.report = engine.report().to_string();
    let end = engine.report().end;
    if end != before.end {
        judged.complain(format!("inspected, the log ends at {}, opened at {end}", before.end));
    }
    let keys = match declare(&engine) {
        Ok(keys) => keys,
        Err(error) => return judged.complain(format!("its keys cannot be declared: {error}")),
    };
    engine.sweep();

    for (&number, (operation, outcome)) in &mut witness.operations {
        let logged = before.position_of(number);
        if *outcome == Outcome::Declined {
            if let Some(position) = logged {
                judged.complain(format!("operation {number:x} was declined, but is at {position}"));
            }
            continue;
        }
        let ask = || operation.request(&engine, &keys, number);
        let (first, again) = match (ask(), ask()) {
            (Ok(first), Ok(again)) => (first, again),
            (Err(error), _) | (_, Err(error)) => {
                judged.complain(format!("operation {number:x} {operation:?} is not answered: {error}"));
                continue;
            }
        };
        if let Reply::Done(_) = first
            && first != again
        {
            judged.complain(format!(
                "operation {number:x} {operation:?} has two results: {first:?}, {again:?}"
            ));
        }
        match outcome {
            Outcome::Declined => {}
            Outcome::Answered(answered) => {
                if first != Reply::Done(answered.clone()) {
                    judged.complain(format!(
                        "acknowledged and lost: operation {number:x} {operation:?} was answered {answered:?}, \
                         now {first:?}"
                    ));
                }
                // The record may be missing, if the log begins behind it since a checkpoint.
                if logged.is_some_and(|position| position != answered.position) {
                    judged.complain(format!(
                        "operation {number:x} was answered {answered:?}, but is at {logged:?}"
                    ));
                }
            }
            Outcome::Unknown => {
                judged.unknown += 1;
                judged.unknown_happened += usize::from(logged.is_some());
                *outcome = match first {
                    Reply::Done(answered) => {
                        // Before the start of the kept log, the checkpoint knows the answer.
                        let before_log = answered.position <= before.from.0;
                        let consistent = logged.map_or(answered.position > end.0 || before_log, |position| {
                            position == answered.position
                        });
                        if !consistent {
                            judged.complain(format!(
                                "operation {number:x} {operation:?} was at {logged:?}, and is now \
                                 answered {answered:?}"
                            ));
                        }
                        Outcome::Answered(answered)
                    }
                    Reply::Declined(why) => {
                        if let Some(position) = logged {
                            judged.complain(format!(
                                "operation {number:x} was at {position}, and is now: {why}"
                            ));
                        }
                        Outcome::Declined
                    }
                };
            }
        }
    }

    let happened = witness.operations.iter().filter_map(|(&number, (operation, outcome))| match outcome {
        Outcome::Answered(answered) => Some((number, operation, answered)),
        _ => None,
    });
    let book = Book::of(happened.collect(), &mut judged.complaints);
    book.compare(&engine, &keys, &mut judged.complaints);
    if let Err(error) = engine.shutdown() {
        return judged.complain(format!("it cannot be closed: {error}"));
    }
    drop(engine);

    // Once more from the disk, now that every outcome is known.
    let after = match Logged::read(directory, judged) {
        Ok(logged) => logged,
        Err(error) => return judged.complain(format!("closed, it cannot be inspected: {error}")),
    };
    let answered =
        witness.operations.iter().filter(|(_, (_, outcome))| matches!(outcome, Outcome::Answered(_)));
    let numbers: BTreeSet<_> = answered.map(|(&number, _)| op_key(number)).collect();
    if let Some((stranger, position)) = after.positions.iter().find(|(key, _)| !numbers.contains(key)) {
        judged
            .complain(format!("at {position} there is {stranger:?}, which was never requested or answered"));
    }
    let Some(engine) = open(directory, time, judged) else { return };
    engine.sweep();
    match declare(&engine) {
        Ok(keys) => book.compare(&engine, &keys, &mut judged.complaints),
        Err(error) => judged.complain(format!("opened again, its keys cannot be declared: {error}")),
    }
}

fn open(directory: &Path, time: Timestamp, judged: &mut Judgement) -> Option<Engine> {
    let clock = Arc::new(ManualClock::new(time));
    let config = Config::default().clock(clock).driver_period(None).ring_bytes(1 << 20);
    Engine::open(directory, config)
        .map_err(|error| judged.complain(format!("it cannot be opened: {error}")))
        .ok()
}

/// The op keys in the log, with their positions.
#[derive(Default)]
struct Logged {
    positions: BTreeMap<OpKey, u64>,
    /// The start of the kept log.
    from: Position,
    end: Position,
}

impl Logged {
    fn read(directory: &Path, judged: &mut Judgement) -> Result<Logged, OpenError> {
        let inspection = Inspection::open(directory)?;
        if let Some(drift) = inspection.drift() {
            judged.complain(drift.to_string());
        }
        let report = inspection.report();
        let mut logged = Logged { from: report.from, end: report.end, ..Logged::default() };
        for entry in inspection.log(Position(0)) {
            let entry = entry?;
            let Some(key) = entry.op_key else { continue };
            if let Some(first) = logged.positions.insert(key, entry.position.0) {
                judged.complain(format!("{key:?} happened twice, at {first} and at {}", entry.position));
            }
        }
        Ok(logged)
    }

    fn position_of(&self, number: u64) -> Option<u64> {
        self.positions.get(&op_key(number)).copied()
    }
}
