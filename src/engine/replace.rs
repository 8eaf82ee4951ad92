//! Replace: other units for a live hold, in one step, so that it never competes with itself (F4).
//!
//! What the hold needs in addition is taken tentatively, what it needs no more is announced; then one swap of its word
//! decides, and both are settled or undone.

use super::core::{Core, span};
use super::lookup::{Hold, NotFound};
use super::reserve::{Effort, quantity};
use super::transition::{Beaten, HoldTransition};
use crate::answer::Replaced;
use crate::clock::Timestamp;
use crate::error::{LookupError, ReplaceError, SharedError};
use crate::hold::lines::{Line, Lines};
use crate::hold::slot::CHANGES_MAX;
use crate::hold::state::{Event, No, Phase, decide};
use crate::log::lines::{join_lines, pack};
use crate::log::record::{Op, Record};
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::{Replace, ReplaceBy};
use crate::types::Position;

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
        let (min, max) = (self.config.ttl_min, self.config.ttl_max);
        if let Some(asked) = request.ttl.filter(|ttl| *ttl < min || *ttl > max) {
            return Err(ReplaceError::Ttl { asked, min, max });
        }
        let named = match request.by {
            ReplaceBy::Lines(lines) => Ok(self.lines(lines)?),
            ReplaceBy::Quantity(units) => Err(quantity(units)?),
        };
        let found = self.find(request.hold)?;
        let (slot, place) = (found.slot, found.place);
        let mut effort = Effort::new();
        loop {
            let hold = self.read(slot, place.generation)?.ok_or(LookupError::Forgotten)?;
            let deadline = request.ttl.map_or(hold.word.deadline(), |ttl| now.plus(ttl));
            let next = match decide(hold.word, now, Event::Replace { deadline }) {
                Ok(next) => next,
                Err(No::Due) => match self.expire(slot, place, now)? {
                    Some(_) => return Err(ReplaceError::Expired),
                    None => continue,
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
            if hold.facts.uses - hold.facts.generation >= CHANGES_MAX - 1 {
                return Err(ReplaceError::TooOften);
            }
            let lines = match (&named, &hold.lines[..]) {
                (Ok(lines), _) => lines.clone(),
                (&Err(units), &[Line { key, .. }]) => Lines::one(key, units),
                (Err(_), lines) => return Err(ReplaceError::NameLines { lines: lines.len() }),
            };
            let (more, fewer) = differences(&hold, &lines);
            for line in &more {
                if let Some(refusal) = self.would_refuse(*line, self, &mut effort)? {
                    return Err(ReplaceError::Refused(refusal));
                }
            }
            let chain = match self.holds.chain(&lines) {
                Ok(chain) => chain,
                // Lines of holds that are due, and not yet closed, stand in nobody's way.
                Err(full) => match self.may_have_room(full, self.now(), &mut effort)? {
                    true => continue,
                    false => return Err(SharedError::LinesFull { lines_max: self.config.lines_max }.into()),
                },
            };
            // From here on the chain must be used or given up.
            let give_up = |cause: SharedError| {
                self.holds.unchain(chain);
                Err(cause.into())
            };
            let (before, after) = (&*pack(&hold.lines), &*pack(&lines));
            let (at, ttl) = (self.at(now), span(now, next.deadline()));
            let record = match self.encode(&Record::Replace { at, place, ttl, before, lines: after, op }) {
                Ok(record) => record,
                Err(cause) => return give_up(cause),
            };
            let share = if more.is_empty() { Share::Keep } else { Share::Take };
            let claim = match self.claim(record.words(), share) {
                Ok(claim) => claim,
                Err(cause) => return give_up(cause),
            };
            let back = match self.announce(&fewer) {
                Ok(back) => back,
                Err(cause) => return give_up(cause),
            };
            let Some(taken) = self.take_tentatively(&more) else {
                back.forgo();
                self.holds.unchain(chain);
                continue;
            };
            let to = hold.word.changing();
            let change = HoldTransition { claim, record: &record, slot, from: hold.word, to, back, taken };
            match change.make(|| self.holds.replace_lines(slot, &hold.facts, chain, next.retagged())) {
                Ok(end) => {
                    self.log.bell.ring();
                    self.count(Count::Replaced);
                    let (hold, quantity, deadline) = (request.hold, lines.units(), next.deadline());
                    return Ok((Replaced { hold, quantity, deadline }, Position(end)));
                }
                Err(Beaten) => {
                    self.holds.unchain(chain);
                    self.voided();
                }
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
            more.push(Line { key: both.key, units: after - before });
        } else if after < before {
            fewer.push(Line { key: both.key, units: before - after });
        }
    }
    (more, fewer)
}
