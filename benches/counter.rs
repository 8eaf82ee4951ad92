//! Measures one hot counter by itself: one cell, several cells, and a key that splits itself, beside a number
//! in a lock.
//!
//! The policy of splitting is based on it: the gain of a cell for each thread over one cell for all, and its
//! cost for a lone thread. Each thread takes one unit at a time. A decision of the engine does more than ten
//! times as much, so on few cores the gain hardly shows there; see `--bench contention`.
//!
//! Run: `cargo bench -p stockhold-benches --bench counter [-- --threads 1,2,4]`

#![allow(dead_code, unused_imports, missing_docs)] // the engine's own files, of which the bench uses a part

#[path = "../src/stock/blocks.rs"]
mod blocks;
#[path = "../src/stock/cells.rs"]
mod cells;
#[path = "../src/clock/timestamp.rs"]
mod clock;
mod common;
#[path = "../src/stock/counter.rs"]
mod counter;
#[path = "../src/fault.rs"]
mod fault;
mod index {
    /// As in the engine, whose file needs serde.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct KeyIndex(pub(crate) u32);
}
#[path = "../src/stock/reply.rs"]
mod reply;
#[path = "../src/stock/shape.rs"]
mod shape;
#[path = "../src/stall.rs"]
mod stall;
mod sync {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
}

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use self::blocks::{Blocks, Lane, UNITS_PER_CELL_MIN};
use self::counter::{Counter, Want};

const TAKES: usize = 4_000_000;
const ROUNDS: usize = 7;

/// Takes one unit, for the thread with this number.
type Take<'c> = Box<dyn Fn(usize) + Sync + 'c>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let threads = arguments.iter().position(|argument| argument == "--threads");
    let threads = threads.and_then(|at| arguments.get(at + 1)).map_or("1,2", String::as_str);
    common::machine();
    println!("| threads | a lock, M takes/s | one cell | cells, split in advance | splits itself |");
    println!("|--:|--:|--:|--:|--:|");
    for threads in threads.split(',').filter_map(|threads| threads.parse::<usize>().ok()) {
        let width = threads.next_power_of_two();
        let mut seconds: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let lock = Mutex::new(i64::MAX);
            seconds[0].push(lap(threads, &(Box::new(|_| *lock.lock() -= 1) as Take<'_>)));
            for (kind, width, split) in [(1, 1, false), (2, width.max(2), true), (3, width.max(2), false)] {
                let (blocks, counter) =
                    (Blocks::new(width, UNITS_PER_CELL_MIN), Counter::new((threads * TAKES) as i64 + 1_000));
                let lane = |home| Lane { blocks: &blocks, home, key: index::KeyIndex(0) };
                if split {
                    counter.split(lane(0)).expect("plenty to split");
                }
                let take = |home| {
                    counter.take(lane(home), Want::all(1)).expect("plenty to take");
                };
                seconds[kind].push(lap(threads, &(Box::new(take) as Take<'_>)));
            }
        }
        let rate = |seconds: &mut Vec<f64>| {
            seconds.sort_by(f64::total_cmp);
            (threads * TAKES) as f64 / seconds[ROUNDS / 2] / 1e6
        };
        let [lock, one, split, adaptive] = seconds.each_mut().map(rate);
        println!(
            "| {threads} | {lock:.0} | {one:.0} ({:.2}x) | {split:.0} ({:.2}x) | {adaptive:.0} ({:.2}x) |",
            one / lock,
            split / lock,
            adaptive / lock
        );
    }
}

/// Seconds from the first thread's first take to the last thread's last.
fn lap(threads: usize, take: &Take<'_>) -> f64 {
    let barrier = Barrier::new(threads);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let thread = |home| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let began = Instant::now();
                (0..TAKES).for_each(|_| take(home));
                (began, Instant::now())
            })
        };
        let running: Vec<_> = (0..threads).map(thread).collect();
        running.into_iter().map(|thread| thread.join().expect("a lap")).collect()
    });
    let (began, ended) = (spans.iter().map(|span| span.0).min(), spans.iter().map(|span| span.1).max());
    began.zip(ended).map_or(0.0, |(began, ended)| (ended - began).as_secs_f64())
}
