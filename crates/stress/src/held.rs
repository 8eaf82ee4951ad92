//! A hold as the shoppers know it.

use std::sync::Mutex;

use stockhold::{CartLine, HoldId, StockKey};

use stockhold_seeded::Rng;

/// The number of stock keys of a round. The first is the hot one.
pub(crate) const KEYS: usize = 4;

pub(crate) type Quantities = [u32; KEYS];

#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub hold: HoldId,
    /// Units of each key; after a confirm, the committed ones. If other threads may replace it, only the keys
    /// are certain.
    pub quantities: Quantities,
    /// A bit for each key that it ever had.
    pub keys: u8,
    /// It is never replaced, so all threads know its lines.
    pub fixed: bool,
}

impl Held {
    pub(crate) fn new(hold: HoldId, quantities: Quantities, fixed: bool) -> Held {
        let keys = (0..KEYS).filter(|&key| quantities[key] > 0).fold(0, |keys, key| keys | 1 << key);
        Held { hold, quantities, keys, fixed }
    }

    pub(crate) fn name(&self) -> u128 {
        self.hold.to_u128()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        let keys = self.keys;
        (0..KEYS).filter(move |key| keys & 1 << key != 0)
    }

    /// Its key, if it never had another.
    pub(crate) fn only_key(&self) -> Option<usize> {
        (self.keys.count_ones() == 1).then(|| self.keys.trailing_zeros() as usize)
    }
}

pub(crate) fn units(quantities: &Quantities) -> u32 {
    quantities.iter().sum()
}

pub(crate) fn lines(quantities: &Quantities, keys: &[StockKey; KEYS]) -> Vec<CartLine> {
    let lines = keys.iter().zip(quantities).filter(|(_, units)| **units > 0);
    lines.map(|(key, units)| CartLine::units(*key, *units)).collect()
}

/// Holds that threads share, so that two threads end one at the same time.
pub(crate) struct SharedHolds {
    places: [Mutex<Option<Held>>; 8],
}

impl SharedHolds {
    pub(crate) fn new() -> SharedHolds {
        SharedHolds { places: Default::default() }
    }

    pub(crate) fn publish(&self, rng: &mut Rng, held: Held) {
        // Skipped if the place is locked: this must not put the threads in order.
        if let Ok(mut place) = self.places[rng.below(8) as usize].try_lock() {
            *place = Some(held);
        }
    }

    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<Held> {
        *self.places[rng.below(8) as usize].try_lock().ok()?
    }
}
