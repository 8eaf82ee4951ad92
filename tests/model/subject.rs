//! The engine under test, and its names for the model's numbers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stockhold::{Config, Durability, Engine, HoldId, ManualClock};
use stockhold_model::Operation;

use crate::client::{Answered, Client};
use crate::common::{START, still};
use crate::steps::*;

/// See the module.
pub struct Subject {
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    pub directory: Option<tempfile::TempDir>,
    /// Ids of holds, by their numbers.
    pub holds: Vec<HoldId>,
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Several SKUs at several locations.
fn name(number: usize) -> (String, &'static str) {
    (format!("poster {}", number / 2), ["berlin", "paris"][number % 2])
}

impl Subject {
    pub fn new(on_disk: bool) -> Subject {
        let clock = Arc::new(ManualClock::new(START));
        let directory = on_disk.then(|| tempfile::tempdir().unwrap());
        let engine = Subject::open(&clock, directory.as_ref());
        Subject { engine, clock, directory, holds: Vec::new() }
    }

    fn config(clock: &Arc<ManualClock>) -> Config {
        still(clock)
            .ttl_bounds(ms(1), ms(TTL_MAX_MS))
            .ttl_default(ms(RULES.ttl_default_ms))
            .life_max(ms(RULES.life_max_ms))
            .payment_extension(ms(RULES.payment_ms))
            .commitments_kept(Some(ms(RULES.commitments_kept_ms)))
            .op_key_retention(None)
            .ring_bytes(64 << 10)
    }

    fn open(clock: &Arc<ManualClock>, directory: Option<&tempfile::TempDir>) -> Engine {
        let config = Subject::config(clock).durability(Durability::Interval(ms(10)));
        match directory {
            Some(directory) => Engine::open(directory.path(), config).unwrap(),
            None => Engine::in_memory(config).unwrap(),
        }
    }

    pub fn client(&self) -> Client<'_> {
        // In memory there is no durability to wait for.
        let (waits, keys) = (self.directory.is_some(), self.engine.keys());
        Client { engine: &self.engine, waits, keys, holds: &self.holds, name }
    }

    /// Does the operation; its hold is a number.
    pub fn ask(&mut self, operation: &Operation<usize>, op_key: Option<u64>) -> Answered {
        let named = operation.with_hold(|hold| self.holds.get(hold).copied());
        let answered = self.client().ask(&named.expect("a hold that was granted"), op_key);
        self.holds.extend(&answered.made);
        answered
    }

    /// Ends the engine and opens its directory again.
    pub fn reopen(&mut self, restart: Restart) {
        match restart {
            Restart::Orderly => self.engine.shutdown().unwrap(),
            Restart::Dropped => {}
            Restart::Killed => self.directory = Some(self.as_killed()),
        }
        // The old engine ends before the new one opens.
        let none = Engine::in_memory(Subject::config(&self.clock)).unwrap();
        drop(std::mem::replace(&mut self.engine, none));
        self.engine = Subject::open(&self.clock, self.directory.as_ref());
    }

    /// A copy of the directory as a kill would leave it when everything is acknowledged. The files that vouch
    /// for the log are copied before it: they may be behind it, never ahead.
    fn as_killed(&self) -> tempfile::TempDir {
        fn copy(from: &Path, to: &Path) {
            if from.is_file() {
                fs::copy(from, to).unwrap();
                return;
            }
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                copy(&from.join(&name), &to.join(&name));
            }
        }
        self.engine.wait(self.engine.metrics().position_drawn).unwrap();
        let (from, to) = (self.directory.as_ref().unwrap().path(), tempfile::tempdir().unwrap());
        for name in ["stockhold", "durable", "checkpoint", "log", "clock"] {
            if from.join(name).exists() {
                copy(&from.join(name), &to.path().join(name));
            }
        }
        to
    }
}
