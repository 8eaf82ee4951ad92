//! `stockhold replay`: sends an order file through the engine, each order exactly once.
//!
//! [`stock`] receives the stock, then the [`pipeline`] decides the orders. The [`reader`] reads lines
//! ([`csv`], [`line`], [`time`]), groups neighbouring lines of an order ([`open_cart`]) into carts
//! ([`cart`]), and gives each cart its op keys ([`key`]) and its place in the order of decisions ([`turns`]).
//! Workers [`decide`]. The [`collector`] waits until decisions are durable and writes them down
//! ([`outcomes`]). The [`summary`] is printed at the end. [`grouping`] prevents that a directory is used with
//! and without carts.

mod args;
mod batch;
mod cart;
mod collector;
mod csv;
mod decide;
mod grouping;
mod key;
mod line;
mod mark;
mod messages;
mod open_cart;
mod outcomes;
mod pipeline;
mod progress;
mod reader;
mod source;
mod stock;
mod summary;
mod time;
mod turns;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use stockhold::{Config, Engine};

pub use self::args::Args;
use self::decide::Mode;
use self::grouping::Grouping;
use self::line::Columns;
use self::messages::RERUN;
use self::outcomes::OutcomesFile;
use self::pipeline::Settings;
use self::progress::Screen;
use self::summary::{Summary, Tally};
use crate::exit::CommandError;
use crate::output::Stop;

/// Runs the command.
pub fn run(args: Args) -> Result<(), Stop> {
    Ok(replay(&args)?)
}

fn replay(args: &Args) -> Result<(), CommandError> {
    let (stock_name, orders_name) = (args.stock.to_string_lossy(), args.orders.to_string_lossy());
    // Both headers are read before the directory is made: a mistyped file name leaves nothing behind.
    let (stock, _) = source::open(&args.stock, &stock_name, Columns::of_stock)?;
    let (orders, orders_bytes) = source::open(&args.orders, &orders_name, Columns::of_orders)?;
    if args.speed.is_some() && !orders.columns.have_at() {
        let message = format!("{orders_name}: --speed needs the column `at`, which the header does not name");
        return Err(CommandError::Usage(message));
    }
    let engine = open_engine(&args.dir)?;
    grouping::check(&engine, args.lines)?;
    let mut screen = Screen::new(orders_bytes);
    let stock = stock::check(&engine, stock, args.strict, &mut screen)?;
    let outcomes = match &args.outcomes {
        Some(path) => Some(create(path, &[&args.stock, &args.orders])?),
        None => None,
    };
    grouping::record(&engine, args.lines, stock.first_new())?;
    let stock = stock.receive(&engine)?;

    let began = Instant::now();
    let mut tally = if args.lines == Grouping::Carts { Tally::with_carts() } else { Tally::default() };
    let settings = Settings {
        threads: args.threads.into(),
        in_flight: args.in_flight as usize,
        mode: if args.hold { Mode::Hold(Duration::from_millis(args.ttl_ms)) } else { Mode::Confirm },
        grouping: args.lines,
        speed: args.speed,
        strict: args.strict,
    };
    let ran = pipeline::run(&engine, orders, settings, outcomes, &mut screen, &mut tally);
    screen.clear();
    // After an engine failure there are no levels to show. After a bad line with --strict there are.
    if let Ok(()) | Err(CommandError::Usage(_)) = ran {
        let summary = Summary::new(&engine, tally, stock, began.elapsed(), args.top);
        let text = if args.json { summary.json().to_string() } else { summary.text() };
        // The outcomes are durable: the run does not fail if standard output is closed.
        let _ = writeln!(io::stdout(), "{text}");
    }
    let closed =
        engine.shutdown().map_err(|unknown| CommandError::Environment(format!("{unknown}. {RERUN}")));
    ran.and(closed)
}

fn open_engine(dir: &Path) -> Result<Engine, CommandError> {
    // Op keys are kept for ever, so that any later run finds them. The limits allow as many lines as memory
    // does.
    let config = Config::default()
        .op_key_retention(None)
        .op_keys_max(usize::MAX)
        .holds_max(1 << 30)
        .lines_max(i32::MAX as u32);
    Ok(Engine::open(dir, config)?)
}

fn create(path: &Path, inputs: &[&Path]) -> Result<OutcomesFile, CommandError> {
    if let Some(input) = outcomes::overwritten(path, inputs) {
        let message = format!("--outcomes would overwrite {}; name another file", input.display());
        return Err(CommandError::Usage(message));
    }
    OutcomesFile::create(path).map_err(|error| {
        CommandError::Environment(format!("--outcomes {} cannot be created: {error}", path.display()))
    })
}
