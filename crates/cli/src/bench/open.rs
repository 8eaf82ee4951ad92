//! The open loop: how long acknowledgements take at a rate that does not wait for the engine.
//!
//! ```text
//! sender: until due ─► a decision ─► durable already? ──────────────► its latency
//!                                        └─► waiter of that sender ─► its latency
//! ```
//!
//! A sender never waits for an acknowledgement. Until the next operation is due it sleeps for some microseconds, as a
//! gateway does that has nothing to read: one that spun would have a core for itself, and the engine what is left of the
//! others. In memory, where an answer is quicker than any sleep, it only yields. When it was held up it sends what is
//! overdue at once; either way latency counts from when an operation was due.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use stockhold::Position;

use super::books::audit;
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

/// One sender is enough up to this rate.
const RATE_OF_ONE: u64 = 250_000;

/// How much longer than it should take a sender goes on when the engine is behind.
const GRACE_NS: u64 = 1_000_000_000;

/// How long a sender sleeps at least.
const NAP: Duration = Duration::from_micros(20);

/// Acknowledgements that a waiter takes up at once.
const BATCH: usize = 4_096;

/// When an operation was due, and what acknowledges it.
type Sent = (u64, Position);

/// What one sender and its waiter saw.
struct Seen {
    counts: Counts,
    latencies: Latencies,
    unsent: u64,
}

pub(super) fn measure(stage: &Stage, rate: u64, seconds: f64) -> Result<OpenLoop, Fault> {
    let senders = if rate <= RATE_OF_ONE { 1 } else { cores() as u64 };
    let count_max = if stage.workload.piles_up() { HOLDS_MAX } else { u64::MAX };
    let schedule = Schedule::new(rate, seconds, count_max, senders);
    let began = Instant::now();
    let seen: Vec<Result<Seen, Fault>> = thread::scope(|scope| {
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

/// A sender, and the thread that waits for what it sent.
fn pair(stage: &Stage, schedule: Schedule, number: u64, began: Instant) -> Result<Seen, Fault> {
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
) -> Result<Seen, Fault> {
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
                thread::sleep(NAP);
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
            break; // the waiter says why
        }
    }
    Ok(Seen { counts: client.counts, latencies, unsent })
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
            // What was sent since this look at the clock and is durable all the same took no time.
            latencies.note(due_ns, now_ns);
        }
    }
    Ok(latencies)
}

/// The system may let a thread sleep 50 µs longer than it asked for; here not. Where it does not take this, latencies have
/// these 50 µs in them.
fn sleep_exactly() {
    let thread = fs::read_link("/proc/thread-self").ok();
    if let Some(number) = thread.as_deref().and_then(Path::file_name) {
        let _ = fs::write(Path::new("/proc").join(number).join("timerslack_ns"), "1");
    }
}

fn elapsed_ns(began: Instant) -> u64 {
    began.elapsed().as_nanos() as u64
}
