//! The kinds of entries, without the form they are written in: a cart's entry is of the same kind as a single
//! line's.

use std::fmt;

/// What an entry of the log says happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EntryKind {
    /// Nothing: a place in the log was taken, and then the hold had another outcome first.
    Void,
    /// An engine opened the directory.
    Opened,
    /// A stock key was declared.
    Declare,
    /// Units were taken and are held.
    Reserve,
    /// A hold was paid for.
    Confirm,
    /// The units of an expired hold were taken again and paid for.
    Retake,
    /// A hold was given back by its holder.
    Release,
    /// A hold ended at its deadline.
    Expire,
    /// A hold got a later deadline.
    Extend,
    /// Payment of a hold began.
    Pay,
    /// Committed units were shipped.
    Ship,
    /// Committed units went back on sale.
    Cancel,
    /// Units arrived.
    Receive,
    /// What is on hand was corrected.
    Adjust,
    /// Sale of the stock key was stopped.
    Stop,
    /// Sale of the stock key was resumed.
    Resume,
    /// A reserve with an op key was refused.
    Refuse,
    /// The lines of a live hold were replaced.
    Replace,
    /// A time was set before which reserves are refused.
    Opens,
}

impl EntryKind {
    /// All kinds.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) const ALL: [EntryKind; 19] = [
        EntryKind::Void,
        EntryKind::Opened,
        EntryKind::Declare,
        EntryKind::Reserve,
        EntryKind::Confirm,
        EntryKind::Retake,
        EntryKind::Release,
        EntryKind::Expire,
        EntryKind::Extend,
        EntryKind::Pay,
        EntryKind::Ship,
        EntryKind::Cancel,
        EntryKind::Receive,
        EntryKind::Adjust,
        EntryKind::Stop,
        EntryKind::Resume,
        EntryKind::Refuse,
        EntryKind::Replace,
        EntryKind::Opens,
    ];

    /// Its name in one lower-case word.
    pub fn name(self) -> &'static str {
        self.effect().name
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
