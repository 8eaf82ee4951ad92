//! The front of the pipeline: reads lines, names them, and hands them to their workers in batches.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::csv::{Fields, Records, Step};
use super::decide::Line;
use super::key::{KeyMaker, worker_of};
use super::line::{BadLine, Columns};
use super::pipeline::{Part, Plan, Slot};
use super::time::Pace;

/// What is gathered for one batch.
pub struct Batch {
    slots: Vec<Slot>,
    parts: Vec<Part>,
}

impl Batch {
    /// An empty one.
    pub fn new(workers: usize) -> Self {
        Batch { slots: Vec::new(), parts: (0..workers).map(|_| Vec::new()).collect() }
    }
}

/// The collector has gone; so has the reason to read on.
struct Gone;

/// Reads, names and distributes lines.
pub struct Reader<'a, R> {
    pub records: Records<R>,
    pub columns: Columns,
    pub keys: KeyMaker,
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
                Step::End => break,
                Step::More => {
                    // The file may be a pipe whose next line is a while away: nobody waits for it in a half batch.
                    if self.send().is_err() {
                        break;
                    }
                    self.records.fill()?;
                    continue;
                }
                Step::Malformed(number, why) => {
                    if self.bad(number, BadLine::Malformed(why)).is_err() {
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
        let names = match self.columns.names(fields) {
            Ok(names) => names,
            Err(why) => return self.bad(number, why),
        };
        // Counted before the rest is looked at: a line that is mended for the next run shifts no other.
        let keys = self.keys.order_line(names);
        let (quantity, at) = match self.columns.request(fields) {
            Ok(request) => request,
            Err(why) => return self.bad(number, why),
        };
        if let (Some(pace), Some(at)) = (&mut self.pace, at) {
            let due = pace.due(at, Instant::now());
            self.sleep_until(due)?;
        }
        let worker = worker_of(names, self.parts.len());
        self.batch.parts[worker].push(Line::new(number, names, quantity, keys));
        self.slot(Slot::Worker(worker))
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

    fn bad(&mut self, number: u64, why: BadLine) -> Result<(), Gone> {
        self.slot(Slot::Bad { number, why })?;
        if self.strict { Err(Gone) } else { Ok(()) }
    }

    fn slot(&mut self, slot: Slot) -> Result<(), Gone> {
        self.batch.slots.push(slot);
        if self.batch.slots.len() == self.batch_lines { self.send() } else { Ok(()) }
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
