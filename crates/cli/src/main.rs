//! The `stockhold` command. Each subcommand is a module with a type of arguments and a function that runs it,
//! and has one row in the table below.

mod bench;
mod exit;
mod figure;
mod filesystem;
mod inspect;
mod output;
mod replay;
mod sale;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Stop;

/// Makes the enum of subcommands and the call of each from one table.
macro_rules! commands {
    ($($(#[$attribute:meta])* $name:ident($args:ty) => $run:path,)*) => {
        #[derive(Subcommand)]
        enum Command {
            $($(#[$attribute])* $name($args),)*
        }

        impl Command {
            fn run(self) -> Result<(), Stop> {
                match self {
                    $(Command::$name(args) => $run(args),)*
                }
            }
        }
    };
}

commands! {
    Sale(sale::Args) => sale::run,
    Replay(replay::Args) => replay::run,
    Verify(inspect::verify::Args) => inspect::verify::run,
    Levels(inspect::levels::Args) => inspect::levels::run,
    Holds(inspect::holds::Args) => inspect::holds::run,
    Log(inspect::log::Args) => inspect::log::run,
    Checkpoint(inspect::checkpoint::Args) => inspect::checkpoint::run,
    Backup(inspect::backup::Args) => inspect::backup::run,
    Clock(inspect::clock::Args) => inspect::clock::run,
    Salvage(inspect::salvage::Args) => inspect::salvage::run,
    Bench(bench::Args) => bench::run,
    #[command(name = sale::CHILD, hide = true)]
    SaleChild(sale::ChildArgs) => sale::run_child,
    #[command(name = bench::CHILD, hide = true)]
    BenchChild(bench::ChildArgs) => bench::run_child,
}

/// Decide exactly, and at memory speed, who gets the last unit in stock
///
/// stockhold is a library for flash sales: it counts stock, holds units for a buyer until a deadline, and
/// logs every decision. This program demonstrates and measures the library, sends order files through it, and
/// inspects the directories that it writes.
#[derive(Parser)]
#[command(version, after_help = format!("{START}\n\n{}", exit::CODES))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const START: &str = "\
Start here:
  stockhold sale            run a flash sale on this disk, checked from outside, and a kill test
  stockhold sale --help     what the sale does, and what its receipt proves
  stockhold replay --help   send an order file through the engine, each order exactly once
  stockhold bench           measure throughput and latency on this machine and this disk";

fn main() -> ExitCode {
    output::finish(Cli::parse().command.run())
}
