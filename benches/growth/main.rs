//! How costs grow: with stock keys, live holds, threads, lines of a cart, and the offered rate.
//!
//! `cargo bench -p stockhold-benches --bench growth` prints a table with a verdict for each row, and fails if
//! a cost grows faster than its order and its slack allow; `-- --plot FILE` draws it; `-- --write` rewrites
//! the table of `src/design/growth.md` and draws `src/design/growth.svg`. `STOCKHOLD_BENCH_KEYS` and
//! `STOCKHOLD_BENCH_HOLDS` set the largest sizes (Default = 10,000,000 each: 8 GiB of memory, 3 GiB of disk,
//! two to five minutes), `STOCKHOLD_BENCH_DIR` where it writes (Default = under the build's folder).
//!
//! Each point is measured in a process of its own. Times of an operation are processor time of the calling
//! thread, the median of seven laps, unless stated otherwise.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/page.rs"]
mod page;
mod picture;
#[path = "../common/plot.rs"]
mod plot;
mod points;
mod series;
#[path = "../common/stopwatch.rs"]
mod stopwatch;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use series::Series;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/design/growth.md");
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/design/growth.svg");

/// All figures by what grows: the sizes, and the figures at each.
pub struct Measured {
    keys: Vec<(f64, Vec<f64>)>,
    holds: Vec<(f64, Vec<f64>)>,
    threads: Vec<(f64, Vec<f64>)>,
    carts: Vec<(f64, Vec<f64>)>,
    rates: Vec<(f64, Vec<f64>)>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let (plot, write) = match args[..] {
        ["point", what, size, directory] => {
            let (size, directory) = (number(size), Path::new(directory));
            let figures = match what {
                "keys" => points::keys(directory, size),
                "holds" => points::holds(directory, size),
                "opening" => points::opening(directory, size),
                "memory of keys" => points::memory(false, size),
                "memory of holds" => points::memory(true, size),
                "threads" => points::threads(size),
                "cart" => points::cart(size),
                "rate" => points::rate(directory, size),
                other => panic!("{other} is not measured"),
            };
            figures.iter().for_each(|figure| println!("{figure}"));
            return ExitCode::SUCCESS;
        }
        ["--plot", file] => (Some(file), false),
        ["--write"] => (Some(PICTURE), true),
        [] => (None, false),
        _ => panic!("{args:?}: --plot FILE or --write"),
    };
    common::machine();
    let measured = measure();
    let series = all(&measured);
    let mut table = format!("On {}:\n\n{}\n", common::this_machine(), Series::HEAD);
    series.iter().for_each(|series| table += &format!("{}\n", series.row()));
    table += "\n| offered per second | acknowledged per second | p50 | p99 |\n|--:|--:|--:|--:|\n";
    for (offered, figures) in &measured.rates {
        let offered = if *offered == 0.0 { "65,536 in flight".into() } else { series::figure(*offered) };
        let [per_second, p50, p99] = figures[..] else { panic!("a rate has three figures") };
        table += &format!("| {offered} | {} | {p50:.2} ms | {p99:.1} ms |\n", series::figure(per_second));
    }
    println!("{table}");
    if let Some(file) = plot {
        std::fs::write(common::resolve(file), picture::draw(&measured))
            .expect("the plot's file can be written");
        println!("drawn in {file}");
    }
    if write {
        page::write(Path::new(PAGE), "measured", &table);
    }
    if series.iter().all(Series::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure() -> Measured {
    let scratch = common::scratch("growth");
    let largest = |name: &str| {
        let set = std::env::var(name).ok().and_then(|text| text.replace('_', "").parse::<u64>().ok());
        set.unwrap_or(10_000_000)
    };
    let sizes = |largest: u64| (3..).map(|power| 10_u64.pow(power)).take_while(move |size| *size <= largest);
    // The first process leaves a directory, the second opens it.
    let kept = |what: &str, size| {
        let mut figures = point(what, size, &scratch);
        figures.extend(point("opening", size, &scratch));
        figures.extend(point(&format!("memory of {what}"), size, &scratch));
        let _ = std::fs::remove_dir_all(&scratch);
        (size as f64, figures)
    };
    let alone = |what: &str, size| {
        let figures = point(what, size, &scratch);
        let _ = std::fs::remove_dir_all(&scratch);
        (size as f64, figures)
    };
    // The median of three, since other programs use the disk too.
    let middle = |what: &str, size| {
        let mut all: Vec<_> = (0..3).map(|_| alone(what, size)).collect();
        all.sort_unstable_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        all.swap_remove(1)
    };
    Measured {
        keys: sizes(largest("STOCKHOLD_BENCH_KEYS")).map(|size| kept("keys", size)).collect(),
        holds: sizes(largest("STOCKHOLD_BENCH_HOLDS")).map(|size| kept("holds", size)).collect(),
        threads: [1, 2, 4, 8, 16].map(|threads| alone("threads", threads)).into(),
        carts: (0..12).map(|power| alone("cart", 1 << power)).collect(),
        rates: [10_000, 30_000, 100_000, 300_000, 1_000_000, 0].map(|rate| middle("rate", rate)).into(),
    }
}

/// One point, measured in a process of its own.
fn point(what: &str, size: u64, directory: &Path) -> Vec<f64> {
    let child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["point", what, &size.to_string()])
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()
        .expect("this program can be started");
    assert!(child.status.success(), "{what} of {size} failed");
    let said = String::from_utf8_lossy(&child.stdout);
    let figures: Vec<f64> = said.lines().map(|line| line.parse().expect("a number")).collect();
    eprintln!("{what} {size}: {figures:.1?}");
    figures
}

/// One figure at each size.
fn column(points: &[(f64, Vec<f64>)], at: usize) -> Vec<(f64, f64)> {
    points.iter().map(|(size, figures)| (*size, figures[at])).collect()
}

/// Only sizes at which fixed costs no longer matter.
fn many(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.into_iter().filter(|point| point.0 >= 100_000.0).collect()
}

fn all(measured: &Measured) -> Vec<Series> {
    let Measured { keys, holds, threads, carts, .. } = measured;
    let series = |across, cost, order, slack, points| Series { cost, across, order, slack, points };
    vec![
        series("stock keys", "a reserve, ns", "O(1)", 6.0, column(keys, 0)),
        series("stock keys", "a refusal, ns", "O(1)", 12.0, column(keys, 2)),
        series("stock keys", "a checkpoint of all, ns a key", "O(keys)", 3.0, many(column(keys, 3))),
        series("stock keys", "an opening, ns a key", "O(keys)", 3.0, many(column(keys, 4))),
        series("stock keys", "memory, bytes a key", "O(keys)", 1.5, many(column(keys, 5))),
        series("live holds", "a reserve, ns", "O(1)", 4.0, column(holds, 0)),
        series("live holds", "a release, ns", "O(1)", 4.0, column(holds, 2)),
        series("live holds", "a checkpoint of all, ns a hold", "O(holds)", 3.0, many(column(holds, 3))),
        series("live holds", "an opening, ns a hold", "O(holds)", 3.0, many(column(holds, 4))),
        series("live holds", "memory, bytes a hold", "O(holds)", 1.5, many(column(holds, 5))),
        series("threads", "a reserve of one key, ns", "O(1)", 3.0, column(threads, 0)),
        series("threads", "a refusal of one key, ns", "O(1)", 2.0, column(threads, 1)),
        series("lines", "a cart, ns a line", "O(lines)", 2.0, column(carts, 1)),
    ]
}
