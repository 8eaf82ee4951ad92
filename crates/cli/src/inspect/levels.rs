//! `stockhold levels`: the stock at the end of the log.

use serde::{Serialize, Serializer};
use stockhold::Timestamp;
use stockhold::inspect::{Inspection, LevelEntry};

use super::directory::DirectoryArgs;
use super::table::{Align, table};
use super::text::{counted, now, printable};
use crate::exit::CODES;
use crate::output::Stop;

/// Show the level of every stock key at the end of the log; the directory is not changed
///
/// available = on hand - held - committed; a number below zero is a shortfall. Held includes every hold that
/// the log does not show as ended, overdue ones too; `stockhold holds` lists them. A note marks a stock key
/// whose sale is stopped, or opens later than now by this machine's clock.
#[derive(clap::Args)]
#[command(after_long_help = format!("{MORE_HELP}\n\n{CODES}"))]
pub(crate) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Show only this SKU, at all its locations
    #[arg(long)]
    sku: Option<String>,
}

const MORE_HELP: &str = "\
Examples:
  stockhold levels --dir shop
  stockhold levels --dir shop --sku poster --json | jq '.levels[] | select(.available <= 0)'

With --json, one object: position, and an array `levels` with one object per stock key.";

/// One object. The array is written entry by entry, so that it is never held in memory.
#[derive(Serialize)]
struct Json<'a> {
    position: u64,
    levels: LevelsJson<'a>,
}

/// The levels of one SKU, or of all.
#[derive(Clone, Copy)]
struct LevelsJson<'a>(&'a Inspection, Option<&'a str>);

#[derive(Serialize)]
struct LevelJson<'a> {
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

impl<'a> LevelsJson<'a> {
    fn iter(&self) -> impl Iterator<Item = LevelEntry<'a>> + use<'a> {
        let wanted = self.1;
        self.0.levels().filter(move |entry| wanted.is_none_or(|sku| sku == entry.sku))
    }
}

impl Serialize for LevelsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|LevelEntry { sku, location, level, .. }| LevelJson {
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

pub(crate) fn run(Args { directory, sku }: Args) -> Result<(), Stop> {
    let inspection = directory.open_verified()?;
    let levels = LevelsJson(&inspection, sku.as_deref());
    if let Some(sku) = &sku
        && levels.iter().next().is_none()
    {
        let dir = directory.dir.display();
        return Err(Stop::usage(format!("no stock key with the SKU {sku:?} was ever declared in {dir}")));
    }
    let (position, now) = (inspection.report().end, now());
    directory.print(
        |output| output.json(&Json { position: position.0, levels }),
        |output| {
            let count = table(output, COLUMNS, || levels.iter().map(|entry| row(entry, now)))?;
            output.line(format_args!("{} at position {position}", counted(count, "stock key")))
        },
    )
}

const COLUMNS: [(&str, Align); 7] = [
    ("sku", Align::Left),
    ("location", Align::Left),
    ("on hand", Align::Right),
    ("held", Align::Right),
    ("committed", Align::Right),
    ("available", Align::Right),
    ("", Align::Left),
];

fn row(LevelEntry { sku, location, level, .. }: LevelEntry<'_>, now: Timestamp) -> [String; 7] {
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
}
