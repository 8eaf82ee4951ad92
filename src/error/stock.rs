//! Errors of the operations on stock and on the catalogue of names.

use super::operation::operation_error;
use super::{ErrorKind, SharedError};
use crate::types::NAME_BYTES_MAX;

/// Why stock could not be read, received or corrected, or its sale not opened or stopped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StockError {
    /// `on_hand` would exceed [`ON_HAND_MAX`](crate::types::ON_HAND_MAX).
    #[error(
        "the stock key would have more units on hand than can be counted (2^40 - 1); split it over locations"
    )]
    TooMuch,
    /// `on_hand` would fall below zero.
    #[error("{asked} units were to be taken off, but only {on_hand} are on hand; take off at most {on_hand}")]
    BelowZero {
        /// Units to take off.
        asked: i64,
        /// Units on hand.
        on_hand: i64,
    },
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(StockError, kind: |error| match error {
    StockError::TooMuch => ErrorKind::Full,
    StockError::BelowZero { .. } => ErrorKind::Conflict,
    StockError::Shared(shared) => shared.kind(),
});

/// Why a name could not be resolved or declared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// This SKU was never declared.
    #[error("SKU {0:?} is unknown; declare it first")]
    UnknownSku(String),
    /// The SKU is known, but not at this location.
    #[error("SKU {sku:?} is not declared at location {location:?}; declare it there first")]
    UnknownLocation {
        /// The SKU.
        sku: String,
        /// The location.
        location: String,
    },
    /// A name is empty.
    #[error("a SKU or location must not be empty; give it a name of 1 to {NAME_BYTES_MAX} bytes")]
    Empty,
    /// A name is too long; its length in bytes.
    #[error("a SKU or location of {0} bytes is longer than {NAME_BYTES_MAX}; use a shorter one")]
    TooLong(usize),
    /// The catalogue is full.
    #[error("the catalogue has the maximum of 2^28 stock keys; use another directory")]
    Full,
    /// A cause that every operation shares.
    #[error(transparent)]
    Shared(#[from] SharedError),
}

operation_error!(NameError, kind: |error| match error {
    NameError::UnknownSku(_) | NameError::UnknownLocation { .. } => ErrorKind::NotFound,
    NameError::Empty | NameError::TooLong(_) => ErrorKind::InvalidInput,
    NameError::Full => ErrorKind::Full,
    NameError::Shared(shared) => shared.kind(),
});
