//! Compares the engine with its alternatives: the same work for each, one after another, on the same machine
//! and disk.
//!
//! ```text
//! row ── job ─► load ─► stockhold, locked, sharded     threads of this process
//!         │      └────► journal                        the file that the last two write
//!         ├───► redis ── resp                          connections on loopback
//!         ├───► postgres                               pgbench on loopback
//!         └───► tigerbeetle                            its client on loopback, if built with that feature
//!                  └─► sample, checked against the peer's own stock ─► table, report
//! ```
//!
//! The work: check that a unit of a stock key is available, take it, record a hold with an 8-byte reference
//! and a time to live, and acknowledge it once it is as durable as the setting says. There are enough units,
//! so every request is granted. `benches/peers.sh` starts the servers and this program.
//!
//! After each row the peer's own count of missing units and of holds must equal the number of granted
//! requests: otherwise there is no figure, and the program fails.

mod error;
mod job;
mod journal;
mod load;
mod locked;
mod machine;
mod postgres;
mod redis;
mod report;
mod resp;
mod row;
mod sample;
mod sharded;
mod stockhold;
mod table;
#[cfg(feature = "tigerbeetle")]
mod tigerbeetle;

use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use error::PeerError;
use job::{Demand, Job};
use report::{Figures, Report};
use row::Row;

/// Compares the engine with its alternatives, in one run.
#[derive(Parser)]
#[command(version, after_help = "benches/peers.sh starts and stops the servers.")]
struct Args {
    /// The time that each row is measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of threads [default: one for each core].
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroU64>,
    /// End a row early at this many holds, since each takes memory.
    #[arg(long, value_name = "COUNT", default_value_t = 6_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..=200_000_000))]
    holds_max: u64,
    /// Measure only rows whose system and setting contain this text, in any case.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Where the rows of this process write: a directory on the servers' disk.
    #[arg(long, value_name = "DIR", default_value = "target")]
    dir: PathBuf,
    /// Port of a Redis on loopback; all its data is deleted.
    #[arg(long, value_name = "PORT")]
    redis: Option<u16>,
    /// Port of a PostgreSQL on loopback with a user and a database `stockhold`; its tables `stock` and `hold`
    /// are replaced.
    #[arg(long, value_name = "PORT")]
    postgres: Option<u16>,
    /// Port of a TigerBeetle on loopback, cluster 0; accounts are added. Needs a build with the feature
    /// `tigerbeetle`.
    #[arg(long, value_name = "PORT")]
    tigerbeetle: Option<u16>,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stockhold-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), PeerError> {
    fs::create_dir_all(&args.dir).map_err(|error| PeerError::file(&args.dir, error))?;
    let machine = machine::Machine::read(args)?;
    machine.print();
    let threads = args.threads.map_or(machine.cores, NonZeroU64::get);

    let mut rows = stockhold::rows(&args.dir);
    rows.extend(locked::rows(&args.dir));
    rows.extend(sharded::rows(&args.dir));
    rows.extend(args.redis.iter().flat_map(|port| redis::rows(*port)));
    rows.extend(args.postgres.iter().flat_map(|port| postgres::rows(*port, &args.dir)));
    #[cfg(feature = "tigerbeetle")]
    rows.extend(args.tigerbeetle.iter().flat_map(|port| tigerbeetle::rows(*port)));
    if let Some(only) = &args.only {
        rows.retain(|row| row.is_called(only));
        if rows.is_empty() {
            return Err(PeerError::NoRow(only.clone()));
        }
    }

    let mut report = Report::new(machine, threads, args.seconds);
    for row in &rows {
        measure(row, args, threads, &mut report)?;
    }
    println!(
        "each row takes {} s, or {} holds; {threads} threads\n",
        args.seconds,
        row::thousands(args.holds_max)
    );
    print!("{}", report.table());
    for (system, port, way) in [
        ("Redis", args.redis, "starts one"),
        ("PostgreSQL", args.postgres, "starts one"),
        ("TigerBeetle", args.tigerbeetle, "starts one if there is a `tigerbeetle` on the PATH"),
    ] {
        if port.is_none() && args.only.is_none() {
            println!("\n{system} was not measured: no port was given. benches/peers.sh {way}.");
        }
    }
    args.json.as_ref().map_or(Ok(()), |path| report.write(path))
}

fn measure(row: &Row, args: &Args, threads: u64, report: &mut Report) -> Result<(), PeerError> {
    for demand in [Demand::Hot, Demand::Spread] {
        eprintln!("measuring {}, {}, {}", row.system, row.setting, demand.name());
        let job = Job { demand, time: Duration::from_secs(args.seconds), holds_max: args.holds_max, threads };
        let sample = (row.measure)(job).map_err(|error| PeerError::Row {
            row: format!("{}, {}, {}", row.system, row.setting, demand.name()),
            error: Box::new(error),
        })?;
        report.rows.push(Figures::of(row, demand, &sample));
    }
    Ok(())
}
