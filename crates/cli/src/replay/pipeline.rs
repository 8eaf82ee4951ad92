//! The way of a cart: reader → a worker → collector.
//!
//! ```text
//!            ┌─ part ─► worker 0 ─ decided ─┐
//!   reader ──┼─ part ─► worker 1 ─ decided ─┼─► collector ─► wait once ─► outcomes, in file order
//!            └─ plan (whose cart is next) ──┘        │
//!   ▲                                                │
//!   └──────────────── leave for a batch ◄────────────┘
//! ```
//!
//! Carts travel in batches, so that a hand-over between threads costs little a line. The reader takes leave for
//! each batch and the collector gives it back when the batch is acknowledged: that bounds the decisions in flight,
//! the memory of the pipeline, and every channel, so no send ever blocks. Carts of one stock key go to its worker,
//! which decides them in file order; one of several may have to wait for its turn ([`turns`](super::turns)). The plan
//! says in which order to take from the workers, and so the collector needs no sorting.

use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use stockhold::Engine;

use super::begun::Lines;
use super::cart::Cart;
use super::collector::Collector;
use super::decide::{Decision, Mode, decide};
use super::key::KeyMaker;
use super::line::BadLine;
use super::outcomes::Outcomes;
use super::progress::Screen;
use super::reader::{Batch, Reader};
use super::summary::Tally;
use super::time::Pace;
use super::turns::{Board, Turns};
use super::{RERUN, Source};
use crate::exit::CommandError;

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
    /// In carts, or each by itself.
    pub lines: Lines,
    /// Paced by `at`, this many times as fast.
    pub speed: Option<f64>,
    /// A bad line ends the run.
    pub strict: bool,
}

/// What the collector is told about a batch.
pub struct Plan {
    /// In file order.
    pub slots: Vec<Slot>,
    /// Bytes of the file behind the batch.
    pub bytes: u64,
}

pub enum Slot {
    /// The next cart of this worker.
    Worker(usize),
    /// No line.
    Bad { number: u64, why: BadLine },
}

/// What one worker gets of a batch, and what it makes of it.
pub type Part = Vec<Cart>;
pub type Decided = Vec<(Cart, Decision)>;

/// Sends every order through the engine. What was counted until a failure stays in `tally`.
pub fn run<R: Read + Send>(
    engine: &Engine,
    orders: Source<'_, R>,
    settings: Settings,
    outcomes: Option<Outcomes>,
    screen: &mut Screen,
    tally: &mut Tally,
) -> Result<(), CommandError> {
    let batch_lines = (settings.in_flight / 8).clamp(1, BATCH_LINES_MAX);
    let batches = settings.in_flight / batch_lines;
    let stop = AtomicBool::new(false);
    let board = &Board::new(settings.threads);
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
            let worker = move || {
                // Whoever waits for this worker must not wait for one that has panicked.
                let _end = board.until_the_end(index);
                work(engine, (board, index), &parts, &decided_in, settings.mode);
            };
            spawn(scope, format!("replay-worker-{index}"), worker)?;
        }
        let name = orders.name;
        let reader = Reader {
            records: orders.records,
            columns: orders.columns,
            keys: KeyMaker::default(),
            lines: settings.lines,
            open: None,
            turns: Turns::new(settings.threads),
            board,
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
        collected?;
        read.map_err(|error| {
            let done = tally.in_words();
            CommandError::Environment(format!(
                "{name} cannot be read on: {error}. {done} and acknowledged. {RERUN}"
            ))
        })
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: String,
    body: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, CommandError> {
    let spawned = thread::Builder::new().name(name).spawn_scoped(scope, body);
    spawned.map_err(|error| {
        CommandError::Environment(format!("a thread could not be started: {error}; use fewer --threads"))
    })
}

/// Decides the parts that are given to one worker.
fn work(
    engine: &Engine,
    (board, index): (&Board, usize),
    parts: &Receiver<Part>,
    decided: &SyncSender<Decided>,
    mode: Mode,
) {
    for part in parts {
        let mut answers = Decided::with_capacity(part.len());
        for cart in part {
            if board.wait(&cart.after).is_err() {
                // The run ends; nothing may be decided before its turn.
                return;
            }
            let decision = decide(engine, board, &cart, mode);
            board.decided(index);
            answers.push((cart, decision));
        }
        if decided.send(answers).is_err() {
            return;
        }
    }
}
