//! The cells of one use of a block: how one of them is changed, and how all of them are frozen.

use super::blocks::Lane;
use super::shape::{BlockUse, CELL_PENDING_MAX, Cell, SingleCell};
use crate::fault::{Fault, planted};
use crate::stall::{self, Step};
use crate::sync::{Ordering, spin_loop};

/// The result of an attempt to change one cell.
pub(super) enum CellChange<T> {
    Done(T),
    /// This cell cannot be changed so; another may.
    Unable,
    /// The block is being gathered, or its use is over.
    Over,
}

/// Takes `quantity` from one cell if it has them; returns what the cell has left.
#[inline]
pub(super) fn take(lane: Lane<'_>, at: BlockUse, cell: usize, quantity: u32, count: u32) -> CellChange<i64> {
    let taken = change(lane, at, cell, |cell| {
        let (units, pending) = (cell.units - i64::from(quantity), cell.pending + count);
        (units >= 0 && pending <= CELL_PENDING_MAX).then_some(Cell { units, pending, ..cell })
    });
    match taken {
        CellChange::Done(cell) => CellChange::Done(cell.units),
        CellChange::Unable => CellChange::Unable,
        CellChange::Over => CellChange::Over,
    }
}

/// Changes one cell of a use to what `next` returns, unless that is `None`.
#[inline]
pub(super) fn change(
    lane: Lane<'_>,
    at: BlockUse,
    cell: usize,
    next: impl Fn(Cell) -> Option<Cell>,
) -> CellChange<Cell> {
    let cell = lane.blocks.cell(at.block, cell);
    let mut word = cell.load(Ordering::Acquire);
    loop {
        let now = Cell::of(word);
        if now.version != at.version || now.frozen {
            return CellChange::Over;
        }
        let Some(next) = next(now) else { return CellChange::Unable };
        match cell.compare_exchange(word, next.word(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return CellChange::Done(next),
            Err(now) => word = now,
        }
    }
}

/// Freezes every cell of a use and adds them up; `None` if the use is over.
pub(super) fn freeze(lane: Lane<'_>, at: BlockUse) -> Option<SingleCell> {
    let mut sum = SingleCell { available: 0, pending: 0 };
    for index in 0..lane.blocks.width() {
        let cell = lane.blocks.cell(at.block, index);
        let mut word = cell.load(Ordering::Acquire);
        let frozen = loop {
            let now = Cell::of(word);
            if now.version != at.version {
                spin_loop(); // the key's word has changed, and the caller will read it again
                return None;
            }
            let frozen = Cell { frozen: true, ..now };
            if now.frozen || planted(Fault::SkipFreeze) {
                break now;
            }
            // AcqRel: pairs with every take and give of this cell; none comes after it.
            match cell.compare_exchange(word, frozen.word(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break frozen,
                Err(now) => word = now,
            }
        };
        sum.available += frozen.units;
        sum.pending += frozen.pending;
        stall::at(Step::Frozen);
    }
    Some(sum)
}
