//! Reading chunks out of raw bytes: what a log holds, without the store that wrote it.
//!
//! [`scan`] finds every whole chunk in a file, in whatever order they lie; an [`ChunkIndex`] links them. The store rewrites
//! its pages, so a chunk may lie there several times, and chunks that were cut in an earlier recovery may still lie
//! there too. What belongs to the log is decided by hashes, not by places.
//!
//! Invariants:
//! - Nothing is written, nothing is mapped; memory is one window of the file, and one small entry a distinct chunk.
//! - A chunk is only believed whole. Bytes that look like the start of one (records can contain anything) cost one
//!   checksum and no more: the search goes on right behind the mark.
//!
//! Must survive: any bytes, cut anywhere.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io,
    os::unix::fs::FileExt,
};

use super::{
    chunk::{self, ChunkError, ChunkHeader, HEADER_BYTES, MAGIC},
    sled::CHUNK_BYTES_MAX,
};
use crate::fault::{Fault, planted};

const WINDOW_BYTES: usize = 1 << 20;
const _: () = assert!(WINDOW_BYTES > 2 * CHUNK_BYTES_MAX);

/// Where a chunk lies in the file that was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    /// The store whose file it is.
    pub(crate) store: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

/// A whole chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundChunk {
    pub(crate) header: ChunkHeader,
    pub(crate) hash: u64,
    /// Of one of its copies, in the newest store that has one.
    pub(crate) place: ChunkPlace,
}

/// What a scan comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScannedChunk {
    Chunk(FoundChunk),
    /// A whole chunk of a later format, whatever it says beyond where it starts.
    Newer {
        start: u64,
        format: u16,
    },
}

impl ScannedChunk {
    /// The same, in a store.
    pub(crate) fn in_store(self, store: u32) -> Self {
        match self {
            ScannedChunk::Chunk(found) => ScannedChunk::Chunk(found.in_store(store)),
            newer => newer,
        }
    }
}

impl FoundChunk {
    fn in_store(self, store: u32) -> Self {
        FoundChunk { place: ChunkPlace { store, ..self.place }, ..self }
    }
}

/// Calls `seen` with every whole chunk in the file, in the order of the file; returns the bytes read.
pub(crate) fn scan(file: &impl FileExt, mut seen: impl FnMut(ScannedChunk)) -> io::Result<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    // The window holds the file's bytes from `base`; `length` of them.
    let (mut base, mut length) = (0_u64, 0);
    loop {
        let read = read_up_to(file, &mut window[length..], base + length as u64)?;
        length += read;
        let at_end = length < WINDOW_BYTES;
        // Bytes from here on may be the start of a chunk that does not fit the window any more.
        let searchable = if at_end { length } else { length - CHUNK_BYTES_MAX };
        let mut at = 0;
        while at < searchable {
            let Some(ahead) = window[at..searchable].iter().position(|byte| *byte == MAGIC[0]) else {
                at = searchable;
                break;
            };
            at += ahead;
            match whole_chunk(&window[at..length], base + at as u64) {
                Some((chunk, bytes)) => {
                    seen(chunk);
                    at += bytes;
                }
                None => at += 1,
            }
        }
        if at_end {
            return Ok(base + length as u64);
        }
        window.copy_within(at..length, 0);
        length -= at;
        base += at as u64;
    }
}

/// The chunk that `bytes`, which lie at `offset`, begin with, and how many of them it takes.
pub(crate) fn whole_chunk(bytes: &[u8], offset: u64) -> Option<(ScannedChunk, usize)> {
    let chunk_bytes = chunk::bytes_of(bytes).filter(|bytes| *bytes <= CHUNK_BYTES_MAX)?;
    let seen = match chunk::decode(bytes.get(..chunk_bytes)?) {
        Ok((header, _, hash)) => {
            let place = ChunkPlace { store: 0, offset, bytes: chunk_bytes as u32 };
            ScannedChunk::Chunk(FoundChunk { header, hash, place })
        }
        Err(ChunkError::Newer { found: format, start }) => ScannedChunk::Newer { start, format },
        Err(_) => return None,
    };
    Some((seen, chunk_bytes))
}

fn read_up_to(file: &impl FileExt, mut out: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = out.len();
    while !out.is_empty() {
        match file.read_at(out, offset) {
            Ok(0) => break,
            Ok(read) => {
                out = &mut out[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - out.len())
}

/// Reads a chunk again from where it was found, as long as it is still there.
pub(crate) fn read_chunk(file: &File, found: &FoundChunk) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (found.place.bytes as usize).clamp(HEADER_BYTES, CHUNK_BYTES_MAX)];
    file.read_exact_at(&mut bytes, found.place.offset)?;
    match chunk::decode(&bytes) {
        Ok((_, _, hash)) if hash == found.hash => Ok(bytes),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk changed while it was being read")),
    }
}

/// A place in the log between two chunks: where the next one starts, and what it names as `previous`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tip {
    pub(crate) end: u64,
    pub(crate) hash: u64,
}

impl Tip {
    /// Before the first chunk of a log.
    pub(crate) const ORIGIN: Self = Self { end: 0, hash: 0 };

    pub(crate) fn after(found: &FoundChunk) -> Self {
        Self { end: found.header.end(), hash: found.hash }
    }

    fn before(found: &FoundChunk) -> Self {
        Self { end: found.header.start, hash: found.header.previous }
    }
}

/// Every distinct chunk that was found, to be linked.
#[derive(Debug, Default)]
pub(crate) struct ChunkIndex {
    by_hash: HashMap<u64, FoundChunk>,
}

impl ChunkIndex {
    /// Of several copies one in the newest store is kept.
    pub(crate) fn add(&mut self, found: FoundChunk) {
        match self.by_hash.entry(found.hash) {
            Entry::Vacant(vacant) => {
                vacant.insert(found);
            }
            Entry::Occupied(mut kept) => {
                if found.place.store > kept.get().place.store {
                    kept.insert(found);
                }
            }
        }
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &FoundChunk> {
        self.by_hash.values()
    }

    /// The chunks from `from` to `to`, found from the end: hashes leave no choice on the way back. `Err` holds the
    /// start of the earliest chunk that was reached, `to.end` if not even the last one is there.
    pub(crate) fn chain_back(&self, from: Tip, to: Tip) -> Result<Vec<FoundChunk>, u64> {
        let mut chain = Vec::new();
        let mut at = to;
        while at != from {
            let Some(found) = self.by_hash.get(&at.hash).filter(|found| Tip::after(found) == at) else {
                return Err(at.end);
            };
            // A chunk covers a word at least, so this ends.
            if found.header.start < from.end {
                return Err(at.end);
            }
            chain.push(*found);
            at = Tip::before(found);
        }
        chain.reverse();
        Ok(chain)
    }

    /// The chunks before `to`, the last one first, as far back as they are there.
    pub(crate) fn back(&self, mut to: Tip) -> impl Iterator<Item = &FoundChunk> {
        std::iter::from_fn(move || {
            let found = self.by_hash.get(&to.hash).filter(|found| Tip::after(found) == to)?;
            to = Tip::before(found);
            Some(found)
        })
    }

    /// The chunks that follow `from`, of epoch `epoch_min` or later and never falling. Where two chunks follow the
    /// same one, a later opening overruled an earlier one; within one opening the longer chain is taken.
    pub(crate) fn chain_on(&self, from: Tip, epoch_min: u32) -> Vec<FoundChunk> {
        let mut later: Vec<&FoundChunk> = self
            .chunks()
            .filter(|found| found.header.start >= from.end && found.header.epoch >= epoch_min)
            .collect();
        // From the end of the log backwards, so that what follows a chunk is known before the chunk is looked at.
        later.sort_unstable_by_key(|found| (std::cmp::Reverse(found.header.start), found.hash));
        // By the tip a chunk follows: the best such chunk, and how far the log goes with it.
        let mut best: HashMap<Tip, (&FoundChunk, u64)> = HashMap::new();
        for found in later {
            let next =
                best.get(&Tip::after(found)).filter(|(next, _)| next.header.epoch >= found.header.epoch);
            let reach = next.map_or(found.header.end(), |(_, reach)| *reach);
            match best.entry(Tip::before(found)) {
                Entry::Vacant(vacant) => {
                    vacant.insert((found, reach));
                }
                Entry::Occupied(mut kept) => {
                    let epoch = |found: &FoundChunk| {
                        if planted(Fault::KeepLeftover) { 0 } else { found.header.epoch }
                    };
                    if (epoch(found), reach) > (epoch(kept.get().0), kept.get().1) {
                        kept.insert((found, reach));
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

    /// A chunk behind `tip`, its bytes, and the tip behind it.
    fn next(tip: Tip, epoch: u32, payload: &[u8]) -> (Vec<u8>, Tip) {
        let mut bytes = Vec::new();
        let header = ChunkHeader {
            epoch,
            start: tip.end,
            words: 4,
            commit: true,
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
        // Lost again before it was durable: what epoch 1 left is still no part of epoch 2's log.
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
