//! Histories to decide: those of a correct shop, and ways to spoil them.

#![allow(dead_code)] // each test file uses a part of it

pub mod history;
pub mod naive;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use stockhold_check::{Call, Event};
use stockhold_seeded::Rng;

pub const NEVER: u64 = u64::MAX;

/// A shop with one stock key, which decides at one instant within each call.
#[derive(Clone, Copy)]
pub struct Shop {
    pub threads: u64,
    pub calls: usize,
    pub units: u64,
    pub quantity_max: u64,
    /// The longest call, and the longest pause between two calls of a thread.
    pub span_ns: u64,
    pub pause_ns: u64,
    /// The longest life of a hold; 0 = no deadline.
    pub ttl_ns: u64,
    /// Threads end each other's holds too, so that calls on one hold overlap.
    pub shared: bool,
    /// How many of each hundred calls are reserves, about.
    pub reserves: u64,
}

pub const CROWD: Shop = Shop {
    threads: 16,
    calls: 100_000,
    units: 40,
    quantity_max: 3,
    span_ns: 2_000,
    pause_ns: 200,
    ttl_ns: 60_000,
    shared: false,
    reserves: 60,
};

struct Held {
    hold: u128,
    thread: u64,
    quantity: u32,
    deadline_ns: u64,
}

impl Shop {
    /// A correct history from any seed.
    pub fn open(self, seed: u64) -> Vec<Call> {
        let rng = &mut Rng::new(seed);
        let mut calls = Vec::with_capacity(self.calls + 1);
        let received = Event::Receive { quantity: self.units };
        calls.push(Call { key: 0, start_ns: 0, end_ns: rng.below(3), event: received });
        let mut available = self.units as i64;
        let (mut held, mut paid): (Vec<Held>, Vec<(u128, u32)>) = (Vec::new(), Vec::new());
        let mut deadlines = BinaryHeap::new();
        let mut turns = BinaryHeap::new();
        let turn = |rng: &mut Rng, thread: u64, from: u64| {
            let start_ns = from + 1 + rng.below(self.pause_ns + 1);
            let end_ns = start_ns + rng.below(self.span_ns + 1);
            Reverse((start_ns + rng.below(end_ns - start_ns + 1), thread, start_ns, end_ns))
        };
        for thread in 0..self.threads {
            turns.push(turn(rng, thread, 0));
        }
        while calls.len() <= self.calls
            && let Some(Reverse((now_ns, thread, start_ns, end_ns))) = turns.pop()
        {
            turns.push(turn(rng, thread, end_ns));
            while let Some(&Reverse((deadline_ns, hold))) = deadlines.peek()
                && deadline_ns <= now_ns
            {
                deadlines.pop();
                if let Some(at) =
                    held.iter().position(|held| held.hold == hold && held.deadline_ns == deadline_ns)
                {
                    available += i64::from(held.swap_remove(at).quantity);
                }
            }
            let mine: Vec<usize> =
                (0..held.len()).filter(|&at| self.shared || held[at].thread == thread).collect();
            let pick = (!mine.is_empty()).then(|| mine[rng.below(mine.len() as u64) as usize]);
            let ttl_ns = |rng: &mut Rng| match self.ttl_ns {
                0 => NEVER,
                ttl_ns => now_ns + 1 + rng.below(ttl_ns),
            };
            let quantity = 1 + rng.below(self.quantity_max) as u32;
            let event = match (rng.below(100), pick) {
                (roll, _) if roll < self.reserves => match available < i64::from(quantity) {
                    true => Event::Refuse { asked: quantity, available },
                    false => {
                        available -= i64::from(quantity);
                        let (hold, deadline_ns) = (calls.len() as u128, ttl_ns(rng));
                        held.push(Held { hold, thread, quantity, deadline_ns });
                        deadlines.push(Reverse((deadline_ns, hold)));
                        Event::Grant { hold, quantity, deadline_ns }
                    }
                },
                (roll, Some(at)) => match roll % 8 {
                    0 => {
                        let Held { hold, quantity: had, .. } = held.swap_remove(at);
                        let quantity = 1 + rng.below(u64::from(had)) as u32;
                        available += i64::from(had - quantity);
                        paid.push((hold, quantity));
                        Event::Confirm { hold, quantity, retaken: false }
                    }
                    1 => {
                        let deadline_ns = ttl_ns(rng).max(held[at].deadline_ns);
                        let hold = held[at].hold;
                        held[at].deadline_ns = deadline_ns;
                        deadlines.push(Reverse((deadline_ns, hold)));
                        Event::Extend { hold, deadline_ns }
                    }
                    2 => {
                        let more = i64::from(quantity) - i64::from(held[at].quantity);
                        if more > available {
                            continue;
                        }
                        available -= more;
                        let (hold, deadline_ns) = (held[at].hold, ttl_ns(rng));
                        (held[at].quantity, held[at].deadline_ns) = (quantity, deadline_ns);
                        deadlines.push(Reverse((deadline_ns, hold)));
                        Event::Replace { hold, quantity, deadline_ns }
                    }
                    _ => {
                        let Held { hold, quantity, .. } = held.swap_remove(at);
                        available += i64::from(quantity);
                        Event::Release { hold }
                    }
                },
                (roll, None) => match roll % 16 {
                    // Confirmed units are cancelled in the end; else the key would stay sold out.
                    0..12 if !paid.is_empty() => {
                        let (hold, quantity) = paid.swap_remove(0);
                        available += i64::from(quantity);
                        Event::Cancel { hold, quantity }
                    }
                    12 => {
                        let delta = rng.below(5) as i64 - 2;
                        // Keeps the number from falling further and further.
                        if available + delta < -2 {
                            continue;
                        }
                        available += delta;
                        let told = rng.below(2) == 0;
                        Event::Adjust { delta, available: told.then_some(available) }
                    }
                    _ => Event::Reading { available },
                },
            };
            calls.push(Call { key: 0, start_ns, end_ns, event });
        }
        calls
    }
}

/// Changes a history a little; it may stay legal.
pub fn spoil(calls: &mut Vec<Call>, rng: &mut Rng) {
    let at = rng.below(calls.len() as u64) as usize;
    let other = calls[rng.below(calls.len() as u64) as usize];
    let call = &mut calls[at];
    match (rng.below(8), &mut call.event) {
        (0, _) => {
            calls.remove(at);
        }
        (1, _) => {
            let late = Call { start_ns: other.start_ns, end_ns: other.end_ns, ..*call };
            calls.push(late);
        }
        (2, _) => {
            call.start_ns += rng.below(5);
            call.end_ns = call.end_ns.max(call.start_ns);
        }
        (3, _) => call.end_ns = call.start_ns + rng.below(call.end_ns - call.start_ns + 1),
        (_, Event::Refuse { available, .. } | Event::Reading { available }) => {
            *available += rng.below(3) as i64 - 1;
        }
        (_, Event::Grant { quantity, .. } | Event::Confirm { quantity, .. }) => {
            *quantity = 1 + rng.below(4) as u32;
        }
        (4, Event::Extend { deadline_ns, .. } | Event::Replace { deadline_ns, .. }) => {
            *deadline_ns = deadline_ns.saturating_sub(rng.below(9));
        }
        (5, Event::Release { hold }) => call.event = Event::ExpiredSeen { hold: *hold },
        (_, Event::Release { hold } | Event::Extend { hold, .. }) => {
            call.event = Event::Confirm { hold: *hold, quantity: 1, retaken: true };
        }
        (_, Event::Adjust { delta, .. }) => *delta += 1,
        _ => call.event = Event::Refuse { asked: 1 + rng.below(3) as u32, available: 0 },
    }
}
