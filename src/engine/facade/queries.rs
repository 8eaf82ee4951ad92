//! Queries, and the time.

use std::time::Duration;

use super::Engine;
use crate::answer::{BlockingHolds, HoldStatus, Level};
use crate::clock::Timestamp;
use crate::error::{ClockError, LookupError, StockError};
use crate::metrics::Metrics;
use crate::types::{HoldId, StockKey};

/// # Queries
impl Engine {
    /// The moment at which the sale of a key opens, if one is set: one load. `None` once the sale was opened
    /// or stopped by the switch.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn opens_at(&self, key: StockKey) -> Result<Option<Timestamp>, StockError> {
        Ok(self.inner.core.item(key)?.opens_at())
    }

    /// About what is on sale now: one load, or one for each cell of a hot key, added up while sales go on.
    /// Holds that are due and not yet expired count as held. Writes nothing, so it can be polled.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn available(&self, key: StockKey) -> Result<i64, StockError> {
        let core = &self.inner.core;
        Ok(core.item(key)?.counter.approximate(core.lane(key.index)))
    }

    /// What is on sale at one instant of this call, exactly: all holds that were due are expired, and no
    /// units were on their way back. Gathers a hot key's cells for an instant and spreads them again, which
    /// costs its buyers some hundred nanoseconds.
    ///
    /// # Errors
    ///
    /// `Busy` if units stay on their way back longer than a short spin.
    pub fn available_exactly(&self, key: StockKey) -> Result<i64, StockError> {
        Ok(self.inner.core.available_exactly(key)?)
    }

    /// The book of a key at one position of the log, at least as new as every answer given before this call.
    /// Waits for the fold to reach that position. After a failure of the log it is the last book there was.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn level(&self, key: StockKey) -> Result<Level, StockError> {
        Ok(self.inner.core.level(key)?)
    }

    /// A hold as it is now. A hold whose deadline has passed is expired first; if the log is full or has
    /// failed, the hold is shown as it was, with the deadline that has passed.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: no such hold, or it is no longer remembered, or another call is changing it at this
    /// moment.
    pub fn status(&self, hold: HoldId) -> Result<HoldStatus, LookupError> {
        let core = &self.inner.core;
        core.status(hold, core.now())
    }

    /// The holds, live or remembered, that carry a reference. Waits for the fold as [`level`](Self::level)
    /// does.
    pub fn holds_of(&self, reference: impl AsRef<[u8]>) -> Vec<HoldStatus> {
        let core = &self.inner.core;
        core.holds_of(reference.as_ref(), core.now())
    }

    /// The live holds of a key, which a refused reserve might wait for: "try again in 40 s". Read now, after
    /// the refusal. Cost: reads every hold.
    ///
    /// # Errors
    ///
    /// A key of another directory.
    pub fn blocking_holds(&self, key: StockKey) -> Result<BlockingHolds, StockError> {
        let core = &self.inner.core;
        Ok(core.blocking_holds(key, core.now())?)
    }

    /// All counts of the engine. Cost: a few hundred loads; reads every hold while some are due.
    pub fn metrics(&self) -> Metrics {
        self.inner.core.metrics()
    }

    /// Does the work of the driver thread once: expires what is due and returns how many holds that were,
    /// forgets op keys past their retention window, and ships commitments older than
    /// [`commitments_kept`](crate::Config::commitments_kept), up to 1,024 a call.
    pub fn sweep(&self) -> usize {
        let core = &self.inner.core;
        let now = core.now();
        core.clean_up(now);
        core.ship_overdue(now);
        core.save_time();
        core.sweep(now)
    }

    /// Accepts the wall clock as right: engine time becomes the wall's time at once, if that is later.
    /// Returns by how much it stepped ahead.
    ///
    /// For an operator who has checked the clock after [`Metrics::clock_unbelieved`](crate::Metrics) rose:
    /// the machine was paused in a way that its clocks did not count, or the wall was wrong before. Every
    /// hold whose deadline has passed by the wall expires, also one that was made since the wall jumped,
    /// whose deadline was computed from the time before. A wall that is behind changes nothing: engine time
    /// never falls, and runs slower until the wall has caught up. If that takes too long, or a wrong wall was
    /// accepted, [`Inspection::set_time`](crate::inspect::Inspection::set_time) makes a copy with the right time.
    ///
    /// # Errors
    ///
    /// [`ClockError::OutOfRange`] if the wall clock is not in the years 2020 to 2078: no later opening could go on
    /// from such a time. Engine time is as it was.
    pub fn accept_clock(&self) -> Result<Duration, ClockError> {
        let core = &self.inner.core;
        let stepped = core.time.accept()?;
        core.save_time();
        Ok(stepped)
    }

    /// Engine time.
    pub fn now(&self) -> Timestamp {
        self.inner.core.now()
    }
}
