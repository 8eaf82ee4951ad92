//! The atomics of all protocol code: std's, or loom's when every interleaving is explored
//! (`RUSTFLAGS="--cfg stockhold_loom"`). Protocol code imports its atomics from here alone.

#[cfg(stockhold_loom)]
mod explored;

#[cfg(stockhold_loom)]
pub(crate) use {
    explored::{AtomicBool, AtomicU32, AtomicU64, OnceLock, TryMutex},
    loom::{
        hint::spin_loop,
        sync::atomic::{Ordering, fence},
        thread::{self, yield_now},
    },
};
#[cfg(not(stockhold_loom))]
pub(crate) use {
    parking_lot::Mutex as TryMutex,
    std::{
        hint::spin_loop,
        sync::{
            OnceLock,
            atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
        },
        thread::{self, yield_now},
    },
};

/// Sleeps until another thread unparks this one, at most for `nap`.
#[cfg(not(stockhold_loom))]
pub(crate) fn park_timeout(nap: std::time::Duration) {
    thread::park_timeout(nap);
}

/// Loom has no time: a nap never ends by itself, so a missed wake-up is a deadlock, which loom reports.
#[cfg(stockhold_loom)]
pub(crate) fn park_timeout(_nap: std::time::Duration) {
    thread::park();
}

/// How long a decision retries while its answer cannot be known yet, before it returns `Busy`.
///
/// First it spins, for a change that another core finishes in nanoseconds; then it yields, for a thread that
/// was descheduled on this core. The number of rounds is bounded: a decision never waits for another thread.
pub(crate) struct Patience {
    rounds: u32,
}

/// Rounds that only spin.
const SPINS: u32 = if cfg!(stockhold_loom) { 0 } else { 64 };
/// Rounds in all. Under loom one is enough to reach every branch.
const ROUNDS_MAX: u32 = if cfg!(stockhold_loom) { 1 } else { 2_048 };

impl Patience {
    pub(crate) fn new() -> Self {
        Patience { rounds: 0 }
    }

    /// Waits one round; `false` once all rounds are used.
    pub(crate) fn spin_once(&mut self) -> bool {
        if self.rounds == ROUNDS_MAX {
            return false;
        }
        self.rounds += 1;
        if self.rounds <= SPINS {
            spin_loop()
        } else {
            yield_now()
        }
        true
    }
}
