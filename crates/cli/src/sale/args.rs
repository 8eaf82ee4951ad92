//! The command line of `stockhold sale`.

use std::path::PathBuf;

use super::durability::DurabilityArg;
use super::shop::PlantedFault;
use crate::exit;

/// Run a flash sale on this machine's disk, check it from outside, and survive a kill -9
///
/// The command has two parts and writes a receipt. It exits with 0 only if every check of both parts
/// succeeds.
///
/// Judged sale: simulated shoppers arrive within about three seconds. Each one reserves units, then pays,
/// cancels, or leaves so that the hold expires. Every call is recorded with its start and end time. A
/// separate checker, which shares no code with the engine, then searches the recording for oversold units and
/// for false refusals: a refusal is false if enough units were available during the whole call. Then the
/// engine is closed and reopened from disk, and every acknowledged hold is looked up. The same shoppers also
/// run against two simple designs (check-then-act and fixed buckets), and the same checker judges them.
///
/// Kill test: a child process makes a million decisions and is killed with SIGKILL at a random moment. The
/// directory is reopened, every acknowledged hold must be found, and the remaining decisions are made.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{}", exit::CODES))]
pub(crate) struct Args {
    /// Units for sale in the judged sale, all SKUs together
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub(super) units: u32,
    /// Number of shoppers in the judged sale
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) shoppers: u32,
    /// Number of threads that call the engine, in both parts [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(super) threads: Option<u16>,
    /// Time to live of a hold in the judged sale, in milliseconds
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(super) ttl_ms: u64,
    /// Fraction of granted holds that their shoppers cancel, 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = fraction)]
    pub(super) cancel: f64,
    /// Fraction of granted holds that their shoppers leave to expire, 0 to 1
    #[arg(long, default_value_t = 0.2, value_parser = fraction)]
    pub(super) abandon: f64,
    /// Number of SKUs; units and shoppers are divided over them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) skus: u32,
    /// When a decision counts as acknowledged: sync (after an fdatasync), interval:100ms (after the operating
    /// system has it; synced at this period), or memory (at once; nothing is written)
    #[arg(long, default_value_t = DurabilityArg(stockhold::Durability::Sync))]
    pub(super) durability: DurabilityArg,
    /// Directory for the engine's files, new or empty; it is kept [default: a new one under target/, or under
    /// the directory for temporary files]
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
    /// Seed of the random choices: when shoppers arrive, what they do, when the kill comes [default: random;
    /// the receipt names it]
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Number of decisions in the kill test; 0 skips it
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(super) second_act: u64,
    /// Print the receipt as one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Puts a fault in front of the engine in the judged sale. The run must then fail.
    #[arg(long, hide = true)]
    pub(super) plant: Option<PlantedFault>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold sale                                       both parts, about fifteen seconds
  stockhold sale --units 1 --shoppers 2000             2,000 shoppers for a single unit
  stockhold sale --durability interval:100ms           acknowledge before the data is synced to disk
  stockhold sale --second-act 0 --json | jq .oversold  the judged sale alone, for a script

What the receipt proves:
  A number above zero in \"oversold\" or \"falsely refused\" is a certain violation. Zero means that
  none can be proven from outside: a violation within overlapping calls may not be seen.
  The kill ends the process, not the machine: data that the operating system has survives the kill.
  Loss of power is not tested here.

The receipt goes to standard output, progress to standard error. The first Ctrl-C ends the sale early, and \
what was decided is still verified. A second Ctrl-C ends the program at once.";

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it is not between 0 and 1".to_string()) }
}
