//! Sentences that several error messages share.

use std::io;

use crate::exit::CommandError;

/// What to do after a run that ended early.
pub const RERUN: &str = "Fix the cause and run the same command again: it continues where this run ended \
                         and grants nothing twice";

/// The error for a file that cannot be read.
pub fn unreadable(name: &str, error: &io::Error) -> CommandError {
    CommandError::Environment(format!("{name} cannot be read: {error}"))
}
