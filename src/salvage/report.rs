//! The report of a salvage: what it recovered, and what it could not.

use std::fmt;

use super::reach::{Reach, Remnant};
use crate::checkpoint::full_state::FullState;
use crate::clock::Timestamp;
use crate::error::{Drift, SalvageError};
use crate::hold::state::Phase;
use crate::log::directory::{DirectoryError, Identity};
use crate::log::record::Records;
use crate::types::Position;

/// What was recovered, and what was not.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The identity of the new directory: the source's, if it could be read.
    pub directory_id: u128,
    /// Why the identity of the source could not be read. Then the secret of the hold ids is lost, and the
    /// holds have other ids than their callers know; find them by their references. If a backup has the file
    /// `stockhold`, copy the source, put the file into the copy, and salvage the copy instead.
    pub identity_lost: Option<String>,
    /// Why the file `durable` could not be read. Then it is not known how much was acknowledged.
    pub sidecar_lost: Option<String>,
    /// The position of the checkpoint that it started from; `None` for the beginning of the log.
    pub checkpoint: Option<Position>,
    /// Checkpoints that could not be used, and why.
    pub checkpoints_rejected: Vec<String>,
    /// Everything up to this position was recovered, and nothing behind it.
    pub end: Position,
    /// The source proves that everything up to this position was durable: all that was acknowledged, but for
    /// the last 100 ms of an engine that did not shut down in order. A lower bound if the sidecar is lost.
    pub acknowledged: Position,
    /// The entry behind the end that contradicts those before it, if that is why the salvage ended.
    pub contradiction: Option<Drift>,
    /// Positions up to `acknowledged` that cannot be read.
    pub missing: Vec<Missing>,
    /// What can be read behind the end, and was not applied.
    pub unapplied: Vec<Unapplied>,
    /// The number of recovered entries, since the source was created.
    pub records: u64,
    /// The number of recovered stock keys.
    pub stock_keys: u64,
    /// The number of recovered holds with units: live ones by the log, and confirmed ones.
    pub holds: u64,
    /// The number of recovered op keys.
    pub op_keys: u64,
    /// The latest time in what was recovered.
    pub time: Timestamp,
    /// The number of ledger files that are damaged, or lie before a damaged one: the new directory does not
    /// have them.
    pub ledger_files_lost: u64,
}

/// Positions whose entries cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Missing {
    /// Their beginning.
    pub from: Position,
    /// Their end.
    pub until: Position,
}

/// Positions whose entries can be read, while the entries before them are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Unapplied {
    /// Their beginning.
    pub from: Position,
    /// Their end.
    pub until: Position,
    /// The number of their entries.
    pub records: u64,
}

/// The chunks behind the end.
pub(super) struct Behind {
    pub missing: Vec<Missing>,
    pub unapplied: Vec<Unapplied>,
}

impl Behind {
    pub(super) fn of(remnant: &Remnant, end: u64) -> Result<Behind, SalvageError> {
        let mut unapplied: Vec<Unapplied> = Vec::new();
        let (mut missing, mut readable) = (Vec::new(), end);
        let acknowledged = remnant.acknowledged();
        let mut miss = |from: u64, until: u64| {
            let until = until.min(acknowledged);
            if from < until {
                missing.push(Missing { from: Position(from), until: Position(until) });
            }
        };
        for found in remnant.behind(end) {
            let (start, until) = (found.header.start, found.header.end());
            if start < readable {
                continue; // another chunk was there
            }
            let payload = remnant.chunks.payload(&found)?;
            let records = Records::new(&payload, start).filter(Result::is_ok).count() as u64;
            miss(readable, start);
            match unapplied.last_mut().filter(|last| last.until.0 == start) {
                Some(last) => {
                    last.until = Position(until);
                    last.records += records;
                }
                None => unapplied.push(Unapplied { from: Position(start), until: Position(until), records }),
            }
            readable = until;
        }
        miss(readable, acknowledged);
        Ok(Behind { missing, unapplied })
    }
}

fn why(lost: &DirectoryError) -> String {
    match lost {
        DirectoryError::Corrupt { details, .. } => details.clone(),
        _ => "the file `stockhold` does not begin with a directory's identity".into(),
    }
}

impl SalvageReport {
    pub(super) fn of(
        remnant: &Remnant,
        reach: Reach,
        checkpoints_rejected: Vec<String>,
        behind: Behind,
        whole: &FullState,
        identity: &Identity,
    ) -> SalvageReport {
        let fold = &whole.fold;
        let with_units = fold.holds.values().filter(|hold| {
            let phase = hold.word.phase();
            phase.is_live() || phase == Phase::Confirmed
        });
        SalvageReport {
            directory_id: u128::from_le_bytes(identity.id),
            identity_lost: remnant.directory.identity.as_ref().err().map(why),
            sidecar_lost: remnant.sidecar.as_ref().err().cloned(),
            checkpoint: reach.checkpoint(),
            checkpoints_rejected,
            end: Position(reach.end),
            acknowledged: Position(remnant.acknowledged()),
            contradiction: reach.contradiction,
            missing: behind.missing,
            unapplied: behind.unapplied,
            records: fold.records,
            stock_keys: fold.names.len() as u64,
            holds: with_units.count() as u64,
            op_keys: whole.ops.len() as u64,
            time: fold.now,
            ledger_files_lost: 0,
        }
    }

    /// Whether nothing that was acknowledged is missing: all of it was recovered, it is known to be all, and
    /// holds have the ids that callers know.
    pub fn is_complete(&self) -> bool {
        let has_all = self.end >= self.acknowledged && self.contradiction.is_none();
        has_all && self.sidecar_lost.is_none() && self.identity_lost.is_none()
    }
}

impl fmt::Display for SalvageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SalvageReport { records, end, stock_keys, holds, op_keys, acknowledged, .. } = self;
        write!(
            f,
            "{records} entries recovered up to position {end}: {stock_keys} stock keys, {holds} holds with units, \
             {op_keys} op keys"
        )?;
        match self.checkpoint {
            Some(checkpoint) => write!(f, "; from a checkpoint at position {checkpoint}")?,
            None => write!(f, "; from the log's beginning")?,
        }
        for rejected in &self.checkpoints_rejected {
            write!(f, "; a checkpoint could not be used: {rejected}")?;
        }
        if let Some(drift) = &self.contradiction {
            write!(f, "; {drift}")?;
        }
        match &self.sidecar_lost {
            Some(why) => {
                write!(f, "; {why}, so it is not known whether more than {acknowledged} was acknowledged")?
            }
            None if self.is_complete() => write!(f, "; nothing acknowledged is missing")?,
            None => write!(f, "; it was acknowledged up to position {acknowledged}")?,
        }
        for Missing { from, until } in &self.missing {
            write!(f, "; missing from position {from} until {until}")?;
        }
        for Unapplied { from, until, records } in &self.unapplied {
            write!(
                f,
                "; {records} entries from position {from} until {until} are readable and were not applied"
            )?;
        }
        if self.ledger_files_lost > 0 {
            write!(f, "; {} files of the ledger are lost, it begins behind them", self.ledger_files_lost)?;
        }
        if let Some(why) = &self.identity_lost {
            write!(f, "; {why}: the holds have other ids than their callers were given")?;
        }
        Ok(())
    }
}
