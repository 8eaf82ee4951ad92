//! A group: the records that the log thread took from the ring at one time, on their way to the store and to the fold.

use parking_lot::Mutex;

use super::chunk;
use super::scan::Tip;

/// Buffers that are kept to be used again: what two full groups take.
const SPARE_MAX: usize = 64;

/// Records of one group, as the fold gets them.
#[derive(Debug)]
pub(crate) struct Group {
    pub chunks: Vec<Payload>,
    pub end: u64,
    /// Where it ends, once it is written.
    pub tip: Tip,
}

impl Group {
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|payload| payload.bytes.len() + chunk::HEADER_BYTES).sum()
    }
}

/// The records of one chunk.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    pub start: u64,
    pub words: u64,
    pub bytes: Vec<u8>,
}

/// Buffers of payloads that nobody needs any more. Memory that one thread takes and another gives back goes to the
/// system and comes again, page by page, which costs the log more than its bytes do.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// An empty buffer; a new one, if another thread is at the spare ones.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.try_lock().and_then(|mut spare| spare.pop()).unwrap_or_default()
    }

    /// The group's records are no longer needed.
    pub(crate) fn give(&self, group: Group) {
        if let Some(mut spare) = self.0.try_lock() {
            let room = SPARE_MAX - spare.len().min(SPARE_MAX);
            spare.extend(group.chunks.into_iter().take(room).map(|Payload { mut bytes, .. }| {
                bytes.clear();
                bytes
            }));
        }
    }
}
