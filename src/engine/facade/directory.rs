//! Opening and closing, and operations on the whole directory.

use std::path::Path;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{Engine, Inner};
use crate::config::{Config, Durability};
use crate::engine::open::{self, Assembled, OpenReport};
use crate::engine::threads::Threads;
use crate::engine::verify::Verified;
use crate::error::{BackupError, CheckpointError, OpenError, OutcomeUnknown, VerifyError};
use crate::receipt::Receipt;
use crate::types::Position;
#[cfg(all(test, not(stockhold_loom)))]
use crate::{checkpoint::manifest_set::ManifestSet, engine::core::Core, log::recovery::OpenLog};

/// # Opening and closing
impl Engine {
    /// Opens a directory: creates it, or recovers it.
    ///
    /// Recovery reads the newest checkpoint and replays the log behind it: its time grows with the holds and
    /// stock there are, not with the history of the sale. [`report`](Self::report) says what was found and
    /// done.
    ///
    /// ```no_run
    /// use stockhold::{Config, Engine};
    ///
    /// let engine = Engine::open("/var/lib/shop/stock", Config::default())?;
    /// println!("{}", engine.report());
    /// # Ok::<(), stockhold::error::OpenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A setting that cannot work; a directory that is foreign, newer, damaged, or in use (the error says by
    /// which process).
    pub fn open(directory: impl AsRef<Path>, config: Config) -> Result<Engine, OpenError> {
        config.validate()?;
        if config.durability == Durability::Memory {
            return Err(OpenError::MemoryWithDirectory(directory.as_ref().to_owned()));
        }
        Engine::start(open::on_disk(directory.as_ref(), config)?)
    }

    /// Makes an engine that keeps nothing: whatever [`Config::durability`] says, it is
    /// [`Durability::Memory`].
    ///
    /// # Errors
    ///
    /// A setting that cannot work.
    pub fn in_memory(config: Config) -> Result<Engine, OpenError> {
        config.validate()?;
        Engine::start(open::in_memory(config.durability(Durability::Memory))?)
    }

    pub(in crate::engine) fn start(assembled: Assembled) -> Result<Engine, OpenError> {
        let Assembled { core, log, manifest_set, report } = assembled;
        let threads = Threads::start(&core, log, manifest_set)?;
        Ok(Engine { inner: Arc::new(Inner { core, report, threads }) })
    }

    /// The engine without its threads, whose work is the caller's, and what they would have got.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn without_threads(
        assembled: Assembled,
    ) -> (Engine, Arc<Core>, Option<OpenLog>, Option<ManifestSet>) {
        let Assembled { core, log, manifest_set, report } = assembled;
        let inner = Inner { core: Arc::clone(&core), report, threads: Threads::none(&core) };
        (Engine { inner: Arc::new(inner) }, core, log, manifest_set)
    }

    /// Makes a checkpoint of everything that was answered before this call, waits for it, and returns its
    /// position. Sales go on meanwhile. The engine makes checkpoints by itself
    /// ([`Config::checkpoint_bytes`]); call this to make the next opening quick.
    ///
    /// Cost: writes what has changed since the last one, and now and then all of the state.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Failed`] if the disk fails: nothing is lost, and the engine tries again later.
    pub fn checkpoint(&self) -> Result<Position, CheckpointError> {
        self.inner.core.checkpoint()
    }

    /// Copies everything that was answered before this call into a new directory, while sales go on; returns
    /// the position up to which it was copied. The copy has the directory's identity, so ids of holds and
    /// stock keys mean the same in it: open it in place of the directory, never beside it.
    ///
    /// The copy has the state, and the [ledger](Config::ledger_kept) if there is one, but not the log before
    /// it. Cost: reads and writes all of both.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive};
    /// # let scratch = tempfile::tempdir()?;
    /// # let (directory, copy) = (scratch.path().join("stock"), scratch.path().join("backup"));
    /// let engine = Engine::open(&directory, Config::default())?;
    /// let poster = engine.declare("poster", "berlin")?;
    /// engine.receive(Receive::units(poster, 10))?.wait()?;
    /// engine.backup(&copy)?;
    ///
    /// let copy = Engine::open(&copy, Config::default())?;
    /// assert_eq!(copy.available(poster)?, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BackupError::Exists`] if the new directory is not empty, or lies inside of this one. After
    /// [`BackupError::Failed`] the new directory cannot be opened; remove it.
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<Position, BackupError> {
        self.inner.core.backup(directory.as_ref())
    }

    /// Checks the log, the checkpoints and the counters against each other, while sales go on: makes a
    /// checkpoint, folds the log on disk from the checkpoint before up to it, judging each entry, and
    /// compares; then compares every counter with the book, each at a position at which nothing was drawn.
    /// The command `stockhold verify` does the same for a directory that no engine has open.
    ///
    /// Cost: reads the log's files and both checkpoints, and takes as much memory as a recovery; holds the
    /// fold back for microseconds at a time; gathers split keys for an instant. A second more for each key
    /// that is in use all the time.
    ///
    /// ```
    /// # use stockhold::{Config, Engine, Receive};
    /// # let scratch = tempfile::tempdir()?;
    /// let engine = Engine::open(scratch.path().join("stock"), Config::default())?;
    /// let poster = engine.declare("poster", "berlin")?;
    /// engine.receive(Receive::units(poster, 10))?.wait()?;
    /// println!("{}", engine.verify()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError::Drift`] names the first entry, or the counter, that contradicts the rest. A counter
    /// that stays below the book by the same number of units for a second counts as drift, which is also what
    /// a thread causes that is stopped for so long in the middle of a reserve.
    pub fn verify(&self) -> Result<Verified, VerifyError> {
        self.inner.core.verify()
    }

    /// What the opening found and did.
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// Refuses new operations, waits for those under way, makes everything durable, and closes the directory.
    /// Later calls of any handle answer [`Stopped::ShutDown`](crate::error::Stopped::ShutDown). A second call
    /// returns the same result.
    ///
    /// # Errors
    ///
    /// The log failed before everything was durable.
    pub fn shutdown(&self) -> Result<(), OutcomeUnknown> {
        self.inner.shutdown()
    }

    /// Blocks until everything up to `position` is durable, as [`Config::durability`] defines it.
    ///
    /// # Errors
    ///
    /// The log failed, or the engine was shut down, before: the outcome of every operation behind the durable
    /// position is unknown.
    pub fn wait(&self, position: Position) -> Result<(), OutcomeUnknown> {
        let core = &self.inner.core;
        if core.is_memory() || core.log.durable.wait(position.0) {
            return Ok(());
        }
        Err(OutcomeUnknown { position, cause: core.log.poison.cause() })
    }

    /// The position up to which everything is durable, as [`Config::durability`] defines it.
    pub fn durable(&self) -> Position {
        Position(self.inner.core.log.durable.position())
    }

    pub(crate) fn poll_durable(&self, position: Position, waker: &Waker) -> Poll<Result<(), OutcomeUnknown>> {
        let core = &self.inner.core;
        if core.is_memory() {
            return Poll::Ready(Ok(()));
        }
        core.log.durable.poll(position.0, waker).map(|reached| {
            if reached { Ok(()) } else { Err(OutcomeUnknown { position, cause: core.log.poison.cause() }) }
        })
    }

    pub(super) fn receipt<T>(&self, (value, position): (T, Position)) -> Receipt<'_, T> {
        Receipt::new(self, value, position)
    }
}
