//! Entries: the content of runs, and how a later entry combines with an earlier one.
//!
//! An entry says what a part of the log did to one thing: to the level of a key, or to a slot of the table of
//! holds. The entries of two adjacent parts of the log combine into one, whatever lies before them. So a run
//! can be written without reading the state that it changes.
//!
//! Must survive: any bytes whose checksum holds.

use serde::{Deserialize, Serialize};

use super::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::Wrong;

/// Integers take as many bytes as they need. It needs no limit: decoding only borrows from the bytes of the
/// entry.
const CODEC: bincode::config::Configuration = bincode::config::standard();

/// One entry of a run.
pub(crate) trait RunEntry: Sized {
    const KIND: RunKind;

    /// The order of entries in a run.
    fn place(&self) -> u64;

    fn encode(&self, out: &mut Vec<u8>);

    /// Decodes the entry at the start of `bytes`; also returns its length.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;

    /// Combines `older` with this entry, which comes right behind it.
    fn over(self, older: Self) -> Result<Self, Wrong>;

    /// The time at which it was decided, if it is forgotten after some time.
    fn at(&self) -> Timestamp {
        Timestamp(0)
    }

    /// Whether the entry is still needed.
    fn is_kept(&self, _keep: &KeepUntil) -> bool {
        true
    }
}

/// What decides which entries are still needed.
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
