//! Verify: folds a log, and checks everything that the fold takes for granted.
//!
//! It checks of each record, at its position:
//! - that it can be applied: its key is declared, and its hold exists in a state that allows it;
//! - that time allowed it: an expiry comes at or after the deadline, any other outcome before it, and a hold
//!   has one outcome. The check uses the same pure [`decide`] that the engine decided with;
//! - that the level behind it is valid: nothing is below zero unless a correction took it there;
//! - that two sums agree: `held` and `committed` of a key as the records move them, and the sums over the
//!   words of its holds.
//!
//! It checks of each chunk that its records fill it exactly and belong to the opening that wrote it.
//!
//! The first failed check ends it. Cost: 16 bytes for each stock key, beside the fold.

use super::hold::FoldedHold;
use super::levels::Contradiction;
use super::state::Fold;
use crate::clock::Timestamp;
use crate::error::Drift;
use crate::hold::lines::Line;
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::index::{KeyIndex, Target};
use crate::log::chunk::ChunkHeader;
use crate::log::record::effect::HoldEffect;
use crate::log::record::{Fact, Logged, Records};
use crate::types::Position;

impl From<Contradiction> for Drift {
    fn from(Contradiction { position, what }: Contradiction) -> Self {
        drift(position, what)
    }
}

fn drift(position: u64, what: impl Into<String>) -> Drift {
    Drift { position: Position(position), what: what.into() }
}

/// The units of a stock key in holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct UnitsInHolds {
    held: i64,
    committed: i64,
}

impl UnitsInHolds {
    /// The units of a line of a hold in `phase`.
    fn of(line: Line, phase: Phase) -> UnitsInHolds {
        match phase {
            phase if phase.is_live() => UnitsInHolds { held: line.units.into(), committed: 0 },
            Phase::Confirmed => UnitsInHolds { held: 0, committed: line.units.into() },
            _ => UnitsInHolds::default(),
        }
    }
}

/// A fold with its checks.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    pub(crate) fold: Fold,
    /// By key.
    in_holds: Vec<UnitsInHolds>,
}

impl Verifier {
    /// Continues from a state that lies before the log.
    pub(crate) fn from(fold: Fold) -> Result<Self, Drift> {
        let mut verifier = Verifier { in_holds: vec![UnitsInHolds::default(); fold.names.len()], fold };
        for hold in verifier.fold.holds.values() {
            for line in hold.lines.iter() {
                let sum = verifier.in_holds.get_mut(line.target.number() as usize);
                let sum = sum.ok_or_else(|| {
                    drift(verifier.fold.position, "a hold of a stock key that was never declared")
                })?;
                let units = UnitsInHolds::of(*line, hold.word.phase());
                (sum.held, sum.committed) = (sum.held + units.held, sum.committed + units.committed);
            }
        }
        (0..verifier.fold.names.len() as u32)
            .try_for_each(|key| verifier.agree(verifier.fold.position, Target::of(key)))?;
        Ok(verifier)
    }

    /// Compares with the state that another way to the same position gave.
    pub(crate) fn same_as(&self, other: &Fold) -> Result<(), Drift> {
        let differs = |what: String| {
            Err(drift(
                self.fold.position,
                format!("the checkpoint there differs from the log before it: {what}"),
            ))
        };
        let fold = &self.fold;
        if fold.names != other.names {
            return differs("the names of stock keys".into());
        }
        let books = fold.levels.iter().zip(other.levels.iter());
        if let Some(((key, _), _)) = books.into_iter().find(|((_, ours), (_, theirs))| ours != theirs) {
            return differs(format!("the level of stock key {}", key.0));
        }
        let mut holds = fold.holds.iter().zip(other.holds.iter());
        if let Some(((slot, _), _)) = holds.find(|(ours, theirs)| ours != theirs) {
            return differs(format!("the hold in slot {}", slot.0));
        }
        if fold.holds.iter().count() != other.holds.iter().count() {
            return differs("the number of holds".into());
        }
        let known = |fold: &Fold| (fold.position, fold.records, fold.now, fold.epoch, fold.opened_at);
        if known(fold) == known(other) {
            Ok(())
        } else {
            differs("the time, the opening or the number of records".into())
        }
    }

    /// Folds records, the first of which begins at `start`; returns where they end.
    pub(crate) fn records(&mut self, start: u64, payload: &[u8]) -> Result<u64, Drift> {
        let mut behind = start;
        for record in Records::new(payload, start) {
            let logged = record.map_err(|_| drift(behind, "bytes that are not a record"))?;
            self.apply(&logged)?;
            behind = logged.position;
        }
        Ok(behind)
    }

    /// Folds the records of the next chunk of the log.
    pub(crate) fn chunk(&mut self, header: &ChunkHeader, payload: &[u8]) -> Result<(), Drift> {
        let behind = self.records(header.start, payload)?;
        if behind != header.end() {
            return Err(drift(behind, format!("its chunk goes on to position {}", header.end())));
        }
        if self.fold.epoch != header.epoch {
            return Err(drift(
                behind,
                format!("its chunk is of opening {}, which has no record of its own before it", header.epoch),
            ));
        }
        Ok(())
    }

    fn apply(&mut self, logged: &Logged<'_>) -> Result<(), Drift> {
        let Logged { position, ref fact, .. } = *logged;
        let place = fact.place;
        let before = place.and_then(|place| self.fold.holds.get(place.slot)).cloned();
        let decided = before.as_ref().map_or(Ok(None), |hold| self.decided(hold, fact));
        // If the fold cannot apply the record at all, its own error is the better one.
        self.fold.apply(logged, &mut |_| {})?;
        let decided = decided.map_err(|what| drift(position, what))?;
        let after = place.and_then(|place| self.fold.holds.get(place.slot));
        if decided.is_some_and(|word| after.is_none_or(|hold| hold.word != word)) {
            return Err(drift(
                position,
                "the hold's new state in the record is not the one that the record leads to",
            ));
        }
        if after.is_some_and(|hold| {
            hold.word.phase() == Phase::Confirmed && hold.word.units() != hold.lines.units()
        }) {
            return Err(drift(position, "the units of the hold's lines differ from the units in its state"));
        }
        self.in_holds.resize(self.fold.names.len(), UnitsInHolds::default());
        for (hold, sign) in [(before.as_ref(), -1), (after, 1)] {
            let Some(hold) = hold else { continue };
            for line in hold.lines.iter() {
                let units = UnitsInHolds::of(*line, hold.word.phase());
                let sum = self.in_holds.get_mut(line.target.number() as usize);
                let sum =
                    sum.ok_or_else(|| drift(position, "a hold of a stock key that was never declared"))?;
                sum.held += sign * units.held;
                sum.committed += sign * units.committed;
            }
        }
        let of_holds = [before.as_ref(), after].into_iter().flatten().flat_map(|hold| hold.lines.iter());
        fact.visit(|line| self.agree(position, line.target))?;
        of_holds.into_iter().try_for_each(|line| self.agree(position, line.target))
    }

    /// Decides again what a fact does to the word of its hold; `None` if the fact is no transition.
    fn decided(&self, hold: &FoldedHold, fact: &Fact<'_>) -> Result<Option<Word>, String> {
        let at = self.fold.time_of(fact).unwrap_or_default();
        let effect = fact.kind.effect().hold;
        let Some(event) = event(effect, fact, at) else { return Ok(None) };
        if effect == HoldEffect::Extend && fact.op.is_some() && !hold.word.phase().is_live() {
            // It changed nothing, and its record may lie behind that of an outcome that followed at once.
            return Ok(None);
        }
        decide(hold.word, at, event).map(Some).map_err(|no| match no {
            No::Due => "the deadline of its hold had passed".into(),
            No::NotDue => "the deadline of its hold had not passed".into(),
            No::Phase(phase) => format!("its hold is {phase:?}, which does not allow it"),
            No::TooMany { remaining } => format!("its hold has {remaining} units left"),
        })
    }

    /// Checks that the level of a key and the sums over its holds agree.
    fn agree(&self, position: u64, target: Target) -> Result<(), Drift> {
        let key = target.good().unwrap_or(KeyIndex(u32::MAX));
        let (Some(level), Some(units)) = (self.fold.levels.get(key), self.in_holds.get(key.as_usize()))
        else {
            return Err(drift(position, "a stock key that was never declared"));
        };
        let (book, holds) = (UnitsInHolds { held: level.held, committed: level.committed }, *units);
        if book != holds {
            return Err(drift(
                position,
                format!(
                    "the stock key has {} units held and {} committed, its holds have {} and {}",
                    book.held, book.committed, holds.held, holds.committed
                ),
            ));
        }
        Ok(())
    }
}

/// The event of a fact, decided at `at`, for a hold that existed before it.
fn event(effect: HoldEffect, fact: &Fact<'_>, at: Timestamp) -> Option<Event> {
    let deadline = Timestamp(at.0.saturating_add(fact.ttl.millis()));
    let (units, _) = fact.units();
    Some(match effect {
        HoldEffect::NoHold | HoldEffect::Make => return None,
        HoldEffect::Confirm => Event::Confirm { units },
        HoldEffect::Retake => Event::Retake { units },
        HoldEffect::End(Phase::Expired) => Event::Expire,
        HoldEffect::End(_) => Event::Release,
        // Of the word, a replacement changes only the deadline.
        HoldEffect::Extend | HoldEffect::Replace => Event::Extend { deadline },
        HoldEffect::Pay => Event::Pay { deadline },
        HoldEffect::MoveCommitted(Phase::Shipped) => Event::Ship { units: Some(units) },
        HoldEffect::MoveCommitted(_) => Event::Cancel { units: Some(units) },
    })
}
