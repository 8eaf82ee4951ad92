//! What is known outside: a line for each errand before it is asked, and one when its answer can be relied on.
//!
//! Only what was written down before the cut counts, each line with one `write`. A line cut in two says nothing.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::errand::{Errand, Told};

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// An engine is going to be opened.
    Opening,
    /// It was; so its report says.
    Opened(String),
    /// This is going to be asked.
    Asked(u64, Errand),
    /// It happened, and that can be relied on.
    Told(u64, Told),
    /// It did not happen.
    Declined(u64),
    /// The engine was closed in order.
    Closed,
}

impl Line {
    /// Writes lines with one call.
    pub(crate) fn write(lines: &[Line], to: &mut impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        to.write_all(&text)
    }
}

/// What became of an errand, as far as is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Asked, not answered.
    Unknown,
    Told(Told),
    /// It did not happen.
    Declined,
}

/// All that is known of a directory.
#[derive(Clone, Default, Debug)]
pub(crate) struct Witness {
    /// By number.
    pub(crate) errands: BTreeMap<u64, (Errand, Outcome)>,
    /// Engines opened, and of those being opened one more.
    pub(crate) openings: u64,
    /// An engine is being opened right now.
    pub(crate) is_opening: bool,
    /// What the last one said of its opening.
    pub(crate) report: String,
    unfinished: Vec<u8>,
}

impl Witness {
    /// Hears what was written, which may end in the middle of a line.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let said = String::from_utf8_lossy(&line);
            let line = serde_json::from_slice(&line).map_err(|error| format!("{error} in {said}"))?;
            self.note(line)?;
        }
        Ok(())
    }

    /// Whoever spoke is gone, perhaps in the middle of a line.
    pub(crate) fn end(&mut self) {
        self.unfinished.clear();
        self.is_opening = false;
    }

    /// All that it was told, to be heard again.
    pub(crate) fn lines(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (&number, (errand, outcome)) in &self.errands {
            let outcome = match outcome {
                Outcome::Unknown => None,
                Outcome::Told(told) => Some(Line::Told(number, told.clone())),
                Outcome::Declined => Some(Line::Declined(number)),
            };
            let lines: Vec<_> = [Line::Asked(number, errand.clone())].into_iter().chain(outcome).collect();
            let _ = Line::write(&lines, &mut text); // memory takes it
        }
        text
    }

    fn note(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Opening => {
                self.openings += 1;
                self.is_opening = true;
            }
            Line::Opened(report) => (self.is_opening, self.report) = (false, report),
            Line::Asked(number, errand) => {
                if self.errands.insert(number, (errand, Outcome::Unknown)).is_some() {
                    return Err(format!("errand {number:x} is asked twice"));
                }
            }
            Line::Told(number, told) => self.settle(number, Outcome::Told(told))?,
            Line::Declined(number) => self.settle(number, Outcome::Declined)?,
            Line::Closed => {}
        }
        Ok(())
    }

    /// From now on the errand's outcome is known.
    pub(crate) fn settle(&mut self, number: u64, outcome: Outcome) -> Result<(), String> {
        let known =
            self.errands.get_mut(&number).ok_or_else(|| format!("errand {number:x} was never asked"))?;
        known.1 = outcome;
        Ok(())
    }

    /// How many errands were told.
    pub(crate) fn told(&self) -> usize {
        self.errands.values().filter(|(_, outcome)| matches!(outcome, Outcome::Told(_))).count()
    }
}
