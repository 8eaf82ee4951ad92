//! Entries: the elements of a checkpoint's runs, and how a later entry is merged with an earlier one.
//!
//! An entry is the effect of a stretch of the log on one object: the level of a stock key, or a slot of the
//! table of holds. The two entries of an object from consecutive stretches merge into one, independently of
//! earlier entries. So a stretch can be written without reading the state that it changes.
//!
//! Must survive: any bytes whose checksum matches.

use serde::{Deserialize, Serialize};

use super::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::Wrong;

/// Integers take the bytes they need. No limit is needed: decoding only borrows from an entry's bytes.
const CODEC: bincode::config::Configuration = bincode::config::standard();

/// One entry of a run.
pub(crate) trait RunEntry: Sized {
    const KIND: RunKind;

    /// The sort key: it ascends strictly within a run.
    fn sort_key(&self) -> u64;

    fn encode(&self, out: &mut Vec<u8>);

    /// The entry at the start of `bytes`, and its length.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;

    /// Merges this entry with the older one of the same sort key.
    fn merge_onto(self, older: Self) -> Result<Self, Wrong>;

    /// When the operation was decided, if the entry is dropped after a time.
    fn at(&self) -> Timestamp {
        Timestamp(0)
    }

    /// Whether a merge keeps the entry.
    fn is_kept(&self, _keep: &KeepUntil) -> bool {
        true
    }
}

/// The limits after which entries are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepUntil {
    pub now: Timestamp,
    pub op_keys: Option<std::time::Duration>,
}

pub(super) fn put<T: Serialize>(wire: &T, out: &mut Vec<u8>) {
    let encoded = bincode::serde::encode_into_std_write(wire, out, CODEC);
    debug_assert!(encoded.is_ok(), "a vector takes everything");
}

pub(super) fn get<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, usize)> {
    bincode::serde::borrow_decode_from_slice(bytes, CODEC).ok()
}
