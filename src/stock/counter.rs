//! The counter of one stock key: the only file with stock atomics.
//!
//! One word tells a refuser everything:
//!
//! ```text
//! bit 63      62 ........ 48   47 ................. 0
//!     unused  pending (15)     available (48, signed)
//! ```
//!
//! # Ground rules
//!
//! 1. A take and the test for it are one compare-and-swap (O1, O6): `available` never passes below zero by a sale.
//! 2. Whoever will give units back is counted in `pending` *before* the hold that owns them dies, and uncounted
//!    in the same swap that returns them. Whoever has taken units and may roll back is counted likewise.
//! 3. Out-of-stock is decided by one load: `available < q` and nothing pending. With something pending the
//!    answer is not known (F11): the caller spins a little, then says `Busy`.
//! 4. A negative value is a shortfall, made by a physical correction alone; what is given pays it first.
//! 5. Nothing else is derived from the counter and nothing else sets it (F1, F10, O12).
//!
//! The race to survive: a sweeper that expires a hold against a refuser. Were the units in neither the hold nor
//! the counter for an instant, and nobody said so, the refuser would answer sold out while stock is coming back.
//!
//! Orderings: every successful swap is `AcqRel` and every deciding load `Acquire`, so that who sees units
//! also sees the log position drawn before they were given (the pair of rule "give back: position first").

use crate::fault::{Fault, planted};
use crate::sync::{AtomicU64, Ordering};

const VALUE_BITS: u32 = 48;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
const PENDING_ONE: u64 = 1 << VALUE_BITS;
const PENDING_MAX: u64 = (1 << 15) - 1;

/// One give-back or tentative take, as the word counts it.
fn one() -> u64 {
    if planted(Fault::ForgetPending) { 0 } else { PENDING_ONE }
}

/// What one load of the word says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Units on sale; below zero it is a shortfall.
    pub available: i64,
    /// Somebody is about to give units back, or may.
    pub pending: bool,
}

/// A take that did not happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Short {
    /// Fewer units than asked for, and none on their way.
    Out { available: i64 },
    /// Fewer units than asked for, others may come: cannot be known now.
    Unknown,
}

/// Too many give-backs at once to count; the caller answers `Busy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PendingFull;

#[derive(Debug)]
pub(crate) struct Counter {
    cell: AtomicU64,
}

fn read(word: u64) -> Reading {
    Reading { available: value(word), pending: pending(word) != 0 }
}

fn value(word: u64) -> i64 {
    ((word << (64 - VALUE_BITS)) as i64) >> (64 - VALUE_BITS)
}

fn pending(word: u64) -> u64 {
    (word >> VALUE_BITS) & PENDING_MAX
}

fn with_value(word: u64, value: i64) -> u64 {
    (word & !VALUE_MASK) | (value as u64 & VALUE_MASK)
}

impl Counter {
    pub(crate) fn new(available: i64) -> Self {
        Counter { cell: AtomicU64::new(with_value(0, available)) }
    }

    pub(crate) fn reading(&self) -> Reading {
        // Acquire: pairs with the AcqRel of whoever gave; see the module header.
        read(self.cell.load(Ordering::Acquire))
    }

    /// Takes `quantity` if it is there, and says what is left.
    pub(crate) fn take(&self, quantity: u32) -> Result<i64, Short> {
        self.take_and(quantity, 0)
    }

    /// Takes `quantity`, counted as pending: the taker may yet roll back.
    pub(crate) fn take_tentatively(&self, quantity: u32) -> Result<i64, Short> {
        self.take_and(quantity, one())
    }

    fn take_and(&self, quantity: u32, count: u64) -> Result<i64, Short> {
        let mut word = self.cell.load(Ordering::Acquire);
        loop {
            let reading = read(word);
            let left = reading.available - i64::from(quantity);
            if left < 0 {
                return Err(if reading.pending {
                    Short::Unknown
                } else {
                    Short::Out { available: reading.available }
                });
            }
            if count != 0 && pending(word) == PENDING_MAX {
                return Err(Short::Unknown);
            }
            match self.swap(word, with_value(word, left) + count) {
                Ok(()) => return Ok(left),
                Err(now) => word = now,
            }
        }
    }

    /// Announces a give-back, before the hold that owns the units dies. Ends in [`give`](Self::give) or
    /// [`forgo`](Self::forgo).
    pub(crate) fn announce(&self) -> Result<(), PendingFull> {
        let mut word = self.cell.load(Ordering::Relaxed); // the swap below re-checks it
        loop {
            if pending(word) == PENDING_MAX {
                return Err(PendingFull);
            }
            match self.swap(word, word + one()) {
                Ok(()) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Returns the units of an announced give-back, or rolls a tentative take back.
    pub(crate) fn give(&self, quantity: u32) {
        self.update(|word| with_value(word, value(word) + i64::from(quantity)) - one());
    }

    /// Ends an announced give-back with nothing to give, or settles a tentative take.
    pub(crate) fn forgo(&self) {
        self.update(|word| word - one());
    }

    /// Adds physical units, or takes them off, even below zero; says what is available then.
    pub(crate) fn correct(&self, delta: i64) -> i64 {
        value(self.update(|word| with_value(word, value(word) + delta)))
    }

    fn update(&self, change: impl Fn(u64) -> u64) -> u64 {
        let mut word = self.cell.load(Ordering::Relaxed); // the swap below re-checks it
        loop {
            let next = change(word);
            match self.swap(word, next) {
                Ok(()) => return next,
                Err(now) => word = now,
            }
        }
    }

    fn swap(&self, old: u64, new: u64) -> Result<(), u64> {
        self.cell.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn o06_the_last_unit_is_sold_and_the_one_after_is_not() {
        let counter = Counter::new(2);
        assert_eq!(counter.take(1), Ok(1));
        assert_eq!(counter.take(1), Ok(0));
        assert_eq!(counter.take(1), Err(Short::Out { available: 0 }));
    }

    #[test]
    fn f02_one_big_request_does_not_poison_the_small_ones_after_it() {
        let counter = Counter::new(3);
        assert_eq!(counter.take(10), Err(Short::Out { available: 3 }));
        assert_eq!(counter.take(3), Ok(0));
    }

    #[test]
    fn f11_a_pending_give_back_is_neither_stock_nor_its_absence() {
        let counter = Counter::new(0);
        counter.announce().unwrap();
        assert_eq!(counter.take(1), Err(Short::Unknown));
        counter.give(1);
        assert_eq!(counter.take(1), Ok(0));
        counter.announce().unwrap();
        counter.forgo();
        assert_eq!(counter.take(1), Err(Short::Out { available: 0 }));
    }

    #[test]
    fn a_tentative_take_that_rolls_back_makes_nobody_sold_out() {
        let counter = Counter::new(1);
        assert_eq!(counter.take_tentatively(1), Ok(0));
        assert_eq!(counter.take(1), Err(Short::Unknown));
        counter.give(1);
        assert_eq!(counter.take(1), Ok(0));
    }

    #[test]
    fn a_shortfall_is_paid_first() {
        let counter = Counter::new(1);
        assert_eq!(counter.correct(-5), -4);
        assert_eq!(counter.take(1), Err(Short::Out { available: -4 }));
        assert_eq!(counter.correct(4), 0);
        assert_eq!(counter.take(1), Err(Short::Out { available: 0 }));
        assert_eq!(counter.correct(1), 1);
        assert_eq!(counter.take(1), Ok(0));
    }

    #[test]
    fn too_many_pending_are_refused_rather_than_miscounted() {
        let counter = Counter::new(-7);
        for _ in 0..PENDING_MAX {
            counter.announce().unwrap();
        }
        assert_eq!(counter.announce(), Err(PendingFull));
        assert_eq!(counter.reading(), Reading { available: -7, pending: true });
        for _ in 0..PENDING_MAX {
            counter.forgo();
        }
        assert_eq!(counter.reading(), Reading { available: -7, pending: false });
    }
}
