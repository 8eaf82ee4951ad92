//! A group: the records that the log thread took from the ring at one time, on their way to the store and to
//! the fold.

use parking_lot::Mutex;

use super::chunk;
use super::scan::Tip;
use super::words::Words;

/// The most buffers that are kept to be used again: as many as two full groups need.
const SPARE_MAX: usize = 64;

/// The records of one group, as they are sent to the fold.
#[derive(Debug)]
pub(crate) struct Group {
    pub chunks: Vec<Payload>,
    pub end: u64,
    /// Its end with the hash of its last chunk, set when it was written.
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
    pub words: Words,
    /// The highest number of a kind of record in it.
    pub kinds: u8,
    pub bytes: Vec<u8>,
}

/// Buffers of payloads that can be used again. Without them, memory that one thread allocates and another
/// frees goes back to the system and is mapped again page by page, which costs the log more time than its
/// bytes do.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers(Mutex<Vec<Vec<u8>>>);

impl SpareBuffers {
    /// An empty buffer: a spare one, or a new one if there is none or another thread has the lock.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.try_lock().and_then(|mut spare| spare.pop()).unwrap_or_default()
    }

    /// Keeps the buffers of a group whose records are no longer needed.
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
