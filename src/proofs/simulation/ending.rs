//! How a simulated process ends.

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It is killed: what was written to the operating system stays.
    Kill,
    /// The power fails: what was synced stays.
    Power,
}
