//! Runs any operations, restarts, kills and checkpoints on the engine and on the model, and compares the
//! answers.
//!
//! The first byte decides whether the engine is in a directory (one in sixteen) or in memory. Each step takes
//! five bytes: its kind, its op key, and three numbers, not all of which every kind needs.
#![no_main]

#[path = "../../tests/model/client.rs"]
mod client;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/model/pair.rs"]
mod pair;
#[path = "../../tests/model/steps.rs"]
mod steps;
#[path = "../../tests/model/subject.rs"]
mod subject;

use steps::*;
use stockhold as library;
use stockhold_model::{Operation, SaleSwitch, Selection};

const STEPS_MAX: usize = 80;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((place, rest)) = bytes.split_first() else { return };
    let steps: Vec<Step> = rest.chunks_exact(5).take(STEPS_MAX).map(step).collect();
    pair::Pair::run(&steps, place % 16 == 15);
});

fn step(bytes: &[u8]) -> Step {
    let [kind, op_key, one, two, three] = [0, 1, 2, 3, 4].map(|at| bytes[at]);
    let number = |byte: u8, below: u8| u32::from(byte % below);
    let key = |byte: u8| usize::from(byte) % KEYS;
    let hold = HoldPick(usize::from(one) << (usize::BITS - 8));
    let ttl_ms = |byte: u8| 1 + u64::from(byte) % TTL_MAX_MS;
    let some_ttl_ms = |byte: u8| (byte >= 100).then(|| ttl_ms(byte));
    let lines = |byte: u8| lines([number(byte, 4), number(byte / 4, 4), number(byte / 16, 4)]);
    let selection = |byte: u8| match byte / 64 {
        0 => Selection::Whole,
        1 => Selection::Quantity(1 + number(byte, 4)),
        _ => Selection::Lines(lines(byte)),
    };
    let other = |byte: u8| match byte {
        0..64 => Selection::Quantity(1 + number(byte, 5)),
        _ => Selection::Lines(lines(byte)),
    };
    let action = match kind % 24 {
        0 => Action::Do(Operation::Receive { key: key(one), quantity: 1 + number(two, 8) }),
        1 => Action::Do(Operation::Adjust { key: key(one), delta: i64::from(two as i8 % 6) }),
        2 => {
            let to = match two / 32 {
                0 => SaleSwitch::Stopped,
                1 => SaleSwitch::OpensIn { ms: (two % 32).into() },
                _ => SaleSwitch::Open,
            };
            Action::Do(Operation::Switch { key: key(one), to })
        }
        3..6 => Action::Do(Operation::Reserve {
            key: key(one),
            quantity: 1 + number(two, 4),
            at_least: if two < 128 { 1 + number(two, 4) } else { number(two / 4, 7) },
            ttl_ms: some_ttl_ms(three),
            remember_refusal: one >= 128,
        }),
        6..8 => Action::Do(Operation::Cart {
            lines: lines(two),
            ttl_ms: some_ttl_ms(three),
            remember_refusal: one >= 128,
        }),
        8 => {
            let requests = [one, two, three].map(|byte| (key(byte), 1 + number(byte / 3, 4))).to_vec();
            Action::Do(Operation::Batch { requests })
        }
        9 => Action::Do(Operation::Replace { hold, by: other(two), ttl_ms: some_ttl_ms(three) }),
        10..12 => {
            let (selection, retake) = (selection(two), three >= 128);
            Action::Do(Operation::Confirm { hold, selection, retake })
        }
        12 => Action::Do(Operation::Release { hold }),
        13 => Action::Do(Operation::Extend { hold, ttl_ms: ttl_ms(two) }),
        14 => Action::Do(Operation::BeginPayment { hold }),
        15 => Action::Do(Operation::Cancel { hold, selection: selection(two) }),
        16 => Action::Do(Operation::Ship { hold, selection: selection(two) }),
        17..19 => Action::Advance { ms: 1 + u64::from(one) % 60 },
        19 => Action::Sweep,
        20 => Action::Status { hold },
        21 => Action::BlockingHolds { key: key(one) },
        22 => Action::Compare,
        _ => match one % 4 {
            0 => Action::Checkpoint,
            1 => Action::Reopen(Restart::Orderly),
            2 => Action::Reopen(Restart::Dropped),
            _ => Action::Reopen(Restart::Killed),
        },
    };
    // `Pair` skips the restarts of an engine in memory, which has nothing to reopen.
    let op_key = matches!(action, Action::Do(_)).then_some(op_key);
    let op_key = op_key.filter(|byte| byte % 16 < 6).map(|byte| u64::from(byte / 16 % 12));
    Step { action, op_key }
}
