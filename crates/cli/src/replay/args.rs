//! The command line of `stockhold replay`.

use std::path::PathBuf;

use super::grouping::Grouping;

/// Send a file of orders through the engine, each order exactly once
///
/// Reads a stock file and an order file (CSV), decides every order, and writes the outcomes to a file if
/// --outcomes is given. Each line of the order file asks for units of one SKU at one location. Neighbouring
/// lines with the same order id form a cart: all of them are granted (reserved and confirmed), or all are
/// refused. Up to --in-flight lines are decided before the disk has confirmed them; an outcome is written
/// only when it is durable. Orders that share a SKU and location are decided in file order, and so are the
/// carts of one order, with any number of --threads.
///
/// Running the same command again grants nothing twice, and continues after a crash. A cart is identified by
/// its order id and the number of carts of that order before it, and the directory remembers it for ever. A
/// refused cart stays refused. If the lines of a decided cart have changed, were added, removed or moved, the
/// cart is not decided again: it is reported as bad, and so are the later, undecided carts of its order. To
/// add lines to an order, put them in a later part of the file, not next to the first lines.
///
/// With --lines separate each line is decided by itself, and identified by its order id, SKU and location and
/// by how often the order named these before. A directory must always be used with the same --lines, or its
/// orders could be granted again. The first run stores the choice in the directory before anything is
/// decided, and a run with the other choice ends without any change.
#[derive(clap::Args, Debug)]
#[command(after_long_help = FORMATS)]
pub struct Args {
    /// CSV file with the initial stock; columns sku,location,quantity
    #[arg(long, value_name = "FILE")]
    pub(super) stock: PathBuf,

    /// CSV file with the orders; columns order_id,sku,location,quantity and optionally at,customer
    #[arg(long, value_name = "FILE")]
    pub(super) orders: PathBuf,

    /// Directory that stores stock and orders; it is made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,

    /// Write the outcome of each line to this CSV file, as soon as it is durable
    #[arg(long, value_name = "FILE")]
    pub(super) outcomes: Option<PathBuf>,

    /// Number of threads that decide. Orders that share stock keep their file order, and may wait for each
    /// other.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,

    /// Most lines that are decided and not yet durable (at least one cart); 1 waits for the disk after each
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(super) in_flight: u32,

    /// Pace the lines by their column `at`, X times as fast [default: as fast as possible]
    #[arg(long, value_name = "X", value_parser = speed)]
    pub(super) speed: Option<f64>,

    /// Hold the units without selling them; the holds expire after --ttl-ms
    #[arg(long)]
    pub(super) hold: bool,

    /// Time to live of a hold in milliseconds, 1 to 2592000000 (30 days)
    #[arg(long, value_name = "N", requires = "hold", default_value_t = 600_000,
          value_parser = clap::value_parser!(u64).range(1..=2_592_000_000))]
    pub(super) ttl_ms: u64,

    /// How neighbouring lines of one order are decided; must be the same in all runs on a directory
    #[arg(long, value_enum, default_value_t = Grouping::Carts)]
    pub(super) lines: Grouping,

    /// End the run at the first bad line, instead of skipping it
    #[arg(long)]
    pub(super) strict: bool,

    /// Number of SKUs in the summary: those with the most lines
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) top: usize,

    /// Print the summary as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

const FORMATS: &str = "\
Files:
  The first line names the columns, in any order; other columns are ignored.
  Fields may be in double quotes.

  stock     sku,location,quantity. A quantity of 0 declares a stock key without
            stock. Each line is received once in the life of the directory. If
            its quantity differs from the first time, nothing is received or
            decided (exit code 2).
  orders    order_id,sku,location,quantity, and optionally customer and at
            (2026-11-27T09:00:00Z, or a number of seconds).
  outcomes  order_id,sku,location,quantity,outcome,reason,hold,available, in
            file order. The outcome is granted or refused. The reason of a
            refusal is out_of_stock, stopped, unknown_sku, unknown_location,
            hold_ended (the hold of an earlier run was ended without a sale), or
            other_line (another line of the cart was refused, with one of the
            other reasons). The lines of a cart share one hold. The available
            units are empty for a line granted in a cart of several lines, and
            for other_line.

A cart has at most 2048 lines, with 2147483647 units together. It is decided
when the line after it has been read. A line whose order id cannot be read
belongs to the cart around it, if both neighbours have the same order id.

Bad lines (missing or malformed fields, a quantity that is zero, negative or
above 2147483647, text that is not UTF-8) are reported by number, counted and
skipped, each with its whole cart. A cart that is too large is bad, too. While a
cart of an order is bad, has changed, or asks for unknown stock, the later carts
of that order are bad: they wait for a run that decides it. With --strict the
first bad line ends the run; what was decided before its cart stays decided.

Exit codes:
  0  every line was decided or skipped
  2  wrong usage or bad input: the command line or a file
  3  a file cannot be read or written, the directory is in use, or its log
     failed: fix that and run the same command again

Example:
  stockhold replay --stock stock.csv --orders orders.csv --dir sale \\
      --outcomes outcomes.csv";

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => {
            Err("expected a number above zero: 1 is the original speed, 60 replays a minute in a second"
                .into())
        }
    }
}
