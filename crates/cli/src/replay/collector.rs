//! The end of the pipeline: waits for what was decided, then tells it in file order.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use stockhold::{Engine, Position};

use super::RERUN;
use super::cart::{Cart, Line};
use super::decide::{Decision, Outcome, Verdict};
use super::line::BadLine;
use super::outcomes::Outcomes;
use super::pipeline::{Decided, Plan, Slot};
use super::progress::Screen;
use super::summary::Tally;
use crate::exit::CommandError;

/// Waits for what was decided, and tells.
pub struct Collector<'a> {
    pub engine: &'a Engine,
    /// Where the log ended when it was opened: what rests on less was decided by an earlier run.
    pub recovered: Position,
    pub name: &'a str,
    pub strict: bool,
    pub stop: &'a AtomicBool,
    pub outcomes: Option<Outcomes>,
    pub screen: &'a mut Screen,
    pub tally: &'a mut Tally,
    /// The first bad line of a strict run.
    pub fatal: Option<(u64, BadLine)>,
}

/// A slot of the plan with what belongs in it.
enum Entry {
    Cart(Cart, Decision),
    Bad(u64, BadLine),
}

impl Collector<'_> {
    /// Collects until the reader has ended. Takes its ends of the channels, so that leaving closes them.
    pub fn run(
        &mut self,
        plans: Receiver<Plan>,
        decided: Vec<Receiver<Decided>>,
        leave_back: SyncSender<()>,
    ) -> Result<(), CommandError> {
        for plan in plans {
            let bytes = plan.bytes;
            let entries = gather(plan.slots, &decided)?;
            self.settle(entries)?;
            self.screen.progress(self.tally.reached(bytes));
            // The reader may have gone; then this was the last of its batches or one of them.
            let _ = leave_back.try_send(());
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

    /// Waits until all of a batch can be relied on, then writes and counts it.
    fn settle(&mut self, entries: Vec<Entry>) -> Result<(), CommandError> {
        let positions = entries.iter().map(|entry| match entry {
            Entry::Cart(_, decision) => decision.position,
            Entry::Bad(..) => Position::default(),
        });
        // One wait for all. If it fails, some of them may be durable all the same: each is asked for below.
        let all = positions.max().is_none_or(|last| self.engine.wait(last).is_ok());
        for entry in entries {
            match entry {
                Entry::Bad(number, why) => self.bad(number, why),
                Entry::Cart(cart, decision) => {
                    if !all {
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
            Verdict::DecidedOtherwise if cart.place.is_some() => BadLine::CartDecidedOtherwise,
            Verdict::DecidedOtherwise => BadLine::DecidedOtherwise,
            Verdict::HeldUp => BadLine::HeldUp,
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

    fn line(&mut self, line: &Line, outcome: Outcome, before: bool) -> Result<(), CommandError> {
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
            // Relaxed: a request to end soon, which carries no data. What is in flight is still collected.
            self.stop.store(true, Ordering::Relaxed);
            self.fatal = Some((number, why));
        }
    }

    fn broken(&self, cart: &Cart, why: &dyn Display) -> CommandError {
        let (number, name, done) = (cart.lines[0].number, self.name, self.tally.in_words());
        CommandError::Environment(format!(
            "{why}.\n{name} was decided and acknowledged before line {number}: {done}. \
             From there on the outcome is unknown. {RERUN}"
        ))
    }
}

/// Puts the workers' answers back in file order.
fn gather(slots: Vec<Slot>, decided: &[Receiver<Decided>]) -> Result<Vec<Entry>, CommandError> {
    let gone = || CommandError::Environment(format!("a worker thread has died. {RERUN}"));
    let mut parts: Vec<Option<std::vec::IntoIter<(Cart, Decision)>>> = decided.iter().map(|_| None).collect();
    let mut entries = Vec::with_capacity(slots.len());
    for slot in slots {
        entries.push(match slot {
            Slot::Bad { number, why } => Entry::Bad(number, why),
            Slot::Worker(worker) => {
                let part = match &mut parts[worker] {
                    Some(part) => part,
                    none => none.insert(decided[worker].recv().map_err(|_| gone())?.into_iter()),
                };
                let (cart, decision) = part.next().ok_or_else(gone)?;
                Entry::Cart(cart, decision)
            }
        });
    }
    Ok(entries)
}
