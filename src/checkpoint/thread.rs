//! The checkpointer: a thread that makes checkpoints of the groups that the fold passes to it, while sales go
//! on.
//!
//! The fold appends each group's bytes to a window. When the window is long enough, or a caller requests a
//! checkpoint, the thread takes the window and makes a checkpoint of it, and the fold fills the next one. A
//! failed checkpoint (a full disk, say) is retried with the records that arrived meanwhile; only a
//! contradiction in the log ends it for good.
//!
//! The fold waits when the window has grown to [`WINDOWS_MAX`] times its length: the disk is slower than the
//! sale then, and in the end the ring fills up. After a failure the fold does not wait, unless a retry is
//! under way. It gives checkpoints up for the rest of this opening instead: the log keeps everything, and the
//! next opening reads it.

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

/// Window lengths that may accumulate before the fold waits, or an opening makes a checkpoint itself.
pub(crate) const WINDOWS_MAX: usize = 4;
/// Delay before a failed checkpoint is retried.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Intake {
    window: Window,
    /// A caller has requested a checkpoint at this position or later.
    wanted: u64,
    /// Position of the last checkpoint.
    done: u64,
    /// Failures so far, and the cause of the last one; `None` again after a success.
    failures: u64,
    failure: Option<Arc<str>>,
    /// No more checkpoints are made in this opening: the window has a gap.
    gave_up: bool,
    /// No more groups will arrive.
    ended: bool,
    /// A checkpoint is being made.
    under_way: bool,
}

/// Number of checkpoints made, and the bytes of the last one and of its ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CheckpointTotals {
    pub count: u64,
    pub bytes: u64,
    pub ledger_bytes: u64,
}

/// The progress of checkpoints, for reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckpointProgress {
    pub done: u64,
    pub made: CheckpointTotals,
    pub failure: Option<Arc<str>>,
    pub under_way: bool,
}

/// Checkpoints that are kept, with the log after them, until this is dropped.
pub(crate) struct Pinned {
    /// The oldest first.
    pub manifests: Vec<Manifest>,
    pub files: Arc<dyn Files>,
    /// The directory's identity.
    pub identity: Identity,
    pins: Arc<Mutex<Pins>>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.pins.lock().unpin(&self.manifests);
    }
}

/// The state that the fold, the checkpoint thread and callers share; see the module.
pub(crate) struct Checkpointer {
    intake: Mutex<Intake>,
    changed: Condvar,
    window_bytes: usize,
    retention: Retention,
    made: Mutex<CheckpointTotals>,
    pins: Arc<Mutex<Pins>>,
    files: Arc<dyn Files>,
    identity: Identity,
    /// The path of the directory, checked before each checkpoint.
    pub place: OwnedDirectory,
}

impl Checkpointer {
    /// Continues from the newest checkpoint of `manifest_set`; `window` is the log after it.
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

    /// Appends the next group to the window; called by the fold.
    pub(crate) fn take_in(&self, group: &Group) {
        let mut intake = self.intake.lock();
        let bytes_max = (self.window_bytes * WINDOWS_MAX).min(WINDOW_BYTES_MAX);
        while intake.window.bytes.len() >= bytes_max && !intake.ended && !intake.gave_up {
            // A retry that is under way is waited for.
            if intake.failure.is_some() && !intake.under_way {
                // The failures may last. The log keeps the records that the window drops.
                intake.gave_up = true;
                intake.window = Window::default();
                self.changed.notify_all(); // wakes callers of `request`
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

    /// Ends checkpointing and wakes every waiting thread.
    pub(crate) fn end(&self) {
        self.intake.lock().ended = true;
        self.changed.notify_all();
    }

    fn has_ended(&self) -> bool {
        self.intake.lock().ended
    }

    /// Requests a checkpoint at `position` or later, waits for it, and returns its position.
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

    /// Pins the kept checkpoints.
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

    /// Makes checkpoints until the end; the body of the thread.
    pub(crate) fn run(&self, mut manifest_set: ManifestSet, log: &LogShared) {
        while let Some(window) = self.next_window() {
            match self.make(&mut manifest_set, &window, log) {
                Ok(()) => {}
                // The engine was shut down, or the log has failed and gets no more records.
                Err(RunError::Stopped) => return self.end(),
                Err(error) => self.failed(window, &error),
            }
        }
    }

    /// Makes one checkpoint, of a window.
    pub(crate) fn make(
        &self,
        manifest_set: &mut ManifestSet,
        window: &Window,
        log: &LogShared,
    ) -> Result<(), RunError> {
        // Another directory at this path may have files of the same names.
        self.place.check().map_err(RunError::io("checkpoint", "looking for it"))?;
        self.make_once_durable(manifest_set, window, log, |position| log.sync_up_to(position))
    }

    /// The same. `durable` waits until the log is durable up to a position; false if it never will be.
    pub(crate) fn make_once_durable(
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

    /// Waits until the window is due and takes it; `None` at the end.
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

    /// Takes the window if it is due, or if `forced` and it is not empty.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn due_window(&self, forced: bool) -> Option<Window> {
        let mut intake = self.intake.lock();
        let due = self.is_due(&intake) || (forced && !intake.window.bytes.is_empty());
        (due && !intake.ended).then(|| self.take(&mut intake))
    }

    /// Whether the fold would wait for the next checkpoint.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn is_held_back(&self) -> bool {
        let intake = self.intake.lock();
        intake.window.bytes.len() >= self.window_bytes * WINDOWS_MAX && intake.failure.is_none()
    }

    fn take(&self, intake: &mut MutexGuard<'_, Intake>) -> Window {
        let end = intake.window.end;
        intake.under_way = true;
        let window = std::mem::replace(&mut intake.window, Window { end, ..Window::default() });
        self.changed.notify_all(); // the fold may be waiting for room
        window
    }

    /// Puts the window of a failed checkpoint back in front of the records that arrived meanwhile.
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
        let directory = Directory::nowhere(Identity::random());
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
    fn a_waiting_caller_gets_the_error_when_checkpoints_are_given_up() {
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
    fn a_checkpoint_that_is_being_retried_is_not_given_up() {
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
