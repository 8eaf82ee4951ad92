//! `stockhold holds`: the holds that still have units.

use serde::Serialize;
use stockhold::inspect::{HoldEntry, LineEntry};

use super::directory::DirectoryArgs;
use super::table::{Align, table};
use super::text::{LineJson, counted, now, printable, reference, reference_hex};
use crate::exit::CODES;
use crate::output::Stop;

/// Show every hold that still has units, oldest first; the directory is not changed
///
/// A hold is live (active or paying) until its deadline, by this machine's clock or by the last time in the
/// log, whichever is later. After its deadline it is shown as overdue: it can no longer be confirmed, and an
/// engine returns its units to the stock as soon as it runs. A confirmed hold is shown until all of it is
/// shipped or cancelled. A cart is one hold; the table shows the number of its lines, --json each line.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const MORE_HELP: &str = "\
Examples:
  stockhold holds --dir shop
  stockhold holds --dir shop --json | jq 'select(.reference == \"order-17\")'

With --json, JSON lines: one object per hold. A cart has an array `lines` instead of sku and location. An \
overdue hold has the state expired, and overdue is true.";

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

/// The line of a hold that is not a cart.
fn only_line<'a>(lines: &[LineEntry<'a>]) -> Option<LineEntry<'a>> {
    match lines {
        [one] => Some(*one),
        _ => None,
    }
}

pub(crate) fn run(Args { directory }: Args) -> Result<(), Stop> {
    let (inspection, now) = (directory.open_verified()?, now());
    // `now` is in range, so no hold is left out.
    let holds = || inspection.holds(now).into_iter().flatten();
    directory.print(
        |output| {
            for entry in holds() {
                output.json(&Json::of(&entry))?;
            }
            Ok(())
        },
        |output| {
            let count = table(output, COLUMNS, || holds().map(row))?;
            let (position, now) = (inspection.report().end, now.max(inspection.report().time));
            let counted = counted(count, "hold");
            output.line(format_args!(
                "{counted} with units at position {position}; deadlines compared with {now}"
            ))
        },
    )
}

impl<'a> Json<'a> {
    fn of(entry: &HoldEntry<'a>) -> Json<'a> {
        let only = only_line(&entry.lines);
        Json {
            hold: entry.hold.to_string(),
            sku: only.map(|line| line.sku),
            location: only.map(|line| line.location),
            lines: if only.is_none() { LineJson::all(&entry.lines) } else { Vec::new() },
            reference: entry.reference.to_string(),
            reference_hex: reference_hex(&entry.reference),
            state: entry.state.to_string(),
            overdue: entry.overdue,
            quantity: entry.quantity,
            born_unix_ms: entry.born.0,
            deadline_unix_ms: entry.deadline.map(|deadline| deadline.0),
        }
    }
}

const COLUMNS: [(&str, Align); 7] = [
    ("hold", Align::Left),
    ("sku", Align::Left),
    ("location", Align::Left),
    ("units", Align::Right),
    ("state", Align::Left),
    ("deadline", Align::Left),
    ("reference", Align::Left),
];

fn row(entry: HoldEntry<'_>) -> [String; 7] {
    let (sku, location) = match only_line(&entry.lines) {
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
}
