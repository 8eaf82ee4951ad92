//! How what was found is put out, and which exit code is whose. Whoever stops reading (`| head`) has read enough: no
//! trouble, and the exit code stays that of what was found.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;

use serde::Serialize;
use stockhold::error::OpenError;

use crate::exit::{Trouble, UNTRUE};

/// Why a command ends before its end.
pub(crate) enum Stop {
    /// The directory does not hold what was promised.
    Untrue(String),
    Trouble(Trouble),
    /// Nobody reads on.
    Unread,
}

impl Stop {
    /// What was asked for makes no sense.
    pub(crate) fn usage(sentence: String) -> Stop {
        Stop::Trouble(Trouble::Usage(sentence))
    }

    /// It cannot be done here and now.
    pub(crate) fn environment(error: impl fmt::Display) -> Stop {
        Stop::Trouble(Trouble::Environment(error.to_string()))
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { message, .. } => Stop::Untrue(message),
            other => Stop::Trouble(other.into()),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::environment(format_args!("standard output cannot be written to: {error}")),
        }
    }
}

/// Tells what went wrong, and gives the code to leave with.
pub(crate) fn finish(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Untrue(sentence)) => {
            eprintln!("stockhold: {sentence}");
            ExitCode::from(UNTRUE)
        }
        Err(Stop::Trouble(trouble)) => trouble.report(),
    }
}

/// Standard output.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn new() -> Self {
        Output(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Stop> {
        self.0.write_fmt(line)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// What was put out so far is there for who watches.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.0.flush()?)
    }

    /// What is not flushed may not have been written.
    pub(crate) fn close(mut self) -> Result<(), Stop> {
        Ok(self.0.flush()?)
    }
}
