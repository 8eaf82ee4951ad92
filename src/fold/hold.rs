//! Applies a fact to its hold. Pure: one hold, one fact.

use crate::clock::{StepBack, TIME_MAX, Timestamp};
use crate::hold::lines::{Line, Lines};
use crate::hold::state::{Phase, Word};
use crate::hold::table::USES_MAX;
use crate::index::Generation;
use crate::log::lines::{LinePair, join_lines};
use crate::log::record::effect::HoldEffect;
use crate::log::record::{Fact, HoldPlace, Span};
use crate::types::Reference;

/// The most slots that a table of holds has.
pub(crate) const SLOTS_MAX: u32 = 1 << 30;

/// A hold, as the log gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FoldedHold {
    pub generation: Generation,
    /// The opening that made it.
    pub epoch: u32,
    /// The lines held; once confirmed, the lines still committed; of a hold that has ended, its last lines.
    pub lines: Lines,
    pub born: Timestamp,
    pub reference: Reference,
    pub word: Word,
}

/// Why a fact cannot have happened to its hold.
pub(crate) type Wrong = &'static str;

/// Refuses a place that no table of holds can have.
pub(crate) fn check(place: HoldPlace) -> Result<(), Wrong> {
    let is_one = place.slot.0 < SLOTS_MAX && (1..=USES_MAX).contains(&place.generation.0);
    if is_one { Ok(()) } else { Err("a hold's slot or generation is out of range") }
}

/// Refuses a time that does not fit into a hold's word.
pub(crate) fn check_time(at: Timestamp) -> Result<(), Wrong> {
    if at <= TIME_MAX { Ok(()) } else { Err("a time is out of range") }
}

impl FoldedHold {
    /// The hold that `fact` makes at `born` in the opening `epoch`, in a slot that had the hold `before`;
    /// `None` if the fact makes no hold.
    pub(crate) fn made(
        fact: &Fact<'_>,
        born: Timestamp,
        epoch: u32,
        before: Option<&FoldedHold>,
    ) -> Result<Option<FoldedHold>, Wrong> {
        let (HoldEffect::Make, Some(place)) = (fact.kind.effect().hold, fact.place) else {
            return Ok(None);
        };
        let deadline = Timestamp(born.0.saturating_add(fact.ttl.millis()));
        let hold = FoldedHold {
            generation: place.generation,
            epoch,
            lines: fact.lines().0.collect(),
            born,
            reference: Reference::new(fact.reference).ok_or("a reference that is too long")?,
            word: Word::with_deadline(Phase::Active, place.generation.0, deadline),
        };
        if before.is_some_and(|before| !hold.may_follow(before)) {
            return Err("a slot is used again before its hold has ended");
        }
        Ok(Some(hold))
    }

    /// Whether this hold can have got the slot of `before`.
    fn may_follow(&self, before: &FoldedHold) -> bool {
        let phase = before.word.phase();
        before.generation < self.generation && !phase.is_live() && phase != Phase::Confirmed
    }

    /// Applies `fact`, decided at `at`, to this hold, which it does not make. It applies what the engine
    /// decided, and never decides again.
    pub(crate) fn apply(&mut self, fact: &Fact<'_>, at: Option<Timestamp>) -> Result<(), Wrong> {
        let (first, second) = fact.lines();
        let Some(place) = fact.place else { return Ok(()) };
        let is_it = self.generation == place.generation;
        let phase = self.word.phase();
        let live = |otherwise| if is_it && phase.is_live() { Ok(()) } else { Err(otherwise) };
        match fact.kind.effect().hold {
            HoldEffect::Confirm => {
                live("a confirm of a hold that is not live")?;
                let whole = join_lines(first.clone(), second).map(|LinePair { target, first, second }| {
                    Line { target, units: first.saturating_add(second) }
                });
                if !whole.eq(self.lines.iter().copied()) {
                    return Err("a confirm of lines that the hold does not have");
                }
                self.lines = first.collect();
                self.word = Word::with_units(Phase::Confirmed, place.generation.0, self.lines.units());
            }
            HoldEffect::Retake => {
                if !is_it || phase != Phase::Expired {
                    return Err("a retake of a hold that had not expired");
                }
                if join_lines(self.lines.iter().copied(), first.clone()).any(|line| line.second > line.first)
                {
                    return Err("a retake of more units than the hold had");
                }
                self.lines = first.collect();
                self.word = Word::with_units(Phase::Confirmed, place.generation.0, self.lines.units());
            }
            HoldEffect::End(ended) => {
                let (not_live, other_lines) = match ended {
                    Phase::Expired => (
                        "an expiry of a hold that is not live",
                        "an expiry of lines that the hold does not have",
                    ),
                    _ => (
                        "a release of a hold that is not live",
                        "a release of lines that the hold does not have",
                    ),
                };
                live(not_live)?;
                if !first.eq(self.lines.iter().copied()) {
                    return Err(other_lines);
                }
                self.word = Word::with_units(ended, place.generation.0, 0);
            }
            HoldEffect::Replace => {
                live("a replacement of a hold that is not live")?;
                if !first.eq(self.lines.iter().copied()) {
                    return Err("it replaces lines that the hold does not have");
                }
                self.lines = second.collect();
                self.word = self.later(phase, at, fact.ttl);
            }
            extend @ (HoldEffect::Extend | HoldEffect::Pay) => {
                let pay = extend == HoldEffect::Pay;
                // An extension that changes nothing is logged only if it has an op key, and its record may
                // lie behind the record of an outcome that followed at once.
                let changed_nothing = is_it && !pay && fact.op.is_some();
                if !changed_nothing {
                    live("an extension of a hold that is not live")?;
                }
                if phase.is_live() {
                    self.word = self.later(if pay { Phase::Paying } else { phase }, at, fact.ttl);
                }
            }
            HoldEffect::MoveCommitted(emptied) => {
                if !is_it || phase != Phase::Confirmed {
                    return Err("a movement of a hold that is not confirmed");
                }
                let left = || join_lines(self.lines.iter().copied(), first.clone());
                if left().any(|line| line.second > line.first) {
                    return Err("it moves more units than the hold has");
                }
                let left =
                    left().map(|LinePair { target, first, second }| Line { target, units: first - second });
                let rest: Lines = left.filter(|line| line.units > 0).collect();
                self.word = if rest.is_empty() {
                    Word::with_units(emptied, place.generation.0, 0)
                } else {
                    self.lines = rest;
                    Word::with_units(Phase::Confirmed, place.generation.0, self.lines.units())
                };
            }
            HoldEffect::NoHold | HoldEffect::Make => {}
        }
        Ok(())
    }

    /// Moves its times with engine time.
    pub(crate) fn step_back(&mut self, step: StepBack) {
        self.born = step.happened(self.born);
        if self.word.phase().is_live() {
            let deadline = step.deadline(self.word.deadline(), self.born);
            self.word = Word::with_deadline(self.word.phase(), self.generation.0, deadline);
        }
    }

    /// The word in `phase` with the deadline `ttl` after `at`, or the present deadline if that is later.
    fn later(&self, phase: Phase, at: Option<Timestamp>, ttl: Span) -> Word {
        let deadline = Timestamp(at.unwrap_or_default().0.saturating_add(ttl.millis()));
        Word::with_deadline(phase, self.generation.0, deadline.max(self.word.deadline()))
    }
}
