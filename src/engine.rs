//! The facade: a handle, and what it keeps alive. Its methods, one an operation, are in `facade`.

mod batch;
pub(crate) mod cart;
mod checkpoint;
mod content;
pub(crate) mod core;
mod expire;
mod facade;
mod lookup;
pub(crate) mod open;
#[cfg(fuzzing)]
pub(crate) use open::restore;
pub(crate) mod auto_ship;
mod hold_ops;
mod hold_record;
mod query;
mod rebuild;
mod replace;
mod replay_target;
pub(crate) mod reserve;
mod selection;
mod stock;
#[cfg(all(test, not(stockhold_loom)))]
mod tests;
mod threads;
pub(crate) mod transition;
mod verify;

use std::fmt;
use std::sync::Arc;

use self::core::Core;
pub use self::open::OpenReport;
use self::threads::Threads;
pub use self::verify::Verified;
use crate::error::{OutcomeUnknown, Stopped};
use crate::types::Position;

/// The engine: a cheap handle, `Clone + Send + Sync`. The last one dropped shuts down in order.
///
/// Every operation takes its time from the engine's [`Clock`](crate::Clock), once, at its start, steered towards the wall
/// by [these rules](crate::clock).
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    report: OpenReport,
    threads: Threads,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("directory_id", &self.inner.report.directory_id)
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn shutdown(&self) -> Result<(), OutcomeUnknown> {
        let log = &self.core.log;
        if self.core.stopped().is_ok() {
            self.core.time.close(); // while the directory is ours
        }
        log.ring.close();
        log.bell.ring();
        self.threads.join();
        match log.poison.cause() {
            Stopped::ShutDown => Ok(()),
            cause => Err(OutcomeUnknown { position: Position(log.ring.drawn()), cause }),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.shutdown(); // whoever wants to know calls it by hand
    }
}

const _: fn() = || {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Engine>();
};
