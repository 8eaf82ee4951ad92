//! Chooses where the power is cut: after any event of a recording, and more often where the order of writes
//! matters.

use std::ops::RangeInclusive;

use crate::cut::Cut;
use crate::recording::Recording;
use crate::trace::Event;
use crate::witness::Message;
use stockhold_seeded::Rng;

/// Calls around which the power is cut more often.
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
/// Calls that change nothing on the disk, so a cut there equals an earlier one.
const IDLE: [&str; 7] = ["mmap", "lseek", "clone", "clone3", "fcntl", "ioctl", "execve"];

/// The size of a write that can be torn between two chunks of a group. A longer write overwrites a file with
/// the same content, where a tear makes no difference.
const LONG_BYTES: RangeInclusive<i64> = 32 << 10..=768 << 10;

/// The greatest distance from an edge that counts as near.
const NEAR: u64 = 2;

/// The cuts to choose from.
#[derive(Default, Debug)]
pub(crate) struct Cuts {
    /// All cuts, in order.
    all: Vec<Cut>,
    /// Indices into `all`, by kind; any of these may be empty.
    edges: Vec<usize>,
    answered: Vec<usize>,
    openings: Vec<usize>,
    long: Vec<usize>,
}

impl Cuts {
    /// Collects the cuts of a recording.
    pub(crate) fn of(recording: &Recording) -> Cuts {
        let mut cuts = Cuts::default();
        for (run, trace) in recording.runs.iter().enumerate() {
            let mut opening = false;
            for (index, event) in trace.events.iter().enumerate() {
                let (Event::Begins(number) | Event::Returns(number)) = *event;
                let call = &trace.calls[number];
                if IDLE.contains(&&*call.name) {
                    continue;
                }
                let place = cuts.all.len();
                cuts.all.push(Cut { run, events: index + 1 });
                if EDGES.contains(&&*call.name) {
                    cuts.edges.push(place);
                }
                if let Event::Returns(_) = event
                    && call.name.contains("write")
                    && call.result.is_some_and(|bytes| LONG_BYTES.contains(&bytes))
                {
                    cuts.long.push(place);
                }
                if let Event::Begins(_) = event
                    && call.name == "write"
                    && let Ok(said) = call.bytes(1)
                {
                    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    match serde_json::from_slice(line) {
                        Ok(Message::Opening) => opening = true,
                        Ok(Message::Opened(_)) => opening = false,
                        Ok(Message::Answered(..)) => cuts.answered.push(place),
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

    /// Chooses a cut.
    pub(crate) fn choose(&self, rng: &mut Rng) -> Option<Cut> {
        let some =
            |places: &[usize], rng: &mut Rng| (!places.is_empty()).then(|| places[rng.index(places.len())]);
        let place = match rng.below(20) {
            0..7 => some(&self.edges, rng)
                .map(|edge| (edge as u64 + rng.below(2 * NEAR + 1)).saturating_sub(NEAR) as usize),
            7..10 => some(&self.answered, rng),
            10..14 => some(&self.openings, rng),
            14..17 => some(&self.long, rng),
            _ => None,
        };
        let place = place.unwrap_or_else(|| rng.index(self.all.len().max(1)));
        self.all.get(place.min(self.all.len().checked_sub(1)?)).copied()
    }
}
