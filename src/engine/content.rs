//! The content of an operation with an op key, as a hash: the same content again is a duplicate, any other is
//! an error.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::core::Core;
use crate::hold::lines::Lines;
use crate::request::{AdjustReason, CartLine, HoldAction};
use crate::types::HoldId;

/// Content up to this length needs no memory of its own: all but the lines of carts.
const SHORT_BYTES_MAX: usize = 160;

/// The operation that an op key is used for. Hashes that begin with these numbers are in the logs of existing
/// directories: a number never changes, and a new operation gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum OpKind {
    Reserve = 1,
    Confirm = 2,
    Release = 3,
    Extend = 4,
    BeginPayment = 5,
    Cancel = 6,
    Ship = 7,
    Receive = 8,
    Adjust = 9,
    ReserveCart = 10,
    Replace = 11,
}

/// What was asked, to be hashed.
pub(crate) struct Content {
    short: [u8; SHORT_BYTES_MAX],
    length: usize,
    /// All of it, if it is too long for `short`, else empty.
    long: Vec<u8>,
}

impl Content {
    #[inline]
    pub(crate) fn of(kind: OpKind) -> Content {
        let mut content = Content { short: [0; SHORT_BYTES_MAX], length: 0, long: Vec::new() };
        content.push(&[kind as u8]);
        content
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.short.get_mut(self.length..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            None => {
                if self.long.is_empty() {
                    self.long.extend_from_slice(&self.short[..self.length]);
                    self.length = SHORT_BYTES_MAX; // nothing fits any more
                }
                self.long.extend_from_slice(bytes);
            }
        }
    }

    #[inline]
    pub(crate) fn number(mut self, number: impl Into<i128>) -> Content {
        self.push(&number.into().to_le_bytes());
        self
    }

    #[inline]
    pub(crate) fn maybe(self, number: Option<impl Into<i128>>) -> Content {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    #[inline]
    pub(crate) fn span(self, span: Option<Duration>) -> Content {
        self.maybe(span.map(|span| span.as_nanos().min(i128::MAX as u128) as i128))
    }

    #[inline]
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Content {
        self.push(&(bytes.len() as u64).to_le_bytes());
        self.push(bytes);
        self
    }

    /// Adds lines, or nothing if there are none: so a request without lines keeps the hash that it had before
    /// there were lines.
    pub(crate) fn maybe_lines(self, core: &Core, lines: Option<&[CartLine]>) -> Content {
        match lines {
            Some(lines) => self.number(1).cart_lines(core, lines),
            None => self,
        }
    }

    /// Adds lines in the order of their keys, with the quantities on one key added up. Invalid lines are
    /// refused before the hash is used.
    pub(crate) fn cart_lines(self, core: &Core, lines: &[CartLine]) -> Content {
        match core.lines(lines) {
            Ok(lines) => self.lines(&lines),
            Err(_) => self,
        }
    }

    pub(crate) fn lines(self, lines: &Lines) -> Content {
        let counted = self.number(lines.len() as u64);
        lines.iter().fold(counted, |content, line| content.number(line.target.number()).number(line.units))
    }

    /// Adds a reason, by a number that never changes either.
    pub(crate) fn reason(self, reason: AdjustReason) -> Content {
        self.number(match reason {
            AdjustReason::Count => 0,
            AdjustReason::Damaged => 1,
            AdjustReason::Lost => 2,
            AdjustReason::Found => 3,
            AdjustReason::Other => 4,
        })
    }

    #[inline]
    pub(crate) fn hold(mut self, hold: HoldId) -> Content {
        self.push(&hold.0.to_le_bytes());
        self
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        xxh3_64(if self.long.is_empty() { &self.short[..self.length] } else { &self.long })
    }
}

/// The hash of an operation on a hold or on a part of it.
pub(crate) fn hold_content(core: &Core, kind: OpKind, request: &HoldAction<'_>) -> u64 {
    Content::of(kind).hold(request.hold).maybe(request.quantity).maybe_lines(core, request.lines).hash()
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn content_is_hashed_as_one_text_however_long_it_is() {
        let reference = [7; 40];
        for numbers in 0..40_u64 {
            let mut text = vec![3];
            (0..numbers).for_each(|number| text.extend(i128::from(number).to_le_bytes()));
            text.extend(40_u64.to_le_bytes());
            text.extend(reference);
            let content = (0..numbers).fold(Content::of(OpKind::Release), Content::number);
            assert_eq!(content.bytes(&reference).hash(), xxh3_64(&text), "{numbers} numbers");
        }
        // The hash is in the log: with another one, a repeated request would look like another request.
        assert_eq!(
            Content::of(OpKind::Reserve).number(5).span(None).bytes(b"order").hash(),
            0xef57_1822_c1e3_4774
        );
    }

    #[test]
    fn the_numbers_of_operations_and_reasons_are_in_logs_and_never_change() {
        let kinds = [
            (OpKind::Reserve, 1),
            (OpKind::Confirm, 2),
            (OpKind::Release, 3),
            (OpKind::Extend, 4),
            (OpKind::BeginPayment, 5),
            (OpKind::Cancel, 6),
            (OpKind::Ship, 7),
            (OpKind::Receive, 8),
            (OpKind::Adjust, 9),
            (OpKind::ReserveCart, 10),
            (OpKind::Replace, 11),
        ];
        for (kind, number) in kinds {
            assert_eq!(Content::of(kind).hash(), xxh3_64(&[number]), "{kind:?}");
        }
        let reasons = [
            (AdjustReason::Count, 0),
            (AdjustReason::Damaged, 1),
            (AdjustReason::Lost, 2),
            (AdjustReason::Found, 3),
            (AdjustReason::Other, 4),
        ];
        for (reason, number) in reasons {
            let (named, numbered) = (Content::of(OpKind::Adjust).reason(reason), Content::of(OpKind::Adjust));
            assert_eq!(named.hash(), numbered.number(number).hash(), "{reason:?}");
        }
    }
}
