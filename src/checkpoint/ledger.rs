//! The ledger: the records that checkpoints cut off the log, kept so that the history can be read.
//!
//! Its runs consist of stretches of the log, each with the unchanged records of a chunk, so writing one takes
//! a copy and a checksum and no decoding. A checkpoint names the runs of its ledger like others, with one
//! difference: no opening reads them, so a damaged or missing run harms only the ledger.
//!
//! # Invariants
//!
//! 1. The ledger of a checkpoint ends at the checkpoint's position and has no gap: each stretch begins at the
//!    end of the one before. So the log after the checkpoint continues the ledger.
//! 2. The ledger is cut only at its beginning, by whole runs.

use super::RunError;
use super::entry::{KeepUntil, RunEntry, get, put};
use super::files::Files;
use super::manifest::{Frontier, Manifest};
use super::merge::{merge, unmerged_count};
use super::run::{RunReader, RunWriter};
use super::run_ref::{RunKind, RunRef};
use super::seed::{SeedError, copy_run};
use super::window::Window;
use crate::clock::{Timestamp, millis_ceil};
use crate::config::Config;
use crate::fold::hold::{self, Wrong};
use crate::log::record::Fact;
use std::time::Duration;

/// Shorter runs are merged with others, so that frequent checkpoints still make few files.
const RUN_BYTES: u64 = 16 << 20;
/// Parts of the retention time. Only runs of one part are merged, so that no old record stays for newer ones.
const PARTS: u64 = 8;
/// Most runs of a ledger; the manifest that names them is read at once.
pub(crate) const RUNS_MAX: usize = 16_384;

/// Consecutive records of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub start: u64,
    /// Epoch and time of the opening before the records. Their times count from it, up to the next opening.
    pub epoch: u32,
    pub opened_at: Timestamp,
    pub records: Box<[u8]>,
}

impl RunEntry for Stretch {
    const KIND: RunKind = RunKind::Ledger;

    fn sort_key(&self) -> u64 {
        self.start
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.start, self.epoch, self.opened_at.0, self.records.len() as u64), out);
        out.extend_from_slice(&self.records);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let ((start, epoch, opened_at, length), head) = get::<(u64, u32, u64, u64)>(bytes)?;
        let end = head.checked_add(usize::try_from(length).ok()?)?;
        let (records, opened_at) = (bytes.get(head..end)?.into(), Timestamp(opened_at));
        hold::check_time(opened_at).ok()?;
        Some((Stretch { start, epoch, opened_at, records }, end))
    }

    fn merge_onto(self, _older: Self) -> Result<Self, Wrong> {
        Err("two stretches of the ledger begin at one position")
    }
}

/// How much of the ledger is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerRetention {
    pub time: Duration,
    pub bytes_max: u64,
}

impl LedgerRetention {
    /// `None` if no ledger is kept.
    pub(crate) fn of(config: &Config) -> Option<LedgerRetention> {
        let bytes_max = config.ledger_bytes_max.unwrap_or(u64::MAX);
        config.ledger_kept.map(|time| LedgerRetention { time, bytes_max })
    }

    /// The number of the part of time that `at_ms` is in.
    fn part(&self, at_ms: u64) -> u64 {
        at_ms / (millis_ceil(self.time) / PARTS).max(1)
    }

    /// How many of the runs, from the oldest on, need not be kept at `now`.
    fn expired_count(&self, runs: &[RunRef], now: Timestamp) -> usize {
        let mut bytes = 0_u64;
        let kept = runs.iter().rev().take(RUNS_MAX).take_while(|run| {
            bytes = bytes.saturating_add(run.bytes);
            bytes <= self.bytes_max && Timestamp(run.latest_ms).plus(self.time) >= now
        });
        runs.len() - kept.count()
    }
}

/// Writes a run of the ledger.
struct Archive {
    writer: RunWriter<Stretch>,
    epoch: u32,
    opened_at: Timestamp,
}

impl Archive {
    /// Creates a run that continues at `before`.
    fn create(files: &dyn Files, number: u64, before: &Frontier) -> Result<Archive, RunError> {
        let writer = RunWriter::create(files, number)?;
        Ok(Archive { writer, epoch: before.epoch, opened_at: Timestamp(before.opened_at_ms) })
    }

    /// Appends the records of the next chunk.
    fn put(&mut self, start: u64, records: &[u8]) -> Result<(), RunError> {
        let Archive { epoch, opened_at, .. } = *self;
        self.writer.put(&Stretch { start, epoch, opened_at, records: records.into() })?;
        // The record of an opening is always the first of a chunk.
        if let Some(opening) = Fact::decode(records).ok().and_then(|(fact, _)| fact.opening()) {
            (self.epoch, self.opened_at) = opening;
        }
        Ok(())
    }

    fn finish(self, latest_ms: u64) -> Result<RunRef, RunError> {
        Ok(RunRef { latest_ms, ..self.writer.finish()? })
    }
}

/// Writes the ledger of checkpoint `number`: the runs `older` plus the window, less the runs that need not be
/// kept. The window begins at `before`; its latest time is `latest_ms`.
pub(crate) fn next(
    files: &dyn Files,
    (older, kept): (Vec<RunRef>, &LedgerRetention),
    (window, before, latest_ms): (&Window, &Frontier, u64),
    number: u64,
    stopped: &dyn Fn() -> bool,
) -> Result<Vec<RunRef>, RunError> {
    let mut runs = older;
    if !window.bytes.is_empty() {
        let mut archive = Archive::create(files, 2 * number, before)?;
        for (start, records) in window.stretches(before.position) {
            archive.put(start, records)?;
            if stopped() {
                return Err(RunError::Stopped);
            }
        }
        runs.push(archive.finish(latest_ms)?);
    }
    runs.drain(..kept.expired_count(&runs, Timestamp(latest_ms)));
    let is_unmerged =
        |run: &RunRef| run.bytes >= RUN_BYTES || kept.part(run.latest_ms) != kept.part(latest_ms);
    let short = runs.iter().rposition(is_unmerged).map_or(0, |long| long + 1);
    let stay = short + unmerged_count(&runs[short..]);
    if runs.len() - stay > 1 {
        let keep = KeepUntil { now: Timestamp(latest_ms), op_keys: None };
        match merge::<Stretch>(files, &runs[stay..], 2 * number + 1, &keep, stopped) {
            Ok(merged) => {
                runs.truncate(stay);
                runs.extend(merged.map(|run| RunRef { latest_ms, ..run }));
            }
            Err(RunError::Stopped) => return Err(RunError::Stopped),
            // The checkpoint is made anyway. Readers of the ledger get the error.
            Err(_) => {}
        }
    }
    Ok(runs)
}

/// A ledger that was copied into a new directory.
#[derive(Debug, Default)]
pub(crate) struct CopiedLedger {
    pub runs: Vec<RunRef>,
    /// Number of runs that were not copied, because they or later ones are damaged.
    pub lost: u64,
}

/// Copies the ledger of a checkpoint and appends the chunks after it, whose latest time is `latest_ms`. A
/// damaged run and all the runs before it are left out. Copies nothing if there is no ledger.
pub(crate) fn copy_ledger<E: From<SeedError>>(
    from: &dyn Files,
    manifest: &Manifest,
    (chunks, latest_ms): (impl Iterator<Item = Result<(u64, Vec<u8>), E>>, u64),
    to: &dyn Files,
) -> Result<CopiedLedger, E> {
    let runs = manifest.of(RunKind::Ledger);
    let Some(last) = runs.last() else { return Ok(CopiedLedger::default()) };
    let is_intact = |run: &&RunRef| {
        let read = RunReader::<Stretch>::open(from, **run);
        read.is_ok_and(|mut stretches| stretches.all(|stretch| stretch.is_ok()))
    };
    let intact = runs.iter().rev().take_while(is_intact).count();
    let lost = runs.len() - intact;
    let mut copied = CopiedLedger { runs: runs[lost..].to_vec(), lost: lost as u64 };
    for run in &copied.runs {
        copy_run(from, run, to)?;
    }
    let mut chunks = chunks.peekable();
    if chunks.peek().is_some() {
        let failed = |error| E::from(SeedError::Checkpoint(error));
        let mut archive = Archive::create(to, last.number + 1, &manifest.frontier).map_err(failed)?;
        for chunk in chunks {
            let (start, records) = chunk?;
            archive.put(start, &records).map_err(failed)?;
        }
        copied.runs.push(archive.finish(latest_ms).map_err(failed)?);
    }
    Ok(copied)
}

/// The stretches of a checkpoint's ledger, in order. After an error it continues with the next run.
pub(crate) struct Stretches<'f> {
    files: &'f dyn Files,
    runs: std::vec::IntoIter<RunRef>,
    run: Option<RunReader<Stretch>>,
}

impl<'f> Stretches<'f> {
    pub(crate) fn of(files: &'f dyn Files, runs: Vec<RunRef>) -> Self {
        Stretches { files, runs: runs.into_iter(), run: None }
    }
}

impl Iterator for Stretches<'_> {
    type Item = Result<Stretch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(run) = &mut self.run {
                if let Some(next) = run.next() {
                    return Some(next);
                }
                self.run = None;
            }
            match RunReader::open(self.files, self.runs.next()?) {
                Ok(run) => self.run = Some(run),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
