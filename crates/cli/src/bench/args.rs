//! The command line of `stockhold bench`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::level::Level;
use super::workload::Workload;
use crate::exit::CODES;

/// Measure throughput and acknowledgement latency of the engine on this machine and this disk
///
/// Runs seven workloads at three levels of durability, each three times on a new engine. First as fast as
/// possible, with one thread per core and many decisions in flight. Then at 100,000 operations a second, and
/// at half of the highest rate: these operations are due at even intervals and do not wait for the engine.
/// Latency counts from the time at which an operation was due, so that a stall counts against every operation
/// that it delayed.
///
/// After each measurement, the answers to the clients must agree with the engine's counters and with its
/// levels.
///
/// Prints a table, and writes all figures to a JSON file or an HTML page if asked to. Writes only to a
/// scratch directory, which is removed at the end.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    /// Directory in which the scratch directory is made; not a stockhold directory itself [default: the
    /// current directory, because temporary files are often in memory, where a sync costs nothing]
    #[arg(long, default_value = ".", hide_default_value = true)]
    pub(super) dir: PathBuf,
    /// Duration of each measurement in seconds, 0.01 to 60; each workload has three per level
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// Measure only this workload; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    pub(super) only: Vec<Workload>,
    /// Measure only this level of durability; may be repeated
    #[arg(long)]
    pub(super) level: Vec<Level>,
    /// Write all figures to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write an HTML page with plots to this file; it needs no other file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Counts a hold that was never made. The run must then fail.
    #[arg(long, hide = true)]
    pub(super) plant: bool,
}

const MORE_HELP: &str = "\
Examples:
  stockhold bench                                    everything, a little over a minute
  stockhold bench --dir /srv --html bench.html       on the disk of /srv, with a page of plots
  stockhold bench --only hot --level sync            one workload at one level
  stockhold bench --json bench.json --seconds 5      for a script, with longer measurements

The figures contain no network and no replication. The clients are threads of the same process and
use some of the processor. Where holds accumulate, a measurement ends at 8 million of them, which
take at most about 2 GB of memory.

The files are written when everything is measured, or not at all. Ctrl-C or a TERM signal ends the
run and removes its files.";

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    if (0.01..=60.0).contains(&value) { Ok(value) } else { Err("it is not between 0.01 and 60".to_string()) }
}

/// The values that were named on the command line, once each and in declaration order; all of them if none
/// was named.
pub(super) fn chosen<T: ValueEnum + PartialEq + Copy>(named: &[T]) -> impl Iterator<Item = T> {
    T::value_variants().iter().copied().filter(|one| named.is_empty() || named.contains(one))
}
