//! Queries: they change no decision, and may wait for the fold.

use super::core::Core;
use super::take::retry_until_decided;
use crate::answer::{BlockingHolds, HoldStatus, Level};
use crate::clock::Timestamp;
use crate::error::{LookupError, SharedError};
use crate::hold::slot::Slot;
use crate::log::record::HoldPlace;
use crate::metrics::Metrics;
use crate::types::{HoldId, Position, StockKey};

impl Core {
    pub(crate) fn level(&self, key: StockKey) -> Result<Level, SharedError> {
        self.item(key)?;
        // Every earlier answer rests on a position below what is drawn now. After a failure of the log the
        // fold stays where it is, and the level says where.
        self.follower.position.wait(self.log.ring.drawn());
        let written = self.follower.level(key.index);
        // The key is ours, so its declaration was drawn; if the fold lacks it, the log failed before it was
        // written.
        let (level, position) = written.ok_or_else(|| SharedError::Stopped(self.log.poison.cause()))?;
        Ok(Level {
            on_hand: level.on_hand,
            held: level.held,
            committed: level.committed,
            available: level.available(),
            stopped: level.stopped,
            opens_at: level.opens_at(),
            position: Position(position),
        })
    }

    /// What is on sale at one instant, with no hold due and nothing pending.
    pub(crate) fn available_exactly(&self, key: StockKey) -> Result<i64, SharedError> {
        let item = self.item(key)?;
        retry_until_decided(|effort| {
            let before = self.timer_states();
            let reading = item.counter.exactly(self.lane(key.index));
            self.settled(&before, reading, self, effort)
        })
    }

    pub(crate) fn status(&self, id: HoldId, now: Timestamp) -> Result<HoldStatus, LookupError> {
        let found = self.find(id)?;
        self.status_of(found.slot, found.place, now)?.ok_or(LookupError::Forgotten)
    }

    /// The status of a hold, which is expired first if its deadline has passed.
    fn status_of(
        &self,
        slot: &Slot,
        place: HoldPlace,
        now: Timestamp,
    ) -> Result<Option<HoldStatus>, LookupError> {
        let read = || self.read(slot, place.generation).map_err(|_| LookupError::Changing);
        let Some(mut hold) = read()? else { return Ok(None) };
        if hold.is_due(now) {
            // Should the log be full or closed, the hold is shown as it is, with the deadline that has
            // passed.
            let _ = self.expire(slot, place, now);
            match read()? {
                Some(expired) => hold = expired,
                None => return Ok(None),
            }
        }
        let reference = self.holds.reference(place.slot, &hold.fields);
        // The reference that was read is this hold's only if the slot still has the hold.
        if read()?.is_none() {
            return Ok(None);
        }
        let Some(state) = hold.word.phase().public() else { return Ok(None) };
        Ok(Some(HoldStatus {
            hold: self.answers.ids.id(place, hold.fields.epoch),
            lines: self.cart_lines(&hold.lines),
            reference,
            state,
            quantity: hold.lines.units(),
            deadline: hold.word.phase().is_live().then(|| hold.word.deadline()),
        }))
    }

    pub(crate) fn holds_of(&self, reference: &[u8], now: Timestamp) -> Vec<HoldStatus> {
        if reference.is_empty() {
            return Vec::new();
        }
        self.follower.position.wait(self.log.ring.drawn());
        let slots = self.follower.slots(reference);
        let mut found: Vec<_> = slots
            .into_iter()
            .filter_map(|slot| {
                let item = self.holds.slot(slot)?;
                loop {
                    let place = HoldPlace { slot, generation: self.read_any(item)?.fields.generation };
                    match self.status_of(item, place, now) {
                        Err(LookupError::Changing) => {}
                        status => return status.ok()?,
                    }
                }
            })
            .filter(|status| status.reference.as_bytes() == reference)
            .collect();
        found.sort_unstable_by_key(|status| status.hold);
        found
    }

    pub(crate) fn blocking_holds(&self, key: StockKey, now: Timestamp) -> Result<BlockingHolds, SharedError> {
        self.item(key)?;
        let live = self.holds.slots().filter_map(|(_, slot)| {
            let hold = self.read_any(slot)?;
            let units = hold.lines.of(key.index.into());
            let blocks = hold.word.phase().is_live() && !hold.is_due(now) && units > 0;
            blocks.then_some((i64::from(units), hold.word.deadline()))
        });
        let nothing = BlockingHolds { held: 0, earliest_deadline: None };
        Ok(live.fold(nothing, |sum, (quantity, deadline)| BlockingHolds {
            held: sum.held + quantity,
            earliest_deadline: Some(
                sum.earliest_deadline.map_or(deadline, |earliest| earliest.min(deadline)),
            ),
        }))
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let now = self.now();
        let mut metrics = Metrics::default();
        metrics.count(&self.tally);
        let ring = &self.log.ring;
        metrics.position_drawn = Position(ring.drawn());
        metrics.position_durable = Position(self.log.durable.position());
        metrics.position_folded = Position(self.follower.position.position());
        metrics.log(&self.log.metrics, metrics.position_durable < metrics.position_drawn);
        metrics.ring_used_bytes = ring.used_words() * 8;
        metrics.ring_bytes = ring.capacity_words() * 8;
        metrics.op_keys = self.op_keys.len() as u64;
        if let Some(checkpointer) = &self.checkpointer {
            let progress = checkpointer.progress();
            metrics.checkpoints = progress.made.count;
            metrics.position_checkpoint = Position(progress.done);
            metrics.checkpoint_bytes = progress.made.bytes;
            metrics.ledger_bytes = progress.made.ledger_bytes;
            metrics.checkpoint_under_way = progress.under_way;
            metrics.checkpoint_failure = progress.failure;
        }
        let clock = self.time.standing();
        (metrics.clock_ahead_ms, metrics.clock_jumps) = (clock.ahead_ms, clock.jumps);
        metrics.clock_unbelieved = clock.unbelieved;
        let ended =
            (metrics.confirmed - metrics.retaken.min(metrics.confirmed)) + metrics.released + metrics.expired;
        metrics.holds_live = (self.recovered_live + metrics.granted).saturating_sub(ended);
        let earliest_ms =
            self.timers.iter().map(|timers| timers.state().earliest_ms()).min().unwrap_or(u64::MAX);
        metrics.horizon_lag_ms = now.0.saturating_add(1).saturating_sub(earliest_ms);
        if metrics.horizon_lag_ms > 0 {
            let overdue = |slot: &Slot| {
                let word = slot.word();
                word.phase().is_live() && word.deadline() <= now
            };
            metrics.holds_overdue = self.holds.slots().filter(|(_, slot)| overdue(slot)).count() as u64;
        }
        metrics
    }
}
