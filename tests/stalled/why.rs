//! Why there was no answer.

use stockhold::RefusalReason;
use stockhold::error::{Busy, ConfirmError, HoldError, ReplaceError, ReserveError, SharedError, StockError};

/// Why there was no answer, or which.
pub trait Why {
    fn busy(&self) -> Option<Busy>;
}

macro_rules! why {
    ($($error:ident),*) => { $(impl Why for $error {
        fn busy(&self) -> Option<Busy> {
            if let $error::Shared(SharedError::Busy(busy)) = self { Some(*busy) } else { None }
        }
    })* };
}

why!(ReserveError, ConfirmError, HoldError, ReplaceError, StockError);

pub fn is_out<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock)
}
