//! Does the operations of clients with the engine and with the book, and compares the answers.

use stockhold_model::{Answer, Failure, Lines, Model, Operation, Reply, Selection};

use super::{EPOCHS, GivenId, Simulator, Violation, ensure};
use crate::proofs::simulation::auditor;
use crate::proofs::simulation::client::Answered;
use crate::proofs::simulation::schedule::HoldPick;
use crate::types::HoldId;

impl Simulator {
    /// The operation with an existing hold and existing keys; `None` if there are none.
    pub(in crate::proofs::simulation) fn resolved(
        &self,
        operation: &Operation<HoldPick>,
    ) -> Option<Operation<HoldId>> {
        let ids = &self.book.ids;
        let operation = operation.with_hold(|pick| pick.number(ids.len()).map(|number| ids[number]))?;
        self.fitted(operation, self.book.stock.len())
    }

    fn fitted(&self, mut operation: Operation<HoldId>, keys: usize) -> Option<Operation<HoldId>> {
        let fit = |lines: &mut Lines| lines[keys..].fill(0);
        match &mut operation {
            Operation::Declare { .. } => return Some(operation),
            _ if keys == 0 => return None,
            Operation::Receive { key, .. }
            | Operation::Adjust { key, .. }
            | Operation::Switch { key, .. }
            | Operation::Prepare { key }
            | Operation::Reserve { key, .. } => *key %= keys,
            Operation::Cart { lines, .. } => fit(lines),
            // Each request takes a slot before any takes units: the contract leaves open which finds none.
            Operation::Batch { .. } if self.book.rules.holds_max < 100 => return None,
            Operation::Batch { requests } => requests.iter_mut().for_each(|(key, _)| *key %= keys),
            Operation::Replace { by: selection, .. }
            | Operation::Confirm { selection, .. }
            | Operation::Cancel { selection, .. }
            | Operation::Ship { selection, .. } => {
                if let Selection::Lines(lines) = selection {
                    fit(lines);
                }
            }
            Operation::Release { .. } | Operation::Extend { .. } | Operation::BeginPayment { .. } => {}
        }
        Some(operation)
    }

    /// Whether the operation can be repeated: its keys exist.
    fn is_askable(&self, operation: &Operation<HoldId>) -> bool {
        let keys = self.book.stock.len();
        keys > 0 && self.fitted(operation.clone(), keys).as_ref() == Some(operation)
    }

    pub(in crate::proofs::simulation) fn operate(
        &mut self,
        operation: &Operation<HoldId>,
        op_key: Option<u64>,
    ) -> Result<(), Violation> {
        // These operations take no op key.
        let op_key = op_key.filter(|_| {
            !matches!(
                operation,
                Operation::Declare { .. }
                    | Operation::Switch { .. }
                    | Operation::Prepare { .. }
                    | Operation::Batch { .. }
            )
        });
        self.counts.operations += 1;
        let answered = self.client()?.ask(operation, op_key);
        if let Some(key) = op_key
            && !self.asked.iter().any(|(known, _)| *known == key)
        {
            self.asked.push((key, operation.clone()));
        }
        if self.is_stopped() {
            ensure!(
                answered.said.is_none() || matches!(answered.answer, Answer::Refused { .. }),
                "a stopped engine did {operation:?}: {answered:?}"
            );
            return Ok(());
        }
        ensure!(!answered.stopped, "an engine that has not stopped says so of {operation:?}");
        if answered.busy {
            let ring = &self.running()?.core.log.ring;
            ensure!(
                ring.used_words() * 2 > ring.capacity_words(),
                "one thread was told to try again: {operation:?}: {answered:?}"
            );
            return Ok(());
        }
        if let Some(lookup) = answered.lookup {
            let Some(id) = operation.hold() else {
                return Err(format!("{operation:?} names no hold: {answered:?}"));
            };
            return auditor::may_be_unknown(self, id, self.book.find(id), lookup);
        }
        let Some(named) = operation.with_hold(|id| self.book.find(id)) else {
            // A crash took the hold back. The engine may refuse for another cause, before it looks it up.
            let failed = matches!(answered.answer, Answer::Failed(_));
            ensure!(failed, "{operation:?} of a hold that is gone: {answered:?}");
            return Ok(());
        };
        let expected = self.book.apply(&named);
        ensure!(
            answered.answer == expected.answer,
            "{operation:?} is told {answered:?}, and should be {expected:?}"
        );
        check_number(operation, &answered, &expected)?;
        self.name_holds(&answered.made)?;
        if let Some(key) = op_key.filter(|_| Model::remembers(&named, &expected.answer)) {
            let (said, position) = answered.said.ok_or_else(|| format!("{operation:?} has no position"))?;
            self.book.use_op_key(key, named, said, position);
        }
        Ok(())
    }

    /// Records the ids of holds that were made, and checks that they are new.
    fn name_holds(&mut self, made: &[HoldId]) -> Result<(), Violation> {
        let epoch = self.running()?.engine.report().epoch;
        for id in made {
            let before = self.ids.insert(*id, GivenId { epoch, taken_back: false });
            let may_be = before.is_none_or(|given| given.taken_back && epoch - given.epoch >= EPOCHS);
            ensure!(may_be, "the id {id} is given again in opening {epoch}: {before:?}");
        }
        self.book.ids.extend(made);
        ensure!(
            self.book.ids.len() == self.book.holds.len(),
            "{made:?} are not all the holds that were made"
        );
        Ok(())
    }

    /// Uses an op key again, for the same operation or for another one.
    pub(in crate::proofs::simulation) fn again(&mut self, which: u32, other: bool) -> Result<(), Violation> {
        let Some((key, operation)) = self.asked.get(which as usize % self.asked.len().max(1)).cloned() else {
            return Ok(());
        };
        match self.book.op_keys.get(&key).cloned() {
            // The engine may have forgotten the op key, so its answer is not determined.
            Some(used) if !self.book.keeps(&used) => Ok(()),
            Some(used) if !other => auditor::answers_the_same(self, key, &used),
            Some(_) => {
                let other = match operation {
                    Operation::Receive { key, quantity } => {
                        Operation::Receive { key, quantity: quantity + 1 }
                    }
                    _ => Operation::Receive { key: 0, quantity: 1 },
                };
                if !self.is_askable(&other) || self.is_stopped() {
                    return Ok(());
                }
                let answered = self.client()?.ask(&other, Some(key));
                let is_refused = answered.answer == Answer::Failed(Failure::OtherContent);
                ensure!(is_refused, "other content with op key {key}: {answered:?}");
                Ok(())
            }
            // The operation with this op key was not carried out, or a crash took it back.
            None if self.is_askable(&operation) => self.operate(&operation, Some(key)),
            None => Ok(()),
        }
    }
}

fn check_number(
    operation: &Operation<HoldId>,
    answered: &Answered,
    expected: &Reply,
) -> Result<(), Violation> {
    let fits = match (&answered.number, &expected.number) {
        (Some((number, true)), Some(range)) => range.contains(number),
        // On a split key the number is that of one cell.
        (Some((number, false)), Some(range)) => number <= range.end(),
        (None, None) => true,
        _ => false,
    };
    ensure!(fits, "{operation:?} is told {answered:?}, and should be {expected:?}");
    Ok(())
}
