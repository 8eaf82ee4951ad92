//! The place of a hold.

use serde::{Deserialize, Serialize};

use crate::index::{Generation, SlotIndex};

/// The place of a hold: a slot of the table, and which of its holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct HoldPlace {
    pub slot: SlotIndex,
    pub generation: Generation,
}

impl HoldPlace {
    pub(crate) const fn new(slot: u32, generation: u32) -> HoldPlace {
        HoldPlace { slot: SlotIndex(slot), generation: Generation(generation) }
    }
}
