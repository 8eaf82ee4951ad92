//! The operations with a column on the page, run one at a time.

use stockhold::HoldId;

use crate::quiet::Quiet;

/// The operations of one thread: the benchmark in `benches/instructions.rs`, and the name of its case.
pub const WORKLOADS: [(&str, &str); 9] = [
    ("reserve", "plentiful"),
    ("reserve_once", "plentiful"),
    ("refuse", "sold_out"),
    ("confirm", "of_1000"),
    ("release", "of_1000"),
    ("replace", "a_unit_more"),
    ("cart_of_4", "of_4"),
    ("cart_of_64", "of_64"),
    ("sweep", "of_1000"),
];

/// The number of operations, each measured by itself.
pub const OPERATIONS: u64 = 32;

/// A sale in which one operation after another can be run.
pub struct Workload {
    sale: Quiet,
    holds: Vec<HoldId>,
    name: String,
}

impl Workload {
    pub fn set(name: &str) -> Workload {
        let sale = match name {
            "refuse" => Quiet::with(0, OPERATIONS),
            "cart_of_4" => Quiet::with_carts(4, OPERATIONS),
            "cart_of_64" => Quiet::with_carts(64, OPERATIONS),
            _ => Quiet::with(OPERATIONS * 2, OPERATIONS),
        };
        let held = matches!(name, "confirm" | "release" | "replace");
        let holds = if held { (0..OPERATIONS).map(|name| sale.reserve(name)).collect() } else { Vec::new() };
        sale.settle();
        Workload { sale, holds, name: name.to_owned() }
    }

    pub fn step(&self, step: u64) {
        let sale = &self.sale;
        let hold = || self.holds[step as usize];
        match self.name.as_str() {
            "reserve" => _ = sale.reserve(step),
            "reserve_once" => _ = sale.reserve_once(step),
            "refuse" => assert!(sale.refuse(step)),
            "confirm" => sale.confirm(hold()),
            "release" => sale.release(hold()),
            "replace" => sale.replace(hold()),
            "cart_of_4" => _ = sale.cart(4, step),
            "cart_of_64" => _ = sale.cart(64, step),
            other => panic!("{other} is not a workload"),
        }
    }

    /// The words of the log so far.
    pub fn words(&self) -> u64 {
        self.sale.position().0
    }
}
