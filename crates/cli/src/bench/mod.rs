//! `stockhold bench`: measures the engine on this machine and this disk.
//!
//! ```text
//! for each workload and level, in a process of its own:
//!     closed loop ─► audit;  open loop at 100,000/s ─► audit;  open loop at half the highest rate ─► audit
//!          └──────────────────────────┴───────── figures ─────────────────────┴─► table, JSON, HTML
//! the disk alone ──────────────────────────────────────────────────────────────────────┘
//! ```

mod args;
mod atomic_file;
mod audit;
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
mod report;
mod schedule;
mod scratch;
mod stage;
mod text;
mod usage;
mod workload;

use std::path::PathBuf;

use crate::output::{Output, Stop};
pub(crate) use args::Args;
use args::chosen;
use atomic_file::AtomicFile;
pub(crate) use child::{CHILD, ChildArgs};
use level::Level;
use machine::Machine;
use report::Report;
use scratch::Scratch;

/// The longest measurement of the disk alone.
const DISK_SECONDS_MAX: f64 = 1.0;

/// The subcommand.
pub(crate) fn run(args: Args) -> Result<(), Stop> {
    // Installed first, so that everything made from here on is removed after a signal.
    ctrlc::set_handler(child::stop).map_err(Stop::environment)?;
    // Checked now, so that a file that cannot be written is reported before the measurements.
    let open = |file: &Option<PathBuf>| file.as_deref().map(AtomicFile::open).transpose();
    let (json, html) = (open(&args.json)?, open(&args.html)?);
    let scratch = Scratch::within(&args.dir).map_err(Stop::Error)?;
    let report = measure(&args, &scratch)?;
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

/// The hidden subcommand that measures one workload at one level.
pub(crate) fn run_child(args: ChildArgs) -> Result<(), Stop> {
    child::work(&args)
}

fn measure(args: &Args, scratch: &Scratch) -> Result<Report, Stop> {
    let machine = Machine::detect(scratch.path());
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
    // Last, so that a directory in which no file can be written is reported by the engine's measurement.
    let mut disk = None;
    if chosen(&args.level).any(|level| level != Level::Memory) {
        let seconds = args.seconds.min(DISK_SECONDS_MAX);
        let curve = disk::measure(scratch.path(), schedule::RATE, seconds).map_err(Stop::environment)?;
        output.line(format_args!("\n{}", text::disk(&curve)))?;
        disk = Some(curve);
    }
    text::legend(&mut output)?;
    output.line(format_args!(
        "After each measurement, the answers to the clients, the counters and the levels agreed."
    ))?;
    output.close()?;
    Ok(Report { version: env!("CARGO_PKG_VERSION"), machine, disk, seconds: args.seconds, figures })
}
