//! The take: looks at stock, reclaims what is due, takes units, and tries again until there is an answer.
//!
//! Every operation that needs units is a series of attempts: a reserve, a batch, a cart, a replacement, a
//! late confirm, an exact query. An attempt has four steps.
//!
//! 1. **Check** all counters, before anything is taken. Out of stock is answered here and nowhere else, and
//!    only if at one instant a counter had too few units with nothing pending and no hold due.
//! 2. **Prepare** everything that can fail: a slot or a chain of lines, the record, room in the log.
//! 3. **Take** from each counter in the order of the keys. An operation with one counter takes for good; one
//!    with several takes [tentatively](super::pledges::Takes), so that it can roll back.
//! 4. **Finish**: draw the position, make the change visible, fill the record. Nothing can fail here.
//!
//! A limit is one more counter in these steps: a line whose [target](crate::index::Target) is not a good.
//! None exists yet.
//!
//! An attempt that another thread has overtaken undoes what it did and returns `None`.
//! [`retry_until_decided`] then makes the next one. The [`Effort`] of all attempts together is bounded; once
//! it is spent, the answer is `Busy`.

use super::core::Core;
use super::expire::{Horizon, TimerStates};
use super::pledges::Takes;
use crate::answer::{Refusal, RefusalReason};
use crate::clock::Clock;
use crate::error::{Busy, ReserveError, SharedError};
use crate::expiry::timers::Turn;
use crate::hold::lines::{Good, Line};
use crate::hold::table::Full;
use crate::metrics::Count;
use crate::stall::{self, Step};
use crate::stock::book::Item;
use crate::stock::counter::{Availability, Reading};
use crate::sync::Patience;

/// Batches of expired holds that one decision reclaims at most before it answers `Busy`: a million holds.
const TURNS_MAX: usize = if cfg!(stockhold_loom) { 2 } else { 4_096 };

/// What a decision has spent; it answers `Busy` when it may spend no more.
pub(crate) struct Effort {
    patience: Patience,
    turns: usize,
    /// What the last attempt had no room for, and the timers after it.
    full: Option<(Full, TimerStates)>,
}

impl Effort {
    fn new() -> Self {
        Effort { patience: Patience::new(), turns: 0, full: None }
    }
}

/// What a check of one counter says.
pub(crate) enum StockCheck {
    /// There seem to be enough units; the take decides.
    Enough,
    /// At one instant only so many units were available, with nothing pending and no hold due.
    Short { available: i64 },
    /// Not known: try again.
    Retry,
}

/// Makes attempts until one has an answer. `attempt` returns `None` to be called again.
#[inline(always)] // part of every reserve
pub(crate) fn retry_until_decided<T, E>(
    mut attempt: impl FnMut(&mut Effort) -> Result<Option<T>, E>,
) -> Result<T, E> {
    let mut effort = Effort::new();
    loop {
        if let Some(decided) = attempt(&mut effort)? {
            return Ok(decided);
        }
    }
}

impl Core {
    // ── checking ───────────────────────────────────────────────────────────────────────────────────────────

    /// Checks the counters of all lines. `Err(refused(..))` is a refusal of one of them, `None` means try
    /// again.
    pub(crate) fn check_lines<E: From<SharedError>>(
        &self,
        lines: &[Line],
        clock: &dyn Clock,
        effort: &mut Effort,
        refused: impl Fn(Refusal) -> E,
    ) -> Result<Option<()>, E> {
        for line in lines {
            let (item, good) = self.good(*line).ok_or(SharedError::ForeignKey)?;
            if let Some(refusal) = self.sale_closed(item, good, clock) {
                return Err(refused(refusal));
            }
            match self.check_stock(item, good, clock, effort)? {
                StockCheck::Enough => {}
                StockCheck::Short { available } => return Err(refused(self.out_of_stock(good, available))),
                StockCheck::Retry => return Ok(None),
            }
        }
        Ok(Some(()))
    }

    /// Checks the counter of one line. If it is short, reclaims what is due before it says so.
    #[inline(always)]
    pub(crate) fn check_stock(
        &self,
        item: Item<'_>,
        good: Good,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<StockCheck, SharedError> {
        let look = || item.counter.look(self.lane(good.key), good.units);
        if let Availability::Enough = look() {
            return Ok(StockCheck::Enough);
        }
        let before = self.timer_states();
        let Availability::Short(reading) = look() else { return Ok(StockCheck::Retry) };
        Ok(match self.settled(&before, reading, clock, effort)? {
            Some(available) => StockCheck::Short { available },
            None => StockCheck::Retry,
        })
    }

    /// What was available at the instant of `reading`, if nothing was pending and no hold was due then;
    /// `None` means read again. `before` was taken before the reading. Reclaims holds that are due.
    ///
    /// The clock is read after the counter: a hold whose deadline passed before the counter was read is due
    /// at a time read later, however long this thread slept in between.
    #[inline(always)]
    pub(crate) fn settled(
        &self,
        before: &TimerStates,
        reading: Reading,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<Option<i64>, SharedError> {
        if reading.pending {
            return self.spin_or_busy(effort, Busy::Pending);
        }
        match self.horizon(Some(before), || clock.now()) {
            // Equal states around the reading: nothing was registered or reclaimed in between.
            Horizon::Clean { same: true } => Ok(Some(reading.available)),
            Horizon::Clean { same: false } | Horizon::Turning => self.spin_or_busy(effort, Busy::Reclaiming),
            Horizon::Due(shard) => match self.turn(shard, clock.now()) {
                Turn::Turned { progress: true, .. } if effort.turns < TURNS_MAX => {
                    effort.turns += 1;
                    Ok(None)
                }
                Turn::Turned { .. } | Turn::Elsewhere => self.spin_or_busy(effort, Busy::Reclaiming),
            },
        }
    }

    /// Passes a moment before the next attempt; `Busy` once the patience of the decision is spent.
    fn spin_or_busy<T>(&self, effort: &mut Effort, busy: Busy) -> Result<Option<T>, SharedError> {
        self.stopped()?;
        if effort.patience.spin_once() { Ok(None) } else { Err(self.busy(busy)) }
    }

    /// The refusal of a line whose sale is stopped, or has not opened.
    #[inline]
    pub(crate) fn sale_closed(&self, item: Item<'_>, good: Good, clock: &dyn Clock) -> Option<Refusal> {
        let reason = item.closed(|| clock.now())?;
        self.count(if reason == RefusalReason::NotOpen { Count::NotOpen } else { Count::Stopped });
        let available = item.counter.approximate(self.lane(good.key));
        Some(self.refusal(good, reason, available))
    }

    /// The refusal of a line of which only `available` units were there.
    #[inline(always)]
    pub(crate) fn out_of_stock(&self, good: Good, available: i64) -> Refusal {
        self.count(Count::OutOfStock);
        self.refusal(good, RefusalReason::OutOfStock, available)
    }

    #[inline(always)]
    fn refusal(&self, good: Good, reason: RefusalReason, available: i64) -> Refusal {
        let (key, asked) = (self.stock_key(good.key), good.units);
        Refusal { reason, key, asked, available, position: self.read_position() }
    }

    // ── taking ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes all lines tentatively, in the order of their keys; or none. Whether coming up short is a
    /// refusal, the check of the next attempt decides.
    pub(crate) fn take_tentatively<'c>(&'c self, lines: &[Line]) -> Option<Takes<'c>> {
        let mut takes = Takes::default();
        for line in lines {
            let took = self.good(*line).is_some_and(|(item, Good { key, units })| {
                takes.take(item.counter, self.lane(key), units).is_ok()
            });
            if !took {
                takes.roll_back();
                return None;
            }
            stall::at(Step::LineTaken);
        }
        Some(takes)
    }

    // ── room in the table of holds ─────────────────────────────────────────────────────────────────────────

    /// Answers a reserve that found no room in the table. It is full only if no hold is due that takes the
    /// room; `None` means try again.
    #[cold]
    #[inline(never)] // no part of a reserve that finds room
    pub(crate) fn no_room<T>(
        &self,
        full: Full,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<Option<T>, ReserveError> {
        if self.reclaim_room(full, clock, effort)? {
            return Ok(None);
        }
        self.count(Count::HoldsFull);
        Err(match full {
            Full::Lines => SharedError::LinesFull { lines_max: self.config.lines_max }.into(),
            _ => ReserveError::HoldsFull { holds_max: self.config.holds_max },
        })
    }

    /// Reclaims holds that are due and take room; whether there may be room now. If not, the attempt that found
    /// none lies between two equal states of the timers, as a refusal's reading does.
    pub(crate) fn reclaim_room(
        &self,
        full: Full,
        clock: &dyn Clock,
        effort: &mut Effort,
    ) -> Result<bool, SharedError> {
        let before = effort.full.take().filter(|(before, _)| *before == full);
        let busy = match full {
            Full::Growing => Some(Busy::Growing),
            Full::Moving => Some(Busy::Room),
            Full::Holds | Full::Lines => None,
        };
        if let Some(busy) = busy {
            return self.spin_or_busy::<()>(effort, busy).map(|_| true);
        }
        let states = self.timer_states();
        match self.horizon(before.as_ref().map(|(_, states)| states), || clock.now()) {
            Horizon::Clean { same: true } if before.is_some() => return Ok(false),
            // Room that was reclaimed after this attempt found none is worth one more.
            Horizon::Clean { same: true } => {}
            Horizon::Due(shard)
                if matches!(self.turn(shard, clock.now()), Turn::Turned { progress: true, .. }) =>
            {
                return Ok(true);
            }
            Horizon::Due(_) | Horizon::Turning | Horizon::Clean { same: false } => {
                self.spin_or_busy::<()>(effort, Busy::Reclaiming)?;
            }
        }
        effort.full = Some((full, states));
        Ok(true)
    }
}
