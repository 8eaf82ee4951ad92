//! The folded holds, by slot.

use super::hold::FoldedHold;
use super::pages::Pages;
use crate::index::SlotIndex;

/// The folded holds. A hold stays until its slot is used again, as in the live table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(Pages<Option<FoldedHold>, 512>);

impl Holds {
    pub(crate) fn get(&self, slot: SlotIndex) -> Option<&FoldedHold> {
        self.0.get(slot.0)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: SlotIndex) -> Option<&mut FoldedHold> {
        self.0.get_mut(slot.0)?.as_mut()
    }

    pub(crate) fn insert(&mut self, slot: SlotIndex, hold: FoldedHold) {
        self.0.set(slot.0, Some(hold));
    }

    /// An upper bound of their number.
    pub(crate) fn len_max(&self) -> usize {
        self.0.room()
    }

    /// All holds in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotIndex, &FoldedHold)> {
        self.0.iter().filter_map(|(slot, hold)| Some((SlotIndex(slot), hold.as_ref()?)))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &FoldedHold> {
        self.iter().map(|(_, hold)| hold)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut FoldedHold> {
        self.0.values_mut().flatten()
    }
}
