//! The `stockhold` command. Each subcommand is a module with `Args` and `run`.

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

/// Decides, exactly and at memory speed, who gets the last unit.
#[derive(Parser)]
#[command(version, after_help = format!("{START}\n\n{}", exit::CODES))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const START: &str = "\
Start here:
  stockhold sale            a flash sale on this disk, judged from outside, and a kill -9 survived
  stockhold sale --help     its two acts, and what its receipt proves
  stockhold replay --help   an order file through the engine, each line once
  stockhold bench           how fast it is on this machine and this disk";

#[derive(Subcommand)]
enum Command {
    Sale(sale::Args),
    Replay(replay::Args),
    Verify(inspect::verify::Args),
    Levels(inspect::levels::Args),
    Holds(inspect::holds::Args),
    Log(inspect::log::Args),
    Checkpoint(inspect::checkpoint::Args),
    Backup(inspect::backup::Args),
    Salvage(inspect::salvage::Args),
    Bench(bench::Args),
    #[command(name = sale::CHILD, hide = true)]
    SaleChild(sale::ChildArgs),
    #[command(name = bench::CHILD, hide = true)]
    BenchChild(bench::ChildArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Sale(args) => sale::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Verify(args) => inspect::verify::run(args),
        Command::Levels(args) => inspect::levels::run(args),
        Command::Holds(args) => inspect::holds::run(args),
        Command::Log(args) => inspect::log::run(args),
        Command::Checkpoint(args) => inspect::checkpoint::run(args),
        Command::Backup(args) => inspect::backup::run(args),
        Command::Salvage(args) => inspect::salvage::run(args),
        Command::Bench(args) => bench::run(args),
        Command::SaleChild(args) => sale::run_child(args),
        Command::BenchChild(args) => bench::run_child(args),
    }
}
