//! Verify: the fold, and beside it a judge of everything that the fold takes on trust.
//!
//! Of each record it is asked, at its position:
//! - does it apply: its key declared, its hold there and in a state that allows it;
//! - did time allow it: an expiry not before its hold's deadline, any other outcome before it, one outcome a hold,
//!   by the same pure [`decide`] that the engine decided with;
//! - is the book valid behind it: nothing below zero that no correction took there;
//! - do both books agree: `held` and `committed` of a key, which records move, and the sums over its holds, which the
//!   holds' words say.
//!
//! And of each chunk, whether its records fill it exactly and belong to the opening that wrote it.
//!
//! The first answer that is no ends it. Cost: 16 bytes a stock key beside the fold.

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

/// Units of a key in holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct UnitsInHolds {
    held: i64,
    committed: i64,
}

impl UnitsInHolds {
    /// What a line counts as, in a hold that is in `phase`.
    fn of(line: Line, phase: Phase) -> UnitsInHolds {
        match phase {
            phase if phase.is_live() => UnitsInHolds { held: line.units.into(), committed: 0 },
            Phase::Confirmed => UnitsInHolds { held: 0, committed: line.units.into() },
            _ => UnitsInHolds::default(),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    pub(crate) fold: Fold,
    /// By key.
    in_holds: Vec<UnitsInHolds>,
}

impl Verifier {
    /// Goes on from what is said to lie before the log.
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

    /// Whether another way to the same position came to the same.
    pub(crate) fn same_as(&self, other: &Fold) -> Result<(), Drift> {
        let differs =
            |what: String| Err(drift(self.fold.position, format!("the checkpoint there has {what}")));
        let fold = &self.fold;
        if fold.names != other.names {
            return differs("other stock keys".into());
        }
        let books = fold.levels.iter().zip(other.levels.iter());
        if let Some(((key, _), _)) = books.into_iter().find(|((_, ours), (_, theirs))| ours != theirs) {
            return differs(format!("another book of stock key {}", key.0));
        }
        let mut holds = fold.holds.iter().zip(other.holds.iter());
        if let Some(((slot, _), _)) = holds.find(|(ours, theirs)| ours != theirs) {
            return differs(format!("another hold in slot {}", slot.0));
        }
        if fold.holds.iter().count() != other.holds.iter().count() {
            return differs("another number of holds".into());
        }
        let known = |fold: &Fold| (fold.position, fold.records, fold.now, fold.epoch, fold.opened_at);
        if known(fold) == known(other) {
            Ok(())
        } else {
            differs("another time, or number of records".into())
        }
    }

    /// Folds records, which begin at `start`; where they end.
    pub(crate) fn records(&mut self, start: u64, payload: &[u8]) -> Result<u64, Drift> {
        let mut behind = start;
        for record in Records::new(payload, start) {
            let logged = record.map_err(|_| drift(behind, "bytes that are not a record"))?;
            self.apply(&logged)?;
            behind = logged.position;
        }
        Ok(behind)
    }

    /// Folds the records of the log's next chunk.
    pub(crate) fn chunk(&mut self, header: &ChunkHeader, payload: &[u8]) -> Result<(), Drift> {
        let behind = self.records(header.start, payload)?;
        if behind != header.end() {
            return Err(drift(behind, format!("its chunk goes on to position {}", header.end())));
        }
        if self.fold.epoch != header.epoch {
            return Err(drift(behind, format!("opening {} wrote it unannounced", header.epoch)));
        }
        Ok(())
    }

    fn apply(&mut self, logged: &Logged<'_>) -> Result<(), Drift> {
        let Logged { position, ref fact, .. } = *logged;
        let place = fact.place;
        let before = place.and_then(|place| self.fold.holds.get(place.slot)).cloned();
        let decided = before.as_ref().map_or(Ok(None), |hold| self.decided(hold, fact));
        // A record that the fold cannot apply at all is better told by the fold.
        self.fold.apply(logged, &mut |_| {})?;
        let decided = decided.map_err(|what| drift(position, what))?;
        let after = place.and_then(|place| self.fold.holds.get(place.slot));
        if decided.is_some_and(|word| after.is_none_or(|hold| hold.word != word)) {
            return Err(drift(position, "the hold's next state is another than the one it says"));
        }
        if after.is_some_and(|hold| {
            hold.word.phase() == Phase::Confirmed && hold.word.units() != hold.lines.units()
        }) {
            return Err(drift(position, "the hold's lines come to other units than its state says"));
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

    /// The word that a fact leads its hold to, decided again; `None` for a fact that is no transition.
    fn decided(&self, hold: &FoldedHold, fact: &Fact<'_>) -> Result<Option<Word>, String> {
        let at = self.fold.time_of(fact).unwrap_or_default();
        let effect = fact.kind.effect().hold;
        let Some(event) = event(effect, fact, at) else { return Ok(None) };
        if effect == HoldEffect::Extend && fact.op.is_some() && !hold.word.phase().is_live() {
            // It changed nothing, and may lie behind the outcome that came right after it, as the fold knows.
            return Ok(None);
        }
        decide(hold.word, at, event).map(Some).map_err(|no| match no {
            No::Due => "the deadline of its hold had passed".into(),
            No::NotDue => "the deadline of its hold had not passed".into(),
            No::Phase(phase) => format!("its hold is {phase:?}, which does not allow it"),
            No::TooMany { remaining } => format!("its hold has {remaining} units left"),
        })
    }

    /// Whether the book of a key and its holds say the same.
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

/// The event that a fact, decided at `at`, says happened to a hold that was there before it.
fn event(effect: HoldEffect, fact: &Fact<'_>, at: Timestamp) -> Option<Event> {
    let deadline = Timestamp(at.0.saturating_add(fact.ttl.millis()));
    let (units, _) = fact.units();
    Some(match effect {
        HoldEffect::NoHold | HoldEffect::Make => return None,
        HoldEffect::Confirm => Event::Confirm { units },
        HoldEffect::Retake => Event::Retake { units },
        HoldEffect::End(Phase::Expired) => Event::Expire,
        HoldEffect::End(_) => Event::Release,
        // Other lines change nothing of a hold's state but its deadline.
        HoldEffect::Extend | HoldEffect::Replace => Event::Extend { deadline },
        HoldEffect::Pay => Event::Pay { deadline },
        HoldEffect::MoveCommitted(Phase::Shipped) => Event::Ship { units: Some(units) },
        HoldEffect::MoveCommitted(_) => Event::Cancel { units: Some(units) },
    })
}
