//! Errors of what is done with a whole directory: open, checkpoint, back up, verify, salvage.

use std::path::PathBuf;
use std::sync::Arc;

use super::Stopped;
use crate::config::ConfigError;
use crate::types::Position;

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no stockhold directory. An inspection returns this; an engine makes one instead.
    #[error("{0}")]
    Missing(String),
    /// The directory holds something else.
    #[error("{0}")]
    Foreign(String),
    /// The directory was written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// Another process, or another engine in this one, has the directory open.
    #[error("{message}")]
    InUse {
        /// The process, if it is known.
        pid: Option<u32>,
        /// The whole sentence.
        message: String,
    },
    /// The directory is damaged, or lacks acknowledged decisions. Nothing was changed.
    #[error("{message}")]
    Damaged {
        /// The position up to which the log can be read, if that is known.
        readable: Option<Position>,
        /// The whole sentence.
        message: String,
    },
    /// The operating system failed.
    #[error("{0}")]
    Io(String),
    /// `Durability::Memory` keeps nothing, so a directory makes no sense with it.
    #[error("Durability::Memory keeps nothing on disk: use Engine::in_memory, or another durability for {0}")]
    MemoryWithDirectory(PathBuf),
    /// A background thread could not be started.
    #[error("a background thread could not be started ({0}); raise the limit of threads")]
    Thread(String),
}

/// Why a checkpoint was not made. The log is complete without it; the next opening replays more of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The engine is in memory.
    #[error("an engine in memory keeps nothing; open a directory to have checkpoints and backups")]
    InMemory,
    /// The checkpoint could not be written. The engine tries again by itself, in growing pauses, and at once when
    /// a caller asks for one.
    #[error("no checkpoint could be made: {0}")]
    Failed(Arc<str>),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a backup was not made. The engine goes on as before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The target exists, or lies in the directory itself.
    #[error("{0}")]
    Exists(String),
    /// The directory contradicts itself, so there is no state to copy.
    #[error("{0}: restore the directory from a backup, or salvage it into a new one")]
    Damaged(String),
    /// There is no checkpoint to copy.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The backup could not be written.
    #[error("the backup is not complete: {0}")]
    Failed(String),
}

/// The log is intact, but an entry of it contradicts an earlier one: a promise is broken there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the log's entry at position {position} contradicts what lies before it: {what}")]
#[non_exhaustive]
pub struct Drift {
    /// The position of the first such entry.
    pub position: Position,
    /// The contradiction, as a sentence.
    pub what: String,
}

/// What a running engine's [`verify`](crate::Engine::verify) found, or why it could not look.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A promise is broken.
    #[error(transparent)]
    Drift(#[from] Drift),
    /// A file on the disk is not what was written. The engine does not need it to go on; an opening would.
    #[error("{0}")]
    Damaged(String),
    /// There is no checkpoint to begin with.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The operating system failed.
    #[error("{0}")]
    Io(String),
    /// The engine takes no more operations.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why nothing was salvaged. The source is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The source is not a stockhold directory, in use, of a newer format, or cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The target exists, or lies in the source.
    #[error("{0}")]
    Exists(String),
    /// Nothing can be proven, so no new directory was made.
    #[error("nothing can be salvaged: {0}: restore the directory from a backup")]
    Nothing(String),
    /// The new directory could not be written, or is not what it should be.
    #[error("the salvage is not complete: {0}")]
    Failed(String),
}
