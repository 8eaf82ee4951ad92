//! `stockhold backup`: copies a directory that no engine has open.

use serde::Serialize;
use stockhold::error::BackupError;
use stockhold::inspect::Inspection;

use super::directory::CopyArgs;
use crate::exit::CODES;
use crate::figure::thousands;
use crate::output::Stop;

/// Copy a directory that no engine has open into a new one
///
/// The directory is verified first, and not changed. A damaged one is not copied; use `stockhold salvage`.
/// The copy begins with a checkpoint and contains no older log. It keeps the directory's identity, so ids of
/// holds and stock keys are the same in it: open the copy in place of the directory, never both. The copy is
/// verified before the command reports success.
///
/// A program that has the directory open calls Engine::backup, which copies while sales go on.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    copy: CopyArgs,
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

pub(crate) fn run(Args { copy: CopyArgs { from, out } }: Args) -> Result<(), Stop> {
    let inspection = from.open_verified()?;
    let end = inspection.backup(&out).map_err(|error| match error {
        BackupError::Exists(sentence) => Stop::usage(sentence),
        BackupError::Damaged(_) => Stop::Untrue(error.to_string()),
        error => Stop::environment(error),
    })?;
    let copy = Inspection::open(&out)?;
    if copy.drift().is_some() || !levels(&copy).eq(levels(&inspection)) {
        return Err(Stop::Untrue(format!(
            "the copy {} differs from the directory; remove the copy",
            out.display()
        )));
    }
    let (report, stock_keys) = (copy.report(), copy.levels().count() as u64);
    from.print(
        |output| {
            output.json(&Json {
                out: out.display().to_string(),
                directory_id: format!("{:032x}", report.directory_id),
                end: end.0,
                records: report.records,
                stock_keys,
            })
        },
        |output| {
            output.line(format_args!(
                "copied up to position {end} and verified: {} records, {} stock keys",
                thousands(report.records),
                thousands(stock_keys)
            ))
        },
    )
}

fn levels(inspection: &Inspection) -> impl Iterator<Item = stockhold::Level> {
    inspection.levels().map(|entry| entry.level)
}
