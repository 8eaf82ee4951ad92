//! `stockhold checkpoint`: makes a checkpoint in a directory that no engine has open.

use std::time::Duration;

use serde::Serialize;
use stockhold::{Config, Engine};

use super::directory::DirectoryArgs;
use super::text::counted;
use crate::exit::CODES;
use crate::figure::thousands;
use crate::output::Stop;

/// Make a checkpoint in a directory that no engine has open, so that it opens faster the next time
///
/// The next opening then has no log to replay. The directory is verified, opened as a program opens it, given
/// a checkpoint, closed, and verified again. A damaged directory is left unchanged; use `stockhold salvage`.
/// No hold is expired and no op key is forgotten: the next program that opens the directory does that by its
/// own settings. The log is kept back to the checkpoint before this one.
///
/// A program that has the directory open calls Engine::checkpoint, which works while sales go on.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const MORE_HELP: &str = "\
Examples:
  stockhold checkpoint --dir shop
  stockhold checkpoint --dir shop --json | jq .records_spared

With --json, one object: checkpoint, checkpoint_bytes, from, chunks, bytes, records_spared.";

#[derive(Serialize)]
struct Json {
    checkpoint: u64,
    checkpoint_bytes: u64,
    /// Position at which the kept log begins.
    from: u64,
    chunks: u64,
    bytes: u64,
    /// Records that this opening had to replay, and that the next one will not.
    records_spared: u64,
}

pub(crate) fn run(Args { directory }: Args) -> Result<(), Stop> {
    // Verified before the engine opens it: the engine would make a directory that does not exist.
    let has_ledger = directory.open_verified()?.report().ledger_files > 0;
    // How long things are kept, and what happens to overdue holds, is for the directory's own program to set.
    let config = Config::default().op_key_retention(None).driver_period(None);
    let config = config.ledger_kept(has_ledger.then_some(Duration::MAX));
    let engine = Engine::open(&directory.dir, config)?;
    let checkpoint = engine.checkpoint().map_err(Stop::environment)?;
    let (records_spared, checkpoint_bytes) = (engine.report().records, engine.metrics().checkpoint_bytes);
    engine.shutdown().map_err(Stop::environment)?;
    let inspection = directory.open_verified()?;
    let report = inspection.report();
    if (report.checkpoint, report.end) != (Some(checkpoint), checkpoint) {
        let (found, end) = (report.checkpoint.unwrap_or_default(), report.end);
        return Err(Stop::Untrue(format!(
            "a checkpoint was made at position {checkpoint}, but there is one at {found} and a log up to \
             {end}"
        )));
    }
    directory.print(
        |output| {
            output.json(&Json {
                checkpoint: checkpoint.0,
                checkpoint_bytes,
                from: report.from.0,
                chunks: report.chunks,
                bytes: report.bytes,
                records_spared,
            })
        },
        |output| {
            let bytes = thousands(checkpoint_bytes);
            output.line(format_args!("checkpoint     position {checkpoint}, {bytes} bytes"))?;
            output.line(format_args!(
                "log            kept from position {} on, {}, {} bytes",
                report.from,
                counted(report.chunks, "chunk"),
                thousands(report.bytes)
            ))?;
            output.line(format_args!(
                "next opening   replays no records; this one replayed {}",
                thousands(records_spared)
            ))?;
            output.line(format_args!("verified       directory and log are consistent"))
        },
    )
}
