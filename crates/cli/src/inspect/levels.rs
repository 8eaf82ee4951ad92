//! `stockhold levels`: what is in stock at the log's end.

use std::process::ExitCode;

use serde::{Serialize, Serializer};
use stockhold::inspect::{Inspection, LevelEntry};

use super::table::{Align, table};
use super::text::{counted, now, printable};
use super::{Common, Output, Stop, finish, open_whole};
use crate::exit::CODES;

/// Shows the level of every stock key at the log's end, changing nothing.
///
/// available = on hand - held - committed; below zero it is a shortfall. Held counts every hold whose end the log does
/// not know, overdue ones too; see `stockhold holds`. A sale that opens later than now by this machine's clock is noted.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Only this SKU, at all its locations
    #[arg(long)]
    sku: Option<String>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold levels --dir shop
  stockhold levels --dir shop --sku poster --json | jq '.levels[] | select(.available <= 0)'

With --json, one object: position, and levels, an array with an object for each stock key.";

/// One object; the array is never in memory.
#[derive(Serialize)]
struct Json<'a> {
    position: u64,
    levels: Levels<'a>,
}

struct Levels<'a>(&'a Inspection, Option<&'a str>);

#[derive(Serialize)]
struct Level<'a> {
    sku: &'a str,
    location: &'a str,
    on_hand: i64,
    held: i64,
    committed: i64,
    available: i64,
    stopped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at_unix_ms: Option<u64>,
}

impl<'a> Levels<'a> {
    fn iter(&self) -> impl Iterator<Item = LevelEntry<'a>> + use<'a> {
        let wanted = self.1;
        self.0.levels().filter(move |entry| wanted.is_none_or(|sku| sku == entry.sku))
    }
}

impl Serialize for Levels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|LevelEntry { sku, location, level, .. }| Level {
            sku,
            location,
            on_hand: level.on_hand,
            held: level.held,
            committed: level.committed,
            available: level.available,
            stopped: level.stopped,
            opens_at_unix_ms: level.opens_at.map(|at| at.0),
        }))
    }
}

pub(crate) fn run(args: Args) -> ExitCode {
    finish(levels(&args))
}

fn levels(args: &Args) -> Result<(), Stop> {
    let inspection = open_whole(&args.common)?;
    let levels = Levels(&inspection, args.sku.as_deref());
    if let Some(sku) = &args.sku
        && levels.iter().next().is_none()
    {
        let sentence = format!("no stock of SKU {sku:?} was ever declared in {}", args.common.dir.display());
        return Err(Stop::usage(sentence));
    }
    let (position, now) = (inspection.report().end, now());
    let mut output = Output::new();
    if args.common.json {
        output.json(&Json { position: position.0, levels })?;
        return output.close();
    }
    let columns = [
        ("sku", Align::Left),
        ("location", Align::Left),
        ("on hand", Align::Right),
        ("held", Align::Right),
        ("committed", Align::Right),
        ("available", Align::Right),
        ("", Align::Left),
    ];
    let row = |LevelEntry { sku, location, level, .. }: LevelEntry<'_>| {
        let mut notes = Vec::new();
        if level.available < 0 {
            notes.push("shortfall".to_string());
        }
        if level.stopped {
            notes.push("sale stopped".to_string());
        }
        if let Some(at) = level.opens_at.filter(|at| *at > now) {
            notes.push(format!("sale opens {at}"));
        }
        [
            printable(sku).into_owned(),
            printable(location).into_owned(),
            level.on_hand.to_string(),
            level.held.to_string(),
            level.committed.to_string(),
            level.available.to_string(),
            notes.join(", "),
        ]
    };
    let count = table(&mut output, columns, || levels.iter().map(row))?;
    output.line(format_args!("{} at position {position}", counted(count, "stock key")))?;
    output.close()
}
