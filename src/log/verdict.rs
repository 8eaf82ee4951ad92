//! The decision of a recovery: which of the chunks that were found are the log, and whether the rest may be
//! cut.
//!
//! A pure function of the chunks and of the sidecar. The log is read from the end of the checkpoint that the
//! opening starts from, or from its beginning if there is none. What a checkpoint has was durable, so it
//! proves the log as the sidecar does. The first row of this table that matches decides:
//!
//! | what is found                                                    | decision                          |
//! |------------------------------------------------------------------|-----------------------------------|
//! | the chunk at the sidecar's position is missing                   | refuse: shorter than acknowledged |
//! | another chunk ends there                                         | refuse: not the log acknowledged  |
//! | a chunk before it is missing                                     | refuse: damaged in the middle     |
//! | behind the last whole group, a chunk that knows more was durable | refuse: damaged in the middle     |
//! | behind the last whole group, chunks that do not know better      | cut: a torn tail                  |
//! | behind the last whole group, only chunks of earlier openings     | keep: cut already                 |
//! | nothing else                                                     | keep                              |
//!
//! A chunk "knows more was durable" by its `synced`: everything below that position had been synced before
//! the chunk was written, so a crash cannot have lost it. Chunks of one sync window reach the disk in any
//! order, so whole chunks behind a hole are no proof of damage by themselves.

use thiserror::Error;

use super::{
    chunk_index::ChunkIndex,
    scan::{FoundChunk, Tip},
    sidecar::Durable,
};
use crate::fault::{Fault, planted};

/// Where the log is read from: its beginning, or the end of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) tip: Tip,
    /// The epoch of the opening that wrote the log before it.
    pub(crate) epoch: u32,
    /// The end of the checkpoint before that one: from here on the log is kept, if it is still there.
    pub(crate) keep: Tip,
}

/// The chunks that are the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Where the log was read from.
    pub(crate) start: Tip,
    /// The chunks from there to the end of the last whole group.
    pub(crate) chain: Vec<FoundChunk>,
    pub(crate) tip: Tip,
    pub(crate) cut: Option<Cut>,
    /// Above the epoch of every chunk that was found.
    pub(crate) epoch_next: u32,
}

/// A torn tail that is cut off: its whole chunks. Damaged chunks cannot be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) from: u64,
    /// The end of its last whole chunk.
    pub(crate) until: u64,
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

/// Why a log is not opened. Nothing has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum LogRefusal {
    #[error(
        "the log can be read up to position {readable}, but was acknowledged up to {acknowledged}: \
         restore the directory from a backup, or salvage what is readable into a new one"
    )]
    Shorter { readable: u64, acknowledged: u64 },
    #[error(
        "the log is damaged at position {readable} and can be read again from {resumes}: \
         restore the directory from a backup, or salvage what comes before into a new one"
    )]
    Damaged { readable: u64, resumes: u64 },
    #[error(
        "the log at position {acknowledged} is not the one that was acknowledged: \
         part of the directory comes from another copy; restore all of it from one backup"
    )]
    Replaced { acknowledged: u64 },
    #[error("the log has used all its opening numbers: salvage it into a new directory")]
    Epochs,
}

impl LogRefusal {
    /// The position up to which the log can be read.
    pub(crate) fn readable(&self) -> Option<u64> {
        match *self {
            LogRefusal::Shorter { readable, .. } | LogRefusal::Damaged { readable, .. } => Some(readable),
            LogRefusal::Replaced { .. } | LogRefusal::Epochs => None,
        }
    }
}

/// Decides which chunks are the log.
pub(crate) fn decide(index: &ChunkIndex, proven: &Durable, start: &Start) -> Result<Verdict, LogRefusal> {
    let from = start.tip;
    // The sidecar is written now and then, and may be behind the checkpoint.
    let proven =
        &if proven.end < from.end { Durable { end: from.end, hash: from.hash, ..*proven } } else { *proven };
    let epoch = proven.epoch.max(start.epoch);
    let acknowledged = Tip { end: proven.end, hash: proven.hash };
    let mut chain = index.chain_back(from, acknowledged).map_err(|reached| {
        let readable = end(&index.chain_on(from, 0), from);
        if reached < proven.end {
            LogRefusal::Damaged { readable: readable.min(reached), resumes: reached }
        } else if index.chunks().any(|found| found.header.end() == proven.end) {
            LogRefusal::Replaced { acknowledged: proven.end }
        } else {
            LogRefusal::Shorter { readable: readable.min(proven.end), acknowledged: proven.end }
        }
    })?;
    if let Some(pair) = chain.windows(2).find(|pair| pair[0].header.epoch > pair[1].header.epoch) {
        // Epochs never fall along a log that this code has written.
        let at = pair[1].header.start;
        return Err(LogRefusal::Damaged { readable: at, resumes: at });
    }
    let epoch = chain.last().map_or(epoch, |last| epoch.max(last.header.epoch));

    // Then the chunks that the sidecar does not cover yet. Every opening writes the sidecar before it
    // appends, so chunks that an earlier opening left behind that position are no part of the log.
    let epoch_min = if planted(Fault::KeepLeftover) { 0 } else { epoch };
    chain.extend(index.chain_on(acknowledged, epoch_min));
    while chain.last().is_some_and(|last| !last.header.commit && last.header.end() > proven.end) {
        chain.pop();
    }
    let tip = chain.last().map_or(acknowledged, Tip::after);

    let knows_better = |found: &&FoundChunk| found.header.synced > tip.end;
    if let Some(resumes) = index.chunks().filter(knows_better).map(|found| found.header.start).min() {
        return Err(LogRefusal::Damaged { readable: tip.end, resumes });
    }
    let torn = index.chunks().filter(|found| found.header.start >= tip.end && found.header.epoch >= epoch);
    let cut = torn.fold(None, |cut: Option<Cut>, found| {
        let cut = cut.unwrap_or(Cut { from: tip.end, ..Cut::default() });
        Some(Cut {
            from: cut.from,
            until: cut.until.max(found.header.end()),
            chunks: cut.chunks + 1,
            bytes: cut.bytes + u64::from(found.place.bytes),
        })
    });
    let epoch_seen = index.chunks().map(|found| found.header.epoch).fold(epoch, u32::max);
    let epoch_next = epoch_seen.checked_add(1).ok_or(LogRefusal::Epochs)?;
    Ok(Verdict { start: from, chain, tip, cut, epoch_next })
}

fn end(chain: &[FoundChunk], from: Tip) -> u64 {
    chain.last().map_or(from.end, |last| last.header.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{chunk::ChunkHeader, scan::ChunkPlace};

    /// A chunk of the table, 10 words long. Its hash is made of its epoch and number.
    fn chunk(epoch: u32, number: u64, commit: bool, synced: u64) -> FoundChunk {
        let hash = |epoch: u32, number: u64| if number == 0 { 0 } else { number * 1000 + u64::from(epoch) };
        FoundChunk {
            header: ChunkHeader {
                epoch,
                start: number * 10,
                words: 10,
                commit,
                kinds: 0,
                previous: hash(epoch, number),
                synced: synced * 10,
            },
            hash: hash(epoch, number + 1),
            place: ChunkPlace { store: 1, offset: 0, bytes: 100 },
        }
    }

    /// The same chunk, following a chunk of an earlier epoch.
    fn after(previous: &FoundChunk, mut found: FoundChunk) -> FoundChunk {
        found.header.previous = previous.hash;
        found
    }

    fn decided(chunks: &[FoundChunk], proven: Durable) -> Result<(u64, Option<Cut>), LogRefusal> {
        let mut index = ChunkIndex::default();
        chunks.iter().for_each(|found| index.add(*found));
        decide(&index, &proven, &Start::default()).map(|verdict| {
            assert_eq!(end(&verdict.chain, Tip::ORIGIN), verdict.tip.end);
            (verdict.tip.end, verdict.cut)
        })
    }

    #[test]
    fn every_row_of_the_table() {
        // Groups: 0, 1-2, 3. Each group was synced before the next began.
        let whole = [chunk(1, 0, true, 0), chunk(1, 1, false, 1), chunk(1, 2, true, 1), chunk(1, 3, true, 3)];
        let [first, second, third, fourth] = whole;
        let nothing = Durable { epoch: 1, ..Durable::default() };
        let at = |found: &FoundChunk| Durable {
            epoch: 1,
            end: found.header.end(),
            hash: found.hash,
            orderly: false,
        };
        let cut = |from, until, chunks| Some(Cut { from, until, chunks, bytes: chunks * 100 });

        let old = after(&first, chunk(2, 1, true, 1));
        let opened = Durable { epoch: 2, ..at(&first) };
        let replaced = Durable { hash: 99, ..at(&first) };
        let later = chunk(2, 0, true, 0);
        let behind = after(&later, chunk(1, 1, true, 1));

        type Row<'a> = (&'a str, &'a [FoundChunk], Durable, Result<(u64, Option<Cut>), LogRefusal>);
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            ("an empty log",                   &[],                     nothing,     Ok((0, None))),
            ("whole, nothing acknowledged",    &whole,                  nothing,     Ok((40, None))),
            ("whole, some acknowledged",       &whole,                  at(&third),  Ok((40, None))),
            ("whole, all acknowledged",        &whole,                  at(&fourth), Ok((40, None))),
            ("no commit mark",                 &whole[..2],             at(&first),  Ok((10, cut(10, 20, 1)))),
            ("a torn group at the beginning",  &[chunk(1, 1, true, 0)], nothing,     Ok((0, cut(0, 20, 1)))),
            ("a hole in the last group",       &[first, third],         at(&first),  Ok((10, cut(10, 30, 1)))),
            ("the last group lost",            &whole[..3],             at(&third),  Ok((30, None))),
            ("the acknowledged end missing",   &whole[..3],             at(&fourth), Err(LogRefusal::Shorter { readable: 30, acknowledged: 40 })),
            ("everything missing",             &[],                     at(&fourth), Err(LogRefusal::Shorter { readable: 0, acknowledged: 40 })),
            ("another log",                    &whole,                  replaced,    Err(LogRefusal::Replaced { acknowledged: 10 })),
            ("a hole below the sidecar",       &[first, third, fourth], at(&fourth), Err(LogRefusal::Damaged { readable: 10, resumes: 20 })),
            ("a hole a later group knows of",  &[first, third, fourth], at(&first),  Err(LogRefusal::Damaged { readable: 10, resumes: 30 })),
            ("the first chunk missing",        &whole[1..],             nothing,     Err(LogRefusal::Damaged { readable: 0, resumes: 10 })),
            ("a leftover cut before",          &[first, second],        opened,      Ok((10, None))),
            ("a leftover under a later chunk", &[first, second, old],   opened,      Ok((20, None))),
            ("a sidecar an opening behind",    &[first, second, old],   at(&first),  Ok((20, None))),
            ("a sidecar behind its own chunk", &[later, behind],        at(&later),  Ok((10, None))),
        ];
        for (what, chunks, proven, expected) in rows {
            assert_eq!(decided(chunks, *proven), *expected, "{what}");
        }
    }

    #[test]
    fn the_next_epoch_is_above_every_one_seen_leftovers_included() {
        let mut index = ChunkIndex::default();
        index.add(chunk(7, 5, false, 0));
        let proven = Durable { epoch: 9, ..Durable::default() };
        assert_eq!(decide(&index, &proven, &Start::default()).map(|verdict| verdict.epoch_next), Ok(10));
        index.add(chunk(u32::MAX, 6, false, 0));
        assert_eq!(decide(&index, &proven, &Start::default()), Err(LogRefusal::Epochs));
    }
}
