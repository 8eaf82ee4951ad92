//! The threads that a cart passes: reader → one worker → collector.
//!
//! ```text
//!            ┌─ carts ─► worker 0 ─ decided ─┐
//!   reader ──┼─ carts ─► worker 1 ─ decided ─┼─► collector ─► wait once ─► outcomes, in file order
//!            └─ plan (file order of batch) ──┘         │
//!   ▲                                                 │
//!   └──────────────── permit for a batch ◄────────────┘
//! ```
//!
//! Carts are sent in batches, so that passing them between threads costs little per line. The reader takes a
//! permit for each batch, and the collector returns it when the batch is acknowledged. That bounds the
//! decisions in flight, the memory of the pipeline, and every channel, so no send ever blocks. Carts on one
//! stock key go to its worker, which decides them in file order; a cart on stock keys of several workers may
//! have to wait ([`turns`](super::turns)). The plan lists the workers in file order, so the collector needs
//! no sorting.

use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use stockhold::Engine;

use super::batch::{DecidedCarts, WorkerCarts};
use super::collector::Collector;
use super::decide::{Mode, decide};
use super::grouping::Grouping;
use super::key::KeyMaker;
use super::messages::RERUN;
use super::outcomes::OutcomesFile;
use super::progress::Screen;
use super::reader::{Batch, Reader};
use super::source::Source;
use super::summary::Tally;
use super::time::Pace;
use super::turns::{Board, Turns};
use crate::exit::CommandError;

/// Most lines in one batch; fewer if fewer may be in flight.
const BATCH_LINES_MAX: usize = 256;

/// How the lines are decided.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Number of workers.
    pub threads: usize,
    /// Most lines that are decided and not yet acknowledged.
    pub in_flight: usize,
    /// Whether granted carts are sold or held.
    pub mode: Mode,
    pub grouping: Grouping,
    /// Pace by the column `at`, this many times as fast.
    pub speed: Option<f64>,
    /// Whether a bad line ends the run.
    pub strict: bool,
}

/// Sends every order through the engine. After a failure, `tally` has the counts up to it.
pub fn run<R: Read + Send>(
    engine: &Engine,
    orders: Source<'_, R>,
    settings: Settings,
    outcomes: Option<OutcomesFile>,
    screen: &mut Screen,
    tally: &mut Tally,
) -> Result<(), CommandError> {
    let batch_lines = (settings.in_flight / 8).clamp(1, BATCH_LINES_MAX);
    let batches = settings.in_flight / batch_lines;
    let stop = AtomicBool::new(false);
    let board = &Board::new(settings.threads);
    let (return_permit, permits) = sync_channel(batches);
    for _ in 0..batches {
        return_permit.send(()).expect("the receiver exists");
    }
    let (plans_in, plans) = sync_channel(batches);
    let (mut carts_in, mut decided) = (Vec::new(), Vec::new());

    thread::scope(|scope| {
        for index in 0..settings.threads {
            let (cart_in, carts) = sync_channel::<WorkerCarts>(batches);
            let (decided_in, decided_out) = sync_channel::<DecidedCarts>(batches);
            carts_in.push(cart_in);
            decided.push(decided_out);
            let worker = move || {
                // Set even if this worker panics, so that no other worker waits for it.
                let _end = board.mark_ended_on_drop(index);
                work(engine, (board, index), &carts, &decided_in, settings.mode);
            };
            spawn(scope, format!("replay-worker-{index}"), worker)?;
        }
        let name = orders.name;
        let reader = Reader {
            records: orders.records,
            columns: orders.columns,
            keys: KeyMaker::default(),
            grouping: settings.grouping,
            open: None,
            turns: Turns::new(settings.threads),
            board,
            pace: settings.speed.map(Pace::new),
            strict: settings.strict,
            stop: &stop,
            permits,
            batch_lines,
            batch: Batch::new(settings.threads),
            workers: carts_in,
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
        let collected = collector.run(plans, decided, return_permit);
        // The channels are closed now, so the reader ends at its next batch, and then the workers end.
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        collected?;
        read.map_err(|error| {
            let done = tally.in_words();
            CommandError::Environment(format!(
                "{name} cannot be read further: {error}. {done} and acknowledged. {RERUN}"
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

/// Decides the carts of one worker.
fn work(
    engine: &Engine,
    (board, index): (&Board, usize),
    carts: &Receiver<WorkerCarts>,
    decided: &SyncSender<DecidedCarts>,
    mode: Mode,
) {
    for batch in carts {
        let mut answers = DecidedCarts::with_capacity(batch.len());
        for cart in batch {
            if board.wait(&cart.after).is_err() {
                // The run ends. This cart must not be decided before the carts that it waits for.
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
