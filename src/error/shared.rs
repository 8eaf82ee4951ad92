//! Causes that every operation can have.

use std::fmt;

use super::operation::operation_error;
use super::{ErrorKind, Stopped};
use crate::clock::Timestamp;
use crate::types::{LINES_MAX, QUANTITY_MAX, REFERENCE_BYTES_MAX};

/// Why an answer could not be known without waiting. Nothing was decided or changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// Other calls are giving units of this stock key back, or may be about to.
    #[error("units of this stock key are being returned; try again at once")]
    Pending,
    /// Another thread is reclaiming holds that are due. They may be of any stock key: holds of all keys share
    /// the timer wheels.
    #[error("expired holds are being reclaimed; try again at once")]
    Reclaiming,
    /// The ring has no room until the log thread has caught up.
    #[error("the log is behind and its ring is full; try again in a millisecond")]
    LogBehind,
    /// Another call is changing the hold in more than one step.
    #[error("this hold is being changed by another call; try again at once")]
    Changing,
    /// The table of op keys is full.
    #[error("the table of op keys is full; raise op_keys_max, shorten op_key_retention, or try again later")]
    OpKeysFull,
    /// Other calls are taking or returning the last room for holds or for lines of carts.
    #[error("the last room for holds or lines of carts is being taken or returned; try again at once")]
    Room,
    /// Another thread is allocating memory for more holds or stock keys.
    #[error("another thread is taking memory for more holds or stock keys; try again at once")]
    Growing,
}

/// Why an op key cannot be used for this call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpKeyError {
    /// Another call with this op key is being decided now.
    #[error("an operation with this op key is being decided right now; ask again for its result")]
    InProgress,
    /// The op key was used for an operation with other content.
    #[error("this op key was used for an operation with other content; use a new op key for a new operation")]
    OtherContent,
    /// The op key is older than [`Config::op_key_retention`](crate::Config::op_key_retention).
    #[error(
        "this op key is a UUIDv7 older than the retention window, so it may have been used and forgotten; use a new \
         op key if the operation is new; if new ones are too old, engine time is ahead of the wall: see `stockhold \
         clock`"
    )]
    TooOld,
}

/// A quantity out of range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("a quantity of {0} is not between 1 and {QUANTITY_MAX}; ask for a number in that range")]
pub struct QuantityError(pub i64);

/// A moment that lies before [`Timestamp::MIN`] or after [`Timestamp::MAX`]; the number that was given, or
/// the nearest that fits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub struct TimeError(pub i64);

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (Timestamp::MIN.0, Timestamp::MAX.0);
        write!(
            f,
            "a moment is given in milliseconds since 1970, from {first} (in 2020) to {last} (in 2089), and {} is {}; \
             give the milliseconds",
            self.0,
            self.likely()
        )
    }
}

impl TimeError {
    /// What the number may be instead: in another unit it may be a moment that is taken.
    fn likely(self) -> &'static str {
        let nanos_of = |unit: i64| i128::from(self.0) * i128::from(unit);
        let range = i128::from(Timestamp::MIN.0) * 1_000_000..=i128::from(Timestamp::MAX.0) * 1_000_000;
        let units = [
            (1_000_000_000, "a number of seconds"),
            (1_000, "a number of microseconds"),
            (1, "a number of nanoseconds"),
        ];
        let of = units.into_iter().find(|(unit, _)| range.contains(&nanos_of(*unit)));
        of.map_or("not one of them", |(_, of)| of)
    }
}

/// Causes that every operation shares. An operation's error has them as its variant `Shared`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// The answer cannot be known without waiting; nothing was changed.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The op key cannot be used.
    #[error(transparent)]
    OpKey(#[from] OpKeyError),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A quantity is out of range.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A moment is out of range.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// A reference is too long; its length in bytes.
    #[error("a reference of {0} bytes is longer than {REFERENCE_BYTES_MAX}; use a shorter one")]
    ReferenceTooLong(usize),
    /// A cart has no lines, or more than [`LINES_MAX`]; their number.
    #[error("a cart has 1 to {LINES_MAX} lines, and this one has {0}; split it, or leave it out")]
    CartLines(usize),
    /// There is no room for the lines of another cart.
    #[error("carts have as many lines as lines_max allows ({lines_max}); raise it, or let some end")]
    LinesFull {
        /// The setting [`Config::lines_max`](crate::Config::lines_max).
        lines_max: u32,
    },
    /// The stock key is of another directory.
    #[error("this stock key belongs to another directory; resolve it again with Engine::key")]
    ForeignKey,
}

operation_error!(
    SharedError,
    kind: |error| match error {
        SharedError::Busy(_) => ErrorKind::Busy,
        SharedError::OpKey(OpKeyError::InProgress) => ErrorKind::InProgress,
        SharedError::OpKey(OpKeyError::OtherContent | OpKeyError::TooOld) => ErrorKind::Conflict,
        SharedError::Stopped(_) => ErrorKind::Stopped,
        SharedError::Quantity(_)
        | SharedError::Time(_)
        | SharedError::ReferenceTooLong(_)
        | SharedError::CartLines(_)
        | SharedError::ForeignKey => ErrorKind::InvalidInput,
        SharedError::LinesFull { .. } => ErrorKind::Full,
    },
    shared: |error| Some(error)
);
