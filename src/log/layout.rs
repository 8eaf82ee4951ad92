//! The files of a directory: their names, and the errors that say what is wrong with them.
//!
//! ```text
//! <dir>/stockhold   the identity: 64 bytes, written last when a directory is created
//! <dir>/lock        held locked while an engine runs, as the directory and its identity are
//! <dir>/log/        the stores of the log
//! <dir>/durable     the sidecar
//! <dir>/checkpoint/ the last two checkpoints
//! <dir>/clock       engine time beside the machine's uptime; evidence, not needed
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::store::advice;

pub(super) const IDENTITY: &str = "stockhold";
pub(super) const IDENTITY_UNFINISHED: &str = "stockhold.tmp";
pub(super) const LOCK: &str = "lock";
const LOG: &str = "log";
const DURABLE: &str = "durable";
const CHECKPOINT: &str = "checkpoint";
const CLOCK: &str = "clock";

#[derive(Debug, Error)]
pub(crate) enum DirectoryError {
    #[error(
        "there is no stockhold directory at {path:?}: check the path, or open an engine there to create one"
    )]
    Missing { path: PathBuf },
    #[error("{path:?} is not a stockhold directory ({found:?} is in it): choose an empty or a new directory")]
    Foreign { path: PathBuf, found: PathBuf },
    #[error(
        "{path:?} has directory format {found}, this build knows {known}: open it with a newer stockhold"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error(
        "{path:?} is {}{}",
        if *.by_reader { "being read" } else { "in use" },
        in_use_by(*.pid, *.by_reader)
    )]
    InUse { path: PathBuf, pid: Option<u32>, by_reader: bool },
    #[error(
        "the file system of {path:?} does not lock files ({error}), so two engines could have the directory at \
         once: put it on a local file system, ext4 or xfs for example"
    )]
    CannotLock { path: PathBuf, error: io::Error },
    #[error(
        "{path:?} is damaged ({details}): restore it from a backup, or salvage its log into a new directory"
    )]
    Corrupt { path: PathBuf, details: String },
    #[error("cannot use {path:?} ({doing}: {error}): {}, then try again", advice(.error))]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
}

fn in_use_by(pid: Option<u32>, by_reader: bool) -> String {
    let process = pid.map_or_else(String::new, |pid| format!(" by process {pid}"));
    let advice = if by_reader {
        "a stockhold command of an earlier version reads it; end that command"
    } else {
        "close the engine that has it open"
    };
    format!("{process}: {advice}")
}

/// The paths inside one directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    path: PathBuf,
}

impl Layout {
    pub(super) fn at(path: &Path) -> Self {
        Layout { path: path.to_owned() }
    }
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    pub(super) fn identity(&self) -> PathBuf {
        self.path.join(IDENTITY)
    }
    pub(super) fn identity_unfinished(&self) -> PathBuf {
        self.path.join(IDENTITY_UNFINISHED)
    }
    pub(super) fn lock(&self) -> PathBuf {
        self.path.join(LOCK)
    }
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }
    pub(crate) fn durable(&self) -> PathBuf {
        self.path.join(DURABLE)
    }
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }
    pub(crate) fn clock(&self) -> PathBuf {
        self.path.join(CLOCK)
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Refuses a directory without an identity that has anything in it but the leftovers of an interrupted
    /// creation.
    pub(super) fn refuse_foreign(&self) -> Result<(), DirectoryError> {
        for entry in fs::read_dir(&self.path).map_err(self.io("listing it"))? {
            let name = entry.map_err(self.io("listing it"))?.file_name();
            let ours =
                [IDENTITY_UNFINISHED, LOCK, LOG, DURABLE, CHECKPOINT, CLOCK].iter().any(|ours| name == *ours);
            if !ours {
                return Err(DirectoryError::Foreign { path: self.path.clone(), found: name.into() });
            }
        }
        Ok(())
    }

    /// Whether anything is left of a stockhold directory.
    pub(super) fn has_remains(&self) -> bool {
        [IDENTITY, LOG, DURABLE, CHECKPOINT].iter().any(|part| self.path.join(part).exists())
    }

    /// Turns an error of the operating system into one that says what was being done.
    pub(super) fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> DirectoryError {
        let path = self.path.clone();
        move |error| DirectoryError::Io { path: path.clone(), doing, error }
    }

    /// The error of a directory that another process has locked: an engine, or only a reader.
    pub(super) fn in_use(&self, pid: Option<u32>, by_reader: bool) -> DirectoryError {
        DirectoryError::InUse { path: self.path.clone(), pid, by_reader }
    }

    pub(super) fn cannot_lock(&self, error: io::Error) -> DirectoryError {
        DirectoryError::CannotLock { path: self.path.clone(), error }
    }

    /// The error of a directory that is stockhold's but has lost a part.
    pub(crate) fn lacks(&self, part: &str) -> DirectoryError {
        self.corrupt(format!("`{part}` is missing from it"))
    }

    pub(super) fn corrupt(&self, details: impl Into<String>) -> DirectoryError {
        DirectoryError::Corrupt { path: self.path.clone(), details: details.into() }
    }

    pub(super) fn missing(&self) -> DirectoryError {
        DirectoryError::Missing { path: self.path.clone() }
    }
}
