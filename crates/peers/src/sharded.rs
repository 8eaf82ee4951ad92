//! Code of one's own without a global lock: stock keys are entries of one concurrent map, holds of another.

use std::path::Path;

use dashmap::DashMap;

use crate::error::PeerError;
use crate::job::{Job, UNITS};
use crate::journal::Journal;
use crate::load::{self, Stock};
use crate::locked::{Hold, rows_of};
use crate::row::Row;
use crate::sample::Sample;

pub(crate) fn rows(directory: &Path) -> Vec<Row> {
    rows_of(directory, "DashMap", |journal, job, in_flight| {
        load::run(&Sharded::new(journal, job), job, in_flight)
    })
}

struct Sharded {
    available: DashMap<u64, i64>,
    holds: DashMap<u64, Hold>,
    journal: Option<Journal>,
}

impl Sharded {
    fn new(journal: Option<Journal>, job: Job) -> Sharded {
        let available = (0..job.demand.keys()).map(|key| (key, i64::from(UNITS))).collect();
        Sharded { available, holds: DashMap::new(), journal }
    }
}

impl Stock for Sharded {
    fn reserve(&self, key: u64, reference: u64) -> Result<Option<u64>, PeerError> {
        let hold = Hold::new(key);
        let record = hold.record(reference);
        let position = match self.available.get_mut(&key) {
            Some(mut available) if *available >= 1 => {
                *available -= 1;
                // Under the entry's lock, so that the file has the order of each key's decisions.
                self.journal.as_ref().map_or(0, |journal| journal.append(record))
            }
            _ => return Ok(None),
        };
        self.holds.insert(reference, hold);
        Ok(Some(position))
    }

    fn acknowledged(&self) -> u64 {
        self.journal.as_ref().map_or(u64::MAX, Journal::durable)
    }

    fn wait(&self, position: u64) -> Result<(), PeerError> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.wait(position))
    }

    fn judge(&self, sample: &Sample) -> Result<(), PeerError> {
        let missing = self.available.iter().map(|available| i64::from(UNITS) - *available).sum();
        sample.agrees(missing, "units are missing from the stock")?;
        sample.agrees(self.holds.iter().map(|hold| hold.units()).sum(), "units are held")?;
        self.journal
            .as_ref()
            .map_or(Ok(()), |journal| sample.agrees(journal.records()?, "records are written"))
    }
}
