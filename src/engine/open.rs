//! From a directory, or from nothing, to a running engine; and its threads.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam::channel;
use parking_lot::Mutex;

use super::core::{Core, SHARDS_MAX};
use super::{Engine, Inner};
use crate::clock::{EngineTime, Timestamp};
use crate::config::Config;
use crate::error::{Common, NameError, OpenError};
use crate::expiry::timers::{Slots, Timers};
use crate::fold::answers::Answers;
use crate::fold::follower::Follower;
use crate::fold::state::Fold;
use crate::hold::id::HoldIds;
use crate::hold::op_keys::{Done, OpKeys};
use crate::hold::state::Phase;
use crate::hold::table::{HoldTable, NewHold, OldHold};
use crate::log::record::{Place, Record};
use crate::log::recovery::{self, LogError, LogReport, OpenLog};
use crate::log::ring::{Ring, Share};
use crate::log::watch::Watch;
use crate::log::writer::{self, Bell, Shared, Writer};
use crate::metrics::{LogMetrics, Tally};
use crate::poison::Poison;
use crate::stock::book::{Book, Gate, Item};
use crate::stock::catalog::Catalog;
use crate::types::{OpKey, Position};

/// Groups that may wait for the fold.
const FOLD_QUEUE: usize = 64;

/// What opening found and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// There was nothing before.
    pub created: bool,
    /// The directory's identity; random for an engine in memory.
    pub directory_id: u128,
    /// Which opening of the directory this is.
    pub epoch: u32,
    /// Records replayed.
    pub records: u64,
    /// Live holds found.
    pub holds_live: u64,
    /// Op keys remembered.
    pub op_keys: u64,
    /// Where the log ended.
    pub end: Position,
    /// Bytes of an unacknowledged group that a crash had torn, cut off.
    pub cut_bytes: u64,
    /// Chunks that were saved although the store by itself would have lost them.
    pub chunks_rescued: u64,
    /// Bytes written and synced again, because the last close was not an orderly one.
    pub rewritten_bytes: u64,
    /// How far engine time is ahead of the wall clock, in milliseconds; below zero it is behind.
    pub clock_ahead_ms: i64,
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.created {
            return write!(f, "a new directory");
        }
        write!(
            f,
            "{} records replayed up to position {}: {} live holds, {} op keys",
            self.records, self.end, self.holds_live, self.op_keys
        )?;
        if self.cut_bytes > 0 {
            write!(f, "; cut {} bytes of a torn, unacknowledged tail", self.cut_bytes)?;
        }
        if self.chunks_rescued > 0 {
            write!(f, "; rescued {} chunks", self.chunks_rescued)?;
        }
        if self.rewritten_bytes > 0 {
            write!(f, "; the last close was not orderly, {} bytes were synced again", self.rewritten_bytes)?;
        }
        let off = Duration::from_secs(self.clock_ahead_ms.unsigned_abs() / 1_000);
        if !off.is_zero() {
            let way = if self.clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            write!(f, "; engine time is {off:?} {way} the wall clock")?;
        }
        Ok(())
    }
}

/// What the log said.
#[derive(Default)]
struct Recovered {
    fold: Fold,
    op_keys: Vec<(OpKey, u64, Done)>,
}

pub(crate) fn in_memory(config: Config) -> Result<Engine, OpenError> {
    let id: [u8; 16] = rand::random();
    let answers = answers(id, rand::random());
    start(
        config,
        None,
        &LogReport { created: true, ..LogReport::default() },
        id,
        answers,
        Recovered::default(),
    )
}

pub(crate) fn on_disk(directory: &Path, config: Config) -> Result<Engine, OpenError> {
    on_log(config, |fold| OpenLog::open(directory, fold))
}

/// Starts on a log that `open` replays.
pub(super) fn on_log(
    config: Config,
    open: impl FnOnce(&mut recovery::Fold<'_>) -> Result<(OpenLog, LogReport), LogError>,
) -> Result<Engine, OpenError> {
    let mut recovered = Recovered::default();
    // The answers need the secret, which the directory gives once it is open: they are made after the replay.
    let mut ops = Vec::new();
    let (log, report) = open(&mut |header, payload| {
        let mut keep = |op: crate::fold::state::FoldedOp<'_>| ops.push(OwnedOp::of(&op));
        recovered
            .fold
            .payload(header.start, payload, &mut keep)
            .map_err(|contradiction| contradiction.to_string())
    })?;
    let identity = log.directory.identity;
    let answers = answers(identity.id, identity.secret);
    recovered.op_keys = ops.iter().filter_map(|op| op.done(&answers)).collect();
    start(config, Some(log), &report, identity.id, answers, recovered)
}

fn answers(id: [u8; 16], secret: [u8; 16]) -> Answers {
    let mut tag = [0; 4];
    tag.copy_from_slice(&id[..4]);
    Answers { ids: HoldIds::new(secret), tag: u32::from_le_bytes(tag) }
}

/// An operation with an op key, its record's bytes kept until it can be answered.
struct OwnedOp {
    record: Box<[u8]>,
    position: u64,
    at: Timestamp,
    epoch: u32,
}

impl OwnedOp {
    fn of(op: &crate::fold::state::FoldedOp<'_>) -> OwnedOp {
        let record = crate::log::record::Encoded::new(op.record);
        OwnedOp {
            record: record.map(|record| record.as_bytes().into()).unwrap_or_default(),
            position: op.position,
            at: op.at,
            epoch: op.epoch,
        }
    }

    fn done(&self, answers: &Answers) -> Option<(OpKey, u64, Done)> {
        let (record, _) = Record::decode(&self.record).ok()?;
        let op = record.op()?;
        let position = Position(self.position);
        let answer = answers.of(&record, position, self.at, self.epoch)?;
        let key = OpKey(u128::from_le_bytes(op.key));
        Some((key, u64::from_le_bytes(op.content), Done { answer, position, at: self.at }))
    }
}

fn start(
    config: Config,
    log: Option<OpenLog>,
    found: &LogReport,
    id: [u8; 16],
    answers: Answers,
    recovered: Recovered,
) -> Result<Engine, OpenError> {
    let Recovered { fold, op_keys: ops } = recovered;
    let epoch = log.as_ref().map_or(1, |log| log.epoch);
    let end = log.as_ref().map_or(0, |log| log.tip.end);
    let kept_at = log.as_ref().map(|log| log.directory.layout.clock());
    let time =
        EngineTime::begin(Arc::clone(&config.clock), config.clock_jump_max, fold.now, kept_at.as_deref());
    let opened_at = time.now();
    let shards = thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(SHARDS_MAX);

    let op_keys = OpKeys::new(config.op_keys_max, config.op_key_retention);
    for (key, content, done) in ops {
        op_keys.restore(key, content, done);
    }
    op_keys.forget_if_due(opened_at);

    let (catalog, book) = (Catalog::default(), Book::new(shards));
    for ((index, level), (sku, location)) in fold.levels.iter().zip(&fold.names) {
        let gate = match level.opens_at() {
            _ if level.stopped => Gate::Stopped,
            Some(opens_at) => Gate::OpensAt(opens_at),
            None => Gate::Open,
        };
        let item = Item::new(level.available(), level.on_hand, gate);
        let made = catalog.declare(sku, location, |key| book.add(key, item).map_err(|_| NameError::Full));
        let problem = match made {
            Ok(key) if key == index => continue,
            Ok(key) => format!("{sku:?} at {location:?} is declared twice, as key {key} and as key {index}"),
            Err(error) => error.to_string(),
        };
        let message = format!("the log's catalogue cannot be restored: {problem}");
        return Err(OpenError::Damaged { readable: None, message });
    }

    // A log that was written with more holds than are allowed now is opened all the same.
    let highest = fold.holds.keys().max().map_or(0, |slot| slot.saturating_add(1));
    // Only carts that are not over have lines of their own.
    let carts = fold.holds.values().filter(|hold| hold.lines.len() > 1 && !hold.word.phase().is_over());
    let lines: usize = carts.map(|hold| hold.lines.len()).sum();
    let lines_max = config.lines_max.max(u32::try_from(lines).unwrap_or(u32::MAX));
    let holds = HoldTable::new(shards, config.holds_max, lines_max, config.expired_kept, highest);
    for (&slot, hold) in &fold.holds {
        let deadline = if hold.word.phase().is_live() { hold.word.deadline() } else { Timestamp(0) };
        let new = NewHold {
            lines: &hold.lines,
            born: hold.born,
            deadline,
            reference: hold.reference.as_bytes(),
            epoch: hold.epoch,
        };
        let place = Place { slot, generation: hold.generation };
        let restored = holds.restore(OldHold { new, place, word: hold.word });
        debug_assert!(restored.is_some());
    }
    holds.restored();
    let recovered_live = fold.holds.values().filter(|hold| hold.word.phase().is_live()).count() as u64;

    let references = fold.holds.iter().filter(|(_, hold)| hold.word.phase() != Phase::Free);
    let follower = Follower::new(
        fold.levels.clone(),
        end,
        references.map(|(&slot, hold)| (slot, hold.reference.as_bytes())),
    );
    let report = OpenReport {
        created: found.created,
        directory_id: u128::from_le_bytes(id),
        epoch,
        records: fold.records,
        holds_live: recovered_live,
        op_keys: op_keys.len() as u64,
        end: Position(end),
        cut_bytes: found.cut.map_or(0, |cut| cut.bytes),
        chunks_rescued: found.chunks_rescued,
        rewritten_bytes: found.bytes_refreshed,
        clock_ahead_ms: time.standing().ahead_ms,
    };
    let shared = Arc::new(Shared {
        ring: Ring::new(config.ring_bytes / 8, end),
        bell: Bell::default(),
        durable: Watch::new(end),
        poison: Poison::default(),
        metrics: LogMetrics::new(),
    });
    let core = Arc::new(Core {
        timers: (0..shards).map(|_| Timers::new(opened_at)).collect(),
        tally: Tally::new(shards),
        log: shared,
        book,
        catalog,
        holds,
        op_keys,
        answers,
        follower,
        epoch,
        opened_at,
        time,
        recovered_live,
        config,
    });
    for (&slot, hold) in fold.holds.iter().filter(|(_, hold)| hold.word.phase().is_live()) {
        let (timers, slots, local) = core.timers_of(slot);
        debug_assert!(slots.timer(local).is_some());
        timers.register(&slots, local, hold.word.deadline());
    }

    // The first record of this opening, before any other thread can draw.
    let opened = Record::Opened { epoch, at_unix_ms: opened_at.0 };
    let announced = core.encode(&opened).and_then(|record| {
        core.claim(record.words(), Share::Keep)?.draw(record.words()).fill(record.as_bytes());
        Ok(())
    });
    announced.map_err(|error: Common| OpenError::Thread(error.to_string()))?;
    let threads = Threads::start(&core, log)?;
    Ok(Engine { inner: Arc::new(Inner { core, report, threads }) })
}

/// The engine's threads: log, waking, fold, and the driver of the wheels.
pub(crate) struct Threads {
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    driver: Option<Thread>,
}

impl Threads {
    fn start(core: &Arc<Core>, log: Option<OpenLog>) -> Result<Threads, OpenError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Threads { running: Mutex::default(), stop: Arc::clone(&stop), driver: None };
        let started = (|| {
            let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
                let thread = thread::Builder::new().name(format!("stockhold-{name}")).spawn(body);
                thread.map_err(|error| OpenError::Thread(error.to_string()))
            };
            let (sender, receiver) = channel::bounded(FOLD_QUEUE);
            let (shared, durability) = (Arc::clone(&core.log), core.config.durability);
            let follow = Arc::clone(core);
            threads.running.lock().push(spawn("fold", Box::new(move || follow.follower.run(&receiver)))?);
            let wake = Arc::clone(core);
            threads.running.lock().push(spawn("wake", Box::new(move || wake.log.durable.wake_waiters()))?);
            if let Some(period) = core.config.driver_period {
                let (core, stop) = (Arc::clone(core), Arc::clone(&stop));
                let driver = spawn("expiry", Box::new(move || drive(&core, period, &stop)))?;
                threads.driver = Some(driver.thread().clone());
                threads.running.lock().push(driver);
            }
            let writer = Writer { shared, log, fold: sender, durability };
            threads.running.lock().push(spawn("log", Box::new(move || writer::run(writer)))?);
            Ok(())
        })();
        if let Err(error) = started {
            core.log.ring.close();
            core.log.durable.end();
            threads.join();
            return Err(error);
        }
        Ok(threads)
    }

    /// Waits until all have ended; the ring is closed before.
    pub(crate) fn join(&self) {
        self.stop.store(true, Ordering::Release); // pairs with the driver's Acquire
        if let Some(driver) = &self.driver {
            driver.unpark();
        }
        // The lock is held while joining, so that a second shutdown returns only when all have ended.
        let mut running = self.running.lock();
        for thread in running.drain(..) {
            // The last handle may be dropped by a waker, on a thread of ours, which ends by itself. A panic of the log
            // thread has poisoned; the others have nothing to lose.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// The driver: keeps the horizons fresh, and forgets old op keys.
fn drive(core: &Core, period: Duration, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let now = core.now();
        core.sweep(now);
        core.tidy(now);
        core.keep_time();
        thread::park_timeout(period);
    }
}
