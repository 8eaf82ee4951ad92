//! The stock file: each line is received once in the life of the directory.
//!
//! A line's op key is made from its SKU and location. So the receive of a rerun returns the result of the
//! first one, and the engine refuses another quantity as a conflict. A line of 0 units receives nothing and
//! makes a [`mark`] under the same op key, so that a 0 that becomes a 5 is a conflict too.
//!
//! All lines are checked before the first one is received, so that a file with a conflict changes nothing.
//! For that, the lines that are new to the directory are kept in memory, as the engine will keep their stock
//! keys.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use stockhold::error::{OpKeyError, SharedError, StockError};
use stockhold::retry::until_answered;
use stockhold::{Engine, OpKey, Position, Receive, StockKey};

use super::csv::{Fields, Step};
use super::key::KeyMaker;
use super::line::{BadLine, Columns};
use super::mark;
use super::messages::{RERUN, unreadable};
use super::progress::Screen;
use super::source::Source;
use crate::exit::CommandError;

/// Number of conflicts that are shown; the others are only counted.
const CONFLICTS_SHOWN: usize = 20;

/// Counts of the lines of the stock file.
#[derive(Clone, Copy, Debug, Default)]
pub struct StockCounts {
    /// Lines received by this run.
    pub lines: u64,
    /// Units of these lines.
    pub units: u64,
    /// Lines received by an earlier run.
    pub lines_before: u64,
    /// Lines that could not be used.
    pub bad_lines: u64,
}

/// A stock file without conflicts.
#[derive(Debug, Default)]
pub struct CheckedStock {
    new: Vec<NewLine>,
    received: StockCounts,
}

#[derive(Debug)]
struct NewLine {
    /// SKU and location, concatenated.
    text: Box<str>,
    /// Where the SKU ends in `text`.
    sku_end: usize,
    quantity: u32,
    op_key: OpKey,
}

/// A line that contradicts another line, of this file or of an earlier run.
#[derive(Debug)]
enum Conflict {
    /// An earlier run received it with another quantity.
    Changed { sku: String, location: String, quantity: u32 },
    /// The file names its stock key twice.
    Twice { sku: String, location: String, first: u64 },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Changed { sku, location, quantity } => write!(
                f,
                "{sku:?} at {location:?} was received with another quantity than {quantity}; stock is \
                 received once"
            ),
            Conflict::Twice { sku, location, first } => {
                write!(
                    f,
                    "{sku:?} at {location:?} is on line {first} already; keep one line with all its units"
                )
            }
        }
    }
}

/// Checks every line, and changes nothing.
pub fn check<R: Read>(
    engine: &Engine,
    source: Source<'_, R>,
    strict: bool,
    screen: &mut Screen,
) -> Result<CheckedStock, CommandError> {
    let Source { name, mut records, columns } = source;
    let (mut fields, mut keys) = (Fields::default(), KeyMaker::default());
    let mut seen: HashMap<OpKey, u64> = HashMap::new();
    let mut checked = CheckedStock::default();
    let mut conflicts = Vec::new();
    loop {
        let (number, line) = match records.next(&mut fields).map_err(|error| unreadable(name, &error))? {
            Step::End | Step::More => break,
            Step::Malformed(number, why) => (number, Err(BadLine::Malformed(why))),
            Step::Record(number) => (number, parse(&columns, &fields)),
        };
        let (sku, location, quantity) = match line {
            Ok(line) => line,
            Err(why) if strict => {
                let message =
                    format!("{name} line {number}: {why}. Nothing was received or decided (--strict)");
                return Err(CommandError::Usage(message));
            }
            Err(why) => {
                checked.received.bad_lines += 1;
                screen.bad_line(name, number, &why);
                continue;
            }
        };
        let op_key = keys.stock_line(sku, location);
        let named = || (sku.to_owned(), location.to_owned());
        if let Some(&first) = seen.get(&op_key) {
            let (sku, location) = named();
            conflicts.push((number, Conflict::Twice { sku, location, first }));
            continue;
        }
        seen.insert(op_key, number);
        let declared = engine.key(sku, location).ok();
        match declared {
            Some(key) if is_known(engine, op_key)? => match apply(engine, key, quantity, op_key)? {
                Some(_) => checked.received.lines_before += 1,
                None => {
                    let (sku, location) = named();
                    conflicts.push((number, Conflict::Changed { sku, location, quantity }));
                }
            },
            _ => {
                let text = [sku, location].concat().into();
                checked.new.push(NewLine { text, sku_end: sku.len(), quantity, op_key });
            }
        }
    }
    match conflicts.is_empty() {
        true => Ok(checked),
        false => Err(CommandError::Usage(describe(name, &conflicts))),
    }
}

impl CheckedStock {
    /// SKU and location of the first new line.
    pub fn first_new(&self) -> Option<(&str, &str)> {
        self.new.first().map(|line| line.text.split_at(line.sku_end))
    }

    /// Receives the new lines, and waits until they are durable.
    pub fn receive(self, engine: &Engine) -> Result<StockCounts, CommandError> {
        let CheckedStock { new, mut received } = self;
        let mut last = Position::default();
        for line in new {
            let (sku, location) = line.text.split_at(line.sku_end);
            let key = engine
                .declare(sku, location)
                .map_err(|error| CommandError::Environment(error.to_string()))?;
            let Some(position) = apply(engine, key, line.quantity, line.op_key)? else {
                let message = format!("the stock of {sku:?} at {location:?} changed while it was received");
                return Err(CommandError::Environment(message));
            };
            last = last.max(position);
            received.lines += 1;
            received.units += u64::from(line.quantity);
        }
        engine.wait(last).map_err(|unknown| CommandError::Environment(format!("{unknown}. {RERUN}")))?;
        Ok(received)
    }
}

fn parse<'f>(columns: &Columns, fields: &'f Fields) -> Result<(&'f str, &'f str, u32), BadLine> {
    let names = columns.names(fields)?;
    Ok((names.sku, names.location, columns.quantity_or_zero(fields)?))
}

fn is_known(engine: &Engine, op_key: OpKey) -> Result<bool, CommandError> {
    mark::is_known(engine, op_key).map_err(|error| CommandError::Environment(error.to_string()))
}

/// Receives `quantity` units, or finds that an earlier run did; `None` if that was another quantity.
fn apply(
    engine: &Engine,
    key: StockKey,
    quantity: u32,
    op_key: OpKey,
) -> Result<Option<Position>, CommandError> {
    if quantity == 0 {
        return mark::leave(engine, key, op_key);
    }
    let receive = Receive::units(key, quantity).op_key(op_key);
    match until_answered(|| engine.receive(receive)) {
        Ok(receipt) => Ok(Some(receipt.position())),
        Err(StockError::Shared(SharedError::OpKey(OpKeyError::OtherContent))) => Ok(None),
        Err(error) => Err(CommandError::Environment(error.to_string())),
    }
}

fn describe(name: &str, conflicts: &[(u64, Conflict)]) -> String {
    let mut text = String::new();
    for (number, conflict) in conflicts.iter().take(CONFLICTS_SHOWN) {
        text += &format!("{name} line {number}: {conflict}\n");
    }
    if conflicts.len() > CONFLICTS_SHOWN {
        text += &format!("and {} more lines like these\n", conflicts.len() - CONFLICTS_SHOWN);
    }
    text + "Nothing was received or decided. Correct the file, or use a new --dir"
}
