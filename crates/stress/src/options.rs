//! The command-line options.

use std::time::{Duration, SystemTime};

pub(crate) const USAGE: &str = "\
Runs rounds of calls on one engine by more threads than cores, and judges each round by its recorded calls.

usage: stockhold-stress [--calls N] [--threads N] [--seed N] [--round-s N]

  --calls N     run rounds until this many calls were made (default 3000000)
  --threads N   the number of threads (default 8)
  --seed N      the seed of the first round; each round adds one (default STOCKHOLD_SEED, else the time)
  --round-s N   the seconds after which a round counts as hanging (default 120)

The seed repeats the choices of a round, but not the order in which threads run: a failing round may need
a few tries to fail again. Exit code 1: a breach, or a round that could not be decided or did not end.";

#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub calls: u64,
    pub threads: u64,
    pub seed: u64,
    pub round_max: Duration,
}

impl Options {
    /// Reads the options. The error says what is wrong, or prints the usage.
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
