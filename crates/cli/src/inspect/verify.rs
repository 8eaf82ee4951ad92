//! `stockhold verify`: checks that a directory is undamaged, and that its log is consistent from start to
//! end.

use serde::Serialize;
use stockhold::Position;
use stockhold::error::OpenError;
use stockhold::inspect::{Inspection, Report, TornTail};

use super::directory::DirectoryArgs;
use crate::exit::CODES;
use crate::figure::thousands;
use crate::output::{Output, Stop};

/// Check a directory from its first record to its last; the directory is not changed
///
/// Every chunk of the log must be undamaged and linked to the chunk before it by its hash, up to the last
/// acknowledged position. Every record must be consistent with the records before it: at every position the
/// units of each stock key add up, each hold has one outcome, no hold is confirmed at or after its deadline
/// or expires before it, and the held and committed units of the levels equal those of the holds.
///
/// The ledger, if there is one, is read completely, and must contain every record up to the newest
/// checkpoint.
///
/// A torn tail is not a failure: a crash cut off a group of records that was never acknowledged, and the next
/// opening removes it.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const MORE_HELP: &str = "\
Examples:
  stockhold verify --dir shop
  stockhold verify --dir shop --json | jq .verified

If the directory has checkpoints, the check starts from the older one, and the log after it must lead to the \
state of the newer one.

With --json, one object: verified, and either what was found, or bad_position and error.";

/// One object, whether or not the check succeeds.
#[derive(Serialize)]
struct Json<'a> {
    verified: bool,
    dir: String,
    /// Position of the first bad record, or at which the log is no longer readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    bad_position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    found: Option<Found>,
}

#[derive(Serialize)]
struct Found {
    directory_id: String,
    epoch: u32,
    closed_in_order: bool,
    records: u64,
    /// Position at which the kept log begins.
    from: u64,
    ledger_from: Option<u64>,
    ledger_files: u64,
    ledger_bytes: u64,
    checkpoint: Option<u64>,
    checkpoints_rejected: Vec<String>,
    chunks: u64,
    bytes: u64,
    end: u64,
    acknowledged: u64,
    time_unix_ms: u64,
    stock_keys: u64,
    torn_tail: Option<Torn>,
}

#[derive(Serialize)]
struct Torn {
    from: u64,
    until: u64,
    chunks: u64,
    bytes: u64,
}

impl Found {
    fn of(inspection: &Inspection) -> Found {
        let report = inspection.report();
        let torn = |tail: TornTail| Torn {
            from: tail.from.0,
            until: tail.until.0,
            chunks: tail.chunks,
            bytes: tail.bytes,
        };
        Found {
            directory_id: format!("{:032x}", report.directory_id),
            epoch: report.epoch,
            closed_in_order: report.closed_in_order,
            records: report.records,
            from: report.from.0,
            ledger_from: report.ledger_from.map(|position| position.0),
            ledger_files: report.ledger_files,
            ledger_bytes: report.ledger_bytes,
            checkpoint: report.checkpoint.map(|position| position.0),
            checkpoints_rejected: report.checkpoints_rejected.clone(),
            chunks: report.chunks,
            bytes: report.bytes,
            end: report.end.0,
            acknowledged: report.acknowledged.0,
            time_unix_ms: report.time.0,
            stock_keys: inspection.levels().count() as u64,
            torn_tail: report.torn_tail.map(torn),
        }
    }
}

pub(crate) fn run(Args { directory }: Args) -> Result<(), Stop> {
    let (inspection, bad) = match Inspection::open(&directory.dir) {
        Ok(inspection) => {
            let drift = inspection.drift().map(|drift| (Some(drift.position), drift.to_string()));
            let ledger = match inspection.verify_ledger() {
                Ok(_) => None,
                Err(OpenError::Damaged { readable, message, .. }) => Some((readable, message)),
                Err(other) => return Err(other.into()),
            };
            (Some(inspection), drift.or(ledger))
        }
        Err(OpenError::Damaged { readable, message, .. }) => (None, Some((readable, message))),
        Err(other) => return Err(other.into()),
    };
    let shown = directory.print(
        |output| {
            output.json(&Json {
                verified: bad.is_none(),
                dir: directory.dir.display().to_string(),
                bad_position: bad.as_ref().and_then(|(position, _)| *position).map(|position| position.0),
                error: bad.as_ref().map(|(_, sentence)| sentence.as_str()),
                found: inspection.as_ref().map(Found::of),
            })
        },
        |output| show(output, inspection.as_ref(), bad.as_ref()),
    );
    // The exit code follows from the check, even if the output is not read.
    match (shown, bad) {
        (Ok(()) | Err(Stop::OutputClosed), Some((_, sentence))) => Err(Stop::Untrue(sentence)),
        (shown, _) => shown,
    }
}

fn show(
    output: &mut Output,
    inspection: Option<&Inspection>,
    bad: Option<&(Option<Position>, String)>,
) -> Result<(), Stop> {
    if let Some(inspection) = inspection {
        describe(output, inspection)?;
    }
    match bad {
        None => output.line(format_args!("verified       directory and log are consistent")),
        Some((Some(position), _)) => output.line(format_args!("NOT VERIFIED   from position {position} on")),
        Some((None, _)) => output.line(format_args!("NOT VERIFIED")),
    }
}

fn describe(output: &mut Output, inspection: &Inspection) -> Result<(), Stop> {
    let Report {
        directory_id,
        epoch,
        closed_in_order,
        records,
        from,
        chunks,
        bytes,
        end,
        acknowledged,
        ledger_from,
        ..
    } = *inspection.report();
    let Report { ledger_files, ledger_bytes, .. } = *inspection.report();
    let closed = if closed_in_order { "closed in order" } else { "not closed in order" };
    output.line(format_args!("directory      {directory_id:032x}, opening {epoch}, {closed}"))?;
    if from.0 == 0 {
        output.line(format_args!(
            "log            {} records in {} chunks, {} bytes",
            thousands(records),
            thousands(chunks),
            thousands(bytes)
        ))?;
    } else {
        output.line(format_args!("records        {} since the beginning", thousands(records)))?;
        output.line(format_args!(
            "log            kept from position {from} on, {} chunks, {} bytes",
            thousands(chunks),
            thousands(bytes)
        ))?;
    }
    if ledger_files > 0 {
        let begins = ledger_from
            .map_or("not readable at its beginning".into(), |from| format!("from position {from} on"));
        output.line(format_args!(
            "ledger         kept {begins}, {} files, {} bytes",
            thousands(ledger_files),
            thousands(ledger_bytes)
        ))?;
    }
    if let Some(checkpoint) = inspection.report().checkpoint {
        output.line(format_args!("checkpoint     position {checkpoint}"))?;
    }
    for rejected in &inspection.report().checkpoints_rejected {
        output.line(format_args!("checkpoint     NOT USABLE: {rejected}"))?;
    }
    output.line(format_args!("end            position {end}, acknowledged up to {acknowledged} at least"))?;
    if records > 0 {
        output.line(format_args!("last time      {}", inspection.report().time))?;
    }
    output.line(format_args!("stock keys     {}", thousands(inspection.levels().count() as u64)))?;
    if let Some(tail) = inspection.report().torn_tail {
        output.line(format_args!(
            "torn tail      from position {} until {}, {} bytes in {} undamaged chunks: never \
             acknowledged, removed by the next opening",
            tail.from,
            tail.until,
            thousands(tail.bytes),
            thousands(tail.chunks)
        ))?;
    }
    Ok(())
}
