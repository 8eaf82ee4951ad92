//! A chunk: consecutive records as one value in the store, framed so that it proves itself.
//!
//! ```text
//!  0       4        6       7       8       12      16      24            28      32              40       48
//!  | magic | format | flags | kinds | epoch | words | start | payload len | crc32 | previous hash | synced | payload
//! ```
//! All numbers are little-endian. The CRC covers the header (with the CRC itself as zero) and the payload, so
//! a chunk is whole or is not one. `previous` is the hash of the chunk that ends at `start` (0 for the first
//! chunk of a log),//! so two chunks follow each other only if the later one was written after exactly these
//! bytes of the earlier one. This distinguishes a torn tail from a hole, and a leftover of an earlier opening
//! from the chunk that took its place.
//!
//! `synced` is a position below which everything was durable before this chunk was handed to the store. So
//! every chunk that is found proves that the log reached that far: a log that does not is damaged, not torn.
//!
//! `kinds` is the highest number of a kind of record in the payload, so that a build that does not know the
//! kind recognises such a chunk, and does not take it for damage. Format 1 has a zero there: all its kinds are
//! known to every build.
//!
//! A later format keeps magic, format, start, length and CRC where they are, and what the CRC covers. So a
//! build that does not know the format recognises such a chunk too. Neither is cut.
//!
//! Must survive: any bytes at all. [`decode`] never panics and never reads past what it is given.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::newer::{Newer, RECORD_KIND_MAX};

/// Version of the chunk format this build writes, and the newest it reads. It reads all earlier ones.
pub(crate) const FORMAT: u16 = 2;
/// The first format, which does not say which kinds of records are in a chunk.
const FORMAT_WITHOUT_KINDS: u16 = 1;
/// First bytes of every chunk. Not text, so that a caller's own references rarely contain it.
pub(crate) const MAGIC: [u8; 4] = [0xD6, b'S', b'H', 0x9C];
pub(crate) const HEADER_BYTES: usize = 48;

/// `flags` bit 0: the last chunk of its group. A group without one was never acknowledged.
const FLAG_COMMIT: u8 = 1;

/// The header of a chunk, without the fields that only [`decode`] needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    /// The opening of the directory that wrote it; never falls along the log.
    pub(crate) epoch: u32,
    /// Position of its first word.
    pub(crate) start: u64,
    /// Words of the log it covers, at least one. Not the payload's length: records are packed on the way.
    pub(crate) words: u32,
    /// Whether it is the last chunk of its group.
    pub(crate) commit: bool,
    /// The highest number of a kind of record in it; 0 in a chunk of format 1.
    pub(crate) kinds: u8,
    /// Hash of the chunk that ends at `start`; 0 for the first chunk of a log.
    pub(crate) previous: u64,
    /// Everything before this position was durable before this chunk was written; at most `start`.
    pub(crate) synced: u64,
}

impl ChunkHeader {
    /// Position behind its last word: where the next chunk starts.
    pub(crate) fn end(&self) -> u64 {
        // Both decode and encode refuse a chunk whose end does not fit; a hand-made header saturates.
        self.start.saturating_add(u64::from(self.words))
    }
}

/// Why some bytes are no chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ChunkError {
    #[error("the chunk is {found} bytes long, and by its header should be {expected}")]
    Length { found: usize, expected: usize },
    #[error("the chunk does not start with a chunk's magic bytes")]
    Magic,
    #[error("the chunk that starts at position {start} has {found}: open it with a newer stockhold")]
    Newer { found: Newer, start: u64 },
    #[error("the chunk's header is invalid (format 0, unknown flags, no words, or a position out of range)")]
    Header,
    #[error("the chunk's checksum does not match its bytes")]
    Checksum,
}

/// Appends the chunk to `out`; returns the hash the next chunk names as `previous`.
///
/// # Panics
/// If the payload is 4 GiB or longer, the chunk covers no words, or its positions are impossible: the
/// caller's bug, not the disk's.
pub(crate) fn encode(header: &ChunkHeader, payload: &[u8], out: &mut Vec<u8>) -> u64 {
    let payload_bytes = u32::try_from(payload.len()).expect("a payload is far below 4 GiB");
    assert!(header.words > 0, "a chunk covers at least one word");
    assert!(header.start.checked_add(u64::from(header.words)).is_some(), "a chunk ends at a position");
    assert!(header.synced <= header.start, "what is being written is not durable yet");

    let at = out.len();
    out.reserve(HEADER_BYTES + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&[if header.commit { FLAG_COMMIT } else { 0 }, header.kinds]);
    out.extend_from_slice(&header.epoch.to_le_bytes());
    out.extend_from_slice(&header.words.to_le_bytes());
    out.extend_from_slice(&header.start.to_le_bytes());
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.previous.to_le_bytes());
    out.extend_from_slice(&header.synced.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = checksum(&out[at..]);
    out[at + CRC_AT..at + CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    xxh3_64(&out[at..])
}

/// The length of the chunk at the start of `bytes`, as its header says; `None` if there is no chunk.
pub(crate) fn bytes_of(bytes: &[u8]) -> Option<usize> {
    let is_one = bytes.len() >= HEADER_BYTES && field::<4>(bytes, 0) == MAGIC;
    is_one.then(|| HEADER_BYTES + u32::from_le_bytes(field(bytes, 24)) as usize)
}

/// Reads exactly one chunk: trailing bytes are refused. The last value is the hash of the whole chunk.
pub(crate) fn decode(bytes: &[u8]) -> Result<(ChunkHeader, &[u8], u64), ChunkError> {
    if bytes.len() < HEADER_BYTES {
        return Err(ChunkError::Length { found: bytes.len(), expected: HEADER_BYTES });
    }
    let expected = bytes_of(bytes).ok_or(ChunkError::Magic)?;
    if bytes.len() != expected {
        return Err(ChunkError::Length { found: bytes.len(), expected });
    }
    if checksum(bytes).to_le_bytes() != field::<4>(bytes, CRC_AT) {
        return Err(ChunkError::Checksum);
    }
    Ok((ChunkHeader::read(bytes)?, &bytes[HEADER_BYTES..], xxh3_64(bytes)))
}

impl ChunkHeader {
    /// The header of a chunk whose checksum holds.
    fn read(bytes: &[u8]) -> Result<Self, ChunkError> {
        let (format, start) = (u16::from_le_bytes(field(bytes, 4)), u64::from_le_bytes(field(bytes, 16)));
        if format > FORMAT {
            return Err(ChunkError::Newer { found: Newer::format(format, FORMAT), start });
        }
        let [flags, kinds] = field(bytes, 6);
        if format > FORMAT_WITHOUT_KINDS && kinds > RECORD_KIND_MAX {
            return Err(ChunkError::Newer { found: Newer::record_kind(kinds), start });
        }
        let header = Self {
            epoch: u32::from_le_bytes(field(bytes, 8)),
            words: u32::from_le_bytes(field(bytes, 12)),
            start,
            commit: flags & FLAG_COMMIT != 0,
            kinds,
            previous: u64::from_le_bytes(field(bytes, 32)),
            synced: u64::from_le_bytes(field(bytes, 40)),
        };
        let possible = start.checked_add(u64::from(header.words)).is_some() && header.synced <= start;
        let no_such = format == FORMAT_WITHOUT_KINDS && kinds != 0;
        if format == 0 || flags & !FLAG_COMMIT != 0 || no_such || header.words == 0 || !possible {
            return Err(ChunkError::Header);
        }
        Ok(header)
    }
}

const CRC_AT: usize = 28;

fn checksum(chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..CRC_AT]);
    hasher.update(&[0; 4]);
    hasher.update(&chunk[CRC_AT + 4..]);
    hasher.finalize()
}

/// `N` bytes at a fixed offset inside the header, whose length the caller has checked.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// The chunk, as a build of the next format might have written it.
#[cfg(test)]
pub(crate) fn of_newer_format(chunk: &[u8]) -> Vec<u8> {
    changed(chunk, 4, &(FORMAT + 1).to_le_bytes())
}

/// The chunk, as a build that knows one more kind of record might have written it.
#[cfg(test)]
pub(crate) fn of_newer_kind(chunk: &[u8]) -> Vec<u8> {
    changed(chunk, 7, &[RECORD_KIND_MAX + 1])
}

/// The chunk with other bytes in its header, and the checksum of them.
#[cfg(test)]
fn changed(chunk: &[u8], at: usize, to: &[u8]) -> Vec<u8> {
    let mut bytes = chunk.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to);
    let crc = checksum(&bytes);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: ChunkHeader = ChunkHeader {
        epoch: 7,
        start: 0x0102_0304_0506,
        words: 9,
        commit: true,
        kinds: 12,
        previous: 0x1122_3344_5566_7788,
        synced: 0x0102_0304_0405,
    };

    fn golden() -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        let hash = encode(&GOLDEN, b"records", &mut out);
        (out, hash)
    }

    #[rustfmt::skip]
    const GOLDEN_1: [u8; 55] = [
        0xD6, b'S', b'H', 0x9C, 1, 0, 1, 0, 7, 0, 0, 0, 9, 0, 0, 0,
        6, 5, 4, 3, 2, 1, 0, 0, 7, 0, 0, 0, 34, 247, 244, 54,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 5, 4, 4, 3, 2, 1, 0, 0,
        b'r', b'e', b'c', b'o', b'r', b'd', b's',
    ];

    #[test]
    fn a_chunk_of_format_1_is_read_as_what_it_states() {
        let header = ChunkHeader { kinds: 0, ..GOLDEN };
        assert_eq!(decode(&GOLDEN_1), Ok((header, b"records".as_slice(), 15_934_120_738_980_677_954)));
        assert_eq!(decode(&changed(&GOLDEN_1, 7, &[1])), Err(ChunkError::Header), "it states no kinds");
    }

    #[test]
    fn the_bytes_of_format_2_never_change() {
        let (bytes, hash) = golden();
        let mut expected = GOLDEN_1;
        (expected[4], expected[7]) = (2, 12);
        expected[28..32].copy_from_slice(&[7, 54, 255, 115]);
        assert_eq!((bytes.as_slice(), hash), (expected.as_slice(), 15_016_342_017_217_046_115));
    }

    #[test]
    fn decodes_what_it_encoded() {
        let (bytes, hash) = golden();
        assert_eq!(decode(&bytes), Ok((GOLDEN, b"records".as_slice(), hash)));
    }

    #[test]
    fn every_flipped_bit_every_shorter_and_every_longer_input_is_refused() {
        let (bytes, _) = golden();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "length {length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(decode(&longer), Err(ChunkError::Length { .. })));
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let (mut bytes, _) = golden();
        bytes[4..6].copy_from_slice(&(FORMAT + 1).to_le_bytes());
        assert_eq!(decode(&bytes), Err(ChunkError::Checksum), "its own word alone is not believed");
        let bytes = of_newer_format(&bytes);
        let found = Newer::format(FORMAT + 1, FORMAT);
        assert_eq!(decode(&bytes), Err(ChunkError::Newer { found, start: GOLDEN.start }));
    }

    #[test]
    fn a_chunk_with_a_kind_of_record_that_is_not_known_is_named_as_such() {
        let bytes = of_newer_kind(&golden().0);
        let error = decode(&bytes).unwrap_err();
        let found = Newer::record_kind(RECORD_KIND_MAX + 1);
        assert_eq!(error, ChunkError::Newer { found, start: GOLDEN.start });
        let sentence = error.to_string();
        assert!(sentence.contains("record kind 25, this build knows record kinds up to 24"), "{sentence}");
    }

    #[test]
    fn a_chunk_past_the_last_position_is_refused() {
        let (mut bytes, _) = golden();
        bytes[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&bytes), Err(ChunkError::Header));
    }
}
