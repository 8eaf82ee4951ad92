//! What an operation with an op key was asked: the same again is a duplicate, anything else is an error.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::core::Core;
use crate::hold::lines::Lines;
use crate::request::{CartLine, HoldAction};
use crate::types::HoldId;

/// What is not longer is gathered without memory of its own: all but the lines of carts.
const SHORT_BYTES_MAX: usize = 160;

/// What was asked, to be hashed for op keys.
pub(crate) struct Content {
    short: [u8; SHORT_BYTES_MAX],
    length: usize,
    /// All of it, if it is too long for `short`, else empty.
    long: Vec<u8>,
}

impl Content {
    #[inline]
    pub(crate) fn of(kind: u8) -> Content {
        let mut content = Content { short: [0; SHORT_BYTES_MAX], length: 0, long: Vec::new() };
        content.push(&[kind]);
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

    /// Nothing, if no lines were named: so that what was asked without them hashes as it always has.
    pub(crate) fn maybe_lines(self, core: &Core, lines: Option<&[CartLine]>) -> Content {
        match lines {
            Some(lines) => self.number(1).named(core, lines),
            None => self,
        }
    }

    /// Lines as they are understood: in whatever order they came, those on one key added up. Lines that cannot be are
    /// refused before anybody asks for their hash.
    pub(crate) fn named(self, core: &Core, lines: &[CartLine]) -> Content {
        match core.lines(lines) {
            Ok(lines) => self.lines(&lines),
            Err(_) => self,
        }
    }

    pub(crate) fn lines(self, lines: &Lines) -> Content {
        let counted = self.number(lines.len() as u64);
        lines.iter().fold(counted, |content, line| content.number(line.key).number(line.units))
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

pub(crate) fn hold_content(core: &Core, kind: u8, request: &HoldAction<'_>) -> u64 {
    Content::of(kind).hold(request.hold).maybe(request.quantity).maybe_lines(core, request.lines).hash()
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn content_is_hashed_as_one_text_however_long_it_is() {
        let reference = [7; 40];
        for numbers in 0..40_u64 {
            let mut whole = vec![3];
            (0..numbers).for_each(|number| whole.extend(i128::from(number).to_le_bytes()));
            whole.extend(40_u64.to_le_bytes());
            whole.extend(reference);
            let content = (0..numbers).fold(Content::of(3), Content::number);
            assert_eq!(content.bytes(&reference).hash(), xxh3_64(&whole), "{numbers} numbers");
        }
        // It lies in the log: another hash takes what is asked again for something else.
        assert_eq!(Content::of(1).number(5).span(None).bytes(b"order").hash(), 0xef57_1822_c1e3_4774);
    }
}
