//! The store of chunks: the few operations that the log needs of it, and their errors.
//!
//! Invariants every store keeps:
//! - Chunks are kept by start position, byte for byte.
//! - `append` promises nothing until `sync` has returned; after it, every chunk appended before survives loss
//!   of power.
//! - After any failed `append`, `flush`, `sync` or `remove_below` the store is dead: every later call that
//!   writes fails with [`StoreError::Dead`]. A failed sync is never retried, because the kernel reports it
//!   only once and may already have dropped what it could not write.

use std::io;

use thiserror::Error;

use crate::creation::PathError;

/// A store of chunks, used by one thread.
pub(crate) trait Store: Send {
    /// Keeps a chunk under its start position. Not durable before [`sync`](Store::sync).
    fn append(&mut self, start: u64, chunk: &[u8]) -> Result<(), StoreError>;
    /// Hands the appended chunks to the operating system: they survive the end of the process, but not a loss
    /// of power.
    fn flush(&mut self) -> Result<(), StoreError>;
    /// Makes the appended chunks durable.
    fn sync(&mut self) -> Result<(), StoreError>;
    /// Removes chunks that start before `position`, in order and at most `chunks_max`; returns how many. Not
    /// durable before [`sync`](Store::sync).
    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError>;
    /// Whether its file still has a name. A sync of a removed file succeeds, and keeps nothing. Cost: one
    /// system call.
    fn has_name(&self) -> io::Result<bool>;
    /// Makes everything durable and closes the files. A close is orderly only if this has succeeded.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Why an operation of a store failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StoreError {
    #[error("the disk is full ({doing}): free space, then open the directory again")]
    Full { doing: String },
    #[error("the disk failed ({doing}): {advice}, then open the directory again")]
    Io { doing: String, advice: &'static str },
    #[error(
        "the directory was removed, moved or replaced while an engine had it open ({details}), so nothing more is \
         acknowledged: put it back or restore a backup, then open it again"
    )]
    Gone { details: String },
    #[error("the log's store is damaged: {details}")]
    Corrupt { details: String },
    #[error("the log's store stopped after an earlier failure ({cause}): open the directory again")]
    Dead { cause: String },
}

impl StoreError {
    /// The error of an operation on a file; `doing` says which, as part of a sentence ("syncing /x/db").
    pub(crate) fn io(doing: impl Into<String>, error: &io::Error) -> Self {
        let doing = format!("{}: {error}", doing.into());
        match error.kind() {
            io::ErrorKind::StorageFull => Self::Full { doing },
            _ => Self::Io { doing, advice: advice(error) },
        }
    }
}

/// What the operator should do about an error of the operating system, as part of a sentence.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let error = match error.get_ref().and_then(|inner| inner.downcast_ref::<PathError>()) {
        Some(of_path) => &of_path.error,
        None => error,
    };
    match error.kind() {
        io::ErrorKind::StorageFull => "free space",
        io::ErrorKind::QuotaExceeded => "free space, or raise the quota",
        io::ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system for writing",
        io::ErrorKind::PermissionDenied => "give this process the permission to use it",
        _ => match error.raw_os_error() {
            Some(EMFILE) => "raise this process's limit of open files (ulimit -n)",
            Some(ENFILE) => "raise the system's limit of open files (fs.file-max)",
            _ => "look at the system's log",
        },
    }
}
