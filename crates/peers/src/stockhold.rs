//! The rows of this library.

use std::path::Path;
use std::time::Duration;

use stockhold::error::ReserveError;
use stockhold::retry::Retry;
use stockhold::{Config, Durability, Engine, Position, Receive, Reserve, StockKey};

use crate::error::PeerError;
use crate::job::{Job, TTL, UNITS};
use crate::load::{self, IN_FLIGHT, Stock};
use crate::row::{Row, thousands};
use crate::sample::Sample;

const SYSTEM: &str = "stockhold";

pub(crate) fn rows(directory: &Path) -> Vec<Row> {
    let row = |durability, in_flight, setting, contains, lacks| {
        let directory = directory.to_owned();
        let measure = Box::new(move |job: Job| run(&directory, durability, job, in_flight));
        Row { system: SYSTEM, setting, contains, lacks, measure }
    };
    let mut rows = vec![
        row(
            Durability::Memory,
            0,
            "Memory".into(),
            "units returned at expiry",
            "network, replication; all is lost with the process",
        ),
        row(
            Durability::Interval(Duration::from_millis(100)),
            65_536,
            "Interval 100 ms, 65,536 in flight".into(),
            "units returned at expiry, log; survives a kill",
            "network, replication; loss of power loses 100 ms",
        ),
    ];
    rows.extend(IN_FLIGHT.map(|in_flight| {
        row(
            Durability::Sync,
            in_flight,
            format!("Sync, {} in flight", thousands(in_flight)),
            "units returned at expiry, log; survives loss of power",
            "network, replication",
        )
    }));
    rows
}

fn run(directory: &Path, durability: Durability, job: Job, in_flight: u64) -> Result<Sample, PeerError> {
    let scratch = tempfile::tempdir_in(directory).map_err(|error| PeerError::file(directory, error))?;
    // Twice the need: each thread takes slots from its own shard first, and shards are not used evenly.
    let holds_max = u32::try_from(job.holds_max * 2 + 65_536).unwrap_or(1 << 30).min(1 << 30);
    let config = Config::default().durability(durability).holds_max(holds_max);
    let engine = match durability {
        Durability::Memory => Engine::in_memory(config),
        _ => Engine::open(scratch.path().join("stockhold"), config),
    }
    .map_err(engine_error)?;
    let mut keys = Vec::new();
    for index in 0..job.demand.keys() {
        let key = engine.declare(&format!("sku-{index}"), "here").map_err(engine_error)?;
        let received = Retry::yielding().call(|| engine.receive(Receive::units(key, UNITS)));
        let _ = received.map_err(engine_error)?.not_yet_durable();
        keys.push(key);
    }
    load::run(&Stockhold { engine, keys, in_memory: durability == Durability::Memory }, job, in_flight)
}

struct Stockhold {
    engine: Engine,
    keys: Vec<StockKey>,
    in_memory: bool,
}

impl Stock for Stockhold {
    fn reserve(&self, key: u64, reference: u64) -> Result<Option<u64>, PeerError> {
        let reference = reference.to_le_bytes();
        let request = Reserve::units(self.keys[key as usize], 1).ttl(TTL).reference(&reference);
        match Retry::yielding().call(|| self.engine.reserve(request)) {
            Ok(receipt) => {
                let position = receipt.position();
                let _ = receipt.not_yet_durable();
                Ok(Some(position.0))
            }
            Err(ReserveError::Refused(_)) => Ok(None),
            Err(error) => Err(engine_error(error)),
        }
    }

    fn acknowledged(&self) -> u64 {
        if self.in_memory { u64::MAX } else { self.engine.durable().0 }
    }

    fn wait(&self, position: u64) -> Result<(), PeerError> {
        self.engine.wait(Position(position)).map_err(engine_error)
    }

    fn judge(&self, sample: &Sample) -> Result<(), PeerError> {
        let mut missing = 0;
        for key in &self.keys {
            let available = Retry::yielding().call(|| self.engine.available_exactly(*key));
            missing += i64::from(UNITS) - available.map_err(engine_error)?;
        }
        sample.agrees(missing, "units are missing from the stock")?;
        let mut held = 0;
        for key in &self.keys {
            held += self.engine.level(*key).map_err(engine_error)?.held;
        }
        sample.agrees(held, "units are held by the log's levels")
    }
}

fn engine_error(error: impl std::fmt::Display) -> PeerError {
    PeerError::Engine(error.to_string())
}
