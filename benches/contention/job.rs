//! What is measured: one scenario on so many threads, once.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::contenders::Stock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    Reserve,
    Refusal,
    ReserveConfirm,
    ReserveRelease,
    Edge,
}

pub const SCENARIOS: [Scenario; 5] = [
    Scenario::Reserve,
    Scenario::Refusal,
    Scenario::ReserveConfirm,
    Scenario::ReserveRelease,
    Scenario::Edge,
];

/// What we want to reach, whether or not we have.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Nanoseconds of a decision or cycle.
    NsBelow(f64),
    /// Throughput against that of one thread.
    OneThread(f64),
    /// Time against the same with plenty of units.
    Plentiful(f64),
}

impl Scenario {
    pub fn title(self) -> &'static str {
        match self {
            Scenario::Reserve => "reserve, with deadline and log record",
            Scenario::Refusal => "refusal at sold-out",
            Scenario::ReserveConfirm => "reserve, then confirm",
            Scenario::ReserveRelease => "reserve, then release, with plenty of units",
            Scenario::Edge => "reserve, then release, at the edge of empty: one unit a thread",
        }
    }

    pub fn goal(self, threads: u64) -> Option<Goal> {
        match (self, threads) {
            (Scenario::Reserve, 1) => Some(Goal::NsBelow(120.0)),
            (Scenario::Reserve, 2) => Some(Goal::OneThread(1.8)),
            (Scenario::Refusal, 1) => Some(Goal::NsBelow(25.0)),
            (Scenario::Refusal, 2) => Some(Goal::OneThread(1.9)),
            (Scenario::ReserveConfirm | Scenario::ReserveRelease, 1) => Some(Goal::NsBelow(250.0)),
            (Scenario::Edge, _) => Some(Goal::Plentiful(2.0)),
            _ => None,
        }
    }

    /// Decisions, or cycles, of all threads together in one lap. The reserves outgrow the engine's ring, so that its
    /// log cannot put them off until the clock has stopped.
    fn count(self) -> u64 {
        match self {
            Scenario::Reserve => 300_000,
            Scenario::Refusal => 600_000,
            _ => 150_000,
        }
    }
}

#[derive(Clone, Copy)]
pub struct Job {
    pub scenario: Scenario,
    pub threads: u64,
    pub count: u64,
}

/// One measurement.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// Decisions, or cycles, a second of all threads together.
    pub per_second: f64,
    /// Part of the time that a thread was ready and had no core, on average. `NaN` where the kernel does not say.
    pub waited: f64,
    /// Times that the answer was to try again, in laps that were not timed too.
    pub busy: u64,
}

/// Laps of a measurement. The first is not timed: in it tables grow, memory is touched, and slots are used once. Of the
/// others the fastest counts, which is the one that other programs disturbed least.
const LAPS: usize = 4;

/// What one thread saw of one lap.
#[derive(Clone, Copy)]
struct Lap {
    began: Instant,
    ended: Instant,
    /// Ready, and without a core.
    waited: Option<Duration>,
}

/// How long this thread has waited for a core since it began.
fn waited() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

impl Job {
    pub fn new(scenario: Scenario, threads: u64) -> Self {
        Job { scenario, threads, count: scenario.count() / threads * threads }
    }

    /// Units on sale.
    pub fn units(&self) -> u64 {
        match self.scenario {
            Scenario::Refusal => 0,
            // Nobody has more than one, so whoever asks finds one: a refusal would be false.
            Scenario::Edge => self.threads,
            _ => self.count * 2,
        }
    }

    pub fn run<S: Stock>(self, stock: &S) -> Sample {
        let barrier = Barrier::new(self.threads as usize);
        let laps: Vec<Vec<Lap>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let barrier = &barrier;
                    scope.spawn(move || self.work(stock, thread, barrier))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        // From when the first thread began until the last one ended.
        let took = |lap: &usize| {
            let began = laps.iter().map(|laps| laps[*lap].began).min().unwrap();
            laps.iter().map(|laps| laps[*lap].ended).max().unwrap() - began
        };
        let fastest = (1..LAPS).min_by_key(took).unwrap();
        let took = took(&fastest).as_secs_f64();
        let waited = |laps: &Vec<Lap>| laps[fastest].waited.map_or(f64::NAN, |waited| waited.as_secs_f64());
        let waited = laps.iter().map(waited).sum::<f64>() / self.threads as f64;
        Sample { per_second: self.count as f64 / took, waited: waited / took, busy: 0 }
    }

    fn work<S: Stock>(self, stock: &S, thread: u64, barrier: &Barrier) -> Vec<Lap> {
        let mut held = Vec::with_capacity((self.count / self.threads) as usize);
        let lap = |_| {
            stock.settle();
            barrier.wait();
            let before = waited();
            let began = Instant::now();
            self.lap(stock, thread << 32, &mut held);
            let ended = Instant::now();
            let waited = before.zip(waited()).map(|(before, after)| after - before);
            barrier.wait();
            self.clear(stock, &mut held);
            Lap { began, ended, waited }
        };
        (0..LAPS).map(lap).collect()
    }

    fn lap<S: Stock>(self, stock: &S, names: u64, held: &mut Vec<S::Hold>) {
        let reserve = |name| stock.reserve(name).expect("there are units");
        for name in names..names + self.count / self.threads {
            match self.scenario {
                Scenario::Reserve => held.push(reserve(name)),
                Scenario::Refusal => assert!(stock.reserve(name).is_none()),
                Scenario::ReserveConfirm => {
                    let hold = reserve(name);
                    stock.confirm(hold);
                    held.push(hold);
                }
                Scenario::ReserveRelease | Scenario::Edge => stock.release(reserve(name)),
            }
        }
    }

    /// Everything as it was before the lap.
    fn clear<S: Stock>(self, stock: &S, held: &mut Vec<S::Hold>) {
        if self.scenario == Scenario::ReserveConfirm {
            stock.receive(held.len() as u32);
            held.drain(..).for_each(|hold| stock.ship(hold));
        } else {
            held.drain(..).for_each(|hold| stock.release(hold));
        }
    }
}
