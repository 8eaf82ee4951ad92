//! A checkpoint, read back into the state that the fold goes on from.

use super::CheckpointError;
use super::entry::{Happened, HoldEntry, LevelEntry, NameEntry, OpEntry};
use super::files::Files;
use super::manifest::Manifest;
use super::merge::Merged;
use super::run::Kind;
use super::window::Openings;
use crate::clock::Timestamp;
use crate::fold::levels::KeyLevel;
use crate::fold::state::Fold;

/// What a checkpoint says, but for the operations with op keys.
#[derive(Default)]
pub(crate) struct Loaded {
    pub fold: Fold,
    pub openings: Openings,
}

/// Reads all of a checkpoint, every byte of it checked; hands operations with op keys to `ops`. After an error what was
/// handed over is worth nothing.
pub(crate) fn load(
    files: &dyn Files,
    manifest: &Manifest,
    ops: &mut dyn FnMut(OpEntry),
) -> Result<Loaded, CheckpointError> {
    let wrong = |what: &str| CheckpointError::damaged(&manifest.name(), what);
    let mut fold = Fold::default();
    for entry in Merged::<NameEntry>::open(files, &manifest.of(Kind::Names))? {
        let entry = entry?;
        if entry.key as usize != fold.names.len() {
            return Err(wrong("a stock key has no names"));
        }
        fold.name(entry.sku, &entry.location);
    }
    let mut levels = vec![KeyLevel::default(); fold.names.len()];
    for entry in Merged::<LevelEntry>::open(files, &manifest.of(Kind::Levels))? {
        let entry = entry?;
        let level = levels.get_mut(entry.key as usize).ok_or_else(|| wrong("a book of no stock key"))?;
        *level = entry.level;
        level.wrong().map_or(Ok(()), |what| Err(wrong(what)))?;
    }
    fold.levels = levels.into();
    let mut openings = Openings::default();
    for entry in Merged::<HoldEntry>::open(files, &manifest.of(Kind::Holds))? {
        let entry = entry?;
        let Happened::Made(hold) = entry.what else {
            return Err(wrong("something happened to a hold that was never made"));
        };
        if hold.lines.iter().any(|line| line.key as usize >= fold.names.len()) {
            return Err(wrong("a hold of a stock key that was never declared"));
        }
        openings.set(entry.slot, hold.epoch);
        fold.holds.insert(entry.slot, hold);
    }
    for entry in Merged::<OpEntry>::open(files, &manifest.of(Kind::Ops))? {
        ops(entry?);
    }
    let frontier = &manifest.frontier;
    (fold.position, fold.records, fold.epoch) = (frontier.position, frontier.records, frontier.epoch);
    (fold.now, fold.opened_at) = (Timestamp(frontier.now_ms), Timestamp(frontier.opened_at_ms));
    Ok(Loaded { fold, openings })
}
