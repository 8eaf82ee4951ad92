//! The lines of a hold: one line, or the lines of a cart.

use crate::index::{KeyIndex, Target};

/// Units of one target: of a stock key, as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub target: Target,
    pub units: u32,
}

impl Line {
    /// The line as one of a good; `None` for a limit's.
    #[inline]
    pub(crate) fn good(self) -> Option<Good> {
        Some(Good { key: self.target.good()?, units: self.units })
    }
}

/// Units of one stock key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Good {
    pub key: KeyIndex,
    pub units: u32,
}

impl From<Good> for Line {
    #[inline]
    fn from(good: Good) -> Line {
        Line { target: good.key.into(), units: good.units }
    }
}

/// The lines of a hold, in the order of their targets, each target once. One line needs no memory of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lines {
    None,
    One([Line; 1]),
    Many(Box<[Line]>),
}

impl Lines {
    pub(crate) const fn one(target: Target, units: u32) -> Lines {
        Lines::One([Line { target, units }])
    }

    /// The lines of a cart, which are in the order of their targets.
    pub(crate) fn many(lines: Vec<Line>) -> Lines {
        match lines[..] {
            [] => Lines::None,
            [one] => Lines::One([one]),
            _ => Lines::Many(lines.into()),
        }
    }

    /// The units of one target.
    pub(crate) fn of(&self, target: Target) -> u32 {
        self.binary_search_by_key(&target, |line| line.target).map_or(0, |index| self[index].units)
    }

    /// The lines of goods. Lines of limits come behind them.
    pub(crate) fn goods(&self) -> &[Line] {
        match self {
            Lines::None => &[],
            Lines::One(one) => one, // the only line of a hold is a good
            Lines::Many(many) => {
                let limits = many.iter().rev().take_while(|line| line.target.good().is_none()).count();
                &many[..many.len() - limits]
            }
        }
    }

    /// The units of the hold: those of its goods together.
    pub(crate) fn units(&self) -> u32 {
        self.goods().iter().fold(0, |sum, line| sum.saturating_add(line.units))
    }
}

/// The lines must come in the order of their targets.
impl FromIterator<Line> for Lines {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Lines {
        let mut lines = lines.into_iter();
        match (lines.next(), lines.next()) {
            (None, _) => Lines::None,
            (Some(one), None) => Lines::One([one]),
            (first, second) => Lines::Many(first.into_iter().chain(second).chain(lines).collect()),
        }
    }
}

impl std::ops::Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Lines::None => &[],
            Lines::One(one) => one,
            Lines::Many(many) => many,
        }
    }
}
