//! The engine on the disk, in one thread: what its threads would do is done in steps.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, unbounded};

use super::auditor;
use super::book::{Answer, Book, Told, Used};
use super::client::{Answered, Client};
use super::damage;
use super::disk::{Disk, End};
use super::schedule::{
    Crash, Damage, Key, LIFE_MAX_MS, Life, Lines, PAYMENT_MS, Part, RETENTION_MS, Step, TTL_DEFAULT_MS,
    TTL_MAX_MS, Traits, What,
};
use super::steer;
use crate::answer::RefusalReason;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::shelf::Shelf;
use crate::clock::{ManualClock, Timestamp};
use crate::config::{Config, Durability};
use crate::engine::Engine;
use crate::engine::core::Core;
use crate::engine::open::on_log_and_files;
use crate::error::{Common, OpKeyError, OpenError};
use crate::log::directory::{Directory, Identity};
use crate::log::recovery::{LogReport, OpenLog, Replay, believes_the_cache, io_error, recover_found};
use crate::log::sidecar::{Durable, Sidecar};
use crate::log::writer::{Group, Log, Turn, Writer};
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

/// What was seen of a life.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Seen {
    pub crashes: u64,
    pub operations: u64,
    pub checkpoints: u64,
    /// Openings that went on from one.
    pub from_checkpoint: u64,
    pub refused: u64,
    pub damaged: u64,
    pub poisoned: u64,
    /// Crashes that took something back, and those that kept something that nobody had acknowledged.
    pub taken_back: u64,
    pub kept_unknown: u64,
    /// Calls to the disk.
    pub calls: u64,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Seen) {
        let Seen { crashes, operations, checkpoints, from_checkpoint, refused, damaged, .. } = other;
        self.crashes += crashes;
        self.operations += operations;
        self.checkpoints += checkpoints;
        self.from_checkpoint += from_checkpoint;
        self.refused += refused;
        self.damaged += damaged;
        self.poisoned += other.poisoned;
        self.taken_back += other.taken_back;
        self.kept_unknown += other.kept_unknown;
        self.calls += other.calls;
    }
}

/// A running engine, and what its threads would have.
pub(super) struct Alive {
    pub engine: Engine,
    pub core: Arc<Core>,
    /// `None` once it has ended.
    log: Option<Log>,
    groups: Receiver<Group>,
    shelf: Option<Shelf>,
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
            .op_key_retention(Some(ms(RETENTION_MS)));
        // Less than a user may ask for.
        config.checkpoint_bytes = self.traits.checkpoint_bytes;
        config
    }

    /// Opens the directory as [`OpenLog::open`] does, step by step.
    fn open(&self) -> Result<Alive, OpenError> {
        let (disk, identity) = (&self.disk, &self.identity);
        let files = Arc::new(disk.clone());
        let assembled = on_log_and_files(self.config(), Some(files), |into: &mut dyn Replay| {
            let io = io_error("simulating");
            let directory = Directory::nowhere(*identity).map_err(&io)?;
            let (mut sidecar, proven) = Sidecar::on(Box::new(disk.clone()))?;
            let start = into.start(&directory.layout, identity)?;
            let (found, mut elsewhere) = disk.survey().map_err(&io)?;
            let mut store = disk.store();
            let mut before = |at_risk: &[&crate::log::scan::Found]| {
                let rescued =
                    at_risk.iter().filter_map(|found| Some((found.hash, elsewhere.remove(&found.hash)?)));
                let rescued = rescued.collect();
                if !believes_the_cache(&proven) {
                    disk.refresh().map_err(&io)?;
                }
                Ok(rescued)
            };
            let verdict = recover_found(&mut *store, &found, &proven, &start, &mut before, into)?;
            let (tip, epoch) = (verdict.tip, verdict.epoch_next);
            sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
            let report = LogReport { end: tip.end, cut: verdict.cut, ..LogReport::default() };
            Ok((OpenLog { store, sidecar, directory: Arc::new(directory), tip, epoch }, report))
        })?;
        let (engine, core, log, shelf) = assembled.without_threads();
        let (fold, groups) = unbounded();
        let writer = Writer { shared: Arc::clone(&core.log), log, fold, durability: self.traits.durability };
        let mut log = Log::new(writer);
        log.payload_bytes_max = self.traits.payload_bytes_max;
        Ok(Alive { engine, core, log: Some(log), groups, shelf, stopped: 0 })
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

    // ── steps ────────────────────────────────────────────────────────────────────────────────────────────────

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

    /// The operation, with a hold and keys that there are.
    fn resolved(&self, what: &What<u32>) -> Option<What<HoldId>> {
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

    fn operate(&mut self, what: &What<HoldId>, op_key: Option<u64>) -> Result<(), Wrong> {
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
    fn again(&mut self, which: u32, other: bool) -> Result<(), Wrong> {
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
                let error = crate::error::StockError::Common(Common::OpKey(OpKeyError::OtherContent));
                let expected = Told::Error(format!("{error:?}"));
                ensure!(answered.told == expected, "other content with op key {key}: {answered:?}");
                Ok(())
            }
            // It came to nothing, or was taken back.
            None if self.is_askable(&what) => self.operate(&what, Some(key)),
            None => Ok(()),
        }
    }

    // ── what the threads would do ────────────────────────────────────────────────────────────────────────────

    /// A turn of the log; whether there was anything to write.
    fn log_turn(&mut self, vouch: bool, sync: bool) -> Result<bool, Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        let Some(log) = &mut alive.log else { return Ok(false) };
        log.sidecar_lag = if vouch { Duration::ZERO } else { Duration::MAX };
        if sync {
            alive.core.log.want_sync(alive.core.log.ring.drawn());
        }
        match log.turn() {
            Ok(turn) => Ok(turn == Turn::Wrote),
            Err(error) => {
                alive.core.log.end(Err(&error.to_string()));
                alive.log = None;
                self.seen.poisoned += 1;
                Ok(false)
            }
        }
    }

    /// A turn of the fold; whether there was anything to fold.
    fn fold_turn(&mut self) -> Result<bool, Wrong> {
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

    fn checkpoint(&mut self, forced: bool) -> Result<(), Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        let Alive { core, log, shelf, .. } = alive;
        let (Some(checkpointer), Some(shelf)) = (&core.checkpointer, shelf) else { return Ok(()) };
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
        let made = checkpointer.turn_once_durable(shelf, &window, shared, durable);
        self.seen.poisoned += poisoned;
        match made {
            Ok(()) => self.seen.checkpoints += 1,
            Err(error @ (CheckpointError::Io { .. } | CheckpointError::Stopped)) => {
                checkpointer.put_back(window, &error)
            }
            Err(error) => return Err(format!("a checkpoint of our own records fails: {error}")),
        }
        Ok(())
    }

    /// Everything is written and folded; false if that cannot be.
    pub(super) fn settle(&mut self) -> Result<bool, Wrong> {
        while self.log_turn(false, true)? {}
        while self.fold_turn()? {}
        // What a full window holds back stays.
        let alive = self.running()?;
        Ok(!self.is_stopped() && alive.core.follower.position.position() == alive.core.log.ring.drawn())
    }

    fn look(&mut self) -> Result<(), Wrong> {
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
    fn close(&mut self) -> Result<(), Wrong> {
        let alive = self.alive.as_mut().ok_or("no engine is open")?;
        alive.core.log.ring.close();
        let Some(mut log) = alive.log.take() else { return Ok(()) };
        let closed = loop {
            match log.turn() {
                Ok(Turn::Over) => break log.close(),
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

    // ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Up to here whoever asked was told that it is durable.
    fn acknowledged(&self, end: End) -> Result<u64, Wrong> {
        let log = &self.running()?.core.log;
        Ok(match (self.traits.durability, end) {
            (Durability::Sync, _) | (_, End::Kill) => log.durable.position(),
            _ => log.synced(),
        })
    }

    fn crash(&mut self, crash: &Crash) -> Result<(), Wrong> {
        // What is a step's own is not a crash's.
        self.remember()?;
        self.coming = None;
        let mut acknowledged = self.acknowledged(crash.end)?;
        // What the power leaves, until an opening has found more.
        let mut proven = self.acknowledged(End::Power)?;
        self.alive = None;
        self.seen.crashes += 1;
        self.disk.restart(crash.end, crash.seed);
        let mut seed = crash.seed;
        if let Some(damage) = crash.damage
            && let Some(end) = self.damaged(damage, seed, acknowledged)?
        {
            (acknowledged, proven) = (end, end);
        }
        for (calls, end) in &crash.openings {
            self.seen.crashes += 1;
            seed = seed.wrapping_add(1);
            self.disk.end_in(*calls);
            match self.open() {
                Ok(alive) => {
                    // What was served is promised.
                    let end = alive.engine.report().end.0;
                    self.judge(end, acknowledged)?;
                    (acknowledged, proven) = (end, end);
                }
                Err(_) if self.disk.has_ended() => {}
                Err(error) => return Err(format!("after a crash the directory does not open: {error}")),
            }
            self.disk.restart(*end, seed);
            if *end == End::Power {
                acknowledged = proven;
            }
        }
        if let Some(trouble) = crash.trouble {
            self.disk.trouble(trouble);
        }
        let alive = match self.open() {
            Ok(alive) => alive,
            Err(error) => {
                // With a disk that fails it may be refused, and then it opens once the disk is mended.
                ensure!(crash.trouble.is_some(), "after a crash the directory does not open: {error}");
                self.disk.restart(End::Kill, seed.wrapping_add(1));
                self.open()
                    .map_err(|error| format!("after a failed opening the directory does not open: {error}"))?
            }
        };
        // What the last opening left of the disk's troubles is over.
        self.disk.calm();
        self.welcome(alive, acknowledged)
    }

    /// The directory is damaged, and an opening has to see it or to find everything all the same. Then it is mended, or
    /// it goes on from what the opening, up to the position returned, has made of it.
    fn damaged(&mut self, what: Damage, seed: u64, acknowledged: u64) -> Result<Option<u64>, Wrong> {
        let image = self.disk.image();
        let Some(done) = damage::damage(&self.disk, what, seed, self.identity.id) else { return Ok(None) };
        self.seen.damaged += 1;
        let found = match self.open() {
            Err(error) => {
                ensure!(!done.harmless, "{what:?} ({}) is no reason to refuse: {error}", done.what);
                self.seen.refused += 1;
                None
            }
            Ok(alive) => Some(alive),
        };
        if let Some(alive) = found {
            let end = alive.engine.report().end.0;
            let least = acknowledged.min(done.provable);
            ensure!(end >= least, "after {what:?} ({}) only {end} of {least} is served", done.what);
            if end >= acknowledged {
                let before = (self.book.clone(), self.ids.clone(), self.history.clone());
                let welcome = self.welcome(alive, acknowledged);
                welcome.map_err(|wrong| format!("after {what:?} ({}): {wrong}", done.what))?;
                self.alive = None;
                (self.book, self.ids, self.history) = before;
                if done.harmless && matches!(what, Damage::FlipNewest | Damage::LoseNewest) && seed % 2 == 0 {
                    self.disk.restart(if seed % 4 == 0 { End::Kill } else { End::Power }, seed);
                    return Ok(Some(end));
                }
            }
        }
        self.disk.put_back(image);
        Ok(None)
    }

    /// What an opening has found is a place in the log where an operation ended, and all that was acknowledged.
    fn judge(&self, end: u64, acknowledged: u64) -> Result<&Book, Wrong> {
        ensure!(end >= acknowledged, "acknowledged up to {acknowledged}, and found up to {end}");
        let book = self.history.iter().find(|(at, _)| *at == end).map(|(_, book)| book);
        book.ok_or_else(|| format!("found up to {end}, where no operation ended"))
    }

    /// A new process has opened the directory.
    fn welcome(&mut self, alive: Alive, acknowledged: u64) -> Result<(), Wrong> {
        let report = alive.engine.report().clone();
        let end = report.end.0;
        let mut book = self.judge(end, acknowledged)?.clone();
        self.seen.from_checkpoint += u64::from(report.checkpoint.is_some());
        self.seen.kept_unknown += u64::from(end > acknowledged);
        let last = self.history.back().map_or(0, |(at, _)| *at);
        self.seen.taken_back += u64::from(end < last);
        for hold in self.book.holds.iter().filter(|hold| book.find(hold.id).is_none()) {
            self.ids.entry(hold.id).and_modify(|given| given.taken_back = true);
        }
        auditor::found(&alive, &book)?;
        self.history = VecDeque::from([(end, book.clone())]);
        book.advance_to(alive.engine.now().0);
        self.book = book;
        self.alive = Some(alive);
        self.remember()?;
        auditor::opened(self)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.alive = None;
        steer(None);
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
