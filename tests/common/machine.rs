//! A machine with a wall clock that can be wrong, and an engine on it that is closed and opened again.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use stockhold::clock::{Look, Uptime};
use stockhold::{Clock, Config, Engine, HoldId, HoldState, Receive, Reserve, StockKey, Timestamp};
use tempfile::TempDir;

use super::{SECOND, START};

pub fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// A machine on which true time passes, and which restarts, suspends, or has its wall clock set.
#[derive(Default)]
pub struct Machine {
    pub passed_ms: AtomicU64,
    /// The part of `passed_ms` before the last start, which the uptime does not count.
    pub uncounted_ms: AtomicU64,
    pub boot: AtomicU64,
    /// The time namespace of the process, and how far its uptime is off the machine's.
    pub namespace: AtomicU64,
    pub offset_ms: AtomicI64,
    pub wall_ahead_ms: AtomicI64,
}

impl Machine {
    pub fn pass(&self, time: Duration) {
        self.passed_ms.fetch_add(ms(time), Ordering::SeqCst);
    }

    /// Sets the wall clock ahead of the true time, or behind it.
    pub fn set_wall(&self, ahead_ms: i64) {
        self.wall_ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }

    pub fn passed_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::SeqCst)
    }

    pub fn up_ms(&self) -> u64 {
        let up_ms = self.passed_ms() - self.uncounted_ms.load(Ordering::SeqCst);
        up_ms.strict_add_signed(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Moves to another time namespace, or to the same one with another clock, as after a restored snapshot.
    pub fn count_from(&self, namespace: u64, offset_ms: i64) {
        self.namespace.store(namespace, Ordering::SeqCst);
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }

    pub fn wall(&self) -> Timestamp {
        Timestamp((START.0 + self.passed_ms()).strict_add_signed(self.wall_ahead_ms.load(Ordering::SeqCst)))
    }

    pub fn restart(&self) {
        self.boot.fetch_add(1, Ordering::SeqCst);
        self.uncounted_ms.store(self.passed_ms(), Ordering::SeqCst);
    }
}

/// The clock of a process on the machine, anchored to the wall clock when the process starts.
pub struct ProcessClock {
    pub machine: Arc<Machine>,
    pub anchor_ms: u64,
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.anchor_ms + self.machine.up_ms())
    }

    fn look(&self) -> Look {
        let boot = u128::from(self.machine.boot.load(Ordering::SeqCst));
        let namespace = u128::from(self.machine.namespace.load(Ordering::SeqCst));
        let since = Duration::from_millis(self.machine.up_ms());
        Look {
            steady: self.now(),
            wall: self.machine.wall(),
            uptime: Some(Uptime { boot, namespace, since }),
        }
    }
}

/// An engine on the machine, which the test can close and open again.
pub struct ShopOnMachine {
    pub machine: Arc<Machine>,
    pub directory: TempDir,
    pub engine: Option<Engine>,
    pub key: StockKey,
}

impl ShopOnMachine {
    pub fn open() -> ShopOnMachine {
        let (machine, directory) = (Arc::new(Machine::default()), tempfile::tempdir().unwrap());
        let engine = ShopOnMachine::engine_on(&machine, &directory);
        let key = engine.declare("poster", "berlin").unwrap();
        engine.receive(Receive::units(key, 1_000)).unwrap().wait().unwrap();
        ShopOnMachine { machine, directory, engine: Some(engine), key }
    }

    pub fn engine_on(machine: &Arc<Machine>, directory: &TempDir) -> Engine {
        let anchor_ms = machine.wall().0 - machine.up_ms();
        let clock = ProcessClock { machine: Arc::clone(machine), anchor_ms };
        let config = Config::default().clock(clock).driver_period(None).ring_bytes(1 << 20);
        Engine::open(directory.path(), config).unwrap()
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Ends the process, calls `between`, and starts another process.
    pub fn restart(&mut self, between: impl FnOnce(&Machine)) {
        self.engine = None;
        between(&self.machine);
        self.engine = Some(ShopOnMachine::engine_on(&self.machine, &self.directory));
    }

    pub fn reserve(&self, ttl: Duration) -> HoldId {
        let request = Reserve::units(self.key, 1).ttl(ttl);
        self.engine().reserve(request).unwrap().wait().unwrap().hold
    }

    pub fn is_live(&self, hold: HoldId) -> bool {
        match self.engine().status(hold).unwrap().state {
            HoldState::Active => true,
            HoldState::Expired => false,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass, second by second, and reads the engine's time after each.
    pub fn run_for(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.machine.pass(SECOND);
            self.engine().now();
        }
    }

    /// Asserts that a live hold ends within this range of true seconds from now.
    #[track_caller]
    pub fn assert_ends_after(&self, hold: HoldId, seconds: RangeInclusive<u64>) {
        self.run_for(Duration::from_secs(*seconds.start()));
        assert!(self.is_live(hold), "the hold expired early");
        self.run_for(Duration::from_secs(seconds.end() - seconds.start()));
        assert!(!self.is_live(hold), "the hold expired late");
    }

    #[track_caller]
    pub fn assert_clock(&self, ahead_ms: RangeInclusive<i64>, jumps: u64, unbelieved: bool) {
        let metrics = self.engine().metrics();
        assert!(ahead_ms.contains(&metrics.clock_ahead_ms), "{}", metrics.clock_ahead_ms);
        assert_eq!((metrics.clock_jumps, metrics.clock_unbelieved), (jumps, unbelieved));
    }
}
