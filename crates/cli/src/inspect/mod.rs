//! Commands that look into a directory and change no byte of it: `verify`, `levels`, `holds`, `log`; `backup` and
//! `salvage`, which write a new one; and `checkpoint`, which opens it as a program does.
//!
//! What they have in common: which directory, how what they find is put out, and which exit code is whose. Whoever
//! stops reading (`| head`) has read enough: no trouble, and the exit code stays that of what was found.

pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod holds;
pub(crate) mod levels;
pub(crate) mod log;
pub(crate) mod salvage;
mod table;
mod text;
pub(crate) mod verify;

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use stockhold::error::OpenError;
use stockhold::inspect::Inspection;

use crate::exit::{Trouble, UNTRUE};

/// What every inspecting command takes.
#[derive(clap::Args)]
struct Common {
    /// The directory to look into; no engine may have it open
    #[arg(long)]
    dir: PathBuf,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What a command takes that makes a new directory of another.
#[derive(clap::Args)]
struct Pair {
    #[command(flatten)]
    common: Common,
    /// The directory to make; nothing may be there
    #[arg(long)]
    out: PathBuf,
}

/// Why a command ends before its end.
enum Stop {
    /// The directory does not hold what was promised.
    Untrue(String),
    Trouble(Trouble),
    /// Nobody reads on.
    Unread,
}

impl Stop {
    /// What was asked for makes no sense.
    fn usage(sentence: String) -> Stop {
        Stop::Trouble(Trouble::Usage(sentence))
    }

    /// It cannot be done here and now.
    fn environment(error: impl fmt::Display) -> Stop {
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
fn finish(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Untrue(sentence)) => {
            eprintln!("stockhold: {sentence}");
            ExitCode::from(UNTRUE)
        }
        Err(Stop::Trouble(trouble)) => trouble.report(),
    }
}

/// The directory, for a command that can say nothing of one in drift.
fn open_whole(common: &Common) -> Result<Inspection, Stop> {
    let inspection = Inspection::open(&common.dir)?;
    match inspection.drift() {
        None => Ok(inspection),
        Some(drift) => Err(Stop::Untrue(drift.to_string())),
    }
}

/// Standard output.
struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    fn new() -> Self {
        Output(BufWriter::new(io::stdout().lock()))
    }

    fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Stop> {
        self.0.write_fmt(line)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// One JSON value on a line of its own.
    fn json(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// What is not flushed may not have been written.
    fn close(mut self) -> Result<(), Stop> {
        Ok(self.0.flush()?)
    }
}
