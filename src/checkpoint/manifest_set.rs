//! The manifest set: the two manifests that are kept, and the runs that they name.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::RunError;
use super::entry::KeepUntil;
use super::files::Files;
use super::ledger::{self, Stretch};
use super::load::{Loaded, load};
use super::manifest::{Frontier, Manifest};
use super::merge::{is_past_retention, merge, unmerged_count};
use super::rows::{HoldRow, LevelRow, NameRow, OpRow};
use super::run_ref::{RunKind, RunRef, number_of};
use super::window::{HoldEpochs, Window, WindowRuns, digest};
use crate::config::Config;
use crate::fault::{Fault, planted};
use crate::log::scan::Tip;

/// Number of manifests that are kept.
const KEPT: usize = 2;

/// How long checkpoints keep op keys and ledger records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    /// `None`: forever.
    pub op_keys: Option<Duration>,
    pub ledger: Option<ledger::LedgerRetention>,
}

impl Retention {
    pub(crate) fn of(config: &Config) -> Retention {
        Retention { op_keys: config.op_key_retention, ledger: ledger::LedgerRetention::of(config) }
    }
}

/// The manifests whose files must not be removed: those in the set, and those that a reader has pinned.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The oldest first.
    kept: Vec<Manifest>,
    pinned: Vec<Manifest>,
}

/// The kept manifests of a directory, and the writer of the next one.
pub(crate) struct ManifestSet {
    pub files: Arc<dyn Files>,
    /// The directory's identity.
    directory: [u8; 16],
    /// The oldest first.
    kept: Vec<Manifest>,
    /// A rejected manifest may still be in the folder.
    has_rejected: bool,
    next_number: u64,
    hold_epochs: HoldEpochs,
    pins: Arc<Mutex<Pins>>,
}

impl ManifestSet {
    /// Finds the manifests of a directory; changes nothing. Also returns why unusable ones were rejected.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        directory: [u8; 16],
    ) -> Result<(ManifestSet, Vec<String>), RunError> {
        let names = files.list().map_err(RunError::io("checkpoint", "listing it"))?;
        // Above every number in the folder, so that a leftover never has the name of a new file.
        let numbers = names.iter().filter_map(|name| {
            let number = number_of(name)?;
            Some(if Manifest::is_name(name) { number } else { number / 2 })
        });
        let next_number = numbers.max().map_or(1, |number| number.saturating_add(1));
        let (mut kept, mut rejected) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| Manifest::is_name(name)) {
            match Manifest::read(&*files, name) {
                Ok(manifest) if manifest.directory == directory => kept.push(manifest),
                Ok(_) => rejected.push(format!("{name}: it belongs to another directory")),
                Err(RunError::Damaged { name, what }) => rejected.push(format!("{name}: {what}")),
                Err(error) => return Err(error),
            }
        }
        kept.sort_unstable_by_key(|manifest| manifest.number);
        // After a crash, manifests that were about to be removed may still be there.
        kept.drain(..kept.len().saturating_sub(KEPT));
        let (hold_epochs, pins) = (HoldEpochs::default(), Arc::default());
        let has_rejected = false;
        Ok((ManifestSet { files, directory, kept, has_rejected, next_number, hold_epochs, pins }, rejected))
    }

    pub(crate) fn newest(&self) -> Option<&Manifest> {
        self.kept.last()
    }

    /// The older of the two kept manifests.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn before_newest(&self) -> Option<&Manifest> {
        self.kept.len().checked_sub(2).map(|older| &self.kept[older])
    }

    /// Rejects the newest manifest, because it cannot be used.
    pub(crate) fn reject_newest(&mut self) {
        self.has_rejected |= self.kept.pop().is_some();
    }

    /// Loads the newest checkpoint that is intact; damaged ones are rejected and added to `rejected`. `ops`
    /// gets the operations with op keys; `None` discards those that it got before.
    pub(crate) fn load_newest(
        &mut self,
        rejected: &mut Vec<String>,
        ops: &mut dyn FnMut(Option<OpRow>),
    ) -> Result<Option<(Manifest, Loaded)>, RunError> {
        while let Some(manifest) = self.newest() {
            match load(&*self.files, manifest, &mut |op| ops(Some(op))) {
                Ok(loaded) => return Ok(Some((manifest.clone(), loaded))),
                Err(RunError::Damaged { name, what }) => {
                    rejected.push(format!("{name}: {what}"));
                    ops(None);
                    self.reject_newest();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Makes the names that an opening has found durable. A killed process may have left names that are not
    /// on disk yet, and from here on the log is cut below the older manifest.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.files.sync().map_err(RunError::io("checkpoint", "syncing it"))
    }

    /// Sets the epochs of the holds at the end of the newest checkpoint.
    pub(crate) fn start_from(&mut self, hold_epochs: HoldEpochs) {
        self.hold_epochs = hold_epochs;
        self.pins.lock().kept.clone_from(&self.kept);
    }

    pub(crate) fn pins(&self) -> Arc<Mutex<Pins>> {
        Arc::clone(&self.pins)
    }

    /// The start of the next window.
    pub(crate) fn frontier(&self) -> Frontier {
        self.newest().map(|manifest| manifest.frontier).unwrap_or_default()
    }

    /// The tip from which the older of the two manifests needs the log.
    pub(crate) fn older_tip(&self) -> Tip {
        match &self.kept[..] {
            [older, _] => older.frontier.tip(),
            _ => Tip::ORIGIN,
        }
    }

    /// The position below which no kept or pinned manifest needs the log.
    pub(crate) fn log_from(&self) -> u64 {
        if self.kept.len() < KEPT {
            return 0;
        }
        let kept = if planted(Fault::CutUnderTheYounger) { self.kept.last() } else { self.kept.first() };
        let pins = self.pins.lock();
        let needed = kept.into_iter().chain(&pins.pinned).map(|manifest| manifest.frontier.position);
        needed.min().unwrap_or(0)
    }

    /// Writes the next checkpoint: the newest one plus `window`. Before the commit, `durable` waits until the
    /// log is durable up to a position; false if it never will be.
    pub(crate) fn write(
        &mut self,
        window: &Window,
        retention: &Retention,
        stopped: &dyn Fn() -> bool,
        durable: impl FnOnce(u64) -> bool,
    ) -> Result<(), RunError> {
        // Otherwise, after a crash, a rejected manifest would count as the older of the two that are kept.
        if self.has_rejected {
            self.tidy()?;
            self.has_rejected = false;
        }
        let files = Arc::clone(&self.files);
        let number = self.next_number;
        // A number is used once, even if the checkpoint fails.
        self.next_number += 1;
        let mut hold_epochs = self.hold_epochs.clone();
        let before = self.frontier();
        let WindowRuns { runs: written, frontier, kinds } =
            digest(window, &before, &mut hold_epochs, &*files, 2 * number, stopped)?;
        let keep = KeepUntil { now: crate::clock::Timestamp(frontier.now_ms), op_keys: retention.op_keys };
        let mut runs = Vec::new();
        for kind in RunKind::STATE {
            let mut of_kind = self.newest().map(|manifest| manifest.of(kind)).unwrap_or_default();
            of_kind.retain(|run| !is_past_retention(run, &keep));
            of_kind.extend(written.iter().filter(|run| run.kind == kind));
            let stay = unmerged_count(&of_kind);
            if of_kind.len() - stay > 1 {
                let merged = merge_kind(kind, &*files, &of_kind[stay..], 2 * number + 1, &keep, stopped)?;
                of_kind.truncate(stay);
                of_kind.extend(merged);
            }
            runs.extend(of_kind);
        }
        if let Some(kept) = &retention.ledger {
            let older = self.newest().map(|manifest| manifest.of(RunKind::Ledger)).unwrap_or_default();
            let added = (window, &before, frontier.now_ms);
            runs.extend(ledger::next(&*files, (older, kept), added, number, stopped)?);
        }
        if !planted(Fault::CheckpointAhead) && !durable(frontier.position) {
            return Err(RunError::Stopped);
        }
        let kinds = self.newest().map_or(0, |manifest| manifest.kinds).max(kinds);
        let manifest = Manifest { number, directory: self.directory, frontier, runs, kinds };
        manifest.commit(&*files)?;
        self.hold_epochs = hold_epochs;
        self.kept.push(manifest);
        self.kept.drain(..self.kept.len().saturating_sub(KEPT));
        self.pins.lock().kept.clone_from(&self.kept);
        // The checkpoint is made even if old files cannot be removed: the next one retries.
        let _ = self.tidy();
        Ok(())
    }

    /// Removes every file that no kept or pinned manifest needs; returns their number.
    pub(crate) fn tidy(&self) -> Result<u64, RunError> {
        let files = &*self.files;
        let mut needed = HashSet::new();
        // Locked until all are removed, so that a reader pins only manifests that are kept.
        let pins = self.pins.lock();
        for manifest in self.kept.iter().chain(&pins.pinned) {
            needed.insert(manifest.name());
            needed.extend(manifest.runs.iter().map(RunRef::name));
        }
        let names = files.list().map_err(RunError::io("checkpoint", "listing it"))?;
        let mut removed = 0;
        // Manifests first: no manifest may be left that names a removed run.
        let (manifests, others): (Vec<_>, Vec<_>) =
            names.iter().filter(|name| !needed.contains(*name)).partition(|name| Manifest::is_name(name));
        for names in [manifests, others] {
            for name in &names {
                files.remove(name).map_err(RunError::io(name, "removing it"))?;
                removed += 1;
            }
            if !names.is_empty() {
                files.sync().map_err(RunError::io("checkpoint", "syncing it"))?;
            }
        }
        Ok(removed)
    }
}

impl Pins {
    /// Pins and returns the kept checkpoints, the oldest first. They and the log after them stay until
    /// [`unpin`](Self::unpin).
    pub(crate) fn pin(&mut self) -> Vec<Manifest> {
        self.pinned.extend_from_slice(&self.kept);
        self.kept.clone()
    }

    pub(crate) fn unpin(&mut self, manifests: &[Manifest]) {
        for manifest in manifests {
            if let Some(at) = self.pinned.iter().position(|pinned| pinned.number == manifest.number) {
                self.pinned.swap_remove(at);
            }
        }
    }
}

fn merge_kind(
    kind: RunKind,
    files: &dyn Files,
    runs: &[RunRef],
    number: u64,
    keep: &KeepUntil,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<RunRef>, RunError> {
    match kind {
        RunKind::Levels => merge::<LevelRow>(files, runs, number, keep, stopped),
        RunKind::Names => merge::<NameRow>(files, runs, number, keep, stopped),
        RunKind::Holds => merge::<HoldRow>(files, runs, number, keep, stopped),
        RunKind::Ops => merge::<OpRow>(files, runs, number, keep, stopped),
        RunKind::Ledger => merge::<Stretch>(files, runs, number, keep, stopped),
    }
}
