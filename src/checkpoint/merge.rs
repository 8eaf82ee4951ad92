//! Merges several runs of one kind into one.

use super::RunError;
use super::entry::{KeepUntil, RunEntry};
use super::files::Files;
use super::run::{RunReader, RunWriter};
use super::run_ref::{RunKind, RunRef};
use crate::clock::Timestamp;

/// With more runs than this the youngest are merged, however large the one before them is.
const RUNS_MAX: usize = 12;

/// The combined entries of several runs, the oldest first.
pub(crate) struct Merged<E: RunEntry> {
    /// Each run with its next entry.
    runs: Vec<(RunReader<E>, Option<E>)>,
}

impl<E: RunEntry> Merged<E> {
    pub(crate) fn open(files: &dyn Files, runs: &[RunRef]) -> Result<Self, RunError> {
        let open = |run: &RunRef| {
            let mut reader = RunReader::open(files, *run)?;
            let first = reader.next().transpose()?;
            Ok((reader, first))
        };
        Ok(Merged { runs: runs.iter().map(open).collect::<Result<_, _>>()? })
    }

    fn next_entry(&mut self) -> Result<Option<E>, RunError> {
        let nearest = self.runs.iter().filter_map(|(_, next)| Some(next.as_ref()?.place())).min();
        let Some(nearest) = nearest else { return Ok(None) };
        let mut merged: Option<E> = None;
        for (reader, next) in &mut self.runs {
            let Some(entry) = next.take_if(|next| next.place() == nearest) else { continue };
            *next = reader.next().transpose()?;
            merged = Some(match merged {
                None => entry,
                Some(older) => entry.over(older).map_err(|what| {
                    RunError::damaged(reader.name(), format!("at {nearest} it says {what}"))
                })?,
            });
        }
        Ok(merged)
    }
}

impl<E: RunEntry> Iterator for Merged<E> {
    type Item = Result<E, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// How many of the runs, from the oldest, stay as they are; the others are merged.
pub(crate) fn stay(runs: &[RunRef]) -> usize {
    let mut stay = runs.len().saturating_sub(1);
    let mut bytes = runs.last().map_or(0, |run| run.bytes);
    while stay > 0 && (runs[stay - 1].bytes / 2 <= bytes || stay >= RUNS_MAX) {
        stay -= 1;
        bytes += runs[stay].bytes;
    }
    stay
}

/// Whether no entry of the run is needed any more.
pub(crate) fn is_past(run: &RunRef, keep: &KeepUntil) -> bool {
    // Twice: the op key of a maker whose clock is ahead is kept for another window.
    run.kind == RunKind::Ops
        && keep.op_keys.is_some_and(|kept| Timestamp(run.latest_ms).plus(kept).plus(kept) < keep.now)
}

/// Merges runs, the oldest first, into one with the number `number`; `None` if no entry is left. Stops with
/// an error when `stopped` returns true.
pub(crate) fn merge<E: RunEntry>(
    files: &dyn Files,
    runs: &[RunRef],
    number: u64,
    keep: &KeepUntil,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<RunRef>, RunError> {
    let mut writer = RunWriter::create(files, number)?;
    let mut entries = 0_u64;
    for entry in Merged::<E>::open(files, runs)? {
        let entry = entry?;
        if entry.is_kept(keep) {
            writer.put(&entry)?;
        }
        entries += 1;
        if entries.is_multiple_of(4_096) && stopped() {
            return Err(RunError::Stopped);
        }
    }
    let run = writer.finish()?;
    Ok((run.entries > 0).then_some(run))
}
