//! Where time goes: instructions, cache lines, bytes and system calls of each step of the data flow.
//!
//! Run by `benches/instructions.sh`: `counts` prints the instructions of the threads behind a decision for
//! 1,000 records; `check` fails if the page (`src/design/where_time_goes.md`) differs from the accepted
//! counts; `write FOLDER` counts everything and writes the page's tables, with the files that
//! `benches/instructions.rs` has left in the folder.

#[path = "../common/quiet.rs"]
#[allow(dead_code)]
mod quiet;

mod arrow;
mod callgrind;
mod calls;
mod groups;
mod lines;
#[path = "../common/page.rs"]
mod page;
mod tables;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use callgrind::{Dump, Lines, total};
use tables::Counted;
use workload::WORKLOADS;

fn main() -> ExitCode {
    // cargo's own flag.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match args[..] {
        ["lines", name] => lines::child(name),
        ["groups", lots, records] => groups::child(number(lots), number(records)),
        ["counts"] => {
            let scratch = tempfile::tempdir().expect("a folder for the counts");
            counts(&groups::measure(scratch.path()));
        }
        ["write", counted] => {
            let scratch = tempfile::tempdir().expect("a folder for the counts");
            let groups = groups::measure(scratch.path());
            counts(&groups);
            let calls = calls::measure(scratch.path());
            let (decisions, touched) = (decisions(Path::new(counted)), touched());
            Counted { decisions, touched, groups, calls }.write();
        }
        ["check"] => {
            if let Err(why) = tables::check() {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!("run benches/instructions.sh");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Prints counts of 1,000 records, as in `benches/instructions.txt`.
fn counts(groups: &groups::Groups) {
    for (thread, _) in groups::THREADS {
        println!("{thread}_record {:.0}", total(&groups.threads[thread].record).instructions * 1e3);
    }
}

fn decisions(counted: &Path) -> BTreeMap<&'static str, callgrind::Costs> {
    let mut lines = Lines::new();
    let of = |(name, case): &(&'static str, &str)| {
        let file = counted.join(format!("{name}.{case}/callgrind.{name}.{case}.t1.p1.out"));
        let dump = Dump::read(&file);
        dump.lines(&mut lines);
        let costs = dump.by_arrow(&lines, true);
        (*name, costs.into_iter().map(|(arrow, cost)| (arrow, cost * 1e-3)).collect())
    };
    WORKLOADS.iter().map(of).collect()
}

/// Traces two at a time on two cores, since tracing takes longest.
fn touched() -> BTreeMap<&'static str, lines::Touched> {
    let names: Vec<&str> = WORKLOADS.iter().map(|(name, _)| *name).filter(|name| *name != "sweep").collect();
    let (some, others) = names.split_at(names.len() / 2);
    let measure = |names: &[&'static str]| -> Vec<_> {
        names.iter().map(|name| (*name, lines::measure(name))).collect()
    };
    std::thread::scope(|scope| {
        let others = scope.spawn(|| measure(others));
        let some = measure(some);
        some.into_iter().chain(others.join().expect("a trace can be read")).collect()
    })
}
