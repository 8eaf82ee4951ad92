//! The process that is killed: opens the directory, runs errands, and tells the parent through standard output what
//! can be relied on, never earlier. It does not end by itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use stockhold::{Config, Engine};

use super::DurabilityArg;
use super::act_two::LOCATION;
use super::errands::{Errands, Scale};
use super::frames::Batch;
use crate::exit::Trouble;

/// Name of the hidden subcommand.
pub(crate) const CHILD: &str = "sale-child";

/// Given by the parent; not for people.
#[derive(clap::Args)]
pub(crate) struct ChildArgs {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    durability: DurabilityArg,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    skus: u32,
    #[arg(long)]
    decisions: u64,
    #[arg(long)]
    threads: usize,
}

/// The number of the frame that says: open, about to begin.
pub(crate) const READY: u32 = u32::MAX;

pub(crate) fn arguments(
    dir: &std::path::Path,
    durability: DurabilityArg,
    scale: Scale,
    threads: usize,
) -> Vec<String> {
    let Scale { seed, skus, decisions } = scale;
    let flags = [
        ("--dir", dir.display().to_string()),
        ("--durability", durability.to_string()),
        ("--seed", seed.to_string()),
        ("--skus", skus.to_string()),
        ("--decisions", decisions.to_string()),
        ("--threads", threads.to_string()),
    ];
    let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_string(), value]);
    std::iter::once(CHILD.to_string()).chain(flags).collect()
}

pub(crate) fn work(args: ChildArgs) -> Result<(), Trouble> {
    // Ctrl-C reaches the whole process group. The parent decides what it means.
    ctrlc::set_handler(|| {}).map_err(|error| Trouble::Environment(error.to_string()))?;
    let engine = Engine::open(&args.dir, Config::default().durability(args.durability.0))?;
    let scale = Scale { seed: args.seed, skus: args.skus, decisions: args.decisions };
    let keys = super::act_two::declare(&engine, scale.skus).map_err(|error| {
        Trouble::Environment(format!("a stock key at {LOCATION} cannot be declared: {error}"))
    })?;
    let mut pipe = std::io::stdout().lock();
    let told = |error: std::io::Error| format!("the parent cannot be told: {error}");
    Batch { number: READY, ..Batch::default() }
        .write(&mut pipe)
        .map_err(|error| Trouble::Environment(told(error)))?;

    let batch = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    let (decided, threads) = (AtomicU64::new(0), args.threads);
    let errands = Errands { engine: &engine, keys: &keys, scale, threads, decided, stop: &stop };
    let next = || (!errands.enough()).then(|| batch.fetch_add(1, Ordering::Relaxed));
    errands.run(next, |batch| batch.write(&mut pipe).map_err(told)).map_err(Trouble::Environment)?;
    // Done too early to be killed at work; a parent that is gone closes the pipe to standard input.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    Ok(())
}
