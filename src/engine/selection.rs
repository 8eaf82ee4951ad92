//! The part of a hold that a request names.

use super::core::Core;
use super::validate::quantity;
use crate::error::SharedError;
use crate::hold::lines::{Line, Lines};
use crate::log::lines::join_lines;
use crate::request::CartLine;
use crate::types::StockKey;

/// The part of a hold that a request names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    All,
    Quantity(u32),
    Lines(&'a [CartLine]),
}

/// Why the hold has no such part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NoSelection {
    TooMany { asked: u32, held: u32 },
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
    /// The selection of a request, if any hold could have it.
    pub(crate) fn select<'a>(
        &self,
        units: Option<u32>,
        lines: Option<&'a [CartLine]>,
    ) -> Result<Selection<'a>, SharedError> {
        Ok(match (lines, units) {
            (Some(lines), _) => self.lines(lines).map(|_| Selection::Lines(lines))?,
            (None, Some(units)) => Selection::Quantity(quantity(units)?),
            (None, None) => Selection::All,
        })
    }

    /// The lines of `held` that are selected.
    pub(crate) fn selected(&self, held: &Lines, selection: Selection<'_>) -> Result<Lines, NoSelection> {
        match selection {
            Selection::All => Ok(held.clone()),
            Selection::Quantity(asked) => {
                let units = held.units();
                match held.goods()[..] {
                    _ if asked > units => Err(NoSelection::TooMany { asked, held: units }),
                    _ if asked == units => Ok(held.clone()),
                    [Line { target, .. }] => Ok(Lines::one(target, asked)),
                    _ => Err(NoSelection::NameLines { lines: held.goods().len() }),
                }
            }
            Selection::Lines(named) => {
                let named = self.lines(named)?;
                for both in join_lines(held.iter().copied(), named.iter().copied()) {
                    if both.first == 0 {
                        return Err(NoSelection::NotHeld(
                            self.stock_key(both.target.good().unwrap_or_default()),
                        ));
                    }
                    if both.second > both.first {
                        return Err(NoSelection::TooMany { asked: both.second, held: both.first });
                    }
                }
                Ok(named)
            }
        }
    }

    /// Lines as callers name them.
    pub(crate) fn cart_lines(&self, lines: &[Line]) -> Vec<CartLine> {
        let goods = lines.iter().filter_map(|line| line.good());
        goods.map(|good| CartLine { key: self.stock_key(good.key), quantity: good.units }).collect()
    }
}

/// What is left of `held` without `part` of it.
pub(crate) fn rest(held: &Lines, part: &Lines) -> Lines {
    if let ([held], [part]) = (&held[..], &part[..]) {
        return match held.units - part.units {
            0 => Lines::None,
            units => Lines::one(held.target, units),
        };
    }
    join_lines(held.iter().copied(), part.iter().copied())
        .map(|both| Line { target: both.target, units: both.first - both.second })
        .filter(|line| line.units > 0)
        .collect()
}
