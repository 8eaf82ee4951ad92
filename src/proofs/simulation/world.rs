//! The engine on the disk, in one thread: what its threads would do is done in steps.

mod asking;
mod crashes;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};

use super::book::Book;
use super::client::Client;
use super::disk::{Disk, End};
use super::schedule::{
    Crash, Key, LIFE_MAX_MS, Life, PAYMENT_MS, RETENTION_MS, Step, TTL_DEFAULT_MS, TTL_MAX_MS, Traits, What,
};
use super::seen::Seen;
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
/// Openings after which the id of a hold that a crash took back may be another's.
pub(super) const EPOCHS: u32 = 16;
/// Steps that a stopped engine is kept for.
const STOPPED_STEPS: usize = 4;

/// What is wrong, in a sentence.
pub(super) type Wrong = String;

macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}
pub(super) use ensure;

/// The id of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Given {
    /// In this opening.
    pub epoch: u32,
    /// A crash has taken the hold back.
    pub taken_back: bool,
}

/// A running engine, and what its threads would have.
pub(super) struct Alive {
    pub engine: Engine,
    pub core: Arc<Core>,
    /// `None` once it has ended.
    log: Option<LogWriter>,
    groups: Receiver<Group>,
    pub manifest_set: Option<ManifestSet>,
    /// Steps since the log failed.
    stopped: usize,
}

/// See the module.
pub(super) struct World {
    traits: Traits,
    pub disk: Disk,
    clock: Arc<ManualClock>,
    identity: Identity,
    pub alive: Option<Alive>,
    pub book: Book,
    /// The book behind each place in the log where an operation ended, from the last opening on.
    history: VecDeque<(u64, Book)>,
    /// What was asked with each op key.
    asked: Vec<(u64, What<HoldId>)>,
    /// Every id that a hold was given.
    pub ids: BTreeMap<HoldId, Given>,
    /// What comes when the disk ends.
    coming: Option<Crash>,
    pub seen: Seen,
}

impl World {
    pub(super) fn new(traits: Traits) -> Result<World, Wrong> {
        steer(Some(0));
        let disk = Disk::new(traits.seed);
        let identity = Identity { id: [7; 16], secret: [9; 16], segment_bytes: 0 };
        Sidecar::create_on(Box::new(disk.clone())).map_err(|error| error.to_string())?;
        Stores::create(&disk, 1).map_err(|error| error.to_string())?;
        COPIED_BYTES_MAX.set(Some(traits.copied_bytes_max));
        let book = Book { now: START.0, holds_max: traits.holds_max as usize, ..Book::default() };
        let mut world = World {
            traits,
            disk,
            clock: Arc::new(ManualClock::new(START)),
            identity,
            alive: None,
            history: VecDeque::from([(0, book.clone())]),
            book,
            asked: Vec::new(),
            ids: BTreeMap::new(),
            coming: None,
            seen: Seen::default(),
        };
        let alive = world.open().map_err(|error| format!("a new directory does not open: {error}"))?;
        world.welcome(alive, 0)?;
        Ok(world)
    }

    /// Lives a life; the number of the step that went wrong, and what did.
    pub(super) fn live(life: &Life) -> Result<Seen, (usize, Wrong)> {
        let mut world = World::new(life.traits).map_err(|wrong| (0, wrong))?;
        for (number, step) in life.steps.iter().enumerate() {
            world.step(step).map_err(|wrong| (number, wrong))?;
        }
        Ok(Seen { calls: world.disk.image().calls, ..world.seen })
    }

    fn config(&self) -> Config {
        let ms = Duration::from_millis;
        let mut config = Config::default()
            .clock(Arc::clone(&self.clock))
            .driver_period(None)
            .durability(self.traits.durability)
            .ring_bytes(64 << 10)
            .holds_max(self.traits.holds_max)
            .lines_max(4_096)
            .expired_kept(self.traits.expired_kept)
            .ttl_bounds(ms(1), ms(TTL_MAX_MS))
            .ttl_default(ms(TTL_DEFAULT_MS))
            .life_max(ms(LIFE_MAX_MS))
            .payment_extension(ms(PAYMENT_MS))
            .op_key_retention(Some(ms(RETENTION_MS)))
            .ledger_kept(self.has_ledger().then_some(ms(RETENTION_MS)));
        // Less than a user may ask for.
        config.checkpoint_bytes = self.traits.checkpoint_bytes;
        config
    }

    /// Every other life.
    pub(super) fn has_ledger(&self) -> bool {
        self.traits.seed.is_multiple_of(2)
    }

    /// Opens the directory as [`OpenLog::open`] does, step by step.
    fn open(&self) -> Result<Alive, OpenError> {
        let (disk, identity) = (&self.disk, &self.identity);
        let files = Arc::new(disk.clone());
        let assembled = on_log_and_files(self.config(), Some(files.clone()), |into: &mut dyn Replay| {
            let io = io_error("simulating");
            let directory = Directory::nowhere(*identity).map_err(&io)?;
            let (mut sidecar, proven) = Sidecar::on(Box::new(disk.clone()))?;
            let start = into.start(&directory.layout, identity)?;
            let stores: Arc<dyn Stores> = files.clone();
            let RecoveredLog { store, older, verdict, .. } =
                recover(&stores, &proven, &start, into)?.ok_or(LogError::Unreadable { position: 0 })?;
            let (tip, epoch) = (verdict.tip, verdict.epoch_next);
            sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
            let older = Some(older.tidy().map_err(&io)?);
            let report = LogReport { end: tip.end, cut: verdict.cut, ..LogReport::default() };
            Ok((OpenLog { store, sidecar, directory: Arc::new(directory), tip, epoch, older }, report))
        })?;
        let (engine, core, log, manifest_set) = Engine::without_threads(assembled);
        let (fold, groups) = unbounded();
        let writer =
            WriterSetup { shared: Arc::clone(&core.log), log, fold, durability: self.traits.durability };
        let mut log = LogWriter::new(writer);
        log.payload_bytes_max = self.traits.payload_bytes_max;
        Ok(Alive { engine, core, log: Some(log), groups, manifest_set, stopped: 0 })
    }

    pub(super) fn running(&self) -> Result<&Alive, Wrong> {
        self.alive.as_ref().ok_or_else(|| "no engine is open".into())
    }

    fn client(&self) -> Result<Client<'_>, Wrong> {
        let engine = &self.running()?.engine;
        Ok(Client { engine, keys: engine.keys() })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.alive.as_ref().is_none_or(|alive| alive.core.log.ring.is_closed())
    }

    fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        match step {
            Step::Do { client, what, key } => {
                steer(Some(*client));
                if let Some(what) = self.resolved(what) {
                    let key = if let Key::New(key) = key { Some(*key) } else { None };
                    self.operate(&what, key)?;
                }
            }
            Step::Again { client, which, other } => {
                steer(Some(*client));
                self.again(*which, *other)?;
            }
            Step::Advance { ms } => {
                self.clock.advance(Duration::from_millis(*ms));
                let now = self.running()?.engine.now();
                self.book.advance_to(now.0);
            }
            Step::Sweep { client } => {
                steer(Some(*client));
                self.running()?.engine.sweep();
                if !self.is_stopped() {
                    self.book.see_all();
                }
            }
            Step::Log { vouch, sync } => {
                self.log_turn(*vouch, *sync)?;
            }
            Step::Fold => {
                self.fold_turn()?;
            }
            Step::Checkpoint { forced } => self.checkpoint(*forced)?,
            Step::Look => self.look()?,
            Step::Trouble(trouble) => self.disk.trouble(*trouble),
            Step::EndIn { calls, crash } => {
                self.disk.end_in(*calls);
                self.coming = Some(crash.clone());
            }
            Step::Crash(crash) => self.crash(crash)?,
            Step::Close(crash) => {
                self.close()?;
                self.crash(crash)?;
            }
        }
        if self.disk.has_ended() {
            let crash = self.coming.take().ok_or("the disk ended, and nobody had said so")?;
            self.crash(&crash)?;
        }
        self.remember()?;
        if self.is_stopped() {
            let alive = self.alive.as_mut().ok_or("no engine is open")?;
            alive.stopped += 1;
            if alive.stopped > STOPPED_STEPS {
                let end = if self.seen.poisoned.is_multiple_of(2) { End::Kill } else { End::Power };
                let crash =
                    Crash { end, seed: self.seen.crashes, damage: None, openings: Vec::new(), trouble: None };
                self.crash(&crash)?;
                self.remember()?;
            }
        }
        Ok(())
    }

    /// Keeps the book of this place in the log.
    fn remember(&mut self) -> Result<(), Wrong> {
        let drawn = self.running()?.core.log.ring.drawn();
        if self.history.back().is_none_or(|(end, _)| *end < drawn) {
            self.history.push_back((drawn, self.book.clone()));
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.alive = None;
        steer(None);
        COPIED_BYTES_MAX.set(None);
    }
}
