//! What the store will still have after it is opened, read from its file before it is.
//!
//! On opening, sled decides by the headers of its segments how far its own log reaches, and overwrites everything it
//! does not reach. With the header of the one segment damaged that vouches for the newest data, it "recovers" an empty
//! database, without an error. So its reading is repeated here, and whatever lies outside of what it will read is not
//! safe: below the sidecar that is a reason to refuse, above it the chunk is copied to a rescue file first.
//!
//! ```text
//! segment, every SEGMENT_BYTES:  | crc | lsn | stable lsn |  messages ...  | cap |
//! message:                       | crc | kind | length | segment number | page | body |
//! ```
//! This is only ever used to refuse or to copy, so a mistake in it costs a salvage, not data.
//!
//! Must survive: any bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};

use super::sled::{DATA_FILE, SEGMENT_BYTES};

const SEGMENT_HEADER_BYTES: usize = 20;
/// Nothing starts in the last bytes of a segment.
const MESSAGE_HEADER_BYTES_MAX: usize = 32;
const KIND_CAP: u8 = 2;
const KIND_MAX: u8 = 11;
const SEGMENT: u64 = SEGMENT_BYTES as u64;

/// Byte ranges of the store's file, in order, that it will read as its own and leave alone.
#[derive(Debug, Default)]
pub(crate) struct Safe(Vec<Range<u64>>);

impl Safe {
    /// Reads the store in `directory`. A file that is not there is an empty one.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let file = match File::open(directory.join(DATA_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let segments = read_segments(&file)?;
        Ok(Self(safe_ranges(&segments, snapshot_lsn(directory)?)))
    }

    pub(crate) fn covers(&self, offset: u64, bytes: u32) -> bool {
        let after = self.0.partition_point(|range| range.start <= offset);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|range| offset + u64::from(bytes) <= range.end)
    }
}

/// A segment with a whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    offset: u64,
    /// The store's own position of its first byte; it never falls while the store is used.
    lsn: u64,
    /// Its claim how far the store was written when the segment was begun.
    stable_lsn: u64,
    /// Bytes up to the first message that is not whole.
    whole_bytes: usize,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nothing more was ever meant to be in it.
    Full,
    /// Something that is no message: the end of the log, or damage.
    Broken,
    /// The file ends within a message.
    Short,
}

fn read_segments(file: &File) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut bytes = vec![0; SEGMENT_BYTES];
    let file_bytes = file.metadata()?.len();
    for offset in (0..file_bytes).step_by(SEGMENT_BYTES) {
        let length = (file_bytes - offset).min(SEGMENT) as usize;
        file.read_exact_at(&mut bytes[..length], offset)?;
        segments.extend(read_segment(&bytes[..length], offset));
    }
    Ok(segments)
}

fn read_segment(bytes: &[u8], offset: u64) -> Option<Segment> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    let (lsn, rest) = rest.split_first_chunk::<8>()?;
    let (stable_lsn, _) = rest.split_first_chunk::<8>()?;
    if u32::from_le_bytes(*crc) != !crc32fast::hash(&bytes[4..SEGMENT_HEADER_BYTES]) {
        return None;
    }
    // Stored with all bits but the sign turned, so that a zeroed header is no header.
    let lsn = u64::from_le_bytes(*lsn) ^ (u64::MAX >> 1);
    // -1, "nothing yet", is as good as 0 here.
    let stable_lsn = (u64::from_le_bytes(*stable_lsn) ^ (u64::MAX >> 1)).wrapping_add(1).saturating_sub(1);
    if lsn % SEGMENT != 0 || lsn > i64::MAX as u64 - SEGMENT || stable_lsn > i64::MAX as u64 {
        return None;
    }
    let (mut at, ending) = (SEGMENT_HEADER_BYTES, Ending::Full);
    let ending = loop {
        if at + MESSAGE_HEADER_BYTES_MAX > SEGMENT_BYTES {
            break ending;
        }
        match message(&bytes[at..], SEGMENT_BYTES - at, lsn / SEGMENT) {
            Ok((KIND_CAP, _)) => break Ending::Full,
            Ok((_, message_bytes)) => at += message_bytes,
            Err(ending) => break ending,
        }
    };
    Some(Segment { offset, lsn, stable_lsn, whole_bytes: at, ending })
}

/// Kind and length of the message that `bytes` begins with; it has to fit `room`.
fn message(bytes: &[u8], room: usize, segment_number: u64) -> Result<(u8, usize), Ending> {
    // A header at the end of a short file is read as if zeroes followed.
    let mut header = [0; 64];
    let header_bytes = bytes.len().min(header.len());
    header[..header_bytes].copy_from_slice(&bytes[..header_bytes]);
    let kind = header[4];
    let mut at = 5;
    let body_bytes = number(&header, &mut at);
    let number_found = number(&header, &mut at);
    let _page = number(&header, &mut at);
    if kind == 0 || kind > KIND_MAX || body_bytes > (room - at) as u64 {
        return Err(Ending::Broken);
    }
    let end = at + body_bytes as usize;
    let body = bytes.get(at..end).ok_or(Ending::Short)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(body);
    crc.update(&header[4..at]);
    if (!crc.finalize()).to_le_bytes() != header[..4] || number_found != segment_number {
        return Err(Ending::Broken);
    }
    Ok((kind, end))
}

/// A number of one to nine bytes, as sled writes them.
fn number(bytes: &[u8; 64], at: &mut usize) -> u64 {
    let first = bytes[*at];
    let rest = &bytes[*at + 1..*at + 9];
    let (value, length) = match first {
        0..=240 => (u64::from(first), 0),
        241..=248 => (240 + 256 * (u64::from(first) - 241) + u64::from(rest[0]), 1),
        249 => (2288 + 256 * u64::from(rest[0]) + u64::from(rest[1]), 2),
        _ => {
            let length = usize::from(first) - 247;
            let value = rest[..length].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            (value, length)
        }
    };
    *at += 1 + length;
    value
}

/// Where the newest snapshot says the store's log was read up to: older segments are not looked at again.
fn snapshot_lsn(directory: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let lsn = name.to_str().and_then(|name| name.strip_prefix("snap."));
        newest = newest.max(lsn.and_then(|lsn| u64::from_str_radix(lsn, 16).ok()).unwrap_or(0));
    }
    Ok(newest)
}

fn safe_ranges(segments: &[Segment], snapshot_lsn: u64) -> Vec<Range<u64>> {
    let snapshot_segment = snapshot_lsn / SEGMENT * SEGMENT;
    let mut in_order = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.lsn >= snapshot_segment) {
        if in_order.insert(segment.lsn, *segment).is_some() {
            // sled gives up on two segments that claim the same place.
            return Vec::new();
        }
    }
    let stable_lsn = in_order.values().map(|segment| segment.stable_lsn).fold(snapshot_segment, u64::max);

    // From the segment that vouches for the newest data, sled reads on as long as segments follow each other.
    let mut end_lsn = None;
    let mut expected_lsn = stable_lsn / SEGMENT * SEGMENT;
    while let Some(segment) = in_order.get(&expected_lsn) {
        end_lsn = Some(segment.lsn + segment.whole_bytes as u64);
        if segment.ending != Ending::Full {
            break;
        }
        expected_lsn += SEGMENT;
    }
    // Nothing to begin with: it takes the whole file for empty.
    let Some(end_lsn) = end_lsn else { return Vec::new() };

    // Segments below the snapshot are read through the pointers in it, whatever their order.
    let mut safe: Vec<&Segment> = segments.iter().filter(|segment| segment.lsn < snapshot_segment).collect();
    for segment in in_order.values() {
        if segment.lsn >= end_lsn {
            break;
        }
        safe.push(segment);
        if segment.ending == Ending::Short {
            break;
        }
    }
    safe.sort_unstable_by_key(|segment| segment.offset);
    safe.iter().map(|segment| segment.offset..segment.offset + segment.whole_bytes as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{Random, seed};

    fn segment(number: u64, stable_lsn: u64, whole_bytes: usize, ending: Ending) -> Segment {
        Segment { offset: number * SEGMENT, lsn: number * SEGMENT, stable_lsn, whole_bytes, ending }
    }

    #[test]
    fn without_the_segment_that_vouches_for_the_newest_data_nothing_is_safe() {
        let (first, second) =
            (segment(0, 0, SEGMENT_BYTES, Ending::Full), segment(1, SEGMENT, 500, Ending::Broken));
        assert_eq!(safe_ranges(&[first, second], 0), [0..SEGMENT, SEGMENT..SEGMENT + 500]);
        let third = segment(2, SEGMENT + 500, 300, Ending::Broken);
        assert_eq!(safe_ranges(&[first, third], 0), []);
    }

    #[test]
    fn a_segment_behind_a_broken_one_in_the_tail_is_not_safe() {
        let whole = |number, stable_lsn| segment(number, stable_lsn, SEGMENT_BYTES, Ending::Full);
        let torn = segment(2, SEGMENT, 700, Ending::Broken);
        let after_tear = [0..SEGMENT, SEGMENT..2 * SEGMENT, 2 * SEGMENT..2 * SEGMENT + 700];
        assert_eq!(safe_ranges(&[whole(0, 0), whole(1, 0), torn, whole(3, SEGMENT)], 0), after_tear);
        // Below what the snapshot has read, order does not matter.
        assert_eq!(
            safe_ranges(&[whole(0, 0), torn], SEGMENT * 2),
            [0..SEGMENT, 2 * SEGMENT..2 * SEGMENT + 700]
        );
        assert_eq!(safe_ranges(&[whole(1, 0), whole(1, 0)], 0), []);
    }

    #[test]
    fn any_bytes_under_a_whole_header_are_read_without_a_panic() {
        let mut random = Random(seed());
        for _ in 0..2000 {
            let mut bytes: Vec<u8> = (0..20 + random.below(300)).map(|_| random.next() as u8).collect();
            bytes[4..12]
                .copy_from_slice(&(((random.next() >> 40) / 2 * SEGMENT) ^ (u64::MAX >> 1)).to_le_bytes());
            bytes[12..20].copy_from_slice(&(random.next() >> 30).to_le_bytes());
            let crc = !crc32fast::hash(&bytes[4..20]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            if bytes.len() > 40 {
                bytes[24] = 1 + random.below(11) as u8;
            }
            if let Some(segment) = read_segment(&bytes, 0) {
                assert!(safe_ranges(&[segment], random.next() >> 20).len() <= 1);
            }
        }
    }
}
