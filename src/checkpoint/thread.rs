//! The checkpointer: a thread that makes checkpoints of the groups that the fold passes to it, while sales go
//! on.
//!
//! The fold appends each group's bytes to a window. When the window is long enough, or a caller requests a
//! checkpoint, the thread takes the window and makes a checkpoint of it, and the fold fills the next one. A
//! failed checkpoint (a full disk, say) is retried with the records that arrived meanwhile, for ever, in growing
//! pauses. A caller's request is a retry at once.
//!
//! The fold waits when the window has grown to [`WINDOWS_MAX`] times its length: the disk is slower than the
//! sale then, and in the end the ring fills up. After a failure the fold does not wait, unless a retry is
//! under way: it drops the window, and the checkpointer is *behind*. The log keeps everything, so the next retry
//! reads the log once more, in windows, while the fold fills a new window from there on.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::RunError;
use super::files::Files;
use super::manifest::Manifest;
use super::manifest_set::{ManifestSet, Pins, Retention};
use super::window::{WINDOW_BYTES_MAX, Window};
use crate::config::Config;
use crate::log::directory::{Identity, OwnedDirectory};
use crate::log::group::Group;
use crate::log::reread::{Reread, RereadError};
use crate::log::scan::Tip;
use crate::log::writer::LogShared;

/// Window lengths that may accumulate before the fold waits, or an opening makes a checkpoint itself.
pub(crate) const WINDOWS_MAX: usize = 4;
/// The pause before a failed checkpoint is retried. It doubles with each failure up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Intake {
    window: Window,
    /// A caller has requested a checkpoint at this position or later.
    wanted: u64,
    requests: u64,
    /// Position of the last checkpoint.
    done: u64,
    /// Failures so far, and the cause of the last one; `None` again after a success.
    failures: u64,
    failure: Option<Arc<str>>,
    /// Failures since the last success.
    failures_in_a_row: u32,
    /// The window was dropped: the log has records behind the last checkpoint that it lacks.
    is_behind: bool,
    /// Those records are being read. The fold does not wait for this.
    catches_up: bool,
    /// The end of the last group that the fold has passed on.
    seen: Tip,
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
            intake: Mutex::new(Intake { seen: window.end, window, done, ..Intake::default() }),
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
        while intake.window.bytes.len() >= bytes_max && !intake.ended && !intake.is_behind {
            // A retry that is under way is waited for, but not one that reads the log.
            if intake.catches_up || (intake.failure.is_some() && !intake.under_way) {
                // The failures may last. The log keeps the records that the window drops.
                intake.is_behind = true;
                intake.window = Window::default();
                break;
            }
            self.changed.wait(&mut intake);
        }
        intake.seen = group.tip;
        if !intake.is_behind {
            group.chunks.iter().for_each(|chunk| intake.window.push(chunk.start, &chunk.bytes));
            intake.window.end = group.tip;
        }
        if self.is_due(&intake) {
            self.changed.notify_all();
        }
    }

    fn is_due(&self, intake: &Intake) -> bool {
        let Intake { window, wanted, done, seen, .. } = intake;
        let is_wanted = *wanted > *done && seen.end >= *wanted;
        window.bytes.len() >= self.window_bytes || is_wanted || intake.is_behind
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
        intake.requests += 1;
        self.changed.notify_all();
        loop {
            if intake.done >= position {
                return Ok(intake.done);
            }
            if intake.failures > failures {
                return Err(intake.failure.clone().unwrap_or_else(|| "a checkpoint has failed".into()));
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
        while let Some(work) = self.next_work() {
            let made = match work {
                Work::Window(window) => {
                    let made = self.make(&mut manifest_set, &window, log);
                    made.inspect_err(|error| self.put_back(window, error))
                }
                Work::CatchUp(to) => {
                    let made =
                        self.catch_up(&mut manifest_set, to, log, &mut |position| log.sync_up_to(position));
                    made.inspect_err(|error| self.fall_behind(error))
                }
            };
            match made {
                Ok(()) => {}
                // The engine was shut down, or the log has failed and gets no more records.
                Err(RunError::Stopped) => return self.end(),
                Err(_) => self.pause(),
            }
        }
    }

    /// Makes checkpoints of the records between the last one and `to`, which the log has and no window.
    pub(crate) fn catch_up(
        &self,
        manifest_set: &mut ManifestSet,
        to: Tip,
        log: &LogShared,
        durable: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), RunError> {
        self.place.check().map_err(RunError::io("checkpoint", "looking for it"))?;
        let stores = log.stores().filter(|_| durable(to.end)).ok_or(RunError::Stopped)?;
        let from = manifest_set.frontier().tip();
        let mut window = Window { end: from, ..Window::default() };
        for chunk in Reread::between(&*stores, from, to).map_err(reread)? {
            let (found, payload) = chunk.map_err(reread)?;
            window.push(found.header.start, &payload);
            window.end = Tip::after(&found);
            let is_long = window.bytes.len() >= self.window_bytes && found.header.commit;
            if is_long || window.end == to {
                self.make_once_durable(manifest_set, &window, log, &mut *durable)?;
                window.clear();
            }
        }
        let mut intake = self.intake.lock();
        (intake.catches_up, intake.under_way) = (false, false);
        Ok(())
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
        intake.failures_in_a_row = 0;
        intake.under_way = false;
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until a checkpoint is due; `None` at the end.
    fn next_work(&self) -> Option<Work> {
        let mut intake = self.intake.lock();
        while !intake.ended && !self.is_due(&intake) {
            self.changed.wait(&mut intake);
        }
        if intake.ended {
            return None;
        }
        Some(self.work(&mut intake))
    }

    fn work(&self, intake: &mut MutexGuard<'_, Intake>) -> Work {
        if !intake.is_behind {
            return Work::Window(self.take(intake));
        }
        // From here on the window has everything again that comes.
        (intake.is_behind, intake.catches_up, intake.under_way) = (false, true, true);
        intake.window = Window { end: intake.seen, ..Window::default() };
        Work::CatchUp(intake.seen)
    }

    /// What is to be done if it is due, or if `forced` and it is not empty.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn due_work(&self, forced: bool) -> Option<Work> {
        let mut intake = self.intake.lock();
        let due = self.is_due(&intake) || (forced && !intake.window.bytes.is_empty());
        (due && !intake.ended).then(|| self.work(&mut intake))
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
        if intake.window.bytes.len() > WINDOW_BYTES_MAX {
            intake.is_behind = true;
            intake.window = Window::default();
        }
        self.note(&mut intake, error);
    }

    /// Notes that reading the log once more has failed: it is tried again from the last checkpoint on.
    pub(crate) fn fall_behind(&self, error: &RunError) {
        let mut intake = self.intake.lock();
        (intake.is_behind, intake.catches_up) = (true, false);
        intake.window = Window::default();
        self.note(&mut intake, error);
    }

    fn note(&self, intake: &mut Intake, error: &RunError) {
        intake.failures += 1;
        intake.failures_in_a_row = intake.failures_in_a_row.saturating_add(1);
        intake.under_way = false;
        intake.failure = Some(error.to_string().into());
        self.changed.notify_all();
    }

    /// Waits before the next retry. A caller's request ends the pause.
    fn pause(&self) {
        let mut intake = self.intake.lock();
        let doubled = PAUSE.saturating_mul(1 << intake.failures_in_a_row.saturating_sub(1).min(16));
        let until = Instant::now() + doubled.min(PAUSE_MAX);
        let requests = intake.requests;
        while !intake.ended && intake.requests == requests {
            if self.changed.wait_until(&mut intake, until).timed_out() {
                break;
            }
        }
    }
}

/// What the thread does next.
pub(crate) enum Work {
    /// A checkpoint of this window.
    Window(Window),
    /// Checkpoints of what the log has up to this tip.
    CatchUp(Tip),
}

fn reread(error: RereadError) -> RunError {
    match error {
        RereadError::Missing { position } => RunError::Contradiction { position, what: error.to_string() },
        RereadError::Log(error) => RunError::io("log", "reading it once more")(io::Error::other(error)),
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
