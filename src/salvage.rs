//! Recovers what can be proven of a damaged directory into a new one.
//!
//! Nothing under the source is changed, not even its lock file. The chunks of the log are read from its files
//! directly.
//!
//! A salvage starts from a whole checkpoint, or from the beginning of the log, and adds whole groups of the
//! log. Each chunk must be linked to the one before by its hash. It ends where the chain ends, or at an entry
//! that contradicts those before it. Of several checkpoints it takes the one from which it gets furthest.
//! Chunks behind the end are reported by position and not applied, because what came before them is not
//! known.
//!
//! The ledger is copied too, with the recovered log behind it; if a file of it is damaged, only what lies
//! behind that file.
//!
//! The new directory begins with a checkpoint of the recovered state. It has the identity of the source, so
//! that ids of holds and stock keys stay valid, unless the source has lost it; see
//! [`SalvageReport::identity_lost`]. Before the salvage succeeds, the new directory is opened and checked as
//! [`Inspection::open`] does.
//!
//! ```
//! use stockhold::salvage::salvage;
//! # use stockhold::{Config, Engine, Receive};
//! # let scratch = tempfile::tempdir()?;
//! # let (damaged, new) = (scratch.path().join("stock"), scratch.path().join("new"));
//! # let engine = Engine::open(&damaged, Config::default())?;
//! # let poster = engine.declare("poster", "berlin")?;
//! # engine.receive(Receive::units(poster, 10))?.wait()?;
//! # engine.checkpoint()?;
//! # engine.shutdown()?;
//!
//! std::fs::remove_file(damaged.join("durable"))?; // say, the disk has lost it
//! assert!(Engine::open(&damaged, Config::default()).is_err());
//!
//! let report = salvage(&damaged, &new)?;
//! println!("{report}");
//! if !report.is_complete() {
//!     println!("missing: {:?}", report.missing);
//! }
//! let engine = Engine::open(&new, Config::default())?;
//! # assert_eq!(engine.available(poster)?, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A disk that gives read errors is copied first, by a program made for that, and its copy salvaged.

mod openings;
mod reach;
mod report;

use std::path::Path;

use self::reach::{Reach, Remnant};
use self::report::Behind;
pub use self::report::{Missing, SalvageReport, Unapplied};
use crate::checkpoint::full_state::FullState;
use crate::checkpoint::seed::{self, SeedError};
use crate::error::{OpenError, SalvageError};
use crate::inspect::Inspection;
use crate::log::directory::Identity;
use crate::log::recovery::LogError;
use crate::types::Position;

/// Recovers what is provably valid of the directory `source` into a new one at `target`. See the
/// [module](self).
///
/// Cost: reads the store's file and each checkpoint, folds the log from one or more of them, and writes the
/// state. It takes memory for the state, and a small entry for each chunk of the log.
///
/// # Errors
///
/// [`Source`](SalvageError::Source) if the source is not a directory of ours, is in use, has a newer format, or cannot
/// be read; [`Exists`](SalvageError::Exists) if the target is not empty, or lies inside of the source;
/// [`Nothing`](SalvageError::Nothing) if nothing can be proven; then no target is made. After
/// [`Failed`](SalvageError::Failed) remove the target.
pub fn salvage(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<SalvageReport, SalvageError> {
    let (source, target) = (source.as_ref(), target.as_ref());
    let remnant = Remnant::read(source)?;
    seed::check_outside(target, source)?;
    seed::check(target)?;
    let (reach, rejected) = remnant.best()?;
    let behind = Behind::of(&remnant, reach.end)?;
    if reach.end == 0 {
        return Err(SalvageError::Nothing(nothing(&remnant, &rejected, &behind)));
    }
    let whole = remnant.fold(&reach)?;
    let identity = match &remnant.directory.identity {
        Ok(identity) => *identity,
        // The new directory keeps the id. Only the secret is lost.
        Err(_) => match &reach.manifest {
            Some(manifest) => Identity { id: manifest.directory, ..Identity::random() },
            None => Identity::random(),
        },
    };
    let mut ledger_files_lost = 0;
    seed::seed(target, &identity, remnant.epoch_seen(), |files| {
        let mut manifest = whole.write(files, identity.id).map_err(SeedError::from)?;
        let ledger = remnant.copy_ledger(&reach, whole.fold.now, files)?;
        manifest.runs.extend(ledger.runs);
        ledger_files_lost = ledger.lost;
        Ok::<_, SalvageError>(manifest)
    })?;
    judge(target, &whole)?;
    Ok(SalvageReport {
        ledger_files_lost,
        ..SalvageReport::of(&remnant, reach, rejected, behind, &whole, &identity)
    })
}

/// Checks that the new directory is whole, and has what was written into it.
fn judge(target: &Path, whole: &FullState) -> Result<(), SalvageError> {
    let failed = |what: String| {
        Err(SalvageError::Failed(format!("the new directory does not have what was written: {what}")))
    };
    let found = match Inspection::open(target) {
        Ok(found) => found,
        Err(error) => return failed(error.to_string()),
    };
    if let Some(drift) = found.drift() {
        return failed(drift.to_string());
    }
    let (report, fold) = (found.report(), &whole.fold);
    if (report.end, report.records) != (Position(fold.position), fold.records) {
        return failed(format!("it ends at position {} and not at {}", report.end, fold.position));
    }
    Ok(())
}

fn nothing(remnant: &Remnant, rejected: &[String], behind: &Behind) -> String {
    let mut sentence = "no checkpoint is intact and the log's beginning is missing".to_owned();
    if remnant.is_unused() {
        sentence = "the directory was never used".to_owned();
    }
    for rejected in rejected {
        sentence.push_str(&format!("; {rejected}"));
    }
    if let Some(first) = behind.unapplied.first() {
        let records: u64 = behind.unapplied.iter().map(|range| range.records).sum();
        sentence.push_str(&format!("; {records} entries are readable from position {} on", first.from));
    }
    sentence
}

impl From<LogError> for SalvageError {
    fn from(error: LogError) -> Self {
        SalvageError::Source(OpenError::from(error))
    }
}

impl Reach {
    fn checkpoint(&self) -> Option<Position> {
        self.manifest.as_ref().map(|manifest| Position(manifest.frontier.position))
    }
}
