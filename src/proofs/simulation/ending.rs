//! How a simulated process ends.

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It is killed: what the operating system was given stays.
    Kill,
    /// The power goes: what was synced stays.
    Power,
}
