//! The reason why a call has no answer.

use stockhold::RefusalReason;
use stockhold::error::{Busy, OperationError, ReserveError, SharedError};

pub trait Why {
    /// Which `Busy` it is, if it is one.
    fn busy(&self) -> Option<Busy>;
}

impl<E: OperationError> Why for E {
    fn busy(&self) -> Option<Busy> {
        if let Some(SharedError::Busy(busy)) = self.shared() { Some(*busy) } else { None }
    }
}

pub fn is_out<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock)
}
