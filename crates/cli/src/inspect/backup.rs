//! `stockhold backup`: a copy of a directory at rest.

use std::process::ExitCode;

use serde::Serialize;
use stockhold::error::BackupError;
use stockhold::inspect::Inspection;

use super::{Output, Pair, Stop, finish, open_whole};
use crate::exit::CODES;
use crate::figure::thousands;

/// Copies a directory that no engine has open into a new one, changing nothing in the first.
///
/// The directory is verified first; a damaged one is not copied, see `stockhold salvage`. The copy begins with a
/// checkpoint and has no log before it. It has the directory's identity, so ids of holds and stock keys mean the same in
/// it: open it in the place of the directory, never beside it. The copy is verified too before the command says so.
///
/// A program that has the directory open copies it with Engine::backup, while it sells.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    pair: Pair,
}

const MORE_HELP: &str = "\
Examples:
  stockhold backup --dir shop --out /mnt/backups/shop-monday
  stockhold backup --dir shop --out copy --json | jq .end

With --json, one object: out, directory_id, end, records, stock_keys.";

#[derive(Serialize)]
struct Json {
    out: String,
    directory_id: String,
    end: u64,
    records: u64,
    stock_keys: u64,
}

pub(crate) fn run(args: Args) -> ExitCode {
    finish(backup(&args.pair))
}

fn backup(Pair { common, out }: &Pair) -> Result<(), Stop> {
    let inspection = open_whole(common)?;
    let end = inspection.backup(out).map_err(|error| match error {
        BackupError::Exists(sentence) => Stop::usage(sentence),
        BackupError::Damaged(_) => Stop::Untrue(error.to_string()),
        error => Stop::environment(error),
    })?;
    let copy = Inspection::open(out)?;
    if copy.drift().is_some() || !copy.levels().map(|entry| entry.level).eq(levels(&inspection)) {
        return Err(Stop::Untrue(format!("the copy {} says something else; remove it", out.display())));
    }
    let (report, stock_keys) = (copy.report(), copy.levels().count() as u64);
    let mut output = Output::new();
    if common.json {
        output.json(&Json {
            out: out.display().to_string(),
            directory_id: format!("{:032x}", report.directory_id),
            end: end.0,
            records: report.records,
            stock_keys,
        })?;
    } else {
        output.line(format_args!(
            "copied up to position {end} and verified: {} entries, {} stock keys",
            thousands(report.records),
            thousands(stock_keys)
        ))?;
    }
    output.close()
}

fn levels(inspection: &Inspection) -> impl Iterator<Item = stockhold::Level> {
    inspection.levels().map(|entry| entry.level)
}
