//! Backups of a directory at rest.

use std::path::Path;

use super::Inspection;
use crate::checkpoint::full_state::FullState;
use crate::checkpoint::ledger::copy_ledger;
use crate::checkpoint::run_ref::RunRef;
use crate::checkpoint::seed::{self, SeedError};
use crate::error::BackupError;
use crate::log::at_rest::LogAtRest;
use crate::types::Position;

impl Inspection {
    /// Copies the directory into a new one, which then begins with a checkpoint and an empty log; returns the
    /// position of the copy. As with [`Engine::backup`](crate::Engine::backup), the copy has the identity of
    /// the directory: open it in place of the directory, never beside it. The ledger is copied too, with the
    /// log behind it; if a file of it is damaged, only what lies behind that file.
    ///
    /// Cost: reads the newest checkpoint and the log behind it once more, and writes the whole state.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive, inspect::Inspection};
    /// # let scratch = tempfile::tempdir()?;
    /// # let (directory, copy) = (scratch.path().join("stock"), scratch.path().join("backup"));
    /// # let engine = Engine::open(&directory, Config::default())?;
    /// # let poster = engine.declare("poster", "berlin")?;
    /// # engine.receive(Receive::units(poster, 10))?.wait()?;
    /// # engine.shutdown()?;
    /// let inspection = Inspection::open(&directory)?;
    /// assert_eq!(inspection.backup(&copy)?, inspection.report().end);
    /// # assert_eq!(Engine::open(&copy, Config::default())?.available(poster)?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BackupError::Exists`] if the target is not empty, or lies inside of the directory.
    /// [`BackupError::Damaged`] if there is a [drift](Self::drift). After [`BackupError::Failed`] remove the target: it
    /// is no directory that opens.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<Position, BackupError> {
        self.copy(directory.as_ref(), |_| Ok(()))
    }

    /// Copies the directory, after `change` has changed the state that the copy has.
    pub(super) fn copy<E: From<BackupError>>(
        &self,
        target: &Path,
        change: impl FnOnce(&mut FullState) -> Result<(), E>,
    ) -> Result<Position, E> {
        let mut whole = self.state_to_copy(target)?;
        change(&mut whole)?;
        self.write_copy(target, &whole)?;
        Ok(Position(whole.fold.position))
    }

    /// The state that an opening would have, if it can be copied to `target`.
    fn state_to_copy(&self, target: &Path) -> Result<FullState, BackupError> {
        if let Some(drift) = &self.drift {
            return Err(BackupError::Damaged(drift.to_string()));
        }
        seed::check_outside(target, self.log.layout().path())?;
        seed::check(target)?;
        whole(&self.log)
    }

    fn write_copy(&self, target: &Path, whole: &FullState) -> Result<(), BackupError> {
        let identity = self.log.identity();
        let chunks = self.log.verdict.chain.iter().map(|found| match self.log.payload(found) {
            Ok(payload) => Ok((found.header.start, payload)),
            Err(error) => Err(BackupError::Failed(error.to_string())),
        });
        seed::seed(target, identity, self.report.epoch, |files| {
            let mut manifest = whole.write(files, identity.id).map_err(SeedError::from)?;
            if let Some(newest) = &self.log.newest {
                let behind = (chunks, whole.fold.now.0);
                let ledger = copy_ledger::<BackupError>(&*self.log.files, newest, behind, files)?.runs;
                // A run whose time was taken back ages from now on, else it would be kept for too long.
                let until = |run: RunRef| RunRef { latest_ms: run.latest_ms.min(whole.fold.now.0), ..run };
                manifest.runs.extend(ledger.into_iter().map(until));
            }
            Ok::<_, BackupError>(manifest)
        })
    }
}

/// The state that an opening would have.
fn whole(log: &LogAtRest) -> Result<FullState, BackupError> {
    let failed = |error: &dyn std::fmt::Display| BackupError::Failed(error.to_string());
    let mut whole = match &log.newest {
        Some(newest) => FullState::load(&*log.files, newest).map_err(|error| failed(&error))?,
        None => FullState::default(),
    };
    for found in &log.verdict.chain {
        let payload = log.payload(found).map_err(|error| failed(&error))?;
        whole.chunk(found, &payload).map_err(|error| failed(&error))?;
    }
    Ok(whole)
}
