//! The error of accepting the wall clock.

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
