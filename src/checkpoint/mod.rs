//! Checkpoints: the state at a position of the log, in files of its own. An opening reads the newest
//! checkpoint and only the log after it, so older records can be cut off the log.
//!
//! In the order of the data flow: a [`window`] of the log becomes short runs of entries ([`entry`], [`rows`],
//! [`run`]). A run that has grown as large as the one before is merged with it ([`merge`]). A [`manifest`]
//! names the runs that together are the state. [`manifest_set`] keeps the last two manifests and their runs.
//! [`thread`] makes checkpoints while the engine runs, and [`load`] reads one back. A [`full_state`]
//! checkpoint is written from a whole state instead of a window; [`seed`] starts a new directory with one.
//! [`ledger`] keeps the records that are cut off the log, if configured. [`files`] is the file system
//! interface of them all, and [`opened_files`] what a reader has opened of it.
//!
//! ```text
//! <dir>/checkpoint/manifest-0000000000000007   written under another name, synced, renamed: the only commit
//!                  levels-0000000000000005     changes to the level of each stock key, by key
//!                  levels-0000000000000007     the same, of later records
//!                  names-0000000000000001      SKU and location of each stock key, by index
//!                  holds-0000000000000007      holds by slot, or later records of them
//!                  ops-0000000000000006        operations with an op key, by position
//!                  ledger-0000000000000006     the log's records, by position; no part of the state
//! ```
//! A run is written once, numbered after the checkpoint that it was written for, and never changed. A
//! checkpoint also names the runs of earlier checkpoints that it builds on. Entries of a later run follow
//! those of an earlier one: levels are added up; a hold is replaced, or its later records are applied to it
//! by the fold's own functions. Each run is at least twice as large as the next younger one, so a checkpoint
//! writes about as much as has changed, and few files have to be read (the logarithmic method: Bentley and
//! Saxe, 1980; O'Neil et al., *The log-structured merge-tree*, 1996).
//!
//! # Invariants
//!
//! 1. A manifest is committed only after all the runs that it names, and the log up to its position, are
//!    durable.
//! 2. Two manifests are kept. The log is cut only below the older one, so the younger one may be lost.
//! 3. An opening syncs the folder before it relies on the file names in it: a killed process may have left a
//!    name that a power failure would undo.
//! 4. A file that a kept manifest names is never changed or removed. A file that no manifest names is
//!    removed.

pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod full_state;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod manifest_set;
pub(crate) mod merge;
pub(crate) mod opened_files;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod run_ref;
pub(crate) mod seed;
pub(crate) mod thread;
pub(crate) mod window;

use std::io;

use thiserror::Error;

use crate::error::VerifyError;
use crate::log::newer::Newer;
use crate::log::store::advice;

/// Version of the checkpoint format that this build writes, and the newest that it reads. It reads all earlier
/// ones: a manifest may name runs of an earlier format than its own.
pub(crate) const FORMAT: u16 = 2;

/// Why a checkpoint could not be written or read.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error("cannot use the checkpoint's file {name:?} ({doing}: {error}): {}, then try again", advice(.error))]
    Io { name: String, doing: &'static str, error: io::Error },
    #[error(
        "the checkpoint's file {name:?} is damaged ({what}): restore the directory from a backup, or salvage it into a \
         new one"
    )]
    Damaged { name: String, what: String },
    #[error("the checkpoint's file {name:?} has {found}: open it with a newer stockhold")]
    Newer { name: String, found: Newer },
    #[error("the log contradicts the checkpoint before it at position {position}: {what}")]
    Contradiction { position: u64, what: String },
    #[error("the engine was shut down while a checkpoint was being written")]
    Stopped,
}

impl RunError {
    pub(crate) fn io(name: &str, doing: &'static str) -> impl Fn(io::Error) -> Self {
        let name = name.to_owned();
        move |error| RunError::Io { name: name.clone(), doing, error }
    }

    pub(crate) fn damaged(name: &str, what: impl Into<String>) -> Self {
        RunError::Damaged { name: name.to_owned(), what: what.into() }
    }
}

impl From<RunError> for VerifyError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Damaged { .. } => VerifyError::Damaged(error.to_string()),
            _ => VerifyError::Io(error.to_string()),
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
