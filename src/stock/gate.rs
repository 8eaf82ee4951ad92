//! What is asked for beside a key's counter: whether it is on sale, and what is physically there.
//!
//! ```text
//! side of a key   0 │ 0               there is no such key
//!                 1 │ on_hand (30)    on sale
//!                 2 │ on_hand (30)    stopped
//!                 3 │ number (30)     a moment to open, or an on_hand that does not fit: see Overflow
//! ```
//!
//! # Ground rules
//!
//! 1. Sales ask for the gate, and nothing else: one load, or two of a key that has overflowed.
//! 2. Whoever writes has the lock of the key's physical corrections; only such a one reads `on_hand`.
//! 3. What has overflowed stays so until the engine closes, and its number is nobody else's. So who comes late with the
//!    number reads the gate of that very key, as it is by then.

use parking_lot::Mutex;

use super::book::KEYS_MAX;
use crate::answer::RefusalReason;
use crate::clock::Timestamp;
use crate::segments::Segments;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const VALUE_BITS: u32 = 30;
const VALUE_MASK: u32 = (1 << VALUE_BITS) - 1;
const ABSENT: u32 = 0;
const ON_SALE: u32 = 1;
const NOT_ON_SALE: u32 = 2;
const OVERFLOW: u32 = 3;
const _: () = assert!(KEYS_MAX <= 1 << VALUE_BITS);

/// Of a gate in a word of its own.
const OPEN: u64 = 0;
const STOPPED: u64 = u64::MAX;

/// Whether a key is on sale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    Open,
    Stopped,
    /// Not before this moment.
    OpensAt(Timestamp),
}

impl Gate {
    fn word(self) -> u64 {
        match self {
            Gate::Open => OPEN,
            Gate::Stopped => STOPPED,
            Gate::OpensAt(opens_at) => opens_at.0.min(STOPPED - 1),
        }
    }

    fn of(word: u64) -> Gate {
        match word {
            OPEN => Gate::Open,
            STOPPED => Gate::Stopped,
            opens_at_ms => Gate::OpensAt(Timestamp(opens_at_ms)),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct GateWord(AtomicU32);

impl GateWord {
    pub(crate) fn absent() -> Self {
        GateWord(AtomicU32::new(ABSENT << VALUE_BITS))
    }

    pub(crate) fn is_there(&self) -> bool {
        // Acquire: pairs with the first `set`; the counter was loaded before.
        self.0.load(Ordering::Acquire) >> VALUE_BITS != ABSENT
    }

    /// Why reserves are refused whatever there is, if so. The clock is asked only for a sale that has a time to open, so
    /// all who wait for it find it open at once, with nobody to open it.
    #[inline]
    pub(crate) fn closed(
        &self,
        overflow: &OverflowTable,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<RefusalReason> {
        match self.gate(overflow) {
            Gate::Open => None,
            Gate::Stopped => Some(RefusalReason::Stopped),
            Gate::OpensAt(opens_at) => (now() < opens_at).then_some(RefusalReason::NotOpen),
        }
    }

    #[inline]
    pub(crate) fn gate(&self, overflow: &OverflowTable) -> Gate {
        // Acquire: pairs with `set`. A reserve that begins after a switch was answered sees it, and who sees a number sees
        // what is there.
        let word = self.0.load(Ordering::Acquire);
        match word >> VALUE_BITS {
            ON_SALE => Gate::Open,
            OVERFLOW => overflow.of(word).map_or(Gate::Stopped, Overflow::gate),
            _ => Gate::Stopped,
        }
    }

    /// For who has the key's lock, which orders what is relaxed here.
    pub(crate) fn on_hand(&self, overflow: &OverflowTable) -> i64 {
        let word = self.0.load(Ordering::Relaxed);
        overflow.of(word).map_or((word & VALUE_MASK).into(), |overflowed| {
            overflowed.on_hand.load(Ordering::Relaxed) as i64
        })
    }

    /// For who has the key's lock. The gate stays.
    #[inline]
    pub(crate) fn set_on_hand(&self, overflow: &OverflowTable, on_hand: i64) {
        let word = self.0.load(Ordering::Relaxed);
        if (0..=VALUE_MASK.into()).contains(&on_hand) && word >> VALUE_BITS != OVERFLOW {
            self.0.store(word & !VALUE_MASK | on_hand as u32, Ordering::Release); // as in `set`
        } else {
            self.set(overflow, self.gate(overflow), on_hand);
        }
    }

    /// For who has the key's lock, or nobody knows of the key yet.
    pub(crate) fn set(&self, overflow: &OverflowTable, gate: Gate, on_hand: i64) {
        if let Some(overflowed) = overflow.of(self.0.load(Ordering::Relaxed)) {
            return overflowed.set(gate, on_hand);
        }
        let fits = u32::try_from(on_hand).ok().filter(|on_hand| *on_hand <= VALUE_MASK);
        let word = match (gate, fits) {
            (Gate::Open, Some(on_hand)) => ON_SALE << VALUE_BITS | on_hand,
            (Gate::Stopped, Some(on_hand)) => NOT_ON_SALE << VALUE_BITS | on_hand,
            _ => OVERFLOW << VALUE_BITS | overflow.add(gate, on_hand),
        };
        self.0.store(word, Ordering::Release); // pairs with `gate` and `is_there`
    }
}

/// What does not fit a side.
#[derive(Debug, Default)]
struct Overflow {
    /// When the sale opens, in Unix ms: [`OPEN`], [`STOPPED`], or a moment.
    gate: AtomicU64,
    /// Signed.
    on_hand: AtomicU64,
}

impl Overflow {
    fn gate(&self) -> Gate {
        Gate::of(self.gate.load(Ordering::Acquire)) // pairs with `set`, as a side's does
    }

    fn set(&self, gate: Gate, on_hand: i64) {
        self.on_hand.store(on_hand as u64, Ordering::Relaxed); // the key's lock orders it
        self.gate.store(gate.word(), Ordering::Release);
    }
}

/// All that has overflowed of a book.
#[derive(Debug)]
pub(crate) struct OverflowTable {
    overflow: Segments<Overflow>,
    /// How many there are. The lock keeps two from growing them at once: who needs one corrects or switches, and may wait.
    count: Mutex<u32>,
}

impl OverflowTable {
    pub(crate) fn new() -> Self {
        OverflowTable { overflow: Segments::new(KEYS_MAX), count: Mutex::new(0) }
    }

    /// What a side says that is in here, if so.
    #[inline]
    fn of(&self, side: u32) -> Option<&Overflow> {
        if side >> VALUE_BITS == OVERFLOW { self.overflow.get((side & VALUE_MASK) as usize) } else { None }
    }

    /// The number of one more.
    #[cold]
    fn add(&self, gate: Gate, on_hand: i64) -> u32 {
        let mut count = self.count.lock();
        let number = *count;
        let overflowed = self.overflow.get_or_grow(number as usize, Overflow::default);
        overflowed.expect("one a key at most, added one at a time").set(gate, on_hand);
        *count += 1;
        number
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::types::ON_HAND_MAX;

    #[test]
    fn a_side_says_what_it_was_told() {
        let (side, overflow) = (GateWord::absent(), OverflowTable::new());
        assert!(!side.is_there());
        let moment = Gate::OpensAt(Timestamp(1_800_000_000_000));
        let most = i64::from(VALUE_MASK);
        for (gate, on_hand, overflowed) in [
            (Gate::Open, 0, 0),
            (Gate::Stopped, most, 0),
            (Gate::Open, 7, 0),
            (Gate::Open, most + 1, 1),
            (Gate::Stopped, -1, 1),
            (moment, ON_HAND_MAX, 1),
            (Gate::Open, 7, 1),
        ] {
            side.set(&overflow, gate, on_hand);
            assert_eq!((side.gate(&overflow), side.on_hand(&overflow)), (gate, on_hand));
            assert_eq!(
                (side.is_there(), *overflow.count.lock()),
                (true, overflowed),
                "overflowed once, overflowed it stays"
            );
        }
        let other = GateWord::absent();
        other.set(&overflow, moment, 3);
        assert_eq!((other.gate(&overflow), side.gate(&overflow)), (moment, Gate::Open));
        assert_eq!(other.closed(&overflow, || Timestamp(1_799_999_999_999)), Some(RefusalReason::NotOpen));
        assert_eq!(other.closed(&overflow, || Timestamp(1_800_000_000_000)), None);
    }
}
