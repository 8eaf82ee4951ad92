//! One door to atomics: std's in earnest, loom's when every interleaving is explored
//! (`RUSTFLAGS="--cfg stockhold_loom"`). Protocol code takes its atomics from here and nowhere else.

#[cfg(stockhold_loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    thread::yield_now,
};
#[cfg(not(stockhold_loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    thread::yield_now,
};

/// How long a decision puts up with an answer that cannot be known yet, before it is `Busy`.
///
/// First it spins, for what another core finishes in nanoseconds; then it yields, for a thread that was
/// descheduled on this core. Either way it ends: a decision never waits for another thread.
pub(crate) struct Patience {
    rounds: u32,
}

/// Rounds that only spin.
const SPINS: u32 = if cfg!(stockhold_loom) { 0 } else { 64 };
/// Rounds in all. Under loom one is enough to reach every branch.
const ROUNDS_MAX: u32 = if cfg!(stockhold_loom) { 1 } else { 512 };

impl Patience {
    pub(crate) fn new() -> Self {
        Patience { rounds: 0 }
    }

    /// Passes a moment; `false` once patience is spent.
    pub(crate) fn last(&mut self) -> bool {
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
