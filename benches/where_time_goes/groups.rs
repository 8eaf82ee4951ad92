//! The work of the threads behind a decision: for a group of the log, and for each further record in it.
//!
//! A child reserves at `Durability::Sync` in a fresh directory, so many at a time, waits for each lot, and
//! makes a checkpoint at the end. Three such runs differ in groups and in records; so the costs of a group
//! and of a record follow from the differences of the counts, without the cost of an opening or of a sleeping
//! thread.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use stockhold::{Config, Engine};

use super::callgrind::{Cost, Costs, Dump, Lines};
use crate::quiet::Quiet;

/// The number of lots, and the records of each.
const RUNS: [(u64, u64); 3] = [(50, 1), (150, 1), (50, 400)];

/// The threads, each with a step that only it does.
pub const THREADS: [(&str, &str); 3] =
    [("log", "chunk: checksum, hash"), ("fold", "fold"), ("checkpoint", "checkpoint")];

/// The counts that the child prints.
#[derive(Clone, Copy)]
struct Done {
    groups: f64,
    records: f64,
    log_bytes: f64,
}

/// A thread's costs.
#[derive(Default)]
pub struct Behind {
    pub group: Costs,
    pub record: Costs,
}

pub struct Groups {
    pub threads: BTreeMap<&'static str, Behind>,
    /// The bytes of a record in the log's store, with its share of a full chunk's header, and the extra bytes
    /// of a group.
    pub record_bytes: f64,
    pub group_bytes: f64,
}

/// Runs in the child.
pub fn child(lots: u64, records: u64) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let sale = Quiet::new(Config::default(), |config| Engine::open(directory.path(), config).unwrap());
    sale.receive((lots * records) as u32);
    sale.engine.wait(sale.position()).unwrap();
    eprintln!("mark");
    for lot in 0..lots {
        (0..records).for_each(|record| _ = sale.reserve(lot * records + record));
        sale.engine.wait(sale.position()).unwrap();
    }
    eprintln!("mark");
    let metrics = sale.engine.metrics();
    println!("{} {} {}", metrics.groups, metrics.records, metrics.log_bytes);
    sale.engine.checkpoint().unwrap();
}

pub fn measure(scratch: &Path) -> Groups {
    let mut lines = None;
    let [one, more, long] = RUNS.map(|(lots, records)| run(scratch, lots, records, &mut lines));
    let groups = |of: &Done| of.groups - one.0.groups;
    let mut threads = BTreeMap::new();
    for (thread, _) in THREADS {
        let differ = |run: &(Done, BTreeMap<&str, Costs>)| minus(&run.1[thread], &one.1[thread]);
        let group = times(&differ(&more), 1.0 / groups(&more.0));
        let rest = minus(&differ(&long), &times(&group, groups(&long.0)));
        let records = long.0.records - one.0.records - groups(&long.0);
        threads.insert(thread, Behind { group, record: times(&rest, 1.0 / records) });
    }
    let group_bytes = (more.0.log_bytes - one.0.log_bytes) / groups(&more.0);
    let record_bytes = (long.0.log_bytes - one.0.log_bytes) / (long.0.records - one.0.records);
    Groups { threads, record_bytes, group_bytes }
}

fn run(
    scratch: &Path,
    lots: u64,
    records: u64,
    lines: &mut Option<Lines>,
) -> (Done, BTreeMap<&'static str, Costs>) {
    let out = scratch.join(format!("groups-{lots}-{records}"));
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--dump-instr=yes", "--compress-strings=no"])
        .args(["--compress-pos=no", "--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64"])
        .args(["--LL=8388608,16,64", &format!("--callgrind-out-file={}", out.display())])
        .arg(std::env::current_exe().unwrap())
        .args(["groups", &lots.to_string(), &records.to_string()])
        .stderr(Stdio::null())
        .output()
        .expect("valgrind is installed: benches/instructions.sh does it");
    let said = String::from_utf8_lossy(&child.stdout);
    let mut said = said.split_whitespace().map(|number| number.parse().expect("a number"));
    let mut next = || said.next().expect("the counted child says what it did");
    let done = Done { groups: next(), records: next(), log_bytes: next() };

    let dumps: Vec<Dump> = (1..)
        .map(|thread| scratch.join(format!("groups-{lots}-{records}-{thread:02}")))
        .take_while(|file| file.exists())
        .map(|file| Dump::read(&file))
        .collect();
    // The addresses are the same in each run.
    let lines = lines.get_or_insert_default();
    dumps.iter().for_each(|dump| dump.lines(lines));
    let costs: Vec<Costs> = dumps.iter().map(|dump| dump.by_arrow(lines, false)).collect();
    let most = |arrow: &str| {
        let of = |costs: &&Costs| costs.get(arrow).map_or(0.0, |cost| cost.instructions);
        costs.iter().skip(1).max_by(|a, b| of(a).total_cmp(&of(b))).cloned().unwrap_or_default()
    };
    (done, THREADS.map(|(thread, arrow)| (thread, most(arrow))).into())
}

fn minus(a: &Costs, b: &Costs) -> Costs {
    let cost = |costs: &Costs, arrow| costs.get(arrow).copied().unwrap_or_default();
    a.keys().chain(b.keys()).map(|arrow| (*arrow, cost(a, *arrow) - cost(b, *arrow))).collect()
}

fn times(costs: &Costs, by: f64) -> Costs {
    costs.iter().map(|(arrow, cost): (_, &Cost)| (*arrow, *cost * by)).collect()
}
