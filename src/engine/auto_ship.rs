//! Commitments that nobody ships: after a time they count as shipped.
//!
//! Rounds are made over the table of holds, a few of its segments at a time: the first as soon as the directory is open,
//! so that no restart puts it off, each later one spread over a part of that time. A hold that is found too old takes the way
//! of any shipment, by the same swap, so that whatever else happens to it has one winner. It costs the sales path nothing.

use super::core::Core;
use super::lookup::{FoundHold, HoldRead};
use super::selection::Selection;
use crate::clock::Timestamp;
use crate::error::{Busy, HoldError, SharedError};
use crate::hold::slot::Slot;
use crate::hold::state::Phase;
use crate::log::record::HoldPlace;
use crate::metrics::Count;
use std::time::Duration;

/// Rounds that are made in the time that commitments are kept.
const ROUNDS: u128 = 16;
/// Segments of the table that one turn looks at, and shipments that it makes: at most some hundred microseconds of work.
const SEGMENTS_A_TURN: usize = 16;
const SHIPMENTS_A_TURN: usize = 1_024;

/// How far the rounds are.
#[derive(Debug, Default)]
pub(crate) struct ShipRound {
    /// The segment that is next.
    next: usize,
    /// Segments that were passed in this opening, and those that were let go because time ran ahead.
    passed: u128,
}

impl Core {
    /// A turn of the round that is under way, if it is time for one; how many commitments were taken for shipped.
    pub(crate) fn ship_by_time(&self, now: Timestamp) -> usize {
        let Some(kept) = self.config.commitments_kept else { return 0 };
        let Some(mut round) = self.round.try_lock() else { return 0 };
        let segments = self.holds.segments();
        // The first round is due at once.
        let whole = segments as u128;
        let due = whole + now.since(self.opened_at).as_millis() * whole * ROUNDS / kept.as_millis().max(1);
        round.passed = round.passed.max(due - whole);
        let (mut looked_at, mut shipped) = (0, 0);
        while round.passed < due && looked_at < SEGMENTS_A_TURN {
            let slots = self.holds.segment(round.next);
            looked_at += usize::from(slots.is_some());
            for (slot, item) in slots.into_iter().flatten() {
                match self.ship_if_past(slot, item, kept, now) {
                    Ok(one) => shipped += usize::from(one),
                    // There is no room for it now, or never will be: the next turn begins here.
                    Err(HoldError::Shared(SharedError::Busy(Busy::LogBehind) | SharedError::Stopped(_))) => {
                        return shipped;
                    }
                    // Another was first, or is about to be.
                    Err(_) => {}
                }
                if shipped == SHIPMENTS_A_TURN {
                    return shipped;
                }
            }
            round.next = (round.next + 1) % segments;
            round.passed += 1;
        }
        shipped
    }

    /// Ships all that is left of a hold that was born too long ago; whether there was such a one.
    fn ship_if_past(
        &self,
        slot: u32,
        item: &Slot,
        kept: Duration,
        now: Timestamp,
    ) -> Result<bool, HoldError> {
        if item.word().phase() != Phase::Confirmed {
            return Ok(false);
        }
        let generation = item.fields().generation;
        let HoldRead::Here(hold) = self.try_read(item, generation) else { return Ok(false) };
        if hold.word.phase() != Phase::Confirmed || hold.facts.born.plus(kept) > now {
            return Ok(false);
        }
        let found = FoundHold { slot: item, place: HoldPlace { slot, generation }, hold };
        self.ship_found(found, Selection::FullState, now, None)?;
        self.count(Count::ShippedByTime);
        Ok(true)
    }
}
