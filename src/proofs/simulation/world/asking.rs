//! What clients ask: of the engine and of the book, and their answers side by side.

use std::rc::Rc;

use super::{EPOCHS, Given, World, Wrong, ensure};
use crate::answer::RefusalReason;
use crate::error::{OpKeyError, SharedError, StockError};
use crate::proofs::simulation::auditor;
use crate::proofs::simulation::book::{Answer, Told, Used};
use crate::proofs::simulation::client::Answered;
use crate::proofs::simulation::schedule::{Lines, Part, RETENTION_MS, What};
use crate::types::HoldId;

impl World {
    /// The operation, with a hold and keys that there are.
    pub(in crate::proofs::simulation) fn resolved(&self, what: &What<u32>) -> Option<What<HoldId>> {
        let keys = self.book.stock.len();
        let holds = &self.book.holds;
        let what = what.named(|pick| {
            let from_the_end = (u32::MAX - pick) as usize;
            let number = if from_the_end < 8 { holds.len().checked_sub(1 + from_the_end) } else { None };
            holds.get(number.unwrap_or(pick as usize % holds.len().max(1))).map(|hold| hold.id)
        })?;
        self.fitted(what, keys)
    }

    fn fitted(&self, mut what: What<HoldId>, keys: usize) -> Option<What<HoldId>> {
        let fit = |lines: &mut Lines| lines[keys..].fill(0);
        match &mut what {
            What::Declare { .. } => return Some(what),
            _ if keys == 0 => return None,
            What::Receive { key, .. }
            | What::Adjust { key, .. }
            | What::Switch { key, .. }
            | What::Prepare { key }
            | What::Reserve { key, .. } => *key %= keys,
            What::Cart { lines, .. } => fit(lines),
            // Each takes a place before any takes units, so which finds none is another question.
            What::Batch { .. } if self.book.holds_max < 100 => return None,
            What::Batch { wanted } => wanted.iter_mut().for_each(|(key, _)| *key %= keys),
            What::Replace { by: part, .. }
            | What::Confirm { part, .. }
            | What::Cancel { part, .. }
            | What::Ship { part, .. } => {
                if let Part::Lines(lines) = part {
                    fit(lines);
                }
            }
            What::Release { .. } | What::Extend { .. } | What::Pay { .. } => {}
        }
        Some(what)
    }

    /// Whether what was asked can be asked again: its keys are there.
    fn is_askable(&self, what: &What<HoldId>) -> bool {
        let keys = self.book.stock.len();
        keys > 0 && self.fitted(what.clone(), keys).as_ref() == Some(what)
    }

    pub(in crate::proofs::simulation) fn operate(
        &mut self,
        what: &What<HoldId>,
        op_key: Option<u64>,
    ) -> Result<(), Wrong> {
        // These have none.
        let op_key = op_key.filter(|_| {
            !matches!(
                what,
                What::Declare { .. } | What::Switch { .. } | What::Prepare { .. } | What::Batch { .. }
            )
        });
        self.seen.operations += 1;
        let answered = self.client()?.ask(what, op_key);
        if let Some(key) = op_key
            && !self.asked.iter().any(|(known, _)| *known == key)
        {
            self.asked.push((key, what.clone()));
        }
        let hold = hold_of(what).map(|id| (id, self.book.find(id)));
        if self.is_stopped() {
            ensure!(
                answered.said.is_none() || matches!(answered.told, Told::Refused { .. }),
                "a stopped engine did {what:?}: {answered:?}"
            );
            return Ok(());
        }
        ensure!(!answered.stopped, "an engine that has not stopped says so of {what:?}");
        if answered.busy {
            let ring = &self.running()?.core.log.ring;
            ensure!(
                ring.used_words() * 2 > ring.capacity_words(),
                "one thread was told to try again: {what:?}: {answered:?}"
            );
            return Ok(());
        }
        if let Some(lookup) = answered.lookup {
            let Some((id, number)) = hold else {
                return Err(format!("{what:?} names no hold: {answered:?}"));
            };
            return auditor::may_be_unknown(self, id, number, lookup);
        }
        if let Some((_, None)) = hold {
            // It was taken back; whatever is refused before anybody looks for it is.
            ensure!(matches!(answered.told, Told::Error(_)), "{what:?} of a hold that is gone: {answered:?}");
            return Ok(());
        }
        let mut after = self.book.clone();
        let (told, range) = after.apply(what);
        self.book = after;
        ensure!(answered.told == told, "{what:?} is told {answered:?}, and should be {told:?}");
        check_number(what, &answered, &(told.clone(), range))?;
        self.called(&answered.made)?;
        let is_remembered = match (&told, what) {
            (Told::Error(_) | Told::NotHeld { .. }, _) => false,
            (Told::Refused { reason, .. }, What::Reserve { remember_refusal, .. })
            | (Told::Refused { reason, .. }, What::Cart { remember_refusal, .. }) => {
                *remember_refusal && *reason != RefusalReason::NotOpen
            }
            (Told::Refused { .. }, _) => false,
            _ => true,
        };
        if let Some(key) = op_key.filter(|_| is_remembered) {
            let (said, position) = answered.said.ok_or_else(|| format!("{what:?} has no position"))?;
            let used = Used { what: what.clone(), said, position, at: self.book.now };
            self.book.op_keys.insert(key, Rc::new(used));
        }
        Ok(())
    }

    /// Takes down the ids of holds that were made.
    fn called(&mut self, made: &[HoldId]) -> Result<(), Wrong> {
        let epoch = self.running()?.engine.report().epoch;
        for id in made {
            let before = self.ids.insert(*id, Given { epoch, taken_back: false });
            let may_be = before.is_none_or(|given| given.taken_back && epoch - given.epoch >= EPOCHS);
            ensure!(may_be, "the id {id} is given again in opening {epoch}: {before:?}");
        }
        self.book.call(made);
        Ok(())
    }

    /// The same op key again.
    pub(in crate::proofs::simulation) fn again(&mut self, which: u32, other: bool) -> Result<(), Wrong> {
        let Some((key, what)) = self.asked.get(which as usize % self.asked.len().max(1)).cloned() else {
            return Ok(());
        };
        match self.book.op_keys.get(&key).cloned() {
            // It may be forgotten, and is not to be used again.
            Some(used) if used.at + RETENTION_MS <= self.book.now => Ok(()),
            Some(used) if !other => auditor::answers_the_same(self, key, &used),
            Some(_) => {
                let other = match what {
                    What::Receive { key, quantity } => What::Receive { key, quantity: quantity + 1 },
                    _ => What::Receive { key: 0, quantity: 1 },
                };
                if !self.is_askable(&other) || self.is_stopped() {
                    return Ok(());
                }
                let answered = self.client()?.ask(&other, Some(key));
                let error = StockError::Shared(SharedError::OpKey(OpKeyError::OtherContent));
                let expected = Told::Error(format!("{error:?}"));
                ensure!(answered.told == expected, "other content with op key {key}: {answered:?}");
                Ok(())
            }
            // It came to nothing, or was taken back.
            None if self.is_askable(&what) => self.operate(&what, Some(key)),
            None => Ok(()),
        }
    }
}

/// The hold that an operation names.
fn hold_of(what: &What<HoldId>) -> Option<HoldId> {
    let mut found = None;
    what.named(|hold| {
        found = Some(hold);
        Some(())
    });
    found
}

fn check_number(what: &What<HoldId>, answered: &Answered, expected: &Answer) -> Result<(), Wrong> {
    let fits = match (&answered.number, &expected.1) {
        (Some((number, true)), Some(range)) => range.contains(number),
        // On a split key it is what one cell has.
        (Some((number, false)), Some(range)) => number <= range.end(),
        (None, None) => true,
        _ => false,
    };
    ensure!(fits, "{what:?} is told {answered:?}, and should be {expected:?}");
    Ok(())
}
