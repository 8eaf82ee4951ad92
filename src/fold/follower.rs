//! The fold that follows a running engine: the levels, and which holds a reference names.
//!
//! The log thread passes it whole groups from memory, after they were written; at `Durability::Sync` after
//! their sync, so there it never shows what a crash could undo. A reader waits until the fold has reached the position of its answer; queries wait, decisions never
//! do.

use crossbeam::channel::Receiver;
use parking_lot::Mutex;

use super::level::KeyLevel;
use super::levels::Levels;
use super::references::References;
use crate::checkpoint::thread::Checkpointer;
use crate::index::{KeyIndex, SlotIndex};
use crate::log::group::{Group, SpareBuffers};
use crate::log::record::effect::HoldEffect;
use crate::log::record::{Batch, Logged, Records};
use crate::log::watch::Watch;
use crate::stall::{self, Step};

/// A reading of a counter at a position, to be compared with the level at that position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterSample {
    pub key: KeyIndex,
    pub position: u64,
    pub counter: i64,
    /// The `available` of the level there; set once the fold has reached the position.
    pub book: Option<i64>,
}

/// The levels, and the samples that wait for a position.
#[derive(Default)]
struct FollowedBook {
    levels: Levels,
    /// In the order of their positions. The samples before `next` are answered.
    probes: Vec<CounterSample>,
    next: usize,
}

impl FollowedBook {
    /// Answers the samples below `position`.
    fn answer_below(&mut self, position: u64) {
        while let Some(probe) = self.probes.get_mut(self.next).filter(|probe| probe.position < position) {
            probe.book = self.levels.get(probe.key).map(|level| level.available());
            self.next += 1;
        }
    }
}

pub(crate) struct Follower {
    book: Mutex<FollowedBook>,
    references: Mutex<References>,
    pub(crate) position: Watch,
}

impl Follower {
    /// Continues from what recovery found.
    pub(crate) fn new(levels: Levels, position: u64, references: References) -> Self {
        let book = FollowedBook { levels, ..FollowedBook::default() };
        let (book, references) = (Mutex::new(book), Mutex::new(references));
        Follower { book, references, position: Watch::new(position) }
    }

    /// Runs the follower thread until the groups end.
    pub(crate) fn run(
        &self,
        groups: &Receiver<Group>,
        checkpointer: Option<&Checkpointer>,
        spare: &SpareBuffers,
    ) {
        for group in groups {
            stall::at(Step::Folding);
            self.apply(&group);
            self.position.wake_now();
            if let Some(checkpointer) = checkpointer {
                checkpointer.take_in(&group);
            }
            spare.give(group);
        }
        if let Some(checkpointer) = checkpointer {
            checkpointer.end();
        }
        self.position.end();
        self.position.wake_now();
    }

    /// Applies the next group.
    pub(crate) fn apply(&self, group: &Group) {
        let mut book = self.book.lock();
        let mut references = self.references.lock();
        for payload in &group.chunks {
            let (mut records, mut batch) = (Records::new(&payload.bytes, payload.start), Batch::new());
            while records.next_batch(&mut batch, |fact| book.levels.prefetch(fact)) {
                for record in &batch {
                    // The engine wrote these records a moment ago, so they decode.
                    let Ok(Logged { position, fact, .. }) = record else {
                        debug_assert!(false, "a record that we wrote");
                        break;
                    };
                    book.answer_below(*position);
                    let applied = book.levels.apply(*position, fact);
                    debug_assert_eq!(applied, Ok(()));
                    if let (HoldEffect::Make, Some(place)) = (fact.kind.effect().hold, fact.place) {
                        references.set(place.slot, fact.reference);
                    }
                }
            }
        }
        book.answer_below(group.end.saturating_add(1));
        // Under the locks, so that a level is read together with its position.
        self.position.advance(group.end);
    }

    /// The level of a key, and its position.
    pub(crate) fn level(&self, key: KeyIndex) -> Option<(KeyLevel, u64)> {
        let book = self.book.lock();
        Some((book.levels.get(key)?, self.position.position()))
    }

    /// Takes samples while the fold stands still, and waits until the fold has passed all of them; `None` if
    /// the log ends before. For one caller at a time.
    pub(crate) fn probe(&self, sample: impl FnOnce(&mut Vec<CounterSample>)) -> Option<Vec<CounterSample>> {
        let mut book = self.book.lock();
        let mut probes = Vec::new();
        sample(&mut probes);
        let last = probes.last().map_or(0, |probe| probe.position);
        (book.probes, book.next) = (probes, 0);
        book.answer_below(self.position.position().saturating_add(1));
        drop(book);
        let reached = self.position.wait(last);
        let probes = std::mem::take(&mut self.book.lock().probes);
        reached.then_some(probes)
    }

    /// The slots whose hold may have this reference.
    pub(crate) fn slots(&self, reference: &[u8]) -> Vec<SlotIndex> {
        self.references.lock().slots(reference)
    }
}
