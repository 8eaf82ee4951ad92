//! One clock for the engine and the recording.

use stockhold::{Clock, Timestamp};
use stockhold_check::Stopwatch;

const ORIGIN_MS: u64 = 1_700_000_000_000;

#[derive(Clone, Copy)]
pub(crate) struct SharedClock(pub Stopwatch);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        Timestamp(ORIGIN_MS + self.0.now_ns() / 1_000_000)
    }
}

/// A deadline on the recording clock: the start of the engine's millisecond.
pub(crate) fn deadline_ns(deadline: Timestamp) -> u64 {
    deadline.0.saturating_sub(ORIGIN_MS).saturating_mul(1_000_000)
}
