//! The counter of one stock key: with `blocks`, the only file with stock atomics.
//!
//! A key is one word. While it is cold or scarce, the word has every unit; contended and plentiful, it names a
//! [block](super::blocks) of cells over which the units are spread, each thread using its own. [`shape`](super::shape)
//! has the bits.
//!
//! # Ground rules
//!
//! 1. A take and the test for it are one compare-and-swap of one word (O1, O6): `available` never passes below zero by a
//!    sale, and no taker holds part of what it wants (F13).
//! 2. Whoever will give units back is counted in `pending` *before* the hold that owns them dies, and uncounted
//!    in the same swap that returns them. Whoever has taken units and may roll back is counted likewise.
//! 3. Out-of-stock is decided on a one-cell shape, by one load: `available < q` and nothing pending (F3). With something
//!    pending the answer is not known (F11): the caller spins a little, then says `Busy`.
//! 4. A negative value is a shortfall, made by a physical correction alone; what is given pays it first, and a key in
//!    debt is never split.
//! 5. Nothing else is derived from the counter and nothing else sets it (F1, F10, O12).
//! 6. **Gather**, many cells to one: freeze every cell by a bit; a frozen cell does not change again in this use of its
//!    block, so everybody who helps adds up the same; publish the sum by a swap of the key's word from this use of the
//!    block. One helper wins, nobody waits for anybody, and the winner puts the block back.
//! 7. **Split**, one cell to many: load a free block with what the word says, publish it by a swap of that very word.
//! 8. Each use of a block has a version, in the key's word and in every cell. Who comes late, from a use that is over,
//!    finds another version and changes nothing, whatever key the block is used for now.
//! 9. What was pending before a split is in the block's first cell; what is announced after it is settled where it was
//!    announced, which its [`Pledge`] remembers.
//!
//! Races to survive: a sweeper that expires a hold against a refuser (were the units in neither the hold nor the counter
//! for an instant, and nobody said so, the refuser would answer sold out while stock is coming back); two takers of the
//! last units that lie in two cells; a helper that wakes up when its block is another key's.
//!
//! The version is 32 bits wide. To be fooled, a thread must sleep between a load and a swap while its block is used
//! 2^32 times more and its key is split over it again: at [64 lost races](super::blocks) a split, hours of sleep to the use.
//!
//! Orderings: every successful swap is `AcqRel` and every deciding load `Acquire`, so that who sees units
//! also sees the log position drawn before they were given (the pair of rule "give back: position first"), and who sees a
//! block's use in the key's word sees the cells as they were loaded.

use super::blocks::Lane;
use super::shape::{BlockUse, CELL_PENDING_MAX, CELL_UNITS_MAX, Cell, PENDING_MAX, Shape, SingleCell};
use crate::fault::{Fault, planted};
use crate::stall::{self, Step};
use crate::sync::{AtomicU64, Ordering, spin_loop};

/// Times that a split tries to win its swap.
const SPLIT_TRIES: usize = 8;

/// One give-back or tentative take, as words count it.
fn one() -> u32 {
    u32::from(!planted(Fault::ForgetPending))
}

/// What is on sale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Units on sale; below zero it is a shortfall.
    pub available: i64,
    /// Somebody is about to give units back, or may.
    pub pending: bool,
}

impl From<SingleCell> for Reading {
    fn from(one: SingleCell) -> Self {
        Reading { available: one.available, pending: one.pending != 0 }
    }
}

/// A look before a take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Availability {
    /// There seems to be enough.
    Enough,
    /// There is not, says one load of the one word that has every unit.
    Short(Reading),
}

/// How many units a take wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Want {
    pub least: u32,
    pub most: u32,
}

impl Want {
    pub(crate) fn all(quantity: u32) -> Want {
        Want { least: quantity, most: quantity }
    }
}

/// A take that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub units: u32,
    /// Units left where they were taken from.
    pub left: i64,
    /// Those are all that is left.
    pub exact: bool,
    /// To settle a tentative take.
    pub pledge: Pledge,
}

/// A take that did not happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Short {
    /// Fewer units than asked for, and none on their way.
    Out { available: i64 },
    /// Fewer units than asked for, others may come: cannot be known now.
    Unknown,
}

/// Where something pending is counted: an announced give-back, or a tentative take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "what is pending and never settled keeps everybody from being refused"]
pub(crate) struct Pledge {
    /// The use of a block that it was counted in; `None` = in the key's word.
    at: Option<BlockUse>,
    cell: usize,
}

const IN_THE_WORD: Pledge = Pledge { at: None, cell: 0 };

/// Too many give-backs at once to count; the caller answers `Busy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PendingFull;

/// What came of an attempt on one cell.
enum Tried<T> {
    Done(T),
    /// This cell cannot; another may.
    Unable,
    /// The block is being gathered, or its use is over.
    Over,
}

/// How a key was that is gathered for an exact number.
#[derive(Clone, Copy, Default)]
struct WasSplit {
    split: bool,
    prepared: bool,
}

impl WasSplit {
    fn seen(&mut self, lane: Lane<'_>, at: BlockUse) {
        (self.split, self.prepared) = (true, self.prepared || lane.blocks.is_kept(at.block));
    }
}

#[derive(Debug)]
pub(crate) struct Counter {
    word: AtomicU64,
}

impl Counter {
    pub(crate) fn new(available: i64) -> Self {
        Counter { word: AtomicU64::new(SingleCell { available, pending: 0 }.word()) }
    }

    fn shape(&self) -> Shape {
        // Acquire: pairs with the AcqRel of whoever gave, and of whoever split; see the module header.
        Shape::of(self.word.load(Ordering::Acquire))
    }

    // ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Roughly what is on sale. Never gathers: the sum over cells is of no one instant.
    pub(crate) fn approximate(&self, lane: Lane<'_>) -> i64 {
        loop {
            match self.shape() {
                Shape::SingleCell(one) => return one.available,
                Shape::Split(at) => {
                    let mut sum = 0;
                    let cells = lane.blocks.cells(at.block).iter();
                    let whole = cells.map(|cell| Cell::of(cell.load(Ordering::Relaxed))).all(|cell| {
                        sum += cell.units;
                        cell.version == at.version
                    });
                    if whole {
                        return sum;
                    }
                    spin_loop(); // the word has moved on, and will be seen to
                }
            }
        }
    }

    /// Exactly what is on sale, at one instant. A split key is gathered for it and split again.
    pub(crate) fn exactly(&self, lane: Lane<'_>) -> Reading {
        let mut was = WasSplit::default();
        loop {
            match self.shape() {
                Shape::SingleCell(one) => {
                    self.split_again(lane, was);
                    return one.into();
                }
                Shape::Split(at) => {
                    was.seen(lane, at);
                    self.gather(lane, at);
                }
            }
        }
    }

    /// Whether `quantity` seem to be there. Cheap if they are; if not, exact.
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
                        return Availability::Enough; // the take decides
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

    // ── taking ───────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes what is wanted if it is there: `most`, or if there is less, all there is but not less than `least`.
    #[inline]
    pub(crate) fn take(&self, lane: Lane<'_>, want: Want) -> Result<Taken, Short> {
        self.take_and(lane, want, 0)
    }

    /// Takes `quantity`, counted as pending: the taker may yet roll back.
    pub(crate) fn take_tentatively(&self, lane: Lane<'_>, quantity: u32) -> Result<Pledge, Short> {
        self.take_and(lane, Want::all(quantity), one()).map(|taken| taken.pledge)
    }

    fn take_and(&self, lane: Lane<'_>, want: Want, count: u32) -> Result<Taken, Short> {
        let mut misses = 0;
        loop {
            match self.shape() {
                Shape::SingleCell(one) => {
                    let there = one.available.min(want.most.into());
                    // With something pending: what is on its way back may be what is missing.
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
                        match take_cell(lane, at, cell, want.most, count) {
                            Tried::Done(left) => {
                                let pledge = Pledge { at: Some(at), cell };
                                return Ok(Taken { units: want.most, left, exact: false, pledge });
                            }
                            Tried::Unable if planted(Fault::RefuseOnSplit) => {
                                return Err(Short::Out { available: 0 });
                            }
                            Tried::Unable => {}
                            Tried::Over => break,
                        }
                    }
                    self.gather(lane, at);
                }
            }
        }
    }

    // ── giving back ──────────────────────────────────────────────────────────────────────────────────────────

    /// Announces a give-back, before the hold that owns the units dies. Ends in [`give`](Self::give) or
    /// [`forgo`](Self::forgo).
    #[inline]
    pub(crate) fn announce(&self, lane: Lane<'_>) -> Result<Pledge, PendingFull> {
        loop {
            match self.shape() {
                Shape::SingleCell(one) if one.pending == PENDING_MAX => return Err(PendingFull),
                Shape::SingleCell(before) => {
                    if self.swap(before, SingleCell { pending: before.pending + one(), ..before }) {
                        return Ok(IN_THE_WORD);
                    }
                }
                Shape::Split(at) => {
                    let cell = lane.home;
                    let announced = change_cell(lane, at, cell, |cell| {
                        (cell.pending < CELL_PENDING_MAX)
                            .then(|| Cell { pending: cell.pending + one(), ..cell })
                    });
                    match announced {
                        Tried::Done(_) => return Ok(Pledge { at: Some(at), cell }),
                        Tried::Unable | Tried::Over => self.gather(lane, at),
                    }
                }
            }
        }
    }

    /// Returns the units of an announced give-back, or rolls a tentative take back.
    #[inline]
    pub(crate) fn give(&self, lane: Lane<'_>, pledge: Pledge, quantity: u32) {
        let given = i64::from(quantity);
        loop {
            match self.shape() {
                Shape::SingleCell(before) => {
                    let pending = before.pending - one();
                    if self.swap(before, SingleCell { available: before.available + given, pending }) {
                        return;
                    }
                }
                Shape::Split(at) => {
                    // What was pending before this split is in the first cell.
                    let cell = if pledge.at == Some(at) { pledge.cell } else { 0 };
                    let given = change_cell(lane, at, cell, |cell| {
                        let (units, pending) = (cell.units + given, cell.pending - one());
                        (units <= CELL_UNITS_MAX).then_some(Cell { units, pending, ..cell })
                    });
                    match given {
                        Tried::Done(_) => return,
                        Tried::Unable | Tried::Over => self.gather(lane, at),
                    }
                }
            }
        }
    }

    /// Ends an announced give-back with nothing to give, or settles a tentative take.
    pub(crate) fn forgo(&self, lane: Lane<'_>, pledge: Pledge) {
        self.give(lane, pledge, 0);
    }

    /// Adds physical units, or takes them off, even below zero; says what is available then.
    pub(crate) fn correct(&self, lane: Lane<'_>, delta: i64) -> i64 {
        let mut was = WasSplit::default();
        loop {
            match self.shape() {
                Shape::SingleCell(before) => {
                    let available = before.available + delta;
                    if self.swap(before, SingleCell { available, ..before }) {
                        self.split_again(lane, was);
                        return available;
                    }
                }
                Shape::Split(at) => {
                    was.seen(lane, at);
                    self.gather(lane, at);
                }
            }
        }
    }

    // ── reshape ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Spreads the units over a block, if that is worth it; the block it is split over then.
    pub(crate) fn split(&self, lane: Lane<'_>) -> Option<u32> {
        for _ in 0..SPLIT_TRIES {
            let one = match self.shape() {
                Shape::SingleCell(one) if lane.blocks.worth_splitting(one) => one,
                Shape::SingleCell(_) => return None,
                Shape::Split(at) => return Some(at.block),
            };
            let at = lane.blocks.load(lane.key, one)?;
            stall::at(Step::Loaded);
            // AcqRel: publishes the cells as they were loaded.
            let swapped =
                self.word.compare_exchange(one.word(), at.word(), Ordering::AcqRel, Ordering::Relaxed);
            if swapped.is_ok() {
                return Some(at.block);
            }
            lane.blocks.put_back(at.block);
        }
        None
    }

    /// After a gather that nobody ran short for: the key is as it was, also in having been prepared.
    fn split_again(&self, lane: Lane<'_>, was: WasSplit) {
        if was.split
            && let Some(block) = self.split(lane)
            && was.prepared
        {
            lane.blocks.keep(block);
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

    /// Brings all units of a use back into the key's word, or helps whoever is at it, or does nothing if it is over.
    fn gather(&self, lane: Lane<'_>, at: BlockUse) {
        let mut sum = SingleCell { available: 0, pending: 0 };
        for index in 0..lane.blocks.width() {
            let cell = lane.blocks.cell(at.block, index);
            let mut word = cell.load(Ordering::Acquire);
            let frozen = loop {
                let now = Cell::of(word);
                if now.version != at.version {
                    spin_loop(); // the word has moved on, and will be seen to
                    return;
                }
                let frozen = Cell { frozen: true, ..now };
                if now.frozen || planted(Fault::SkipFreeze) {
                    break now;
                }
                // AcqRel: pairs with every take and give of this cell; after it there are none.
                match cell.compare_exchange(word, frozen.word(), Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => break frozen,
                    Err(now) => word = now,
                }
            };
            sum.available += frozen.units;
            sum.pending += frozen.pending;
            stall::at(Step::Frozen);
        }
        stall::at(Step::Summed);
        // AcqRel: one helper wins; what the cells' last swaps released is released onwards.
        let gathered = self.word.compare_exchange(at.word(), sum.word(), Ordering::AcqRel, Ordering::Relaxed);
        if gathered.is_ok() {
            stall::at(Step::Gathered);
            lane.blocks.put_back(at.block);
        }
    }

    /// `true` if the word was still what `before` says.
    fn swap(&self, before: SingleCell, after: SingleCell) -> bool {
        let (before, after) = (before.word(), after.word());
        self.word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// Takes `quantity` from one cell, if it has them; what it has left.
fn take_cell(lane: Lane<'_>, at: BlockUse, cell: usize, quantity: u32, count: u32) -> Tried<i64> {
    let taken = change_cell(lane, at, cell, |cell| {
        let (units, pending) = (cell.units - i64::from(quantity), cell.pending + count);
        (units >= 0 && pending <= CELL_PENDING_MAX).then_some(Cell { units, pending, ..cell })
    });
    match taken {
        Tried::Done(cell) => Tried::Done(cell.units),
        Tried::Unable => Tried::Unable,
        Tried::Over => Tried::Over,
    }
}

/// Changes one cell of a use, unless `change` says that it cannot be.
fn change_cell(
    lane: Lane<'_>,
    at: BlockUse,
    cell: usize,
    change: impl Fn(Cell) -> Option<Cell>,
) -> Tried<Cell> {
    let cell = lane.blocks.cell(at.block, cell);
    let mut word = cell.load(Ordering::Acquire);
    loop {
        let now = Cell::of(word);
        if now.version != at.version || now.frozen {
            return Tried::Over;
        }
        let Some(next) = change(now) else { return Tried::Unable };
        match cell.compare_exchange(word, next.word(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Tried::Done(next),
            Err(now) => word = now,
        }
    }
}
