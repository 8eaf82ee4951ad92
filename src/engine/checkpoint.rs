//! Checkpoints and backups that a caller asks for.

use std::path::Path;

use super::core::Core;
use crate::checkpoint::seed::{self, SeedError};
use crate::error::{BackupError, CheckpointError};
use crate::types::Position;

impl Core {
    /// Makes a checkpoint of everything that was answered before this call, and waits for it; returns its
    /// position.
    pub(super) fn checkpoint(&self) -> Result<Position, CheckpointError> {
        let checkpointer = self.checkpointer.as_ref().ok_or(CheckpointError::InMemory)?;
        self.stopped()?;
        match checkpointer.request(self.read_position().0) {
            Ok(done) => Ok(Position(done)),
            Err(cause) => {
                self.stopped()?;
                Err(CheckpointError::Failed(cause))
            }
        }
    }

    /// Copies a checkpoint of everything that was answered before this call into a new directory; returns its
    /// position.
    pub(super) fn backup(&self, target: &Path) -> Result<Position, BackupError> {
        let checkpointer = self.checkpointer.as_ref().ok_or(CheckpointError::InMemory)?;
        seed::check_outside(target, checkpointer.place.layout.path())?;
        seed::check(target)?;
        self.checkpoint()?;
        checkpointer.place.check().map_err(SeedError::from)?;
        let pinned = checkpointer.pin();
        let newest = pinned.manifests.last().ok_or(CheckpointError::InMemory)?;
        seed::seed(target, &pinned.identity, self.epoch, |files| {
            seed::copy(&*pinned.files, newest, files)?;
            Ok::<_, SeedError>(newest.clone())
        })?;
        Ok(Position(newest.frontier.position))
    }
}
