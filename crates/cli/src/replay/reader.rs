//! The front of the pipeline: reads lines, names them, and hands them to their workers in batches.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::begun::Lines;
use super::cart::{Cart, Line};
use super::csv::{Fields, Records, Step};
use super::key::{CartKeys, KeyMaker, Place, stock_hash};
use super::line::{BadLine, Columns};
use super::open::{Closed, Open};
use super::pipeline::{Part, Plan, Slot};
use super::time::Pace;
use super::turns::{After, Board, Turns};

/// What is gathered for one batch.
pub struct Batch {
    slots: Vec<Slot>,
    lines: usize,
    parts: Vec<Part>,
}

impl Batch {
    /// An empty one.
    pub fn new(workers: usize) -> Self {
        Batch { slots: Vec::new(), lines: 0, parts: (0..workers).map(|_| Vec::new()).collect() }
    }
}

/// The collector has gone; so has the reason to read on.
struct Gone;

/// Reads, names and distributes lines.
pub struct Reader<'a, R> {
    pub records: Records<R>,
    pub columns: Columns,
    pub keys: KeyMaker,
    pub lines: Lines,
    /// The cart whose end has not been seen.
    pub open: Option<Open>,
    pub turns: Turns,
    pub board: &'a Board,
    pub pace: Option<Pace>,
    pub strict: bool,
    pub stop: &'a AtomicBool,
    pub leave: Receiver<()>,
    pub batch_lines: usize,
    pub batch: Batch,
    pub parts: Vec<SyncSender<Part>>,
    pub plans: SyncSender<Plan>,
}

impl<R: Read> Reader<'_, R> {
    /// Reads to the end of the file, or until the run ends.
    pub fn run(mut self) -> io::Result<()> {
        let read = self.read();
        // What was read before a failure is a decision like any other. If the collector has gone, it says why.
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
                    // The file may be a pipe whose next line is a while away: nobody waits for it in a half batch. A
                    // cart does: the next line may be of it.
                    if self.send().is_err() {
                        break;
                    }
                    self.records.fill()?;
                    continue;
                }
                Step::Malformed(number, why) => {
                    if self.loose(number, BadLine::Malformed(why)).is_err() {
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

    fn record(&mut self, number: u64, fields: &Fields) -> Result<(), Gone> {
        match self.lines {
            Lines::Carts => self.of_cart(number, fields),
            Lines::Separate => self.separate(number, fields),
        }
    }

    /// A line that is decided by itself.
    fn separate(&mut self, number: u64, fields: &Fields) -> Result<(), Gone> {
        let names = match self.columns.names(fields) {
            Ok(names) => names,
            Err(why) => return self.bad(number, why),
        };
        // Counted before the rest is looked at: a line that is mended for the next run shifts no other.
        let keys = self.keys.order_line(names);
        match self.line(number, fields)? {
            Ok(line) => self.cart(vec![line], keys, None),
            Err(why) => self.bad(number, why),
        }
    }

    /// A line that goes with its neighbours.
    fn of_cart(&mut self, number: u64, fields: &Fields) -> Result<(), Gone> {
        let order_id = match self.columns.order_id(fields) {
            Ok(order_id) => order_id,
            Err(why) => return self.loose(number, why),
        };
        if self.open.as_ref().is_none_or(|open| *open.order_id != *order_id) {
            self.close()?;
            // Counted though it may turn out bad, as a line is.
            self.open = Some(Open::new(order_id, self.keys.cart(order_id)));
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
        self.board.hold_up(open.place);
        let bad = open.take_too_long();
        self.all_bad(bad)
    }

    /// A line whose order id cannot be read.
    fn loose(&mut self, number: u64, why: BadLine) -> Result<(), Gone> {
        match &mut self.open {
            Some(open) if !self.strict => {
                if open.push_loose(number, why) {
                    Ok(())
                } else {
                    self.close()
                }
            }
            _ => self.bad(number, why),
        }
    }

    /// The rest of a line, when it is due.
    fn line(&mut self, number: u64, fields: &Fields) -> Result<Result<Line, BadLine>, Gone> {
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

    /// Sends the open cart on its way: no line of it follows.
    fn close(&mut self) -> Result<(), Gone> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (keys, place) = (open.keys, open.place);
        let Closed { cart, loose } = open.close();
        match cart {
            Ok(lines) => self.cart(lines, keys, Some(place))?,
            Err(bad) => {
                self.board.hold_up(place);
                self.all_bad(bad)?;
            }
        }
        self.all_bad(loose)
    }

    fn cart(&mut self, lines: Vec<Line>, keys: CartKeys, place: Option<Place>) -> Result<(), Gone> {
        if self.batch.lines > 0 && self.batch.lines + lines.len() > self.batch_lines {
            self.send()?;
        }
        let hashes = lines.iter().map(|line| stock_hash(line.names()));
        // What an order's next cart may do depends on what became of those before.
        let behind_all = place.is_some_and(|place| place.before > 0);
        let (worker, after): (usize, After) = self.turns.next(hashes, behind_all);
        let count = lines.len();
        self.batch.parts[worker].push(Cart { lines, keys, place, after });
        self.slot(Slot::Worker(worker), count)
    }

    fn sleep_until(&mut self, due: Instant) -> Result<(), Gone> {
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

    fn all_bad(&mut self, lines: Vec<(u64, BadLine)>) -> Result<(), Gone> {
        lines.into_iter().try_for_each(|(number, why)| self.bad(number, why))
    }

    fn bad(&mut self, number: u64, why: BadLine) -> Result<(), Gone> {
        self.slot(Slot::Bad { number, why }, 1)?;
        if self.strict { Err(Gone) } else { Ok(()) }
    }

    fn slot(&mut self, slot: Slot, lines: usize) -> Result<(), Gone> {
        self.batch.slots.push(slot);
        self.batch.lines += lines;
        if self.batch.lines >= self.batch_lines { self.send() } else { Ok(()) }
    }

    /// Hands the batch over, if there is one.
    fn send(&mut self) -> Result<(), Gone> {
        if self.batch.slots.is_empty() {
            return Ok(());
        }
        self.leave.recv().map_err(|_| Gone)?;
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.parts.len()));
        for (part, worker) in batch.parts.into_iter().zip(&self.parts) {
            if !part.is_empty() {
                worker.send(part).map_err(|_| Gone)?;
            }
        }
        let plan = Plan { slots: batch.slots, bytes: self.records.consumed_bytes() };
        self.plans.send(plan).map_err(|_| Gone)
    }
}
