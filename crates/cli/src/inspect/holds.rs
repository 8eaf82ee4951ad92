//! `stockhold holds`: who has units, and until when.

use std::process::ExitCode;

use serde::Serialize;
use stockhold::inspect::{HoldEntry, LineEntry};

use super::table::{Align, table};
use super::text::{LineJson, counted, now, printable, reference, reference_hex};
use super::{Common, Output, Stop, finish, open_whole};
use crate::exit::CODES;

/// Shows every hold that has units, the oldest first, changing nothing.
///
/// A hold is live, that is active or paying, until its deadline by this machine's clock (or by the last time in the
/// log, if that is later). One past its deadline is shown as overdue: it is over, and its units go back on sale as soon
/// as an engine runs. A confirmed hold is shown until all of it is shipped or cancelled. A cart is one hold, shown with
/// the number of its lines; --json shows each of them.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

const MORE_HELP: &str = "\
Examples:
  stockhold holds --dir shop
  stockhold holds --dir shop --json | jq 'select(.reference == \"order-17\")'

With --json, JSON lines: an object for each hold. A cart has lines, an array, instead of sku and location. An overdue one has the state expired and overdue true.";

#[derive(Serialize)]
struct Json<'a> {
    hold: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineJson<'a>>,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_hex: Option<String>,
    state: String,
    overdue: bool,
    quantity: u32,
    born_unix_ms: u64,
    deadline_unix_ms: Option<u64>,
}

/// The line of a hold that is no cart.
fn only<'a>(lines: &[LineEntry<'a>]) -> Option<LineEntry<'a>> {
    match lines {
        [one] => Some(*one),
        _ => None,
    }
}

pub(crate) fn run(args: Args) -> ExitCode {
    finish(holds(&args.common))
}

fn holds(common: &Common) -> Result<(), Stop> {
    let (inspection, now) = (open_whole(common)?, now());
    let mut output = Output::new();
    if common.json {
        for entry in inspection.holds(now) {
            let one = only(&entry.lines);
            output.json(&Json {
                hold: entry.hold.to_string(),
                sku: one.map(|line| line.sku),
                location: one.map(|line| line.location),
                lines: if one.is_none() { LineJson::all(&entry.lines) } else { Vec::new() },
                reference: entry.reference.to_string(),
                reference_hex: reference_hex(&entry.reference),
                state: entry.state.to_string(),
                overdue: entry.overdue,
                quantity: entry.quantity,
                born_unix_ms: entry.born.0,
                deadline_unix_ms: entry.deadline.map(|deadline| deadline.0),
            })?;
        }
        return output.close();
    }
    let columns = [
        ("hold", Align::Left),
        ("sku", Align::Left),
        ("location", Align::Left),
        ("units", Align::Right),
        ("state", Align::Left),
        ("deadline", Align::Left),
        ("reference", Align::Left),
    ];
    let row = |entry: HoldEntry<'_>| {
        let (sku, location) = match only(&entry.lines) {
            Some(line) => (printable(line.sku).into_owned(), printable(line.location).into_owned()),
            None => (counted(entry.lines.len() as u64, "line"), String::new()),
        };
        [
            entry.hold.to_string(),
            sku,
            location,
            entry.quantity.to_string(),
            if entry.overdue { "overdue".into() } else { entry.state.to_string() },
            entry.deadline.map_or_else(String::new, |at| at.to_string()),
            reference(&entry.reference),
        ]
    };
    let count = table(&mut output, columns, || inspection.holds(now).map(row))?;
    let (position, now) = (inspection.report().end, now.max(inspection.report().time));
    let holds = counted(count, "hold");
    output.line(format_args!("{holds} with units at position {position}, judged at {now}"))?;
    output.close()
}
