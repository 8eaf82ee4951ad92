//! The lines of carts, in chains: a hold's slot has room for one line only.
//!
//! A line takes 16 bytes. A chain belongs to one hold, from the time it is made until the hold is over or its
//! slot is handed out again. Its units change only while the hold's word says `Changing`. A reader may follow
//! a chain while it is being given to another hold: the number of lines it reads is bounded, and it believes
//! them only if the hold's word still matches (see [`slot`](super::slot)).
//!
//! [`room`](super::room) counts the free lines. A chain is made with room that was taken for all of its lines.

use super::indices::{IndexStack, Links, NONE};
use super::lines::{Line, Lines};
use super::room::{LineRoom, NoLines, Seen};
use crate::fault::{Fault, planted};
use crate::index::Target;
use crate::segments::{NoRoom, Segments};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence, spin_loop};
use crate::types::LINES_MAX;

/// One line of a chain.
#[derive(Debug)]
struct Link {
    /// Key (high half) and units.
    line: AtomicU64,
    /// The next line of the chain, or the next free one.
    next: AtomicU32,
}

/// All chains of one table of holds.
#[derive(Debug)]
pub(crate) struct Chains {
    links: Segments<Link>,
    free: IndexStack,
    /// The lowest index that was never handed out.
    fresh: AtomicU32,
    lines_max: u32,
    room: LineRoom,
}

impl Chains {
    /// Room for `lines_max` lines; nothing is allocated for them yet.
    pub(crate) fn new(lines_max: u32) -> Self {
        Chains {
            links: Segments::new(lines_max as usize),
            free: IndexStack::new(),
            fresh: AtomicU32::new(0),
            lines_max,
            room: LineRoom::new(lines_max),
        }
    }

    /// Makes a chain of `lines`, if there is room for all of them; returns the index of its first line. The
    /// chain is pending until it is [settled](Self::settle) or [undone](Self::undo).
    pub(super) fn add(&self, lines: &[Line]) -> Result<u32, NoLines> {
        let room = if planted(Fault::LinesByHalves) { 0 } else { lines.len() as u64 };
        self.room.take(room)?;
        let mut head = NONE;
        for line in lines.iter().rev() {
            let (index, link) = match self.take() {
                Ok(taken) => taken,
                Err(none) => {
                    self.free(head);
                    self.room.give(room, true);
                    return Err(none);
                }
            };
            // Pairs with the fence behind `read`: a reader of what is written now sees that the hold before
            // is over.
            fence(Ordering::Release);
            set(link, *line);
            link.next.store(head, Ordering::Relaxed); // published with the hold's word
            head = index;
        }
        Ok(head)
    }

    /// Takes a line. There is one, since room for it was taken: if another thread was faster at both places,
    /// a line has come back meanwhile.
    fn take(&self) -> Result<(u32, &Link), NoLines> {
        loop {
            let taken = match self.free.pop(&self.links) {
                Some(index) => Ok(index),
                None => self.take_fresh(),
            };
            match taken.and_then(|index| Ok((index, self.links.get(index as usize).ok_or(NoRoom::Full)?))) {
                Ok(taken) => return Ok(taken),
                Err(NoRoom::Growing) => return Err(NoLines::Growing),
                Err(NoRoom::Full) if planted(Fault::LinesByHalves) => {
                    return Err(NoLines::Full(self.room.seen()));
                }
                Err(NoRoom::Full) => spin_loop(),
            }
        }
    }

    fn take_fresh(&self) -> Result<u32, NoRoom> {
        let new = || Link { line: AtomicU64::new(0), next: AtomicU32::new(NONE) };
        let mut fresh = self.fresh.load(Ordering::Relaxed); // hands out numbers, nothing more
        loop {
            if fresh >= self.lines_max {
                return Err(NoRoom::Full);
            }
            self.links.get_or_grow(fresh as usize, new)?;
            match self.fresh.compare_exchange(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(fresh),
                Err(now) => fresh = now,
            }
        }
    }

    /// The chain belongs to a hold now.
    pub(super) fn settle(&self) {
        self.room.settle();
    }

    /// Returns the lines of a chain that became no hold's.
    pub(super) fn undo(&self, head: u32) {
        let lines = self.free(head);
        self.room.give(lines, true);
    }

    /// Returns the lines of a chain. Called by the owner of its hold's slot.
    pub(super) fn drop(&self, head: u32) {
        let lines = self.free(head);
        self.room.give(lines, false);
    }

    /// Whether no line was taken or returned since [`add`](Self::add) found none.
    pub(super) fn is_still(&self, seen: Seen) -> bool {
        self.room.is_still(seen)
    }

    /// Frees the lines of a chain; returns how many.
    fn free(&self, head: u32) -> u64 {
        // As in `add`: a reader of a link that is written now sees that the hold is over.
        fence(Ordering::Release);
        let (mut index, mut lines) = (head, 0);
        while let Some(link) = self.links.get(index as usize) {
            let next = link.next.load(Ordering::Relaxed); // ours
            self.free.push(&self.links, index);
            (index, lines) = (next, lines + 1);
        }
        lines
    }

    /// The lines that a chain seems to have, without those that have no units left.
    pub(crate) fn read(&self, head: u32) -> Lines {
        let mut lines = Vec::new();
        let mut index = head;
        for _ in 0..LINES_MAX {
            let Some(link) = self.links.get(index as usize) else { break };
            // Relaxed: believed only if the hold's word, which is read afterwards, still matches.
            let (line, next) = (link.line.load(Ordering::Relaxed), link.next.load(Ordering::Relaxed));
            if line as u32 != 0 {
                lines.push(Line { target: Target::of((line >> 32) as u32), units: line as u32 });
            }
            index = next;
        }
        Lines::many(lines)
    }

    /// Gives each line the units that `units` returns for its target. Called by the thread that made the hold
    /// `Changing`.
    pub(crate) fn change(&self, head: u32, units: impl Fn(Target) -> u32) {
        let mut index = head;
        while let Some(link) = self.links.get(index as usize) {
            let target = Target::of((link.line.load(Ordering::Relaxed) >> 32) as u32); // ours
            set(link, Line { target, units: units(target) });
            index = link.next.load(Ordering::Relaxed);
        }
    }
}

fn set(link: &Link, line: Line) {
    // Relaxed: published with the hold's word.
    link.line.store(u64::from(line.target.number()) << 32 | u64::from(line.units), Ordering::Relaxed);
}

impl Links for Segments<Link> {
    fn link(&self, index: u32) -> Option<&AtomicU32> {
        Some(&self.get(index as usize)?.next)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const LINES: [Line; 3] = [
        Line { target: Target::of(1), units: 5 },
        Line { target: Target::of(4), units: 1 },
        Line { target: Target::of(9), units: 2 },
    ];

    #[test]
    fn a_chain_returns_the_lines_it_was_made_of_and_those_it_was_changed_to() {
        let chains = Chains::new(8);
        let head = chains.add(&LINES).unwrap();
        assert_eq!(*chains.read(head), LINES);
        chains.change(head, |target| if target == Target::of(4) { 0 } else { 1 });
        assert_eq!(
            *chains.read(head),
            [Line { target: Target::of(1), units: 1 }, Line { target: Target::of(9), units: 1 }]
        );
    }

    #[test]
    fn returned_lines_are_used_again_and_a_chain_that_does_not_fit_takes_none() {
        let chains = Chains::new(4);
        let head = chains.add(&LINES).unwrap();
        assert_eq!(chains.add(&LINES), Err(NoLines::Unknown), "the lines may come back");
        chains.settle();
        assert!(matches!(chains.add(&LINES), Err(NoLines::Full(_))));
        chains.drop(head);
        let head = chains.add(&LINES).unwrap();
        assert_eq!(*chains.read(head), LINES);
        let last = chains.add(&LINES[..1]).unwrap();
        chains.settle();
        assert_eq!(chains.add(&LINES[..1]), Err(NoLines::Unknown));
        chains.settle();
        let Err(NoLines::Full(seen)) = chains.add(&LINES[..1]) else { panic!("there is room") };
        assert!(chains.is_still(seen));
        chains.drop(last);
        chains.undo(chains.add(&LINES[..1]).unwrap());
        assert!(!chains.is_still(seen), "as many lines are free, but not the same");
    }
}
