//! The fold that follows a running engine: levels, and which holds a reference names.
//!
//! It is fed whole groups from memory by the log thread, behind the sync, so it never shows what a crash could take
//! back. Readers wait until it has come to where they were answered; that is a query's wait, not a decision's.

use crossbeam::channel::Receiver;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::levels::{KeyLevel, Levels};
use super::pages::Pages;
use crate::checkpoint::thread::Checkpointer;
use crate::log::record::{Record, Records};
use crate::log::watch::Watch;
use crate::log::writer::Group;
use crate::stall::{self, Step};

/// No slot.
const NONE: u32 = u32::MAX;

/// Which slots carry a reference: a chained hash table of slot numbers, 16 bytes a slot.
///
/// It may name slots whose hold has another reference with the same hash; whoever asks compares. A chain is as long as
/// holds have the same reference, which may be all of them: so a slot leaves it without a walk.
#[derive(Debug, Default)]
struct References {
    heads: Vec<u32>,
    links: Pages<Link, 4_096>,
    chained: usize,
}

/// A slot's place in a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    previous: u32,
    next: u32,
    /// What it is chained under; 0 = it is not.
    hash: u32,
}

fn hash(reference: &[u8]) -> u32 {
    xxh3_64(reference) as u32 | 1
}

impl References {
    fn set(&mut self, slot: u32, reference: &[u8]) {
        self.remove(slot);
        if reference.is_empty() {
            return;
        }
        if self.chained >= self.heads.len() {
            self.grow();
        }
        self.chain(slot, hash(reference));
        self.chained += 1;
    }

    fn link(&self, slot: u32) -> Link {
        self.links.get(slot).copied().unwrap_or_default()
    }

    fn head(&mut self, hash: u32) -> &mut u32 {
        let head = hash as usize >> 1 & (self.heads.len() - 1);
        &mut self.heads[head]
    }

    fn chain(&mut self, slot: u32, hash: u32) {
        let next = std::mem::replace(self.head(hash), slot);
        self.links.set(slot, Link { previous: NONE, next, hash });
        if let Some(next) = self.links.get_mut(next) {
            next.previous = slot;
        }
    }

    fn grow(&mut self) {
        self.heads = vec![NONE; (self.heads.len() * 2).max(1_024)];
        let chained = self.links.iter().filter(|(_, link)| link.hash != 0);
        let chained: Vec<(u32, u32)> = chained.map(|(slot, link)| (slot, link.hash)).collect();
        chained.into_iter().for_each(|(slot, hash)| self.chain(slot, hash));
    }

    fn remove(&mut self, slot: u32) {
        let Link { previous, next, hash } = self.link(slot);
        if hash == 0 {
            return;
        }
        match self.links.get_mut(previous) {
            Some(previous) => previous.next = next,
            None => *self.head(hash) = next,
        }
        if let Some(next) = self.links.get_mut(next) {
            next.previous = previous;
        }
        self.links.set(slot, Link::default());
        self.chained -= 1;
    }

    fn slots(&self, reference: &[u8]) -> Vec<u32> {
        let hash = hash(reference);
        let Some(&head) = self.heads.get(hash as usize >> 1 & self.heads.len().wrapping_sub(1)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut at = head;
        while at != NONE {
            let link = self.link(at);
            if link.hash == hash {
                found.push(at);
            }
            at = link.next;
        }
        found
    }
}

/// What a counter had when a position had been drawn and no later one, to be compared with the book there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub key: u32,
    pub position: u64,
    pub counter: i64,
    /// What the book has on sale there; known once the fold has come by.
    pub book: Option<i64>,
}

/// The book, and those who wait for a position of it.
#[derive(Default)]
struct Book {
    levels: Levels,
    /// In the order of their positions; those before `next` are answered.
    probes: Vec<Probe>,
    next: usize,
}

impl Book {
    /// Answers the probes below `position`.
    fn answer_below(&mut self, position: u64) {
        while let Some(probe) = self.probes.get_mut(self.next).filter(|probe| probe.position < position) {
            probe.book = self.levels.get(probe.key).map(|level| level.available());
            self.next += 1;
        }
    }
}

pub(crate) struct Follower {
    book: Mutex<Book>,
    references: Mutex<References>,
    pub(crate) position: Watch,
}

impl Follower {
    /// Continues from what recovery found.
    pub(crate) fn new<'a>(
        levels: Levels,
        position: u64,
        references: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> Self {
        let mut index = References::default();
        references.for_each(|(slot, reference)| index.set(slot, reference));
        let book = Book { levels, ..Book::default() };
        Follower { book: Mutex::new(book), references: Mutex::new(index), position: Watch::new(position) }
    }

    /// The follower thread's whole life.
    pub(crate) fn run(&self, groups: &Receiver<Group>, checkpointer: Option<&Checkpointer>) {
        for group in groups {
            stall::at(Step::Folding);
            self.apply(&group);
            self.position.wake_now();
            if let Some(checkpointer) = checkpointer {
                checkpointer.take_in(&group);
            }
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
            for record in Records::new(&payload.bytes, payload.start) {
                // The engine's own records, a moment ago: they are whole.
                let Ok((position, record)) = record else {
                    debug_assert!(false, "a record that we wrote");
                    break;
                };
                book.answer_below(position);
                let applied = book.levels.apply(position, &record);
                debug_assert_eq!(applied, Ok(()));
                if let Record::Reserve { place, reference, .. }
                | Record::ReserveCart { place, reference, .. } = record
                {
                    references.set(place.slot, reference);
                }
            }
        }
        book.answer_below(group.end.saturating_add(1));
        // Under the locks, so that a level and its position are of one piece.
        self.position.advance(group.end);
    }

    /// The level of a key, and the position that it is of.
    pub(crate) fn level(&self, key: u32) -> Option<(KeyLevel, u64)> {
        let book = self.book.lock();
        Some((*book.levels.get(key)?, self.position.position()))
    }

    /// Takes samples while the fold stands still, and waits until it has come by all of them; `None` for an engine whose
    /// log has ended before. One caller at a time.
    pub(crate) fn probe(&self, sample: impl FnOnce(&mut Vec<Probe>)) -> Option<Vec<Probe>> {
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
    pub(crate) fn slots(&self, reference: &[u8]) -> Vec<u32> {
        self.references.lock().slots(reference)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_moved_and_removed() {
        let mut index = References::default();
        assert!(index.slots(b"a").is_empty());
        for slot in 0..5_000u32 {
            index.set(slot, format!("order-{}", slot % 1_700).as_bytes());
        }
        let mut found = index.slots(b"order-3");
        found.sort_unstable();
        assert_eq!(found, [3, 1_703, 3_403]);
        index.set((1 << 30) - 1, b"stray");
        assert_eq!(index.slots(b"stray"), [(1 << 30) - 1]);
        index.set((1 << 30) - 1, b"");
        index.set(1_703, b"other");
        index.set(3, b"");
        assert_eq!(index.slots(b"order-3"), [3_403]);
        assert_eq!(index.slots(b"other"), [1_703]);
        assert_eq!(index.chained, 4_999);
    }

    #[test]
    fn a_reference_that_all_holds_share_is_moved_and_removed_as_fast_as_any() {
        // With a walk through the chain for each this would not come to an end.
        let mut index = References::default();
        for _ in 0..2 {
            (0..1 << 20).for_each(|slot| index.set(slot, b"sale"));
            assert_eq!(index.slots(b"sale").len(), 1 << 20);
        }
        (0..1 << 20).filter(|slot| slot % 4 != 1).for_each(|slot| index.set(slot, b""));
        (0..1 << 20).filter(|slot| slot % 8 == 1).for_each(|slot| index.set(slot, b"other"));
        assert_eq!((index.slots(b"sale").len(), index.slots(b"other").len()), (1 << 17, 1 << 17));
    }
}
