//! Checkpoints: what the log says up to a position, in files of its own, so that opening need not read the log from its
//! beginning and the log need not be kept.
//!
//! In the order of the data flow: a [`window`] of the log becomes four short runs of entries ([`entry`], [`run`]), runs
//! that have grown as large as the one before are merged with it ([`merge`]), and a [`manifest`] names the runs that
//! together are the state. [`manifest_set`] keeps the last two manifests and what they name; [`thread`] does all this beside a
//! running engine. The way back is [`load`]. A [`full`] checkpoint is written at once, of a state and not of a window, and
//! [`seed`] begins a new directory with one. [`ledger`] keeps what the log is cut of, if that is wanted. [`files`] is all
//! they need of a file system.
//!
//! ```text
//! <dir>/checkpoint/manifest-0000000000000007   written aside, synced, renamed: the only commit
//!                  levels-0000000000000005     what was added to each stock key's book, by key
//!                  levels-0000000000000007     the same, of later records
//!                  names-0000000000000001      stock keys by index
//!                  holds-0000000000000007      holds by slot, or what later happened to them
//!                  ops-0000000000000006        operations with an op key, by position
//!                  ledger-0000000000000006     the log's records, by position; no part of the state
//! ```
//! A run is written once, under the number of the checkpoint that it was written for, and never changed; a checkpoint
//! names those of earlier ones that it builds on. Entries of a later run say what happened after those of an earlier one:
//! books are added up, holds are replaced or moved on by the records themselves, which the fold's own functions apply.
//! Runs grow in size towards the oldest, each at least twice as large as the next, so a checkpoint writes about as much
//! as has changed, and few files have to be read (the logarithmic method: Bentley and Saxe, 1980; O'Neil et al., *The
//! log-structured merge-tree*, 1996).
//!
//! # Invariants
//!
//! 1. A manifest is committed when everything that it names is durable, and the log is durable up to its position.
//! 2. Two manifests are kept. The log is cut only below the older one, so that the younger one may be lost.
//! 3. An opening makes the names that it has found durable before it counts on them: a process that was killed may have
//!    left one that the power would take back.
//! 4. Nothing that a kept manifest names is changed or removed. What none names is a leftover, and is removed.

pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod full_state;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod manifest_set;
pub(crate) mod merge;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod run_ref;
pub(crate) mod seed;
pub(crate) mod thread;
pub(crate) mod window;

use std::io;

use thiserror::Error;

use crate::error::VerifyError;
use crate::log::store::advice;

/// Version of everything under `checkpoint` that this build writes, and the newest it reads.
pub(crate) const FORMAT: u16 = 1;

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
    #[error(
        "the checkpoint's file {name:?} has format {found}, this build knows {FORMAT}: open it with a newer stockhold"
    )]
    Newer { name: String, found: u16 },
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
