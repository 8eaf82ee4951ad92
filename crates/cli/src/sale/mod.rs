//! `stockhold sale`: a flash sale on real storage that is judged from outside, and a kill test.
//!
//! ```text
//! shoppers (plan) ─► judged sale: shopper threads ─► judge ─► close, reopen, audit ─┐
//!        └─────────► baselines:   shopper threads ─► judge ────────────────────────┤
//!                    kill test:   child ─► kill ─► reopen, audit, finish ───────────┴─► receipt
//! ```

mod args;
mod audit;
mod baselines;
mod child;
mod durability;
mod frames;
mod interrupt;
mod judged_sale;
mod kill_test;
mod progress;
mod purchase;
mod receipt;
mod setup;
mod shop;
mod shopper_threads;
mod shoppers;
mod stock;
mod workload;

use clap::ValueEnum;

use crate::exit::CommandError;
use crate::filesystem::filesystem;
use crate::output::{Output, Stop};
pub(crate) use args::Args;
pub(crate) use child::{CHILD, ChildArgs};
use receipt::Receipt;
use setup::{Setup, Storage};

/// The subcommand.
pub(crate) fn run(args: Args) -> Result<(), Stop> {
    let receipt = sale(&args)?;
    let mut output = Output::new();
    let shown = match args.json {
        true => output.json(&receipt),
        false => output.text(&receipt.text()),
    };
    let shown = shown.and_then(|()| output.close());
    // The exit code follows from the checks, even if the receipt is not read.
    if receipt.is_true() { shown } else { Err(Stop::UntrueShown) }
}

/// The hidden subcommand: the process that the kill test kills.
pub(crate) fn run_child(args: ChildArgs) -> Result<(), Stop> {
    Ok(child::work(args)?)
}

fn sale(args: &Args) -> Result<Receipt, CommandError> {
    let setup = Setup::new(args)?;
    interrupt::install()?;
    let mut receipt = Receipt {
        seed: setup.crowd.seed,
        units: setup.units,
        shoppers: setup.crowd.shoppers,
        threads: setup.threads,
        ttl_ms: args.ttl_ms,
        skus: setup.crowd.skus,
        durability: setup.durability.to_string(),
        planted: setup.plant.and_then(|plant| Some(plant.to_possible_value()?.get_name().to_string())),
        ..Receipt::default()
    };
    if let Storage::Directory(dir) = &setup.storage {
        receipt.dir = Some(dir.display().to_string());
        receipt.filesystem = filesystem(dir);
    }
    let plan = setup.crowd.plan();
    judged_sale::run(&setup, &plan, &mut receipt)?;
    if !interrupt::is_requested() {
        receipt.baselines = judged_sale::run_baselines(&setup, &plan);
    }
    if !interrupt::is_requested() && setup.kill_test_decisions > 0 {
        receipt.kill_test = Some(kill_test::run(&setup, interrupt::flag())?);
    }
    receipt.interrupted = interrupt::is_requested();
    Ok(receipt)
}

#[cfg(test)]
mod tests;
