//! An operation with an op key, so that a repeated request gets the same answer.

use crate::checkpoint::entry::{KeepUntil, RunEntry, get, put};
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
use crate::fold::hold::{self, Wrong};
use crate::fold::state::FoldedOp;
use crate::hold::op_keys;
use crate::log::record::Fact;
use crate::types::OpKey;

/// An operation with an op key, with its record, from which a repeated request is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OpRow {
    pub position: u64,
    pub at: Timestamp,
    /// The opening that made the record's hold, or else that wrote the record; low bits only.
    pub epoch: u32,
    pub record: Box<[u8]>,
}

impl OpRow {
    /// The row of an operation that the fold has found.
    pub(crate) fn of(op: &FoldedOp<'_>) -> OpRow {
        OpRow { position: op.position, at: op.at, epoch: op.epoch, record: op.bytes.into() }
    }

    fn key(&self) -> Option<OpKey> {
        let (fact, _) = Fact::decode(&self.record).ok()?;
        Some(OpKey(u128::from_le_bytes(fact.op?.key)))
    }
}

impl RunEntry for OpRow {
    const KIND: RunKind = RunKind::Ops;

    fn sort_key(&self) -> u64 {
        self.position
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.position, self.at.0, self.epoch, &*self.record), out);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let ((position, at, epoch, record), bytes) = get::<(u64, u64, u32, &[u8])>(bytes)?;
        let entry = OpRow { position, at: Timestamp(at), epoch, record: record.into() };
        hold::check_time(entry.at).ok()?;
        Some((entry, bytes))
    }

    fn merge_onto(self, _older: Self) -> Result<Self, Wrong> {
        Err("two operations end at one position")
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn is_kept(&self, keep: &KeepUntil) -> bool {
        let Some((retention, key)) = keep.op_keys.zip(self.key()) else { return true };
        op_keys::is_remembered(key, self.at, keep.now, retention)
    }
}
