//! A fact: the meaning of a record, the same for a record of one stock key and for a cart.
//!
//! Readers of the log work with facts. The table in [`super::effect`] says what a fact of each kind does to
//! stock and to its hold, so no reader needs a branch for each kind.

use super::Op;
use super::kind::EntryKind;
use super::place::HoldPlace;
use super::span::Span;
use crate::clock::Timestamp;
use crate::hold::lines::Line;
use crate::index::KeyIndex;
use crate::log::lines::{self, LinePair};
use crate::log::record::effect::Required;
use crate::log::words::Words;
use crate::request::AdjustReason;
use crate::types::QUANTITY_MAX;

/// The meaning of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fact<'a> {
    pub kind: EntryKind,
    /// The time of the decision in milliseconds since the opening; `None` for kinds without one.
    pub at: Option<u64>,
    /// The hold that it names.
    pub place: Option<HoldPlace>,
    /// The stock keys that it names, and their quantities.
    pub subject: Subject<'a>,
    /// How long the hold lives from `at` on; 0 for kinds that give it no time.
    pub ttl: Span,
    /// The caller's reference; may be empty.
    pub reference: &'a [u8],
    pub op: Option<Op>,
    pub detail: Detail,
}

/// The stock keys that a fact names, with the first and the second quantity of each (see [`super::effect`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subject<'a> {
    /// No stock key.
    Nothing,
    /// One stock key with its quantities; a missing quantity is 0.
    One(LinePair),
    /// The stock keys of a cart: two lists of packed lines; the second may be empty.
    Cart { first: &'a [u8], second: &'a [u8] },
    /// A stock key that is declared.
    NewKey { key: KeyIndex, sku: &'a str, location: &'a str },
}

/// Content that only some kinds have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    Nothing,
    /// The number of words that a void takes.
    Words(u16),
    /// An opening; the times of the records behind it count from `at_unix_ms`.
    Opening {
        epoch: u32,
        at_unix_ms: u64,
    },
    /// A correction. If it is too large for the quantities, no operation wrote it.
    Correction {
        delta: i64,
        reason: AdjustReason,
    },
    /// Whether the stock key is on sale from now on, and from when on (Unix ms; 0 = at once).
    Gate {
        stopped: bool,
        opens_at_ms: u64,
    },
    /// The units of a refused reserve.
    Asked(u32),
}

impl<'a> Fact<'a> {
    /// A fact of this kind without any content.
    #[inline]
    pub(crate) const fn new(kind: EntryKind) -> Fact<'a> {
        Fact {
            kind,
            at: None,
            place: None,
            subject: Subject::Nothing,
            ttl: Span::ZERO,
            reference: &[],
            op: None,
            detail: Detail::Nothing,
        }
    }

    /// The words of the log that its record takes.
    #[inline]
    pub(crate) fn words(&self, encoded_bytes: usize) -> Words {
        match self.detail {
            Detail::Words(words) => Words(words.into()),
            _ => Words::of_record(encoded_bytes),
        }
    }

    /// The number and the time of the opening, if it is one.
    pub(crate) fn opening(&self) -> Option<(u32, Timestamp)> {
        match self.detail {
            Detail::Opening { epoch, at_unix_ms } => Some((epoch, Timestamp(at_unix_ms))),
            _ => None,
        }
    }

    /// When it was decided, in an opening at `opened_at`.
    #[inline]
    pub(crate) fn time(&self, opened_at: Timestamp) -> Option<Timestamp> {
        match self.at {
            Some(at) => Some(Timestamp(opened_at.0.saturating_add(at))),
            None => self.opening().map(|(_, at)| at),
        }
    }

    /// Its stock key, unless it is a fact of a cart.
    #[inline]
    pub(crate) fn stock_key(&self) -> Option<KeyIndex> {
        match self.subject {
            Subject::One(LinePair { target, .. }) => target.good(),
            Subject::NewKey { key, .. } => Some(key),
            Subject::Nothing | Subject::Cart { .. } => None,
        }
    }

    /// The lines of the two quantities.
    pub(crate) fn lines(&self) -> (FactLines<'a>, FactLines<'a>) {
        let one = |target, units: u32| (units > 0).then_some(Line { target, units });
        let (alone, packed) = match self.subject {
            Subject::One(LinePair { target, first, second }) => {
                ((one(target, first), one(target, second)), (&[][..], &[][..]))
            }
            Subject::Cart { first, second } => ((None, None), (first, second)),
            Subject::Nothing | Subject::NewKey { .. } => ((None, None), (&[][..], &[][..])),
        };
        let lines = |one: Option<Line>, packed| one.into_iter().chain(lines::iter(packed));
        (lines(alone.0, packed.0), lines(alone.1, packed.1))
    }

    /// The units of the two quantities, over all stock keys.
    pub(crate) fn units(&self) -> (u32, u32) {
        let sum = |packed| lines::iter(packed).fold(0, |sum: u32, line| sum.saturating_add(line.units));
        match self.subject {
            Subject::One(LinePair { first, second, .. }) => (first, second),
            Subject::Cart { first, second } => (sum(first), sum(second)),
            Subject::Nothing | Subject::NewKey { .. } => (0, 0),
        }
    }

    /// Calls `visit` for each target, once and in ascending order.
    #[inline]
    pub(crate) fn visit<E>(&self, mut visit: impl FnMut(LinePair) -> Result<(), E>) -> Result<(), E> {
        match self.subject {
            Subject::One(pair) => visit(pair),
            Subject::Cart { first, second } => {
                lines::join_lines(lines::iter(first), lines::iter(second)).try_for_each(visit)
            }
            Subject::Nothing | Subject::NewKey { .. } => Ok(()),
        }
    }

    /// Whether an operation of its kind can move these quantities.
    #[inline]
    pub(crate) fn is_sane(&self) -> bool {
        let required = self.kind.effect().required;
        match self.subject {
            Subject::One(LinePair { first, second, .. }) => match required {
                Required::Nothing => true,
                Required::First => is_quantity(first),
                Required::FirstMaybeSecond => is_quantity(first) && second <= QUANTITY_MAX,
                Required::Both => is_quantity(first) && is_quantity(second),
                Required::Either => match self.detail {
                    Detail::Correction { delta, .. } => {
                        delta != 0 && delta.unsigned_abs() <= QUANTITY_MAX.into()
                    }
                    _ => false,
                },
            },
            Subject::Cart { first, second } => {
                let count = |packed: &[u8]| lines::check(packed).map(|lines| lines.count);
                let (some, any) = (count(first).is_some_and(|count| count > 0), count(second));
                match required {
                    Required::Nothing => true,
                    Required::First => some && any == Some(0),
                    Required::FirstMaybeSecond => some && any.is_some(),
                    Required::Both => some && any.is_some_and(|count| count > 0),
                    Required::Either => false,
                }
            }
            Subject::Nothing | Subject::NewKey { .. } => required == Required::Nothing,
        }
    }
}

#[inline]
fn is_quantity(units: u32) -> bool {
    (1..=QUANTITY_MAX).contains(&units)
}

/// The lines of a fact: a single one, or packed ones.
pub(crate) type FactLines<'a> = std::iter::Chain<std::option::IntoIter<Line>, lines::Iter<'a>>;
