//! Draw, swap, fill or void: how a hold changes state.
//!
//! # Ground rules
//!
//! 1. Load the word, draw a log position, compare-and-swap, then fill the position, or void it if the swap failed.
//!    So the log has one hold's records in the order in which they happened.
//! 2. Give back: position first, then counter. Any record that spends the freed units lies behind the record
//!    that freed them, so every prefix of the log is a valid state (O13).
//! 3. Between the hold's death and the counter's growth the units are announced in the counter, from before the
//!    swap until the swap that returns them (F11). Units that a transition needs are taken tentatively before the swap,
//!    and settled or rolled back after it.
//!
//! The race to survive: confirm, release and expire of one hold at once. Each draws; one swap wins; the losers
//! void theirs and un-announce.

use crate::fault::{Fault, planted};
use crate::hold::slot::Slot;
use crate::hold::state::Word;
use crate::log::record::Encoded;
use crate::log::ring::Claim;
use crate::stall::{self, Step};
use crate::stock::blocks::Lane;
use crate::stock::counter::{Counter, PendingFull, Pledge, Short};

/// Another transition of the hold was first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Beaten;

/// What is pending on one stock key.
#[derive(Clone, Copy, Debug)]
struct Pledged<'c> {
    counter: &'c Counter,
    lane: Lane<'c>,
    units: u32,
    pledge: Pledge,
}

/// What is pending on the stock keys of one transition or cart: either give-backs that are announced, or takes that may
/// roll back. The first key needs no memory.
#[derive(Debug, Default)]
#[must_use = "what is pending ends in `give` or `forgo`"]
pub(crate) struct Pledges<'c> {
    first: Option<Pledged<'c>>,
    rest: Vec<Pledged<'c>>,
}

impl<'c> Pledges<'c> {
    /// Announces that `units` will come back.
    #[inline]
    pub(crate) fn announce(
        &mut self,
        counter: &'c Counter,
        lane: Lane<'c>,
        units: u32,
    ) -> Result<(), PendingFull> {
        let pledge = counter.announce(lane)?;
        self.push(Pledged { counter, lane, units, pledge });
        Ok(())
    }

    /// Takes `units` that may have to go back.
    pub(crate) fn take(&mut self, counter: &'c Counter, lane: Lane<'c>, units: u32) -> Result<(), Short> {
        let pledge = counter.take_tentatively(lane, units)?;
        self.push(Pledged { counter, lane, units, pledge });
        Ok(())
    }

    fn push(&mut self, pledged: Pledged<'c>) {
        if self.first.is_none() {
            self.first = Some(pledged);
        } else {
            self.rest.push(pledged);
        }
    }

    /// What was announced comes back; what was taken goes back.
    #[inline]
    pub(crate) fn give(self) {
        for Pledged { counter, lane, units, pledge } in self.first.into_iter().chain(self.rest) {
            stall::at(Step::Giving);
            counter.give(lane, pledge, units);
        }
    }

    /// What was announced does not come; what was taken stays taken.
    #[inline]
    pub(crate) fn forgo(self) {
        for Pledged { counter, lane, pledge, .. } in self.first.into_iter().chain(self.rest) {
            stall::at(Step::Settling);
            counter.forgo(lane, pledge);
        }
    }
}

/// One change of one hold, all prepared.
pub(crate) struct HoldTransition<'c, 's> {
    pub claim: Claim<'c>,
    pub record: &'s Encoded,
    pub slot: &'s Slot,
    pub from: Word,
    pub to: Word,
    /// Announced: it comes back if this happens.
    pub back: Pledges<'c>,
    /// Taken tentatively: it goes back if this does not happen.
    pub taken: Pledges<'c>,
}

impl HoldTransition<'_, '_> {
    /// Makes the change, or undoes what was pending for it; the position behind its record. `then` writes what the word
    /// does not say, and is over before the record can be read.
    #[inline]
    pub(crate) fn make(mut self, then: impl FnOnce()) -> Result<u64, Beaten> {
        if planted(Fault::GiveBeforeDraw) {
            std::mem::take(&mut self.back).give();
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
                self.back.give();
            } else {
                self.back.forgo();
            }
            self.taken.give();
            return Err(Beaten);
        }
        stall::at(Step::Swapped);
        then();
        drawn.fill(self.record.as_bytes());
        stall::at(Step::ChangeFilled);
        self.back.give();
        self.taken.forgo();
        Ok(end)
    }
}
