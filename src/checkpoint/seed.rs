//! Writes a new directory with a checkpoint and no log, for a backup or a salvage.
//!
//! The identity is written last, so an unfinished directory is refused, and never mistaken for an empty one.

use std::io::{self, Read, Write};
use std::path::Path;

use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

use super::RunError;
use super::files::{DirFiles, Files};
use super::manifest::Manifest;
use super::run_ref::{RunKind, RunRef};
use crate::error::{BackupError, SalvageError};
use crate::log::directory::{Directory, DirectoryError, Identity};
use crate::log::sidecar::{Durable, Sidecar};
use crate::log::store::StoreError;

/// Why a new directory could not be made.
#[derive(Debug, Error)]
pub(crate) enum SeedError {
    #[error("{0} is there already: choose a directory that does not exist, or an empty one")]
    Exists(String),
    #[error("{0} lies in the directory that is to be copied: choose a place outside of it")]
    Inside(String),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Checkpoint(#[from] RunError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "cannot write the new directory ({0}): free space or mend the cause, remove what was written, and try again"
    )]
    Io(#[from] io::Error),
}

impl From<SeedError> for BackupError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Exists(_) | SeedError::Inside(_) => BackupError::Exists(error.to_string()),
            _ => BackupError::Failed(error.to_string()),
        }
    }
}

impl From<SeedError> for SalvageError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Exists(_) | SeedError::Inside(_) => SalvageError::Exists(error.to_string()),
            _ => SalvageError::Failed(error.to_string()),
        }
    }
}

/// Refuses a target inside `source`, in which no byte may change.
pub(crate) fn check_outside(target: &Path, source: &Path) -> Result<(), SeedError> {
    let source = source.canonicalize()?;
    let target = std::path::absolute(target)?;
    // The nearest ancestor that exists.
    let nearest = target.ancestors().find_map(|path| path.canonicalize().ok());
    if nearest.is_some_and(|nearest| nearest.starts_with(&source)) {
        return Err(SeedError::Inside(format!("{target:?}")));
    }
    Ok(())
}

/// Refuses a target that exists and is not empty.
pub(crate) fn check(target: &Path) -> Result<(), SeedError> {
    match std::fs::read_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(SeedError::Exists(format!("{target:?}"))),
        },
    }
}

/// Makes a directory at `target` with an identity and the checkpoint that `fill` writes into it. Its openings
/// are numbered after `epoch`.
pub(crate) fn seed<E: From<SeedError>>(
    target: &Path,
    identity: &Identity,
    epoch: u32,
    fill: impl FnOnce(&dyn Files) -> Result<Manifest, E>,
) -> Result<(), E> {
    check(target)?;
    let mut directory = Directory::open(target).map_err(SeedError::from)?;
    if !directory.fresh {
        return Err(SeedError::Exists(format!("{target:?}")).into());
    }
    directory.identity = *identity;
    let layout = directory.layout.clone();
    let folder = DirFiles::at(layout.checkpoint());
    let manifest = fill(&folder)?;
    let mut finish = || -> Result<(), SeedError> {
        manifest.commit(&folder)?;
        let mut sidecar = Sidecar::create(&layout.durable())?;
        let frontier = &manifest.frontier;
        let (end, hash) = (frontier.position, frontier.hash);
        let epoch = epoch.max(frontier.epoch).max(1);
        sidecar.write(&Durable { epoch, end, hash, orderly: true })?;
        layout.sync()?;
        directory.commit()?;
        Ok(())
    };
    finish().map_err(E::from)
}

/// Copies all the runs that a manifest names. Missing or damaged runs of the ledger are so in the copy too.
pub(crate) fn copy(from: &dyn Files, manifest: &Manifest, to: &dyn Files) -> Result<(), SeedError> {
    for run in &manifest.runs {
        let is_ledger = run.kind == RunKind::Ledger;
        match copy_run(from, run, to) {
            Err(SeedError::Io(error)) if is_ledger && error.kind() == io::ErrorKind::NotFound => {}
            Err(SeedError::Checkpoint(RunError::Damaged { .. })) if is_ledger => {}
            copied => copied?,
        }
    }
    Ok(())
}

/// Copies one run, and checks its length and hash.
pub(crate) fn copy_run(from: &dyn Files, run: &RunRef, to: &dyn Files) -> Result<(), SeedError> {
    let (name, mut block) = (run.name(), vec![0; 1 << 20]);
    let mut source = from.open(&name)?;
    let mut target = to.create(&name)?;
    let (mut hash, mut bytes) = (Xxh3Default::new(), 0);
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            break;
        }
        target.write_all(&block[..read])?;
        hash.update(&block[..read]);
        bytes += read as u64;
    }
    target.sync()?;
    if (bytes, hash.digest()) != (run.bytes, run.hash) {
        return Err(RunError::damaged(&name, "its hash does not match the manifest").into());
    }
    Ok(())
}
