//! Errors of the operations on a hold that was made before.

use std::time::Duration;

use super::operation::operation_error;
use super::{ErrorKind, SharedError};
use crate::answer::{HoldState, Refusal};
use crate::clock::Timestamp;
use crate::types::StockKey;

/// Why a hold cannot be found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No hold of this directory ever had this id: it is forged, mistyped, or of another directory.
    #[error("no hold of this directory has this id; check where the id came from")]
    Unknown,
    /// Another call is changing the hold in more than one step. Ask again at once. Only
    /// [`Engine::status`](crate::Engine::status) returns this; operations return
    /// [`Busy::Changing`](super::Busy::Changing).
    #[error("this hold is being changed by another call; ask again at once")]
    Changing,
    /// The hold ended so long ago that the engine no longer knows how.
    #[error("this hold ended earlier and is no longer remembered; read the log to see how it ended")]
    Forgotten,
}

operation_error!(
    LookupError,
    kind: |error| match error {
        LookupError::Unknown | LookupError::Forgotten => ErrorKind::NotFound,
        LookupError::Changing => ErrorKind::Busy,
    },
    shared: |_| None
);

/// Why a hold was not confirmed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// The hold cannot be found.
    #[error("{0}")]
    Lookup(#[from] LookupError),
    /// The deadline had passed: the units are back on sale.
    #[error("the hold expired at its deadline; reserve again, or confirm with retake_if_expired")]
    Expired,
    /// The hold had another outcome before.
    #[error("the hold is {0} already; one hold has one outcome")]
    Ended(HoldState),
    /// More units were named than are held.
    #[error("{asked} units were to be confirmed, but only {held} are held; confirm at most {held}")]
    TooMany {
        /// Units to confirm.
        asked: u32,
        /// Units held.
        held: u32,
    },
    /// The hold has no units of a stock key that was named.
    #[error("the hold has no units of one of the stock keys named; read its lines with Engine::status")]
    NotHeld(StockKey),
    /// A quantity was given for a hold of several lines.
    #[error(
        "the hold has {lines} lines, so a quantity alone does not say of which; name lines and quantities"
    )]
    NameLines {
        /// Lines of the hold.
        lines: usize,
    },
    /// The hold was changed in part as often as it can be.
    #[error("the hold was changed in part some 2^31 times, which is the maximum; do this for the whole hold")]
    TooOften,
    /// The hold had expired, and its units are no longer available.
    #[error("the hold expired and its units cannot be taken again: {0}")]
    Refused(Refusal),
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(ConfirmError, kind: |error| match error {
    ConfirmError::Lookup(lookup) => lookup.kind(),
    ConfirmError::Expired | ConfirmError::Ended(HoldState::Expired) => ErrorKind::Expired,
    ConfirmError::Refused(_) => ErrorKind::Refused,
    ConfirmError::NameLines { .. } => ErrorKind::InvalidInput,
    ConfirmError::Ended(_)
    | ConfirmError::TooMany { .. }
    | ConfirmError::NotHeld(_)
    | ConfirmError::TooOften => ErrorKind::Conflict,
    ConfirmError::Shared(shared) => shared.kind(),
});

/// Why a hold was not released, extended, cancelled or shipped, or its payment not begun.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The hold cannot be found.
    #[error("{0}")]
    Lookup(#[from] LookupError),
    /// The deadline had passed: the units are back on sale.
    #[error("the hold expired at its deadline; reserve again")]
    Expired,
    /// The hold is in a state that does not allow this.
    #[error("the hold is {0}, which does not allow this; read its state with Engine::status")]
    WrongState(HoldState),
    /// More units were named than the hold has.
    #[error("{asked} units were named, but the hold has only {remaining}; name at most {remaining}")]
    TooMany {
        /// Units named.
        asked: u32,
        /// Units that the hold has.
        remaining: u32,
    },
    /// The hold has no units of a stock key that was named.
    #[error("the hold has no units of one of the stock keys named; read its lines with Engine::status")]
    NotHeld(StockKey),
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
    /// The hold was changed in part as often as it can be.
    #[error("the hold was changed in part some 2^31 times, which is the maximum; do this for the whole hold")]
    TooOften,
    /// A part was named for a release or a payment, which are of a whole hold.
    #[error("this operation is for the whole hold of {held} units; to sell a part of it, confirm that part")]
    WholeOnly {
        /// Units held.
        held: u32,
    },
    /// The hold would live longer than [`Config::life_max`](crate::Config::life_max).
    #[error("the hold may live until {latest} at most (life_max); confirm it before, or reserve again")]
    LifeMax {
        /// Its last possible deadline.
        latest: Timestamp,
    },
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(HoldError, kind: |error| match error {
    HoldError::Lookup(lookup) => lookup.kind(),
    HoldError::Expired | HoldError::WrongState(HoldState::Expired) => ErrorKind::Expired,
    HoldError::NameLines { .. } | HoldError::Ttl { .. } | HoldError::WholeOnly { .. } => {
        ErrorKind::InvalidInput
    }
    HoldError::WrongState(_)
    | HoldError::TooMany { .. }
    | HoldError::NotHeld(_)
    | HoldError::TooOften
    | HoldError::LifeMax { .. } => ErrorKind::Conflict,
    HoldError::Shared(shared) => shared.kind(),
});
