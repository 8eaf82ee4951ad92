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

    /// Moves the time ahead. Saturates.
    pub fn advance(&self, by: Duration) {
        let later = |now_ms: u64| Some(now_ms.saturating_add(millis_ceil(by)));
        // SeqCst: a test that moves time in one thread and reserves in another expects one order of both.
        let _ = self.now_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }
}
