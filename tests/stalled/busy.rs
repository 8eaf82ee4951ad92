//! The cause of an error, if it is `Busy`.

use stockhold::RefusalReason;
use stockhold::error::{Busy, OperationError, ReserveError, SharedError};

pub trait BusyCause {
    /// The kind of `Busy`, if it is one.
    fn busy(&self) -> Option<Busy>;
}

impl<E: OperationError> BusyCause for E {
    fn busy(&self) -> Option<Busy> {
        if let Some(SharedError::Busy(busy)) = self.shared() { Some(*busy) } else { None }
    }
}

/// Whether a reserve was refused because stock was out.
pub fn is_out_of_stock<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock)
}
