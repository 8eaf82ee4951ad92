//! One step in the life of a hold: read it, decide, log, swap, and give back what the step returns.

use super::core::{Core, record_ttl};
use super::hold_record::HoldChange;
use super::lookup::{FoundHold, Hold, NotFound};
use super::pledges::Takes;
use super::selection::NoSelection;
use super::transition::{HoldTransition, LostRace};
use crate::clock::Timestamp;
use crate::error::{ConfirmError, HoldError, LookupError, SharedError};
use crate::hold::lines::Lines;
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::log::record::{Encoded, Op};
use crate::log::ring::Share;
use crate::stall;
use crate::types::Position;

/// One step in the life of a hold.
pub(super) struct HoldStep {
    pub event: Event,
    pub change: HoldChange,
    /// What the hold has afterwards, if that is not what it had.
    pub remaining_lines: Option<Lines>,
}

/// A hold that was changed.
pub(super) struct Changed {
    pub before: Hold,
    pub after: Word,
    pub change: HoldChange,
    pub position: Position,
}

/// Why a hold could not be changed.
pub(super) enum ChangeError {
    Lookup(LookupError),
    No(No),
    NoSelection(NoSelection),
    Shared(SharedError),
}

impl From<SharedError> for ChangeError {
    fn from(cause: SharedError) -> Self {
        ChangeError::Shared(cause)
    }
}

impl From<NoSelection> for ChangeError {
    fn from(why: NoSelection) -> Self {
        match why {
            NoSelection::Shared(cause) => ChangeError::Shared(cause),
            why => ChangeError::NoSelection(why),
        }
    }
}

impl From<NotFound> for ChangeError {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => ChangeError::Lookup(error),
            NotFound::Shared(cause) => ChangeError::Shared(cause),
        }
    }
}

impl From<ChangeError> for ConfirmError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::No(No::Due | No::Phase(Phase::Expired)) => ConfirmError::Expired,
            ChangeError::No(No::Phase(phase)) => {
                phase.public().map_or(LookupError::Unknown.into(), ConfirmError::Ended)
            }
            ChangeError::No(No::NotDue | No::TooMany { .. }) => LookupError::Unknown.into(),
            ChangeError::NoSelection(NoSelection::TooMany { asked, held }) => {
                ConfirmError::TooMany { asked, held }
            }
            ChangeError::NoSelection(NoSelection::NotHeld(key)) => ConfirmError::NotHeld(key),
            ChangeError::NoSelection(NoSelection::NameLines { lines }) => ConfirmError::NameLines { lines },
            ChangeError::NoSelection(NoSelection::WholeOnly { .. }) => LookupError::Unknown.into(),
            ChangeError::NoSelection(NoSelection::TooOften) => ConfirmError::TooOften,
            ChangeError::NoSelection(NoSelection::Shared(cause)) | ChangeError::Shared(cause) => cause.into(),
            ChangeError::Lookup(error) => error.into(),
        }
    }
}

impl From<ChangeError> for HoldError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::No(No::Due | No::Phase(Phase::Expired)) => HoldError::Expired,
            ChangeError::No(No::Phase(phase)) => {
                phase.public().map_or(HoldError::Lookup(LookupError::Unknown), HoldError::WrongState)
            }
            ChangeError::No(No::TooMany { remaining }) => HoldError::TooMany { asked: remaining, remaining },
            ChangeError::No(No::NotDue) => HoldError::Lookup(LookupError::Unknown),
            ChangeError::NoSelection(NoSelection::TooMany { asked, held: remaining }) => {
                HoldError::TooMany { asked, remaining }
            }
            ChangeError::NoSelection(NoSelection::NotHeld(key)) => HoldError::NotHeld(key),
            ChangeError::NoSelection(NoSelection::NameLines { lines }) => HoldError::NameLines { lines },
            ChangeError::NoSelection(NoSelection::WholeOnly { held }) => HoldError::WholeOnly { held },
            ChangeError::NoSelection(NoSelection::TooOften) => HoldError::TooOften,
            ChangeError::NoSelection(NoSelection::Shared(cause)) | ChangeError::Shared(cause) => cause.into(),
            ChangeError::Lookup(error) => error.into(),
        }
    }
}

impl Core {
    /// Takes a hold one step on. `admits` stands for the step's event, which is not known until the
    /// hold was read: a phase that allows one allows the other.
    ///
    /// This loop is not [`retry_until_decided`](super::take::retry_until_decided): it takes no units, and
    /// each lost race is another call's success on this very hold.
    #[inline]
    pub(super) fn change(
        &self,
        found: FoundHold<'_>,
        now: Timestamp,
        op: Option<Op>,
        admits: Event,
        step: impl Fn(&Hold) -> Result<HoldStep, NoSelection>,
    ) -> Result<Changed, ChangeError> {
        let FoundHold { slot, place, hold } = found;
        let mut just_found = Some(hold);
        loop {
            let hold = match just_found.take() {
                Some(hold) => hold,
                None => {
                    let hold = self.read(slot, place.generation)?;
                    hold.ok_or(ChangeError::Lookup(LookupError::Forgotten))?
                }
            };
            match decide(hold.word, now, admits) {
                Ok(_) => {}
                // An answer that a deadline has passed is given only after the hold was expired.
                Err(No::Due) => match self.expire(slot, place, now)? {
                    Some(_) => return Err(ChangeError::No(No::Due)),
                    None => continue,
                },
                Err(no) => return Err(ChangeError::No(no)),
            }
            let HoldStep { event, change, remaining_lines } = step(&hold)?;
            let next = decide(hold.word, now, event).map_err(ChangeError::No)?;
            if next == hold.word && op.is_none() {
                // Nothing happens, so nothing is written: a swap that changes nothing does not say which of
                // two records came first.
                self.stopped().map_err(SharedError::from)?;
                return Ok(Changed { after: next, before: hold, change, position: self.read_position() });
            }
            let ttl = record_ttl(now, next.deadline());
            let mut record = Encoded::empty();
            let put = change.put(&mut record, hold.lines.len() > 1, (self.record_time(now), place), ttl, op);
            put.ok_or(SharedError::CartLines(hold.lines.len()))?;
            record.set_answer(next.units().into());
            let (to, remaining_lines) = plan_swap(&hold, next, remaining_lines)?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let (returns, takes) = (self.announce(change.returned())?, Takes::default());
            let transition =
                HoldTransition { claim, record: &record, slot, from: hold.word, to, returns, takes };
            match transition.apply(|| self.write_lines(slot, &hold, next, remaining_lines)) {
                Ok(end) => {
                    self.log.bell.ring();
                    stall::at(stall::Step::Ended);
                    if next.phase().is_over() {
                        self.holds.free(place.slot);
                    }
                    return Ok(Changed { before: hold, after: next, change, position: Position(end) });
                }
                Err(LostRace) => self.count_void(),
            }
        }
    }

    /// After a swap to `Changing`: writes what the hold still has, and its next word.
    #[inline]
    pub(super) fn write_lines(&self, slot: &Slot, hold: &Hold, next: Word, remaining_lines: Option<Lines>) {
        if let Some(remaining_lines) = remaining_lines {
            self.holds.change_units(slot, &hold.fields, next.retagged(), |key| remaining_lines.of(key));
        }
    }
}

/// The word that a step swaps a hold to, and the lines to write after the swap: if the hold's lines are in a
/// chain, they are written while the word says `Changing`, since the word cannot say them.
pub(super) fn plan_swap(
    hold: &Hold,
    next: Word,
    remaining_lines: Option<Lines>,
) -> Result<(Word, Option<Lines>), NoSelection> {
    match remaining_lines.filter(|_| hold.fields.is_chained()) {
        None => Ok((next, None)),
        Some(_) if !hold.fields.can_change() => Err(NoSelection::TooOften),
        remaining_lines => Ok((hold.word.changing(), remaining_lines)),
    }
}
