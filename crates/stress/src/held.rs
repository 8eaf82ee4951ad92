//! A hold as its buyers know it.

use std::sync::Mutex;

use stockhold::{CartLine, HoldId, StockKey};

use stockhold_seeded::Rng;

/// Stock keys of a round: the hot one first.
pub(crate) const KEYS: usize = 4;

pub(crate) type Quantities = [u32; KEYS];

#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub hold: HoldId,
    /// Units by key: once paid, those that are committed. Of a hold that others may replace, only its keys are certain.
    pub quantities: Quantities,
    /// A bit for each key that it has ever had.
    pub keys: u8,
    /// Nobody replaces it, so everybody knows its lines.
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

    /// Its key, if it has never had another.
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

/// Where threads show each other their holds, so that two of them end one at once.
pub(crate) struct Board {
    places: [Mutex<Option<Held>>; 8],
}

impl Board {
    pub(crate) fn new() -> Board {
        Board { places: Default::default() }
    }

    pub(crate) fn show(&self, rng: &mut Rng, held: Held) {
        // Whoever finds a place taken goes on: the board must not put the threads in order.
        if let Ok(mut place) = self.places[rng.below(8) as usize].try_lock() {
            *place = Some(held);
        }
    }

    pub(crate) fn see(&self, rng: &mut Rng) -> Option<Held> {
        *self.places[rng.below(8) as usize].try_lock().ok()?
    }
}
