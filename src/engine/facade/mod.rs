//! The [`Engine`]: a handle, and its operations by what they are about, each reading like the diagram on the
//! crate's front page.

// In the order in which the documentation shows them.
mod directory;
mod names;
mod sales;

mod holds;
mod stock;

mod queries;

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::open::OpenReport;
use super::threads::Threads;
use crate::error::{OpKeyError, OutcomeUnknown, SharedError, Stopped};
use crate::types::Position;

/// The engine: a cheap handle, `Clone + Send + Sync`. The last one dropped shuts down in order.
///
/// Every operation takes its time from the engine's [`Clock`](crate::Clock), once, at its start, steered
/// towards the wall by [these rules](crate::clock).
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

/// What all handles of one engine keep alive.
pub(super) struct Inner {
    pub(super) core: Arc<Core>,
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
        let _ = self.shutdown(); // a caller that wants the result calls `Engine::shutdown`
    }
}

const _: fn() = || {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Engine>();
};

/// An answer of another kind than the operation's: a hash collision, answered as other content.
fn wrong_answer_kind<T, E: From<SharedError>>() -> Result<T, E> {
    Err(SharedError::OpKey(OpKeyError::OtherContent).into())
}
