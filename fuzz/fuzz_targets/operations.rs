//! Any operations, restarts, kills and checkpoints, by the engine and by the model that its tests have.
//!
//! The first byte says where: one in sixteen on a directory. Each step takes a few bytes, of which more are there than are
//! needed: what a step is, its op key, and two numbers.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/model/pair.rs"]
mod pair;
#[path = "../../tests/model/real.rs"]
mod real;
#[path = "../../tests/model/steps.rs"]
mod steps;
#[path = "../../tests/model/truth.rs"]
mod truth;

use steps::*;

const STEPS_MAX: usize = 80;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((place, rest)) = bytes.split_first() else { return };
    let steps: Vec<Step> = rest.chunks_exact(5).take(STEPS_MAX).map(step).collect();
    pair::Pair::run(&steps, place % 16 == 15);
});

fn step(bytes: &[u8]) -> Step {
    let [what, op_key, one, two, three] = [0, 1, 2, 3, 4].map(|at| bytes[at]);
    let number = |byte: u8, below: u8| u32::from(byte % below);
    let key = |byte: u8| usize::from(byte) % KEYS;
    let hold = Which(usize::from(one) << (usize::BITS - 8));
    let ttl_ms = |byte: u8| 1 + u64::from(byte) % TTL_MAX_MS;
    let some_ttl_ms = |byte: u8| (byte >= 100).then(|| ttl_ms(byte));
    let lines = |byte: u8| [number(byte, 4), number(byte / 4, 4), number(byte / 16, 4)];
    let part = |byte: u8| match byte / 64 {
        0 => Part::Whole,
        1 => Part::Quantity(1 + number(byte, 4)),
        _ => Part::Lines(lines(byte)),
    };
    let other =
        |byte: u8| if byte < 64 { Part::Quantity(1 + number(byte, 5)) } else { Part::Lines(lines(byte)) };
    let what = match what % 24 {
        0 => What::Receive { key: key(one), quantity: 1 + number(two, 8) },
        1 => What::Adjust { key: key(one), delta: i64::from(two as i8 % 6) },
        2 => What::Switch {
            key: key(one),
            gate: match two / 32 {
                0 => Gate::Stopped,
                1 => Gate::OpensIn { ms: (two % 32).into() },
                _ => Gate::Open,
            },
        },
        3..6 => What::Reserve {
            key: key(one),
            quantity: 1 + number(two, 4),
            at_least: if two < 128 { 1 + number(two, 4) } else { number(two / 4, 7) },
            ttl_ms: some_ttl_ms(three),
            remember_refusal: one >= 128,
        },
        6..8 => What::Cart { lines: lines(two), ttl_ms: some_ttl_ms(three), remember_refusal: one >= 128 },
        8 => What::Batch {
            wanted: [one, two, three].map(|byte| (key(byte), 1 + number(byte / 3, 4))).to_vec(),
        },
        9 => What::Replace { hold, by: other(two), ttl_ms: some_ttl_ms(three) },
        10..12 => What::Confirm { hold, part: part(two), retake: three >= 128 },
        12 => What::Release { hold },
        13 => What::Extend { hold, ttl_ms: ttl_ms(two) },
        14 => What::Pay { hold },
        15 => What::Cancel { hold, part: part(two) },
        16 => What::Ship { hold, part: part(two) },
        17..19 => What::Advance { ms: 1 + u64::from(one) % 60 },
        19 => What::Sweep,
        20 => What::Status { hold },
        21 => What::BlockingHolds { key: key(one) },
        22 => What::Look,
        _ => match one % 4 {
            0 => What::Checkpoint,
            1 => What::Reopen { reboot: Reboot::Orderly },
            2 => What::Reopen { reboot: Reboot::Dropped },
            _ => What::Reopen { reboot: Reboot::Killed },
        },
    };
    let is_reboot = matches!(what, What::Checkpoint | What::Reopen { .. });
    // In memory there is nothing to come back to, so Pair leaves these out by itself.
    Step { what, op_key: (op_key % 16 < 6 && !is_reboot).then_some(op_key / 16 % 12) }
}
