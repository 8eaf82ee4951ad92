//! The word beside a key's counter: whether the key is on sale, and its physical quantity.
//!
//! ```text
//! gate word   0 │ 0               there is no such key
//!             1 │ on_hand (30)    on sale
//!             2 │ on_hand (30)    stopped
//!             3 │ number (30)     a time when the sale opens, or an on_hand that does not fit: see Overflow
//! ```
//!
//! # Ground rules
//!
//! 1. A sale reads the gate and nothing else: one load, or two for a key that has overflowed.
//! 2. A thread that writes has the lock of the key's physical corrections. Only such a thread reads
//!    `on_hand`.
//! 3. A key that has overflowed stays so until the engine closes, and no other key gets its number. So a
//!    thread that is late with the number reads the gate of that same key, as it is by then.

use parking_lot::Mutex;

use crate::answer::RefusalReason;
use crate::clock::Timestamp;
use crate::index::Target;
use crate::segments::Segments;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The most stock keys.
pub(crate) const KEYS_MAX: usize = if cfg!(stockhold_loom) { 4 } else { 1 << 28 };

const VALUE_BITS: u32 = 30;
const VALUE_MASK: u32 = (1 << VALUE_BITS) - 1;
const ABSENT: u32 = 0;
const ON_SALE: u32 = 1;
const NOT_ON_SALE: u32 = 2;
const OVERFLOW: u32 = 3;
const _: () = assert!(KEYS_MAX <= 1 << VALUE_BITS && KEYS_MAX <= Target::GOODS);

/// Values of [`Overflow::gate`] that are not a time.
const OPEN: u64 = 0;
const STOPPED: u64 = u64::MAX;

/// Whether a key is on sale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    Open,
    Stopped,
    /// On sale from this time on.
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

/// The gate and the physical quantity of one key. See the [module](self).
#[derive(Debug)]
pub(crate) struct GateWord(AtomicU32);

impl GateWord {
    pub(crate) fn absent() -> Self {
        GateWord(AtomicU32::new(ABSENT << VALUE_BITS))
    }

    /// Whether the key was added.
    pub(crate) fn exists(&self) -> bool {
        // Acquire: pairs with the first `set`, before which the counter got its units.
        self.0.load(Ordering::Acquire) >> VALUE_BITS != ABSENT
    }

    /// Why reserves are refused even if there are units, if they are. The clock is read only if the sale has
    /// a time to open. So no thread has to open it: every caller finds it open from that time on.
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
        // Acquire: pairs with `set`. A reserve that begins after a switch was answered sees the switch, and a
        // thread that sees a number sees its entry.
        let word = self.0.load(Ordering::Acquire);
        match word >> VALUE_BITS {
            ON_SALE => Gate::Open,
            OVERFLOW => overflow.of(word).map_or(Gate::Stopped, Overflow::gate),
            _ => Gate::Stopped,
        }
    }

    /// The physical quantity. Only for a thread that has the key's lock, which orders the relaxed loads here.
    pub(crate) fn on_hand(&self, overflow: &OverflowTable) -> i64 {
        let word = self.0.load(Ordering::Relaxed);
        overflow.of(word).map_or((word & VALUE_MASK).into(), |overflowed| {
            overflowed.on_hand.load(Ordering::Relaxed) as i64
        })
    }

    /// Sets the physical quantity and leaves the gate. Only for a thread that has the key's lock.
    #[inline]
    pub(crate) fn set_on_hand(&self, overflow: &OverflowTable, on_hand: i64) {
        let word = self.0.load(Ordering::Relaxed);
        if (0..=VALUE_MASK.into()).contains(&on_hand) && word >> VALUE_BITS != OVERFLOW {
            self.0.store(word & !VALUE_MASK | on_hand as u32, Ordering::Release); // as in `set`
        } else {
            self.set(overflow, self.gate(overflow), on_hand);
        }
    }

    /// Sets both. Only for a thread that has the key's lock, or while no other thread knows of the key.
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
        self.0.store(word, Ordering::Release); // pairs with `gate` and `exists`
    }
}

/// The gate and the physical quantity of a key that do not fit its gate word.
#[derive(Debug, Default)]
struct Overflow {
    /// When the sale opens, in Unix ms; or [`OPEN`], or [`STOPPED`].
    gate: AtomicU64,
    /// Signed.
    on_hand: AtomicU64,
}

impl Overflow {
    fn gate(&self) -> Gate {
        Gate::of(self.gate.load(Ordering::Acquire)) // pairs with `set`, as for a gate word
    }

    fn set(&self, gate: Gate, on_hand: i64) {
        self.on_hand.store(on_hand as u64, Ordering::Relaxed); // the key's lock orders it
        self.gate.store(gate.word(), Ordering::Release);
    }
}

/// The overflowed keys of a book.
#[derive(Debug)]
pub(crate) struct OverflowTable {
    overflow: Segments<Overflow>,
    /// How many there are. The lock lets one thread at a time grow the table: a caller that needs an entry is
    /// making a correction or a switch, and may wait.
    count: Mutex<u32>,
}

impl OverflowTable {
    pub(crate) fn new() -> Self {
        OverflowTable { overflow: Segments::new(KEYS_MAX), count: Mutex::new(0) }
    }

    /// The entry that a gate word names, if it names one.
    #[inline]
    fn of(&self, word: u32) -> Option<&Overflow> {
        if word >> VALUE_BITS == OVERFLOW { self.overflow.get((word & VALUE_MASK) as usize) } else { None }
    }

    /// Adds an entry and returns its number.
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
    fn a_gate_word_returns_what_was_set() {
        let (word, overflow) = (GateWord::absent(), OverflowTable::new());
        assert!(!word.exists());
        let later = Gate::OpensAt(Timestamp(1_800_000_000_000));
        let most = i64::from(VALUE_MASK);
        for (gate, on_hand, overflowed) in [
            (Gate::Open, 0, 0),
            (Gate::Stopped, most, 0),
            (Gate::Open, 7, 0),
            (Gate::Open, most + 1, 1),
            (Gate::Stopped, -1, 1),
            (later, ON_HAND_MAX, 1),
            (Gate::Open, 7, 1),
        ] {
            word.set(&overflow, gate, on_hand);
            assert_eq!((word.gate(&overflow), word.on_hand(&overflow)), (gate, on_hand));
            assert_eq!(
                (word.exists(), *overflow.count.lock()),
                (true, overflowed),
                "overflowed once, overflowed it stays"
            );
        }
        let other = GateWord::absent();
        other.set(&overflow, later, 3);
        assert_eq!((other.gate(&overflow), word.gate(&overflow)), (later, Gate::Open));
        assert_eq!(other.closed(&overflow, || Timestamp(1_799_999_999_999)), Some(RefusalReason::NotOpen));
        assert_eq!(other.closed(&overflow, || Timestamp(1_800_000_000_000)), None);
    }
}
