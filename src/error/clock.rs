//! Errors of what is done about a wrong clock.

use super::{BackupError, TimeError};
use crate::clock::Timestamp;

/// Why the wall clock was not accepted. Engine time is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The wall clock is outside the years in which an engine opens. Accepted, its time would enter the log, and
    /// no later opening could go on from it.
    #[error(
        "the wall clock says {wall}, which is not in the years 2020 to 2078, so no engine opens by it; set the \
         machine's clock right, then accept it"
    )]
    OutOfRange {
        /// What the wall clock says.
        wall: Timestamp,
    },
}

/// Why no copy with another engine time was made. The directory is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetTimeError {
    /// The time is out of range.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The time is not earlier than the last time in the log.
    #[error(
        "the last time in the log is {last}, and {now} is not before it; only a step back needs a copy: engine time \
         goes ahead by the wall clock, or by Engine::accept_clock"
    )]
    NotEarlier {
        /// The time that was given.
        now: Timestamp,
        /// The last time in the log.
        last: Timestamp,
    },
    /// The copy could not be made.
    #[error(transparent)]
    Backup(#[from] BackupError),
}
