//! Standard output, and the exit code for each way in which a command ends. A reader that closes the pipe
//! early (`| head`) is no error: the exit code stays that of the checks.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;

use serde::Serialize;
use stockhold::error::OpenError;

use crate::exit::{CODE_ENVIRONMENT, CODE_UNTRUE, CODE_USAGE, CommandError};

/// Why a command ends without success.
pub(crate) enum Stop {
    /// A check failed; the sentence says which.
    Untrue(String),
    /// A check failed, and standard output says which.
    UntrueShown,
    Error(CommandError),
    /// The reader of standard output closed it.
    OutputClosed,
}

impl Stop {
    pub(crate) fn usage(sentence: String) -> Stop {
        Stop::Error(CommandError::Usage(sentence))
    }

    pub(crate) fn environment(error: impl fmt::Display) -> Stop {
        Stop::Error(CommandError::Environment(error.to_string()))
    }
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Stop::Error(error)
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { message, .. } => Stop::Untrue(message),
            other => Stop::Error(other.into()),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::OutputClosed,
            _ => Stop::environment(format_args!("standard output cannot be written to: {error}")),
        }
    }
}

/// Writes the error, if there is one, to standard error, and returns the exit code.
pub(crate) fn finish(result: Result<(), Stop>) -> ExitCode {
    let (code, sentence) = match result {
        Ok(()) | Err(Stop::OutputClosed) => return ExitCode::SUCCESS,
        Err(Stop::UntrueShown) => return ExitCode::from(CODE_UNTRUE),
        Err(Stop::Untrue(sentence)) => (CODE_UNTRUE, sentence),
        Err(Stop::Error(CommandError::Usage(sentence))) => (CODE_USAGE, sentence),
        Err(Stop::Error(CommandError::Environment(sentence))) => (CODE_ENVIRONMENT, sentence),
    };
    eprintln!("stockhold: {sentence}");
    ExitCode::from(code)
}

/// Standard output, buffered.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn new() -> Self {
        Output(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Stop> {
        self.0.write_fmt(line)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Text that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Makes everything written so far visible to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.0.flush()?)
    }

    /// Flushes. Without it, the last lines may be lost without an error.
    pub(crate) fn close(mut self) -> Result<(), Stop> {
        self.flush()
    }
}
