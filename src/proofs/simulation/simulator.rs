//! Runs the engine on the simulated disk in one thread, which does the work of the engine's threads in steps.

mod crashes;
mod operations;
mod threads;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};

use stockhold_model::{Model, Operation, Rules};

use super::book::ModelBook;
use super::client::Client;
use super::counts::Counts;
use super::disk::Disk;
use super::ending::Ending;
use super::schedule::{Crash, RULES, Schedule, ScheduleStep, Settings, TTL_MAX_MS};
use super::{COPIED_BYTES_MAX, steer};
use crate::checkpoint::manifest_set::ManifestSet;
use crate::clock::{ManualClock, Timestamp};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::core::Core;
use crate::engine::open::on_log_and_files;
use crate::error::OpenError;
use crate::log::directory::{Directory, Identity};
use crate::log::group::Group;
use crate::log::recovery::{LogError, LogReport, OpenLog, RecoveredLog, Replay, io_error, recover};
use crate::log::sidecar::{Durable, Sidecar};
use crate::log::stores::Stores;
use crate::log::writer::{LogWriter, WriterSetup};
use crate::types::HoldId;

const START: Timestamp = Timestamp(1_767_225_600_000);
/// The number of openings after which another hold may get the id of a hold that a crash took back.
pub(super) const EPOCHS: u32 = 16;
/// The number of steps for which a stopped engine is kept.
const STOPPED_STEPS: usize = 4;

/// A sentence that says what contradicts the contract.
pub(super) type Violation = String;

macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}
pub(super) use ensure;

/// An id that a hold was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GivenId {
    /// The opening that gave it.
    pub epoch: u32,
    /// Whether a crash has taken the hold back.
    pub taken_back: bool,
}

/// An open engine, and the values that its threads would own.
pub(super) struct RunningEngine {
    pub engine: Engine,
    pub core: Arc<Core>,
    /// `None` once the log has ended.
    log: Option<LogWriter>,
    groups: Receiver<Group>,
    pub manifest_set: Option<ManifestSet>,
    /// Steps since the log failed.
    stopped: usize,
}

/// The SKU and location of the name with this number.
pub(super) fn name(number: usize) -> (String, &'static str) {
    (format!("poster {number}"), "berlin")
}

pub(super) fn client<'e>(engine: &'e Engine, book: &'e ModelBook) -> Client<'e> {
    Client { engine, waits: false, keys: engine.keys(), holds: &book.ids, name }
}

/// Runs one schedule, and checks the engine against the book after each step.
pub(super) struct Simulator {
    settings: Settings,
    pub disk: Disk,
    clock: Arc<ManualClock>,
    identity: Identity,
    pub running: Option<RunningEngine>,
    pub book: ModelBook,
    /// The book as it was at each position where an operation ended, since the last opening.
    history: VecDeque<(u64, ModelBook)>,
    /// The operation that each op key was first used for.
    asked: Vec<(u64, Operation<HoldId>)>,
    /// Every id that a hold was given.
    pub ids: BTreeMap<HoldId, GivenId>,
    /// The crash that follows when the disk's planned end is reached.
    coming: Option<Crash>,
    pub counts: Counts,
}

impl Simulator {
    pub(super) fn new(settings: Settings) -> Result<Simulator, Violation> {
        steer(Some(0));
        let disk = Disk::new(settings.seed);
        let identity = Identity { id: [7; 16], secret: [9; 16], segment_bytes: 0 };
        Sidecar::create_on(Box::new(disk.clone())).map_err(|error| error.to_string())?;
        Stores::create(&disk, 1).map_err(|error| error.to_string())?;
        COPIED_BYTES_MAX.set(Some(settings.copied_bytes_max));
        let rules = Rules { holds_max: settings.holds_max as usize, ..RULES };
        let book = ModelBook::new(Model::new(rules, START.0));
        let mut simulator = Simulator {
            settings,
            disk,
            clock: Arc::new(ManualClock::new(START)),
            identity,
            running: None,
            history: VecDeque::from([(0, book.clone())]),
            book,
            asked: Vec::new(),
            ids: BTreeMap::new(),
            coming: None,
            counts: Counts::default(),
        };
        let running = simulator.open().map_err(|error| format!("a new directory does not open: {error}"))?;
        simulator.welcome(running, 0)?;
        Ok(simulator)
    }

    /// Runs a schedule. `Err` has the number of the step that failed, and why.
    pub(super) fn run(schedule: &Schedule) -> Result<Counts, (usize, Violation)> {
        let mut simulator = Simulator::new(schedule.settings).map_err(|wrong| (0, wrong))?;
        for (number, step) in schedule.steps.iter().enumerate() {
            simulator.step(step).map_err(|wrong| (number, wrong))?;
        }
        Ok(Counts { calls: simulator.disk.image().calls, ..simulator.counts })
    }

    fn config(&self) -> Config {
        let ms = Duration::from_millis;
        let mut config = Config::default()
            .clock(Arc::clone(&self.clock))
            .driver_period(None)
            .durability(self.settings.durability)
            .ring_bytes(64 << 10)
            .holds_max(self.settings.holds_max)
            .lines_max(4_096)
            .expired_kept(self.settings.expired_kept)
            .ttl_bounds(ms(1), ms(TTL_MAX_MS))
            .ttl_default(ms(RULES.ttl_default_ms))
            .life_max(ms(RULES.life_max_ms))
            .payment_extension(ms(RULES.payment_ms))
            .op_key_retention(Some(ms(RULES.op_keys_kept_ms)))
            .ledger_kept(self.has_ledger().then_some(ms(RULES.op_keys_kept_ms)));
        // Below the minimum that a configuration may have.
        config.checkpoint_bytes = self.settings.checkpoint_bytes;
        config
    }

    /// Whether the run keeps a ledger: every other run does.
    pub(super) fn has_ledger(&self) -> bool {
        self.settings.seed.is_multiple_of(2)
    }

    /// Opens the directory as [`OpenLog::open`] does, step by step.
    fn open(&self) -> Result<RunningEngine, OpenError> {
        let (disk, identity) = (&self.disk, &self.identity);
        let files = Arc::new(disk.clone());
        let assembled = on_log_and_files(self.config(), Some(files.clone()), |into: &mut dyn Replay| {
            let io = io_error("simulating");
            let directory = Directory::nowhere(*identity);
            let (mut sidecar, proven) = Sidecar::on(Box::new(disk.clone()))?;
            let start = into.start(&directory.layout, identity)?;
            let stores: Arc<dyn Stores> = files.clone();
            let RecoveredLog { store, older, verdict, .. } =
                recover(&stores, &proven, &start, into)?.ok_or(LogError::Unreadable { position: 0 })?;
            let (tip, epoch) = (verdict.tip, verdict.epoch_next);
            sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
            let older = Some(older.tidy().map_err(&io)?);
            let report = LogReport { end: tip.end, cut: verdict.cut, ..LogReport::default() };
            let log = OpenLog::new(store, sidecar, directory, (tip, epoch), older).map_err(&io)?;
            Ok((log, report))
        })?;
        let (engine, core, log, manifest_set) = Engine::without_threads(assembled);
        let (fold, groups) = unbounded();
        let writer =
            WriterSetup { shared: Arc::clone(&core.log), log, fold, durability: self.settings.durability };
        let mut log = LogWriter::new(writer);
        log.payload_bytes_max = self.settings.payload_bytes_max;
        Ok(RunningEngine { engine, core, log: Some(log), groups, manifest_set, stopped: 0 })
    }

    pub(super) fn running(&self) -> Result<&RunningEngine, Violation> {
        self.running.as_ref().ok_or_else(|| "no engine is open".into())
    }

    fn client(&self) -> Result<Client<'_>, Violation> {
        Ok(client(&self.running()?.engine, &self.book))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.core.log.ring.is_closed())
    }

    fn step(&mut self, step: &ScheduleStep) -> Result<(), Violation> {
        match step {
            ScheduleStep::Do { client, operation, op_key } => {
                steer(Some(*client));
                if let Some(operation) = self.resolved(operation) {
                    self.operate(&operation, *op_key)?;
                }
            }
            ScheduleStep::Again { client, which, other } => {
                steer(Some(*client));
                self.again(*which, *other)?;
            }
            ScheduleStep::Advance { ms } => {
                self.clock.advance(Duration::from_millis(*ms));
                let now = self.running()?.engine.now();
                self.book.advance_to(now.0);
            }
            ScheduleStep::Sweep { client } => {
                steer(Some(*client));
                self.running()?.engine.sweep();
                if !self.is_stopped() {
                    self.book.see_all();
                }
            }
            ScheduleStep::Log { vouch, sync } => {
                self.log_turn(*vouch, *sync)?;
            }
            ScheduleStep::Fold => {
                self.fold_turn()?;
            }
            ScheduleStep::Checkpoint { forced } => self.checkpoint(*forced)?,
            ScheduleStep::Compare => self.compare()?,
            ScheduleStep::Trouble(trouble) => self.disk.trouble(*trouble),
            ScheduleStep::Remove => self.disk.remove(),
            ScheduleStep::EndIn { calls, crash } => {
                self.disk.end_in(*calls);
                self.coming = Some(crash.clone());
            }
            ScheduleStep::Crash(crash) => self.crash(crash)?,
            ScheduleStep::Close(crash) => {
                self.close()?;
                self.crash(crash)?;
            }
        }
        if self.disk.has_ended() {
            let crash = self.coming.take().ok_or("the disk ended, and no step had said so")?;
            self.crash(&crash)?;
        }
        self.remember()?;
        if self.is_stopped() {
            let running = self.running.as_mut().ok_or("no engine is open")?;
            running.stopped += 1;
            if running.stopped > STOPPED_STEPS {
                let end = if self.counts.poisoned.is_multiple_of(2) { Ending::Kill } else { Ending::Power };
                let crash = Crash {
                    end,
                    seed: self.counts.crashes,
                    damage: None,
                    openings: Vec::new(),
                    trouble: None,
                };
                self.crash(&crash)?;
                self.remember()?;
            }
        }
        Ok(())
    }

    /// Adds the book to the history, if the log has grown.
    fn remember(&mut self) -> Result<(), Violation> {
        let drawn = self.running()?.core.log.ring.drawn();
        if self.history.back().is_none_or(|(end, _)| *end < drawn) {
            self.history.push_back((drawn, self.book.clone()));
        }
        Ok(())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.running = None;
        steer(None);
        COPIED_BYTES_MAX.set(None);
    }
}
