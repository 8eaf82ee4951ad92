//! Does the work of the engine's threads, one turn at a time.

use std::time::Duration;

use super::{RunningEngine, Simulator, Violation, ensure};
use crate::checkpoint::RunError;
use crate::checkpoint::thread::Work;
use crate::log::writer::WriterTurn;
use crate::proofs::simulation::auditor;

impl Simulator {
    /// Takes a turn of the log; returns whether there was anything to write.
    pub(in crate::proofs::simulation) fn log_turn(
        &mut self,
        vouch: bool,
        sync: bool,
    ) -> Result<bool, Violation> {
        let running = self.running.as_mut().ok_or("no engine is open")?;
        let Some(log) = &mut running.log else { return Ok(false) };
        log.sidecar_lag = if vouch { Duration::ZERO } else { Duration::MAX };
        if sync {
            running.core.log.want_sync(running.core.log.ring.drawn());
        }
        match log.turn() {
            Ok(turn) => Ok(turn == WriterTurn::Wrote),
            Err(error) => {
                running.core.log.end(Err(&error.to_string()));
                running.log = None;
                self.counts.poisoned += 1;
                Ok(false)
            }
        }
    }

    /// Takes a turn of the fold; returns whether there was anything to fold.
    pub(in crate::proofs::simulation) fn fold_turn(&mut self) -> Result<bool, Violation> {
        let held_back = |running: &RunningEngine| {
            let checkpointer = running.core.checkpointer.as_ref();
            checkpointer.is_some_and(|checkpointer| checkpointer.is_held_back())
        };
        if held_back(self.running()?) {
            self.checkpoint(true)?;
        }
        let running = self.running()?;
        if held_back(running) {
            return Ok(false);
        }
        let Ok(group) = running.groups.try_recv() else { return Ok(false) };
        running.core.follower.apply(&group);
        if let Some(checkpointer) = &running.core.checkpointer {
            checkpointer.take_in(&group);
        }
        Ok(true)
    }

    pub(in crate::proofs::simulation) fn checkpoint(&mut self, forced: bool) -> Result<(), Violation> {
        let running = self.running.as_mut().ok_or("no engine is open")?;
        let RunningEngine { core, log, manifest_set, .. } = running;
        let (Some(checkpointer), Some(manifest_set)) = (&core.checkpointer, manifest_set) else {
            return Ok(());
        };
        let Some(work) = checkpointer.due_work(forced) else { return Ok(()) };
        let shared = &core.log;
        let (mut poisoned, mut caught_up) = (0, 0);
        let mut durable = |position| {
            shared.want_sync(position);
            while shared.synced() < position {
                let Some(running) = log else { return false };
                if let Err(error) = running.turn() {
                    shared.end(Err(&error.to_string()));
                    *log = None;
                    poisoned += 1;
                }
            }
            true
        };
        let made = match work {
            Work::Window(window) => {
                let made = checkpointer.make_once_durable(manifest_set, &window, shared, durable);
                made.inspect_err(|error| checkpointer.put_back(window, error))
            }
            Work::CatchUp(to) => {
                let made = checkpointer.catch_up(manifest_set, to, shared, &mut durable);
                caught_up = u64::from(made.is_ok());
                made.inspect_err(|error| checkpointer.fall_behind(error))
            }
        };
        self.counts.caught_up += caught_up;
        self.counts.poisoned += poisoned;
        match made {
            Ok(()) => {
                self.counts.checkpoints += 1;
                if self.has_ledger() && self.counts.damaged == 0 {
                    auditor::ledger(self)?;
                }
            }
            Err(RunError::Io { .. } | RunError::Stopped) => {}
            Err(error) => return Err(format!("a checkpoint of our own records fails: {error}")),
        }
        Ok(())
    }

    /// Writes and folds everything; returns false if a part of it could not be.
    pub(in crate::proofs::simulation) fn settle(&mut self) -> Result<bool, Violation> {
        while self.log_turn(false, true)? {}
        while self.fold_turn()? {}
        // A group that a full window holds back is not folded.
        let running = self.running()?;
        Ok(!self.is_stopped() && running.core.follower.position.position() == running.core.log.ring.drawn())
    }

    pub(in crate::proofs::simulation) fn compare(&mut self) -> Result<(), Violation> {
        if self.settle()? {
            return auditor::quiet(self);
        }
        let running = self.running()?;
        if !self.is_stopped() {
            return Ok(());
        }
        // The fold's thread does this when the log has ended.
        running.core.follower.position.end();
        let folded = running.core.follower.position.position();
        let book = self.history.iter().find(|(at, _)| *at == folded).map(|(_, book)| book);
        auditor::stopped(self, book.ok_or("the fold stands where no operation ended")?)
    }

    /// Closes the engine in order, as far as the disk allows it.
    pub(in crate::proofs::simulation) fn close(&mut self) -> Result<(), Violation> {
        let running = self.running.as_mut().ok_or("no engine is open")?;
        running.core.log.ring.close();
        let Some(mut log) = running.log.take() else { return Ok(()) };
        let closed = loop {
            match log.turn() {
                Ok(WriterTurn::Over) => break log.close(),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        running.core.log.end(closed.as_ref().map(|_| ()).map_err(|_| "it could not be closed"));
        if closed.is_ok() {
            let shared = &running.core.log;
            ensure!(shared.synced() == shared.ring.drawn(), "a close left something that is not durable");
        }
        Ok(())
    }
}
