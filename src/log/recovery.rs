//! Opening a log: what a directory holds, what of it can be believed, and what has to be cut.

use std::path::Path;

use super::{
    chunk::ChunkHeader,
    store::{Store, StoreError},
};

/// A log that may be appended to, at `end`.
pub(crate) struct OpenLog {
    pub(crate) store: Box<dyn Store>,
    /// Position of the next chunk.
    pub(crate) end: u64,
    /// What the next chunk names as `previous`.
    pub(crate) last_hash: u64,
    /// The epoch of this opening, above every one seen.
    pub(crate) epoch: u32,
}

impl OpenLog {
    /// Opens or creates the log in `dir`. Hands `fold` every chunk of every committed group, in order.
    pub(crate) fn open(
        _dir: &Path,
        _fold: &mut dyn FnMut(&ChunkHeader, &[u8]) -> Result<(), String>,
    ) -> Result<Self, StoreError> {
        Err(StoreError::Dead { cause: "not built yet".into() })
    }
}
