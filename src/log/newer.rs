//! What a build later than this one has written: named, never taken for damage.

use std::fmt;

/// The highest number of a kind of record that this build knows. A reader refuses a chunk, or a checkpoint, that
/// states a higher one.
pub(crate) const RECORD_KIND_MAX: u8 = 24;

/// A format, or a kind of a known format, that this build does not know. It reads as a part of a sentence:
/// "format 3, this build knows formats up to 2".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Newer {
    what: &'static str,
    found: u32,
    known: u32,
}

impl Newer {
    pub(crate) const fn format(found: u16, known: u16) -> Newer {
        Newer { what: "format", found: found as u32, known: known as u32 }
    }

    pub(crate) const fn record_kind(found: u8) -> Newer {
        Newer { what: "record kind", found: found as u32, known: RECORD_KIND_MAX as u32 }
    }

    pub(crate) const fn run_kind(found: u8, known: u8) -> Newer {
        Newer { what: "file kind", found: found as u32, known: known as u32 }
    }
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Newer { what, found, known } = self;
        write!(f, "{what} {found}, this build knows {what}s up to {known}")
    }
}
