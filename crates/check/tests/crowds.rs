//! Long histories of many threads.

mod common;

use std::time::Instant;

use common::{CROWD, Shop};
use stockhold_check::{Options, check};
use stockhold_seeded::seed_or;

fn decide(shop: Shop, seed: u64) {
    let calls = shop.open(seed);
    let begin = Instant::now();
    let checked = check(&calls, &Options::default());
    println!("seed {seed}: {:.2} s: {checked}", begin.elapsed().as_secs_f64());
    assert!(checked.is_linearizable(), "seed {seed}: {checked}");
}

#[test]
fn a_hundred_thousand_calls_of_sixteen_threads_are_decided() {
    decide(CROWD, seed_or(0));
}

#[test]
fn calls_on_one_hold_that_overlap_are_decided() {
    decide(Shop { calls: 5_000, threads: 4, shared: true, ..CROWD }, seed_or(0));
}

#[test]
fn a_key_with_plenty_is_decided() {
    decide(Shop { units: 1_000_000, ..CROWD }, seed_or(0));
}

#[test]
#[ignore = "a million calls: half a minute in release"]
fn a_million_calls_of_sixteen_threads_are_decided() {
    decide(Shop { calls: 1_000_000, ..CROWD }, seed_or(0));
}
