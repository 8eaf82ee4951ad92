//! What a salvage found, brought back, and could not.

use std::fmt;

use super::reach::{Reach, Remnant};
use crate::checkpoint::full_state::FullState;
use crate::clock::Timestamp;
use crate::error::{Drift, SalvageError};
use crate::hold::state::Phase;
use crate::log::directory::{DirectoryError, Identity};
use crate::log::record::Records;
use crate::types::Position;

/// What was salvaged, and what was not.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The new directory's identity: the source's, if that was known.
    pub directory_id: u128,
    /// Why the source's identity could not be read. Then the secret that ids of holds are made with is gone,
    /// and the holds have other ids than their callers were given; find them by their references. If a backup
    /// has the file `stockhold`, copy the source, put the file into the copy, and salvage that instead.
    pub identity_lost: Option<String>,
    /// Why the file `durable` could not be read. Then it is not known how much was acknowledged.
    pub sidecar_lost: Option<String>,
    /// Where the checkpoint ends that was gone on from; `None` for the log's beginning.
    pub checkpoint: Option<Position>,
    /// Checkpoints that could not be used, and why.
    pub checkpoints_rejected: Vec<String>,
    /// Up to here everything was recovered, and nothing behind.
    pub end: Position,
    /// Up to here the source vouches that everything was durable: what was acknowledged, but for the last 100
    /// ms of an engine that was not closed in order. A lower bound, if the sidecar is lost.
    pub acknowledged: Position,
    /// The entry behind the end that contradicts what lies before it, if that is why there is no more.
    pub contradiction: Option<Drift>,
    /// Positions up to `acknowledged` that cannot be read.
    pub missing: Vec<Missing>,
    /// What can be read again behind the end, and was not applied.
    pub unapplied: Vec<Unapplied>,
    /// Entries recovered, since the source was created.
    pub records: u64,
    /// Stock keys recovered.
    pub stock_keys: u64,
    /// Holds recovered that have units: live ones by the log, and confirmed ones.
    pub holds: u64,
    /// Op keys recovered.
    pub op_keys: u64,
    /// The latest time in what was recovered.
    pub time: Timestamp,
    /// Files of the ledger that are damaged, or lie before one that is: what the ledger said there is not in
    /// the new one.
    pub ledger_files_lost: u64,
}

/// Positions whose entries cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Missing {
    /// Where they begin.
    pub from: Position,
    /// Where they end.
    pub until: Position,
}

/// Positions whose entries can be read, but not what came before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Unapplied {
    /// Where they begin.
    pub from: Position,
    /// Where they end.
    pub until: Position,
    /// Their entries.
    pub records: u64,
}

/// What lies behind the end.
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
        _ => "the file `stockhold` does not begin as an identity".into(),
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
    /// ids of holds are the ones that were given.
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
