//! The simplest code of one's own: all stock behind one lock and, where durable, a journal.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use crate::error::PeerError;
use crate::job::{Job, TTL, UNITS};
use crate::journal::{Journal, RECORD_BYTES};
use crate::load::{self, IN_FLIGHT, Stock};
use crate::row::{Row, thousands};
use crate::sample::Sample;

/// A hold in this process.
pub(crate) struct Hold {
    key: u64,
    quantity: u32,
    deadline: Instant,
}

impl Hold {
    pub(crate) fn new(key: u64) -> Hold {
        Hold { key, quantity: 1, deadline: Instant::now() + TTL }
    }

    /// The units that it holds now.
    pub(crate) fn units(&self) -> i64 {
        if Instant::now() < self.deadline { i64::from(self.quantity) } else { 0 }
    }

    pub(crate) fn record(&self, reference: u64) -> [u8; RECORD_BYTES as usize] {
        let mut record = [0; RECORD_BYTES as usize];
        record[..8].copy_from_slice(&reference.to_le_bytes());
        record[8..16].copy_from_slice(&self.key.to_le_bytes());
        record[16..20].copy_from_slice(&self.quantity.to_le_bytes());
        record[24..].copy_from_slice(&(TTL.as_millis() as u64).to_le_bytes());
        record
    }
}

/// The rows of a stock in this process, with and without a journal.
pub(crate) fn rows_of(
    directory: &Path,
    system: &'static str,
    run: impl Fn(Option<Journal>, Job, u64) -> Result<Sample, PeerError> + Copy + 'static,
) -> Vec<Row> {
    let in_memory = Box::new(move |job: Job| run(None, job, 0));
    let mut rows = vec![Row {
        system,
        setting: "memory".into(),
        contains: "deadlines, not enforced",
        lacks: "network, replication, units returned at expiry; all is lost with the process",
        measure: in_memory,
    }];
    rows.extend(IN_FLIGHT.map(|in_flight| {
        let directory = directory.to_owned();
        let measure = move |job: Job| {
            let scratch =
                tempfile::tempdir_in(&directory).map_err(|error| PeerError::file(&directory, error))?;
            run(Some(Journal::create(scratch.path().join("journal"))?), job, in_flight)
        };
        Row {
            system,
            setting: format!("plain file, fdatasync, {} in flight", thousands(in_flight)),
            contains: "deadlines, not enforced; survives loss of power",
            lacks: "network, replication, units returned at expiry, recovery; the file grows without end",
            measure: Box::new(measure),
        }
    }));
    rows
}

pub(crate) fn rows(directory: &Path) -> Vec<Row> {
    rows_of(directory, "Mutex<HashMap>", |journal, job, in_flight| {
        load::run(&Locked::new(journal, job), job, in_flight)
    })
}

struct Locked {
    maps: Mutex<Maps>,
    journal: Option<Journal>,
}

struct Maps {
    available: HashMap<u64, i64>,
    holds: HashMap<u64, Hold>,
}

impl Locked {
    fn new(journal: Option<Journal>, job: Job) -> Locked {
        let available = (0..job.demand.keys()).map(|key| (key, i64::from(UNITS))).collect();
        Locked { maps: Mutex::new(Maps { available, holds: HashMap::new() }), journal }
    }
}

impl Stock for Locked {
    fn reserve(&self, key: u64, reference: u64) -> Result<Option<u64>, PeerError> {
        let hold = Hold::new(key);
        let record = hold.record(reference);
        let mut maps = self.maps.lock().unwrap();
        match maps.available.get_mut(&key) {
            Some(available) if *available >= 1 => *available -= 1,
            _ => return Ok(None),
        }
        maps.holds.insert(reference, hold);
        // Under the lock, so that the file has the order of the decisions.
        Ok(Some(self.journal.as_ref().map_or(0, |journal| journal.append(record))))
    }

    fn acknowledged(&self) -> u64 {
        self.journal.as_ref().map_or(u64::MAX, Journal::durable)
    }

    fn wait(&self, position: u64) -> Result<(), PeerError> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.wait(position))
    }

    fn judge(&self, sample: &Sample) -> Result<(), PeerError> {
        let maps = self.maps.lock().unwrap();
        let missing = maps.available.values().map(|available| i64::from(UNITS) - available).sum();
        sample.agrees(missing, "units are missing from the stock")?;
        sample.agrees(maps.holds.values().map(Hold::units).sum(), "units are held")?;
        self.journal
            .as_ref()
            .map_or(Ok(()), |journal| sample.agrees(journal.records()?, "records are written"))
    }
}
