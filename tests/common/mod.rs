//! An engine with one stock key and a clock that the test moves, in memory or in a directory that outlives
//! it.

#![allow(dead_code, reason = "each test file uses a part")]

#[cfg(not(fuzzing))]
pub mod damage;
#[cfg(not(fuzzing))]
pub mod machine;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use stockhold::error::{OperationError, ReserveError};
use stockhold::inspect::Inspection;
use stockhold::{
    CartLine, Config, Durability, Engine, HoldId, HoldState, ManualClock, Receive, RefusalReason, Reserve,
    ReserveCart, Reserved, ReservedCart, StockKey, Timestamp,
};
use tempfile::TempDir;

pub const SECOND: Duration = Duration::from_secs(1);

/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

pub struct Shop {
    pub engine: Engine,
    pub key: StockKey,
    pub clock: Arc<ManualClock>,
}

/// A configuration whose time stands still until the test moves it, without a driver that sweeps.
pub fn still(clock: &Arc<ManualClock>) -> Config {
    Config::default().clock(Arc::clone(clock)).driver_period(None)
}

impl Shop {
    pub fn with_units(units: u32) -> Shop {
        Shop::with(units, |config| config)
    }

    pub fn with(units: u32, configure: impl FnOnce(Config) -> Config) -> Shop {
        let clock = Arc::new(ManualClock::new(START));
        let engine = Engine::in_memory(configure(still(&clock))).unwrap();
        let key = engine.declare("poster", "berlin").unwrap();
        if units > 0 {
            engine.receive(Receive::units(key, units)).unwrap().wait().unwrap();
        }
        Shop { engine, key, clock }
    }

    pub fn try_reserve(&self, quantity: u32) -> Result<Reserved, ReserveError> {
        Ok(self.engine.reserve(Reserve::units(self.key, quantity))?.wait().unwrap())
    }

    pub fn reserve(&self, quantity: u32) -> HoldId {
        self.try_reserve(quantity).unwrap().hold
    }

    pub fn assert_level(&self, on_hand: i64, held: i64, committed: i64) {
        self.assert_level_of(self.key, on_hand, held, committed);
    }

    /// Asserts that the log's level of a key is as given and that the counter agrees with it.
    #[track_caller]
    pub fn assert_level_of(&self, key: StockKey, on_hand: i64, held: i64, committed: i64) {
        let level = self.engine.level(key).unwrap();
        assert_eq!((level.on_hand, level.held, level.committed), (on_hand, held, committed));
        assert_eq!(level.available, on_hand - held - committed);
        assert_eq!(self.engine.available(key).unwrap(), level.available);
    }

    /// The shop's key and others, declared at the first call; later calls return the same ones.
    pub fn keys<const KEYS: usize>(&self) -> [StockKey; KEYS] {
        std::array::from_fn(|number| match number {
            0 => self.key,
            number => self.engine.declare("poster", &format!("city {number}")).unwrap(),
        })
    }

    pub fn receive(&self, key: StockKey, units: u32) {
        self.engine.receive(Receive::units(key, units)).unwrap().wait().unwrap();
    }

    pub fn try_cart(&self, lines: &[(StockKey, u32)]) -> Result<ReservedCart, ReserveError> {
        Ok(self.engine.reserve_cart(ReserveCart::lines(&cart(lines)))?.wait().unwrap())
    }

    pub fn cart(&self, lines: &[(StockKey, u32)]) -> HoldId {
        self.try_cart(lines).unwrap().hold
    }

    /// The state and the lines in the status of a hold.
    pub fn lines(&self, hold: HoldId) -> (HoldState, Vec<(StockKey, u32)>) {
        let status = self.engine.status(hold).unwrap();
        (status.state, status.lines.iter().map(|line| (line.key, line.quantity)).collect())
    }
}

pub fn cart(lines: &[(StockKey, u32)]) -> Vec<CartLine> {
    lines.iter().map(|(key, quantity)| CartLine::units(*key, *quantity)).collect()
}

/// Runs `work` in `threads` threads that start at the same moment, and collects their results.
pub fn at_once<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let begin = Barrier::new(threads);
    thread::scope(|scope| {
        let (begin, work) = (&begin, &work);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    begin.wait();
                    work(thread)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A directory that outlives its engines, and the clock that they share.
pub struct Disk {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub durability: Durability,
}

impl Disk {
    pub fn new(durability: Durability) -> Disk {
        Disk { directory: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(START)), durability }
    }

    pub fn config(&self) -> Config {
        still(&self.clock).durability(self.durability).ring_bytes(1 << 20)
    }

    pub fn open(&self) -> Shop {
        self.open_with(|config| config)
    }

    /// Inspects the directory, which no engine may have open.
    pub fn inspect(&self) -> Inspection {
        Inspection::open(self.directory.path()).unwrap()
    }

    pub fn open_with(&self, configure: impl FnOnce(Config) -> Config) -> Shop {
        let engine = Engine::open(self.directory.path(), configure(self.config())).unwrap();
        let key = engine.declare("poster", "berlin").unwrap();
        Shop { engine, key, clock: Arc::clone(&self.clock) }
    }
}

/// The levels of durability that write to a disk.
pub const ON_DISK: [Durability; 2] = [Durability::Sync, Durability::Interval(Duration::from_millis(20))];

/// Repeats the call while its answer is `Busy`. An op key that is still in progress is an answer here: only
/// the test knows whether another thread uses it.
pub fn insist<T, E: OperationError>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.is_busy() => std::thread::yield_now(),
            answer => return answer,
        }
    }
}

/// The units that were available, if a reserve was refused because it asked for more.
pub fn out_of_stock<T>(answer: &Result<T, ReserveError>) -> Option<i64> {
    match answer {
        Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
            Some(refusal.available)
        }
        _ => None,
    }
}
