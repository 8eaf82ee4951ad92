//! One change of one hold's word: draw a position, swap the word, then fill the position or void it.
//!
//! # Ground rules
//!
//! 1. Load the word, draw a log position, compare-and-swap, then fill the position, or void it if the swap
//!    failed. So the log has one hold's records in the order in which they happened.
//! 2. Give back: position first, then counter. Any record that spends the freed units lies behind the record
//!    that freed them, so every prefix of the log is a valid state (O13).
//! 3. Between the hold's death and the counter's growth the units are announced in the counter, from before
//!    the swap until the swap that returns them (F11). Units that a transition needs are taken tentatively
//!    before the swap, and settled or rolled back after it.
//!
//! The race to survive: confirm, release and expire of one hold at once. Each draws; one swap wins; the
//! losers void their positions and withdraw what they announced.

use super::core::Core;
use super::pledges::{Returns, Takes};
use crate::error::{Busy, SharedError};
use crate::fault::{Fault, planted};
use crate::hold::lines::Line;
use crate::hold::slot::Slot;
use crate::hold::state::Word;
use crate::log::record::Encoded;
use crate::log::ring::Claim;
use crate::stall::{self, Step};
use crate::stock::counter::PendingFull;

/// Another transition of the hold won the swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LostRace;

/// One change of one hold, all prepared.
pub(crate) struct HoldTransition<'c, 's> {
    pub claim: Claim<'c>,
    pub record: &'s Encoded,
    pub slot: &'s Slot,
    pub from: Word,
    pub to: Word,
    /// Completed if the swap wins, else withdrawn.
    pub returns: Returns<'c>,
    /// Settled if the swap wins, else rolled back.
    pub takes: Takes<'c>,
}

impl HoldTransition<'_, '_> {
    /// Makes the change, or undoes what was pending for it; returns the position behind its record.
    /// `write_fields` writes what the word cannot say, and has returned before the record can be read.
    #[inline]
    pub(crate) fn apply(mut self, write_fields: impl FnOnce()) -> Result<u64, LostRace> {
        if planted(Fault::GiveBeforeDraw) {
            std::mem::take(&mut self.returns).complete();
        }
        stall::at(Step::Announced);
        let drawn = self.claim.draw(self.record.words());
        let end = drawn.end();
        stall::at(Step::ChangeDrawn);
        if self.slot.swap(self.from, self.to).is_err() {
            stall::at(Step::Beaten);
            if planted(Fault::FillTheLoser) {
                drawn.fill(self.record.as_bytes());
            } else {
                drawn.void();
            }
            if planted(Fault::ReleaseTwice) {
                self.returns.complete();
            } else {
                self.returns.withdraw();
            }
            self.takes.roll_back();
            return Err(LostRace);
        }
        stall::at(Step::Swapped);
        write_fields();
        drawn.fill(self.record.as_bytes());
        stall::at(Step::ChangeFilled);
        self.returns.complete();
        self.takes.settle();
        Ok(end)
    }
}

impl Core {
    /// Announces on every line's counter that its units will come back; on all of them or on none.
    #[inline]
    pub(crate) fn announce(&self, lines: &[Line]) -> Result<Returns<'_>, SharedError> {
        let mut returns = Returns::default();
        for line in lines {
            let announced = match self.good(*line) {
                Some((item, good)) => returns
                    .announce(item.counter, self.lane(good.key), good.units)
                    .map_err(|PendingFull| self.busy(Busy::Pending)),
                None => Err(SharedError::ForeignKey),
            };
            if let Err(cause) = announced {
                returns.withdraw();
                return Err(cause);
            }
        }
        Ok(returns)
    }
}
