//! The process that the kill test kills. It opens the directory, runs tasks, and reports each batch to the
//! parent through standard output once the batch is durable, never earlier. It does not end by itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use stockhold::{Config, Engine};

use super::durability::DurabilityArg;
use super::frames::{READY, TaskBatch};
use super::workload::{LOCATION, TaskPlan, TaskRunner, declare};
use crate::exit::CommandError;

/// Name of the hidden subcommand.
pub(crate) const CHILD: &str = "sale-child";

/// Flags that the parent passes; not for people.
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

/// The command line that starts the child.
pub(crate) fn arguments(
    dir: &std::path::Path,
    durability: DurabilityArg,
    plan: TaskPlan,
    threads: usize,
) -> Vec<String> {
    let TaskPlan { seed, skus, decisions } = plan;
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

pub(crate) fn work(args: ChildArgs) -> Result<(), CommandError> {
    // Ctrl-C reaches the whole process group. The child ignores it; the parent handles it.
    ctrlc::set_handler(|| {}).map_err(|error| CommandError::Environment(error.to_string()))?;
    let engine = Engine::open(&args.dir, Config::default().durability(args.durability.0))?;
    let plan = TaskPlan { seed: args.seed, skus: args.skus, decisions: args.decisions };
    let keys = declare(&engine, plan.skus).map_err(|error| {
        CommandError::Environment(format!("a stock key at {LOCATION} cannot be declared: {error}"))
    })?;
    let mut pipe = std::io::stdout().lock();
    let unsent = |error: std::io::Error| format!("a batch cannot be sent to the parent: {error}");
    TaskBatch { number: READY, ..TaskBatch::default() }
        .write(&mut pipe)
        .map_err(|error| CommandError::Environment(unsent(error)))?;

    let batch = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    let (decided, threads) = (AtomicU64::new(0), args.threads);
    let tasks = TaskRunner { engine: &engine, keys: &keys, plan, threads, decided, stop: &stop };
    let next = || (!tasks.enough()).then(|| batch.fetch_add(1, Ordering::Relaxed));
    tasks.run(next, |batch| batch.write(&mut pipe).map_err(unsent)).map_err(CommandError::Environment)?;
    // All done before the kill: wait for it. A parent that has ended closes the pipe to standard input.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    Ok(())
}
