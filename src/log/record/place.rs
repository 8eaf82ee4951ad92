//! The place of a hold.

use serde::{Deserialize, Serialize};

use crate::index::{Generation, SlotIndex};

/// Which use of which slot of the hold table.
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
