//! The machine's own clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, Timestamp};

/// The machine's monotonic clock, anchored to the wall clock when it is made. The default.
///
/// It does not follow the wall clock afterwards: a wall clock that is set during a sale moves no deadline.
#[derive(Debug)]
pub struct SystemClock {
    anchor: Instant,
    anchor_ms: u64,
}

impl SystemClock {
    /// Anchored now.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SystemClock { anchor: Instant::now(), anchor_ms: wall.as_millis() as u64 }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.anchor.elapsed();
        Timestamp(self.anchor_ms + elapsed.as_secs() * 1_000 + u64::from(elapsed.subsec_millis()))
    }
}
