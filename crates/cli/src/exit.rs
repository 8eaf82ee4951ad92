//! Exit codes and the troubles behind them.

use std::process::ExitCode;

use stockhold::error::OpenError;

/// For the end of every `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0  everything that was claimed is true
  1  a promise was broken, or a verification failed
  2  wrong usage, or bad input
  3  the environment failed: a directory is in use, a disk is full, a process does not start";

/// Something was untrue.
pub(crate) const UNTRUE: u8 = 1;

/// Why a command could not do its work. The sentence goes to standard error.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was asked for makes no sense.
    Usage(String),
    /// What was asked for cannot be done here and now.
    Environment(String),
}

impl Trouble {
    /// Tells it, and gives the code to leave with.
    pub(crate) fn report(self) -> ExitCode {
        let (code, sentence) = match self {
            Trouble::Usage(sentence) => (2, sentence),
            Trouble::Environment(sentence) => (3, sentence),
        };
        eprintln!("stockhold: {sentence}");
        ExitCode::from(code)
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Trouble::Usage(error.to_string()),
            other => Trouble::Environment(other.to_string()),
        }
    }
}
