//! The witness outside the process: it reads a line before each request, and another once its answer is
//! durable.
//!
//! Each line is written by one `write`. Only lines written completely before the cut count.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::operation::{Answered, Operation};

/// One line of the load's output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// An engine will be opened.
    Opening,
    /// It was opened, with this report.
    Opened(String),
    /// An operation will be requested.
    Requested(u64, Operation),
    /// It happened, and is durable.
    Answered(u64, Answered),
    /// It did not happen.
    Declined(u64),
    /// The engine was shut down.
    Closed,
}

impl Message {
    /// Writes lines with one call of `write`.
    pub(crate) fn write(lines: &[Message], to: &mut impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        to.write_all(&text)
    }
}

/// The known outcome of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Requested, and not answered.
    Unknown,
    Answered(Answered),
    /// It did not happen.
    Declined,
}

/// All that is known about a directory.
#[derive(Clone, Default, Debug)]
pub(crate) struct Witness {
    /// By number.
    pub(crate) operations: BTreeMap<u64, (Operation, Outcome)>,
    /// The number of openings that were begun.
    pub(crate) openings: u64,
    /// Whether an engine is being opened.
    pub(crate) is_opening: bool,
    /// The report of the last opening.
    pub(crate) report: String,
    unfinished: Vec<u8>,
}

impl Witness {
    /// Reads output, which may end in the middle of a line.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let said = String::from_utf8_lossy(&line);
            let line = serde_json::from_slice(&line).map_err(|error| format!("{error} in {said}"))?;
            self.note(line)?;
        }
        Ok(())
    }

    /// The process has ended, perhaps in the middle of a line.
    pub(crate) fn end(&mut self) {
        self.unfinished.clear();
        self.is_opening = false;
    }

    /// All that is known, as lines that can be read again.
    pub(crate) fn lines(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (&number, (operation, outcome)) in &self.operations {
            let outcome = match outcome {
                Outcome::Unknown => None,
                Outcome::Answered(answered) => Some(Message::Answered(number, answered.clone())),
                Outcome::Declined => Some(Message::Declined(number)),
            };
            let lines: Vec<_> =
                [Message::Requested(number, operation.clone())].into_iter().chain(outcome).collect();
            let _ = Message::write(&lines, &mut text); // writing to memory does not fail
        }
        text
    }

    fn note(&mut self, line: Message) -> Result<(), String> {
        match line {
            Message::Opening => {
                self.openings += 1;
                self.is_opening = true;
            }
            Message::Opened(report) => (self.is_opening, self.report) = (false, report),
            Message::Requested(number, operation) => {
                if self.operations.insert(number, (operation, Outcome::Unknown)).is_some() {
                    return Err(format!("operation {number:x} is requested twice"));
                }
            }
            Message::Answered(number, answered) => self.settle(number, Outcome::Answered(answered))?,
            Message::Declined(number) => self.settle(number, Outcome::Declined)?,
            Message::Closed => {}
        }
        Ok(())
    }

    /// Sets the outcome of an operation.
    pub(crate) fn settle(&mut self, number: u64, outcome: Outcome) -> Result<(), String> {
        let known = self
            .operations
            .get_mut(&number)
            .ok_or_else(|| format!("operation {number:x} was never requested"))?;
        known.1 = outcome;
        Ok(())
    }

    /// The number of answered operations.
    pub(crate) fn answered(&self) -> usize {
        self.operations.values().filter(|(_, outcome)| matches!(outcome, Outcome::Answered(_))).count()
    }
}
