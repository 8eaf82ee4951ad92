//! An engine that takes no more operations, and decisions that it may have lost.

use std::sync::Arc;

use super::ErrorKind;
use super::operation::operation_error;
use crate::types::Position;

/// The engine takes no more operations.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The log failed. Nothing new is accepted; reads go on.
    #[error(
        "the log has failed ({0}); nothing new is accepted: mend the cause and open the directory again, then \
         ask again with the same op key for every outcome that is unknown"
    )]
    Poisoned(Arc<str>),
    /// The engine was shut down.
    #[error("the engine was shut down; open the directory again")]
    ShutDown,
}

/// A decision that was made did not become durable before the log failed: its outcome is unknown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "position {position} did not become durable ({cause}); its outcome is unknown: open the directory again and \
     ask again with the same op key"
)]
pub struct OutcomeUnknown {
    /// The position of the decision in the log.
    pub position: Position,
    /// Why the engine takes no more operations.
    pub cause: Stopped,
}

operation_error!(OutcomeUnknown, kind: |_| ErrorKind::OutcomeUnknown, shared: |_| None);
