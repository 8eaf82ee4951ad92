//! The start of the pipeline: reads lines, makes carts with their op keys, and sends them to the workers in
//! batches.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::batch::{BatchPlan, PlanSlot, WorkerCarts};
use super::cart::{Cart, Line};
use super::csv::{Fields, Records, Step};
use super::grouping::Grouping;
use super::key::{CartKeys, CartPlace, KeyMaker, stock_hash};
use super::line::{BadLine, Columns};
use super::open_cart::{ClosedCart, OpenCart};
use super::time::Pace;
use super::turns::{After, Board, Turns};

/// The batch that is being filled.
pub struct Batch {
    slots: Vec<PlanSlot>,
    lines: usize,
    /// The carts of each worker.
    carts: Vec<WorkerCarts>,
}

impl Batch {
    /// An empty batch.
    pub fn new(workers: usize) -> Self {
        Batch { slots: Vec::new(), lines: 0, carts: (0..workers).map(|_| Vec::new()).collect() }
    }
}

/// The run ends: the collector has ended, or a bad line ended a strict run.
struct RunEnds;

/// Reads lines and distributes carts.
pub struct Reader<'a, R> {
    pub records: Records<R>,
    pub columns: Columns,
    pub keys: KeyMaker,
    pub grouping: Grouping,
    /// The cart whose last line may not be read yet.
    pub open: Option<OpenCart>,
    pub turns: Turns,
    pub board: &'a Board,
    pub pace: Option<Pace>,
    pub strict: bool,
    pub stop: &'a AtomicBool,
    /// One message for each batch that may be sent.
    pub permits: Receiver<()>,
    pub batch_lines: usize,
    pub batch: Batch,
    pub workers: Vec<SyncSender<WorkerCarts>>,
    pub plans: SyncSender<BatchPlan>,
}

impl<R: Read> Reader<'_, R> {
    /// Reads to the end of the file, or until the run ends.
    pub fn run(mut self) -> io::Result<()> {
        let read = self.read();
        // The lines before a read failure are decided like all others. If the collector has ended, it reports
        // why.
        let _ = self.send();
        read
    }

    fn read(&mut self) -> io::Result<()> {
        let mut fields = Fields::default();
        // Relaxed: a request to end soon, which carries no data.
        while !self.stop.load(Ordering::Relaxed) {
            let number = match self.records.step(&mut fields) {
                Step::End => {
                    let _ = self.close();
                    break;
                }
                Step::More => {
                    // The file may be a pipe whose next line comes late, so a partial batch is sent now. An
                    // open cart has to wait: the next line may belong to it.
                    if self.send().is_err() {
                        break;
                    }
                    self.records.fill()?;
                    continue;
                }
                Step::Malformed(number, why) => {
                    if self.unassigned(number, BadLine::Malformed(why)).is_err() {
                        break;
                    }
                    continue;
                }
                Step::Record(number) => number,
            };
            if self.record(number, &fields).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn record(&mut self, number: u64, fields: &Fields) -> Result<(), RunEnds> {
        match self.grouping {
            Grouping::Carts => self.cart_line(number, fields),
            Grouping::Separate => self.separate_line(number, fields),
        }
    }

    /// A line that is decided by itself.
    fn separate_line(&mut self, number: u64, fields: &Fields) -> Result<(), RunEnds> {
        let names = match self.columns.names(fields) {
            Ok(names) => names,
            Err(why) => return self.bad(number, why),
        };
        // The occurrence is counted before the other columns are read, so that a line that is fixed for the
        // next run does not change the keys of others.
        let keys = self.keys.order_line(names);
        match self.line(number, fields)? {
            Ok(line) => self.cart(vec![line], keys, None),
            Err(why) => self.bad(number, why),
        }
    }

    /// A line that is decided together with its neighbours.
    fn cart_line(&mut self, number: u64, fields: &Fields) -> Result<(), RunEnds> {
        let order_id = match self.columns.order_id(fields) {
            Ok(order_id) => order_id,
            Err(why) => return self.unassigned(number, why),
        };
        if self.open.as_ref().is_none_or(|open| *open.order_id != *order_id) {
            self.close()?;
            // The cart is counted even if it turns out to be bad, like a separate line.
            self.open = Some(OpenCart::new(order_id, self.keys.cart(order_id)));
        }
        let line = match self.line(number, fields)? {
            Err(why) if self.strict => return self.bad(number, why),
            line => line,
        };
        let Some(open) = &mut self.open else { return Ok(()) };
        open.push(number, line);
        if !open.is_too_long() {
            return Ok(());
        }
        self.board.block(open.place);
        let bad = open.take_too_long();
        self.all_bad(bad)
    }

    /// A line whose order id cannot be read.
    fn unassigned(&mut self, number: u64, why: BadLine) -> Result<(), RunEnds> {
        match &mut self.open {
            Some(open) if !self.strict => {
                if open.push_unassigned(number, why) {
                    Ok(())
                } else {
                    self.close()
                }
            }
            _ => self.bad(number, why),
        }
    }

    /// Reads the other columns of a line, and waits until the line is due.
    fn line(&mut self, number: u64, fields: &Fields) -> Result<Result<Line, BadLine>, RunEnds> {
        let parsed = self.columns.names(fields).and_then(|names| Ok((names, self.columns.request(fields)?)));
        let (names, (quantity, at)) = match parsed {
            Ok(parsed) => parsed,
            Err(why) => return Ok(Err(why)),
        };
        if let (Some(pace), Some(at)) = (&mut self.pace, at) {
            let due = pace.due(at, Instant::now());
            self.sleep_until(due)?;
        }
        Ok(Ok(Line::new(number, names, quantity)))
    }

    /// Completes the open cart and adds it to the batch: no line of it follows.
    fn close(&mut self) -> Result<(), RunEnds> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (keys, place) = (open.keys, open.place);
        let ClosedCart { cart, unassigned } = open.close();
        match cart {
            Ok(lines) => self.cart(lines, keys, Some(place))?,
            Err(bad) => {
                self.board.block(place);
                self.all_bad(bad)?;
            }
        }
        self.all_bad(unassigned)
    }

    fn cart(&mut self, lines: Vec<Line>, keys: CartKeys, place: Option<CartPlace>) -> Result<(), RunEnds> {
        if self.batch.lines > 0 && self.batch.lines + lines.len() > self.batch_lines {
            self.send()?;
        }
        let hashes = lines.iter().map(|line| stock_hash(line.names()));
        // Whether a later cart of an order may be decided depends on the decisions on the earlier ones.
        let after_all = place.is_some_and(|place| place.before > 0);
        let (worker, after): (usize, After) = self.turns.next(hashes, after_all);
        let count = lines.len();
        self.batch.carts[worker].push(Cart { lines, keys, place, after });
        self.slot(PlanSlot::Worker(worker), count)
    }

    fn sleep_until(&mut self, due: Instant) -> Result<(), RunEnds> {
        if due <= Instant::now() {
            return Ok(());
        }
        self.send()?;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    fn all_bad(&mut self, lines: Vec<(u64, BadLine)>) -> Result<(), RunEnds> {
        lines.into_iter().try_for_each(|(number, why)| self.bad(number, why))
    }

    fn bad(&mut self, number: u64, why: BadLine) -> Result<(), RunEnds> {
        self.slot(PlanSlot::Bad { number, why }, 1)?;
        if self.strict { Err(RunEnds) } else { Ok(()) }
    }

    fn slot(&mut self, slot: PlanSlot, lines: usize) -> Result<(), RunEnds> {
        self.batch.slots.push(slot);
        self.batch.lines += lines;
        if self.batch.lines >= self.batch_lines { self.send() } else { Ok(()) }
    }

    /// Sends the batch to the workers and the collector, if it is not empty.
    fn send(&mut self) -> Result<(), RunEnds> {
        if self.batch.slots.is_empty() {
            return Ok(());
        }
        self.permits.recv().map_err(|_| RunEnds)?;
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.workers.len()));
        for (carts, worker) in batch.carts.into_iter().zip(&self.workers) {
            if !carts.is_empty() {
                worker.send(carts).map_err(|_| RunEnds)?;
            }
        }
        let plan = BatchPlan { slots: batch.slots, bytes: self.records.consumed_bytes() };
        self.plans.send(plan).map_err(|_| RunEnds)
    }
}
