//! An array in pages, indexed by slot or key: no hashing, and a high index alone takes little memory.

/// See the module. An entry that was never set has the default value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages<T, const PAGE_SLOTS: usize>(Vec<Option<Box<[T]>>>);

impl<T: Clone + Default, const PAGE_SLOTS: usize> Pages<T, PAGE_SLOTS> {
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.0.get(slot as usize / PAGE_SLOTS)?.as_ref()?.get(slot as usize % PAGE_SLOTS)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.0.get_mut(slot as usize / PAGE_SLOTS)?.as_mut()?.get_mut(slot as usize % PAGE_SLOTS)
    }

    pub(crate) fn set(&mut self, slot: u32, value: T) {
        let page = slot as usize / PAGE_SLOTS;
        if page >= self.0.len() {
            self.0.resize(page + 1, None);
        }
        let page = self.0[page].get_or_insert_with(|| vec![T::default(); PAGE_SLOTS].into());
        page[slot as usize % PAGE_SLOTS] = value;
    }

    /// The number of entries that the existing pages have room for.
    pub(crate) fn room(&self) -> usize {
        self.0.iter().flatten().count() * PAGE_SLOTS
    }

    /// The entries of all existing pages, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let pages = self.0.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_ref()?)));
        pages.flat_map(|(at, page)| ((at * PAGE_SLOTS) as u32..).zip(page.iter()))
    }

    /// The same, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten().flatten()
    }
}
