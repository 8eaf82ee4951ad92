//! Durations as records have them.

use serde::{Deserialize, Serialize};

/// A duration in few bytes: whole seconds shifted left with bit 0 set, else milliseconds shifted left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Span(pub(super) u64);

impl Span {
    pub(crate) const ZERO: Span = Span(1);

    pub(crate) fn from_millis(ms: u64) -> Span {
        let ms = ms.min(u64::MAX >> 1);
        if ms.is_multiple_of(1_000) { Span((ms / 1_000) << 1 | 1) } else { Span(ms << 1) }
    }

    pub(crate) fn millis(self) -> u64 {
        if self.0 & 1 == 1 { (self.0 >> 1).saturating_mul(1_000) } else { self.0 >> 1 }
    }
}
