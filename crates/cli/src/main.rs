//! The `stockhold` command. Each subcommand is a module with `Args` and `run`.

mod exit;
mod inspect;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Decides, exactly and at memory speed, who gets the last unit.
#[derive(Parser)]
#[command(version, after_help = exit::CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(inspect::verify::Args),
    Levels(inspect::levels::Args),
    Holds(inspect::holds::Args),
    Log(inspect::log::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Verify(args) => inspect::verify::run(args),
        Command::Levels(args) => inspect::levels::run(args),
        Command::Holds(args) => inspect::holds::run(args),
        Command::Log(args) => inspect::log::run(args),
    }
}
