//! Exit codes, and the errors that lead to them.

use stockhold::error::OpenError;

/// The last paragraph of most `--help` texts.
pub(crate) const CODES: &str = "\
Exit codes:
  0  success: every check held
  1  a check failed: a guarantee was violated, or the directory is damaged
  2  wrong usage or bad input
  3  the environment failed: a directory is in use, a disk is full, a process does not start";

pub(crate) const CODE_UNTRUE: u8 = 1;
pub(crate) const CODE_USAGE: u8 = 2;
pub(crate) const CODE_ENVIRONMENT: u8 = 3;

/// Why a command could not do its work. The sentence goes to standard error.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The command line or an input file is wrong.
    Usage(String),
    /// The machine, the disk or another process prevents it.
    Environment(String),
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => CommandError::Usage(error.to_string()),
            other => CommandError::Environment(other.to_string()),
        }
    }
}
