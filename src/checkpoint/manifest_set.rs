//! The manifest set: the two manifests that are kept, and the files that they name.

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
use super::merge::{is_past, merge, stay};
use super::rows::{HoldRow, LevelRow, NameRow, OpRow};
use super::run_ref::{RunKind, RunRef, number_of};
use super::window::{Digested, Openings, Window, digest};
use crate::config::Config;
use crate::fault::{Fault, planted};
use crate::log::scan::Tip;

/// Manifests kept.
const KEPT: usize = 2;

/// How long checkpoints keep what is not part of the state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    /// `None` = without a limit.
    pub op_keys: Option<Duration>,
    pub ledger: Option<ledger::LedgerKept>,
}

impl Retention {
    pub(crate) fn of(config: &Config) -> Retention {
        Retention { op_keys: config.op_key_retention, ledger: ledger::LedgerKept::of(config) }
    }
}

/// The manifests whose files must not be removed: those in the set, and those that a caller is reading.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The oldest first.
    kept: Vec<Manifest>,
    pinned: Vec<Manifest>,
}

/// The manifest set of a directory.
pub(crate) struct ManifestSet {
    pub files: Arc<dyn Files>,
    /// The directory's identity.
    directory: [u8; 16],
    /// The oldest first.
    kept: Vec<Manifest>,
    /// Manifests that were dropped, and may still be in the folder.
    has_rejected: bool,
    next_number: u64,
    openings: Openings,
    pins: Arc<Mutex<Pins>>,
}

impl ManifestSet {
    /// Finds the manifests of a directory; changes nothing. Also returns which are damaged, and why.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        directory: [u8; 16],
    ) -> Result<(ManifestSet, Vec<String>), RunError> {
        let names = files.list().map_err(RunError::io("checkpoint", "listing it"))?;
        // Above every number ever used, so that a leftover is never mistaken for a new file.
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
        // A crash may have kept the one that was about to be removed.
        kept.drain(..kept.len().saturating_sub(KEPT));
        let (openings, pins) = (Openings::default(), Arc::default());
        let has_rejected = false;
        Ok((ManifestSet { files, directory, kept, has_rejected, next_number, openings, pins }, rejected))
    }

    pub(crate) fn newest(&self) -> Option<&Manifest> {
        self.kept.last()
    }

    /// The older of the two manifests.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn before_newest(&self) -> Option<&Manifest> {
        self.kept.len().checked_sub(2).map(|older| &self.kept[older])
    }

    /// Drops the newest manifest, which cannot be used.
    pub(crate) fn reject_newest(&mut self) {
        self.has_rejected |= self.kept.pop().is_some();
    }

    /// Loads the newest manifest whose files are whole. Drops the others, and reports them. `ops` gets the
    /// operations with op keys; `None` tells it to forget what it got before.
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

    /// Syncs what an opening has found: a killed process may have left names that are not on the disk yet,
    /// and from here on the log is removed below the older manifest.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.files.sync().map_err(RunError::io("checkpoint", "syncing it"))
    }

    /// The openings in which the holds were made, at the end of the newest manifest.
    pub(crate) fn start_from(&mut self, openings: Openings) {
        self.openings = openings;
        self.pins.lock().kept.clone_from(&self.kept);
    }

    pub(crate) fn pins(&self) -> Arc<Mutex<Pins>> {
        Arc::clone(&self.pins)
    }

    /// The position at which the next window begins.
    pub(crate) fn frontier(&self) -> Frontier {
        self.newest().map(|manifest| manifest.frontier).unwrap_or_default()
    }

    /// The position from which the older manifest would need the log.
    pub(crate) fn older_tip(&self) -> Tip {
        match &self.kept[..] {
            [older, _] => older.frontier.tip(),
            _ => Tip::ORIGIN,
        }
    }

    /// The log is not needed below this position.
    pub(crate) fn log_from(&self) -> u64 {
        if self.kept.len() < KEPT {
            return 0;
        }
        let kept = if planted(Fault::CutUnderTheYounger) { self.kept.last() } else { self.kept.first() };
        let pins = self.pins.lock();
        let needed = kept.into_iter().chain(&pins.pinned).map(|manifest| manifest.frontier.position);
        needed.min().unwrap_or(0)
    }

    /// Writes the next checkpoint: the newest one and `window`. Before the commit, `durable` waits until the
    /// log is durable up to its position; it returns false if the log never will be.
    pub(crate) fn write(
        &mut self,
        window: &Window,
        retention: &Retention,
        stopped: &dyn Fn() -> bool,
        durable: impl FnOnce(u64) -> bool,
    ) -> Result<(), RunError> {
        // Otherwise, after a crash, a dropped manifest would count as the older one.
        if self.has_rejected {
            self.tidy()?;
            self.has_rejected = false;
        }
        let files = Arc::clone(&self.files);
        let number = self.next_number;
        // A number is used once, also if the checkpoint fails.
        self.next_number += 1;
        let mut openings = self.openings.clone();
        let before = self.frontier();
        let Digested { runs: written, frontier, kinds } =
            digest(window, &before, &mut openings, &*files, 2 * number, stopped)?;
        let keep = KeepUntil { now: crate::clock::Timestamp(frontier.now_ms), op_keys: retention.op_keys };
        let mut runs = Vec::new();
        for kind in RunKind::STATE {
            let mut of = self.newest().map(|manifest| manifest.of(kind)).unwrap_or_default();
            of.retain(|run| !is_past(run, &keep));
            of.extend(written.iter().filter(|run| run.kind == kind));
            let stay = stay(&of);
            if of.len() - stay > 1 {
                let merged = merge_kind(kind, &*files, &of[stay..], 2 * number + 1, &keep, stopped)?;
                of.truncate(stay);
                of.extend(merged);
            }
            runs.extend(of);
        }
        if let Some(kept) = &retention.ledger {
            let older = self.newest().map(|manifest| manifest.of(RunKind::Ledger)).unwrap_or_default();
            let said = (window, &before, frontier.now_ms);
            runs.extend(ledger::next(&*files, (older, kept), said, number, stopped)?);
        }
        if !planted(Fault::CheckpointAhead) && !durable(frontier.position) {
            return Err(RunError::Stopped);
        }
        let kinds = self.newest().map_or(0, |manifest| manifest.kinds).max(kinds);
        let manifest = Manifest { number, directory: self.directory, frontier, runs, kinds };
        manifest.commit(&*files)?;
        self.openings = openings;
        self.kept.push(manifest);
        self.kept.drain(..self.kept.len().saturating_sub(KEPT));
        self.pins.lock().kept.clone_from(&self.kept);
        // The checkpoint is made, whether or not old files can be removed: the next one tries again.
        let _ = self.tidy();
        Ok(())
    }

    /// Removes every file that is not needed; returns how many.
    pub(crate) fn tidy(&self) -> Result<u64, RunError> {
        let files = &*self.files;
        let mut needed = HashSet::new();
        // Held until all is removed: a manifest that is pinned meanwhile is one that is kept.
        let pins = self.pins.lock();
        for manifest in self.kept.iter().chain(&pins.pinned) {
            needed.insert(manifest.name());
            needed.extend(manifest.runs.iter().map(RunRef::name));
        }
        let names = files.list().map_err(RunError::io("checkpoint", "listing it"))?;
        let mut removed = 0;
        // Manifests first: none may be left that names a removed file.
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
    /// Pins the checkpoints that are kept, the oldest first. They and the log behind them stay until
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
