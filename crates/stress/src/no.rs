//! Classifies the errors of all operations by what a history can check about them.

use std::fmt::Display;

use stockhold::Refusal;
use stockhold::error::{
    ConfirmError, HoldError, LookupError, ReplaceError, ReserveError, SharedError, StockError,
};

pub(crate) enum No {
    /// The call is not decided and changed nothing; it may be repeated.
    Busy,
    /// The hold has expired.
    Expired,
    Refused(Refusal),
    /// A final answer that a history can neither confirm nor contradict.
    Nothing,
    /// An answer that no call of this program may get.
    Strange(String),
}

fn strange(error: impl Display) -> No {
    No::Strange(error.to_string())
}

impl From<SharedError> for No {
    fn from(error: SharedError) -> No {
        if let SharedError::Busy(_) = error { No::Busy } else { strange(error) }
    }
}

impl From<LookupError> for No {
    fn from(error: LookupError) -> No {
        match error {
            LookupError::Changing => No::Busy,
            LookupError::Forgotten => No::Nothing,
            // Every id that a shopper asks for was given to it by the engine.
            error => strange(error),
        }
    }
}

impl From<ReserveError> for No {
    fn from(error: ReserveError) -> No {
        match error {
            ReserveError::Refused(refusal) => No::Refused(refusal),
            ReserveError::HoldsFull { .. } => No::Nothing,
            ReserveError::Shared(cause) => cause.into(),
            error => strange(error),
        }
    }
}

impl From<ConfirmError> for No {
    fn from(error: ConfirmError) -> No {
        match error {
            ConfirmError::Lookup(error) => error.into(),
            ConfirmError::Expired => No::Expired,
            ConfirmError::Refused(refusal) => No::Refused(refusal),
            // Others were faster: to end the hold, or to replace it by fewer units.
            ConfirmError::Ended(_) | ConfirmError::TooMany { .. } => No::Nothing,
            ConfirmError::Shared(cause) => cause.into(),
            error => strange(error),
        }
    }
}

impl From<HoldError> for No {
    fn from(error: HoldError) -> No {
        match error {
            HoldError::Lookup(error) => error.into(),
            HoldError::Expired => No::Expired,
            HoldError::WrongState(_) => No::Nothing,
            HoldError::Shared(cause) => cause.into(),
            error => strange(error),
        }
    }
}

impl From<ReplaceError> for No {
    fn from(error: ReplaceError) -> No {
        match error {
            ReplaceError::Lookup(error) => error.into(),
            ReplaceError::Expired => No::Expired,
            ReplaceError::WrongState(_) | ReplaceError::TooOften => No::Nothing,
            ReplaceError::Refused(refusal) => No::Refused(refusal),
            ReplaceError::Shared(cause) => cause.into(),
            error => strange(error),
        }
    }
}

impl From<StockError> for No {
    fn from(error: StockError) -> No {
        match error {
            StockError::BelowZero { .. } => No::Nothing,
            StockError::Shared(cause) => cause.into(),
            error => strange(error),
        }
    }
}
