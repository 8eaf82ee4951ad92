//! Loads a checkpoint as the state from which the fold continues.

use super::RunError;
use super::files::Files;
use super::manifest::Manifest;
use super::merge::Merged;
use super::rows::{HoldDelta, HoldRow, LevelRow, NameRow, OpRow};
use super::run_ref::RunKind;
use super::window::HoldEpochs;
use crate::clock::Timestamp;
use crate::fold::holds::Holds;
use crate::fold::levels::Levels;
use crate::fold::state::Fold;
use crate::join::join;
use crate::stock::names::Names;

/// The content of a checkpoint, without the operations with op keys.
#[derive(Default)]
pub(crate) struct Loaded {
    pub fold: Fold,
    pub hold_epochs: HoldEpochs,
}

/// Below this a second thread does not pay off. The simulation, which must be deterministic, stays below it.
const MANY_BYTES: u64 = 4 << 20;

/// Reads a whole checkpoint and checks every byte; passes operations with op keys to `ops`. After an error
/// the caller must discard the operations that it got.
pub(crate) fn load(
    files: &dyn Files,
    manifest: &Manifest,
    ops: &mut dyn FnMut(OpRow),
) -> Result<Loaded, RunError> {
    let wrong = |what: &str| RunError::damaged(&manifest.name(), what);
    let of_keys = || {
        let names = names(files, manifest)?;
        let levels = levels(files, manifest, names.len())?;
        Ok((names, levels))
    };
    let rest = || {
        let holds = holds(files, manifest)?;
        for entry in Merged::<OpRow>::open(files, &manifest.of(RunKind::Ops))? {
            ops(entry?);
        }
        Ok(holds)
    };
    let (of_keys, rest) = join(manifest.bytes().0 >= MANY_BYTES, of_keys, rest);
    let ((names, levels), LoadedHolds { holds, hold_epochs, keys }) = (of_keys?, rest?);
    if keys > names.len() {
        return Err(wrong("a hold of a stock key that was never declared"));
    }
    let frontier = &manifest.frontier;
    let fold = Fold {
        names,
        levels,
        holds,
        position: frontier.position,
        records: frontier.records,
        epoch: frontier.epoch,
        now: Timestamp(frontier.now_ms),
        opened_at: Timestamp(frontier.opened_at_ms),
    };
    Ok(Loaded { fold, hold_epochs })
}

fn names(files: &dyn Files, manifest: &Manifest) -> Result<Names, RunError> {
    let mut names = Names::default();
    for entry in Merged::<NameRow>::open(files, &manifest.of(RunKind::Names))? {
        let entry = entry?;
        if entry.key.as_usize() != names.len() {
            return Err(RunError::damaged(&manifest.name(), "a stock key has no names"));
        }
        names.push(entry.sku(), entry.location());
    }
    Ok(names)
}

fn levels(files: &dyn Files, manifest: &Manifest, keys: usize) -> Result<Levels, RunError> {
    let wrong = |what: &str| RunError::damaged(&manifest.name(), what);
    let mut levels = Levels::of(keys);
    for entry in Merged::<LevelRow>::open(files, &manifest.of(RunKind::Levels))? {
        let entry = entry?;
        levels.change(entry.key, |level| *level = entry.level).map_err(wrong)?;
    }
    Ok(levels)
}

struct LoadedHolds {
    holds: Holds,
    hold_epochs: HoldEpochs,
    /// The highest stock key of a hold, plus one.
    keys: usize,
}

fn holds(files: &dyn Files, manifest: &Manifest) -> Result<LoadedHolds, RunError> {
    let mut held = LoadedHolds { holds: Holds::default(), hold_epochs: HoldEpochs::default(), keys: 0 };
    for entry in Merged::<HoldRow>::open(files, &manifest.of(RunKind::Holds))? {
        let entry = entry?;
        let HoldDelta::Made(hold) = entry.what else {
            let what = "a record changes a hold that was never made";
            return Err(RunError::damaged(&manifest.name(), what));
        };
        held.keys =
            hold.lines.iter().map(|line| line.target.number() as usize + 1).fold(held.keys, usize::max);
        held.hold_epochs.set(entry.slot, hold.epoch);
        held.holds.insert(entry.slot, hold);
    }
    Ok(held)
}
