//! The end of the pipeline: waits until decisions are durable, then writes and counts them in file order.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use stockhold::{Engine, Position};

use super::batch::{BatchPlan, DecidedCarts, PlanSlot};
use super::cart::{Cart, Line};
use super::decide::{Decision, LineOutcome, Verdict};
use super::line::BadLine;
use super::messages::RERUN;
use super::outcomes::OutcomesFile;
use super::progress::Screen;
use super::summary::Tally;
use crate::exit::CommandError;

/// Waits until decisions are durable, and writes the outcomes.
pub struct Collector<'a> {
    pub engine: &'a Engine,
    /// End of the log when the directory was opened: decisions at or before it were made by an earlier run.
    pub recovered: Position,
    pub name: &'a str,
    pub strict: bool,
    pub stop: &'a AtomicBool,
    pub outcomes: Option<OutcomesFile>,
    pub screen: &'a mut Screen,
    pub tally: &'a mut Tally,
    /// The first bad line of a strict run.
    pub fatal: Option<(u64, BadLine)>,
}

/// A slot of the plan with its decision.
enum FilledSlot {
    Cart(Cart, Decision),
    Bad(u64, BadLine),
}

impl Collector<'_> {
    /// Collects until the reader has ended. Owns its ends of the channels, so that returning closes them.
    pub fn run(
        &mut self,
        plans: Receiver<BatchPlan>,
        decided: Vec<Receiver<DecidedCarts>>,
        return_permit: SyncSender<()>,
    ) -> Result<(), CommandError> {
        for plan in plans {
            let bytes = plan.bytes;
            let slots = fill(plan.slots, &decided)?;
            self.settle(slots)?;
            self.screen.progress(self.tally.reached(bytes));
            // Fails if the reader has ended; then it needs no more permits.
            let _ = return_permit.try_send(());
        }
        self.screen.clear();
        match self.fatal.take() {
            None => Ok(()),
            Some((number, why)) => Err(CommandError::Usage(format!(
                "{} line {number}: {why}. The run ended there (--strict): {} and stay so. \
                 Correct the line and run the same command again",
                self.name,
                self.tally.in_words()
            ))),
        }
    }

    /// Waits until a batch is durable, then writes and counts it.
    fn settle(&mut self, slots: Vec<FilledSlot>) -> Result<(), CommandError> {
        let positions = slots.iter().map(|slot| match slot {
            FilledSlot::Cart(_, decision) => decision.position,
            FilledSlot::Bad(..) => Position::default(),
        });
        // One wait for the whole batch. If it fails, some decisions may still be durable: each is waited for
        // below.
        let all_durable = positions.max().is_none_or(|last| self.engine.wait(last).is_ok());
        for slot in slots {
            match slot {
                FilledSlot::Bad(number, why) => self.bad(number, why),
                FilledSlot::Cart(cart, decision) => {
                    if !all_durable {
                        self.engine
                            .wait(decision.position)
                            .map_err(|unknown| self.broken(&cart, &unknown))?;
                    }
                    self.cart(&cart, &decision)?;
                }
            }
        }
        Ok(())
    }

    fn cart(&mut self, cart: &Cart, decision: &Decision) -> Result<(), CommandError> {
        let why = match &decision.verdict {
            Verdict::Failed(why) => return Err(self.broken(cart, why)),
            Verdict::ContentChanged if cart.place.is_some() => BadLine::CartChanged,
            Verdict::ContentChanged => BadLine::LineChanged,
            Verdict::Blocked => BadLine::Blocked,
            verdict @ (Verdict::Granted { .. } | Verdict::Refused(_)) => {
                self.tally.count_cart(verdict);
                let before = decision.position <= self.recovered;
                for (index, line) in cart.lines.iter().enumerate() {
                    if let Some(outcome) = verdict.of_line(index) {
                        self.line(line, outcome, before)?;
                    }
                }
                return Ok(());
            }
        };
        for line in &cart.lines {
            self.bad(line.number, why.clone());
        }
        Ok(())
    }

    fn line(&mut self, line: &Line, outcome: LineOutcome, before: bool) -> Result<(), CommandError> {
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.write(line, outcome).map_err(|error| {
                let done = self.tally.in_words();
                let message = format!("--outcomes could not be written ({error}): {done}. {RERUN}");
                CommandError::Environment(message)
            })?;
        }
        self.tally.count(line, outcome, before);
        Ok(())
    }

    fn bad(&mut self, number: u64, why: BadLine) {
        self.tally.count_bad();
        if !self.strict {
            self.screen.bad_line(self.name, number, &why);
        } else if self.fatal.is_none() {
            // Relaxed: a request to end soon, which carries no data. The batches in flight are still
            // collected.
            self.stop.store(true, Ordering::Relaxed);
            self.fatal = Some((number, why));
        }
    }

    fn broken(&self, cart: &Cart, why: &dyn Display) -> CommandError {
        let (number, name, done) = (cart.lines[0].number, self.name, self.tally.in_words());
        CommandError::Environment(format!(
            "{why}.\n{name} is decided and acknowledged up to line {number}, without that line: {done}. \
             The outcome of the lines after that is unknown. {RERUN}"
        ))
    }
}

/// Puts the workers' decisions in file order.
fn fill(slots: Vec<PlanSlot>, decided: &[Receiver<DecidedCarts>]) -> Result<Vec<FilledSlot>, CommandError> {
    let gone = || CommandError::Environment(format!("a worker thread has died. {RERUN}"));
    let mut parts: Vec<Option<std::vec::IntoIter<(Cart, Decision)>>> = decided.iter().map(|_| None).collect();
    let mut filled = Vec::with_capacity(slots.len());
    for slot in slots {
        filled.push(match slot {
            PlanSlot::Bad { number, why } => FilledSlot::Bad(number, why),
            PlanSlot::Worker(worker) => {
                let part = match &mut parts[worker] {
                    Some(part) => part,
                    none => none.insert(decided[worker].recv().map_err(|_| gone())?.into_iter()),
                };
                let (cart, decision) = part.next().ok_or_else(gone)?;
                FilledSlot::Cart(cart, decision)
            }
        });
    }
    Ok(filled)
}
