//! The ledger: records that checkpoints have removed from the log, kept for reports and audits.
//!
//! A run of it consists of stretches of the log. Each has the records of one chunk as they are, so that
//! writing one takes a copy and a checksum and no decoding. A checkpoint names the runs of its ledger like
//! others, with one difference: no opening reads them, so a damaged or missing run harms only the ledger.
//!
//! # Invariants
//!
//! 1. The ledger of a checkpoint ends where the checkpoint does, and has no gap: each stretch begins where
//!    the one before ends. So the log behind the checkpoint continues the ledger.
//! 2. It is removed only from its beginning, whole runs at a time.

use super::RunError;
use super::entry::{KeepUntil, RunEntry, get, put};
use super::files::Files;
use super::manifest::{Frontier, Manifest};
use super::merge::{merge, stay};
use super::run::{RunReader, RunWriter};
use super::run_ref::{RunKind, RunRef};
use super::seed::{SeedError, copy_run};
use super::window::Window;
use crate::clock::{Timestamp, millis_ceil};
use crate::config::Config;
use crate::fold::hold::{self, Wrong};
use crate::log::record::Fact;
use std::time::Duration;

/// Shorter runs are merged, so that frequent checkpoints do not make many files.
const RUN_BYTES: u64 = 16 << 20;
/// The time of the ledger is divided into so many parts. Only runs of one part are merged, so that none is
/// kept much too long because of younger ones.
const PARTS: u64 = 8;
/// The most runs: a manifest that names them is read whole.
pub(crate) const RUNS_MAX: usize = 16_384;

/// The records of one chunk of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub start: u64,
    /// The opening in force before the first record, and its time: the times of records count from it until
    /// another opening's record.
    pub epoch: u32,
    pub opened_at: Timestamp,
    pub records: Box<[u8]>,
}

impl RunEntry for Stretch {
    const KIND: RunKind = RunKind::Ledger;

    fn place(&self) -> u64 {
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

    fn over(self, _older: Self) -> Result<Self, Wrong> {
        Err("two stretches of the ledger begin at one position")
    }
}

/// How much of the ledger is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerKept {
    pub time: Duration,
    pub bytes_max: u64,
}

impl LedgerKept {
    /// `None` if no ledger is kept.
    pub(crate) fn of(config: &Config) -> Option<LedgerKept> {
        let bytes_max = config.ledger_bytes_max.unwrap_or(u64::MAX);
        config.ledger_kept.map(|time| LedgerKept { time, bytes_max })
    }

    /// The part of time that a moment lies in.
    fn part(&self, at_ms: u64) -> u64 {
        at_ms / (millis_ceil(self.time) / PARTS).max(1)
    }

    /// How many of the runs, from the oldest, are no longer kept at `now`.
    fn past(&self, runs: &[RunRef], now: Timestamp) -> usize {
        let mut bytes = 0_u64;
        let kept = runs.iter().rev().take(RUNS_MAX).take_while(|run| {
            bytes = bytes.saturating_add(run.bytes);
            bytes <= self.bytes_max && Timestamp(run.latest_ms).plus(self.time) >= now
        });
        runs.len() - kept.count()
    }
}

/// A run of the ledger that is being written.
struct Archive {
    writer: RunWriter<Stretch>,
    epoch: u32,
    opened_at: Timestamp,
}

impl Archive {
    /// Creates a run that continues behind `before`.
    fn create(files: &dyn Files, number: u64, before: &Frontier) -> Result<Archive, RunError> {
        let writer = RunWriter::create(files, number)?;
        Ok(Archive { writer, epoch: before.epoch, opened_at: Timestamp(before.opened_at_ms) })
    }

    /// Appends the records of the next chunk.
    fn put(&mut self, start: u64, records: &[u8]) -> Result<(), RunError> {
        let Archive { epoch, opened_at, .. } = *self;
        self.writer.put(&Stretch { start, epoch, opened_at, records: records.into() })?;
        // An opening is announced by its first record, with which a chunk begins.
        if let Some(opening) = Fact::decode(records).ok().and_then(|(fact, _)| fact.opening()) {
            (self.epoch, self.opened_at) = opening;
        }
        Ok(())
    }

    fn finish(self, latest_ms: u64) -> Result<RunRef, RunError> {
        Ok(RunRef { latest_ms, ..self.writer.finish()? })
    }
}

/// Makes the ledger of checkpoint `number`: the runs `older` and the window, which begins at `before` and
/// whose latest time is `latest_ms`, without what is no longer kept.
pub(crate) fn next(
    files: &dyn Files,
    (older, kept): (Vec<RunRef>, &LedgerKept),
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
    runs.drain(..kept.past(&runs, Timestamp(latest_ms)));
    let alone = |run: &RunRef| run.bytes >= RUN_BYTES || kept.part(run.latest_ms) != kept.part(latest_ms);
    let short = runs.iter().rposition(alone).map_or(0, |long| long + 1);
    let stay = short + stay(&runs[short..]);
    if runs.len() - stay > 1 {
        let keep = KeepUntil { now: Timestamp(latest_ms), op_keys: None };
        match merge::<Stretch>(files, &runs[stay..], 2 * number + 1, &keep, stopped) {
            Ok(merged) => {
                runs.truncate(stay);
                runs.extend(merged.map(|run| RunRef { latest_ms, ..run }));
            }
            Err(RunError::Stopped) => return Err(RunError::Stopped),
            // The checkpoint is made all the same; a reader of the ledger gets the error.
            Err(_) => {}
        }
    }
    Ok(runs)
}

/// The part of a ledger that was copied into a new directory.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub runs: Vec<RunRef>,
    /// The number of runs that were left out, because they or later ones are damaged.
    pub lost: u64,
}

/// Copies the ledger of a checkpoint, and adds the chunks behind it, whose latest time is `latest_ms`. Runs
/// before a damaged one are left out with it. Copies nothing if there is no ledger.
pub(crate) fn carry<E: From<SeedError>>(
    from: &dyn Files,
    manifest: &Manifest,
    (chunks, latest_ms): (impl Iterator<Item = Result<(u64, Vec<u8>), E>>, u64),
    to: &dyn Files,
) -> Result<Carried, E> {
    let runs = manifest.of(RunKind::Ledger);
    let Some(last) = runs.last() else { return Ok(Carried::default()) };
    let whole = |run: &&RunRef| {
        let read = RunReader::<Stretch>::open(from, **run);
        read.is_ok_and(|mut stretches| stretches.all(|stretch| stretch.is_ok()))
    };
    let whole = runs.iter().rev().take_while(whole).count();
    let lost = runs.len() - whole;
    let mut carried = Carried { runs: runs[lost..].to_vec(), lost: lost as u64 };
    for run in &carried.runs {
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
        carried.runs.push(archive.finish(latest_ms).map_err(failed)?);
    }
    Ok(carried)
}

/// The stretches of a ledger in their order. After an error it continues with the next run.
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
