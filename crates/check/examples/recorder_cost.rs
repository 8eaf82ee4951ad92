//! Measures what recording a call costs a thread: two readings of the clock and a push.
//!
//! `cargo run --release -p stockhold-check --example recorder_cost`

use std::hint::black_box;
use std::time::Instant;

use stockhold_check::{Call, Event, Recorder, Stopwatch};

const CALLS: usize = 2_000_000;

fn record(recorder: &mut Recorder) {
    for number in 0..CALLS {
        let start_ns = recorder.now_ns();
        let event = Event::Grant { hold: number as u128, quantity: 1, deadline_ns: u64::MAX };
        recorder.record(Call { key: 0, start_ns, end_ns: recorder.now_ns(), event: black_box(event) });
    }
}

fn main() {
    let each = |begin: Instant| begin.elapsed().as_nanos() as f64 / CALLS as f64;
    for _ in 0..3 {
        let stopwatch = Stopwatch::new();
        let begin = Instant::now();
        for _ in 0..CALLS {
            black_box((stopwatch.now_ns(), stopwatch.now_ns()));
        }
        let clock = each(begin);
        let mut growing = Recorder::new(stopwatch);
        let begin = Instant::now();
        record(&mut growing);
        let grown = each(begin);
        let mut roomy = Recorder::with_capacity(stopwatch, CALLS);
        let begin = Instant::now();
        record(&mut roomy);
        let bytes = size_of::<Call>();
        println!(
            "a call, {bytes} bytes: {:.0} ns with room, {grown:.0} ns without; {clock:.0} ns of it the clock",
            each(begin)
        );
        black_box((growing.into_calls().len(), roomy.into_calls().len()));
    }
}
