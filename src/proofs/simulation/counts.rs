//! Counts of the events in runs.

/// Counts of a run, or of several.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub crashes: u64,
    pub operations: u64,
    pub checkpoints: u64,
    /// Times that checkpoints were made of a log that was read once more.
    pub caught_up: u64,
    /// Openings that started from a checkpoint.
    pub from_checkpoint: u64,
    pub refused: u64,
    pub damaged: u64,
    pub poisoned: u64,
    /// Crashes that took operations back, and crashes that kept operations that were not acknowledged.
    pub taken_back: u64,
    pub kept_unknown: u64,
    /// Calls to the disk.
    pub calls: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        let Counts { crashes, operations, checkpoints, from_checkpoint, refused, damaged, .. } = *other;
        let Counts { poisoned, taken_back, kept_unknown, calls, caught_up, .. } = *other;
        self.caught_up += caught_up;
        self.crashes += crashes;
        self.operations += operations;
        self.checkpoints += checkpoints;
        self.from_checkpoint += from_checkpoint;
        self.refused += refused;
        self.damaged += damaged;
        self.poisoned += poisoned;
        self.taken_back += taken_back;
        self.kept_unknown += kept_unknown;
        self.calls += calls;
    }
}
