//! Reads chunks out of raw bytes, without the store that wrote them.
//!
//! [`scan`] finds every whole chunk in a file, in any order; a [`ChunkIndex`](super::chunk_index::ChunkIndex)
//! links them. The store rewrites its pages, so the file may have several copies of a chunk.
//!
//! Invariants:
//! - Nothing is written, nothing is mapped; memory is one window of the file.
//! - A chunk is only believed whole. Bytes that look like the start of one (records can contain anything)
//!   cost one checksum and no more: the search goes on right behind the mark.
//!
//! Must survive: any bytes, cut anywhere.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    chunk::{self, ChunkError, ChunkHeader, HEADER_BYTES, MAGIC},
    newer::Newer,
    sled::CHUNK_BYTES_MAX,
};

const WINDOW_BYTES: usize = 1 << 20;
const _: () = assert!(WINDOW_BYTES > 2 * CHUNK_BYTES_MAX);

/// Where a chunk is in the file that was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    /// The store whose file it is.
    pub(crate) store: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

/// A whole chunk that a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundChunk {
    pub(crate) header: ChunkHeader,
    pub(crate) hash: u64,
    /// The place of one of its copies, in the newest store that has one.
    pub(crate) place: ChunkPlace,
}

/// A chunk that a scan found, of this build or of a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScannedChunk {
    Chunk(FoundChunk),
    /// A whole chunk that a later build has written. Only its start can be read.
    Newer {
        start: u64,
        found: Newer,
    },
}

impl ScannedChunk {
    /// The same chunk, as one of the store with this number.
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

/// Calls `found` with every whole chunk in the file, in the order of the file; returns the number of bytes
/// read.
pub(crate) fn scan(file: &impl FileExt, mut found: impl FnMut(ScannedChunk)) -> io::Result<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    // The window holds the file's bytes from `base`; `length` of them.
    let (mut base, mut length) = (0_u64, 0);
    loop {
        let read = read_up_to(file, &mut window[length..], base + length as u64)?;
        length += read;
        let at_end = length < WINDOW_BYTES;
        // Bytes from here on may be the start of a chunk that ends behind the window.
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
                    found(chunk);
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

/// The chunk at the start of `bytes`, which are at `offset` of the file, and its length in bytes.
pub(crate) fn whole_chunk(bytes: &[u8], offset: u64) -> Option<(ScannedChunk, usize)> {
    let chunk_bytes = chunk::bytes_of(bytes).filter(|bytes| *bytes <= CHUNK_BYTES_MAX)?;
    let chunk = match chunk::decode(bytes.get(..chunk_bytes)?) {
        Ok((header, _, hash)) => {
            let place = ChunkPlace { store: 0, offset, bytes: chunk_bytes as u32 };
            ScannedChunk::Chunk(FoundChunk { header, hash, place })
        }
        Err(ChunkError::Newer { found, start }) => ScannedChunk::Newer { start, found },
        Err(_) => return None,
    };
    Some((chunk, chunk_bytes))
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

/// Reads a chunk again from where it was found; an error of the kind `InvalidData` if it is no longer there.
pub(crate) fn read_chunk(file: &File, found: &FoundChunk) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (found.place.bytes as usize).clamp(HEADER_BYTES, CHUNK_BYTES_MAX)];
    file.read_exact_at(&mut bytes, found.place.offset)?;
    match chunk::decode(&bytes) {
        Ok((_, _, hash)) if hash == found.hash => Ok(bytes),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk changed while it was being read")),
    }
}

/// The end of a log: where the next chunk starts, and the hash that it names as `previous`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tip {
    pub(crate) end: u64,
    pub(crate) hash: u64,
}

impl Tip {
    /// The end of an empty log.
    pub(crate) const ORIGIN: Self = Self { end: 0, hash: 0 };

    /// The end of a log whose last chunk is `found`.
    pub(crate) fn after(found: &FoundChunk) -> Self {
        Self { end: found.header.end(), hash: found.hash }
    }

    /// The end of the log that `found` was appended to.
    pub(super) fn before(found: &FoundChunk) -> Self {
        Self { end: found.header.start, hash: found.header.previous }
    }
}
