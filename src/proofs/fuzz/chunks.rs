//! Chunks: bytes that may be one, and logs of them in any order.

use super::input::{Bytes, Input};
use crate::log::chunk::{self, ChunkHeader, HEADER_BYTES};
use crate::log::chunk_index::ChunkIndex;
use crate::log::scan::{FoundChunk, ScannedChunk, Tip, scan, whole_chunk};
use crate::log::sidecar::Durable;
use crate::log::sled::CHUNK_BYTES_MAX;
use crate::log::verdict::{Start, decide};

/// The first byte says which: any bytes as a file that is scanned, or a log that is made of what they say.
pub fn chunks(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.byte() {
        0 => scanned(&Bytes { before: 0, bytes: input.0 }),
        // Across the window that a scan has of a file.
        1 => scanned(&Bytes { before: (1 << 20) - input.number::<2>() as usize, bytes: input.0 }),
        _ => decided(&mut input),
    }
}

fn scanned(file: &Bytes<'_>) {
    let _ = chunk::decode(file.bytes);
    let mut behind = 0;
    let read = scan(file, |seen| {
        let ScannedChunk::Chunk(found) = seen else { return };
        let offset = found.place.offset as usize - file.before;
        assert!(offset >= behind, "no byte is part of two chunks");
        behind = offset + found.place.bytes as usize;
        let decoded = chunk::decode(&file.bytes[offset..behind]);
        assert_eq!(decoded.map(|(header, _, hash)| (header, hash)), Ok((found.header, found.hash)));
    });
    assert_eq!(read.ok(), Some((file.before + file.bytes.len()) as u64));
}

/// The payloads of all chunks in a file, for seeds.
pub fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let _ = scan(&Bytes { before: 0, bytes: file }, |seen| {
        if let ScannedChunk::Chunk(found) = seen {
            let at = found.place.offset as usize;
            payloads.push(file[at + HEADER_BYTES..at + found.place.bytes as usize].to_vec());
        }
    });
    payloads
}

/// Chunks that follow others, or nothing, or leave holes, from several openings: what is decided is a chain
/// of whole groups that reaches as far as was acknowledged, and nothing that was synced is cut.
fn decided(input: &mut Input<'_>) {
    let mut known: Vec<FoundChunk> = Vec::new();
    let mut index = ChunkIndex::default();
    let pick = |input: &mut Input<'_>, known: &[FoundChunk]| {
        let which = usize::from(input.byte());
        match known.get(which % 32) {
            None => Tip::ORIGIN,
            Some(found) if which < 224 => Tip::after(found),
            Some(found) => Tip { hash: found.hash ^ 1, ..Tip::after(found) },
        }
    };
    let proven = (input.byte(), input.byte() % 4, input.byte() % 2 == 1);
    let (start, start_epoch, keep) = (input.byte(), input.byte() % 4, input.byte());
    while !input.is_empty() && known.len() < 32 {
        let after = pick(input, &known);
        let shape = input.byte();
        let words = u32::from(shape % 4) + 1;
        let epoch = u32::from(shape / 4 % 4) + if shape == 255 { u32::MAX - 3 } else { 0 };
        let back = u64::from(input.byte() % 16);
        let header = ChunkHeader {
            epoch,
            start: if shape % 64 == 63 { u64::MAX - 8 - back } else { after.end.min(u64::MAX - 8) },
            words,
            commit: shape / 16 % 2 == 1,
            kinds: shape / 16,
            previous: after.hash,
            synced: after.end.min(u64::MAX - 8).saturating_sub(back.max(u64::from(shape % 64 == 63) * 30)),
        };
        let payload = input.byte();
        let mut bytes = Vec::new();
        chunk::encode(&header, &[payload], &mut bytes);
        let found = match whole_chunk(&bytes, 0) {
            Some((ScannedChunk::Chunk(found), length)) if length == bytes.len() => found,
            other => panic!("{header:?} is read as {other:?}"),
        };
        assert!(bytes.len() <= CHUNK_BYTES_MAX && found.header == header);
        known.push(found);
        // Some that others follow are lost.
        if payload < 224 {
            index.add(found);
        }
    }
    let tip = |which: u8| pick(&mut Input(&[which]), &known);
    let acknowledged = tip(proven.0);
    let proven =
        Durable { epoch: proven.1.into(), end: acknowledged.end, hash: acknowledged.hash, orderly: proven.2 };
    let start = Start { tip: tip(start), epoch: start_epoch.into(), keep: tip(keep) };
    let linked = |chain: &[FoundChunk], from: Tip| {
        chain.iter().fold(from, |at, found| {
            assert_eq!(at, Tip { end: found.header.start, hash: found.header.previous });
            Tip::after(found)
        })
    };
    if let Ok(chain) = index.chain_back(start.keep, start.tip) {
        assert_eq!(linked(&chain, start.keep), start.tip);
    }
    linked(&index.chain_on(start.tip, proven.epoch), start.tip);
    let Ok(verdict) = decide(&index, &proven, &start) else { return };
    assert_eq!((verdict.start, linked(&verdict.chain, start.tip)), (start.tip, verdict.tip));
    assert!(verdict.chain.windows(2).all(|pair| pair[0].header.epoch <= pair[1].header.epoch));
    assert!(verdict.tip.end >= start.tip.end.max(proven.end));
    let is_through =
        proven.end <= start.tip.end || verdict.chain.iter().any(|found| Tip::after(found) == acknowledged);
    assert!(is_through, "what was acknowledged is another log");
    if let Some(last) = verdict.chain.last() {
        assert!(last.header.commit || last.header.end() <= proven.end, "half a group");
    }
    for found in index.chunks() {
        assert!(found.header.synced <= verdict.tip.end, "what was synced is cut");
        assert!(found.header.epoch < verdict.epoch_next);
    }
    assert!(verdict.cut.is_none_or(|cut| cut.from == verdict.tip.end && cut.until >= cut.from));
}
