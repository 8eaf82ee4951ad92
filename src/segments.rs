//! An array that grows without moving: readers hold references while others grow it, and nobody waits for who grows it.
//!
//! Cost: one load to find a segment.
//!
//! # Ground rules
//!
//! 1. One thread at a time grows an array; a lock that is only ever tried says who. Another that needs a new segment
//!    meanwhile is told so ([`NoRoom::Growing`]), also if it needs another one.
//! 2. A segment is published once it is whole, by the one that has the lock: so publishing meets nobody and waits
//!    for nobody, and a reader finds the segment or does not.

use crate::stall::{self, Step};
use crate::sync::{OnceLock, TryMutex};

/// Items a segment. Few under loom, which makes every atomic anew for every execution.
pub(crate) const SEGMENT_ITEMS: usize = if cfg!(stockhold_loom) { 4 } else { 4_096 };

/// Why there is no such item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoom {
    /// It would be beyond the last one.
    Full,
    /// Another thread is taking memory for the array; there may be room in a moment.
    Growing,
}

#[derive(Debug)]
pub(crate) struct Segments<T> {
    segments: Box<[OnceLock<Box<[T]>>]>,
    growing: TryMutex<()>,
}

impl<T> Segments<T> {
    /// Room for `items_max`; nothing is allocated for them yet.
    pub(crate) fn new(items_max: usize) -> Self {
        Segments {
            segments: (0..items_max.div_ceil(SEGMENT_ITEMS)).map(|_| OnceLock::new()).collect(),
            growing: TryMutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.get_in(index / SEGMENT_ITEMS, index % SEGMENT_ITEMS)
    }

    /// The item at a place of one segment.
    #[inline]
    pub(crate) fn get_in(&self, segment: usize, at: usize) -> Option<&T> {
        self.segments.get(segment)?.get()?.get(at)
    }

    /// The items of all segments that there are, each with its index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let there = (0..).step_by(SEGMENT_ITEMS).zip(&self.segments);
        there.flat_map(|(first, segment)| (first..).zip(segment.get().into_iter().flatten()))
    }

    /// Segments that there may be.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The items of one segment, each with its index; `None` if it is not there.
    pub(crate) fn segment(&self, number: usize) -> Option<impl Iterator<Item = (usize, &T)>> {
        let items = self.segments.get(number)?.get()?;
        Some((number * SEGMENT_ITEMS..).zip(items.iter()))
    }

    /// The first index whose segment is not there; the end, if all are.
    pub(crate) fn gap(&self) -> usize {
        let there = self.segments.iter().take_while(|segment| segment.get().is_some());
        there.count() * SEGMENT_ITEMS
    }

    /// The item, made by `new` with its whole segment if need be.
    #[inline]
    pub(crate) fn get_or_grow(&self, index: usize, new: impl Fn() -> T) -> Result<&T, NoRoom> {
        match self.get(index) {
            Some(item) => Ok(item),
            None => self.grow(index, new),
        }
    }

    #[cold]
    fn grow(&self, index: usize, new: impl Fn() -> T) -> Result<&T, NoRoom> {
        let segment = self.segments.get(index / SEGMENT_ITEMS).ok_or(NoRoom::Full)?;
        if segment.get().is_none() {
            let _alone = self.growing.try_lock().ok_or(NoRoom::Growing)?;
            // Whoever had the lock before may have made it: seen here, since the lock was theirs.
            if segment.get().is_none() {
                stall::at(Step::Growing);
                let _ = segment.set((0..SEGMENT_ITEMS).map(|_| new()).collect()); // nobody else sets
            }
        }
        segment.get().and_then(|items| items.get(index % SEGMENT_ITEMS)).ok_or(NoRoom::Full)
    }

    /// As if another thread were growing the array, and parked in the middle of it.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn grow_elsewhere(&self) -> impl Sized {
        self.growing.try_lock().expect("nobody grows it")
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are_while_the_array_grows() {
        let array: Segments<std::cell::Cell<usize>> = Segments::new(3 * SEGMENT_ITEMS);
        let first = array.get_or_grow(0, Default::default).unwrap();
        first.set(7);
        array.get_or_grow(2 * SEGMENT_ITEMS, Default::default).unwrap().set(9);
        assert_eq!(array.get(0).unwrap().get(), 7);
        assert!(std::ptr::eq(first, array.get(0).unwrap()));
        assert!(array.get(SEGMENT_ITEMS).is_none(), "the segment between was never needed");
        assert_eq!((array.gap(), array.iter().count()), (SEGMENT_ITEMS, 2 * SEGMENT_ITEMS));
        assert!(array.iter().any(|(index, item)| (index, item.get()) == (2 * SEGMENT_ITEMS, 9)));
        assert_eq!(array.get_or_grow(3 * SEGMENT_ITEMS, Default::default), Err(NoRoom::Full));
    }

    #[test]
    fn who_needs_what_another_is_making_is_told_so() {
        let array: Segments<u8> = Segments::new(2 * SEGMENT_ITEMS);
        array.get_or_grow(0, || 1).unwrap();
        let elsewhere = array.grow_elsewhere();
        assert_eq!(array.get_or_grow(SEGMENT_ITEMS, || 2), Err(NoRoom::Growing));
        assert_eq!(array.get_or_grow(1, || 2), Ok(&1), "what is there is there");
        drop(elsewhere);
        assert_eq!(array.get_or_grow(SEGMENT_ITEMS, || 2), Ok(&2));
    }
}
