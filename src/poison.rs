//! Why the log failed: after a failed write the engine accepts no new operation.

use std::sync::{Arc, OnceLock};

use crate::error::Stopped;

/// The first cause of a failure of the log. It is reported in place of a shutdown, too: a shutdown that could
/// not make everything durable must say so.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<Arc<str>>,
}

impl Poison {
    /// Records that the log failed.
    pub(crate) fn fail(&self, cause: &str) {
        let _ = self.cause.set(Arc::from(cause));
    }

    /// Why the engine accepts nothing new. Called only once the ring is closed: by a failure, or by a
    /// shutdown.
    pub(crate) fn cause(&self) -> Stopped {
        self.cause.get().map_or(Stopped::ShutDown, |cause| Stopped::Poisoned(Arc::clone(cause)))
    }
}
