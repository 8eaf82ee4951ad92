//! One idea: after a failed write the engine takes nothing new.

use std::sync::{Arc, OnceLock};

use crate::error::Stopped;

/// Why the engine stopped, once it has. The first cause stays.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<Stopped>,
}

impl Poison {
    /// The log failed.
    pub(crate) fn fail(&self, cause: &str) {
        let _ = self.cause.set(Stopped::Poisoned(Arc::from(cause)));
    }

    /// The engine was shut down.
    pub(crate) fn shut_down(&self) {
        let _ = self.cause.set(Stopped::ShutDown);
    }

    /// Why the engine takes nothing new. Asked only once the ring is closed.
    pub(crate) fn cause(&self) -> Stopped {
        self.cause.get().cloned().unwrap_or(Stopped::ShutDown)
    }
}
