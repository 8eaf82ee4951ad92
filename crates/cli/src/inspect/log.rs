//! `stockhold log`: prints the log, record by record.

use std::fmt::Write;

use serde::Serialize;
use stockhold::error::OpenError;
use stockhold::inspect::{EntryKind, Inspection, LogEntry};
use stockhold::{AdjustReason, Position};

use super::directory::DirectoryArgs;
use super::text::{LineJson, printable, reference, reference_hex};
use crate::exit::CODES;
use crate::output::{Output, Stop};

/// Print the log, one record per line; the directory is not changed
///
/// A record's position is the one that its caller received. Positions increase, but are not consecutive.
/// Records before the older checkpoint are kept only if the directory has a ledger (Config::ledger_kept);
/// `stockhold verify` shows from which positions ledger and log are kept.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Begin with the first record at or after this position [default: the first record that is kept]
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold log --dir shop | head
  stockhold log --dir shop --from 4711
  stockhold log --dir shop --json | jq 'select(.kind == \"adjust\")'

With --json, JSON lines: one object per record, with the fields that its kind has. For a record of a cart, the \
text shows the number of its lines, and --json an array `lines` instead of sku and location. If a record \
contradicts the records before it, the log is printed up to that record and the exit code is 1; see `stockhold \
verify`. A record of a hold that was made before the ledger begins does not name the hold.";

#[derive(Serialize)]
struct Json<'a> {
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_unix_ms: Option<u64>,
    epoch: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
}

impl<'a> Json<'a> {
    fn of(entry: &LogEntry<'a>) -> Json<'a> {
        Json {
            position: entry.position.0,
            at_unix_ms: entry.at.map(|at| at.0),
            epoch: entry.epoch,
            kind: entry.kind.name(),
            sku: entry.sku,
            location: entry.location,
            lines: LineJson::all(&entry.lines),
            hold: entry.hold.map(|hold| hold.to_string()),
            quantity: entry.quantity,
            returned: entry.returned,
            deadline_unix_ms: entry.deadline.map(|deadline| deadline.0),
            opens_at_unix_ms: entry.opens_at.map(|at| at.0),
            reason: entry.reason.map(reason),
            reference: entry.reference.map(|reference| reference.to_string()),
            reference_hex: entry.reference.as_ref().and_then(reference_hex),
            op_key: entry.op_key.map(|key| format!("{:032x}", key.0)),
            available: entry.available,
        }
    }
}

fn reason(reason: AdjustReason) -> &'static str {
    match reason {
        AdjustReason::Count => "count",
        AdjustReason::Damaged => "damaged",
        AdjustReason::Lost => "lost",
        AdjustReason::Found => "found",
        _ => "other",
    }
}

pub(crate) fn run(Args { directory, from }: Args) -> Result<(), Stop> {
    let inspection = Inspection::open(&directory.dir)?;
    let report = inspection.report();
    let kept = report.ledger_from.map_or(report.from, |ledger| ledger.min(report.from));
    if from.is_some_and(|from| from < kept.0) {
        eprintln!(
            "stockhold: the log is kept from position {kept} on; what came before is only in a checkpoint"
        );
    }
    let entries = || inspection.log(Position(from.unwrap_or(0)));
    directory.print(
        |output| print_each(output, entries(), |output, entry| output.json(&Json::of(entry))),
        |output| print_each(output, entries(), |output, entry| output.line(format_args!("{}", line(entry)))),
    )
}

fn print_each<'a>(
    output: &mut Output,
    entries: impl Iterator<Item = Result<LogEntry<'a>, OpenError>>,
    print: impl Fn(&mut Output, &LogEntry<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for entry in entries {
        match entry {
            Ok(entry) => print(output, &entry)?,
            Err(error) => {
                // The records before the bad one are shown first.
                output.flush()?;
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Position, time and kind in columns, then the fields of the record, each with its name.
fn line(entry: &LogEntry<'_>) -> String {
    let at = entry.at.map_or_else(String::new, |at| at.to_string());
    let mut line = format!("{:>12}  {at:<24}  {:<8}", entry.position.0, entry.kind);
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let _ = write!(line, "  {name}={value}"); // writing to a String cannot fail
    };
    if let (Some(sku), Some(location)) = (entry.sku, entry.location) {
        field("sku", &printable(sku));
        field("location", &printable(location));
    }
    if !entry.lines.is_empty() {
        field("lines", &entry.lines.len());
    }
    if let Some(quantity) = entry.quantity {
        field("units", &quantity);
    }
    if let Some(returned) = entry.returned {
        field("returned", &returned);
    }
    if let Some(available) = entry.available {
        field("available", &available);
    }
    if let Some(why) = entry.reason {
        field("reason", &reason(why));
    }
    if let Some(deadline) = entry.deadline {
        field("until", &deadline.to_string());
    }
    if let Some(at) = entry.opens_at {
        field("at", &at.to_string());
    }
    if let Some(hold) = entry.hold {
        field("hold", &hold);
    }
    if let Some(given) = &entry.reference {
        field("reference", &reference(given));
    }
    if let Some(key) = entry.op_key {
        field("op_key", &format_args!("{:032x}", key.0));
    }
    if entry.kind == EntryKind::Opened {
        field("opening", &entry.epoch);
    }
    line.trim_end().to_string()
}
