//! The decision agrees with two others that use none of its shortcuts: trying every order, and the tester of
//! the stateright crate.

mod common;

use common::{NEVER, Shop, naive, spoil};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use stockhold_check::{Call, Event, Options, check};
use stockhold_seeded::{Rng, seed_or};

const SMALL: Shop = Shop {
    threads: 3,
    calls: 7,
    units: 3,
    quantity_max: 3,
    span_ns: 12,
    pause_ns: 3,
    ttl_ns: 15,
    shared: true,
    reserves: 45,
};

fn is_linearizable(calls: &[Call]) -> bool {
    let checked = check(calls, &Options::default());
    assert!(checked.undecided.is_empty(), "{checked}");
    checked.is_linearizable()
}

/// Compares the decisions on many histories, and returns the number of legal and illegal ones.
fn compare(shop: Shop, seeds: u64, other: impl Fn(&[Call]) -> bool) -> (u64, u64) {
    let first = seed_or(0);
    let (mut legal, mut illegal) = (0, 0);
    for seed in first..first + seeds {
        let rng = &mut Rng::new(seed + 77);
        let shop = Shop {
            threads: 2 + rng.below(3),
            units: 1 + rng.below(4),
            reserves: 30 + rng.below(50),
            shared: shop.shared && rng.below(2) == 0,
            ..shop
        };
        let mut calls = shop.open(seed);
        for _ in 0..rng.below(3) {
            spoil(&mut calls, rng);
        }
        let expected = other(&calls);
        assert_eq!(is_linearizable(&calls), expected, "seed {seed}: {calls:#?}");
        *(if expected { &mut legal } else { &mut illegal }) += 1;
    }
    println!("{legal} legal, {illegal} not");
    (legal, illegal)
}

#[test]
fn every_order_of_short_histories_with_deadlines_tried_one_by_one_says_the_same() {
    let (legal, illegal) = compare(SMALL, 20_000, naive::is_linearizable);
    assert!(legal > 1_000 && illegal > 1_000, "{legal} {illegal}");
}

#[test]
fn every_order_of_short_histories_with_much_overlap_says_the_same() {
    let shop = Shop { span_ns: 60, pause_ns: 1, ttl_ns: 40, calls: 8, ..SMALL };
    let (legal, illegal) = compare(shop, 8_000, naive::is_linearizable);
    assert!(legal > 300 && illegal > 300, "{legal} {illegal}");
}

#[test]
fn every_order_of_short_histories_without_deadlines_says_the_same() {
    let shop = Shop { span_ns: 40, ttl_ns: 0, calls: 8, ..SMALL };
    let (legal, illegal) = compare(shop, 8_000, naive::is_linearizable);
    assert!(legal > 300 && illegal > 300, "{legal} {illegal}");
}

/// The counter as a stateright object: without time, so for holds without a deadline.
#[derive(Clone, Debug, Default)]
struct Counter {
    available: i64,
    holds: std::collections::BTreeMap<u128, HoldUnits>,
}

#[derive(Clone, Copy, Debug)]
struct HoldUnits {
    held: i64,
    committed: i64,
    over: bool,
}

/// The request is the recorded event; the answer is whether it was legal.
impl SequentialSpec for Counter {
    type Op = Event;
    type Ret = bool;

    fn invoke(&mut self, event: &Event) -> bool {
        match *event {
            Event::Receive { quantity } => self.available += quantity as i64,
            Event::Adjust { delta, available } => {
                self.available += delta;
                return available.is_none_or(|told| told == self.available);
            }
            Event::Reading { available } => return available == self.available,
            Event::Refuse { asked, available } => {
                return available == self.available && available < i64::from(asked);
            }
            Event::Grant { hold, quantity, .. } => {
                let held = i64::from(quantity);
                if self.available < held || self.holds.contains_key(&hold) {
                    return false;
                }
                self.available -= held;
                self.holds.insert(hold, HoldUnits { held, committed: 0, over: false });
            }
            Event::Confirm { retaken: true, .. } | Event::ExpiredSeen { .. } => return false,
            Event::Cancel { hold, quantity } => {
                let Some(life) = self.holds.get_mut(&hold) else { return false };
                life.committed -= i64::from(quantity);
                self.available += i64::from(quantity);
                return life.over && life.committed >= 0;
            }
            Event::Release { hold } | Event::Extend { hold, .. } => {
                let Some(life) = self.holds.get_mut(&hold).filter(|life| !life.over) else { return false };
                if matches!(event, Event::Release { .. }) {
                    (life.over, self.available) = (true, self.available + life.held);
                }
            }
            Event::Confirm { hold, quantity, .. } => {
                let Some(life) = self.holds.get_mut(&hold).filter(|life| !life.over) else { return false };
                (life.over, life.committed) = (true, quantity.into());
                self.available += life.held - life.committed;
                return life.committed <= life.held;
            }
            Event::Replace { hold, quantity, .. } => {
                let Some(life) = self.holds.get_mut(&hold).filter(|life| !life.over) else { return false };
                let more = i64::from(quantity) - life.held;
                life.held += more;
                self.available -= more;
                return more <= 0 || self.available >= 0;
            }
        }
        true
    }
}

/// Gives each call a thread of its own: stateright derives the order in real time from the calls that have
/// ended.
fn stateright_says(calls: &[Call]) -> bool {
    let mut tester = LinearizabilityTester::new(Counter::default());
    let mut moments: Vec<(u64, bool, usize)> = calls
        .iter()
        .enumerate()
        .flat_map(|(thread, call)| [(call.start_ns, false, thread), (call.end_ns, true, thread)])
        .collect();
    moments.sort_unstable();
    for (_, ends, thread) in moments {
        match ends {
            false => tester.on_invoke(thread, calls[thread].event).expect("it begins once"),
            true => tester.on_return(thread, true).expect("it has begun"),
        };
    }
    tester.is_consistent()
}

#[test]
fn stateright_says_the_same_of_histories_without_deadlines() {
    let shop = Shop { ttl_ns: 0, ..SMALL };
    let never = |calls: &[Call]| {
        // `spoil` may add a deadline, which stateright does not know.
        calls.iter().all(|call| match call.event {
            Event::Extend { deadline_ns, .. } | Event::Replace { deadline_ns, .. } => deadline_ns == NEVER,
            _ => true,
        })
    };
    let say =
        |calls: &[Call]| if never(calls) { stateright_says(calls) } else { naive::is_linearizable(calls) };
    let (legal, illegal) = compare(shop, 1_500, say);
    assert!(legal > 100 && illegal > 100, "{legal} {illegal}");
}
