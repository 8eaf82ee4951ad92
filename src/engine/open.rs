//! Opens an engine: on a directory, or in memory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, shards};
use super::rebuild::Rebuilt;
use super::replay_target::ReplayTarget;
use crate::checkpoint::files::Files;
use crate::checkpoint::manifest_set::ManifestSet;
use crate::checkpoint::thread::Checkpointer;
use crate::clock::EngineTime;
use crate::config::Config;
use crate::error::{OpenError, SharedError};
use crate::expiry::timers::Timers;
use crate::log::directory::Identity;
use crate::log::record::Record;
use crate::log::recovery::{LogError, LogReport, OpenLog, Replay};
use crate::log::ring::Share;
use crate::log::writer::LogShared;
use crate::metrics::Tally;
use crate::types::Position;

/// A lead of engine time that takes a month to be made up for, so that an operator should hear of it: two days.
const LEAD_TO_MEND_MS: i64 = 2 * 86_400_000;

/// What an opening found and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// The directory is new.
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
    /// The position at which the log ended.
    pub end: Position,
    /// Bytes that were cut off: an unacknowledged group that a crash had torn.
    pub cut_bytes: u64,
    /// Bytes of the log written and synced again, because the last close was not an orderly one.
    pub rewritten_bytes: u64,
    /// The position of the checkpoint that the opening started from; `None` if it read the log from its
    /// beginning.
    pub checkpoint: Option<Position>,
    /// Newer checkpoints that were damaged, and why: an older one and more of the log were read instead.
    pub checkpoints_rejected: Vec<String>,
    /// Files of unfinished or outdated checkpoints that were removed.
    pub leftovers_removed: u64,
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
        if let Some(checkpoint) = self.checkpoint {
            write!(f, "; from a checkpoint at position {checkpoint}")?;
        }
        for rejected in &self.checkpoints_rejected {
            write!(f, "; a checkpoint could not be used: {rejected}")?;
        }
        if self.cut_bytes > 0 {
            write!(f, "; cut {} bytes of a torn, unacknowledged tail", self.cut_bytes)?;
        }
        if self.rewritten_bytes > 0 {
            write!(f, "; the last close was not orderly, {} bytes were synced again", self.rewritten_bytes)?;
        }
        if self.leftovers_removed > 0 {
            write!(f, "; removed {} leftover files of checkpoints", self.leftovers_removed)?;
        }
        let off = Duration::from_secs(self.clock_ahead_ms.unsigned_abs() / 1_000);
        if !off.is_zero() {
            let way = if self.clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            write!(f, "; engine time is {off:?} {way} the wall clock")?;
            if self.clock_ahead_ms > LEAD_TO_MEND_MS {
                write!(f, " (if the wall clock is right, set engine time right with `stockhold clock`)")?;
            }
        }
        Ok(())
    }
}

pub(super) fn in_memory(config: Config) -> Result<Assembled, OpenError> {
    let (id, secret) = (rand::random(), rand::random());
    let recovered = ReplayTarget::empty(&config, &Identity { id, secret, segment_bytes: 0 });
    let report = LogReport { created: true, ..LogReport::default() };
    assemble(config, None, &report, id, recovered)
}

pub(super) fn on_disk(directory: &Path, config: Config) -> Result<Assembled, OpenError> {
    on_log(config, |into| OpenLog::open(directory, into))
}

/// An engine on a log that `open` opens and replays.
pub(super) fn on_log(
    config: Config,
    open: impl FnOnce(&mut dyn Replay) -> Result<(OpenLog, LogReport), LogError>,
) -> Result<Assembled, OpenError> {
    on_log_and_files(config, None, open)
}

/// The same, with the checkpoints in `files`; `None` = in the directory.
pub(crate) fn on_log_and_files(
    config: Config,
    files: Option<Arc<dyn Files>>,
    open: impl FnOnce(&mut dyn Replay) -> Result<(OpenLog, LogReport), LogError>,
) -> Result<Assembled, OpenError> {
    let mut recovered = ReplayTarget::before_replay(&config);
    recovered.files = files;
    let opened = open(&mut recovered);
    let (log, report) = opened.map_err(|error| recovered.explain(error))?;
    recovered.removed = recovered.remove_leftovers()?;
    let id = log.directory.identity.id;
    assemble(config, Some(log), &report, id, recovered)
}

/// Rebuilds a state as an opening does, and expires what is due: the counters must agree with the state.
#[cfg(fuzzing)]
pub(crate) fn restore(fold: crate::fold::state::Fold) -> Result<(), OpenError> {
    let clock = crate::clock::ManualClock::new(crate::clock::Timestamp(crate::clock::EPOCH_2020_MS));
    let config = Config::default().clock(clock).ring_bytes(64 << 10).holds_max(1_000).expired_kept(10);
    let mut recovered = ReplayTarget::before_replay(&config);
    recovered.fold = fold.clone();
    let core = assemble(config, None, &LogReport::default(), [0; 16], recovered)?.core;
    for (key, level) in fold.levels.iter() {
        let item = core.book.get(key).map(|item| item.counter.approximate(core.lane(key)));
        assert_eq!(item, Some(level.available()), "stock key {}", key.0);
    }
    core.sweep(core.now());
    Ok(())
}

/// An engine whose threads do not run yet, and what the threads need.
pub(crate) struct Assembled {
    pub core: Arc<Core>,
    /// `None` in memory.
    pub log: Option<OpenLog>,
    pub manifest_set: Option<ManifestSet>,
    pub report: OpenReport,
}

fn assemble(
    config: Config,
    mut log: Option<OpenLog>,
    found: &LogReport,
    id: [u8; 16],
    recovered: ReplayTarget,
) -> Result<Assembled, OpenError> {
    let ReplayTarget {
        fold, op_keys, answers, manifest_set, window, replay_start, rejected, removed, ..
    } = recovered;
    let epoch = log.as_ref().map_or(1, |log| log.epoch);
    let end = log.as_ref().map_or(0, |log| log.tip.end);
    let kept_at = log.as_ref().map(|log| log.directory.layout.clock());
    let time =
        EngineTime::begin(Arc::clone(&config.clock), config.clock_jump_max, fold.now, kept_at.as_deref());
    let opened_at = time.now();
    let shards = shards();

    op_keys.forget_if_due(opened_at);

    let records = fold.records - replay_start.records;
    let Rebuilt { catalog, book, holds, follower, live: recovered_live, folded } =
        Rebuilt::from(fold, &config, end)?;
    let report = OpenReport {
        created: found.created,
        directory_id: u128::from_le_bytes(id),
        epoch,
        records,
        holds_live: recovered_live,
        op_keys: op_keys.len() as u64,
        end: Position(end),
        cut_bytes: found.cut.map_or(0, |cut| cut.bytes),
        rewritten_bytes: found.bytes_rewritten,
        checkpoint: (replay_start.number > 0).then_some(Position(replay_start.position)),
        checkpoints_rejected: rejected,
        leftovers_removed: removed,
        clock_ahead_ms: time.standing().ahead_ms,
    };
    let older = log.as_mut().and_then(|log| log.older.take());
    let shared = Arc::new(LogShared::new(config.ring_bytes / 8, end, older));
    if let Some(manifest_set) = &manifest_set {
        shared.cut_below(manifest_set.log_from());
    }
    let checkpointer = match manifest_set.as_ref().zip(log.as_ref()) {
        Some((manifest_set, log)) => {
            let (identity, place) = (log.directory.identity, log.place.clone());
            Some(Checkpointer::new(&config, identity, place, manifest_set, window))
        }
        None => None,
    };
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
        ship_round: Default::default(),
        checkpointer,
        verifying: Default::default(),
        epoch,
        opened_at,
        time,
        recovered_live,
        config,
    });
    Rebuilt::start_timers(&folded, &core);
    drop(folded);

    // The first record of this opening, before any other thread can draw.
    let opened = Record::Opened { epoch, at_unix_ms: opened_at.0 };
    let announced = core.encode(&opened).and_then(|record| {
        core.claim(record.words(), Share::Keep)?.draw(record.words()).fill(record.as_bytes());
        Ok(())
    });
    announced.map_err(|error: SharedError| OpenError::Thread(error.to_string()))?;
    Ok(Assembled { core, log, manifest_set, report })
}
