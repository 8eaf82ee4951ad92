//! Where the power goes: after any moment of a recording, and more often where much hangs on the order of things.

use std::ops::RangeInclusive;

use crate::recording::Recording;
use crate::trace::Moment;
use crate::witness::Line;
use stockhold_seeded::Rng;

/// A moment of a recording: of which process, and how many of its moments have been.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cut {
    pub(crate) run: usize,
    pub(crate) moments: usize,
}

/// Calls around which the power goes more often.
const EDGES: [&str; 14] = [
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "truncate",
    "fallocate",
];
/// Calls that change nothing: the power going there is the power going before.
const IDLE: [&str; 7] = ["mmap", "lseek", "clone", "clone3", "fcntl", "ioctl", "execve"];

/// A write that is long enough to be torn between two chunks of a group. One that is longer still is a file written over
/// itself, of which a tear shows nothing.
const LONG_BYTES: RangeInclusive<i64> = 32 << 10..=768 << 10;

/// How far from an edge is still near it.
const NEAR: u64 = 2;

/// Cuts to choose from.
#[derive(Default, Debug)]
pub(crate) struct Cuts {
    /// Each in the same order; any of them may be empty.
    all: Vec<Cut>,
    /// Places in `all`.
    edges: Vec<usize>,
    told: Vec<usize>,
    openings: Vec<usize>,
    long: Vec<usize>,
}

impl Cuts {
    /// Of a recording.
    pub(crate) fn of(recording: &Recording) -> Cuts {
        let mut cuts = Cuts::default();
        for (run, trace) in recording.runs.iter().enumerate() {
            let mut opening = false;
            for (index, moment) in trace.moments.iter().enumerate() {
                let (Moment::Begins(number) | Moment::Returns(number)) = *moment;
                let call = &trace.calls[number];
                if IDLE.contains(&&*call.name) {
                    continue;
                }
                let place = cuts.all.len();
                cuts.all.push(Cut { run, moments: index + 1 });
                if EDGES.contains(&&*call.name) {
                    cuts.edges.push(place);
                }
                if let Moment::Returns(_) = moment
                    && call.name.contains("write")
                    && call.result.is_some_and(|bytes| LONG_BYTES.contains(&bytes))
                {
                    cuts.long.push(place);
                }
                if let Moment::Begins(_) = moment
                    && call.name == "write"
                    && let Ok(said) = call.bytes(1)
                {
                    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    match serde_json::from_slice(line) {
                        Ok(Line::Opening) => opening = true,
                        Ok(Line::Opened(_)) => opening = false,
                        Ok(Line::Told(..)) => cuts.told.push(place),
                        _ => {}
                    }
                }
                if opening && (run > 0 || !recording.base.image.entries.is_empty()) {
                    cuts.openings.push(place);
                }
            }
        }
        cuts
    }

    /// One of them.
    pub(crate) fn choose(&self, rng: &mut Rng) -> Option<Cut> {
        let some =
            |places: &[usize], rng: &mut Rng| (!places.is_empty()).then(|| places[rng.index(places.len())]);
        let place = match rng.below(20) {
            0..7 => some(&self.edges, rng)
                .map(|edge| (edge as u64 + rng.below(2 * NEAR + 1)).saturating_sub(NEAR) as usize),
            7..10 => some(&self.told, rng),
            10..14 => some(&self.openings, rng),
            14..17 => some(&self.long, rng),
            _ => None,
        };
        let place = place.unwrap_or_else(|| rng.index(self.all.len().max(1)));
        self.all.get(place.min(self.all.len().checked_sub(1)?)).copied()
    }
}
