//! Entries: what the runs of a checkpoint are made of, and what a later one means over an earlier one.
//!
//! An entry says what a stretch of the log did to one thing: to a key's book, to a slot of the table of holds. Of two
//! stretches, one right behind the other, the two entries of a thing make one, whatever came before them. So a stretch can
//! be written without a look at what it changes.
//!
//! Must survive: any bytes whose checksum holds.

use serde::{Deserialize, Serialize};

use super::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::Wrong;

/// Integers take the bytes they need. No limit: whatever an entry's bytes say, decoding borrows from them alone.
const CODEC: bincode::config::Configuration = bincode::config::standard();

/// One entry of a run.
pub(crate) trait RunEntry: Sized {
    const KIND: RunKind;

    /// Entries of a run ascend by it.
    fn place(&self) -> u64;

    fn encode(&self, out: &mut Vec<u8>);

    /// The entry at the start of `bytes`, and how many it took.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;

    /// What happened according to `older`, and then according to this one.
    fn over(self, older: Self) -> Result<Self, Wrong>;

    /// When it was decided, if it is to be forgotten after a time.
    fn at(&self) -> Timestamp {
        Timestamp(0)
    }

    /// Whether anybody may ask for it still.
    fn is_kept(&self, _keep: &KeepUntil) -> bool {
        true
    }
}

/// What need not be kept.
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
