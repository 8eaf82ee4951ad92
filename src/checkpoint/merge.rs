//! Merging several runs of one kind into one.

use super::RunError;
use super::entry::{KeepUntil, RunEntry};
use super::files::Files;
use super::run::{RunReader, RunWriter};
use super::run_ref::{RunKind, RunRef};
use crate::clock::Timestamp;

/// Most runs of a kind: more than this are merged, even if the run before is much larger.
const RUNS_MAX: usize = 12;

/// Merges the entries of several runs, the oldest first: one entry for each sort key.
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
        let lowest = self.runs.iter().filter_map(|(_, next)| Some(next.as_ref()?.sort_key())).min();
        let Some(lowest) = lowest else { return Ok(None) };
        let mut merged: Option<E> = None;
        for (reader, next) in &mut self.runs {
            let Some(entry) = next.take_if(|next| next.sort_key() == lowest) else { continue };
            *next = reader.next().transpose()?;
            merged = Some(match merged {
                None => entry,
                Some(older) => entry.merge_onto(older).map_err(|what| {
                    RunError::damaged(reader.name(), format!("the entry with sort key {lowest}: {what}"))
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

/// How many of the runs, from the oldest on, stay as they are; the others are to be merged into one.
pub(crate) fn unmerged_count(runs: &[RunRef]) -> usize {
    let mut stay = runs.len().saturating_sub(1);
    let mut bytes = runs.last().map_or(0, |run| run.bytes);
    while stay > 0 && (runs[stay - 1].bytes / 2 <= bytes || stay >= RUNS_MAX) {
        stay -= 1;
        bytes += runs[stay].bytes;
    }
    stay
}

/// Whether all of a run's entries are past their retention.
pub(crate) fn is_past_retention(run: &RunRef, keep: &KeepUntil) -> bool {
    // Twice: if the clock of an op key's maker is ahead, the key is kept for another retention time.
    run.kind == RunKind::Ops
        && keep.op_keys.is_some_and(|kept| Timestamp(run.latest_ms).plus(kept).plus(kept) < keep.now)
}

/// Merges several runs, the oldest first, into one with the number `number`; `None` if no entry is left.
/// Calls `stopped` from time to time.
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
