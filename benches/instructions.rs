//! How many instructions a decision takes on the thread that asks for it, counted by valgrind: the gate against
//! regressions that a clock on a shared machine would not show.
//!
//! Run by `benches/instructions.sh`, which brings what it needs and compares with `benches/instructions.txt`.
//!
//! Counted is what the calling thread does inside the benchmark's function; the log thread and the fold are not. Time
//! stands still, nothing sweeps by itself, and there are two shards, as on two cores.

#![allow(missing_docs)] // what gungraun's macros make is public

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group, main};
use stockhold::inspect::Inspection;
use stockhold::{Config, Engine, HoldId, ManualClock, Receive, Reserve, StockKey, Timestamp};

/// Operations a benchmark: enough that what happens once does not count.
const OPERATIONS: u64 = 1_000;

struct Sale {
    engine: Engine,
    key: StockKey,
    clock: Arc<ManualClock>,
}

impl Sale {
    fn new(config: Config, open: impl FnOnce(Config) -> Engine) -> Sale {
        let cores = thread::available_parallelism().map_or(0, usize::from);
        assert_eq!(cores, 2, "the engine would have other shards: run benches/instructions.sh");
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let engine = open(config.clock(Arc::clone(&clock)).driver_period(None).holds_max(65_536));
        let key = engine.declare("hot", "here").unwrap();
        Sale { engine, key, clock }
    }

    /// In memory, with so many units, and with every path gone before, so that slots and memory are used again.
    fn with(units: u64) -> Sale {
        let sale = Sale::new(Config::default(), |config| Engine::in_memory(config).unwrap());
        sale.receive(OPERATIONS as u32 * 4);
        let holds: Vec<_> = (0..OPERATIONS * 2).map(|name| sale.reserve(name)).collect();
        holds.into_iter().for_each(|hold| sale.release(hold));
        for name in units..OPERATIONS * 4 {
            let _ = sale.engine.confirm(sale.reserve(name)).unwrap().not_yet_durable();
        }
        sale.engine.level(sale.key).unwrap();
        sale
    }

    fn reserve(&self, name: u64) -> HoldId {
        let reference = name.to_le_bytes();
        let request = Reserve::units(self.key, 1).reference(&reference);
        self.engine.reserve(request).unwrap().not_yet_durable().hold
    }

    fn release(&self, hold: HoldId) {
        let _ = self.engine.release(hold).unwrap().not_yet_durable();
    }

    fn receive(&self, units: u32) {
        let _ = self.engine.receive(Receive::units(self.key, units)).unwrap().not_yet_durable();
    }

    /// Holds that are past their deadline, and that nobody has swept.
    fn overdue() -> Sale {
        let sale = Sale::with(OPERATIONS * 2);
        (0..OPERATIONS).for_each(|name| _ = sale.reserve(name));
        sale.engine.level(sale.key).unwrap();
        sale.clock.advance(Duration::from_secs(601));
        sale
    }
}

#[library_benchmark]
#[bench::plentiful(Sale::with(OPERATIONS * 2))]
fn reserve(sale: Sale) -> Sale {
    (0..OPERATIONS).for_each(|name| _ = black_box(sale.reserve(name)));
    sale
}

#[library_benchmark]
#[bench::sold_out(Sale::with(0))]
fn refuse(sale: Sale) -> Sale {
    for name in 0..OPERATIONS {
        let reference = name.to_le_bytes();
        let refused = sale.engine.reserve(Reserve::units(sale.key, 1).reference(&reference));
        assert!(black_box(refused).is_err());
    }
    sale
}

#[library_benchmark]
#[bench::cycle(Sale::with(OPERATIONS * 2))]
fn reserve_confirm(sale: Sale) -> Sale {
    for name in 0..OPERATIONS {
        let _ = black_box(sale.engine.confirm(sale.reserve(name)).unwrap().not_yet_durable());
    }
    sale
}

#[library_benchmark]
#[bench::cycle(Sale::with(OPERATIONS * 2))]
fn reserve_release(sale: Sale) -> Sale {
    (0..OPERATIONS).for_each(|name| sale.release(sale.reserve(name)));
    sale
}

#[library_benchmark]
#[bench::units(Sale::with(0))]
fn receive(sale: Sale) -> Sale {
    (0..OPERATIONS).for_each(|_| sale.receive(1));
    sale
}

#[library_benchmark]
#[bench::of_1000(Sale::overdue())]
fn sweep(sale: Sale) -> Sale {
    assert_eq!(black_box(sale.engine.sweep()), OPERATIONS as usize);
    sale
}

/// A directory whose log has so many reserves.
fn log() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let sale = Sale::new(Config::default(), |config| Engine::open(directory.path(), config).unwrap());
    sale.receive(OPERATIONS as u32);
    (0..OPERATIONS).for_each(|name| _ = sale.reserve(name));
    sale.engine.shutdown().unwrap();
    directory
}

// Reading the log back: chunks, records, the fold, and its judgement of each record.
#[library_benchmark]
#[bench::of_1000(log())]
fn fold(directory: tempfile::TempDir) -> (tempfile::TempDir, Inspection) {
    let inspection = Inspection::open(directory.path()).unwrap();
    assert_eq!(inspection.drift(), None);
    (directory, inspection)
}

library_benchmark_group!(
    name = decisions,
    benchmarks = [reserve, refuse, reserve_confirm, reserve_release, receive, sweep, fold]
);

main!(library_benchmark_groups = decisions);
