//! Ships commitments that were not shipped within [`commitments_kept`](crate::Config::commitments_kept).
//!
//! The driver searches the table of holds in rounds, a few segments at a time: the first round as soon as the
//! directory is open, so that no restart delays it, each later one spread over a part of that time. A hold
//! that is too old is shipped like any other, by the same swap, so that it has one outcome whatever else
//! happens to it. It costs the sales path nothing.

use super::core::Core;
use super::lookup::{FoundHold, HoldRead};
use super::selection::Selection;
use crate::clock::Timestamp;
use crate::error::{Busy, HoldError, SharedError};
use crate::hold::slot::Slot;
use crate::hold::state::Phase;
use crate::index::SlotIndex;
use crate::log::record::HoldPlace;
use crate::metrics::Count;
use std::time::Duration;

/// Rounds over the table in the time that commitments are kept.
const ROUNDS: u128 = 16;
/// Segments of the table that one call searches, and shipments that it makes: at most some hundred
/// microseconds of work.
const SEGMENTS_PER_CALL: usize = 16;
const SHIPMENTS_PER_CALL: usize = 1_024;

impl Core {
    /// Searches the segments whose time has come, and ships overdue commitments; returns how many.
    pub(crate) fn ship_overdue(&self, now: Timestamp) -> usize {
        let Some(kept) = self.config.commitments_kept else { return 0 };
        let Some(mut round) = self.ship_round.try_lock() else { return 0 };
        let segments = self.holds.segments();
        // The first round is due at once.
        let all = segments as u128;
        let due = all + now.since(self.opened_at).as_millis() * all * ROUNDS / kept.as_millis().max(1);
        round.passed = round.passed.max(due - all);
        let (mut searched, mut shipped) = (0, 0);
        while round.passed < due && searched < SEGMENTS_PER_CALL {
            let slots = self.holds.segment(round.next);
            searched += usize::from(slots.is_some());
            for (slot, item) in slots.into_iter().flatten() {
                match self.ship_if_overdue(slot, item, kept, now) {
                    Ok(one) => shipped += usize::from(one),
                    // The log has no room now, or has ended: the next call begins at this segment.
                    Err(HoldError::Shared(SharedError::Busy(Busy::LogBehind) | SharedError::Stopped(_))) => {
                        return shipped;
                    }
                    // Another thread was faster, or is about to be.
                    Err(_) => {}
                }
                if shipped == SHIPMENTS_PER_CALL {
                    return shipped;
                }
            }
            round.next = (round.next + 1) % segments;
            round.passed += 1;
        }
        shipped
    }

    /// Ships all that is left of a hold that was made too long ago; whether it was such a hold.
    fn ship_if_overdue(
        &self,
        slot: SlotIndex,
        item: &Slot,
        kept: Duration,
        now: Timestamp,
    ) -> Result<bool, HoldError> {
        if item.word().phase() != Phase::Confirmed {
            return Ok(false);
        }
        let generation = item.fields().generation;
        let HoldRead::Read(hold) = self.try_read(item, generation) else { return Ok(false) };
        if hold.word.phase() != Phase::Confirmed || hold.fields.born.plus(kept) > now {
            return Ok(false);
        }
        let found = FoundHold { slot: item, place: HoldPlace { slot, generation }, hold };
        self.ship_found(found, Selection::All, now, None)?;
        self.count(Count::ShippedByTime);
        Ok(true)
    }
}
