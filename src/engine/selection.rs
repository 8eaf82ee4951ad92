//! Which of a hold's lines a caller names.

use super::core::Core;
use super::reserve::quantity;
use crate::error::{QuantityError, SharedError};
use crate::fault::{Fault, planted};
use crate::hold::lines::{Line, Lines};
use crate::log::lines::join_lines;
use crate::request::CartLine;
use crate::types::{LINES_MAX, QUANTITY_MAX, StockKey};

/// What a caller names of a hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    FullState,
    Quantity(u32),
    Lines(&'a [CartLine]),
}

/// Why the hold has no such part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NoSelection {
    TooMany { asked: u32, there: u32 },
    NotHeld(StockKey),
    NameLines { lines: usize },
    WholeOnly { held: u32 },
    TooOften,
    Shared(SharedError),
}

impl<C: Into<SharedError>> From<C> for NoSelection {
    fn from(cause: C) -> Self {
        NoSelection::Shared(cause.into())
    }
}

impl Core {
    /// Lines in the order of their keys, those on one key added up.
    pub(crate) fn lines(&self, named: &[CartLine]) -> Result<Lines, SharedError> {
        if named.is_empty() || named.len() > LINES_MAX {
            return Err(SharedError::CartLines(named.len()));
        }
        let mut lines = Vec::with_capacity(named.len());
        for line in named {
            self.item(line.key)?;
            lines.push(Line { key: line.key.index, units: quantity(line.quantity)? });
        }
        let sum: i64 = lines.iter().map(|line: &Line| i64::from(line.units)).sum();
        if sum > QUANTITY_MAX.into() {
            return Err(QuantityError(sum).into());
        }
        lines.sort_unstable_by_key(|line| line.key);
        lines.dedup_by(|line, first| {
            let same = line.key == first.key;
            if same {
                first.units = if planted(Fault::LinesApart) {
                    first.units.max(line.units)
                } else {
                    first.units + line.units
                };
            }
            same
        });
        Ok(Lines::many(lines))
    }

    /// What a request names, if a hold can have it.
    pub(crate) fn named<'a>(
        &self,
        units: Option<u32>,
        lines: Option<&'a [CartLine]>,
    ) -> Result<Selection<'a>, SharedError> {
        Ok(match (lines, units) {
            (Some(lines), _) => self.lines(lines).map(|_| Selection::Lines(lines))?,
            (None, Some(units)) => Selection::Quantity(quantity(units)?),
            (None, None) => Selection::FullState,
        })
    }

    /// The part of `held` that is named.
    pub(crate) fn part(&self, held: &Lines, named: Selection<'_>) -> Result<Lines, NoSelection> {
        match named {
            Selection::FullState => Ok(held.clone()),
            Selection::Quantity(asked) => {
                let there = held.units();
                match held[..] {
                    _ if asked > there => Err(NoSelection::TooMany { asked, there }),
                    _ if asked == there => Ok(held.clone()),
                    [Line { key, .. }] => Ok(Lines::one(key, asked)),
                    _ => Err(NoSelection::NameLines { lines: held.len() }),
                }
            }
            Selection::Lines(named) => {
                let named = self.lines(named)?;
                for both in join_lines(held.iter().copied(), named.iter().copied()) {
                    if both.first == 0 {
                        return Err(NoSelection::NotHeld(self.stock_key(both.key)));
                    }
                    if both.second > both.first {
                        return Err(NoSelection::TooMany { asked: both.second, there: both.first });
                    }
                }
                Ok(named)
            }
        }
    }

    pub(crate) fn stock_key(&self, index: u32) -> StockKey {
        StockKey { index, tag: self.answers.tag }
    }

    /// Lines as callers name them.
    pub(crate) fn cart_lines(&self, lines: &[Line]) -> Vec<CartLine> {
        lines.iter().map(|line| CartLine { key: self.stock_key(line.key), quantity: line.units }).collect()
    }
}

/// What is left of `held` without `part` of it.
pub(crate) fn rest(held: &Lines, part: &Lines) -> Lines {
    if let ([held], [part]) = (&held[..], &part[..]) {
        return match held.units - part.units {
            0 => Lines::None,
            units => Lines::one(held.key, units),
        };
    }
    join_lines(held.iter().copied(), part.iter().copied())
        .map(|both| Line { key: both.key, units: both.first - both.second })
        .filter(|line| line.units > 0)
        .collect()
}
