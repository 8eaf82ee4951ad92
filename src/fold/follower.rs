//! The fold that follows a running engine: levels, and which holds a reference names.
//!
//! It is fed whole groups from memory by the log thread, behind the sync, so it never shows what a crash could take
//! back. Readers wait until it has come to where they were answered; that is a query's wait, not a decision's.

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

/// What a counter had when a position had been drawn and no later one, to be compared with the book there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterSample {
    pub key: KeyIndex,
    pub position: u64,
    pub counter: i64,
    /// What the book has on sale there; known once the fold has come by.
    pub book: Option<i64>,
}

/// The book, and those who wait for a position of it.
#[derive(Default)]
struct FollowedBook {
    levels: Levels,
    /// In the order of their positions; those before `next` are answered.
    probes: Vec<CounterSample>,
    next: usize,
}

impl FollowedBook {
    /// Answers the probes below `position`.
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

    /// The follower thread's whole life.
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

    /// The next group.
    pub(crate) fn apply(&self, group: &Group) {
        let mut book = self.book.lock();
        let mut references = self.references.lock();
        for payload in &group.chunks {
            let (mut records, mut batch) = (Records::new(&payload.bytes, payload.start), Batch::new());
            while records.next_batch(&mut batch, |fact| book.levels.prefetch(fact)) {
                for record in &batch {
                    // The engine's own records, a moment ago: they are whole.
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
        // Under the locks, so that a level and its position are of one piece.
        self.position.advance(group.end);
    }

    /// The level of a key, and the position that it is of.
    pub(crate) fn level(&self, key: KeyIndex) -> Option<(KeyLevel, u64)> {
        let book = self.book.lock();
        Some((book.levels.get(key)?, self.position.position()))
    }

    /// Takes samples while the fold stands still, and waits until it has come by all of them; `None` for an engine whose
    /// log has ended before. One caller at a time.
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

    /// Slots whose hold may carry `reference`.
    pub(crate) fn slots(&self, reference: &[u8]) -> Vec<SlotIndex> {
        self.references.lock().slots(reference)
    }
}
