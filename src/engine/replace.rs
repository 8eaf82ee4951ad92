//! Replace: other units for a live hold, in one step, so that it never competes with itself (F4).
//!
//! The units that the hold needs in addition are taken tentatively, and those that it needs no more are
//! announced; then one swap of its word decides, and both are committed or undone.

use super::core::{Core, record_ttl};
use super::lookup::{Hold, NotFound};
use super::take::{Effort, retry_until_decided};
use super::transition::{HoldTransition, LostRace};
use super::validate::quantity;
use crate::answer::Replaced;
use crate::clock::Timestamp;
use crate::error::{LookupError, ReplaceError, SharedError};
use crate::hold::lines::{Line, Lines};
use crate::hold::slot::{CHANGES_MAX, Slot};
use crate::hold::state::{Event, No, Phase, decide};
use crate::log::lines::{join_lines, pack};
use crate::log::record::{HoldPlace, Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Replace, ReplaceBy};
use crate::types::Position;

/// What a hold is to have.
enum NewUnits {
    /// So many units of its one stock key.
    Quantity(u32),
    Lines(Lines),
}

/// A replacement that passed the checks of its input.
struct Replacement<'c, 'r> {
    request: Replace<'r>,
    units: NewUnits,
    slot: &'c Slot,
    place: HoldPlace,
    now: Timestamp,
    op: Option<Op>,
}

impl From<NotFound> for ReplaceError {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => error.into(),
            NotFound::Shared(cause) => cause.into(),
        }
    }
}

impl Core {
    pub(crate) fn replace(
        &self,
        request: Replace<'_>,
        now: Timestamp,
        op: Option<Op>,
    ) -> Result<(Replaced, Position), ReplaceError> {
        request.ttl.map(|ttl| self.ttl(ttl)).transpose()?;
        let units = match request.by {
            ReplaceBy::Lines(lines) => NewUnits::Lines(self.lines(lines)?),
            ReplaceBy::Quantity(units) => NewUnits::Quantity(quantity(units)?),
        };
        let found = self.find(request.hold)?;
        let (slot, place) = (found.slot, found.place);
        let replacement = Replacement { request, units, slot, place, now, op };
        let replaced = retry_until_decided(|effort| self.attempt_replace(&replacement, effort))?;
        self.count(Count::Replaced);
        Ok(replaced)
    }

    /// Reads the hold, takes what it needs in addition, and changes it.
    #[inline(always)]
    fn attempt_replace(
        &self,
        replacement: &Replacement<'_, '_>,
        effort: &mut Effort,
    ) -> Result<Option<(Replaced, Position)>, ReplaceError> {
        let &Replacement { ref request, ref units, slot, place, now, op } = replacement;
        let hold = self.read(slot, place.generation)?.ok_or(LookupError::Forgotten)?;
        let deadline = request.ttl.map_or(hold.word.deadline(), |ttl| now.plus(ttl));
        let next = match decide(hold.word, now, Event::Replace { deadline }) {
            Ok(next) => next,
            Err(No::Due) => match self.expire(slot, place, now)? {
                Some(_) => return Err(ReplaceError::Expired),
                None => return Ok(None),
            },
            Err(No::Phase(Phase::Expired)) => return Err(ReplaceError::Expired),
            Err(No::Phase(phase)) => {
                return Err(phase.public().map_or(LookupError::Unknown.into(), ReplaceError::WrongState));
            }
            Err(_) => return Err(LookupError::Unknown.into()),
        };
        if let Some(latest) = request.ttl.and_then(|_| self.beyond_life(&hold, now, deadline)) {
            return Err(ReplaceError::LifeMax { latest });
        }
        if hold.fields.uses - hold.fields.generation.0 >= CHANGES_MAX - 1 {
            return Err(ReplaceError::TooOften);
        }
        let lines = match (units, hold.lines.goods()) {
            (NewUnits::Lines(lines), _) => lines.clone(),
            (&NewUnits::Quantity(units), &[Line { target, .. }]) => Lines::one(target, units),
            (NewUnits::Quantity(_), lines) => return Err(ReplaceError::NameLines { lines: lines.len() }),
        };
        let (more, fewer) = differences(&hold, &lines);
        let Some(()) = self.check_lines(&more, self, effort, ReplaceError::Refused)? else { return Ok(None) };
        let chain = match self.holds.chain(&lines) {
            Ok(chain) => chain,
            // Lines of holds that are due and not yet expired do not count as room that is taken.
            Err(full) => match self.reclaim_room(full, self, effort)? {
                true => return Ok(None),
                false => return Err(SharedError::LinesFull { lines_max: self.config.lines_max }.into()),
            },
        };
        // From here on the chain must be used or given up.
        let give_up = |cause: SharedError| {
            self.holds.unchain(chain);
            Err(cause.into())
        };
        let (before, after) = (&*pack(&hold.lines), &*pack(&lines));
        let (at, ttl) = (self.record_time(now), record_ttl(now, next.deadline()));
        let record = match self.encode(&Record::Replace { at, place, ttl, before, lines: after, op }) {
            Ok(record) => record,
            Err(cause) => return give_up(cause),
        };
        let share = if more.is_empty() { Share::Keep } else { Share::Take };
        let claim = match self.claim(record.words(), share) {
            Ok(claim) => claim,
            Err(cause) => return give_up(cause),
        };
        let returns = match self.announce(&fewer) {
            Ok(returns) => returns,
            Err(cause) => return give_up(cause),
        };
        let Some(takes) = self.take_tentatively(&more) else {
            returns.withdraw();
            self.holds.unchain(chain);
            return Ok(None);
        };
        let to = hold.word.changing();
        let change = HoldTransition { claim, record: &record, slot, from: hold.word, to, returns, takes };
        match change.apply(|| self.holds.replace_lines(slot, &hold.fields, chain, next.retagged())) {
            Ok(end) => {
                self.log.bell.ring();
                let (hold, quantity, deadline) = (request.hold, lines.units(), next.deadline());
                Ok(Some((Replaced { hold, quantity, deadline }, Position(end))))
            }
            Err(LostRace) => {
                self.holds.unchain(chain);
                self.count_void();
                Ok(None)
            }
        }
    }
}

/// What `lines` have more, and what they have fewer, than the hold.
fn differences(hold: &Hold, lines: &[Line]) -> (Vec<Line>, Vec<Line>) {
    let (mut more, mut fewer) = (Vec::new(), Vec::new());
    for both in join_lines(hold.lines.iter().copied(), lines.iter().copied()) {
        let (before, after) = (both.first, both.second);
        if after > before {
            more.push(Line { target: both.target, units: after - before });
        } else if after < before {
            fewer.push(Line { target: both.target, units: before - after });
        }
    }
    (more, fewer)
}
