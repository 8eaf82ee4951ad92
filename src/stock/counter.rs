//! The counter of one stock key. Only this file and the two that it is built on, [`cells`] and
//! [`blocks`](super::blocks), have stock atomics.
//!
//! A key is one word. While it is cold or scarce, the word has every unit. When it is contended and
//! plentiful, the word names a [block](super::blocks) of cells over which the units are spread, and each
//! thread uses a cell of its own. [`shape`](super::shape) has the bits.
//!
//! # Ground rules
//!
//! 1. A take and the test for it are one compare-and-swap of one word (O1, O6): a sale never moves
//!    `available` below zero, and no taker holds part of what it wants (F13).
//! 2. A thread that will give units back is counted in `pending` *before* the hold that owns them ends, and
//!    uncounted in the same swap that returns them. A thread that has taken units and may roll back is
//!    counted likewise.
//! 3. Out-of-stock is decided on a one-cell shape, by one load: `available < q` and nothing pending (F3).
//!    While something is pending the answer is not known (F11): the caller spins a little, then says `Busy`.
//! 4. A negative value is a shortfall. Only a physical correction makes one; units that are given pay it
//!    first, and a key with a shortfall is never split. A correction is pending from its
//!    [beginning](Counter::begin_correction) to its end: meanwhile no other thread decides anything by an exact
//!    number, so the correction may count as made at any instant in between.
//! 5. Nothing else is derived from the counter and nothing else sets it (F1, F10, O12).
//! 6. **Gather**, many cells to one: freeze every cell by a bit; a frozen cell does not change again in this
//!    use of its block, so every helper gets the same sum; publish the sum by a swap of the key's word from
//!    this use of the block. One helper wins, no thread waits for another, and the winner puts the block
//!    back.
//! 7. **Split**, one cell to many: load a free block with the units of the word, and publish it by a swap of
//!    that same word.
//! 8. Each use of a block has a version, in the key's word and in every cell. A thread that is late, from a
//!    use that is over, finds another version and changes nothing, whatever key the block is used for now.
//! 9. What was pending before a split is counted in the block's first cell. What is announced after it is
//!    settled where it was announced, which its [`Pledge`] remembers.
//!
//! Races to survive: a sweeper that expires a hold against a refuser (if the units were in neither the hold
//! nor the counter for an instant, and not counted as pending, the refuser would answer sold out while stock
//! is coming back); two takers of the last units that are in two cells; a helper that wakes up when its block
//! belongs to another key.
//!
//! The version is 32 bits wide. To be fooled, a thread must sleep between a load and a swap while its block
//! is used 2^32 times more and its key is split over it again: at [64 lost races](super::blocks) a split,
//! that is a sleep of hours.
//!
//! Orderings: every successful swap is `AcqRel` and every deciding load `Acquire`. So a thread that sees
//! units also sees the log position drawn before they were given (the pair of rule "give back: position
//! first"), and a thread that sees a use of a block in the key's word sees the cells as they were loaded.

use super::blocks::Lane;
use super::cells::{self, CellChange};
use super::reply::IN_THE_WORD;
use super::shape::{BlockUse, CELL_PENDING_MAX, CELL_UNITS_MAX, Cell, PENDING_MAX, Shape, SingleCell};
use crate::fault::{Fault, planted};
use crate::stall::{self, Step};
use crate::sync::{AtomicU64, Ordering, spin_loop};

pub(crate) use super::reply::{Availability, PendingFull, Pledge, Reading, Short, Taken, Want};

/// How often a split tries to win its swap.
const SPLIT_TRIES: usize = 8;

/// One give-back or tentative take, as a word counts it.
fn one_pending() -> u32 {
    u32::from(!planted(Fault::ForgetPending))
}

/// The shape that a key had before it was gathered for an exact number.
#[derive(Clone, Copy, Default)]
struct BeforeGather {
    split: bool,
    prepared: bool,
}

impl BeforeGather {
    fn note(&mut self, lane: Lane<'_>, at: BlockUse) {
        (self.split, self.prepared) = (true, self.prepared || lane.blocks.is_prepared(at.block));
    }
}

/// A physical correction that was begun and not ended.
#[must_use = "while a correction is under way, nothing about its key can be known exactly"]
pub(crate) struct Correction {
    /// Units taken off; zero or less.
    goes: i64,
    /// Units that are announced.
    comes: i64,
    earlier: BeforeGather,
}

/// The units of one stock key that are on sale.
#[derive(Debug)]
pub(crate) struct Counter {
    word: AtomicU64,
}

impl Counter {
    pub(crate) fn new(available: i64) -> Self {
        Counter { word: AtomicU64::new(SingleCell { available, pending: 0 }.word()) }
    }

    fn shape(&self) -> Shape {
        // Acquire: pairs with the AcqRel of the swaps that give and that split; see the module header.
        Shape::of(self.word.load(Ordering::Acquire))
    }

    // ── reading ────────────────────────────────────────────────────────────────────────────────────────────

    /// About how many units are on sale. Never gathers, so the sum over cells is not that of one instant.
    pub(crate) fn approximate(&self, lane: Lane<'_>) -> i64 {
        loop {
            match self.shape() {
                Shape::SingleCell(one) => return one.available,
                Shape::Split(at) => {
                    let mut sum = 0;
                    let cells = lane.blocks.cells(at.block).iter();
                    let all_of_this_use =
                        cells.map(|cell| Cell::of(cell.load(Ordering::Relaxed))).all(|cell| {
                            sum += cell.units;
                            cell.version == at.version
                        });
                    if all_of_this_use {
                        return sum;
                    }
                    spin_loop(); // the key's word has changed, and is read again
                }
            }
        }
    }

    /// The units on sale at one instant. A split key is gathered for it and split again.
    pub(crate) fn exactly(&self, lane: Lane<'_>) -> Reading {
        self.gathered(lane).into()
    }

    fn gathered(&self, lane: Lane<'_>) -> SingleCell {
        let mut earlier = BeforeGather::default();
        loop {
            match self.shape() {
                Shape::SingleCell(one) => {
                    self.split_again(lane, earlier);
                    return one;
                }
                Shape::Split(at) => {
                    earlier.note(lane, at);
                    self.gather(lane, at);
                }
            }
        }
    }

    /// The units on sale at one instant, with a correction of this thread under way: `pending` says whether
    /// anything else is.
    pub(crate) fn exactly_beside(&self, lane: Lane<'_>, correction: &Correction) -> Reading {
        let one = self.gathered(lane);
        Reading { available: one.available + correction.comes, pending: one.pending > one_pending() }
    }

    /// The units on sale, if one word has all of them.
    pub(crate) fn exactly_if_single(&self) -> Option<Reading> {
        if let Shape::SingleCell(one) = self.shape() { Some(one.into()) } else { None }
    }

    /// Whether there seem to be `quantity` units. Cheap if there are; exact if there are not.
    #[inline]
    pub(crate) fn look(&self, lane: Lane<'_>, quantity: u32) -> Availability {
        match self.shape() {
            Shape::SingleCell(one) if one.available < quantity.into() => Availability::Short(one.into()),
            Shape::SingleCell(_) => Availability::Enough,
            Shape::Split(_) => self.look_at_cells(lane, quantity),
        }
    }

    fn look_at_cells(&self, lane: Lane<'_>, quantity: u32) -> Availability {
        loop {
            match self.shape() {
                Shape::SingleCell(one) if one.available < quantity.into() => {
                    return Availability::Short(one.into());
                }
                Shape::SingleCell(_) => return Availability::Enough,
                Shape::Split(at) => {
                    let own = Cell::of(lane.blocks.cell(at.block, lane.home).load(Ordering::Relaxed));
                    if own.units >= quantity.into() || self.approximate(lane) >= quantity.into() {
                        return Availability::Enough; // the take decides whether it is true
                    }
                    if planted(Fault::RefuseOnSplit) {
                        return Availability::Short(Reading {
                            available: own.units,
                            pending: own.pending > 0,
                        });
                    }
                    self.gather(lane, at);
                }
            }
        }
    }

    // ── taking ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes `most` units of `want`, or all there are if that is less, but not less than `least`.
    #[inline]
    pub(crate) fn take(&self, lane: Lane<'_>, want: Want) -> Result<Taken, Short> {
        self.take_and(lane, want, 0)
    }

    /// Takes `quantity` units, counted as pending because the taker may still roll back.
    pub(crate) fn take_tentatively(&self, lane: Lane<'_>, quantity: u32) -> Result<Pledge, Short> {
        self.take_and(lane, Want::all(quantity), one_pending()).map(|taken| taken.pledge)
    }

    fn take_and(&self, lane: Lane<'_>, want: Want, count: u32) -> Result<Taken, Short> {
        let mut misses = 0;
        loop {
            match self.shape() {
                Shape::SingleCell(one) => {
                    let there = one.available.min(want.most.into());
                    // While something is pending: the units that are missing may be on their way back.
                    if there < want.most.into() && one.pending != 0 || one.pending + count > PENDING_MAX {
                        return Err(Short::Unknown);
                    }
                    if there < want.least.into() {
                        return Err(Short::Out { available: one.available });
                    }
                    let left = one.available - there;
                    if self.swap(one, SingleCell { available: left, pending: one.pending + count }) {
                        if misses > 0 && lane.blocks.is_hot(lane, misses) {
                            self.split(lane);
                        }
                        return Ok(Taken { units: there as u32, left, exact: true, pledge: IN_THE_WORD });
                    }
                    misses += 1;
                }
                Shape::Split(at) => {
                    for cell in 0..lane.blocks.width() {
                        let cell = lane.home + cell;
                        match cells::take(lane, at, cell, want.most, count) {
                            CellChange::Done(left) => {
                                let pledge = Pledge { at: Some(at), cell };
                                return Ok(Taken { units: want.most, left, exact: false, pledge });
                            }
                            CellChange::Unable if planted(Fault::RefuseOnSplit) => {
                                return Err(Short::Out { available: 0 });
                            }
                            CellChange::Unable => {}
                            CellChange::Over => break,
                        }
                    }
                    self.gather(lane, at);
                }
            }
        }
    }

    // ── giving back ────────────────────────────────────────────────────────────────────────────────────────

    /// Announces a give-back, before the hold that owns the units ends. [`give`](Self::give) or
    /// [`clear_pending`](Self::clear_pending) ends the announcement.
    #[inline]
    pub(crate) fn announce(&self, lane: Lane<'_>) -> Result<Pledge, PendingFull> {
        loop {
            match self.shape() {
                Shape::SingleCell(one) if one.pending == PENDING_MAX => return Err(PendingFull),
                Shape::SingleCell(before) => {
                    if self.swap(before, SingleCell { pending: before.pending + one_pending(), ..before }) {
                        return Ok(IN_THE_WORD);
                    }
                }
                Shape::Split(at) => {
                    let cell = lane.home;
                    let announced = cells::change(lane, at, cell, |cell| {
                        (cell.pending < CELL_PENDING_MAX)
                            .then(|| Cell { pending: cell.pending + one_pending(), ..cell })
                    });
                    match announced {
                        CellChange::Done(_) => return Ok(Pledge { at: Some(at), cell }),
                        CellChange::Unable | CellChange::Over => self.gather(lane, at),
                    }
                }
            }
        }
    }

    /// Returns the units of an announced give-back, or rolls a tentative take back.
    #[inline]
    pub(crate) fn give(&self, lane: Lane<'_>, pledge: Pledge, quantity: u32) {
        self.give_units(lane, pledge, quantity.into());
    }

    #[inline]
    fn give_units(&self, lane: Lane<'_>, pledge: Pledge, given: i64) {
        loop {
            match self.shape() {
                Shape::SingleCell(before) => {
                    let pending = before.pending - one_pending();
                    if self.swap(before, SingleCell { available: before.available + given, pending }) {
                        return;
                    }
                }
                Shape::Split(at) => {
                    // What was pending before this split is counted in the first cell.
                    let cell = if pledge.at == Some(at) { pledge.cell } else { 0 };
                    let given = cells::change(lane, at, cell, |cell| {
                        let (units, pending) = (cell.units + given, cell.pending - one_pending());
                        (units <= CELL_UNITS_MAX).then_some(Cell { units, pending, ..cell })
                    });
                    match given {
                        CellChange::Done(_) => return,
                        CellChange::Unable | CellChange::Over => self.gather(lane, at),
                    }
                }
            }
        }
    }

    /// Withdraws an announced give-back, or settles a tentative take: the pending change ends and no unit
    /// moves.
    pub(crate) fn clear_pending(&self, lane: Lane<'_>, pledge: Pledge) {
        self.give(lane, pledge, 0);
    }

    // ── correcting ─────────────────────────────────────────────────────────────────────────────────────────

    /// Begins a correction by `delta` units. Those that go are taken off, even below zero; those that come are
    /// announced. [`end_correction`](Self::end_correction) makes it,
    /// [`undo_correction`](Self::undo_correction) takes it back.
    pub(crate) fn begin_correction(&self, lane: Lane<'_>, delta: i64) -> Result<Correction, PendingFull> {
        let (goes, comes) = (delta.min(0), delta.max(0));
        let mut earlier = BeforeGather::default();
        loop {
            match self.shape() {
                Shape::SingleCell(one) if one.pending == PENDING_MAX => return Err(PendingFull),
                Shape::SingleCell(before) => {
                    let (available, pending) = (before.available + goes, before.pending + one_pending());
                    if self.swap(before, SingleCell { available, pending }) {
                        return Ok(Correction { goes, comes, earlier });
                    }
                }
                Shape::Split(at) => {
                    earlier.note(lane, at);
                    self.gather(lane, at);
                }
            }
        }
    }

    /// Makes a correction: what comes is on sale from now on.
    pub(crate) fn end_correction(&self, lane: Lane<'_>, correction: Correction) {
        self.give_units(lane, IN_THE_WORD, correction.comes);
        self.split_again(lane, correction.earlier);
    }

    /// Takes a correction back: what went is on sale again.
    pub(crate) fn undo_correction(&self, lane: Lane<'_>, correction: Correction) {
        self.give_units(lane, IN_THE_WORD, -correction.goes);
        self.split_again(lane, correction.earlier);
    }

    /// Adds `delta` units at once, for a key that no call knows yet, and for tests.
    pub(crate) fn correct(&self, lane: Lane<'_>, delta: i64) {
        loop {
            match self.shape() {
                Shape::SingleCell(before) => {
                    if self.swap(before, SingleCell { available: before.available + delta, ..before }) {
                        return;
                    }
                }
                Shape::Split(at) => self.gather(lane, at),
            }
        }
    }

    // ── reshape ────────────────────────────────────────────────────────────────────────────────────────────

    /// Spreads the units over a block, if that is worth it; returns the block that the key is split over
    /// then.
    pub(crate) fn split(&self, lane: Lane<'_>) -> Option<u32> {
        for _ in 0..SPLIT_TRIES {
            let one = match self.shape() {
                Shape::SingleCell(one) if lane.blocks.worth_splitting(one) => one,
                Shape::SingleCell(_) => return None,
                Shape::Split(at) => return Some(at.block),
            };
            let at = lane.blocks.load(lane.key, one)?;
            stall::at(Step::Loaded);
            // AcqRel: publishes the loaded cells; pairs with the Acquire in `shape`.
            let swapped =
                self.word.compare_exchange(one.word(), at.word(), Ordering::AcqRel, Ordering::Relaxed);
            if swapped.is_ok() {
                return Some(at.block);
            }
            lane.blocks.put_back(at.block);
        }
        None
    }

    /// Splits a key again that was gathered only to be read or corrected, and marks it as prepared if it was.
    fn split_again(&self, lane: Lane<'_>, earlier: BeforeGather) {
        if earlier.split
            && let Some(block) = self.split(lane)
            && earlier.prepared
        {
            lane.blocks.mark_prepared(block);
        }
    }

    /// Gathers the key if it is split over `block`.
    pub(crate) fn gather_from(&self, lane: Lane<'_>, block: u32) {
        if let Shape::Split(at) = self.shape()
            && at.block == block
        {
            self.gather(lane, at);
        }
    }

    /// Moves all units of a use back into the key's word, or helps a thread that is doing so. Does nothing if
    /// the use is over.
    fn gather(&self, lane: Lane<'_>, at: BlockUse) {
        let Some(sum) = cells::freeze(lane, at) else { return };
        stall::at(Step::Summed);
        // AcqRel: one helper wins; it releases onwards what the last swaps of the cells released.
        let gathered = self.word.compare_exchange(at.word(), sum.word(), Ordering::AcqRel, Ordering::Relaxed);
        if gathered.is_ok() {
            stall::at(Step::Gathered);
            lane.blocks.put_back(at.block);
        }
    }

    /// Replaces the word if it still is `before`; whether it was.
    fn swap(&self, before: SingleCell, after: SingleCell) -> bool {
        let (before, after) = (before.word(), after.word());
        self.word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
