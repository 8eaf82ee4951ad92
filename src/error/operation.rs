//! What the errors of all operations have in common: their kind, and the causes that they share.

use super::{Busy, SharedError};

/// What a caller can do about an error. A caller that treats all operations alike, for instance a gateway
/// that turns errors into status codes, branches on this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The answer could not be known without waiting; nothing was decided or changed. Make the same call
    /// again, as soon as the message says: see [`retry`](crate::retry).
    Busy,
    /// Another call with the same op key is being decided. Make the same call again to get its result.
    InProgress,
    /// There is not enough stock, or the sale is stopped or not open. The answer is final; nothing was
    /// changed.
    Refused,
    /// The request can never be granted: a quantity, a TTL, a moment, a reference or a name out of range, or a
    /// stock key of another directory. Correct it.
    InvalidInput,
    /// No hold has this id, or it is forgotten; or no stock key has this name.
    NotFound,
    /// The deadline of the hold had passed. Reserve again.
    Expired,
    /// The request contradicts what is there: the hold's state or lines, the stock, or an op key that was
    /// used before. Read the state first.
    Conflict,
    /// A limit on how many there may be is reached. Raise the limit that the message names, or wait until
    /// some end.
    Full,
    /// The engine takes no more operations. Open the directory again.
    Stopped,
    /// The operation was decided and may be lost. Open the directory again and repeat the call with the same
    /// op key.
    OutcomeUnknown,
}

/// The error of an operation. Code that handles any of them asks through this trait; each error also has the
/// methods as its own, so that a caller with one error at hand needs no import.
///
/// ```
/// use stockhold::error::{ErrorKind, OperationError};
///
/// fn status_code(error: &impl OperationError) -> u16 {
///     match error.kind() {
///         ErrorKind::InvalidInput => 400,
///         ErrorKind::NotFound => 404,
///         ErrorKind::Refused | ErrorKind::Conflict => 409,
///         ErrorKind::Expired => 410,
///         ErrorKind::Busy | ErrorKind::InProgress | ErrorKind::Full => 503,
///         _ => 500,
///     }
/// }
///
/// # use stockhold::{Config, Engine, Reserve};
/// # let engine = Engine::in_memory(Config::default())?;
/// let poster = engine.declare("poster", "berlin")?;
/// let error = engine.reserve(Reserve::units(poster, 1)).unwrap_err();
/// assert_eq!(status_code(&error), 409);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait OperationError: std::error::Error {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// The cause, if it is one that operations share.
    fn shared(&self) -> Option<&SharedError>;

    /// Whether the answer could not be known without waiting. Nothing was decided or changed; the same call
    /// may be made again as soon as the message says.
    fn is_busy(&self) -> bool {
        self.kind() == ErrorKind::Busy
    }

    /// Whether the same call can be answered in a moment, without a change of a setting: the error is `Busy`,
    /// except for a full table of op keys, or another call with the same op key is being decided.
    /// [`retry`](crate::retry) repeats such calls.
    fn is_transient(&self) -> bool {
        let full = matches!(self.shared(), Some(SharedError::Busy(Busy::OpKeysFull)));
        !full && matches!(self.kind(), ErrorKind::Busy | ErrorKind::InProgress)
    }
}

/// Implements [`OperationError`] for an error and gives it the same methods as its own. `kind` is a closure
/// that names the [`ErrorKind`] of each variant. An error without `shared` has the variant `Shared`, and `?`
/// turns every shared cause into it.
macro_rules! operation_error {
    ($name:ident, kind: $kind:expr) => {
        operation_error!($name, kind: $kind, shared: |error| match error {
            $name::Shared(shared) => Some(shared),
            _ => None,
        });
        operation_error!(@from $name: Busy, OpKeyError, Stopped, QuantityError, TimeError);
    };
    (@from $name:ident: $($cause:ident),*) => {
        $(impl From<$crate::error::$cause> for $name {
            fn from(cause: $crate::error::$cause) -> Self {
                $name::Shared(cause.into())
            }
        })*
    };
    ($name:ident, kind: $kind:expr, shared: $shared:expr) => {
        impl $crate::error::OperationError for $name {
            fn kind(&self) -> $crate::error::ErrorKind {
                let kind: fn(&$name) -> $crate::error::ErrorKind = $kind;
                kind(self)
            }

            fn shared(&self) -> Option<&$crate::error::SharedError> {
                let shared: fn(&$name) -> Option<&$crate::error::SharedError> = $shared;
                shared(self)
            }
        }

        impl $name {
            /// What the caller can do about it.
            pub fn kind(&self) -> $crate::error::ErrorKind {
                $crate::error::OperationError::kind(self)
            }

            /// The cause, if it is one that operations share.
            pub fn shared(&self) -> Option<&$crate::error::SharedError> {
                $crate::error::OperationError::shared(self)
            }

            /// Whether the answer could not be known without waiting. Nothing was decided or changed; the
            /// same call may be made again as soon as the message says.
            pub fn is_busy(&self) -> bool {
                $crate::error::OperationError::is_busy(self)
            }

            /// Whether the same call can be answered in a moment. See
            /// [`OperationError::is_transient`](crate::error::OperationError::is_transient).
            pub fn is_transient(&self) -> bool {
                $crate::error::OperationError::is_transient(self)
            }
        }
    };
}
pub(super) use operation_error;

#[cfg(test)]
mod tests {
    use super::super::{self as error, Busy, LookupError, OpKeyError, ReserveError, StockError, Stopped};
    use super::{ErrorKind, OperationError, SharedError};
    use crate::types::Position;

    fn asked(error: &dyn OperationError) -> (ErrorKind, bool, bool, bool) {
        (error.kind(), error.is_busy(), error.is_transient(), error.shared().is_some())
    }

    #[test]
    fn any_error_says_its_kind_and_whether_to_repeat_the_call() {
        for (error, expected) in [
            (&StockError::from(Busy::Pending) as &dyn OperationError, (ErrorKind::Busy, true, true, true)),
            (&StockError::from(Busy::OpKeysFull), (ErrorKind::Busy, true, false, true)),
            (&ReserveError::from(OpKeyError::InProgress), (ErrorKind::InProgress, false, true, true)),
            (&ReserveError::from(OpKeyError::OtherContent), (ErrorKind::Conflict, false, false, true)),
            (&SharedError::from(Stopped::ShutDown), (ErrorKind::Stopped, false, false, true)),
            (&ReserveError::HoldsFull { holds_max: 1 }, (ErrorKind::Full, false, false, false)),
            (&LookupError::Changing, (ErrorKind::Busy, true, true, false)),
            (&LookupError::Forgotten, (ErrorKind::NotFound, false, false, false)),
        ] {
            assert_eq!(asked(error), expected, "{error}");
        }
        let unknown = error::OutcomeUnknown { position: Position(1), cause: Stopped::ShutDown };
        assert_eq!(asked(&unknown), (ErrorKind::OutcomeUnknown, false, false, false));
    }
}
