//! `Busy` is no answer: asking again until there is one.

use std::thread;
use std::time::Duration;

use stockhold::error::{Busy, ConfirmError, HoldError, OpKeyError, ReserveError, SharedError, StockError};

/// An operation's error, seen for what all operations share.
pub trait Shared {
    /// The shared cause, if it is one.
    fn shared(&self) -> Option<&SharedError>;
}

macro_rules! shared {
    ($($error:ident),*) => {
        $(impl Shared for $error {
            fn shared(&self) -> Option<&SharedError> {
                match self {
                    $error::Shared(common) => Some(common),
                    _ => None,
                }
            }
        })*
    };
}

shared!(ReserveError, ConfirmError, HoldError, StockError);

/// Whether the same call may have an answer in a moment. A full table of op keys never empties here, since replay
/// keeps them for good: that one is an answer.
fn passes(cause: &SharedError) -> bool {
    match cause {
        SharedError::Busy(Busy::OpKeysFull) => false,
        SharedError::Busy(_) | SharedError::OpKey(OpKeyError::InProgress) => true,
        _ => false,
    }
}

/// Makes `call` until it is answered.
pub fn until_answered<T, E: Shared>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut tries = 0_u32;
    loop {
        match call() {
            Err(error) if error.shared().is_some_and(passes) => {
                // What is pending for a few instructions is there after a spin; a log that is behind takes longer.
                match tries {
                    0..8 => (0..1 << tries).for_each(|_| std::hint::spin_loop()),
                    8..16 => thread::yield_now(),
                    _ => thread::sleep(Duration::from_micros(50 << (tries - 16).min(4))),
                }
                tries = tries.saturating_add(1);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_asked_again_and_anything_else_is_an_answer() {
        let mut left = 20;
        let busy_20_times = || -> Result<&str, StockError> {
            left -= 1;
            if left == 0 { Ok("done") } else { Err(Busy::Pending.into()) }
        };
        assert_eq!(until_answered(busy_20_times), Ok("done"));

        let full = || Err::<(), StockError>(Busy::OpKeysFull.into());
        assert_eq!(until_answered(full), full());
        let other = || Err::<(), ReserveError>(OpKeyError::OtherContent.into());
        assert_eq!(until_answered(other), other());
    }
}
