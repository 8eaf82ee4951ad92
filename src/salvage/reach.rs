//! The remains of a directory, and how far the log reaches from each possible start.
//!
//! The end of the log is not decided as an opening does, which refuses where something is wrong. The rules
//! are the same: hashes link chunks, epochs tell the log from leftovers of an older opening, and the commit
//! mark ends a group.

use std::path::Path;
use std::sync::Arc;

use super::openings::OpeningTimes;

use crate::checkpoint::RunError;
use crate::checkpoint::files::Files;
use crate::checkpoint::full_state::FullState;
use crate::checkpoint::ledger::{CopiedLedger, copy_ledger};
use crate::checkpoint::load::load;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::opened_files::OpenedFiles;
use crate::clock::Timestamp;
use crate::error::{Drift, SalvageError};
use crate::fold::state::Fold;
use crate::fold::verify::Verifier;
use crate::log::at_rest::{RawChunks, open_checkpoints};
use crate::log::chunk_index::ChunkIndex;
use crate::log::directory::Remains;
use crate::log::recovery::LogError;
use crate::log::scan::{FoundChunk, Tip};
use crate::log::sidecar::{Durable, Sidecar, SidecarError};
use crate::log::verdict::Start;

/// The remains of a directory.
pub(super) struct Remnant {
    pub directory: Remains,
    /// Or why it could not be read.
    pub sidecar: Result<Durable, String>,
    /// Without leftovers of removed groups.
    pub index: ChunkIndex,
    openings: OpeningTimes,
    pub chunks: RawChunks,
    /// The newest first.
    pub manifests: Vec<Manifest>,
    rejected: Vec<String>,
    files: Arc<OpenedFiles>,
}

/// A start, and the chain that follows it.
pub(super) struct Reach {
    /// `None`: the beginning of the log.
    pub manifest: Option<Manifest>,
    pub chain: Vec<FoundChunk>,
    pub end: u64,
    /// The entry that ended the chain, if an entry did.
    pub contradiction: Option<Drift>,
}

impl Remnant {
    /// Reads everything except the runs of checkpoints and the entries of the log.
    pub(super) fn read(path: &Path) -> Result<Remnant, LogError> {
        let mut directory = Remains::open(path)?;
        let layout = &directory.layout;
        let sidecar = match Sidecar::read(&layout.durable()) {
            Ok(Some(durable)) => Ok(durable),
            Ok(None) => Err("the file `durable` is missing".to_owned()),
            Err(SidecarError::Corrupt) => Err("both copies in the file `durable` are damaged".to_owned()),
            Err(error) => return Err(error.into()),
        };
        let (chunks, files) = (RawChunks::open(layout)?, open_checkpoints(layout));
        let id = directory.identity.as_ref().ok().map(|identity| identity.id);
        let (mut manifests, mut rejected) = (Vec::new(), Vec::new());
        let names = files.list().unwrap_or_else(|error| {
            rejected.push(format!("checkpoint: {error}"));
            Vec::new()
        });
        for name in names.iter().filter(|name| Manifest::is_name(name)) {
            match Manifest::read(&*files, name) {
                Ok(manifest) if id.is_none_or(|id| id == manifest.directory) => manifests.push(manifest),
                Ok(_) => rejected.push(format!("{name}: it belongs to another directory")),
                Err(error @ RunError::Newer { .. }) => return Err(error.into()),
                Err(error) => rejected.push(described(error)),
            }
        }
        manifests.sort_unstable_by_key(|manifest| std::cmp::Reverse(manifest.number));
        // From here on an engine may open the directory: it changes none of these files.
        directory.release();
        let found = chunks.survey()?;
        let (index, openings) = OpeningTimes::of(&found, sidecar.as_ref().ok(), &manifests);
        Ok(Remnant { sidecar, index, openings, chunks, manifests, rejected, files, directory })
    }

    /// The start from which the chain reaches furthest, the newest of several; and which checkpoints cannot
    /// be used.
    pub(super) fn best(&self) -> Result<(Reach, Vec<String>), SalvageError> {
        let mut rejected = self.rejected.clone();
        let mut best: Option<Reach> = None;
        for manifest in self.manifests.iter().map(Some).chain([None]) {
            let start = start(manifest);
            let chain = readable(&self.index, &start, self.sidecar.as_ref().ok(), &self.openings);
            let end = chain.last().map_or(start.tip.end, |last| last.header.end());
            if best.as_ref().is_some_and(|best| end <= best.end) {
                // Not better, even if all of it made sense. But the caller wants to know whether it is whole.
                if let Some(manifest) = manifest
                    && let Err(error) = load(&*self.files, manifest, &mut |_| {})
                {
                    rejected.push(described(error));
                }
                continue;
            }
            let reach = match self.judge(manifest, chain)? {
                Ok(reach) => reach,
                Err(why) => {
                    rejected.push(why);
                    continue;
                }
            };
            if best.as_ref().is_none_or(|best| reach.end > best.end) {
                best = Some(reach);
            }
        }
        let nothing = Reach { manifest: None, chain: Vec::new(), end: 0, contradiction: None };
        Ok((best.unwrap_or(nothing), rejected))
    }

    /// How far the chain behind a checkpoint makes sense, or why the checkpoint cannot be used.
    fn judge(
        &self,
        manifest: Option<&Manifest>,
        mut chain: Vec<FoundChunk>,
    ) -> Result<Result<Reach, String>, SalvageError> {
        let fold = match manifest.map(|manifest| load(&*self.files, manifest, &mut |_| {})) {
            None => Fold::default(),
            Some(Ok(loaded)) => loaded.fold,
            Some(Err(error @ RunError::Newer { .. })) => return Err(LogError::from(error).into()),
            Some(Err(error)) => return Ok(Err(described(error))),
        };
        let start = fold.position;
        let mut verifier = match Verifier::from(fold) {
            Ok(verifier) => verifier,
            Err(drift) => {
                return Ok(Err(format!(
                    "{}: {}",
                    manifest.map_or(String::new(), Manifest::name),
                    drift.what
                )));
            }
        };
        let mut contradiction = None;
        for (number, found) in chain.iter().enumerate() {
            if let Err(drift) = verifier.chunk(&found.header, &self.chunks.payload(found)?) {
                contradiction = Some(drift);
                chain.truncate(number);
                break;
            }
        }
        end_with_a_group(&mut chain, &self.openings);
        let end = chain.last().map_or(start, |last| last.header.end());
        Ok(Ok(Reach { manifest: manifest.cloned(), chain, end, contradiction }))
    }

    /// The state after the start and the chain.
    pub(super) fn fold(&self, reach: &Reach) -> Result<FullState, SalvageError> {
        let changed = |error: String| SalvageError::Failed(format!("the source changed meanwhile: {error}"));
        let mut whole = match &reach.manifest {
            Some(manifest) => {
                FullState::load(&*self.files, manifest).map_err(|error| changed(error.to_string()))?
            }
            None => FullState::default(),
        };
        for found in &reach.chain {
            let folded = whole.chunk(found, &self.chunks.payload(found)?);
            folded.map_err(|error| changed(error.to_string()))?;
        }
        Ok(whole)
    }

    /// Copies the ledger before the start, and the chain, into a new directory.
    pub(super) fn copy_ledger(
        &self,
        reach: &Reach,
        now: Timestamp,
        files: &dyn Files,
    ) -> Result<CopiedLedger, SalvageError> {
        let Some(manifest) = &reach.manifest else { return Ok(CopiedLedger::default()) };
        let chunks = reach.chain.iter().map(|found| match self.chunks.payload(found) {
            Ok(payload) => Ok((found.header.start, payload)),
            Err(error) => Err(error.into()),
        });
        copy_ledger::<SalvageError>(&*self.files, manifest, (chunks, now.0), files)
    }

    /// The latest opening that has left a trace: ids of its holds must not be given again.
    pub(super) fn epoch_seen(&self) -> u32 {
        self.openings.latest()
    }

    /// The position up to which everything was durable, by every proof there is.
    pub(super) fn acknowledged(&self) -> u64 {
        let chunks = self.index.chunks().map(|found| found.header.synced);
        let manifests = self.manifests.iter().map(|manifest| manifest.frontier.position);
        let sidecar = self.sidecar.as_ref().map_or(0, |durable| durable.end);
        chunks.chain(manifests).fold(sidecar, u64::max)
    }

    /// Whether nothing ever happened in the directory.
    pub(super) fn is_unused(&self) -> bool {
        self.sidecar.as_ref().is_ok_and(|durable| durable.end == 0)
            && self.rejected.is_empty()
            && self.acknowledged() == 0
            && self.index.chunks().next().is_none()
    }

    /// The whole chunks behind `end`, in order.
    pub(super) fn behind(&self, end: u64) -> Vec<FoundChunk> {
        let chunks = self.index.chunks().filter(|found| found.header.start >= end);
        let mut behind: Vec<FoundChunk> = chunks.copied().collect();
        behind.sort_unstable_by_key(|found| (found.header.start, found.hash));
        behind
    }
}

fn described(error: RunError) -> String {
    match error {
        RunError::Damaged { name, what } => format!("{name}: {what}"),
        error => error.to_string(),
    }
}

fn start(manifest: Option<&Manifest>) -> Start {
    manifest.map_or(Start::default(), |manifest| Start {
        tip: manifest.frontier.tip(),
        epoch: manifest.frontier.epoch,
        keep: Tip::ORIGIN,
    })
}

/// The chunks that follow a start and are linked, up to the end of a group.
fn readable(
    index: &ChunkIndex,
    start: &Start,
    proven: Option<&Durable>,
    openings: &OpeningTimes,
) -> Vec<FoundChunk> {
    let from = start.tip;
    let epoch = proven.map_or(start.epoch, |durable| durable.epoch.max(start.epoch));
    let acknowledged = match proven {
        Some(durable) if durable.end > from.end => Tip { end: durable.end, hash: durable.hash },
        _ => from,
    };
    let mut chain = match index.chain_back(from, acknowledged) {
        Ok(mut chain) => {
            chain.extend(index.chain_on(acknowledged, epoch));
            chain
        }
        Err(_) => index.chain_on(from, start.epoch),
    };
    let falls = chain.windows(2).position(|pair| pair[0].header.epoch > pair[1].header.epoch);
    chain.truncate(falls.map_or(chain.len(), |at| at + 1));
    end_with_a_group(&mut chain, openings);
    chain
}

/// Drops the chunks of an unfinished group, unless they are known to have been durable.
fn end_with_a_group(chain: &mut Vec<FoundChunk>, openings: &OpeningTimes) {
    while chain.last().is_some_and(|last| !last.header.commit && !openings.vouch_for(last)) {
        chain.pop();
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::log::chunk::ChunkHeader;
    use crate::log::scan::ChunkPlace;

    /// A chunk of 10 words at `start`, behind the one with the hash `previous`.
    fn chunk(epoch: u32, start: u64, previous: u64, hash: u64, commit: bool, synced: u64) -> FoundChunk {
        let header = ChunkHeader { epoch, start, words: 10, commit, kinds: 0, previous, synced };
        FoundChunk { header, hash, place: ChunkPlace { store: 1, offset: 0, bytes: 100 } }
    }

    fn end(chunks: &[FoundChunk], start: Start, proven: Option<Durable>) -> u64 {
        let mut found = ChunkIndex::default();
        chunks.iter().for_each(|chunk| found.add(*chunk));
        let (index, openings) = OpeningTimes::of(&found, proven.as_ref(), &[]);
        readable(&index, &start, proven.as_ref(), &openings)
            .last()
            .map_or(start.tip.end, |last| last.header.end())
    }

    fn proven(epoch: u32, end: u64, hash: u64) -> Option<Durable> {
        Some(Durable { epoch, end, hash, orderly: false })
    }

    #[test]
    fn the_chain_ends_with_a_whole_group_unless_more_is_vouched_for() {
        let first = chunk(1, 0, 0, 11, true, 0);
        let half = chunk(1, 10, 11, 12, false, 10);
        let lost_behind = |epoch, synced| chunk(epoch, 40, 99, 15, true, synced);
        let origin = Start::default();
        assert_eq!(end(&[first, half], origin, None), 10);
        assert_eq!(end(&[first, half, lost_behind(1, 10)], origin, None), 10);
        // Its own opening knew that it was durable.
        assert_eq!(end(&[first, half, lost_behind(1, 30)], origin, None), 20);
        assert_eq!(end(&[first, half], origin, proven(1, 30, 14)), 20);
        // A later opening may have removed it: its proof is of what took its place.
        assert_eq!(end(&[first, half, lost_behind(2, 30)], origin, None), 10);
        assert_eq!(end(&[first, half], origin, proven(2, 30, 14)), 10);
        // Unless what took its place is linked to more chunks of the same opening.
        let (rest, later) = (chunk(1, 30, 13, 14, true, 10), chunk(2, 40, 14, 25, true, 40));
        assert_eq!(end(&[first, half, rest, later], origin, proven(2, 50, 25)), 20);
        assert_eq!(end(&[first, half, rest, later], origin, proven(2, 50, 26)), 10);
    }

    #[test]
    fn what_an_older_opening_has_left_behind_the_sidecar_is_not_taken() {
        let first = chunk(1, 0, 0, 11, true, 0);
        let left = chunk(1, 10, 11, 12, true, 10);
        let later = chunk(2, 10, 11, 22, true, 10);
        let origin = Start::default();
        assert_eq!(end(&[first, left], origin, proven(1, 10, 11)), 20);
        assert_eq!(end(&[first, left], origin, proven(2, 10, 11)), 10);
        assert_eq!(end(&[first, left, later], origin, proven(2, 10, 11)), 20);
        // The chunk that the sidecar names is missing, and so is everything that could link to it.
        assert_eq!(end(&[first, left, chunk(1, 20, 12, 13, true, 20)], origin, proven(2, 15, 77)), 10);
        assert_eq!(end(&[first, left], origin, proven(2, 20, 77)), 10);
        assert_eq!(end(&[first, left, chunk(2, 15, 99, 98, true, 10)], origin, None), 10);
        let behind_checkpoint = Start { tip: Tip { end: 10, hash: 11 }, epoch: 2, keep: Tip::ORIGIN };
        assert_eq!(end(&[first, left], behind_checkpoint, None), 10);
    }

    #[test]
    fn from_the_sidecar_back_hashes_decide_and_not_which_chain_is_longer() {
        let first = chunk(1, 0, 0, 11, true, 0);
        let (short, long) = (chunk(1, 10, 11, 12, true, 10), chunk(1, 10, 11, 32, true, 10));
        let longer = chunk(1, 20, 32, 33, true, 20);
        let all = [first, short, long, longer];
        assert_eq!(end(&all, Start::default(), None), 30);
        assert_eq!(end(&all, Start::default(), proven(1, 20, 12)), 20);
    }
}
