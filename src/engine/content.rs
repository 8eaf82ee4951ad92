//! What an operation with an op key was asked: the same again is a duplicate, anything else is an error.

use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::core::Core;
use crate::hold::lines::Lines;
use crate::request::{CartLine, OnHold};
use crate::types::HoldId;

/// Hash of what was asked, for op keys.
pub(crate) struct Content(Xxh3);

impl Content {
    pub(crate) fn of(kind: u8) -> Content {
        let mut hash = Xxh3::new();
        hash.update(&[kind]);
        Content(hash)
    }

    pub(crate) fn number(mut self, number: impl Into<i128>) -> Content {
        self.0.update(&number.into().to_le_bytes());
        self
    }

    pub(crate) fn maybe(self, number: Option<impl Into<i128>>) -> Content {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    pub(crate) fn span(self, span: Option<Duration>) -> Content {
        self.maybe(span.map(|span| span.as_nanos().min(i128::MAX as u128) as i128))
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Content {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
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

    pub(crate) fn hold(mut self, hold: HoldId) -> Content {
        self.0.update(&hold.0.to_le_bytes());
        self
    }

    pub(crate) fn hash(self) -> u64 {
        self.0.digest()
    }
}

pub(crate) fn hold_content(core: &Core, kind: u8, request: &OnHold<'_>) -> u64 {
    Content::of(kind).hold(request.hold).maybe(request.quantity).maybe_lines(core, request.lines).hash()
}
