//! The open loop: how long acknowledgements take at a rate that does not wait for the engine.
//!
//! ```text
//! sender: until due ─► a decision ─► durable already? ──────────────► its latency
//!                                        └─► waiter of that sender ─► its latency
//! ```
//!
//! A sender never waits for an acknowledgement. Until the next operation is due it sleeps for some
//! microseconds, like a gateway with nothing to read. If it spun, it would take a whole core from the engine.
//! In memory, where an answer is quicker than any sleep, it only yields. After a delay it sends all overdue
//! operations at once. Latency always counts from the time at which an operation was due.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use stockhold::Position;

use super::audit::audit;
use super::client::Client;
use super::closed::panicked;
use super::counts::Counts;
use super::fault::Fault;
use super::figures::OpenLoop;
use super::latency::Latencies;
use super::level::Level;
use super::machine::cores;
use super::schedule::Schedule;
use super::stage::{HOLDS_MAX, Stage};

/// The highest rate for a single sender.
const RATE_OF_ONE: u64 = 250_000;

/// How long after its scheduled end a sender continues if the engine is behind.
const GRACE_NS: u64 = 1_000_000_000;

/// The shortest sleep of a sender.
const SLEEP: Duration = Duration::from_micros(20);

/// Number of operations that a waiter receives at once.
const BATCH: usize = 4_096;

/// When an operation was due, and the position that acknowledges it.
type Sent = (u64, Position);

/// The result of one sender and its waiter.
struct SenderResult {
    counts: Counts,
    latencies: Latencies,
    unsent: u64,
}

pub(super) fn measure(stage: &Stage, rate: u64, seconds: f64) -> Result<OpenLoop, Fault> {
    let senders = if rate <= RATE_OF_ONE { 1 } else { cores() as u64 };
    let count_max = if stage.workload.accumulates() { HOLDS_MAX } else { u64::MAX };
    let schedule = Schedule::new(rate, seconds, count_max, senders);
    let began = Instant::now();
    let seen: Vec<Result<SenderResult, Fault>> = thread::scope(|scope| {
        let pairs: Vec<_> =
            (0..senders).map(|number| scope.spawn(move || pair(stage, schedule, number, began))).collect();
        pairs.into_iter().map(|pair| pair.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let (mut counts, mut latencies, mut unsent) = (Counts::default(), Latencies::new(), 0);
    for one in seen {
        let one = one?;
        counts += one.counts;
        latencies.add(&one.latencies);
        unsent += one.unsent;
    }
    audit(stage, counts)?;
    Ok(OpenLoop {
        offered_per_second: rate,
        offered: schedule.count(),
        unsent,
        busy: counts.busy,
        latency: latencies.curve(),
    })
}

/// Runs a sender, and the thread that waits for its acknowledgements.
fn pair(stage: &Stage, schedule: Schedule, number: u64, began: Instant) -> Result<SenderResult, Fault> {
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        let waiter = scope.spawn(move || wait(stage, &receiver, began));
        let mut seen = send(stage, schedule, number, began, sender)?;
        let waited = waiter.join().unwrap_or_else(|_| Err(panicked()))?;
        seen.latencies.add(&waited);
        Ok(seen)
    })
}

fn send(
    stage: &Stage,
    schedule: Schedule,
    number: u64,
    began: Instant,
    waiter: Sender<Sent>,
) -> Result<SenderResult, Fault> {
    let mut client = Client::new(stage, number);
    let (mut latencies, mut unsent) = (Latencies::new(), 0);
    let at_once = stage.level == Level::Memory;
    sleep_exactly();
    let give_up_ns = schedule.span_ns() + GRACE_NS;
    let mut now_ns = elapsed_ns(began);
    for due_ns in schedule.due_ns(number) {
        while now_ns < due_ns {
            if at_once {
                thread::yield_now();
            } else {
                thread::sleep(SLEEP);
            }
            now_ns = elapsed_ns(began);
        }
        if now_ns > give_up_ns {
            latencies.note(due_ns, now_ns);
            unsent += 1;
            continue;
        }
        let position = client.step()?;
        let acknowledged = at_once || position <= stage.engine.durable();
        now_ns = elapsed_ns(began);
        if acknowledged {
            latencies.note(due_ns, now_ns);
        } else if waiter.send((due_ns, position)).is_err() {
            break; // the waiter returns the error
        }
    }
    Ok(SenderResult { counts: client.counts, latencies, unsent })
}

fn wait(stage: &Stage, sent: &Receiver<Sent>, began: Instant) -> Result<Latencies, Fault> {
    let mut latencies = Latencies::new();
    let mut waiting: VecDeque<Sent> = VecDeque::new();
    while let Some((due_ns, position)) = waiting.pop_front().or_else(|| sent.recv().ok()) {
        stage.engine.wait(position).map_err(Fault::failed)?;
        let (durable, now_ns) = (stage.engine.durable(), elapsed_ns(began));
        latencies.note(due_ns, now_ns);
        waiting.extend(sent.try_iter().take(BATCH));
        while let Some((due_ns, _)) = waiting.pop_front_if(|(_, position)| *position <= durable) {
            // An operation that was sent after the clock was read, and is durable, has a latency of zero.
            latencies.note(due_ns, now_ns);
        }
    }
    Ok(latencies)
}

/// Sets this thread's timer slack to 1 ns: by default, a sleep may take 50 µs longer. If that fails,
/// latencies contain these 50 µs.
fn sleep_exactly() {
    let thread = fs::read_link("/proc/thread-self").ok();
    if let Some(number) = thread.as_deref().and_then(Path::file_name) {
        let _ = fs::write(Path::new("/proc").join(number).join("timerslack_ns"), "1");
    }
}

fn elapsed_ns(began: Instant) -> u64 {
    began.elapsed().as_nanos() as u64
}
