//! `stockhold bench`: what the engine does on this machine and this disk.
//!
//! ```text
//! for each workload and level, in a process of its own:
//!     closed loop ─► audit;  open loop at 100,000/s ─► audit;  open loop at half of the most ─► audit
//!          └──────────────────────────┴───────── figures ─────────────────────┴─► table, JSON, HTML
//! the disk alone ──────────────────────────────────────────────────────────────────────┘
//! ```

mod atomic_file;
mod books;
mod child;
mod client;
mod closed;
mod counts;
mod curves;
mod disk;
mod fault;
mod figures;
mod html;
mod latency;
mod level;
mod machine;
mod open;
mod overview;
mod picks;
mod schedule;
mod scratch;
mod stage;
mod text;
mod usage;
mod workload;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use crate::exit::CODES;
use crate::output::{Output, Stop};
use atomic_file::AtomicFile;
pub(crate) use child::{CHILD, ChildArgs};
use figures::Figures;
use latency::Curve;
use level::Level;
use machine::Machine;
use scratch::Scratch;
use workload::Workload;

/// Measures the engine on this machine and this disk: how much it decides, and how soon it acknowledges.
///
/// Seven workloads at three levels of durability. Each is measured three times, on a fresh engine: as fast as it goes,
/// with a thread a core and many decisions in flight; then at 100,000 operations a second and at half of the most, which
/// are due at even distances and do not wait for the engine. Latency counts from when an operation was due, so that a
/// stall counts against everything that it delayed.
///
/// After each, what the clients were answered must agree with what the engine counts and with its book.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    /// Where the scratch directory is made, and removed at the end; not a stockhold directory itself [default: the
    /// current directory, since temporary files are often kept in memory, where a sync costs nothing]
    #[arg(long, default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// How long each of the three measurements of a workload at a level takes, 0.01 to 60
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// These workloads alone; may be given again
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<Workload>,
    /// These levels alone; may be given again
    #[arg(long)]
    level: Vec<Level>,
    /// All figures as one JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A page with plots that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Counts a hold that was never made. The run must then fail.
    #[arg(long, hide = true)]
    plant: bool,
}

/// The disk alone is measured no longer.
const DISK_SECONDS_MAX: f64 = 1.0;

const MORE_HELP: &str = "\
Examples:
  stockhold bench                                    all of it, a little over a minute
  stockhold bench --dir /srv --html bench.html       on that disk, and a page with plots
  stockhold bench --only hot --level sync            one line of it
  stockhold bench --json bench.json --seconds 5      for a script, with more patience

What the figures do not contain: a network, replication. The clients are threads of the same
process and take their share of the cores. Where holds pile up, a measurement ends early at
8 million of them, at most about 2 GB of memory.

The files are written when everything is measured, or not at all. Ctrl-C or a TERM ends a run and
removes what it has written.";

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    if (0.01..=60.0).contains(&value) { Ok(value) } else { Err("it is not between 0.01 and 60".to_string()) }
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    machine: Machine,
    /// What a plain file's fdatasync takes, at the lower rate; `None` where nothing was measured that syncs.
    disk: Option<Curve>,
    seconds: f64,
    figures: Vec<Figures>,
}

pub(crate) fn run(args: Args) -> Result<(), Stop> {
    bench(&args)
}

/// The hidden subcommand that measures one workload at one level.
pub(crate) fn run_child(args: ChildArgs) -> Result<(), Stop> {
    child::work(&args)
}

fn bench(args: &Args) -> Result<(), Stop> {
    // First of all: what is made from here on is also removed.
    ctrlc::set_handler(child::stop).map_err(Stop::environment)?;
    // A file that cannot be written is told before anybody has waited for what belongs in it.
    let draft = |file: &Option<PathBuf>| file.as_deref().map(AtomicFile::of).transpose();
    let (json, html) = (draft(&args.json)?, draft(&args.html)?);
    let scratch = Scratch::within(&args.dir).map_err(Stop::Error)?;
    let report = measure(args, &scratch)?;
    drop(scratch);
    if let Some(file) = json {
        let json = serde_json::to_string_pretty(&report).map_err(Stop::environment)?;
        file.finish(&(json + "\n"))?;
    }
    if let Some(file) = html {
        file.finish(&html::page(&report))?;
    }
    Ok(())
}

fn measure(args: &Args, scratch: &Scratch) -> Result<Report, Stop> {
    let machine = Machine::look(scratch.path());
    let mut output = Output::new();
    output.line(format_args!("{machine}"))?;
    for caveat in machine.caveats() {
        output.line(format_args!("{caveat}"))?;
    }
    let mut figures = Vec::new();
    for workload in chosen(&args.only) {
        text::heading(&mut output, workload)?;
        for level in chosen(&args.level) {
            let measured = child::run(args, scratch.path(), workload, level)?;
            text::level(&mut output, &measured)?;
            figures.push(measured);
        }
    }
    // Last: what does not allow an engine its files is told of an engine.
    let mut disk = None;
    if chosen(&args.level).any(|level| level != Level::Memory) {
        let seconds = args.seconds.min(DISK_SECONDS_MAX);
        let curve = disk::measure(scratch.path(), child::RATE, seconds).map_err(Stop::environment)?;
        output.line(format_args!("\n{}", text::disk(&curve)))?;
        disk = Some(curve);
    }
    text::legend(&mut output)?;
    output.line(format_args!(
        "After each measurement the clients' answers, the counters and the book agreed."
    ))?;
    output.close()?;
    Ok(Report { version: env!("CARGO_PKG_VERSION"), machine, disk, seconds: args.seconds, figures })
}

/// What was named, once each and in our order; all of them if nothing was.
fn chosen<T: ValueEnum + PartialEq + Copy>(named: &[T]) -> impl Iterator<Item = T> {
    T::value_variants().iter().copied().filter(|one| named.is_empty() || named.contains(one))
}
