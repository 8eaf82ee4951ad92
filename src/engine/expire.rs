//! Expiry: finds the holds whose deadline has passed, and gives their units back.

use super::core::{Core, SHARDS_MAX, record_ttl};
use super::hold_record::HoldChange;
use super::lookup::HoldRead;
use super::pledges::Takes;
use super::transition::{HoldTransition, LostRace};
use crate::clock::Timestamp;
use crate::error::{Busy, SharedError};
use crate::expiry::timers::{Fired, Slots, State, Turn};
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, Phase, decide};
use crate::index::{LocalIndex, SlotIndex};
use crate::log::record::{Encoded, HoldPlace};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::stall::{self, Step};
use crate::sync::AtomicU32;
use crate::types::Position;

/// Turns of one shard in a row that may make no progress before a sweep leaves it for later. Under loom one
/// is enough to reach every branch.
const IDLE_TURNS_MAX: usize = if cfg!(stockhold_loom) { 1 } else { 64 };

/// What the timers of all shards say at one reading.
pub(crate) enum Horizon {
    /// At one instant nothing was due, and no thread was reclaiming.
    Clean {
        /// Nor since the earlier reading: nothing was registered and nothing reclaimed in between.
        same: bool,
    },
    /// This shard has a hold that is due.
    Due(usize),
    /// Another thread is reclaiming.
    Turning,
}

/// The states of the timers of all shards, read once.
pub(crate) struct TimerStates([State; SHARDS_MAX]);

impl Core {
    /// Expires a hold whose deadline has passed at `now`; `Ok(None)` if it is not such a hold.
    pub(crate) fn expire(
        &self,
        slot: &Slot,
        place: HoldPlace,
        now: Timestamp,
    ) -> Result<Option<Position>, SharedError> {
        loop {
            let hold = match self.try_read(slot, place.generation) {
                HoldRead::Read(hold) => hold,
                HoldRead::Gone => return Ok(None),
                HoldRead::Changing => return Err(self.busy(Busy::Changing)),
            };
            let Ok(next) = decide(hold.word, now, Event::Expire) else { return Ok(None) };
            if hold.lines.iter().any(|line| self.good(*line).is_none()) {
                return Ok(None);
            }
            let (is_cart, ttl) = (hold.lines.len() > 1, record_ttl(now, now));
            let change = HoldChange::Expire { lines: hold.lines };
            let mut record = Encoded::empty();
            let put = change.put(&mut record, is_cart, (self.record_time(now), place), ttl, None);
            put.ok_or(SharedError::CartLines(change.returned().len()))?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let (returns, takes) = (self.announce(change.returned())?, Takes::default());
            let transition =
                HoldTransition { claim, record: &record, slot, from: hold.word, to: next, returns, takes };
            match transition.apply(|| {}) {
                Ok(end) => {
                    self.log.bell.ring();
                    stall::at(Step::Ended);
                    self.holds.retain_expired(place.slot, next);
                    self.count(Count::Expired);
                    return Ok(Some(Position(end)));
                }
                Err(LostRace) => self.count_void(),
            }
        }
    }

    /// Registers the deadline of the hold in a slot with this number, before its units are taken.
    #[inline]
    pub(crate) fn register(&self, number: SlotIndex, slot: &Slot, deadline: Timestamp) {
        let (shard, local) = self.holds.locate(number);
        self.timers[shard].register(&slot.timer, local, deadline);
    }

    /// Reads the states of all timers.
    #[inline]
    pub(crate) fn timer_states(&self) -> TimerStates {
        let mut states = TimerStates([State::default(); SHARDS_MAX]);
        for (timers, state) in self.timers.iter().zip(&mut states.0) {
            *state = timers.state();
        }
        states
    }

    /// Whether a hold is due in any shard. Reads the clock last, and only if a hold will ever be due.
    #[inline]
    pub(crate) fn horizon(&self, before: Option<&TimerStates>, now: impl FnOnce() -> Timestamp) -> Horizon {
        let (mut same, mut earliest_ms, mut earliest_shard) = (true, u64::MAX, 0);
        for (shard, timers) in self.timers.iter().enumerate() {
            let state = timers.state();
            if state.is_turning() {
                return Horizon::Turning;
            }
            same &= before.is_none_or(|before| before.0[shard] == state);
            if state.earliest_ms() < earliest_ms {
                (earliest_ms, earliest_shard) = (state.earliest_ms(), shard);
            }
        }
        if earliest_ms < u64::MAX && earliest_ms <= now().0 {
            return Horizon::Due(earliest_shard);
        }
        Horizon::Clean { same }
    }

    /// Expires a batch of what is due in one shard.
    pub(crate) fn turn(&self, shard: usize, now: Timestamp) -> Turn {
        self.timers[shard].turn(&ShardSlots { core: self, shard }, now)
    }

    /// Expires all holds that are due at `now`, a batch at a time; returns how many. A shard that another
    /// thread is reclaiming is left to it.
    pub(crate) fn sweep(&self, now: Timestamp) -> usize {
        let mut expired = 0;
        for shard in 0..self.timers.len() {
            // Turns without progress: what is due cannot be expired yet.
            let mut idle = 0;
            while idle < IDLE_TURNS_MAX
                && self.timers[shard].state().is_due(now)
                && !self.log.ring.is_closed()
            {
                match self.turn(shard, now) {
                    Turn::Elsewhere => break,
                    Turn::Turned { expired: batch, progress } => {
                        expired += batch;
                        idle = if progress { 0 } else { idle + 1 };
                    }
                }
            }
        }
        expired
    }
}

/// One shard's slots, as its timers see them.
pub(crate) struct ShardSlots<'c> {
    core: &'c Core,
    shard: usize,
}

impl ShardSlots<'_> {
    fn slot(&self, local: LocalIndex) -> Option<(SlotIndex, &Slot)> {
        let slot = self.core.holds.global(self.shard, local);
        Some((slot, self.core.holds.slot(slot)?))
    }
}

impl Slots for ShardSlots<'_> {
    fn timer(&self, local: LocalIndex) -> Option<&AtomicU32> {
        Some(&self.core.holds.slot(self.core.holds.global(self.shard, local))?.timer)
    }

    fn deadline(&self, local: LocalIndex) -> Option<Timestamp> {
        let word = self.slot(local)?.1.word();
        word.phase().has_deadline().then(|| word.deadline())
    }

    fn fire(&self, local: LocalIndex, now: Timestamp) -> Fired {
        let Some((slot, item)) = self.slot(local) else { return Fired::Dead };
        loop {
            let word = item.word();
            let generation = item.fields().generation;
            match decide(word, now, Event::Expire) {
                // Its units may be taken and its position not drawn, or another thread is changing it: it can
                // neither be expired yet nor forgotten.
                Err(No::Phase(Phase::Reserving | Phase::Changing)) | Err(No::NotDue) => {
                    return Fired::Later(word.deadline());
                }
                Err(_) => return Fired::Dead,
                Ok(_) => {}
            }
            match self.core.expire(item, HoldPlace { slot, generation }, now) {
                Ok(Some(_)) => return Fired::Expired,
                // Its key is not in the book, which no log of ours can cause: it has no units to give back.
                Ok(None) if item.word() == word => return Fired::Dead,
                Ok(None) => {} // another thread changed it: read it again
                Err(_) => return Fired::Later(word.deadline()),
            }
        }
    }
}
