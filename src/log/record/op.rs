//! The op of a record: the op key, and what is needed to repeat the answer.

use serde::{Deserialize, Serialize};

/// The caller's op key, and what is needed to repeat the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Op {
    pub key: [u8; 16],
    /// The hash of the request: the same key with another hash is an error.
    pub content: [u8; 8],
    /// The number in the first answer (see [`Op::answer`]), 48 bits. These are the last bytes of every record
    /// with an op: they are written when the answer is known, after the record was sized.
    pub(super) answer: [u8; ANSWER_BYTES],
}

pub(super) const ANSWER_BYTES: usize = 6;

impl Op {
    pub(crate) fn new(key: u128, content: u64, answer: i64) -> Op {
        Op { key: key.to_le_bytes(), content: content.to_le_bytes(), answer: answer_bytes(answer) }
    }

    /// The number in the first answer: units left, available, or remaining.
    pub(crate) fn answer(&self) -> i64 {
        let mut bytes = [0; 8];
        bytes[8 - ANSWER_BYTES..].copy_from_slice(&self.answer);
        i64::from_le_bytes(bytes) >> (64 - 8 * ANSWER_BYTES)
    }
}

pub(super) fn answer_bytes(answer: i64) -> [u8; ANSWER_BYTES] {
    let mut bytes = [0; ANSWER_BYTES];
    bytes.copy_from_slice(&answer.to_le_bytes()[..ANSWER_BYTES]);
    bytes
}
