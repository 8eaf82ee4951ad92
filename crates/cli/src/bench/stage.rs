//! An engine with stock; each measurement gets a new one.

use std::path::Path;

use stockhold::error::OperationError;
use stockhold::retry::Retry;
use stockhold::{Config, Engine, Position, Receive, Reserve, StockKey};

use super::fault::Fault;
use super::level::Level;
use super::workload::Workload;

/// Most holds that are made in a workload in which they accumulate: one to two gigabytes of memory in total.
pub(super) const HOLDS_MAX: u64 = 8_000_000;

/// Units of each SKU that is not sold out: more than are ever taken, and few enough that a hot counter can
/// still be split (`Engine::prepare` has the limit).
const UNITS: u32 = HOLDS_MAX as u32 + 200_000;

pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) keys: Vec<StockKey>,
    pub(super) workload: Workload,
    pub(super) level: Level,
    /// Units received before the measurement.
    pub(super) stocked: u64,
    /// Holds of one unit made before the measurement.
    pub(super) held: u64,
    /// Milliseconds between the instants at which holds expire.
    pub(super) storm_ms: u64,
}

impl Stage {
    pub(super) fn set(workload: Workload, level: Level, seconds: f64, dir: &Path) -> Result<Self, Fault> {
        let config = Config::default().durability(level.durability());
        let engine = match level {
            Level::Memory => Engine::in_memory(config),
            Level::Sync | Level::Interval => Engine::open(dir, config),
        }
        .map_err(Fault::failed)?;
        let (units, held) = match workload {
            Workload::SoldOut => (1, 1),
            _ => (UNITS, 0),
        };
        let (mut keys, mut newest) = (Vec::new(), Position::default());
        for number in 0..workload.skus() {
            let key = engine.declare(&format!("sku-{number}"), "here").map_err(Fault::failed)?;
            let receive = || engine.receive(Receive::units(key, units)).map(|received| received.position());
            newest = insist(&mut 0, receive).map_err(Fault::failed)?;
            keys.push(key);
        }
        for _ in 0..held {
            engine
                .reserve(Reserve::units(keys[0], 1))
                .map_err(Fault::failed)?
                .wait()
                .map_err(Fault::failed)?;
        }
        engine.wait(newest).map_err(Fault::failed)?;
        engine.level(keys[0]).map_err(Fault::failed)?; // waits until the levels are up to date
        Ok(Stage {
            stocked: u64::from(units) * keys.len() as u64,
            storm_ms: ((seconds * 125.0) as u64).clamp(10, 250),
            engine,
            keys,
            workload,
            level,
            held,
        })
    }
}

/// Makes `call` until it is answered, and counts how often it was not.
pub(super) fn insist<T, E: OperationError>(
    busy: &mut u64,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    Retry::yielding().call(|| call().inspect_err(|error| *busy += u64::from(error.is_transient())))
}
