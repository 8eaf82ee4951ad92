//! The closed loop: the highest number of decisions a second.

use std::thread;
use std::time::{Duration, Instant};

use stockhold::Position;

use super::audit::audit;
use super::client::Client;
use super::counts::Counts;
use super::fault::Fault;
use super::figures::ClosedLoop;
use super::level::Level;
use super::machine::cores;
use super::stage::{HOLDS_MAX, Stage};
use super::usage::{Usage, resident_bytes};

/// Number of decisions of all threads that may wait for acknowledgement at once; they fit in the log's ring.
const IN_FLIGHT: u64 = 131_072;

/// Number of steps between two reads of the clock.
const STEPS: u64 = 64;

/// With fewer live holds, the memory per hold would be dominated by other memory.
const HOLDS_MIN: u64 = 200_000;

pub(super) fn measure(stage: &Stage, seconds: f64) -> Result<ClosedLoop, Fault> {
    let (engine, threads) = (&stage.engine, cores() as u64);
    let (log_before, memory_before, usage_before) =
        (engine.metrics().log_bytes, resident_bytes(), Usage::now());
    let began = Instant::now();
    let parts: Vec<Result<Counts, Fault>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || work(stage, thread, threads, began, seconds)))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let elapsed = began.elapsed().as_secs_f64();
    let usage = Usage::now();
    let mut counts = Counts::default();
    for part in parts {
        counts += part?;
    }
    let metrics = engine.metrics();
    // Waits until the levels are up to date, so that their memory is included.
    engine.level(stage.keys[0]).map_err(Fault::failed)?;
    let memory_bytes = resident_bytes().saturating_sub(memory_before);
    let expired = audit(stage, counts)?;
    let decisions = counts.decisions as f64;
    let kept = stage.level != Level::Memory;
    let a_decision = |bytes: u64| bytes as f64 / decisions;
    let enough_holds = stage.workload.accumulates() && metrics.holds_live >= HOLDS_MIN;
    Ok(ClosedLoop {
        decisions: counts.decisions,
        seconds: elapsed,
        decisions_per_second: decisions / elapsed,
        log_bytes_per_decision: kept.then(|| a_decision(metrics.log_bytes - log_before)),
        written_bytes_per_decision: usage.written_bytes_since(usage_before).filter(|_| kept).map(a_decision),
        cpu_ns_per_decision: a_decision(usage.cpu_ns_since(usage_before)),
        memory_bytes,
        memory_bytes_per_hold: enough_holds.then(|| memory_bytes as f64 / metrics.holds_live as f64),
        holds_live: metrics.holds_live,
        expired,
        busy: counts.busy,
    })
}

pub(super) fn panicked() -> Fault {
    Fault::failed("a thread of the measurement panicked")
}

fn work(stage: &Stage, thread: u64, threads: u64, began: Instant, seconds: f64) -> Result<Counts, Fault> {
    let mut client = Client::new(stage, thread);
    let span = Duration::from_secs_f64(seconds);
    let steps_max = if stage.workload.accumulates() { HOLDS_MAX / threads } else { u64::MAX };
    // Every `mark_every` decisions, waits for the position of the mark before, so that at most two intervals
    // are in flight.
    let mark_every = (IN_FLIGHT / 2 / threads).max(STEPS);
    let (mut oldest, mut newest, mut marked) = (Position::default(), Position::default(), 0);
    while began.elapsed() < span && client.counts.decisions < steps_max {
        for _ in 0..STEPS {
            newest = client.step()?;
        }
        if client.counts.decisions - marked >= mark_every {
            marked = client.counts.decisions;
            stage.engine.wait(std::mem::replace(&mut oldest, newest)).map_err(Fault::failed)?;
        }
    }
    stage.engine.wait(newest).map_err(Fault::failed)?;
    Ok(client.counts)
}
