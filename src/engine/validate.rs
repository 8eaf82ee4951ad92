//! Checks of input: everything that can be refused without reading stock or a hold.

use std::time::Duration;

use super::core::Core;
use crate::error::{HoldError, QuantityError, ReplaceError, ReserveError, SharedError};
use crate::fault::{Fault, planted};
use crate::hold::lines::{Line, Lines};
use crate::request::CartLine;
use crate::types::{LINES_MAX, QUANTITY_MAX, REFERENCE_BYTES_MAX};

/// A TTL outside the bounds of the configuration. Each operation has an error of its own for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TtlError {
    asked: Duration,
    min: Duration,
    max: Duration,
}

macro_rules! ttl_error_into {
    ($($error:ident),*) => {
        $(impl From<TtlError> for $error {
            fn from(TtlError { asked, min, max }: TtlError) -> Self {
                $error::Ttl { asked, min, max }
            }
        })*
    };
}

ttl_error_into!(ReserveError, HoldError, ReplaceError);

/// A number of units, 1 to [`QUANTITY_MAX`].
pub(crate) fn quantity(asked: u32) -> Result<u32, QuantityError> {
    if (1..=QUANTITY_MAX).contains(&asked) { Ok(asked) } else { Err(QuantityError(asked.into())) }
}

/// The fewest units that will do, 1 to the quantity.
pub(crate) fn at_least(at_least: u32, quantity: u32) -> Result<u32, ReserveError> {
    if at_least == 0 || at_least > quantity {
        return Err(ReserveError::AtLeast { at_least, quantity });
    }
    Ok(at_least)
}

/// A correction of what is on hand: not zero, at most [`QUANTITY_MAX`] either way.
pub(crate) fn delta(asked: i64) -> Result<i64, QuantityError> {
    if asked == 0 || asked.unsigned_abs() > QUANTITY_MAX.into() {
        Err(QuantityError(asked))
    } else {
        Ok(asked)
    }
}

pub(crate) fn reference(bytes: &[u8]) -> Result<&[u8], SharedError> {
    if bytes.len() <= REFERENCE_BYTES_MAX {
        Ok(bytes)
    } else {
        Err(SharedError::ReferenceTooLong(bytes.len()))
    }
}

impl Core {
    #[inline]
    pub(crate) fn ttl(&self, asked: Duration) -> Result<Duration, TtlError> {
        let (min, max) = (self.config.ttl_min, self.config.ttl_max);
        if asked < min || asked > max { Err(TtlError { asked, min, max }) } else { Ok(asked) }
    }

    /// The TTL of a new hold.
    #[inline]
    pub(crate) fn ttl_or_default(&self, asked: Option<Duration>) -> Result<Duration, TtlError> {
        self.ttl(asked.unwrap_or(self.config.ttl_default))
    }

    /// Lines in the order of their keys, with the quantities on one key added up.
    pub(crate) fn lines(&self, named: &[CartLine]) -> Result<Lines, SharedError> {
        if named.is_empty() || named.len() > LINES_MAX {
            return Err(SharedError::CartLines(named.len()));
        }
        let mut lines = Vec::with_capacity(named.len());
        for line in named {
            self.item(line.key)?;
            lines.push(Line { target: line.key.index.into(), units: quantity(line.quantity)? });
        }
        let sum: i64 = lines.iter().map(|line: &Line| i64::from(line.units)).sum();
        if sum > QUANTITY_MAX.into() {
            return Err(QuantityError(sum).into());
        }
        lines.sort_unstable_by_key(|line| line.target);
        lines.dedup_by(|line, first| {
            let same = line.target == first.target;
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
}
