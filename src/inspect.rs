//! Reads a directory at rest, without an engine: whether it is whole, the levels, the holds, and the log.
//!
//! Nothing under the directory is changed, not even the lock file, so a backup or a suspicious directory can
//! be read as it is. The log is read from the store's file directly, because the store's own opening writes.
//! Which chunks belong to the log is decided by the rules of an opening.
//!
//! Records that checkpoints have removed from the log are in the ledger, if the directory has one
//! ([`Config::ledger_kept`](crate::Config::ledger_kept)); [`Inspection::log`] returns both, in order.
//!
//! An [`Inspection`] cannot be opened while an engine has the directory open. It opens all that it reads at
//! once, and keeps no engine from opening the directory afterwards: then it goes on with the directory as it
//! was. Only an old file of the ledger can be gone by the time it is read. It takes memory for the state at the end of the log (stock keys, and the last hold
//! of each slot), a small entry for each chunk of the log, and one chunk.
//!
//! ```
//! use stockhold::inspect::Inspection;
//! use stockhold::{Config, Engine, Position, Receive, Reserve};
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("stock");
//!
//! let engine = Engine::open(&directory, Config::default())?;
//! let poster = engine.declare("poster", "berlin")?;
//! engine.receive(Receive::units(poster, 10))?.wait()?;
//! engine.reserve(Reserve::units(poster, 2).reference("order-1"))?.wait()?;
//! let now = engine.now();
//! engine.shutdown()?;
//!
//! let inspection = Inspection::open(&directory)?;
//! assert_eq!(inspection.drift(), None);
//! for entry in inspection.levels() {
//!     println!("{} at {}: {} available", entry.sku, entry.location, entry.level.available);
//! }
//! for entry in inspection.holds(now)? {
//!     println!("{} holds {} units", entry.reference, entry.quantity);
//! }
//! for entry in inspection.log(Position(0)) {
//!     let entry = entry?;
//!     println!("{} {}", entry.position, entry.kind);
//! }
//! # assert_eq!(inspection.levels().next().unwrap().level.available, 8);
//! # assert_eq!(inspection.holds(now)?.count(), 1);
//! # assert_eq!(inspection.log(Position(0)).count(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod entry;
mod log;
mod set_time;

use std::fmt;
use std::path::Path;

pub use self::entry::{LineEntry, LogEntry};
use self::log::KnownHold;
pub use self::log::Log;
use crate::answer::{HoldState, Level};
use crate::checkpoint::ledger::Stretches;
use crate::checkpoint::run_ref::RunKind;
use crate::clock::Timestamp;
pub use crate::error::Drift;
use crate::error::{OpenError, TimeError};
use crate::fold::verify::Verifier;
use crate::hold::id::HoldIds;
use crate::hold::lines::Line;
use crate::index::SlotIndex;
use crate::log::at_rest::LogAtRest;
pub use crate::log::record::EntryKind;
use crate::log::record::HoldPlace;
use crate::log::recovery::LogError;
use crate::log::verdict::Cut;
use crate::types::{HoldId, Position, Reference};

/// The folded log of a directory. See the [module](self).
pub struct Inspection {
    log: LogAtRest,
    /// The state before the first entry that is kept.
    known: KnownHold,
    state: Verifier,
    drift: Option<Drift>,
    ids: HoldIds,
    report: Report,
}

/// What was found in the bytes. Whether the entries make sense is in [`Inspection::drift`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The directory's identity.
    pub directory_id: u128,
    /// The number of the last opening by an engine that has written something.
    pub epoch: u32,
    /// Whether the last engine shut down in order: then everything it answered is in the log.
    pub closed_in_order: bool,
    /// The position at which the kept log begins. Earlier entries are in the ledger, and their result is in
    /// the checkpoints.
    pub from: Position,
    /// The position at which the ledger begins; `None` if there is none, or if its first file cannot be read.
    pub ledger_from: Option<Position>,
    /// The number of ledger files.
    pub ledger_files: u64,
    /// The bytes of these files.
    pub ledger_bytes: u64,
    /// The position of the checkpoint that an opening would continue from. If the log reaches back before it,
    /// it was made again from the log and compared.
    pub checkpoint: Option<Position>,
    /// Damaged checkpoints, and why they are damaged.
    pub checkpoints_rejected: Vec<String>,
    /// The number of chunks of the log, each linked to the one before by its hash.
    pub chunks: u64,
    /// The bytes of these chunks.
    pub bytes: u64,
    /// The number of entries since the directory was created, up to a [drift](Inspection::drift) if there is
    /// one.
    pub records: u64,
    /// The position at which the log ends.
    pub end: Position,
    /// The directory itself says that everything up to this position was durable: all that was acknowledged,
    /// but for the last 100 ms of an engine that did not shut down in order.
    pub acknowledged: Position,
    /// The latest time in the log.
    pub time: Timestamp,
    /// The torn tail behind the end. It is no part of the log, and the next opening removes it.
    pub torn_tail: Option<TornTail>,
}

/// A group that a crash tore while it was written. None of it was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TornTail {
    /// The position at which it begins: the end of the log.
    pub from: Position,
    /// The end of its last whole chunk.
    pub until: Position,
    /// The number of its whole chunks. Damaged ones cannot be counted.
    pub chunks: u64,
    /// The bytes of its whole chunks.
    pub bytes: u64,
}

impl From<Cut> for TornTail {
    fn from(cut: Cut) -> Self {
        TornTail {
            from: Position(cut.from),
            until: Position(cut.until),
            chunks: cut.chunks,
            bytes: cut.bytes,
        }
    }
}

/// The level of one stock key at the end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LevelEntry<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// The location.
    pub location: &'a str,
    /// The quantities. Overdue holds count as held: the log does not have their end yet.
    pub level: Level,
}

/// A hold that has units.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HoldEntry<'a> {
    /// The id of the hold.
    pub hold: HoldId,
    /// Its lines: one, or those of a cart in the order in which their stock keys were declared.
    pub lines: Vec<LineEntry<'a>>,
    /// The caller's reference.
    pub reference: Reference,
    /// [`Active`](HoldState::Active) or [`Paying`](HoldState::Paying) while it is live,
    /// [`Confirmed`](HoldState::Confirmed) while some of it is neither shipped nor cancelled, and
    /// [`Expired`](HoldState::Expired) when it is overdue.
    pub state: HoldState,
    /// Whether the deadline has passed. Then the hold is over, and an engine returns its units at once; the
    /// log does not have the expiry yet.
    pub overdue: bool,
    /// The units of all lines: held, or once confirmed, committed and not yet shipped or cancelled.
    pub quantity: u32,
    /// The time at which it was made.
    pub born: Timestamp,
    /// Its deadline; `None` once confirmed.
    pub deadline: Option<Timestamp>,
}

impl Inspection {
    /// Reads a directory, folds its log, and checks each entry.
    ///
    /// Cost: reads the store's file twice, from beginning to end.
    ///
    /// # Errors
    ///
    /// [`Missing`](OpenError::Missing), [`Foreign`](OpenError::Foreign), [`Newer`](OpenError::Newer) and
    /// [`InUse`](OpenError::InUse) as their names say. [`Damaged`](OpenError::Damaged) if an engine would refuse the
    /// directory because of what its bytes are: then the log does not hold what was acknowledged, and the
    /// position up to which it can be read is given. A torn tail is no error, it is in the
    /// [report](Self::report). Nor is an entry that contradicts another: see [`drift`](Self::drift).
    pub fn open(directory: impl AsRef<Path>) -> Result<Inspection, OpenError> {
        let (log, before) = LogAtRest::open(directory.as_ref())?;
        let known = KnownHold::of(&before.base.fold);
        let from = before.base.fold.position;
        let (mut state, mut drift) = match Verifier::from(before.base.fold) {
            Ok(state) => (state, None),
            Err(first) => (Verifier::default(), Some(first)),
        };
        let mut newest = before.newest;
        let checkpoint = newest.as_ref().map_or(from, |newest| newest.fold.position);
        for found in &log.chain {
            if drift.is_some() {
                break;
            }
            drift = state.chunk(&found.header, &log.payload(found)?).err();
            if let Some(newest) = newest.take_if(|newest| newest.fold.position == found.header.end()) {
                drift = drift.or(state.same_as(&newest.fold).err());
            }
        }
        let ledger = log.newest.as_ref().map(|newest| newest.of(RunKind::Ledger)).unwrap_or_default();
        let first = Stretches::of(&*log.files, ledger.clone()).next();
        let ledger_from = first.and_then(|first| Some(Position(first.ok()?.start)));
        let report = Report {
            directory_id: u128::from_le_bytes(log.identity().id),
            ledger_from,
            ledger_files: ledger.len() as u64,
            ledger_bytes: ledger.iter().fold(0, |sum: u64, run| sum.saturating_add(run.bytes)),
            epoch: log.verdict.epoch_next - 1,
            closed_in_order: log.proven.orderly,
            from: Position(from),
            checkpoint: (checkpoint > 0).then_some(Position(checkpoint)),
            checkpoints_rejected: before.rejected,
            chunks: log.chain.len() as u64,
            bytes: log.chain.iter().map(|found| u64::from(found.place.bytes)).sum(),
            records: state.fold.records,
            end: Position(log.verdict.tip.end),
            acknowledged: Position(log.proven.end),
            time: state.fold.now,
            torn_tail: log.verdict.cut.map(TornTail::from),
        };
        let ids = HoldIds::new(log.identity().secret);
        Ok(Inspection { log, known, state, drift, ids, report })
    }

    /// What was found in the bytes.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The first entry that contradicts those before it; `None` if there is none, as there should be.
    ///
    /// Checked are: that each entry can be applied; that time allowed it (no confirm at or after the
    /// deadline, no expiry before it); that each hold has one outcome; that the levels are valid at every
    /// position; and that `held` and `committed` of each key equal the sums over its holds at every position.
    ///
    /// With a drift, [`levels`](Self::levels) and [`holds`](Self::holds) are those before it, and
    /// [`log`](Self::log) ends with it.
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }

    /// The levels of all stock keys, in the order in which they were declared.
    pub fn levels(&self) -> impl Iterator<Item = LevelEntry<'_>> {
        let fold = &self.state.fold;
        let position = Position(fold.position);
        fold.levels.iter().zip(fold.names.iter()).map(move |((_, level), (sku, location))| LevelEntry {
            sku,
            location,
            level: Level {
                on_hand: level.on_hand,
                held: level.held,
                committed: level.committed,
                available: level.available(),
                stopped: level.stopped,
                opens_at: level.opens_at(),
                position,
            },
        })
    }

    /// All holds that have units, the oldest first. Whether a hold is overdue is judged at `now`, or at the
    /// last time in the log if that is later. Their quantities add up to `held` and `committed` of the
    /// levels.
    ///
    /// Cost: sorts the numbers of these holds.
    ///
    /// # Errors
    ///
    /// `now` lies outside the years 2020 to 2089: it is most likely no number of milliseconds.
    pub fn holds(&self, now: Timestamp) -> Result<impl Iterator<Item = HoldEntry<'_>>, TimeError> {
        let fold = &self.state.fold;
        let now = now.check()?.max(fold.now);
        let with_units =
            fold.holds.iter().filter(|(_, hold)| hold.word.phase().is_live() || hold.word.units() > 0);
        let mut slots: Vec<(Timestamp, SlotIndex)> =
            with_units.map(|(slot, hold)| (hold.born, slot)).collect();
        slots.sort_unstable();
        Ok(slots.into_iter().filter_map(move |(_, slot)| {
            let hold = fold.holds.get(slot)?;
            let line = |line: &Line| LineEntry::of(&fold.names, line.target.good()?, line.units);
            let (phase, live) = (hold.word.phase(), hold.word.phase().is_live());
            let deadline = live.then(|| hold.word.deadline());
            let overdue = deadline.is_some_and(|deadline| deadline <= now);
            Some(HoldEntry {
                hold: self.ids.id(HoldPlace { slot, generation: hold.generation }, hold.epoch),
                lines: hold.lines.iter().map(line).collect::<Option<_>>()?,
                reference: hold.reference,
                state: if overdue { HoldState::Expired } else { phase.public()? },
                overdue,
                quantity: hold.lines.units(),
                born: hold.born,
                deadline,
            })
        }))
    }

    /// The entries of the ledger and then of the log, in order, from the first one that ends at `from` or
    /// later.
    ///
    /// The position of an entry is where it ends. Ledger and log are read from their beginning, whatever
    /// `from` is, because entries rely on those before them; the ledger is read only if `from` lies before
    /// the log. An entry of a hold that was made before the ledger begins has no hold id. Where a part of the
    /// ledger cannot be read, the iterator ends with an error that says where to continue. It takes 24 bytes
    /// for each slot of the table of holds.
    pub fn log(&self, from: Position) -> Log<'_> {
        Log::new(self, from)
    }

    /// Reads the whole ledger and returns the number of its entries. Every byte must be as it was written,
    /// and the records must continue one another up to the newest checkpoint. If the ledger begins with the
    /// directory, its entries are checked as [`drift`](Self::drift) says, and must lead to the state of the
    /// checkpoint and the log. Opening an [`Inspection`] does not do this. Then it takes as much memory as
    /// another inspection, however long the ledger is.
    ///
    /// # Errors
    ///
    /// [`Damaged`](OpenError::Damaged) with the position from which the ledger cannot be read, or with that of the first
    /// entry that contradicts those before it. The directory can be opened all the same.
    pub fn verify_ledger(&self) -> Result<u64, OpenError> {
        let entries = Log::of_ledger(self).count_ledger()?;
        if self.report.ledger_from == Some(Position(0)) && self.drift.is_none() {
            self.judge_from_the_beginning()?;
        }
        Ok(entries)
    }

    fn judge_from_the_beginning(&self) -> Result<(), OpenError> {
        let Some(newest) = &self.log.newest else { return Ok(()) };
        let (until, mut judge) = (newest.frontier.position, Verifier::default());
        let contradicts = |drift: Drift| OpenError::Damaged {
            readable: Some(drift.position),
            message: format!("verified from the ledger's beginning on, {drift}"),
        };
        for stretch in Stretches::of(&*self.log.files, newest.of(RunKind::Ledger)) {
            let stretch = stretch.map_err(LogError::from)?;
            if stretch.start < until {
                judge.records(stretch.start, &stretch.records).map_err(contradicts)?;
            }
        }
        for found in self.log.chain.iter().filter(|found| found.header.start >= until) {
            judge.chunk(&found.header, &self.log.payload(found)?).map_err(contradicts)?;
        }
        judge.same_as(&self.state.fold).map_err(contradicts)
    }
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection")
            .field("report", &self.report)
            .field("drift", &self.drift)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
