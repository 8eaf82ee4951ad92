//! An array that grows without moving: readers hold references while other threads grow it, and no thread
//! waits for the one that grows it.
//!
//! Cost: one load to find a segment.
//!
//! # Ground rules
//!
//! 1. One thread at a time grows an array: the one that has the lock, which is only ever tried. Another
//!    thread that needs a new segment meanwhile gets [`NoRoom::Growing`], also if it needs a different one.
//! 2. A segment is published once it is complete, by the thread that has the lock: so no two threads publish
//!    at a time, none waits, and a reader finds the complete segment or none.

use crate::stall::{self, Step};
use crate::sync::{OnceLock, TryMutex};

/// Items in a segment. Few under loom, which makes every atomic anew for every execution.
pub(crate) const SEGMENT_ITEMS: usize = if cfg!(stockhold_loom) { 4 } else { 4_096 };

/// Why an item cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoom {
    /// Its index is beyond the last segment.
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

    /// The item at an offset in one segment.
    #[inline]
    pub(crate) fn get_in(&self, segment: usize, at: usize) -> Option<&T> {
        self.segments.get(segment)?.get()?.get(at)
    }

    /// The items of all segments that exist, each with its index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let present = (0..).step_by(SEGMENT_ITEMS).zip(&self.segments);
        present.flat_map(|(first, segment)| (first..).zip(segment.get().into_iter().flatten()))
    }

    /// The most segments that there can be.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The items of one segment, each with its index; `None` if it does not exist.
    pub(crate) fn segment(&self, number: usize) -> Option<impl Iterator<Item = (usize, &T)>> {
        let items = self.segments.get(number)?.get()?;
        Some((number * SEGMENT_ITEMS..).zip(items.iter()))
    }

    /// The first index whose segment does not exist; the end of the array, if all do.
    pub(crate) fn gap(&self) -> usize {
        let present = self.segments.iter().take_while(|segment| segment.get().is_some());
        present.count() * SEGMENT_ITEMS
    }

    /// The item. If its segment does not exist, makes it, each item by `new`.
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
            // The thread that had the lock before may have made it. Taking the lock pairs with its release of
            // it.
            if segment.get().is_none() {
                stall::at(Step::Growing);
                let _ = segment.set((0..SEGMENT_ITEMS).map(|_| new()).collect()); // only the thread with the lock sets
            }
        }
        segment.get().and_then(|items| items.get(index % SEGMENT_ITEMS)).ok_or(NoRoom::Full)
    }

    /// Takes the lock, as if another thread were parked in the middle of growing the array.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn grow_elsewhere(&self) -> impl Sized {
        self.growing.try_lock().expect("no other thread grows it")
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
    fn a_thread_that_needs_a_segment_while_another_grows_is_told_so() {
        let array: Segments<u8> = Segments::new(2 * SEGMENT_ITEMS);
        array.get_or_grow(0, || 1).unwrap();
        let elsewhere = array.grow_elsewhere();
        assert_eq!(array.get_or_grow(SEGMENT_ITEMS, || 2), Err(NoRoom::Growing));
        assert_eq!(array.get_or_grow(1, || 2), Ok(&1), "what is there is there");
        drop(elsewhere);
        assert_eq!(array.get_or_grow(SEGMENT_ITEMS, || 2), Ok(&2));
    }
}
