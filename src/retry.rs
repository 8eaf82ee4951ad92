//! Makes a call until it is answered.
//!
//! A decision never waits for another thread. If the answer depends on one that is in the middle of a change,
//! the call returns a *transient* error ([`OperationError::is_transient`]) instead, mostly
//! [`Busy`](crate::error::Busy), and the caller makes it again. How it waits in between matters: a caller
//! that only spins can keep the other thread from its core. So the wait is written once, here.
//!
//! ```
//! use std::time::Duration;
//! use stockhold::retry::Retry;
//! use stockhold::{Config, Engine, Receive, Reserve};
//! # let engine = Engine::in_memory(Config::default())?;
//! # let key = engine.declare("poster", "berlin")?;
//! # engine.receive(Receive::units(key, 1))?.wait()?;
//!
//! let patient = Retry::default().give_up_after(Duration::from_millis(50));
//! let reserved = patient.call(|| engine.reserve(Reserve::units(key, 1)))?.wait()?;
//! # let _ = reserved;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An asynchronous caller awaits its runtime's timer instead of blocking a thread here.

use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::OperationError;

/// Makes `call` until it succeeds or fails with an error that is not transient. The same as [`Retry::call`]
/// of the default.
pub fn until_answered<T, E: OperationError>(call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    Retry::default().call(call)
}

/// How a call is repeated while its error is transient.
///
/// By default, without end: the first eight waits spin, for twice as long each, since most changes of other
/// threads end within a microsecond; the next eight yield the core; each later one sleeps, from 50 µs to 800
/// µs.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "nothing is called until Retry::call"]
pub struct Retry {
    yields_only: bool,
    give_up_after: Option<Duration>,
}

impl Retry {
    /// Waits by yielding the core alone, without a spin or a sleep: for a caller that measures how long
    /// answers take, and has about as many threads as cores.
    pub fn yielding() -> Self {
        Retry { yields_only: true, ..Retry::default() }
    }

    /// Returns the transient error once this time has passed since the first attempt failed. Default = never.
    pub fn give_up_after(mut self, patience: Duration) -> Self {
        self.give_up_after = Some(patience);
        self
    }

    /// Makes `call` until it succeeds, fails with an error that is not transient, or the time to give up has
    /// come. Blocks between attempts.
    pub fn call<T, E: OperationError>(&self, call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        self.call_while(E::is_transient, call)
    }

    /// The same for any error: makes `call` until it succeeds, `is_transient` says no of its error, or the
    /// time to give up has come. For a call that is made of several operations.
    pub fn call_while<T, E>(
        &self,
        is_transient: impl Fn(&E) -> bool,
        mut call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut failed_at = None;
        let mut failures = 0_u32;
        loop {
            let answer = call();
            if !answer.as_ref().is_err_and(&is_transient) {
                return answer;
            }
            if let Some(patience) = self.give_up_after
                && failed_at.get_or_insert_with(Instant::now).elapsed() >= patience
            {
                return answer;
            }
            self.wait(failures);
            failures = failures.saturating_add(1);
        }
    }

    fn wait(&self, failures: u32) {
        match failures {
            _ if self.yields_only => thread::yield_now(),
            0..8 => (0..1 << failures).for_each(|_| spin_loop()),
            8..16 => thread::yield_now(),
            _ => thread::sleep(Duration::from_micros(50 << (failures - 16).min(4))),
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::error::{Busy, OpKeyError, ReserveError, StockError};

    #[test]
    fn a_transient_error_is_no_answer_and_anything_else_is() {
        for retry in [Retry::default(), Retry::yielding()] {
            for error in [StockError::from(Busy::Pending), OpKeyError::InProgress.into()] {
                let mut left = 20;
                let answer = retry.call(|| {
                    left -= 1;
                    if left == 0 { Ok("done") } else { Err(error.clone()) }
                });
                assert_eq!(answer, Ok("done"));
            }
        }
        let full = || Err::<(), StockError>(Busy::OpKeysFull.into());
        assert_eq!(until_answered(full), full());
        let other = || Err::<(), ReserveError>(OpKeyError::OtherContent.into());
        assert_eq!(until_answered(other), other());
    }

    #[test]
    fn it_gives_up_when_the_time_is_over() {
        let busy = || Err::<(), StockError>(Busy::LogBehind.into());
        assert_eq!(Retry::default().give_up_after(Duration::from_millis(5)).call(busy), busy());
        let mut calls = 0;
        let _ = Retry::default().give_up_after(Duration::ZERO).call(|| {
            calls += 1;
            busy()
        });
        assert_eq!(calls, 1);
    }
}
