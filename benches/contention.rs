//! The cost of contention: one hot key in memory, on one and on more threads, beside two hand-written stocks.
//!
//! `cargo bench -p stockhold-benches --bench contention` measures 1 and 2 threads; `-- --threads 1,2,4,8,16`
//! measures these, and its last table then shows the engine's scaling. `--rounds` sets the number of rounds
//! (Default = 7).
//!
//! The machine is noisy, so each round measures every contender once, one after the other, and the figures
//! are medians over the rounds; a ratio is taken within each round, and shown with the lowest and the
//! highest. A lap of the engine shares the cores with its log thread and its fold. Holds do not pile up: each
//! lap returns its units before the next, and slots and table entries are used again.

mod common;
#[path = "contention/contenders.rs"]
mod contenders;
#[path = "contention/job.rs"]
mod job;

use std::thread;

use contenders::{BASELINE, CONTENDERS};
use job::{Goal, Job, SCENARIOS, Sample, Scenario};

fn main() {
    let mut threads = vec![1, 2];
    let mut rounds = 7;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--threads" => threads = value().split(',').map(number).collect(),
            "--rounds" => rounds = number(&value()),
            "--bench" => {} // cargo's own flag
            other => panic!("{other:?} is neither --threads 1,2,4 nor --rounds 7"),
        }
    }
    threads.push(1); // the others are compared with it
    threads.sort_unstable();
    threads.dedup();

    common::machine();
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    if threads.iter().any(|count| *count > cores) {
        println!("rows of more than {cores} threads also measure the scheduler: there are no more cores");
    }
    let figures = Figures::measure(threads, rounds);
    SCENARIOS.iter().for_each(|scenario| figures.print(*scenario));
    figures.print_scaling();
}

fn number(text: &str) -> u64 {
    text.trim().parse().ok().filter(|number| *number > 0).unwrap_or_else(|| panic!("{text:?} is not a count"))
}

struct Figures {
    threads: Vec<u64>,
    rounds: Vec<Round>,
}

/// The samples of one round, by scenario, thread count and contender.
type Round = Vec<(Scenario, u64, usize, Sample)>;

impl Figures {
    fn measure(threads: Vec<u64>, rounds: u64) -> Self {
        let round = || {
            let mut round = Round::new();
            for scenario in SCENARIOS {
                for &threads in &threads {
                    for (index, contender) in CONTENDERS.iter().enumerate() {
                        round.push((scenario, threads, index, (contender.run)(Job::new(scenario, threads))));
                    }
                }
            }
            round
        };
        let rounds = (0..rounds).map(|_| round()).collect();
        Figures { threads, rounds }
    }

    /// The spread over the rounds of a figure that `figure` computes from a round's throughputs.
    fn spread(&self, figure: impl Fn(&dyn Fn(Scenario, u64, usize) -> f64) -> f64) -> Spread {
        let mut values: Vec<f64> = self
            .rounds
            .iter()
            .map(|round| {
                figure(&|scenario, threads, contender| {
                    let is_it = |(s, t, c, _): &&(_, _, _, _)| (*s, *t, *c) == (scenario, threads, contender);
                    round.iter().find(is_it).expect("every round measures everything").3.per_second
                })
            })
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        Spread { low: values[0], median: values[values.len() / 2], high: values[values.len() - 1] }
    }

    fn rate(&self, scenario: Scenario, threads: u64, contender: usize) -> Spread {
        self.spread(|rate| rate(scenario, threads, contender))
    }

    fn against_one_thread(&self, scenario: Scenario, threads: u64, contender: usize) -> Spread {
        self.spread(|rate| rate(scenario, threads, contender) / rate(scenario, 1, contender))
    }

    fn print(&self, scenario: Scenario) {
        println!("\n### {}\n", scenario.title());
        let baseline = CONTENDERS[BASELINE].name;
        println!(
            "| threads | | ns, each thread | at best | M/s | against {baseline} | against 1 thread | goal |"
        );
        println!("|--:|---|--:|--:|--:|--:|--:|---|");
        for &threads in &self.threads {
            for (index, contender) in CONTENDERS.iter().enumerate() {
                let Spread { median: rate, high: best, .. } = self.rate(scenario, threads, index);
                let ns = |rate: f64| 1e9 * threads as f64 / rate;
                println!(
                    "| {threads} | {} | {:.1} | {:.1} | {:.2} | {} | {} | {} |",
                    contender.name,
                    ns(rate),
                    ns(best),
                    rate / 1e6,
                    self.spread(|rate| rate(scenario, threads, index) / rate(scenario, threads, BASELINE)),
                    self.against_one_thread(scenario, threads, index),
                    self.goal(scenario, threads, index, ns(rate)),
                );
            }
        }
        let busy = |round: &Round| -> u64 {
            round.iter().filter(|sample| sample.0 == scenario).map(|sample| sample.3.busy).sum()
        };
        let busy: u64 = self.rounds.iter().map(busy).sum();
        if busy > 0 {
            println!("\n({busy} times Busy, retried)");
        }
    }

    /// The goal, and whether the median reaches it; hand-written stocks have none.
    fn goal(&self, scenario: Scenario, threads: u64, contender: usize, ns: f64) -> String {
        let plentiful = || {
            self.spread(|rate| {
                rate(Scenario::ReserveRelease, threads, contender) / rate(scenario, threads, contender)
            })
        };
        let is_ours = CONTENDERS[contender].name.starts_with("stockhold");
        let (text, reached) = match scenario.goal(threads) {
            Some(Goal::Plentiful(most)) => {
                let times = plentiful();
                let text = format!("{times} the time of plenty");
                if !is_ours {
                    return text;
                }
                (format!("{text}; goal: at most {most}x"), times.median <= most)
            }
            Some(Goal::NsBelow(most)) if is_ours => (format!("below {most} ns"), ns < most),
            Some(Goal::OneThread(least)) if is_ours => (
                format!("{least}x one thread"),
                self.against_one_thread(scenario, threads, contender).median >= least,
            ),
            _ => return String::new(),
        };
        format!("{text}: {}", if reached { "reached" } else { "**missed**" })
    }

    fn print_scaling(&self) {
        println!("\n### scaling on one hot key, in memory\n");
        println!("| | threads | refusals/s | against 1 thread | reserves/s | against 1 thread |");
        println!("|---|--:|--:|--:|--:|--:|");
        for (index, contender) in CONTENDERS.iter().enumerate() {
            for &threads in &self.threads {
                println!(
                    "| {} | {threads} | {:.2} M | {} | {:.2} M | {} |",
                    contender.name,
                    self.rate(Scenario::Refusal, threads, index).median / 1e6,
                    self.against_one_thread(Scenario::Refusal, threads, index),
                    self.rate(Scenario::Reserve, threads, index).median / 1e6,
                    self.against_one_thread(Scenario::Reserve, threads, index),
                );
            }
        }
    }
}

/// A figure over the rounds.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}x ({:.2}–{:.2})", self.median, self.low, self.high)
    }
}
