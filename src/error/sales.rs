//! Errors of the operations that take units: reserve and replace.

use std::time::Duration;

use super::operation::operation_error;
use super::{ErrorKind, LookupError, SharedError};
use crate::answer::{HoldState, Refusal};
use crate::clock::Timestamp;

/// Why a reserve made no hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// It was refused, and the refusal was true when it was decided.
    #[error("{0}")]
    Refused(Refusal),
    /// As many holds exist as [`Config::holds_max`](crate::Config::holds_max) allows.
    #[error("as many holds exist as holds_max allows ({holds_max}); raise it, or let some end")]
    HoldsFull {
        /// The setting.
        holds_max: u32,
    },
    /// The TTL is out of bounds.
    #[error("a TTL of {asked:?} is outside the bounds {min:?} to {max:?}; see Config::ttl_bounds")]
    Ttl {
        /// The TTL asked for.
        asked: Duration,
        /// The smallest allowed.
        min: Duration,
        /// The largest allowed.
        max: Duration,
    },
    /// The number given to [`Reserve::or_at_least`](crate::Reserve::or_at_least) is not between 1 and the
    /// quantity.
    #[error("at least {at_least} of {quantity} units were asked for; ask for 1 to {quantity}")]
    AtLeast {
        /// That number.
        at_least: u32,
        /// The quantity.
        quantity: u32,
    },
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(ReserveError, kind: |error| match error {
    ReserveError::Refused(_) => ErrorKind::Refused,
    ReserveError::HoldsFull { .. } => ErrorKind::Full,
    ReserveError::Ttl { .. } | ReserveError::AtLeast { .. } => ErrorKind::InvalidInput,
    ReserveError::Shared(shared) => shared.kind(),
});

/// Why a hold was not replaced. The hold is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The hold cannot be found.
    #[error("{0}")]
    Lookup(#[from] LookupError),
    /// The deadline had passed: the units are back on sale.
    #[error("the hold expired at its deadline; reserve again")]
    Expired,
    /// The hold is in a state that does not allow this.
    #[error("the hold is {0}, which does not allow this; read its state with Engine::status")]
    WrongState(HoldState),
    /// The units that the hold would need in addition are not available. `asked` and `available` are of
    /// those.
    #[error("the hold stays as it is: {0}")]
    Refused(Refusal),
    /// A quantity was given for a hold of several lines.
    #[error(
        "the hold has {lines} lines, so a quantity alone does not say of which; name lines and quantities"
    )]
    NameLines {
        /// Lines of the hold.
        lines: usize,
    },
    /// The TTL is out of bounds.
    #[error("a TTL of {asked:?} is outside the bounds {min:?} to {max:?}; see Config::ttl_bounds")]
    Ttl {
        /// The TTL asked for.
        asked: Duration,
        /// The smallest allowed.
        min: Duration,
        /// The largest allowed.
        max: Duration,
    },
    /// The hold would live longer than [`Config::life_max`](crate::Config::life_max).
    #[error("the hold may live until {latest} at most (life_max); confirm it before, or reserve again")]
    LifeMax {
        /// Its last possible deadline.
        latest: Timestamp,
    },
    /// The hold was replaced as often as it can be.
    #[error("the hold was replaced 65,535 times, which is the maximum; reserve again and release this hold")]
    TooOften,
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(ReplaceError, kind: |error| match error {
    ReplaceError::Lookup(lookup) => lookup.kind(),
    ReplaceError::Expired | ReplaceError::WrongState(HoldState::Expired) => ErrorKind::Expired,
    ReplaceError::Refused(_) => ErrorKind::Refused,
    ReplaceError::NameLines { .. } | ReplaceError::Ttl { .. } => ErrorKind::InvalidInput,
    ReplaceError::WrongState(_) | ReplaceError::LifeMax { .. } | ReplaceError::TooOften => {
        ErrorKind::Conflict
    }
    ReplaceError::Shared(shared) => shared.kind(),
});
