//! The chunks that were found, linked into a log by their hashes.
//!
//! The store rewrites its pages, so a scan may find a chunk several times, and chunks that an earlier
//! recovery cut may still be there. Hashes decide which chunks belong to the log; places do not.
//!
//! Must survive: any set of chunks. Memory is one small entry for each distinct chunk.

use std::collections::{HashMap, hash_map::Entry};

use super::scan::{FoundChunk, Tip};
use crate::fault::{Fault, planted};

/// Every distinct chunk that was found.
#[derive(Debug, Default)]
pub(crate) struct ChunkIndex {
    by_hash: HashMap<u64, FoundChunk>,
}

impl ChunkIndex {
    /// Adds a chunk. Of several copies the index has one in the newest store.
    pub(crate) fn add(&mut self, found: FoundChunk) {
        match self.by_hash.entry(found.hash) {
            Entry::Vacant(vacant) => {
                vacant.insert(found);
            }
            Entry::Occupied(mut known) => {
                if found.place.store > known.get().place.store {
                    known.insert(found);
                }
            }
        }
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &FoundChunk> {
        self.by_hash.values()
    }

    /// The chunks from `from` to `to`, followed from the end: each chunk names its predecessor by its hash.
    /// `Err` has the start of the earliest chunk that was reached, or `to.end` if not even the last one is
    /// there.
    pub(crate) fn chain_back(&self, from: Tip, to: Tip) -> Result<Vec<FoundChunk>, u64> {
        let mut chain = Vec::new();
        let mut at = to;
        while at != from {
            let Some(found) = self.by_hash.get(&at.hash).filter(|found| Tip::after(found) == at) else {
                return Err(at.end);
            };
            // A chunk covers at least one word, so this loop ends.
            if found.header.start < from.end {
                return Err(at.end);
            }
            chain.push(*found);
            at = Tip::before(found);
        }
        chain.reverse();
        Ok(chain)
    }

    /// The chunks before `to`, the last one first, back to the first gap.
    pub(crate) fn back(&self, mut to: Tip) -> impl Iterator<Item = &FoundChunk> {
        std::iter::from_fn(move || {
            let found = self.by_hash.get(&to.hash).filter(|found| Tip::after(found) == to)?;
            to = Tip::before(found);
            Some(found)
        })
    }

    /// The chunks that follow `from`, with epochs of at least `epoch_min` that never fall. Where two chunks
    /// follow the same one, the chunk of the later opening is taken; within one opening the one with the
    /// longer chain behind it.
    pub(crate) fn chain_on(&self, from: Tip, epoch_min: u32) -> Vec<FoundChunk> {
        let mut later: Vec<&FoundChunk> = self
            .chunks()
            .filter(|found| found.header.start >= from.end && found.header.epoch >= epoch_min)
            .collect();
        // From the end of the log backwards, so that the chain behind a chunk is known before the chunk is.
        later.sort_unstable_by_key(|found| (std::cmp::Reverse(found.header.start), found.hash));
        // For each tip: the best chunk that follows it, and how far the log reaches with that chunk.
        let mut best: HashMap<Tip, (&FoundChunk, u64)> = HashMap::new();
        for found in later {
            let next =
                best.get(&Tip::after(found)).filter(|(next, _)| next.header.epoch >= found.header.epoch);
            let reach = next.map_or(found.header.end(), |(_, reach)| *reach);
            match best.entry(Tip::before(found)) {
                Entry::Vacant(vacant) => {
                    vacant.insert((found, reach));
                }
                Entry::Occupied(mut known) => {
                    let epoch = |found: &FoundChunk| {
                        if planted(Fault::KeepLeftover) { 0 } else { found.header.epoch }
                    };
                    if (epoch(found), reach) > (epoch(known.get().0), known.get().1) {
                        known.insert((found, reach));
                    }
                }
            }
        }
        let mut chain: Vec<FoundChunk> = Vec::new();
        let mut at = from;
        while let Some((found, _)) = best.get(&at) {
            if chain.last().is_some_and(|last| last.header.epoch > found.header.epoch) {
                break;
            }
            chain.push(**found);
            at = Tip::after(found);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;
    use crate::log::chunk::{self, ChunkHeader, HEADER_BYTES, MAGIC};
    use crate::log::scan::{ScannedChunk, read_chunk, scan};

    /// The bytes of a chunk that follows `tip`, and the tip behind it.
    fn next(tip: Tip, epoch: u32, payload: &[u8]) -> (Vec<u8>, Tip) {
        let mut bytes = Vec::new();
        let header = ChunkHeader {
            epoch,
            start: tip.end,
            words: 4,
            commit: true,
            kinds: 0,
            previous: tip.hash,
            synced: tip.end,
        };
        let hash = chunk::encode(&header, payload, &mut bytes);
        (bytes, Tip { end: tip.end + 4, hash })
    }

    fn chain_bytes(count: usize, payload_bytes: usize) -> (Vec<Vec<u8>>, Vec<Tip>) {
        let (mut chunks, mut tips) = (Vec::new(), vec![Tip::ORIGIN]);
        for number in 0..count {
            let (bytes, tip) = next(tips[number], 1, &vec![number as u8; payload_bytes]);
            chunks.push(bytes);
            tips.push(tip);
        }
        (chunks, tips)
    }

    fn scanned(bytes: &[u8]) -> (Vec<FoundChunk>, ChunkIndex) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let (mut all, mut index) = (Vec::new(), ChunkIndex::default());
        let read = scan(&file, |seen| {
            let ScannedChunk::Chunk(found) = seen else { panic!("{seen:?}") };
            read_chunk(&file, &found).unwrap();
            index.add(found);
            all.push(found);
        });
        assert_eq!(read.unwrap(), bytes.len() as u64);
        (all, index)
    }

    #[test]
    fn chunks_are_found_between_anything_and_across_windows() {
        let (chunks, tips) = chain_bytes(100, 27_000);
        let mut bytes = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            bytes.extend_from_slice(&MAGIC[..number % 5 % 4]);
            bytes.extend_from_slice(&MAGIC);
            bytes.extend_from_slice(chunk);
        }
        let (all, index) = scanned(&bytes);
        assert_eq!(all.len(), 100);
        assert_eq!(index.chain_back(Tip::ORIGIN, tips[100]).unwrap(), all);
        assert_eq!(index.chain_on(Tip::ORIGIN, 0), all);
        assert_eq!(index.chain_on(tips[98], 1), all[98..]);
    }

    #[test]
    fn a_false_start_with_a_huge_length_hides_nothing() {
        let (chunks, tips) = chain_bytes(2, 100);
        // A record that contains the header of a chunk, its length raised to cover what follows.
        let mut lure = chunks[0][..HEADER_BYTES].to_vec();
        lure[24..28].copy_from_slice(&20_000_u32.to_le_bytes());
        let (outer, tip) = next(tips[2], 1, &lure);
        let bytes = [&lure, &chunks[0], &lure, &chunks[1], &outer].map(|part| part.as_slice()).concat();
        let (all, index) = scanned(&bytes);
        assert_eq!(all.len(), 3);
        assert_eq!(index.chain_back(Tip::ORIGIN, tip).unwrap(), all);
    }

    #[test]
    fn a_hole_is_seen_from_both_sides() {
        let (mut chunks, tips) = chain_bytes(5, 50);
        chunks.remove(2);
        let (_, index) = scanned(&chunks.concat());
        assert_eq!(index.chain_back(Tip::ORIGIN, tips[5]), Err(tips[3].end));
        assert_eq!(index.chain_on(Tip::ORIGIN, 0).len(), 2);
    }

    #[test]
    fn a_later_opening_overrules_and_a_leftover_is_not_taken_for_a_continuation() {
        let (chunks, tips) = chain_bytes(4, 50);
        // Cut after the second chunk, then opened again: epoch 2 writes one chunk where epoch 1 had two.
        let (newer, newer_tip) = next(tips[2], 2, b"newer");
        let bytes = [chunks.concat(), newer].concat();
        let (_, index) = scanned(&bytes);
        let chain = index.chain_on(Tip::ORIGIN, 0);
        assert_eq!((chain.len(), Tip::after(&chain[2])), (3, newer_tip));
        // The new chunk is lost again before it is durable: the leftover of epoch 1 is still no part of epoch
        // 2's log.
        let (_, index) = scanned(&chunks.concat());
        assert_eq!(index.chain_on(tips[2], 2), []);
    }

    #[test]
    fn damage_and_cuts_never_panic_and_never_invent_a_chunk() {
        let (chunks, _) = chain_bytes(40, 300);
        let bytes = chunks.concat();
        let seed = stockhold_seeded::seed();
        for round in 0..300 {
            let mut rng = stockhold_seeded::Rng::new(seed ^ round);
            let mut damaged = bytes[..rng.index(bytes.len() + 1)].to_vec();
            for _ in 0..rng.index(5) {
                if !damaged.is_empty() {
                    let bit = rng.index(damaged.len() * 8);
                    damaged[bit / 8] ^= 1 << (bit % 8);
                }
            }
            let (all, _) = scanned(&damaged);
            for found in all {
                assert!(chunks.iter().any(|chunk| chunk::decode(chunk).unwrap().2 == found.hash));
            }
        }
    }

    #[test]
    fn every_chunk_lies_whole_in_the_file_of_the_store_however_often_its_pages_are_rewritten() {
        use super::super::{sled, store::Store};
        let directory = tempfile::tempdir().unwrap();
        let mut store = sled::SledStore::create(directory.path()).unwrap();
        let mut rng = stockhold_seeded::Rng::new(stockhold_seeded::seed());
        let mut tip = Tip::ORIGIN;
        for number in 0..4000 {
            let (bytes, after) = next(tip, 1, &vec![number as u8; rng.index(9000)]);
            store.append(tip.end, &bytes).unwrap();
            tip = after;
            if rng.index(20) == 0 {
                store.sync().unwrap();
            }
        }
        store.sync().unwrap();
        let file = fs::File::open(directory.path().join(sled::DATA_FILE)).unwrap();
        let (mut index, mut copies) = (ChunkIndex::default(), 0);
        scan(&file, |seen| {
            let ScannedChunk::Chunk(found) = seen else { panic!("{seen:?}") };
            index.add(found);
            copies += 1;
        })
        .unwrap();
        let chain = index.chain_back(Tip::ORIGIN, tip).unwrap();
        assert_eq!(chain.len(), 4000);
        assert_eq!(index.chain_on(Tip::ORIGIN, 0), chain);
        assert!(copies > 4000, "the store is expected to rewrite pages");
    }
}
