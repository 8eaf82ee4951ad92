//! A stress test: more threads than cores reserve, release, let expire, receive, adjust and replace, also
//! carts, and split counters. Each round is checked for an order of its calls that explains every answer.

mod audit;
mod buying;
mod clock;
mod ending;
mod held;
mod keeping;
mod mix;
mod no;
mod options;
mod round;
mod shopper;
mod tally;
mod watchdog;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use options::Options;
use round::Round;
use tally::Tally;
use watchdog::Watchdog;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let Options { calls, threads, seed: first, round_max } = options;
    println!("{calls} calls, {threads} threads, seeds from {first}");
    let (begin, mut sum, mut seed) = (Instant::now(), Tally::default(), first);
    let watchdog = Watchdog::new(round_max, first, move |seed| repeat_command(seed, threads));
    let (mut shopped, mut checked) = (Duration::ZERO, Duration::ZERO);
    while sum.calls < calls {
        let round = std::panic::catch_unwind(|| Round::run(seed, threads));
        let round = match round.unwrap_or_else(|_| Err("a panic".to_owned())) {
            Ok(round) => round,
            Err(error) => {
                println!("seed {seed}: {error}");
                println!("\nafter {} calls\n{}", sum.calls, repeat_command(seed, threads));
                return ExitCode::FAILURE;
            }
        };
        watchdog.round_ended();
        sum += round.tally;
        shopped += round.shopped;
        checked += round.checked;
        println!("seed {seed}: {}: {}", round.mix, summary(&round.tally, round.shopped, round.checked));
        for breach in round.breaches.iter().take(8) {
            println!("\n{breach}");
        }
        for undecided in &round.undecided {
            println!("undecided: {undecided}");
        }
        if !round.breaches.is_empty() || !round.undecided.is_empty() {
            println!("\nafter {} calls\n{}", sum.calls, repeat_command(seed, threads));
            return ExitCode::FAILURE;
        }
        seed += 1;
    }
    println!(
        "\n{} rounds in {:.1} s: {}",
        seed - first,
        begin.elapsed().as_secs_f64(),
        summary(&sum, shopped, checked)
    );
    ExitCode::SUCCESS
}

fn repeat_command(seed: u64, threads: u64) -> String {
    format!("to repeat: stockhold-stress --calls 1 --threads {threads} --seed {seed}")
}

fn summary(tally: &Tally, shopped: Duration, checked: Duration) -> String {
    let Tally { calls, granted, refused, carts, confirmed, retaken, released, expired, replaced, .. } = tally;
    format!(
        "{calls} calls ({:.0}k/s), granted {granted} (carts {carts}), refused {refused}, confirmed \
         {confirmed} (late {retaken}), released {released}, expired {expired}, replaced {replaced}, split {}, beaten {}, \
         busy {} ({:.4} %), checked {} ({:.0}k/s)",
        thousands(*calls, shopped),
        tally.split,
        tally.beaten,
        tally.busy,
        tally.busy_percent(),
        tally.checked,
        thousands(tally.checked, checked),
    )
}

fn thousands(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9) / 1_000.0
}
