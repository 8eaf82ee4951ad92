//! Operations on a hold: confirm, release, extend, begin payment, cancel, ship.

use super::core::Core;
use super::hold_change::{ChangeError, Changed, HoldStep};
use super::hold_record::HoldChange;
use super::lookup::{FoundHold, Hold};
use super::selection::{NoSelection, Selection, rest};
use crate::answer::{Confirmed, Extended, Moved};
use crate::clock::Timestamp;
use crate::error::{Busy, ConfirmError, HoldError};
use crate::hold::lines::Lines;
use crate::hold::state::{Event, No, Phase};
use crate::index::KeyIndex;
use crate::log::record::Op;
use crate::metrics::Count;
use crate::request::{Confirm, Extend, HoldAction};
use crate::types::{HoldId, Position};

/// The lines that left a hold, and how many units of it are still committed.
pub(super) struct MovedLines {
    lines: Lines,
    remaining: u32,
}

impl MovedLines {
    fn of(&self, hold: HoldId) -> Moved {
        Moved { hold, quantity: self.lines.units(), remaining: self.remaining }
    }
}

impl Core {
    pub(crate) fn confirm(
        &self,
        request: Confirm<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let selection = self.select(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let (slot, place) = (found.slot, found.place);
        let changed = self.change(found, now, op, Event::Confirm { units: 1 }, |hold| {
            let taken = self.selected(&hold.lines, selection)?;
            let returned = rest(&hold.lines, &taken);
            let remaining_lines = (!returned.is_empty()).then(|| taken.clone());
            Ok(HoldStep {
                event: Event::Confirm { units: taken.units() },
                change: HoldChange::Confirm { taken, returned },
                remaining_lines,
            })
        });
        match changed {
            Ok(Changed { after, change, position, .. }) => {
                self.count(Count::Confirmed);
                let returned = change.returned().iter().fold(0, |sum, line| sum + line.units);
                let confirmed =
                    Confirmed { hold: request.hold, quantity: after.units(), returned, retaken: false };
                Ok((confirmed, position))
            }
            Err(ChangeError::No(No::Due | No::Phase(Phase::Expired))) if request.retake => {
                self.confirm_late(selection, (slot, place), request.hold, now, op)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn release(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let selection = self.select(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let Changed { change, position, .. } = self.change(found, now, op, Event::Release, |hold| {
            self.require_all(selection, hold)?;
            Ok(HoldStep {
                event: Event::Release,
                change: HoldChange::Release { lines: hold.lines.clone() },
                remaining_lines: None,
            })
        })?;
        self.count(Count::Released);
        let quantity = change.returned().iter().fold(0, |sum, line| sum + line.units);
        Ok((Moved { hold: request.hold, quantity, remaining: 0 }, position))
    }

    pub(crate) fn extend(
        &self,
        request: Extend,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Extended, Position), HoldError> {
        let ttl = self.ttl(request.ttl)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let deadline = now.plus(ttl);
        if let Some(latest) = self.beyond_life(&found.hold, now, deadline) {
            return Err(HoldError::LifeMax { latest });
        }
        let event = Event::Extend { deadline };
        let Changed { before, after, position, .. } = self.change(found, now, op, event, |_| {
            Ok(HoldStep { event, change: HoldChange::Extend, remaining_lines: None })
        })?;
        if after != before.word {
            self.count(Count::Extended);
        }
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    /// The last deadline that a live hold may have, if `deadline` is later. A hold that already lives longer
    /// is left as it is, and that is no error.
    pub(crate) fn beyond_life(&self, hold: &Hold, now: Timestamp, deadline: Timestamp) -> Option<Timestamp> {
        let latest = hold.fields.born.plus(self.config.life_max);
        let is_live = hold.word.phase().is_live() && !hold.is_due(now);
        (is_live && deadline > latest.max(hold.word.deadline())).then_some(latest)
    }

    pub(crate) fn begin_payment(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Extended, Position), HoldError> {
        let selection = self.select(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let Changed { after, position, .. } =
            self.change(found, now, op, Event::Pay { deadline: now }, |hold| {
                self.require_all(selection, hold)?;
                let latest = hold.fields.born.plus(self.config.life_max);
                let deadline = hold.word.deadline().plus(self.config.payment_extension).min(latest);
                Ok(HoldStep {
                    event: Event::Pay { deadline },
                    change: HoldChange::Pay,
                    remaining_lines: None,
                })
            })?;
        self.count(Count::PaymentsBegun);
        Ok((Extended { hold: request.hold, deadline: after.deadline() }, position))
    }

    pub(crate) fn cancel(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let selection = self.select(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let (moved, position) = self.move_committed(found, selection, now, op, |lines| {
            (Event::Cancel { units: Some(lines.units()) }, HoldChange::Cancel { lines })
        })?;
        self.count(Count::Cancelled);
        Ok((moved.of(request.hold), position))
    }

    pub(crate) fn ship(
        &self,
        request: HoldAction<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Moved, Position), HoldError> {
        let selection = self.select(request.quantity, request.lines)?;
        let found = self.find(request.hold).map_err(ChangeError::from)?;
        let (moved, position) = self.ship_found(found, selection, now, op)?;
        Ok((moved.of(request.hold), position))
    }

    /// Ships committed units of a hold that was found.
    pub(super) fn ship_found(
        &self,
        found: FoundHold<'_>,
        selection: Selection<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(MovedLines, Position), HoldError> {
        // The locks of physical movements: what is on hand falls with the shipment.
        let goods = found.hold.lines.iter().filter_map(|line| line.good());
        let keys: Vec<KeyIndex> = goods.map(|good| good.key).collect();
        let locked = self.book.lock_keys(keys.iter().copied());
        let (moved, position) = self.move_committed(found, selection, now, op, |lines| {
            (Event::Ship { units: Some(lines.units()) }, HoldChange::Ship { lines })
        })?;
        for key in keys {
            if let Some(item) = self.book.get(key) {
                item.set_on_hand(item.on_hand() - i64::from(moved.lines.of(key.into())));
            }
        }
        drop(locked);
        self.count(Count::Shipped);
        Ok((moved, position))
    }

    /// Takes committed units out of a hold: back on sale, or shipped.
    fn move_committed(
        &self,
        found: FoundHold<'_>,
        selection: Selection<'_>,
        now: Timestamp,
        op: Option<Op>,
        step: impl Fn(Lines) -> (Event, HoldChange),
    ) -> Result<(MovedLines, Position), HoldError> {
        let admits = Event::Cancel { units: None };
        let found_confirmed = found.hold.word.phase() == Phase::Confirmed;
        let Changed { before, after, change, position } = self.change(found, now, op, admits, |hold| {
            // If it was confirmed only after it was found, it may have got other lines before that, whose
            // locks this thread does not hold.
            if !found_confirmed {
                return Err(NoSelection::Shared(self.busy(Busy::Changing)));
            }
            let lines = self.selected(&hold.lines, selection)?;
            let remaining_lines = rest(&hold.lines, &lines);
            let (event, change) = step(lines);
            Ok(HoldStep {
                event,
                change,
                remaining_lines: (!remaining_lines.is_empty()).then_some(remaining_lines),
            })
        })?;
        let lines = match change {
            HoldChange::Ship { lines } | HoldChange::Cancel { lines } => lines,
            _ => before.lines,
        };
        Ok((MovedLines { lines, remaining: after.units() }, position))
    }

    /// Refuses a part of a hold where an operation is for all of it.
    fn require_all(&self, selection: Selection<'_>, hold: &Hold) -> Result<(), NoSelection> {
        match self.selected(&hold.lines, selection) {
            Ok(selected) if selected == hold.lines => Ok(()),
            Ok(_) | Err(NoSelection::NameLines { .. }) => {
                Err(NoSelection::WholeOnly { held: hold.lines.units() })
            }
            Err(why) => Err(why),
        }
    }
}
