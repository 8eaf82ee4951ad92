//! Folded holds by slot: pages of them, so that ten million cost no hashing and a stray one little memory.

use super::hold::FoldedHold;

const PAGE_SLOTS: usize = 512;

type Page = Box<[Option<FoldedHold>]>;

/// See the module. A hold stays until its slot is used again, as in the live table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    pages: Vec<Option<Page>>,
}

impl Holds {
    pub(crate) fn get(&self, slot: u32) -> Option<&FoldedHold> {
        self.pages.get(slot as usize / PAGE_SLOTS)?.as_ref()?.get(slot as usize % PAGE_SLOTS)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut FoldedHold> {
        self.pages
            .get_mut(slot as usize / PAGE_SLOTS)?
            .as_mut()?
            .get_mut(slot as usize % PAGE_SLOTS)?
            .as_mut()
    }

    pub(crate) fn insert(&mut self, slot: u32, hold: FoldedHold) {
        let page = slot as usize / PAGE_SLOTS;
        if page >= self.pages.len() {
            self.pages.resize(page + 1, None);
        }
        let page = self.pages[page].get_or_insert_with(|| vec![None; PAGE_SLOTS].into());
        page[slot as usize % PAGE_SLOTS] = Some(hold);
    }

    /// All of them, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &FoldedHold)> {
        let pages = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_ref()?)));
        pages.flat_map(|(at, page)| {
            let slots = (at * PAGE_SLOTS) as u32..;
            slots.zip(page.iter()).filter_map(|(slot, hold)| Some((slot, hold.as_ref()?)))
        })
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &FoldedHold> {
        self.iter().map(|(_, hold)| hold)
    }
}
