//! A manifest's reference to a run: the kind, the number, and the expected bytes, entries and hash.

use serde::{Deserialize, Serialize};

/// The kind of a run's entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum RunKind {
    Levels,
    Names,
    Holds,
    Ops,
    /// The records that were cut off the log: no part of the state.
    Ledger,
}

impl RunKind {
    /// The last one that this build knows.
    pub(crate) const MAX: RunKind = RunKind::Ledger;

    /// The kinds of runs that make up the state.
    pub(crate) const STATE: [RunKind; 4] = [RunKind::Levels, RunKind::Names, RunKind::Holds, RunKind::Ops];

    /// Whether this is the name of a run of this kind.
    pub(crate) fn is_name(self, name: &str) -> bool {
        name.strip_prefix(self.name()).is_some_and(|rest| rest.starts_with('-'))
    }

    fn name(self) -> &'static str {
        match self {
            RunKind::Levels => "levels",
            RunKind::Names => "names",
            RunKind::Holds => "holds",
            RunKind::Ops => "ops",
            RunKind::Ledger => "ledger",
        }
    }
}

/// A run as a manifest names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RunRef {
    pub kind: RunKind,
    /// Twice the number of the checkpoint that the run was written for; plus one if it is a merged run.
    pub number: u64,
    pub bytes: u64,
    pub entries: u64,
    /// The latest time of an entry that has one; Unix ms.
    pub latest_ms: u64,
    /// Hash of all the run's bytes.
    pub hash: u64,
}

impl RunRef {
    pub(crate) fn name(&self) -> String {
        name(self.kind, self.number)
    }
}

fn name(kind: RunKind, number: u64) -> String {
    format!("{}-{number:016x}", kind.name())
}

/// The numbers of all runs and manifests are below this, so that incrementing them cannot overflow.
pub(crate) const NUMBERS: u64 = 1 << 62;

/// The number in the name of a run or manifest, whatever the prefix.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let (_, number) = name.rsplit_once('-')?;
    let number = (number.len() == 16).then(|| u64::from_str_radix(number, 16).ok())?;
    number.filter(|number| *number < NUMBERS)
}
