//! The bits of a stock counter's words, and what they mean. Pure.
//!
//! ```text
//! key's word, one cell   0 │ pending (15) │ available (48, signed)
//! key's word, split      1 │ block (31)   │ version (32)
//! cell of a block        version (32) │ frozen │ pending (7) │ units (24)
//! ```

/// Set in a key's word if its units are in a block.
const SPLIT: u64 = 1 << 63;
const VALUE_BITS: u32 = 48;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
/// The most that can be pending on one cell.
pub(crate) const PENDING_MAX: u32 = (1 << 15) - 1;

const UNITS_MASK: u64 = (1 << 24) - 1;
const FROZEN: u64 = 1 << 31;
/// The most units in one cell of a block.
pub(crate) const CELL_UNITS_MAX: i64 = UNITS_MASK as i64;
/// The most that can be pending on one cell of a block.
pub(crate) const CELL_PENDING_MAX: u32 = (1 << 7) - 1;

/// One cell that has every unit of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SingleCell {
    /// Below zero it is a shortfall.
    pub available: i64,
    /// Give-backs announced, and takes that may roll back.
    pub pending: u32,
}

impl SingleCell {
    pub(crate) fn word(self) -> u64 {
        u64::from(self.pending) << VALUE_BITS | (self.available as u64 & VALUE_MASK)
    }
}

/// One use of one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockUse {
    pub block: u32,
    /// Differs between the uses of a block, so that a thread that is late notices it.
    pub version: u32,
}

impl BlockUse {
    pub(crate) fn word(self) -> u64 {
        SPLIT | u64::from(self.block) << 32 | u64::from(self.version)
    }
}

/// Where a key's units are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    SingleCell(SingleCell),
    Split(BlockUse),
}

impl Shape {
    pub(crate) fn of(word: u64) -> Shape {
        if word & SPLIT != 0 {
            return Shape::Split(BlockUse { block: (word >> 32) as u32 & !(1 << 31), version: word as u32 });
        }
        Shape::SingleCell(SingleCell {
            available: ((word << (64 - VALUE_BITS)) as i64) >> (64 - VALUE_BITS),
            pending: (word >> VALUE_BITS) as u32,
        })
    }
}

/// One of a block's cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub version: u32,
    /// It will not change again in this use of its block.
    pub frozen: bool,
    pub pending: u32,
    pub units: i64,
}

impl Cell {
    pub(crate) fn of(word: u64) -> Cell {
        Cell {
            version: (word >> 32) as u32,
            frozen: word & FROZEN != 0,
            pending: (word >> 24) as u32 & CELL_PENDING_MAX,
            units: (word & UNITS_MASK) as i64,
        }
    }

    pub(crate) fn word(self) -> u64 {
        u64::from(self.version) << 32
            | if self.frozen { FROZEN } else { 0 }
            | u64::from(self.pending) << 24
            | (self.units as u64 & UNITS_MASK)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_they_were_made_of() {
        for (available, pending) in [(0, 0), (-1, 0), (-(1 << 47), 1), ((1 << 47) - 1, PENDING_MAX)] {
            let one = SingleCell { available, pending };
            assert_eq!(Shape::of(one.word()), Shape::SingleCell(one));
        }
        for (block, version) in [(0, 0), (7, u32::MAX), (u32::MAX >> 1, 1)] {
            let at = BlockUse { block, version };
            assert_eq!(Shape::of(at.word()), Shape::Split(at));
        }
        for (version, frozen, pending, units) in
            [(0, false, 0, 0), (u32::MAX, true, CELL_PENDING_MAX, CELL_UNITS_MAX), (9, true, 0, 1)]
        {
            let cell = Cell { version, frozen, pending, units };
            assert_eq!(Cell::of(cell.word()), cell);
        }
    }
}
