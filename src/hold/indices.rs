//! Indices of slots between two owners: a stack of free ones, and a queue of those with expired holds.
//!
//! # Ground rules
//!
//! 1. No operation waits for another thread, wherever that thread stopped: the stack's loops repeat only
//!    because another operation succeeded, and the queue's operations have a fixed bound.
//! 2. The stack links its indices through the slots themselves ([`Links`]): an index is in one stack, once. A
//!    tag beside the head guards against the stack changing under a pop (ABA).
//! 3. The queue stores the indices in places of its own, because the same index may be in it twice: a slot
//!    whose hold was retaken leaves its index behind, and is queued again with a later hold. So each index is
//!    stored with the tag of its hold's word. An index that comes out is only a hint: a swap of that same
//!    word decides which of two threads gets the slot.
//! 4. The queue has a fixed number of places: when all are taken, each index that goes in pushes one out. An
//!    index enters and leaves by a swap of its place, so it comes out once for each time it went in.
//!    It is counted as in from before it enters until the caller has [dealt with](IndexQueue::done) it. So of
//!    a queue that counts none, none is on its way.
//! 5. The order of the queue is that of the positions its pushers drew. A pusher that sleeps between drawing
//!    and swapping for a whole lap pushes out a younger index than it should; it has no other effect.

use crossbeam::utils::CachePadded;

use crate::fault::{Fault, planted};
use crate::segments::{SEGMENT_ITEMS, Segments};
use crate::stall::{self, Step};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// Access to the links of a stack: one for each slot, used by that stack alone.
pub(crate) trait Links {
    /// The link of the slot with this index; `None` if there is no such slot.
    fn link(&self, index: u32) -> Option<&AtomicU32>;
}

/// A stack of free slots: the slot that was freed last comes out first (Treiber's stack).
#[derive(Debug)]
pub(crate) struct IndexStack {
    /// Tag (high half), and the index on top.
    head: CachePadded<AtomicU64>,
}

impl IndexStack {
    pub(crate) fn new() -> Self {
        IndexStack { head: CachePadded::new(AtomicU64::new(u64::from(NONE))) }
    }

    /// Adds a slot. Called by its owner, who owns it no longer.
    #[inline]
    pub(crate) fn push(&self, links: &impl Links, index: u32) {
        let Some(link) = links.link(index) else { return };
        let mut head = self.head.load(Ordering::Relaxed); // the swap re-checks it
        loop {
            link.store(head as u32, Ordering::Relaxed); // released by the swap
            // Release: hands the slot over to the thread that pops it; pairs with the Acquires in `pop`.
            match self.head.compare_exchange_weak(
                head,
                tagged(head, index),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// A number that every push and pop changes; `None` if a slot is in the stack.
    pub(crate) fn mark(&self) -> Option<u64> {
        let head = self.head.load(Ordering::Acquire); // pairs with the push and the pop
        (head as u32 == NONE).then_some(head >> 32)
    }

    /// Removes a slot, which the caller owns from now on.
    #[inline]
    pub(crate) fn pop(&self, links: &impl Links) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire); // pairs with the push, so the link is the one it wrote
        loop {
            let index = head as u32;
            let link = links.link(index)?;
            let next = link.load(Ordering::Relaxed); // believed only if the tag has not changed
            stall::at(Step::Popping);
            // AcqRel: acquires from the push, so the popper sees what the pusher wrote to the slot; the pushes of
            // other slots are released by their own swaps, whose release sequence this swap continues. Releases
            // to `mark`: who sees that this slot is gone sees what the popper gave back before.
            match self.head.compare_exchange_weak(
                head,
                tagged(head, next),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
    }
}

/// The head that follows `head`, with `index` on top.
fn tagged(head: u64, index: u32) -> u64 {
    let step = if planted(Fault::ForgetTag) { 0 } else { 1 };
    (head >> 32).wrapping_add(step) << 32 | u64::from(index)
}

/// An index and the tag of the hold in its slot, in one number, so that one swap moves both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Queued(u64);

impl Queued {
    pub(crate) fn new(index: u32, tag: u32) -> Queued {
        Queued(u64::from(tag) << 32 | u64::from(index))
    }

    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The value of an empty place.
const NOTHING: u64 = u64::MAX;

/// A queue of a fixed number of indices, oldest first. A push into a full queue returns the oldest.
#[derive(Debug)]
pub(crate) struct IndexQueue {
    places: Segments<AtomicU64>,
    size: u32,
    /// Positions drawn (high half), and how many indices are in, or about to be.
    state: CachePadded<AtomicU64>,
    /// Where the last pop found an index: the next pop starts there.
    popped: CachePadded<AtomicU32>,
}

/// One position, and one index more.
const ONE_MORE: u64 = 1 << 32 | 1;
/// One index less.
const ONE_LESS: u64 = 1;

impl IndexQueue {
    /// A queue of `size` indices. Memory is taken as they are added.
    pub(crate) fn new(size: u32) -> Self {
        let places = Segments::new(size as usize);
        let _ = places.get_or_grow(0, empty); // so that a push always finds a place, unless the size is 0
        IndexQueue {
            places,
            size,
            state: CachePadded::new(AtomicU64::new(0)),
            popped: CachePadded::new(AtomicU32::new(0)),
        }
    }

    /// Adds `queued`; returns the index that has been in the queue longest if all places were taken, for
    /// [`done`](Self::done).
    pub(crate) fn push(&self, queued: Queued) -> Option<Queued> {
        // Relaxed: draws a number. The index is counted before it is in, so the count is never too low.
        let position = (self.state.fetch_add(ONE_MORE, Ordering::Relaxed) >> 32) as u32;
        if self.size == 0 {
            return Some(queued);
        }
        stall::at(Step::Burying);
        let at = (position % self.size) as usize;
        // While another thread takes memory for this place, one of the first segment will do: the oldest are
        // there.
        let grown = self.places.get_or_grow(at, empty).ok();
        let out = match grown.or_else(|| self.places.get(at % SEGMENT_ITEMS)) {
            // AcqRel: the thread that gets the index out sees the word that its slot had when the index went
            // in, or a later one; pairs with itself and with the swap in `pop`.
            Some(place) => place.swap(queued.0, Ordering::AcqRel),
            None => queued.0,
        };
        (out != NOTHING).then_some(Queued(out))
    }

    /// Ends the count of an index that came out.
    pub(crate) fn done(&self) {
        // Behind its own ONE_MORE, by the Acquire of the swap that took it out. Release: who sees that the queue
        // counts none sees what was done with the index; pairs with `mark`.
        self.state.fetch_sub(ONE_LESS, Ordering::Release);
    }

    /// A number that every push changes; `None` while an index is in the queue, or on its way into or out of it.
    pub(crate) fn mark(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire); // pairs with `done`
        (state as u32 == 0).then_some(state >> 32)
    }

    /// Removes the oldest index, for [`done`](Self::done); `None` if no index was in the queue during the whole
    /// call.
    pub(crate) fn pop(&self) -> Option<Queued> {
        // Relaxed: a push that happened before this call is counted here, by coherence alone.
        let state = self.state.load(Ordering::Relaxed);
        let next = (state >> 32) as u32;
        if state as u32 == 0 {
            return None;
        }
        let popped = self.popped.load(Ordering::Relaxed); // only where to begin, so any value is correct
        let behind = next.wrapping_sub(popped).min(self.size);
        // All places, the oldest first. The last ones were passed by before: a slow pusher may have filled
        // one since.
        for step in 0..self.size {
            let position = next.wrapping_sub(behind).wrapping_add(step);
            let Some(place) = self.places.get((position % self.size) as usize) else { continue };
            if place.load(Ordering::Relaxed) == NOTHING {
                continue;
            }
            // Acquire: pairs with the AcqRel in `push`.
            let out = place.swap(NOTHING, Ordering::Acquire);
            if out != NOTHING {
                self.popped.store(position.wrapping_add(1), Ordering::Relaxed);
                return Some(Queued(out));
            }
        }
        None
    }
}

/// Indices alone, for tests that have no holds.
#[cfg(test)]
impl IndexQueue {
    pub(crate) fn put(&self, index: u32) -> Option<u32> {
        self.push(Queued::new(index, 0)).map(Queued::index).inspect(|_| self.done())
    }

    pub(crate) fn get(&self) -> Option<u32> {
        self.pop().map(Queued::index).inspect(|_| self.done())
    }
}

fn empty() -> AtomicU64 {
    AtomicU64::new(NOTHING)
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    impl Links for Vec<AtomicU32> {
        fn link(&self, index: u32) -> Option<&AtomicU32> {
            self.get(index as usize)
        }
    }

    #[test]
    fn the_last_freed_comes_first() {
        let links: Vec<_> = (0..3).map(|_| AtomicU32::new(NONE)).collect();
        let stack = IndexStack::new();
        assert_eq!(stack.pop(&links), None);
        [0, 2, 1, 7].into_iter().for_each(|index| stack.push(&links, index)); // 7: no such slot
        assert_eq!([(); 4].map(|()| stack.pop(&links)), [Some(1), Some(2), Some(0), None]);
    }

    #[test]
    fn one_in_one_out_oldest_first() {
        let queue = IndexQueue::new(3);
        assert_eq!([5, 6, 7, 8, 9].map(|index| queue.put(index)), [None, None, None, Some(5), Some(6)]);
        assert_eq!(queue.get(), Some(7));
        assert_eq!([1, 2].map(|index| queue.put(index)), [None, Some(8)]);
        assert_eq!([(); 4].map(|()| queue.get()), [Some(9), Some(1), Some(2), None]);
    }

    #[test]
    fn a_queue_of_size_zero_returns_what_is_pushed() {
        let queue = IndexQueue::new(0);
        assert_eq!((queue.put(4), queue.get()), (Some(4), None));
    }

    #[test]
    fn positions_wrap() {
        let queue = IndexQueue::new(3);
        queue.state.store(u64::from(u32::MAX - 1) << 32, Ordering::Relaxed);
        let mut out: Vec<_> = (0..8).filter_map(|index| queue.put(index)).collect();
        out.extend(std::iter::from_fn(|| queue.get()));
        out.sort_unstable();
        assert_eq!(out, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_pusher_that_stops_in_the_middle_delays_no_other_thread() {
        let queue = IndexQueue::new(2);
        assert_eq!(queue.put(1), None);
        queue.state.fetch_add(ONE_MORE, Ordering::Relaxed); // stopped between drawing and swapping
        assert_eq!(queue.put(2), Some(1), "a lap on");
        assert_eq!([(); 3].map(|()| queue.get()), [Some(2), None, None]);
        assert_eq!(queue.put(3), None);
        assert_eq!(queue.get(), Some(3));
    }

    #[test]
    fn a_push_does_not_wait_for_a_place_that_another_thread_makes() {
        let queue = IndexQueue::new(2 * SEGMENT_ITEMS as u32);
        let of_first = SEGMENT_ITEMS as u32;
        assert!((0..of_first).all(|index| queue.put(index).is_none()));
        let elsewhere = queue.places.grow_elsewhere();
        assert_eq!(queue.put(of_first), Some(0), "as the oldest would in a smaller queue");
        drop(elsewhere);
        assert_eq!(queue.put(of_first + 1), None);
        let mut out: Vec<_> = std::iter::from_fn(|| queue.get()).collect();
        out.sort_unstable();
        assert_eq!(out, (1..of_first + 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_that_a_slow_pusher_adds_late_is_found() {
        let queue = IndexQueue::new(4);
        queue.state.fetch_add(ONE_MORE, Ordering::Relaxed); // drew position 0
        assert_eq!(queue.put(1), None);
        assert_eq!((queue.get(), queue.get()), (Some(1), None), "position 0 was passed by");
        queue.places.get(0).unwrap().store(Queued::new(9, 0).0, Ordering::Release);
        assert_eq!((queue.get(), queue.get()), (Some(9), None));
    }
}
