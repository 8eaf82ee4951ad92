//! Counts the instructions of a decision on the calling thread, by valgrind: a check for regressions that a
//! clock on a shared machine would not show.
//!
//! Run by `benches/instructions.sh`, which installs the tools, divides the counts by step
//! (`benches/where_time_goes`), and compares with `benches/instructions.txt`.
//!
//! Only the calling thread's work inside the benchmark's function counts, not the log thread and the fold.

#![allow(missing_docs)] // gungraun's macros make public items

#[path = "common/quiet.rs"]
#[allow(dead_code)]
mod quiet;

use std::hint::black_box;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use quiet::Quiet;
use stockhold::inspect::Inspection;
use stockhold::{Config, Engine, HoldId};

/// The operations of a benchmark: so many that one-time work does not matter.
const OPERATIONS: u64 = 1_000;

fn plentiful() -> Quiet {
    Quiet::with(OPERATIONS * 2, OPERATIONS)
}

fn sold_out() -> Quiet {
    Quiet::with(0, OPERATIONS)
}

fn held() -> (Quiet, Vec<HoldId>) {
    let sale = plentiful();
    let holds = (0..OPERATIONS).map(|name| sale.reserve(name)).collect();
    sale.settle();
    (sale, holds)
}

fn carts_of(lines: usize) -> (Quiet, usize) {
    (Quiet::with_carts(lines, OPERATIONS), lines)
}

fn overdue() -> Quiet {
    let (sale, _) = held();
    sale.sleep();
    sale
}

#[library_benchmark]
#[bench::plentiful(plentiful())]
fn reserve(sale: Quiet) -> Quiet {
    (0..OPERATIONS).for_each(|name| _ = black_box(sale.reserve(name)));
    sale
}

#[library_benchmark]
#[bench::plentiful(plentiful())]
fn reserve_once(sale: Quiet) -> Quiet {
    (0..OPERATIONS).for_each(|name| _ = black_box(sale.reserve_once(name)));
    sale
}

#[library_benchmark]
#[bench::sold_out(sold_out())]
fn refuse(sale: Quiet) -> Quiet {
    (0..OPERATIONS).for_each(|name| assert!(black_box(sale.refuse(name))));
    sale
}

#[library_benchmark]
#[bench::of_1000(held())]
fn confirm((sale, holds): (Quiet, Vec<HoldId>)) -> (Quiet, Vec<HoldId>) {
    holds.iter().for_each(|hold| sale.confirm(*hold));
    (sale, holds)
}

#[library_benchmark]
#[bench::of_1000(held())]
fn release((sale, holds): (Quiet, Vec<HoldId>)) -> (Quiet, Vec<HoldId>) {
    holds.iter().for_each(|hold| sale.release(*hold));
    (sale, holds)
}

#[library_benchmark]
#[bench::a_unit_more(held())]
fn replace((sale, holds): (Quiet, Vec<HoldId>)) -> (Quiet, Vec<HoldId>) {
    holds.iter().for_each(|hold| sale.replace(*hold));
    (sale, holds)
}

#[library_benchmark]
#[bench::of_4(carts_of(4))]
fn cart_of_4((sale, lines): (Quiet, usize)) -> Quiet {
    (0..OPERATIONS).for_each(|name| _ = black_box(sale.cart(lines, name)));
    sale
}

#[library_benchmark]
#[bench::of_64(carts_of(64))]
fn cart_of_64((sale, lines): (Quiet, usize)) -> Quiet {
    (0..OPERATIONS).for_each(|name| _ = black_box(sale.cart(lines, name)));
    sale
}

#[library_benchmark]
#[bench::units(sold_out())]
fn receive(sale: Quiet) -> Quiet {
    (0..OPERATIONS).for_each(|_| sale.receive(1));
    sale
}

#[library_benchmark]
#[bench::of_1000(overdue())]
fn sweep(sale: Quiet) -> Quiet {
    assert_eq!(black_box(sale.engine.sweep()), OPERATIONS as usize);
    sale
}

/// Makes a directory whose log has `OPERATIONS` reserves.
fn log() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let sale = Quiet::new(Config::default(), |config| Engine::open(directory.path(), config).unwrap());
    sale.receive(OPERATIONS as u32);
    (0..OPERATIONS).for_each(|name| _ = sale.reserve(name));
    sale.engine.shutdown().unwrap();
    directory
}

// Reading the log back: chunks, records, the fold, and its judgement of each record.
#[library_benchmark]
#[bench::of_1000(log())]
fn inspect(directory: tempfile::TempDir) -> (tempfile::TempDir, Inspection) {
    let inspection = Inspection::open(directory.path()).unwrap();
    assert_eq!(inspection.drift(), None);
    (directory, inspection)
}

library_benchmark_group!(
    name = decisions,
    benchmarks = [
        reserve,
        reserve_once,
        refuse,
        confirm,
        release,
        replace,
        cart_of_4,
        cart_of_64,
        receive,
        sweep,
        inspect
    ]
);

// Counted by instruction: inlined code is found by its address.
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--dump-instr=yes"])),
    library_benchmark_groups = decisions
);
