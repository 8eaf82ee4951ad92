//! One idea: after a failed write the engine takes nothing new.

use std::sync::{Arc, OnceLock};

use crate::error::Stopped;

/// Why the log failed, once it has. The first cause stays, and outweighs a shutdown: one that could not make
/// everything durable has to say so.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<Arc<str>>,
}

impl Poison {
    /// The log failed.
    pub(crate) fn fail(&self, cause: &str) {
        let _ = self.cause.set(Arc::from(cause));
    }

    /// Why the engine takes nothing new. Asked only once the ring is closed: by a failure, or by a shutdown.
    pub(crate) fn cause(&self) -> Stopped {
        self.cause.get().map_or(Stopped::ShutDown, |cause| Stopped::Poisoned(Arc::clone(cause)))
    }
}
