//! A clock for tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::timestamp::millis_ceil;
use super::{Clock, Timestamp};

/// A clock that stands still until a test moves it. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl ManualClock {
    /// Starts at `now`. An engine does not open with a time outside the years 2020 to 2078.
    pub fn new(now: Timestamp) -> Self {
        ManualClock { now_ms: AtomicU64::new(now.0) }
    }

    /// Moves the time ahead.
    pub fn advance(&self, by: Duration) {
        // SeqCst: a test that moves time in one thread and reserves in another expects one order of both.
        self.now_ms.fetch_add(millis_ceil(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }
}
