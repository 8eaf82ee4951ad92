//! A shop with one stock key and a clock that the test moves.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use stockhold::error::ReserveError;
use stockhold::{Config, Engine, HoldId, ManualClock, Receive, Reserve, Reserved, StockKey, Timestamp};

pub const SECOND: Duration = Duration::from_secs(1);

/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

pub struct Shop {
    pub engine: Engine,
    pub key: StockKey,
    pub clock: Arc<ManualClock>,
}

/// A configuration whose time stands still until it is moved, and in which nobody sweeps.
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
        let level = self.engine.level(self.key).unwrap();
        assert_eq!((level.on_hand, level.held, level.committed), (on_hand, held, committed));
        assert_eq!(level.available, on_hand - held - committed);
        assert_eq!(self.engine.available(self.key).unwrap(), level.available);
    }
}
