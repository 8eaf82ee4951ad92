//! A round that never ends is a breach too: no thread in the engine waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Ends the process with exit code 1 if a round takes too long.
pub(crate) struct Watchdog {
    rounds: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts the watchdog. `again` gives the command that repeats the round of a seed.
    pub(crate) fn new(
        round_max: Duration,
        first: u64,
        again: impl Fn(u64) -> String + Send + 'static,
    ) -> Watchdog {
        let rounds = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&rounds);
        thread::spawn(move || {
            let mut last = 0;
            loop {
                thread::sleep(round_max);
                // Relaxed: only the number matters, no other memory depends on it.
                let now = seen.load(Ordering::Relaxed);
                if now == last {
                    println!("\na round has not ended in {round_max:?}\n{}", again(first.wrapping_add(now)));
                    std::process::exit(1);
                }
                last = now;
            }
        });
        Watchdog { rounds }
    }

    pub(crate) fn round_ended(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }
}
