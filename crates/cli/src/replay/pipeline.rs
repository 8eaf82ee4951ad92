//! The way of a line: reader → the worker of its stock key → collector.
//!
//! ```text
//!            ┌─ part ─► worker 0 ─ decided ─┐
//!   reader ──┼─ part ─► worker 1 ─ decided ─┼─► collector ─► wait once ─► outcomes, in file order
//!            └─ plan (whose line is next) ──┘        │
//!   ▲                                                │
//!   └──────────────── leave for a batch ◄────────────┘
//! ```
//!
//! Lines travel in batches, so that a hand-over between threads costs little a line. The reader takes leave for
//! each batch and the collector gives it back when the batch is acknowledged: that bounds the decisions in flight,
//! the memory of the pipeline, and every channel, so no send ever blocks. All lines of a stock key go to one
//! worker, which decides them in file order; the plan says in which order to take from the workers, and so the
//! collector needs no sorting.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use stockhold::{Engine, Position};

use super::csv::{Fields, Records, Step};
use super::decide::{Decision, Line, Mode, Verdict, decide};
use super::key::{KeyMaker, worker_of};
use super::line::{BadLine, Columns};
use super::outcomes::Outcomes;
use super::progress::Screen;
use super::summary::Tally;
use super::time::Pace;
use super::{Failure, RERUN, Source};

/// Lines in one batch, if so many may be in flight.
const BATCH_LINES_MAX: usize = 256;

/// How the lines go.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Workers.
    pub threads: usize,
    /// Lines decided and not yet acknowledged, at most.
    pub in_flight: usize,
    /// Sold or held.
    pub mode: Mode,
    /// Paced by `at`, this many times as fast.
    pub speed: Option<f64>,
    /// A bad line ends the run.
    pub strict: bool,
}

/// What the collector is told about a batch.
struct Plan {
    /// In file order.
    slots: Vec<Slot>,
    /// Bytes of the file behind the batch.
    bytes: u64,
}

enum Slot {
    /// The next line of this worker.
    Worker(usize),
    /// No line.
    Bad { number: u64, why: BadLine },
}

type Part = Vec<Line>;
type Decided = Vec<(Line, Decision)>;

/// Sends every order through the engine. What was counted until a failure stays in `tally`.
pub fn run<R: Read + Send>(
    engine: &Engine,
    orders: Source<'_, R>,
    settings: Settings,
    outcomes: Option<Outcomes>,
    screen: &mut Screen,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let batch_lines = (settings.in_flight / 8).clamp(1, BATCH_LINES_MAX);
    let batches = settings.in_flight / batch_lines;
    let stop = AtomicBool::new(false);
    let (leave_back, leave) = sync_channel(batches);
    for _ in 0..batches {
        leave_back.send(()).expect("its receiver is right here");
    }
    let (plans_in, plans) = sync_channel(batches);
    let (mut parts_in, mut decided) = (Vec::new(), Vec::new());

    thread::scope(|scope| {
        for index in 0..settings.threads {
            let (part_in, parts) = sync_channel::<Part>(batches);
            let (decided_in, decided_out) = sync_channel::<Decided>(batches);
            parts_in.push(part_in);
            decided.push(decided_out);
            let worker = move || work(engine, &parts, &decided_in, settings.mode);
            spawn(scope, format!("replay-worker-{index}"), worker)?;
        }
        let name = orders.name;
        let reader = Reader {
            name,
            records: orders.records,
            columns: orders.columns,
            keys: KeyMaker::default(),
            pace: settings.speed.map(Pace::new),
            strict: settings.strict,
            stop: &stop,
            leave,
            batch_lines,
            batch: Batch::new(settings.threads),
            parts: parts_in,
            plans: plans_in,
        };
        let reader = spawn(scope, "replay-reader".into(), move || reader.run())?;
        let mut collector = Collector {
            engine,
            recovered: engine.report().end,
            name,
            strict: settings.strict,
            stop: &stop,
            outcomes,
            screen,
            tally,
            fatal: None,
        };
        let collected = collector.run(plans, decided, leave_back);
        // The channels are closed by now, so the reader ends at its next batch and the workers after it.
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        collected.and(read)
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: String,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, Failure> {
    let spawned = thread::Builder::new().name(name).spawn_scoped(scope, body);
    spawned.map_err(|error| {
        Failure::Environment(format!("a thread could not be started: {error}; use fewer --threads"))
    })
}

/// Decides the parts that are given to one worker.
fn work(engine: &Engine, parts: &Receiver<Part>, decided: &SyncSender<Decided>, mode: Mode) {
    for part in parts {
        let answers = part.into_iter().map(|line| {
            let decision = decide(engine, &line, mode);
            (line, decision)
        });
        if decided.send(answers.collect()).is_err() {
            return;
        }
    }
}

/// What is gathered for one batch.
struct Batch {
    slots: Vec<Slot>,
    parts: Vec<Part>,
}

impl Batch {
    fn new(workers: usize) -> Self {
        Batch { slots: Vec::new(), parts: (0..workers).map(|_| Vec::new()).collect() }
    }
}

/// The collector has gone; so has the reason to read on.
struct Gone;

/// Reads, names and distributes lines.
struct Reader<'a, R> {
    name: &'a str,
    records: Records<R>,
    columns: Columns,
    keys: KeyMaker,
    pace: Option<Pace>,
    strict: bool,
    stop: &'a AtomicBool,
    leave: Receiver<()>,
    batch_lines: usize,
    batch: Batch,
    parts: Vec<SyncSender<Part>>,
    plans: SyncSender<Plan>,
}

impl<R: Read> Reader<'_, R> {
    fn run(mut self) -> Result<(), Failure> {
        let read = self.read();
        // What was read before a failure is a decision like any other. If the collector has gone, it says why.
        let _ = self.send();
        read
    }

    fn read(&mut self) -> Result<(), Failure> {
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
                    self.records.fill().map_err(|error| Failure::reading(self.name, &error))?;
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
            thread::sleep(left.min(std::time::Duration::from_millis(100)));
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

/// Waits for what was decided, and tells.
struct Collector<'a> {
    engine: &'a Engine,
    /// Where the log ended when it was opened: what rests on less was decided by an earlier run.
    recovered: Position,
    name: &'a str,
    strict: bool,
    stop: &'a AtomicBool,
    outcomes: Option<Outcomes>,
    screen: &'a mut Screen,
    tally: &'a mut Tally,
    /// The first bad line of a strict run.
    fatal: Option<(u64, BadLine)>,
}

/// A slot of the plan with what belongs in it.
enum Entry {
    Line(Line, Decision),
    Bad(u64, BadLine),
}

impl Collector<'_> {
    /// Takes its ends of the channels, so that leaving closes them.
    fn run(
        &mut self,
        plans: Receiver<Plan>,
        decided: Vec<Receiver<Decided>>,
        leave_back: SyncSender<()>,
    ) -> Result<(), Failure> {
        for plan in plans {
            let bytes = plan.bytes;
            let entries = gather(plan.slots, &decided)?;
            self.settle(entries)?;
            self.screen.progress(self.tally.reached(bytes));
            // The reader may have gone; then this was the last of its batches or one of them.
            let _ = leave_back.try_send(());
        }
        self.screen.clear();
        match self.fatal.take() {
            None => Ok(()),
            Some((number, why)) => Err(Failure::Input(format!(
                "{} line {number}: {why}. The run ended there (--strict): {} and stay so. \
                 Correct the line and run the same command again",
                self.name,
                self.tally.in_words()
            ))),
        }
    }

    /// Waits until all of a batch can be relied on, then writes and counts it.
    fn settle(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        let positions = entries.iter().map(|entry| match entry {
            Entry::Line(_, decision) => decision.position,
            Entry::Bad(..) => Position::default(),
        });
        // One wait for all. If it fails, some of them may be durable all the same: each is asked for below.
        let all = positions.max().is_none_or(|last| self.engine.wait(last).is_ok());
        for entry in entries {
            match entry {
                Entry::Bad(number, why) => self.bad(number, why),
                Entry::Line(line, decision) => {
                    if !all {
                        self.engine
                            .wait(decision.position)
                            .map_err(|unknown| self.broken(&line, &unknown))?;
                    }
                    self.line(&line, &decision)?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Line, decision: &Decision) -> Result<(), Failure> {
        match &decision.verdict {
            Verdict::Failed(why) => return Err(self.broken(line, why)),
            Verdict::DecidedOtherwise => self.bad(line.number, BadLine::DecidedOtherwise),
            verdict => {
                if let Some(outcomes) = &mut self.outcomes {
                    outcomes.write(line, verdict).map_err(|error| {
                        let done = self.tally.in_words();
                        let message = format!("--outcomes could not be written ({error}): {done}. {RERUN}");
                        Failure::Environment(message)
                    })?;
                }
                self.tally.count(line, verdict, decision.position <= self.recovered);
            }
        }
        Ok(())
    }

    fn bad(&mut self, number: u64, why: BadLine) {
        self.tally.count_bad();
        if !self.strict {
            self.screen.bad_line(self.name, number, &why);
        } else if self.fatal.is_none() {
            // Relaxed: a request to end soon, which carries no data. What is in flight is still collected.
            self.stop.store(true, Ordering::Relaxed);
            self.fatal = Some((number, why));
        }
    }

    fn broken(&self, line: &Line, why: &dyn std::fmt::Display) -> Failure {
        Failure::Environment(format!(
            "{why}\n{} before line {} of {} and acknowledged; from there on the outcome is unknown. {RERUN}",
            self.tally.in_words(),
            line.number,
            self.name
        ))
    }
}

/// Puts the workers' answers back in file order.
fn gather(slots: Vec<Slot>, decided: &[Receiver<Decided>]) -> Result<Vec<Entry>, Failure> {
    let gone = || Failure::Environment(format!("a worker thread has died. {RERUN}"));
    let mut parts: Vec<Option<std::vec::IntoIter<(Line, Decision)>>> = decided.iter().map(|_| None).collect();
    let mut entries = Vec::with_capacity(slots.len());
    for slot in slots {
        entries.push(match slot {
            Slot::Bad { number, why } => Entry::Bad(number, why),
            Slot::Worker(worker) => {
                let part = match &mut parts[worker] {
                    Some(part) => part,
                    none => none.insert(decided[worker].recv().map_err(|_| gone())?.into_iter()),
                };
                let (line, decision) = part.next().ok_or_else(gone)?;
                Entry::Line(line, decision)
            }
        });
    }
    Ok(entries)
}
