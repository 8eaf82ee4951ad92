//! The measured stocks: the engine, and two hand-written ones.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use dashmap::DashMap;
use stockhold::error::ReserveError;
use stockhold::retry::Retry;
use stockhold::{Config, Engine, HoldId, Receive, Reserve, StockKey};

use crate::common::{Baseline, BaselineHold, HOT, baseline, sale};
use crate::job::{Job, Sample};

/// An implementation of the stock of the hot key.
pub trait Stock: Sync {
    type Hold: Copy + Send;
    /// Reserves one unit, if one is available. `name` is the caller's reference, unique among live holds.
    fn reserve(&self, name: u64) -> Option<Self::Hold>;
    fn confirm(&self, hold: Self::Hold);
    fn ship(&self, hold: Self::Hold);
    fn release(&self, hold: Self::Hold);
    fn receive(&self, units: u32);
    /// Completes deferred work, before the next lap is timed.
    fn settle(&self) {}
}

pub struct Contender {
    pub name: &'static str,
    pub run: fn(Job) -> Sample,
}

/// The one that the others are compared with.
pub const BASELINE: usize = 0;

/// Add a line here for another setup of the engine.
pub const CONTENDERS: &[Contender] = &[
    Contender { name: "Mutex<HashMap>", run: |job| job.run(&baseline(job.units())) },
    Contender { name: "DashMap", run: |job| job.run(&Sharded::new(job.units())) },
    Contender { name: "stockhold", run: |job| Stockhold::run(job, |_, _| {}) },
];

/// The engine in memory: every decision with a deadline, a log record and a reference.
struct Stockhold {
    engine: Engine,
    key: StockKey,
}

impl Stockhold {
    fn run(job: Job, prepare: impl FnOnce(&Engine, StockKey)) -> Sample {
        // Twice the need: each thread takes slots from its own shard first, and shards are not used evenly.
        let holds_max = job.count as u32 * 2 + 65_536;
        let engine = Engine::in_memory(Config::default().holds_max(holds_max)).unwrap();
        let key = sale(&engine, job.units());
        prepare(&engine, key);
        let stock = Stockhold { engine, key };
        let sample = job.run(&stock);
        Sample { busy: stock.engine.metrics().busy(), ..sample }
    }
}

impl Stock for Stockhold {
    type Hold = HoldId;

    fn reserve(&self, name: u64) -> Option<HoldId> {
        let reference = name.to_le_bytes();
        let request = Reserve::units(self.key, 1).reference(&reference);
        match Retry::yielding().call(|| self.engine.reserve(request)) {
            Ok(receipt) => Some(receipt.not_yet_durable().hold),
            Err(ReserveError::Refused(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn confirm(&self, hold: HoldId) {
        let _ = Retry::yielding().call(|| self.engine.confirm(hold)).unwrap().not_yet_durable();
    }

    fn ship(&self, hold: HoldId) {
        let _ = Retry::yielding().call(|| self.engine.ship(hold)).unwrap().not_yet_durable();
    }

    fn release(&self, hold: HoldId) {
        let _ = Retry::yielding().call(|| self.engine.release(hold)).unwrap().not_yet_durable();
    }

    fn receive(&self, units: u32) {
        let request = Receive::units(self.key, units);
        let _ = Retry::yielding().call(|| self.engine.receive(request)).unwrap().not_yet_durable();
    }

    fn settle(&self) {
        self.engine.level(self.key).unwrap();
    }
}

impl Stock for Mutex<Baseline> {
    type Hold = u64;

    fn reserve(&self, name: u64) -> Option<u64> {
        self.lock().unwrap().reserve(name).then_some(name)
    }

    fn confirm(&self, hold: u64) {
        let mut stock = self.lock().unwrap();
        let hold = stock.holds.get_mut(&hold).unwrap();
        assert!(!hold.confirmed && Instant::now() < hold.deadline);
        hold.confirmed = true;
    }

    fn ship(&self, hold: u64) {
        assert!(self.lock().unwrap().holds.remove(&hold).unwrap().confirmed);
    }

    fn release(&self, hold: u64) {
        let mut stock = self.lock().unwrap();
        let hold = stock.holds.remove(&hold).unwrap();
        *stock.available.get_mut(&hold.key).unwrap() += i64::from(hold.quantity);
    }

    fn receive(&self, units: u32) {
        *self.lock().unwrap().available.get_mut(&HOT).unwrap() += i64::from(units);
    }
}

/// A stock without a global lock: the stock is an entry of a concurrent map, the holds are others.
struct Sharded {
    available: DashMap<u64, i64>,
    holds: DashMap<u64, BaselineHold>,
}

impl Sharded {
    fn new(units: u64) -> Self {
        let available: HashMap<u64, i64> = [(HOT, units as i64)].into();
        Sharded { available: available.into_iter().collect(), holds: DashMap::new() }
    }
}

impl Stock for Sharded {
    type Hold = u64;

    fn reserve(&self, name: u64) -> Option<u64> {
        let mut available = self.available.get_mut(&HOT).unwrap();
        if *available < 1 {
            return None;
        }
        *available -= 1;
        drop(available);
        self.holds.insert(name, BaselineHold::new(HOT, name));
        Some(name)
    }

    fn confirm(&self, hold: u64) {
        let mut hold = self.holds.get_mut(&hold).unwrap();
        assert!(!hold.confirmed && Instant::now() < hold.deadline);
        hold.confirmed = true;
    }

    fn ship(&self, hold: u64) {
        assert!(self.holds.remove(&hold).unwrap().1.confirmed);
    }

    fn release(&self, hold: u64) {
        let (_, hold) = self.holds.remove(&hold).unwrap();
        *self.available.get_mut(&hold.key).unwrap() += i64::from(hold.quantity);
    }

    fn receive(&self, units: u32) {
        *self.available.get_mut(&HOT).unwrap() += i64::from(units);
    }
}
