//! The command line: a few numbers.

use std::time::{Duration, SystemTime};

pub(crate) const USAGE: &str = "\
Rounds of churn on one engine by more threads than cores, each judged from outside.

usage: stockhold-stress [--calls N] [--threads N] [--seed N] [--round-s N]

  --calls N     goes on until so many calls were made, in whole rounds (default 3000000)
  --threads N   threads that call at once (default 8)
  --seed N      of the first round; the next has the next (default STOCKHOLD_SEED, else the time)
  --round-s N   seconds that a round may take before it hangs (default 120)

The choices of a round follow from its seed, not the order in which threads run: a round that was caught may need a
few goes to be caught again. Exit code 1: a breach, or a round that could not be decided or never ended.";

#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub calls: u64,
    pub threads: u64,
    pub seed: u64,
    pub round_max: Duration,
}

impl Options {
    /// `Err` says what is wrong, or how it is used.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut seed = stockhold_seeded::seed_given()?;
        let (mut calls, mut threads, mut round_s) = (3_000_000, 8, 120);
        while let Some(name) = args.next() {
            let mut value = || number(&name, &args.next().unwrap_or_default());
            match name.as_str() {
                "--calls" => calls = value()?,
                "--threads" => threads = value()?.clamp(1, 64),
                "--round-s" => round_s = value()?.max(1),
                "--seed" => seed = Some(value()?),
                _ => return Err(USAGE.to_owned()),
            }
        }
        // Seconds: short enough to type.
        let time = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let round_max = Duration::from_secs(round_s);
        Ok(Options { calls, threads, seed: seed.unwrap_or_else(time), round_max })
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("{name} takes a number, not {text:?}\n\n{USAGE}"))
}
