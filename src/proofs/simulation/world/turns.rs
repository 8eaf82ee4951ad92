//! What the engine's threads do, turn by turn.

use std::time::Duration;

use super::{Alive, World, Wrong, ensure};
use crate::checkpoint::RunError;
use crate::log::writer::WriterTurn;
use crate::proofs::simulation::auditor;

impl World {
    /// A turn of the log; whether there was anything to write.
    pub(in crate::proofs::simulation) fn log_turn(&mut self, vouch: bool, sync: bool) -> Result<bool, Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        let Some(log) = &mut alive.log else { return Ok(false) };
        log.sidecar_lag = if vouch { Duration::ZERO } else { Duration::MAX };
        if sync {
            alive.core.log.want_sync(alive.core.log.ring.drawn());
        }
        match log.turn() {
            Ok(turn) => Ok(turn == WriterTurn::Wrote),
            Err(error) => {
                alive.core.log.end(Err(&error.to_string()));
                alive.log = None;
                self.seen.poisoned += 1;
                Ok(false)
            }
        }
    }

    /// A turn of the fold; whether there was anything to fold.
    pub(in crate::proofs::simulation) fn fold_turn(&mut self) -> Result<bool, Wrong> {
        let held_back = |alive: &Alive| {
            let checkpointer = alive.core.checkpointer.as_ref();
            checkpointer.is_some_and(|checkpointer| checkpointer.is_held_back())
        };
        if held_back(self.running()?) {
            self.checkpoint(true)?;
        }
        let alive = self.running()?;
        if held_back(alive) {
            return Ok(false);
        }
        let Ok(group) = alive.groups.try_recv() else { return Ok(false) };
        alive.core.follower.apply(&group);
        if let Some(checkpointer) = &alive.core.checkpointer {
            checkpointer.take_in(&group);
        }
        Ok(true)
    }

    pub(in crate::proofs::simulation) fn checkpoint(&mut self, forced: bool) -> Result<(), Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        let Alive { core, log, manifest_set, .. } = alive;
        let (Some(checkpointer), Some(manifest_set)) = (&core.checkpointer, manifest_set) else {
            return Ok(());
        };
        let Some(window) = checkpointer.due_window(forced) else { return Ok(()) };
        let shared = &core.log;
        let mut poisoned = 0;
        let durable = |position| {
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
        let made = checkpointer.turn_once_durable(manifest_set, &window, shared, durable);
        self.seen.poisoned += poisoned;
        match made {
            Ok(()) => {
                self.seen.checkpoints += 1;
                if self.has_ledger() && self.seen.damaged == 0 {
                    auditor::ledger(self)?;
                }
            }
            Err(error @ (RunError::Io { .. } | RunError::Stopped)) => checkpointer.put_back(window, &error),
            Err(error) => return Err(format!("a checkpoint of our own records fails: {error}")),
        }
        Ok(())
    }

    /// Everything is written and folded; false if that cannot be.
    pub(in crate::proofs::simulation) fn settle(&mut self) -> Result<bool, Wrong> {
        while self.log_turn(false, true)? {}
        while self.fold_turn()? {}
        // What a full window holds back stays.
        let alive = self.running()?;
        Ok(!self.is_stopped() && alive.core.follower.position.position() == alive.core.log.ring.drawn())
    }

    pub(in crate::proofs::simulation) fn look(&mut self) -> Result<(), Wrong> {
        if self.settle()? {
            return auditor::quiet(self);
        }
        let alive = self.running()?;
        if !self.is_stopped() {
            return Ok(());
        }
        // What the fold's thread does when the log has ended.
        alive.core.follower.position.end();
        let folded = alive.core.follower.position.position();
        let book = self.history.iter().find(|(at, _)| *at == folded).map(|(_, book)| book);
        auditor::stopped(self, book.ok_or("the fold stands where no operation ended")?)
    }

    /// An orderly close, as far as it goes.
    pub(in crate::proofs::simulation) fn close(&mut self) -> Result<(), Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        alive.core.log.ring.close();
        let Some(mut log) = alive.log.take() else { return Ok(()) };
        let closed = loop {
            match log.turn() {
                Ok(WriterTurn::Over) => break log.close(),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        alive.core.log.end(closed.as_ref().map(|_| ()).map_err(|_| "it could not be closed"));
        if closed.is_ok() {
            let shared = &alive.core.log;
            ensure!(shared.synced() == shared.ring.drawn(), "a close left something that is not durable");
        }
        Ok(())
    }
}
