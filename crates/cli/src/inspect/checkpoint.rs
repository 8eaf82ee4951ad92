//! `stockhold checkpoint`: a checkpoint in a directory at rest, so that its next opening is quick.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use stockhold::{Config, Engine};

use super::text::counted;
use super::{Common, Output, Stop, finish, open_whole};
use crate::exit::CODES;
use crate::figure::thousands;

/// Makes a checkpoint in a directory that no engine has open, so that its next opening has no log to replay.
///
/// The directory is verified first, opened as any program opens it, closed in order, and verified again; a damaged one
/// is left as it is, see `stockhold salvage`. Nothing is expired or forgotten: overdue holds and old op keys are left to
/// the program that opens it next. The log is kept back to the checkpoint before this one.
///
/// A program that has the directory open makes one with Engine::checkpoint, while it sells.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
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
    /// Where the log begins that is kept.
    from: u64,
    chunks: u64,
    bytes: u64,
    /// What this opening had to replay, and the next has not.
    records_spared: u64,
}

pub(crate) fn run(args: Args) -> ExitCode {
    finish(checkpoint(&args.common))
}

fn checkpoint(common: &Common) -> Result<(), Stop> {
    // Where there is no directory, an engine would make one.
    let has_ledger = open_whole(common)?.report().ledger_files > 0;
    // What is kept for how long, and what becomes of overdue holds, is its program's to say.
    let config = Config::default().op_key_retention(None).driver_period(None);
    let config = config.ledger_kept(has_ledger.then_some(Duration::MAX));
    let engine = Engine::open(&common.dir, config)?;
    let checkpoint = engine.checkpoint().map_err(Stop::environment)?;
    let (records_spared, checkpoint_bytes) = (engine.report().records, engine.metrics().checkpoint_bytes);
    engine.shutdown().map_err(Stop::environment)?;
    let inspection = open_whole(common)?;
    let report = inspection.report();
    if (report.checkpoint, report.end) != (Some(checkpoint), checkpoint) {
        let (found, end) = (report.checkpoint.unwrap_or_default(), report.end);
        return Err(Stop::Untrue(format!(
            "a checkpoint was made at position {checkpoint}, and found is one at {found} of a log up to {end}"
        )));
    }
    let mut output = Output::new();
    if common.json {
        output.json(&Json {
            checkpoint: checkpoint.0,
            checkpoint_bytes,
            from: report.from.0,
            chunks: report.chunks,
            bytes: report.bytes,
            records_spared,
        })?;
    } else {
        let bytes = thousands(checkpoint_bytes);
        output.line(format_args!("checkpoint     position {checkpoint}, {bytes} bytes"))?;
        output.line(format_args!(
            "log            kept from position {} on, {}, {} bytes",
            report.from,
            counted(report.chunks, "chunk"),
            thousands(report.bytes)
        ))?;
        output.line(format_args!(
            "next opening   replays nothing, this one {} records",
            thousands(records_spared)
        ))?;
        output.line(format_args!("verified       everything that the log says is true of it"))?;
    }
    output.close()
}
