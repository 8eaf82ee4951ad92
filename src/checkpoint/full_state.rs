//! A full checkpoint: a whole state, written into an empty folder.

use super::RunError;
use super::entry::RunEntry;
use super::files::Files;
use super::load::load;
use super::manifest::{Frontier, Manifest};
use super::rows::{HoldDelta, HoldRow, LevelRow, NameRow, OpRow};
use super::run::RunWriter;
use super::run_ref::RunRef;
use crate::clock::StepBack;
use crate::fold::levels::Contradiction;
use crate::fold::state::Fold;
use crate::index::KeyIndex;
use crate::log::scan::FoundChunk;

/// The number of the only checkpoint in its folder.
const NUMBER: u64 = 1;

/// The content of a checkpoint, in memory.
#[derive(Default)]
pub(crate) struct FullState {
    pub fold: Fold,
    /// Sorted by position.
    pub ops: Vec<OpRow>,
    /// Hash of the chunk that ends at the fold's position.
    hash: u64,
    /// The highest number of a kind of record that it was made of.
    kinds: u8,
}

impl FullState {
    /// Loads a checkpoint.
    pub(crate) fn load(files: &dyn Files, manifest: &Manifest) -> Result<FullState, RunError> {
        let mut ops = Vec::new();
        let loaded = load(files, manifest, &mut |op| ops.push(op))?;
        Ok(FullState { fold: loaded.fold, ops, hash: manifest.frontier.hash, kinds: manifest.kinds })
    }

    /// Applies the log's next chunk.
    pub(crate) fn chunk(&mut self, found: &FoundChunk, payload: &[u8]) -> Result<(), Contradiction> {
        let FullState { fold, ops, hash, kinds } = self;
        fold.payload(found.header.start, payload, &mut |op| ops.push(OpRow::of(&op)))?;
        (*hash, *kinds) = (found.hash, found.header.kinds.max(*kinds));
        Ok(())
    }

    /// Moves all times with engine time. The moments at which sales open stay: a caller gave them, by the true
    /// time.
    pub(crate) fn step_back(&mut self, step: StepBack) {
        let FullState { fold, ops, .. } = self;
        fold.now = step.now();
        fold.opened_at = step.happened(fold.opened_at);
        fold.holds.values_mut().for_each(|hold| hold.step_back(step));
        ops.iter_mut().for_each(|op| op.at = step.happened(op.at));
    }

    /// Writes the runs, for the directory with the identity `directory`; the caller commits the manifest.
    pub(crate) fn write(&self, files: &dyn Files, directory: [u8; 16]) -> Result<Manifest, RunError> {
        let fold = &self.fold;
        let names = (0..)
            .zip(fold.names.iter())
            .map(|(key, (sku, location))| NameRow::new(KeyIndex(key), sku, location));
        let levels = fold.levels.iter().map(|(key, level)| LevelRow { key, level, gated: true });
        let holds =
            fold.holds.iter().map(|(slot, hold)| HoldRow { slot, what: HoldDelta::Made(hold.clone()) });
        let runs = [
            write(files, levels)?,
            write(files, names)?,
            write(files, holds)?,
            write(files, self.ops.iter().cloned())?,
        ];
        let frontier = Frontier {
            position: fold.position,
            hash: self.hash,
            epoch: fold.epoch,
            opened_at_ms: fold.opened_at.0,
            now_ms: fold.now.0,
            records: fold.records,
        };
        let runs = runs.into_iter().flatten().collect();
        Ok(Manifest { number: NUMBER, directory, frontier, runs, kinds: self.kinds })
    }
}

/// Writes one run of entries that are in order; `None` if there are no entries.
fn write<E: RunEntry>(
    files: &dyn Files,
    entries: impl Iterator<Item = E>,
) -> Result<Option<RunRef>, RunError> {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(None);
    }
    let mut run = RunWriter::create(files, 2 * NUMBER)?;
    entries.try_for_each(|entry| run.put(&entry))?;
    run.finish().map(Some)
}
