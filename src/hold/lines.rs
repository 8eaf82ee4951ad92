//! The lines of a hold: one line, or the lines of a cart.

/// Units of one stock key, by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub key: u32,
    pub units: u32,
}

/// The lines of a hold, in the order of their keys, each key once. One line needs no memory of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lines {
    None,
    One([Line; 1]),
    Many(Box<[Line]>),
}

impl Lines {
    pub(crate) const fn one(key: u32, units: u32) -> Lines {
        Lines::One([Line { key, units }])
    }

    /// The lines of a cart, which are in the order of their keys.
    pub(crate) fn many(lines: Vec<Line>) -> Lines {
        match lines[..] {
            [] => Lines::None,
            [one] => Lines::One([one]),
            _ => Lines::Many(lines.into()),
        }
    }

    /// The units of one key.
    pub(crate) fn of(&self, key: u32) -> u32 {
        self.binary_search_by_key(&key, |line| line.key).map_or(0, |index| self[index].units)
    }

    /// The units of all lines together.
    pub(crate) fn units(&self) -> u32 {
        self.iter().fold(0, |sum, line| sum.saturating_add(line.units))
    }
}

/// The lines must come in the order of their keys.
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
