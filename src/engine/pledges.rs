//! What one operation has pending on its stock keys: units taken tentatively, or units announced to come
//! back.
//!
//! Both are counted in the counter's `pending`, so that no call is refused because of them (F11, F14). Each
//! ends in one of two ways: [`Takes`] are settled or rolled back, [`Returns`] are completed or withdrawn.

use crate::stall::{self, Step};
use crate::stock::blocks::Lane;
use crate::stock::counter::{Counter, PendingFull, Pledge, Short};

/// What is pending on one stock key.
#[derive(Clone, Copy, Debug)]
struct Pending<'c> {
    counter: &'c Counter,
    lane: Lane<'c>,
    units: u32,
    pledge: Pledge,
}

impl Pending<'_> {
    /// Adds the units to the counter, and ends the pledge.
    #[inline]
    fn add_units(self) {
        stall::at(Step::Giving);
        self.counter.give(self.lane, self.pledge, self.units);
    }

    /// Ends the pledge, and changes nothing else.
    #[inline]
    fn end(self) {
        stall::at(Step::Settling);
        self.counter.clear_pending(self.lane, self.pledge);
    }
}

/// What is pending, in the order in which it came. The first key needs no memory.
#[derive(Debug, Default)]
struct PendingList<'c> {
    first: Option<Pending<'c>>,
    rest: Vec<Pending<'c>>,
}

impl<'c> PendingList<'c> {
    #[inline]
    fn push(&mut self, pending: Pending<'c>) {
        if self.first.is_none() {
            self.first = Some(pending);
        } else {
            self.rest.push(pending);
        }
    }

    #[inline]
    fn into_iter(self) -> impl Iterator<Item = Pending<'c>> {
        self.first.into_iter().chain(self.rest)
    }
}

/// Units that were taken and may yet go back.
#[derive(Debug, Default)]
#[must_use = "tentative takes stay pending until they are settled or rolled back"]
pub(crate) struct Takes<'c>(PendingList<'c>);

impl<'c> Takes<'c> {
    /// Takes `units` tentatively.
    pub(crate) fn take(&mut self, counter: &'c Counter, lane: Lane<'c>, units: u32) -> Result<(), Short> {
        let pledge = counter.take_tentatively(lane, units)?;
        self.0.push(Pending { counter, lane, units, pledge });
        Ok(())
    }

    /// Commits: the units stay taken.
    #[inline]
    pub(crate) fn settle(self) {
        self.0.into_iter().for_each(Pending::end);
    }

    /// Aborts: the units go back.
    #[inline]
    pub(crate) fn roll_back(self) {
        self.0.into_iter().for_each(Pending::add_units);
    }
}

/// Units that are announced to come back on sale.
#[derive(Debug, Default)]
#[must_use = "announced returns stay pending until they are completed or withdrawn"]
pub(crate) struct Returns<'c>(PendingList<'c>);

impl<'c> Returns<'c> {
    /// Announces that `units` will come back.
    #[inline]
    pub(crate) fn announce(
        &mut self,
        counter: &'c Counter,
        lane: Lane<'c>,
        units: u32,
    ) -> Result<(), PendingFull> {
        let pledge = counter.announce(lane)?;
        self.0.push(Pending { counter, lane, units, pledge });
        Ok(())
    }

    /// Commits: the units come back on sale.
    #[inline]
    pub(crate) fn complete(self) {
        self.0.into_iter().for_each(Pending::add_units);
    }

    /// Aborts: the units do not come back.
    #[inline]
    pub(crate) fn withdraw(self) {
        self.0.into_iter().for_each(Pending::end);
    }
}
