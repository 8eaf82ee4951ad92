//! One measurement: a scenario on a number of threads.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

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

/// A goal, reached or not.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most these nanoseconds of a decision or cycle.
    NsBelow(f64),
    /// The throughput, as a multiple of that of one thread.
    OneThread(f64),
    /// The time, as a multiple of that with plenty of units.
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

    /// Decisions, or cycles, of all threads together in one lap. The reserves need more than the engine's
    /// ring, so that its log cannot defer them until the clock has stopped.
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
    /// The number of `Busy` answers, also in laps that were not timed.
    pub busy: u64,
}

/// Laps of a measurement; only the last one is timed, after tables have grown, and memory and slots have been
/// used.
const LAPS: usize = 2;

impl Job {
    pub fn new(scenario: Scenario, threads: u64) -> Self {
        Job { scenario, threads, count: scenario.count() / threads * threads }
    }

    /// Units on sale.
    pub fn units(&self) -> u64 {
        match self.scenario {
            Scenario::Refusal => 0,
            // No thread holds more than one, so every request finds one: a refusal would be false.
            Scenario::Edge => self.threads,
            _ => self.count * 2,
        }
    }

    pub fn run<S: Stock>(self, stock: &S) -> Sample {
        let barrier = Barrier::new(self.threads as usize);
        let timed: Vec<(Instant, Instant)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let barrier = &barrier;
                    scope.spawn(move || self.work(stock, thread, barrier))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let began = timed.iter().map(|times| times.0).min().unwrap();
        let ended = timed.iter().map(|times| times.1).max().unwrap();
        Sample { per_second: self.count as f64 / (ended - began).as_secs_f64(), busy: 0 }
    }

    fn work<S: Stock>(self, stock: &S, thread: u64, barrier: &Barrier) -> (Instant, Instant) {
        let mut held = Vec::with_capacity((self.count / self.threads) as usize);
        let mut times = (Instant::now(), Instant::now());
        for _ in 0..LAPS {
            stock.settle();
            barrier.wait();
            times.0 = Instant::now();
            self.lap(stock, thread << 32, &mut held);
            times.1 = Instant::now();
            barrier.wait();
            self.clear(stock, &mut held);
        }
        times
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

    /// Restores the state before the lap.
    fn clear<S: Stock>(self, stock: &S, held: &mut Vec<S::Hold>) {
        if self.scenario == Scenario::ReserveConfirm {
            stock.receive(held.len() as u32);
            held.drain(..).for_each(|hold| stock.ship(hold));
        } else {
            held.drain(..).for_each(|hold| stock.release(hold));
        }
    }
}
