//! Judges a directory by what was known of it when it was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use stockhold::error::OpenError;
use stockhold::inspect::Inspection;
use stockhold::{Config, Engine, ManualClock, OpKey, Position, Timestamp};

use crate::book::Book;
use crate::errand::{Reply, declare, op_key};
use crate::witness::{Outcome, Witness};

/// Complaints told at most; the first few say it.
const COMPLAINTS_MAX: usize = 12;

/// A time before every log's: then the engine goes by its log, and no hold expires that was live at the cut.
pub(crate) const LONG_AGO: Timestamp = Timestamp(1_577_923_200_000);

/// What a directory was found to be.
#[derive(Default, Debug)]
pub(crate) struct Judged {
    /// What its opening reported.
    pub(crate) report: String,
    /// Errands that were neither told nor declined, and of them those that had happened.
    pub(crate) unknown: usize,
    pub(crate) unknown_happened: usize,
    /// What is wrong; nothing is what was promised.
    pub(crate) complaints: Vec<String>,
}

impl Judged {
    fn complain(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }
}

/// Judges the directory, opening it as often as that takes. What was unknown to the witness is asked again, and known
/// to it afterwards. Engine time stands still at `time`, or at the last time in the log.
pub(crate) fn judge(directory: &Path, witness: &mut Witness, time: Timestamp) -> Judged {
    let mut judged = Judged::default();
    judge_into(directory, witness, time, &mut judged);
    if judged.complaints.len() > COMPLAINTS_MAX {
        let more = judged.complaints.len() - COMPLAINTS_MAX;
        judged.complaints.truncate(COMPLAINTS_MAX);
        judged.complain(format!("and {more} more"));
    }
    judged
}

fn judge_into(directory: &Path, witness: &mut Witness, time: Timestamp, judged: &mut Judged) {
    let before = match Logged::read(directory, judged) {
        Ok(logged) => logged,
        Err(OpenError::Missing(_)) if witness.told() == 0 => Logged::default(),
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

    for (&number, (errand, outcome)) in &mut witness.errands {
        let logged = before.position_of(number);
        if *outcome == Outcome::Declined {
            if let Some(position) = logged {
                judged.complain(format!("errand {number:x} was declined, but stands at {position}"));
            }
            continue;
        }
        let ask = || errand.ask(&engine, &keys, number);
        let (first, again) = match (ask(), ask()) {
            (Ok(first), Ok(again)) => (first, again),
            (Err(error), _) | (_, Err(error)) => {
                judged.complain(format!("errand {number:x} {errand:?} is not answered: {error}"));
                continue;
            }
        };
        if let Reply::Yes(_) = first
            && first != again
        {
            judged.complain(format!("errand {number:x} {errand:?} has two results: {first:?}, {again:?}"));
        }
        match outcome {
            Outcome::Declined => {}
            Outcome::Told(told) => {
                if first != Reply::Yes(told.clone()) {
                    judged.complain(format!(
                        "acknowledged and lost: errand {number:x} {errand:?} was told {told:?}, now {first:?}"
                    ));
                }
                // A log may begin behind it, once a checkpoint has taken its place.
                if logged.is_some_and(|position| position != told.position) {
                    judged.complain(format!("errand {number:x} was told {told:?}, but stands at {logged:?}"));
                }
            }
            Outcome::Unknown => {
                judged.unknown += 1;
                judged.unknown_happened += usize::from(logged.is_some());
                *outcome = match first {
                    Reply::Yes(told) => {
                        // Before the log that is kept a checkpoint knows it.
                        let told_before = told.position <= before.from.0;
                        let whole = logged.map_or(told.position > end.0 || told_before, |position| {
                            position == told.position
                        });
                        if !whole {
                            judged.complain(format!(
                                "errand {number:x} {errand:?} stood at {logged:?}, and is now told {told:?}"
                            ));
                        }
                        Outcome::Told(told)
                    }
                    Reply::No(why) => {
                        if let Some(position) = logged {
                            judged.complain(format!(
                                "errand {number:x} stood at {position}, and is now: {why}"
                            ));
                        }
                        Outcome::Declined
                    }
                };
            }
        }
    }

    let happened = witness.errands.iter().filter_map(|(&number, (errand, outcome))| match outcome {
        Outcome::Told(told) => Some((number, errand, told)),
        _ => None,
    });
    let book = Book::of(happened.collect(), &mut judged.complaints);
    book.compare(&engine, &keys, &mut judged.complaints);
    if let Err(error) = engine.shutdown() {
        return judged.complain(format!("it cannot be closed: {error}"));
    }
    drop(engine);

    // Once more from the disk, with everything known.
    let after = match Logged::read(directory, judged) {
        Ok(logged) => logged,
        Err(error) => return judged.complain(format!("closed, it cannot be inspected: {error}")),
    };
    let told = witness.errands.iter().filter(|(_, (_, outcome))| matches!(outcome, Outcome::Told(_)));
    let numbers: BTreeSet<_> = told.map(|(&number, _)| op_key(number)).collect();
    if let Some((stranger, position)) = after.positions.iter().find(|(key, _)| !numbers.contains(key)) {
        judged.complain(format!("at {position} stands {stranger:?}, which was never told or asked"));
    }
    let Some(engine) = open(directory, time, judged) else { return };
    engine.sweep();
    match declare(&engine) {
        Ok(keys) => book.compare(&engine, &keys, &mut judged.complaints),
        Err(error) => judged.complain(format!("opened again, its keys cannot be declared: {error}")),
    }
}

fn open(directory: &Path, time: Timestamp, judged: &mut Judged) -> Option<Engine> {
    let clock = Arc::new(ManualClock::new(time));
    let config = Config::default().clock(clock).driver_period(None).ring_bytes(1 << 20);
    Engine::open(directory, config)
        .map_err(|error| judged.complain(format!("it cannot be opened: {error}")))
        .ok()
}

/// What the log says of op keys.
#[derive(Default)]
struct Logged {
    positions: BTreeMap<OpKey, u64>,
    /// Where the log begins that is kept.
    from: Position,
    end: Position,
}

impl Logged {
    fn read(directory: &Path, judged: &mut Judged) -> Result<Logged, OpenError> {
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
