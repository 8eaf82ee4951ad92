//! Counts of the answers that the clients received.

use std::ops::AddAssign;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Calls that were decided, in either way.
    pub(super) decisions: u64,
    pub(super) granted: u64,
    /// Units of all granted holds.
    pub(super) granted_units: u64,
    pub(super) refused: u64,
    pub(super) released: u64,
    pub(super) confirmed: u64,
    pub(super) shipped: u64,
    pub(super) received: u64,
    /// Number of answers that were "try again".
    pub(super) busy: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.decisions += other.decisions;
        self.granted += other.granted;
        self.granted_units += other.granted_units;
        self.refused += other.refused;
        self.released += other.released;
        self.confirmed += other.confirmed;
        self.shipped += other.shipped;
        self.received += other.received;
        self.busy += other.busy;
    }
}
