//! `stockhold replay`: an order file through the engine, exactly once.
//!
//! [`stock`] receives what there is, then the [`pipeline`] sends the orders: [`reader`] reads them ([`csv`],
//! [`line`], [`time`]), gathers neighbours ([`open`]) into carts ([`cart`]) and gives each its op key ([`key`]) and its
//! turn ([`turns`]), workers [`decide`], [`collector`] waits until it can be relied on and writes it down
//! ([`outcomes`]). [`summary`] ends it. [`begun`] keeps a directory to what it was begun with.

mod begun;
mod cart;
mod collector;
mod csv;
mod decide;
mod key;
mod line;
mod mark;
mod open;
mod outcomes;
mod pipeline;
mod progress;
mod reader;
mod stock;
mod summary;
mod time;
mod turns;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stockhold::{Config, Engine};

use self::begun::Lines;
use self::csv::{Fields, Records, Step};
use self::decide::Mode;
use self::line::Columns;
use self::outcomes::Outcomes;
use self::pipeline::Settings;
use self::progress::Screen;
use self::summary::{Summary, Tally};
use crate::exit::CommandError;
use crate::output::Stop;

/// What to do after a run that broke off.
const RERUN: &str = "Mend the cause and run the same command again: it goes on where this run ended and grants \
                     nothing twice";

/// Send a file of orders through the engine, exactly once
///
/// Each line of the order file asks for units of one SKU at one location. Neighbouring lines of one order id are a
/// cart: all of them are sold to (reserved and confirmed), or all are refused. Carts are decided ahead of the disk,
/// --in-flight lines at a time, and an outcome is told only when it is durable. Whatever the number of --threads,
/// those that share a SKU and location are decided in file order, and so are those of one order.
///
/// Running the same command again grants nothing twice and goes on where a crash ended it: a cart is known by its
/// order id and how many carts the order had before, and the directory remembers it for good. One that was refused
/// stays refused. One whose lines have changed, or come, gone or moved, is not decided again: it is a bad one, as are
/// the later ones of its order that were not decided yet. Later lines for an order stand apart, not next to the first.
///
/// With --lines separate each line is a decision of its own, known by its order id, SKU, location, and how often the
/// order named these before. A directory stays as it was begun: under the other --lines its orders could be granted
/// once more, so the first run leaves a mark in it before anything is decided, and a run with the other --lines ends
/// without having done anything.
#[derive(clap::Args, Debug)]
#[command(after_long_help = FORMATS)]
pub struct Args {
    /// Stock to begin with: CSV with the columns sku,location,quantity
    #[arg(long, value_name = "FILE")]
    stock: PathBuf,

    /// Orders: CSV with the columns order_id,sku,location,quantity and perhaps at,customer
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,

    /// Directory that keeps the stock and the orders; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Write what each line got to this CSV file, each line once it is durable
    #[arg(long, value_name = "FILE")]
    outcomes: Option<PathBuf>,

    /// Threads that decide; an order that asks for what others ask for waits for its turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// Lines decided and not yet durable, at most (a cart at least); 1 = each waits for its acknowledgement
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    in_flight: u32,

    /// Pace the lines by their column `at`, X times as fast as it was; without it they go as fast as they can
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,

    /// Only hold the units and sell nothing: the holds expire after --ttl-ms
    #[arg(long)]
    hold: bool,

    /// How long a hold lives, in milliseconds, 1 to 2592000000 (30 days)
    #[arg(long, value_name = "N", requires = "hold", default_value_t = 600_000,
          value_parser = clap::value_parser!(u64).range(1..=2_592_000_000))]
    ttl_ms: u64,

    /// What neighbouring lines of one order are to each other; the same for all runs of a directory
    #[arg(long, value_enum, default_value_t = Lines::Carts)]
    lines: Lines,

    /// End the run at the first bad line, instead of skipping it
    #[arg(long)]
    strict: bool,

    /// How many SKUs the summary lists: those with the most lines
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    /// Print the summary as one JSON object, alone on standard output
    #[arg(long)]
    json: bool,
}

const FORMATS: &str = "\
Files:
  The first line names the columns, in any order; other columns are ignored.
  Fields may stand in double quotes.

  stock     sku,location,quantity. 0 declares a key without stock. A line is
            received once in the life of the directory. If its quantity is not
            that of the first time, nothing is received or decided (exit 2).
  orders    order_id,sku,location,quantity and, if you like, customer and at
            (2026-11-27T09:00:00Z, or seconds).
  outcomes  order_id,sku,location,quantity,outcome,reason,hold,available, in
            file order. The outcome is granted or refused. A refusal's reason is
            out_of_stock, stopped, unknown_sku, unknown_location, hold_ended
            (somebody ended the hold of an earlier run unsold), or other_line:
            the cart was refused because of another line of it, which has one
            of the other reasons. The lines of a cart share a hold. What was
            available is empty for a line granted in a cart of several, and
            for other_line.

Carts have at most 2048 lines, of 2147483647 units together. A cart is decided
when the line after it has been read. A line whose order id cannot be read is
of the cart around it, if lines of one order stand on both sides.

Bad lines (fields missing or malformed, a quantity that is zero, negative or
above 2147483647, text that is not UTF-8) are reported by number, counted and
skipped, each with its whole cart. A cart that is too large is bad too. While a
cart of an order is bad, changed or asks for stock that nobody knows, the later
carts of that order are bad: they wait for a run that decides it. With --strict
the first bad line ends the run; what was decided before its cart stays decided.

Exit codes:
  0  every line was decided or skipped
  2  wrong usage, or bad input: the command line or a file
  3  a file cannot be read or written, the directory is in use, or its log
     failed: mend that and run the same command again

Example:
  stockhold replay --stock stock.csv --orders orders.csv --dir sale \\
      --outcomes outcomes.csv";

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => {
            Err("expected a number above zero: 1 is as fast as it was, 60 makes a minute of a second".into())
        }
    }
}

/// A file that cannot be read.
fn unreadable(name: &str, error: &io::Error) -> CommandError {
    CommandError::Environment(format!("{name} cannot be read: {error}"))
}

/// A file whose header has been read.
struct Source<'a, R> {
    name: &'a str,
    records: Records<R>,
    columns: Columns,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), Stop> {
    Ok(replay(&args)?)
}

fn replay(args: &Args) -> Result<(), CommandError> {
    let (stock_name, orders_name) = (args.stock.to_string_lossy(), args.orders.to_string_lossy());
    // Both headers are read before the directory is touched: a mistyped name leaves nothing behind.
    let (stock, _) = open(&args.stock, &stock_name, Columns::of_stock)?;
    let (orders, orders_bytes) = open(&args.orders, &orders_name, Columns::of_orders)?;
    if args.speed.is_some() && !orders.columns.have_at() {
        let message =
            format!("{orders_name}: --speed paces by the column `at`, which the header does not name");
        return Err(CommandError::Usage(message));
    }
    let engine = open_engine(&args.dir)?;
    begun::check(&engine, args.lines)?;
    let mut screen = Screen::new(orders_bytes);
    let stock = stock::check(&engine, stock, args.strict, &mut screen)?;
    let outcomes = match &args.outcomes {
        Some(path) => Some(create(path, &[&args.stock, &args.orders])?),
        None => None,
    };
    begun::say(&engine, args.lines, stock.first_new())?;
    let stock = stock.receive(&engine)?;

    let began = Instant::now();
    let mut tally = if args.lines == Lines::Carts { Tally::of_carts() } else { Tally::default() };
    let settings = Settings {
        threads: args.threads.into(),
        in_flight: args.in_flight as usize,
        mode: if args.hold { Mode::Hold(Duration::from_millis(args.ttl_ms)) } else { Mode::Confirm },
        lines: args.lines,
        speed: args.speed,
        strict: args.strict,
    };
    let ran = pipeline::run(&engine, orders, settings, outcomes, &mut screen, &mut tally);
    screen.clear();
    // A broken engine has no levels to tell; a bad line under --strict leaves a sound one.
    if let Ok(()) | Err(CommandError::Usage(_)) = ran {
        let summary = Summary::new(&engine, tally, stock, began.elapsed(), args.top);
        let text = if args.json { summary.json().to_string() } else { summary.text() };
        // A closed pipe is no reason to call a run failed whose outcomes are durable.
        let _ = writeln!(io::stdout(), "{text}");
    }
    let closed =
        engine.shutdown().map_err(|unknown| CommandError::Environment(format!("{unknown}. {RERUN}")));
    ran.and(closed)
}

fn open<'a>(
    path: &Path,
    name: &'a str,
    columns: fn(Step, &Fields) -> Result<Columns, String>,
) -> Result<(Source<'a, File>, u64), CommandError> {
    let reading = |error: io::Error| unreadable(name, &error);
    let file = File::open(path).map_err(reading)?;
    let bytes = file.metadata().map_err(reading)?.len();
    let mut records = Records::new(file).map_err(reading)?;
    let mut header = Fields::default();
    let first = records.next(&mut header).map_err(reading)?;
    let columns = columns(first, &header).map_err(|why| CommandError::Usage(format!("{name}: {why}")))?;
    Ok((Source { name, records, columns }, bytes))
}

fn open_engine(dir: &Path) -> Result<Engine, CommandError> {
    // Op keys for good, so that any later run finds them; room for as many lines as there is memory.
    let config = Config::default()
        .op_key_retention(None)
        .op_keys_max(usize::MAX)
        .holds_max(1 << 30)
        .lines_max(i32::MAX as u32);
    Ok(Engine::open(dir, config)?)
}

fn create(path: &Path, inputs: &[&Path]) -> Result<Outcomes, CommandError> {
    if let Some(input) = outcomes::overwritten(path, inputs) {
        let message = format!("--outcomes would overwrite {}; name another file", input.display());
        return Err(CommandError::Usage(message));
    }
    Outcomes::create(path).map_err(|error| {
        CommandError::Environment(format!("--outcomes {} cannot be made: {error}", path.display()))
    })
}
