//! What is known of the openings that wrote a log.
//!
//! An opening removes what it does not take for the log, and appends there; positions only rise in it. So
//! wherever it is known to have been under way, no chunk of an earlier opening that reaches further belongs
//! to the log: such a chunk is a leftover of the removal. And no two chunks of one opening are at one
//! position.

use std::collections::{BTreeMap, HashMap};

use crate::checkpoint::manifest::Manifest;
use crate::log::chunk_index::ChunkIndex;
use crate::log::scan::{FoundChunk, Tip};
use crate::log::sidecar::Durable;

/// By the number of the opening.
#[derive(Default)]
pub(super) struct OpeningTimes(BTreeMap<u32, KnownOpening>);

struct KnownOpening {
    /// The opening was under way at this position, and perhaps before.
    from: u64,
    /// What it wrote up to this position was durable, and stayed in the log.
    durable: u64,
}

impl OpeningTimes {
    /// Collects what the chunks say of their openings; also returns the chunks without leftovers.
    pub(super) fn of(
        found: &ChunkIndex,
        sidecar: Option<&Durable>,
        manifests: &[Manifest],
    ) -> (ChunkIndex, OpeningTimes) {
        let mut openings = OpeningTimes::default();
        // By position: the hash of the chunk before, as the latest opening's chunk there names it.
        let mut followed: HashMap<u64, (u32, u64)> = HashMap::new();
        for chunk in found.chunks() {
            let header = &chunk.header;
            openings.note(header.epoch, header.start, header.synced);
            let latest = followed.entry(header.start).or_default();
            *latest = (*latest).max((header.epoch, header.previous));
        }
        // Places that the log is known to have had, and all chunks that are linked to them from before.
        let mut tips = Vec::new();
        if let Some(durable) = sidecar {
            tips.push((durable.epoch, Tip { end: durable.end, hash: durable.hash }));
        }
        tips.extend(manifests.iter().map(|manifest| (manifest.frontier.epoch, manifest.frontier.tip())));
        for (epoch, tip) in &tips {
            openings.note(*epoch, tip.end, tip.end);
            for chunk in found.back(*tip) {
                openings.note(chunk.header.epoch, chunk.header.start, chunk.header.end());
            }
        }
        let mut index = ChunkIndex::default();
        let is_other = |chunk: &FoundChunk| {
            let end = chunk.header.end();
            let later = followed.get(&end).filter(|(epoch, _)| *epoch > chunk.header.epoch);
            later.is_some_and(|(_, hash)| *hash != chunk.hash)
                || tips.iter().any(|(_, tip)| tip.end == end && tip.hash != chunk.hash)
        };
        found
            .chunks()
            .filter(|chunk| !openings.have_cut(chunk) && !is_other(chunk))
            .for_each(|chunk| index.add(*chunk));
        (index, openings)
    }

    fn note(&mut self, epoch: u32, at: u64, durable: u64) {
        let known = self.0.entry(epoch).or_insert(KnownOpening { from: at, durable: 0 });
        (known.from, known.durable) = (known.from.min(at), known.durable.max(durable));
    }

    /// Whether a later opening was under way before the chunk's end.
    fn have_cut(&self, chunk: &FoundChunk) -> bool {
        let mut later = self.0.range(chunk.header.epoch.saturating_add(1)..);
        later.any(|(epoch, known)| *epoch > chunk.header.epoch && known.from < chunk.header.end())
    }

    /// Whether what the chunk's opening wrote was durable up to the end of the chunk.
    pub(super) fn vouch_for(&self, chunk: &FoundChunk) -> bool {
        self.0.get(&chunk.header.epoch).is_some_and(|known| known.durable >= chunk.header.end())
    }

    /// The highest number of an opening.
    pub(super) fn latest(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }
}
