//! Late confirm: takes the units of an expired hold again and confirms it, in one step.

use super::core::{Core, record_ttl};
use super::hold_change::{ChangeError, plan_swap};
use super::hold_record::HoldChange;
use super::pledges::Returns;
use super::selection::Selection;
use super::take::{Effort, retry_until_decided};
use super::transition::{HoldTransition, LostRace};
use crate::answer::{Confirmed, HoldState};
use crate::clock::Timestamp;
use crate::error::{ConfirmError, LookupError, SharedError};
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, decide};
use crate::log::record::{Encoded, HoldPlace, Op};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::types::{HoldId, Position};

/// A late confirm of a hold that was found.
struct Retake<'c, 'r> {
    hold_id: HoldId,
    selection: Selection<'r>,
    slot: &'c Slot,
    place: HoldPlace,
    now: Timestamp,
    op: Option<Op>,
}

impl Core {
    pub(super) fn confirm_late(
        &self,
        selection: Selection<'_>,
        (slot, place): (&Slot, HoldPlace),
        hold_id: HoldId,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Confirmed, Position), ConfirmError> {
        let retake = Retake { hold_id, selection, slot, place, now, op };
        let confirmed = retry_until_decided(|effort| self.attempt_retake(&retake, effort))?;
        self.count(Count::Confirmed);
        self.count(Count::Retaken);
        Ok(confirmed)
    }

    /// Reads the hold, takes its units again, and confirms it. The take is tentative: should another call
    /// change the hold meanwhile, the units go back.
    fn attempt_retake(
        &self,
        retake: &Retake<'_, '_>,
        effort: &mut Effort,
    ) -> Result<Option<(Confirmed, Position)>, ConfirmError> {
        let &Retake { hold_id, selection, slot, place, now, op } = retake;
        let hold = self.read(slot, place.generation)?.ok_or(LookupError::Forgotten)?;
        match decide(hold.word, now, Event::Retake { units: 1 }) {
            Ok(_) => {}
            Err(No::Phase(phase)) => {
                return Err(ConfirmError::Ended(phase.public().unwrap_or(HoldState::Expired)));
            }
            Err(_) => return Err(ConfirmError::Expired),
        }
        let taken = self.selected(&hold.lines, selection).map_err(ChangeError::from)?;
        let units = taken.units();
        let next = decide(hold.word, now, Event::Retake { units }).map_err(|_| ConfirmError::Expired)?;
        let Some(()) = self.check_lines(&taken, self, effort, ConfirmError::Refused)? else {
            return Ok(None);
        };
        let remaining_lines = (taken != hold.lines).then(|| taken.clone());
        let (to, remaining_lines) = plan_swap(&hold, next, remaining_lines).map_err(ChangeError::from)?;
        let change = HoldChange::Retake { taken: taken.clone() };
        let (mut record, ttl) = (Encoded::empty(), record_ttl(now, now));
        let put = change.put(&mut record, hold.lines.len() > 1, (self.record_time(now), place), ttl, op);
        put.ok_or(SharedError::CartLines(taken.len()))?;
        let claim = self.claim(record.words(), Share::Keep)?;
        let Some(takes) = self.take_tentatively(&taken) else { return Ok(None) };
        let returns = Returns::default();
        let transition = HoldTransition { claim, record: &record, slot, from: hold.word, to, returns, takes };
        match transition.apply(|| self.write_lines(slot, &hold, next, remaining_lines)) {
            Ok(end) => {
                self.log.bell.ring();
                let confirmed = Confirmed { hold: hold_id, quantity: units, returned: 0, retaken: true };
                Ok(Some((confirmed, Position(end))))
            }
            Err(LostRace) => {
                self.count_void();
                Ok(None)
            }
        }
    }
}
