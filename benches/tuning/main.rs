//! Measures the effect of settings and of ways to call on this machine.
//!
//! `cargo bench -p stockhold-benches --bench tuning` prints the tables of `src/design/tuning.md`, in a minute
//! or two; `-- --write` writes them there. `STOCKHOLD_BENCH_DIR` sets where it writes (Default = under the
//! build's folder).

mod calls;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod expiry;
mod kept;
mod load;
#[path = "../common/page.rs"]
mod page;
mod settings;
#[path = "../common/stopwatch.rs"]
#[allow(dead_code)]
mod stopwatch;

use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/design/tuning.md");

/// A table's name in the page, and its function.
type Table = (&'static str, fn(&Path) -> String);

const TABLES: [Table; 10] = [
    ("machine", machine),
    ("in flight", settings::in_flight),
    ("ring", settings::ring),
    ("threads", settings::threads),
    ("calls", calls::calls),
    ("kept", kept::kept),
    ("keys", settings::keys),
    ("driver", expiry::driver),
    ("checkpoints", checkpoints::checkpoints),
    ("disk", settings::disk),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    let write = match args[..] {
        ["killed", directory, which] => checkpoints::be_killed(Path::new(directory), number(which)),
        ["kept", which] => return kept::child(number(which)),
        [] => false,
        ["--write"] => true,
        _ => panic!("{args:?}: --write or nothing"),
    };
    common::machine();
    let scratch = common::scratch("tuning");
    for (name, table) in TABLES {
        std::fs::create_dir_all(&scratch).expect("a folder can be made");
        let text = table(&scratch);
        let _ = std::fs::remove_dir_all(&scratch);
        println!("\n{name}\n\n{text}");
        if write {
            page::write(Path::new(PAGE), name, &text);
        }
    }
}

fn machine(_: &Path) -> String {
    format!("The tables are of {}.\n", common::this_machine())
}

/// The head of a table, with right-aligned numbers.
fn head(names: &[&str]) -> String {
    format!("| {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len() - 1))
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Formats a number as 3.7 M, 131 k or 4.2.
fn count(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.1} M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} k", value / 1e3),
        _ if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

fn bytes(value: usize) -> String {
    if value >= 1 << 20 { format!("{} MiB", value >> 20) } else { format!("{} KiB", value >> 10) }
}

fn ms(value: f64) -> String {
    match value {
        _ if value >= 1e3 => format!("{:.1} s", value / 1e3),
        _ if value >= 10.0 => format!("{value:.0} ms"),
        _ if value >= 0.1 => format!("{value:.1} ms"),
        _ => format!("{:.1} µs", value * 1e3),
    }
}
