//! A sale without background activity, so that only the requested work is counted: time stands still, there
//! is no driver, and there are two shards, as on two cores.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stockhold::{
    CartLine, Config, Engine, HoldId, ManualClock, OpKey, Position, Receive, Replace, Reserve, ReserveCart,
    StockKey, Timestamp,
};

/// The number of keys: as many as the lines of the longest cart.
const KEYS: usize = 64;

pub struct Quiet {
    pub engine: Engine,
    /// The first one is hot.
    pub keys: Vec<StockKey>,
    /// One unit of each key.
    lines: Vec<CartLine>,
    clock: Arc<ManualClock>,
}

impl Quiet {
    pub fn new(config: Config, open: impl FnOnce(Config) -> Engine) -> Quiet {
        let cores = thread::available_parallelism().map_or(0, usize::from);
        assert_eq!(cores, 2, "the engine would have other shards: run benches/instructions.sh");
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let engine = open(config.clock(Arc::clone(&clock)).driver_period(None).holds_max(65_536));
        let keys: Vec<_> =
            (0..KEYS).map(|key| engine.declare(&format!("sku-{key}"), "here").unwrap()).collect();
        let lines = keys.iter().map(|key| CartLine::units(*key, 1)).collect();
        Quiet { engine, keys, lines, clock }
    }

    /// A sale in memory with this many units. Every operation has been run twice as often as will be counted,
    /// so that slots and memory are used again.
    pub fn with(units: u64, operations: u64) -> Quiet {
        let sale = Quiet::new(Config::default(), |config| Engine::in_memory(config).unwrap());
        sale.receive(operations as u32 * 4);
        let holds: Vec<_> = (0..operations * 2).map(|name| sale.reserve(name)).collect();
        holds.iter().for_each(|hold| sale.replace(*hold));
        holds.into_iter().for_each(|hold| sale.release(hold));
        for name in units..operations * 4 {
            sale.confirm(sale.reserve(name));
        }
        sale.settle();
        sale
    }

    /// Like `with`, and every key has units for this many carts.
    pub fn with_carts(lines: usize, operations: u64) -> Quiet {
        let sale = Quiet::with(operations * 2, operations);
        for key in &sale.keys {
            let _ =
                sale.engine.receive(Receive::units(*key, operations as u32 * 2)).unwrap().not_yet_durable();
        }
        let holds: Vec<_> = (0..operations).map(|name| sale.cart(lines, name)).collect();
        holds.into_iter().for_each(|hold| sale.release(hold));
        sale.settle();
        sale
    }

    /// Waits until the log thread and the fold have nothing to do.
    pub fn settle(&self) {
        self.engine.level(self.keys[0]).unwrap();
    }

    pub fn position(&self) -> Position {
        self.engine.metrics().position_drawn
    }

    pub fn reserve(&self, name: u64) -> HoldId {
        let reference = name.to_le_bytes();
        let request = Reserve::units(self.keys[0], 1).reference(&reference);
        self.engine.reserve(request).unwrap().not_yet_durable().hold
    }

    pub fn reserve_once(&self, name: u64) -> HoldId {
        let reference = name.to_le_bytes();
        let request =
            Reserve::units(self.keys[0], 1).reference(&reference).op_key(OpKey(u128::from(name) << 64 | 1));
        self.engine.reserve(request).unwrap().not_yet_durable().hold
    }

    /// Makes a request that is refused, since the sale is sold out.
    pub fn refuse(&self, name: u64) -> bool {
        let reference = name.to_le_bytes();
        self.engine.reserve(Reserve::units(self.keys[0], 1).reference(&reference)).is_err()
    }

    pub fn cart(&self, lines: usize, name: u64) -> HoldId {
        let reference = name.to_le_bytes();
        let request = ReserveCart::lines(&self.lines[..lines]).reference(&reference);
        self.engine.reserve_cart(request).unwrap().not_yet_durable().hold
    }

    pub fn confirm(&self, hold: HoldId) {
        let _ = self.engine.confirm(hold).unwrap().not_yet_durable();
    }

    pub fn release(&self, hold: HoldId) {
        let _ = self.engine.release(hold).unwrap().not_yet_durable();
    }

    /// Replaces one unit by two.
    pub fn replace(&self, hold: HoldId) {
        let _ = self.engine.replace(Replace::quantity(hold, 2)).unwrap().not_yet_durable();
    }

    pub fn receive(&self, units: u32) {
        let _ = self.engine.receive(Receive::units(self.keys[0], units)).unwrap().not_yet_durable();
    }

    /// Moves the time past every deadline, without a sweep.
    pub fn sleep(&self) {
        self.settle();
        self.clock.advance(Duration::from_secs(601));
    }
}
