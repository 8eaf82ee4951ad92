//! Hold ids: slot, generation, and a keyed hash of them under the directory's secret.
//!
//! The id locates the hold without a lookup and takes no bytes in the log. It cannot be guessed: the hash is
//! SipHash-2-4 (Aumasson and Bernstein, 2012) under a secret that never leaves the directory.
//!
//! ```text
//! bit 127 ... 96  95 ........ 64  63 ............ 0
//!     slot        generation      keyed hash of both and of the opening
//! ```
//!
//! The low bits of the opening (the epoch) are hashed too. A hold that was granted, never reported as
//! durable, and lost in a crash leaves its slot and generation to another hold; its id is then not mistaken
//! for that hold's.

use siphasher::sip::SipHasher24;

use crate::log::record::HoldPlace;
use crate::types::HoldId;

/// The number of openings that an id distinguishes.
pub(crate) const EPOCHS: u32 = 16;

/// Makes and reads the ids of one directory.
#[derive(Clone, Debug)]
pub(crate) struct HoldIds {
    keyed: SipHasher24,
}

impl HoldIds {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        HoldIds { keyed: SipHasher24::new_with_key(&secret) }
    }

    /// The id of the hold at `place`, made in an opening whose number is `epoch` modulo [`EPOCHS`].
    pub(crate) fn id(&self, place: HoldPlace, epoch: u32) -> HoldId {
        let located = u64::from(place.slot.0) << 32 | u64::from(place.generation.0);
        HoldId(u128::from(located) << 64 | u128::from(self.hash(located, epoch % EPOCHS)))
    }

    /// The place in an id. To be trusted only if [`id`](Self::id) makes the same id of it.
    pub(crate) fn place(id: HoldId) -> HoldPlace {
        HoldPlace::new((id.0 >> 96) as u32, (id.0 >> 64) as u32)
    }

    /// Whether this directory made the id, in any opening.
    pub(crate) fn is_ours(&self, id: HoldId) -> bool {
        (0..EPOCHS).any(|epoch| self.id(HoldIds::place(id), epoch) == id)
    }

    fn hash(&self, located: u64, epoch: u32) -> u64 {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&located.to_le_bytes());
        bytes[8..].copy_from_slice(&epoch.to_le_bytes());
        self.keyed.hash(&bytes)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::index::{Generation, SlotIndex};

    #[test]
    fn an_id_names_its_place_and_cannot_be_made_without_the_secret() {
        let ids = HoldIds::new([1; 16]);
        let place = HoldPlace { slot: SlotIndex(77), generation: Generation(u32::MAX) };
        let id = ids.id(place, 3);
        assert_eq!(HoldIds::place(id), place);
        assert!(ids.is_ours(id));
        assert!(!HoldIds::new([2; 16]).is_ours(id));
        assert!(!ids.is_ours(HoldId(id.0 ^ 1)), "another hash");
        assert!(!ids.is_ours(HoldId(id.0 ^ 1 << 64)), "another generation");
    }

    #[test]
    fn the_same_place_in_another_opening_has_another_id() {
        let ids = HoldIds::new([1; 16]);
        let place = HoldPlace::new(0, 1);
        assert_ne!(ids.id(place, 1), ids.id(place, 2));
    }

    /// Callers store ids in their databases, so ids must not change.
    #[test]
    fn a_golden_id() {
        let id = HoldIds::new(*b"0123456789abcdef").id(HoldPlace::new(5, 9), 1);
        assert_eq!(id.to_string(), include_str!("golden_id.txt").trim_end());
    }
}
