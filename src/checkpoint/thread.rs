//! The checkpointer: a thread that makes checkpoints of the groups that the fold passes on, while sales go
//! on.
//!
//! The fold appends the bytes of each group to a window. When the window is long enough, or a caller asks,
//! the thread takes it and makes a checkpoint of it, while the fold fills the next one. A checkpoint that
//! fails (a full disk, say) is tried again with what has been added meanwhile. Only a log that contradicts
//! itself ends checkpoints for good.
//!
//! The fold waits while the window has grown to [`WINDOWS_MAX`] times its length: then the disk is slower
//! than the sale, and in the end the ring is full. After a failure it does not wait, unless a new attempt is
//! under way: then no more checkpoints are made in this opening, the log keeps everything, and the next
//! opening reads it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::RunError;
use super::files::Files;
use super::manifest::Manifest;
use super::manifest_set::{ManifestSet, Pins, Retention};
use super::window::{WINDOW_BYTES_MAX, Window};
use crate::config::Config;
use crate::log::directory::{Identity, OwnedDirectory};
use crate::log::group::Group;
use crate::log::writer::LogShared;

/// The number of windows that may wait before the fold waits too, or an opening makes a checkpoint itself.
pub(crate) const WINDOWS_MAX: usize = 4;
/// The pause before a failed checkpoint is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Intake {
    window: Window,
    /// A caller wants a checkpoint at this position or later.
    wanted: u64,
    /// The position of the last checkpoint.
    done: u64,
    /// How many have failed in a row, and the last cause; `None` after a success.
    failures: u64,
    failure: Option<Arc<str>>,
    /// No more checkpoints are made in this opening: the window has a gap.
    gave_up: bool,
    /// No more groups will come.
    ended: bool,
    /// A checkpoint is being made.
    under_way: bool,
}

/// The number of checkpoints made, and the bytes of the last one and of its ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CheckpointTotals {
    pub count: u64,
    pub bytes: u64,
    pub ledger_bytes: u64,
}

/// The progress of checkpoints, as metrics show it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckpointProgress {
    pub done: u64,
    pub made: CheckpointTotals,
    pub failure: Option<Arc<str>>,
    pub under_way: bool,
}

/// Checkpoints that stay, with the log behind them, as long as this value exists.
pub(crate) struct Pinned {
    /// The oldest first.
    pub manifests: Vec<Manifest>,
    pub files: Arc<dyn Files>,
    /// The identity of the directory.
    pub identity: Identity,
    pins: Arc<Mutex<Pins>>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.pins.lock().unpin(&self.manifests);
    }
}

/// The checkpointer.
pub(crate) struct Checkpointer {
    intake: Mutex<Intake>,
    changed: Condvar,
    window_bytes: usize,
    retention: Retention,
    made: Mutex<CheckpointTotals>,
    pins: Arc<Mutex<Pins>>,
    files: Arc<dyn Files>,
    identity: Identity,
    /// The identity of the directory.
    pub place: OwnedDirectory,
}

impl Checkpointer {
    /// Continues from the newest checkpoint of `manifest_set`, behind which the log had `window`.
    pub(crate) fn new(
        config: &Config,
        identity: Identity,
        place: OwnedDirectory,
        manifest_set: &ManifestSet,
        window: Window,
    ) -> Self {
        let done = manifest_set.frontier().position;
        let (_, ledger_bytes) = manifest_set.newest().map_or((0, 0), Manifest::bytes);
        Checkpointer {
            intake: Mutex::new(Intake { window, done, ..Intake::default() }),
            changed: Condvar::new(),
            window_bytes: config.checkpoint_bytes,
            retention: Retention::of(config),
            made: Mutex::new(CheckpointTotals { ledger_bytes, ..CheckpointTotals::default() }),
            pins: manifest_set.pins(),
            files: Arc::clone(&manifest_set.files),
            identity,
            place,
        }
    }

    /// Adds the next group. Called by the fold.
    pub(crate) fn take_in(&self, group: &Group) {
        let mut intake = self.intake.lock();
        let bytes_max = (self.window_bytes * WINDOWS_MAX).min(WINDOW_BYTES_MAX);
        while intake.window.bytes.len() >= bytes_max && !intake.ended && !intake.gave_up {
            // Not while a new attempt is under way.
            if intake.failure.is_some() && !intake.under_way {
                // It may go on failing for long. The log keeps what the window cannot.
                intake.gave_up = true;
                intake.window = Window::default();
                self.changed.notify_all(); // a caller may be waiting for a checkpoint
                break;
            }
            self.changed.wait(&mut intake);
        }
        if !intake.gave_up {
            group.chunks.iter().for_each(|chunk| intake.window.push(chunk.start, &chunk.bytes));
            intake.window.end = group.tip;
        }
        if self.is_due(&intake) {
            self.changed.notify_all();
        }
    }

    fn is_due(&self, intake: &Intake) -> bool {
        let Intake { window, wanted, done, .. } = intake;
        window.bytes.len() >= self.window_bytes || (*wanted > *done && window.end.end >= *wanted)
    }

    /// No more groups will come; wakes all callers.
    pub(crate) fn end(&self) {
        self.intake.lock().ended = true;
        self.changed.notify_all();
    }

    fn has_ended(&self) -> bool {
        self.intake.lock().ended
    }

    /// Makes a checkpoint at `position` or later, waits for it, and returns its position.
    pub(crate) fn request(&self, position: u64) -> Result<u64, Arc<str>> {
        let mut intake = self.intake.lock();
        let failures = intake.failures;
        intake.wanted = intake.wanted.max(position);
        self.changed.notify_all();
        loop {
            if intake.done >= position {
                return Ok(intake.done);
            }
            if intake.failures > failures || intake.gave_up {
                return Err(intake
                    .failure
                    .clone()
                    .unwrap_or_else(|| "checkpoints have failed before".into()));
            }
            if intake.ended {
                return Err("the engine was shut down".into());
            }
            self.changed.wait(&mut intake);
        }
    }

    /// Pins the checkpoints that exist.
    pub(crate) fn pin(&self) -> Pinned {
        let manifests = self.pins.lock().pin();
        let (files, pins) = (Arc::clone(&self.files), Arc::clone(&self.pins));
        Pinned { manifests, files, identity: self.identity, pins }
    }

    pub(crate) fn progress(&self) -> CheckpointProgress {
        let Intake { done, ref failure, under_way, .. } = *self.intake.lock();
        let made = *self.made.lock();
        CheckpointProgress { done, made, failure: failure.clone(), under_way }
    }

    /// Runs the thread until the groups end.
    pub(crate) fn run(&self, mut manifest_set: ManifestSet, log: &LogShared) {
        while let Some(window) = self.next_window() {
            match self.turn(&mut manifest_set, &window, log) {
                Ok(()) => {}
                // Or the log has failed, and no more groups will come.
                Err(RunError::Stopped) => return self.end(),
                Err(error) => self.failed(window, &error),
            }
        }
    }

    /// Makes one checkpoint of a window.
    pub(crate) fn turn(
        &self,
        manifest_set: &mut ManifestSet,
        window: &Window,
        log: &LogShared,
    ) -> Result<(), RunError> {
        // Another directory may be at this path now, with files of the same names.
        self.place.check().map_err(RunError::io("checkpoint", "looking for it"))?;
        self.turn_once_durable(manifest_set, window, log, |position| log.sync_up_to(position))
    }

    /// The same; `durable` waits until the log is durable up to a position, and returns false if it never
    /// will be.
    pub(crate) fn turn_once_durable(
        &self,
        manifest_set: &mut ManifestSet,
        window: &Window,
        log: &LogShared,
        durable: impl FnOnce(u64) -> bool,
    ) -> Result<(), RunError> {
        manifest_set.write(window, &self.retention, &|| self.has_ended(), durable)?;
        log.cut_below(manifest_set.log_from());
        let (bytes, ledger_bytes) = manifest_set.newest().map_or((0, 0), Manifest::bytes);
        {
            let mut made = self.made.lock();
            *made = CheckpointTotals { count: made.count + 1, bytes, ledger_bytes };
        }
        let mut intake = self.intake.lock();
        intake.done = window.end.end;
        intake.failure = None;
        intake.under_way = false;
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until a window is due, and takes it; `None` at the end.
    fn next_window(&self) -> Option<Window> {
        let mut intake = self.intake.lock();
        while !intake.ended && !self.is_due(&intake) {
            self.changed.wait(&mut intake);
        }
        if intake.ended {
            return None;
        }
        Some(self.take(&mut intake))
    }

    /// Takes the window if it is due, or if it has anything and is `forced`.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn due_window(&self, forced: bool) -> Option<Window> {
        let mut intake = self.intake.lock();
        let due = self.is_due(&intake) || (forced && !intake.window.bytes.is_empty());
        (due && !intake.ended).then(|| self.take(&mut intake))
    }

    /// Whether the fold waits until a checkpoint was made.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn is_held_back(&self) -> bool {
        let intake = self.intake.lock();
        intake.window.bytes.len() >= self.window_bytes * WINDOWS_MAX && intake.failure.is_none()
    }

    fn take(&self, intake: &mut MutexGuard<'_, Intake>) -> Window {
        let end = intake.window.end;
        intake.under_way = true;
        let window = std::mem::replace(&mut intake.window, Window { end, ..Window::default() });
        self.changed.notify_all(); // the fold may be waiting
        window
    }

    /// Puts the window of a failed checkpoint back, for the next one.
    pub(crate) fn put_back(&self, mut window: Window, error: &RunError) {
        let mut intake = self.intake.lock();
        window.append(std::mem::take(&mut intake.window));
        intake.window = window;
        intake.failures += 1;
        intake.under_way = false;
        intake.failure = Some(error.to_string().into());
        let is_hopeless = matches!(error, RunError::Contradiction { .. } | RunError::Damaged { .. });
        if is_hopeless || intake.window.bytes.len() > WINDOW_BYTES_MAX {
            intake.gave_up = true;
            intake.window = Window::default();
        }
        self.changed.notify_all();
    }

    fn failed(&self, window: Window, error: &RunError) {
        self.put_back(window, error);
        let mut intake = self.intake.lock();
        if intake.gave_up {
            while !intake.ended {
                self.changed.wait(&mut intake);
            }
        } else if !intake.ended {
            self.changed.wait_for(&mut intake, RETRY);
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use std::io;
    use std::thread;

    use super::*;
    use crate::checkpoint::files::DirFiles;
    use crate::log::directory::Directory;
    use crate::log::group::Payload;

    const WINDOW_BYTES: usize = 64 << 10;

    /// A checkpointer whose first checkpoint has failed.
    fn failed() -> Checkpointer {
        let directory = Directory::nowhere(Identity::random()).unwrap();
        let files = Arc::new(DirFiles::at("/nowhere".into()));
        let (manifest_set, _) = ManifestSet::open(files, directory.identity.id).unwrap();
        let config = Config::default().checkpoint_bytes(WINDOW_BYTES);
        let (identity, place) = (directory.identity, directory.place().unwrap());
        let checkpointer = Checkpointer::new(&config, identity, place, &manifest_set, Window::default());
        checkpointer.take_in(&group());
        let window = checkpointer.due_window(false).unwrap();
        checkpointer.put_back(window, &RunError::io("ops-1", "creating it")(io::ErrorKind::Other.into()));
        checkpointer
    }

    fn group() -> Group {
        let payload = Payload { bytes: vec![0; WINDOW_BYTES], ..Payload::default() };
        Group { chunks: vec![payload], end: 0, tip: Default::default() }
    }

    #[test]
    fn who_waits_for_a_checkpoint_when_they_are_given_up_is_told() {
        let checkpointer = failed();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| checkpointer.request(1));
            while checkpointer.intake.lock().wanted == 0 {
                thread::yield_now();
            }
            (0..WINDOWS_MAX).for_each(|_| checkpointer.take_in(&group()));
            assert!(waiting.join().unwrap().unwrap_err().contains("ops-1"));
        });
    }

    #[test]
    fn a_checkpoint_that_is_being_tried_again_is_not_given_up() {
        let checkpointer = failed();
        let _under_way = checkpointer.due_window(false).unwrap();
        thread::scope(|scope| {
            let fold = scope.spawn(|| (0..=WINDOWS_MAX).for_each(|_| checkpointer.take_in(&group())));
            while checkpointer.intake.lock().window.bytes.len() < WINDOWS_MAX * WINDOW_BYTES {
                assert!(!checkpointer.intake.lock().gave_up);
                thread::yield_now();
            }
            let mut made = checkpointer.intake.lock();
            (made.failure, made.under_way, made.window) = (None, false, Window::default());
            checkpointer.changed.notify_all();
            drop(made);
            fold.join().unwrap();
        });
        assert!(!checkpointer.intake.lock().gave_up);
    }
}
