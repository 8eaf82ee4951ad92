//! An array that grows without moving: readers hold references while others grow it.
//!
//! Cost: one load to find a segment. Growing allocates the segment first and then publishes it; whoever loses
//! the race to publish drops its own.

use std::sync::OnceLock;

/// Items a segment. Few under loom, which makes every atomic anew for every execution.
const SEGMENT_ITEMS: usize = if cfg!(stockhold_loom) { 4 } else { 4_096 };

#[derive(Debug)]
pub(crate) struct Segments<T> {
    segments: Box<[OnceLock<Box<[T]>>]>,
}

impl<T> Segments<T> {
    /// Room for `items_max`; nothing is allocated for them yet.
    pub(crate) fn new(items_max: usize) -> Self {
        Segments { segments: (0..items_max.div_ceil(SEGMENT_ITEMS)).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.segments.get(index / SEGMENT_ITEMS)?.get()?.get(index % SEGMENT_ITEMS)
    }

    /// The item, made by `new` with its whole segment if need be; `None` beyond `items_max`.
    pub(crate) fn get_or_grow(&self, index: usize, new: impl Fn() -> T) -> Option<&T> {
        let segment = self.segments.get(index / SEGMENT_ITEMS)?;
        if segment.get().is_none() {
            let fresh = (0..SEGMENT_ITEMS).map(|_| new()).collect();
            let _ = segment.set(fresh); // lost the race: the other's is as good
        }
        segment.get()?.get(index % SEGMENT_ITEMS)
    }
}

#[cfg(test)]
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
        assert!(array.get_or_grow(3 * SEGMENT_ITEMS, Default::default).is_none());
    }
}
