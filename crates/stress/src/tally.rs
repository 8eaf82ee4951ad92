//! The counts of a round, or of all rounds.

use std::ops::AddAssign;

#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Answers of the engine.
    pub calls: u64,
    /// Of these, "busy".
    pub busy: u64,
    pub granted: u64,
    pub refused: u64,
    pub carts: u64,
    pub confirmed: u64,
    pub retaken: u64,
    pub released: u64,
    pub expired: u64,
    pub replaced: u64,
    /// Keys split in advance.
    pub split: u64,
    /// Swaps lost to another thread.
    pub beaten: u64,
    /// Recorded calls, which are judged: a call on a cart is one for each of its keys.
    pub checked: u64,
}

impl Tally {
    pub(crate) fn busy_percent(&self) -> f64 {
        self.busy as f64 * 100.0 / self.calls.max(1) as f64
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        let Tally {
            calls,
            busy,
            granted,
            refused,
            carts,
            confirmed,
            retaken,
            released,
            expired,
            replaced,
            split,
            beaten,
            checked,
        } = other;
        for (sum, more) in [
            (&mut self.calls, calls),
            (&mut self.busy, busy),
            (&mut self.granted, granted),
            (&mut self.refused, refused),
            (&mut self.carts, carts),
            (&mut self.confirmed, confirmed),
            (&mut self.retaken, retaken),
            (&mut self.released, released),
            (&mut self.expired, expired),
            (&mut self.replaced, replaced),
            (&mut self.split, split),
            (&mut self.beaten, beaten),
            (&mut self.checked, checked),
        ] {
            *sum += more;
        }
    }
}
