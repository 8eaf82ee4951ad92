//! Thousands of crashes a minute: the engine as it is, in one thread, on a simulated disk.
//!
//! A seed becomes a list of steps ([`schedule`]): what clients ask, time, turns of the log, the fold and the
//! checkpoints, troubles of the disk, and ends of the process or the power, also between any two calls to the
//! disk. The [`simulator`] does them, one after the other, on the engine without its threads; nothing but the
//! seed decides. The [`disk`] knows what was synced, and loses of the rest what the seed says; [`damage`]
//! spoils what was. The [`book`] is the contract's model (`crates/model`): each operation is done with it and
//! with the engine, and the [`auditor`] compares the two.
//!
//! # What is judged
//!
//! - every answer, at once: with one client at a time the model knows whether there is a hold or a refusal;
//! - every opening: it ends at a place in the log where an operation ended, no lower than what was
//!   acknowledged, and is in everything what the book was there; op keys answer what they did, word by word;
//! - every opening of a damaged directory: the same, or refused; not refused if all that is needed is there.
//!
//! Not simulated: sled, the directory's creation and lock, engine time. The code that decides on bytes is the
//! engine's own ([`recover`](crate::log::recovery::recover) and all that it calls).
//!
//! ```text
//! tests/simulate.sh              without end; tests/simulate.sh 10 for ten minutes; a short one is in the tests
//! tests/simulate.sh seed N       one run again: what failed, and the fewest steps in which it still does
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

/// The length up to which an opening copies an older store and removes it, if this thread simulates.
pub(crate) fn copied_bytes_max() -> Option<u64> {
    COPIED_BYTES_MAX.get()
}

/// The client for which this thread works now, if it simulates. It stands for the number of a thread.
pub(crate) fn steered() -> Option<usize> {
    CLIENT.get()
}

fn steer(client: Option<usize>) {
    CLIENT.set(client);
}
