//! Ends a process, and lets the next one open the directory that it has left.

use std::collections::VecDeque;

use super::{RunningEngine, Simulator, Violation, ensure};
use crate::config::Durability;
use crate::proofs::simulation::book::ModelBook;
use crate::proofs::simulation::ending::Ending;
use crate::proofs::simulation::schedule::{Crash, Damage};
use crate::proofs::simulation::{auditor, damage};

impl Simulator {
    /// The position up to which callers were told that decisions survive such an end.
    fn acknowledged(&self, end: Ending) -> Result<u64, Violation> {
        let log = &self.running()?.core.log;
        Ok(match (self.settings.durability, end) {
            (Durability::Sync, _) | (_, Ending::Kill) => log.durable.position(),
            _ => log.synced(),
        })
    }

    pub(in crate::proofs::simulation) fn crash(&mut self, crash: &Crash) -> Result<(), Violation> {
        // The operation of this step came before the crash.
        self.remember()?;
        self.coming = None;
        let mut acknowledged = self.acknowledged(crash.end)?;
        // The position that a power failure leaves, until an opening has found more.
        let mut proven = self.acknowledged(Ending::Power)?;
        self.running = None;
        self.counts.crashes += 1;
        self.disk.restart(crash.end, crash.seed);
        let mut seed = crash.seed;
        if let Some(damage) = crash.damage
            && let Some(end) = self.damaged(damage, seed, acknowledged)?
        {
            (acknowledged, proven) = (end, end);
        }
        for (calls, end) in &crash.openings {
            self.counts.crashes += 1;
            seed = seed.wrapping_add(1);
            self.disk.end_in(*calls);
            match self.open() {
                Ok(running) => {
                    // Once an opening has served a position, no later opening may find less.
                    let end = running.engine.report().end.0;
                    self.judge(end, acknowledged)?;
                    (acknowledged, proven) = (end, end);
                }
                Err(_) if self.disk.has_ended() => {}
                Err(error) => return Err(format!("after a crash the directory does not open: {error}")),
            }
            self.disk.restart(*end, seed);
            if *end == Ending::Power {
                acknowledged = proven;
            }
        }
        if let Some(trouble) = crash.trouble {
            self.disk.trouble(trouble);
        }
        let running = match self.open() {
            Ok(running) => running,
            Err(error) => {
                // A failing disk may refuse the opening; once the disk works again, it must succeed.
                ensure!(crash.trouble.is_some(), "after a crash the directory does not open: {error}");
                self.disk.restart(Ending::Kill, seed.wrapping_add(1));
                self.open()
                    .map_err(|error| format!("after a failed opening the directory does not open: {error}"))?
            }
        };
        // Failures that were planned for the opening must not happen after it.
        self.disk.calm();
        self.welcome(running, acknowledged)
    }

    /// Damages the directory, and checks that an opening refuses it or finds everything. Then undoes the
    /// damage and returns `None`, or keeps what the opening made of it and returns the position of its end.
    fn damaged(&mut self, what: Damage, seed: u64, acknowledged: u64) -> Result<Option<u64>, Violation> {
        let image = self.disk.image();
        let Some(done) = damage::damage(&self.disk, what, seed, self.identity.id) else { return Ok(None) };
        self.counts.damaged += 1;
        let found = match self.open() {
            Err(error) => {
                ensure!(!done.harmless, "{what:?} ({}) is no reason to refuse: {error}", done.what);
                self.counts.refused += 1;
                None
            }
            Ok(running) => Some(running),
        };
        if let Some(running) = found {
            let end = running.engine.report().end.0;
            let least = acknowledged.min(done.provable);
            ensure!(end >= least, "after {what:?} ({}) only {end} of {least} is served", done.what);
            if end >= acknowledged {
                let before = (self.book.clone(), self.ids.clone(), self.history.clone());
                let welcome = self.welcome(running, acknowledged);
                welcome.map_err(|wrong| format!("after {what:?} ({}): {wrong}", done.what))?;
                self.running = None;
                (self.book, self.ids, self.history) = before;
                if done.harmless
                    && matches!(what, Damage::FlipNewest | Damage::LoseNewest)
                    && seed.is_multiple_of(2)
                {
                    self.disk
                        .restart(if seed.is_multiple_of(4) { Ending::Kill } else { Ending::Power }, seed);
                    return Ok(Some(end));
                }
            }
        }
        self.disk.put_back(image);
        Ok(None)
    }

    /// The book at `end`, where an opening found the end of the log. An error if no operation ended there, or
    /// if acknowledged operations are missing.
    fn judge(&self, end: u64, acknowledged: u64) -> Result<&ModelBook, Violation> {
        ensure!(end >= acknowledged, "acknowledged up to {acknowledged}, and found up to {end}");
        let book = self.history.iter().find(|(at, _)| *at == end).map(|(_, book)| book);
        book.ok_or_else(|| format!("found up to {end}, where no operation ended"))
    }

    /// Compares an engine that a new process has opened, and goes on with it.
    pub(in crate::proofs::simulation) fn welcome(
        &mut self,
        running: RunningEngine,
        acknowledged: u64,
    ) -> Result<(), Violation> {
        let report = running.engine.report().clone();
        let end = report.end.0;
        let mut book = self.judge(end, acknowledged)?.clone();
        self.counts.from_checkpoint += u64::from(report.checkpoint.is_some());
        self.counts.kept_unknown += u64::from(end > acknowledged);
        let last = self.history.back().map_or(0, |(at, _)| *at);
        self.counts.taken_back += u64::from(end < last);
        for id in self.book.ids.iter().filter(|id| book.find(**id).is_none()) {
            self.ids.entry(*id).and_modify(|given| given.taken_back = true);
        }
        auditor::found(&running, &book)?;
        self.history = VecDeque::from([(end, book.clone())]);
        book.advance_to(running.engine.now().0);
        self.book = book;
        self.running = Some(running);
        self.remember()?;
        auditor::opened(self)
    }
}
