//! Reads the log of a running engine once more, from the files of its stores.
//!
//! The stores move their pages meanwhile, so one reading may miss a chunk, or find it where it no longer is. Then
//! the files are read again: the chain stays the same, since hashes link it.

use std::vec;

use super::chunk::HEADER_BYTES;
use super::recovery::{LogError, read, survey};
use super::scan::{FoundChunk, Tip};
use super::stores::ChunkSource;

/// How often the files are read until every chunk is found.
const READINGS: usize = 5;

/// Why the log could not be read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RereadError {
    #[error("the chunk that ends at {position} is not in the log's files, or is damaged there")]
    Missing { position: u64 },
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The chunks between two tips, in order, each with its records. It ends with the first error.
pub(crate) struct Reread<'s> {
    stores: &'s dyn ChunkSource,
    to: Tip,
    /// The end of the chunk before the next one.
    at: Tip,
    chain: vec::IntoIter<FoundChunk>,
}

impl<'s> Reread<'s> {
    /// Everything between must be written.
    pub(crate) fn between(stores: &'s dyn ChunkSource, from: Tip, to: Tip) -> Result<Self, RereadError> {
        Ok(Reread { stores, to, at: from, chain: chain(stores, from, to)?.into_iter() })
    }

    fn payload(&mut self, found: &FoundChunk) -> Result<Vec<u8>, RereadError> {
        let mut place = *found;
        for _ in 1..READINGS {
            match read(self.stores, &place) {
                Ok(mut chunk) => return Ok(chunk.split_off(HEADER_BYTES)),
                Err(LogError::Unreadable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let mut again = chain(self.stores, self.at, self.to)?.into_iter();
            place = again.next().ok_or(RereadError::Missing { position: found.header.end() })?;
            self.chain = again;
        }
        Ok(read(self.stores, &place)?.split_off(HEADER_BYTES))
    }
}

impl Iterator for Reread<'_> {
    type Item = Result<(FoundChunk, Vec<u8>), RereadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.chain.next()?;
        let payload = self.payload(&found);
        self.at = Tip::after(&found);
        if payload.is_err() {
            self.chain = Vec::new().into_iter();
        }
        Some(payload.map(|payload| (found, payload)))
    }
}

/// The chunks between two tips, hash by hash.
fn chain(stores: &dyn ChunkSource, from: Tip, to: Tip) -> Result<Vec<FoundChunk>, RereadError> {
    let mut position = from.end;
    for _ in 0..READINGS {
        match survey(stores)?.chain_back(from, to) {
            Ok(chain) => return Ok(chain),
            Err(reached) => position = reached,
        }
    }
    Err(RereadError::Missing { position })
}
