//! Thousands of crashes a minute: the engine as it is, in one thread, on a simulated disk.
//!
//! A seed becomes a list of steps ([`schedule`]): what clients ask, time, turns of the log, the fold and the
//! checkpoints, failures of the disk, and ends of the process or the power, also between any two calls to the
//! disk. The [`simulator`] does them, one after the other, on the engine without its threads; everything
//! follows from the seed. The [`disk`] tracks what was synced, and a crash loses some of the rest; [`damage`]
//! alters synced bytes. The [`book`] is the contract's model (`crates/model`): each operation is done with it
//! and with the engine, and the [`auditor`] compares the two.
//!
//! # What is judged
//!
//! - every answer, at once: with one client at a time the model knows whether there is a hold or a refusal;
//! - every opening: it ends at a position where an operation ended, and not below what was acknowledged; its
//!   state equals the book at that position; used op keys get exactly the same answers again;
//! - every opening of a damaged directory: the same, or a refusal; none if all that is needed is intact.
//!
//! Not simulated: sled, the directory's creation and lock, engine time. The code that decides on bytes is the
//! engine's own ([`recover`](crate::log::recovery::recover) and all that it calls).
//!
//! ```text
//! tests/simulate.sh              without end; tests/simulate.sh 10 for ten minutes; a short one is a test
//! tests/simulate.sh seed N       one run again: what failed, and the shortest schedule found that fails
//! tests/simulate.sh faults       planted bugs, each of which must be caught
//! ```

mod auditor;
mod book;
#[path = "../../../tests/model/client.rs"]
mod client;
mod counts;
mod damage;
mod disk;
mod ending;
mod folder;
mod run;
mod schedule;
mod simulator;
mod storage;

use std::cell::Cell;

/// The library, as the model test names it too.
use crate as library;

thread_local! {
    static CLIENT: Cell<Option<usize>> = const { Cell::new(None) };
}

thread_local! {
    static COPIED_BYTES_MAX: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The bytes up to which an opening copies an older store and removes it; `None` outside of a simulation.
pub(crate) fn copied_bytes_max() -> Option<u64> {
    COPIED_BYTES_MAX.get()
}

/// The client for which this thread works now, in place of a thread's number; `None` outside of a simulation.
pub(crate) fn steered() -> Option<usize> {
    CLIENT.get()
}

fn steer(client: Option<usize>) {
    CLIENT.set(client);
}
