//! Errors, one type an operation. Every message is a sentence that says what to do.
//!
//! | error | operations |
//! |---|---|
//! | [`ReserveError`], [`ReplaceError`] | reserve one stock key or a cart; replace the lines of a hold |
//! | [`ConfirmError`], [`HoldError`] | confirm; release, extend, begin payment, cancel, ship |
//! | [`LookupError`] | the status of a hold; a cause of the errors above |
//! | [`StockError`], [`NameError`] | read and correct stock, stop its sale; declare and resolve names |
//! | [`TimeError`] | take a moment from a caller: [`Timestamp::check`](crate::Timestamp::check) |
//! | [`OutcomeUnknown`] | wait for a decision to be durable |
//! | [`ClockError`], [`SetTimeError`] | accept the wall clock; set engine time back in a copy |
//! | [`OpenError`], [`CheckpointError`], [`BackupError`] | open a directory; checkpoint it; back it up |
//! | [`VerifyError`], [`SalvageError`] | verify a directory; salvage it |
//!
//! All but [`TimeError`], which is a cause of others, and the last three rows are [`OperationError`]s:
//! [`kind`](OperationError::kind) says what a caller can do, [`is_transient`](OperationError::is_transient)
//! whether to make the same call again, and [`shared`](OperationError::shared) gives the cause if any operation
//! can have it. [`retry`](crate::retry) makes a call until it is answered.

mod clock;
mod directory;
mod holds;
mod operation;
mod sales;
mod shared;
mod stock;
mod stopped;

pub use self::clock::{ClockError, SetTimeError};
pub use self::directory::{BackupError, CheckpointError, Drift, OpenError, SalvageError, VerifyError};
pub use self::holds::{ConfirmError, HoldError, LookupError};
pub use self::operation::{ErrorKind, OperationError};
pub use self::sales::{ReplaceError, ReserveError};
pub use self::shared::{Busy, OpKeyError, QuantityError, SharedError, TimeError};
pub use self::stock::{NameError, StockError};
pub use self::stopped::{OutcomeUnknown, Stopped};
