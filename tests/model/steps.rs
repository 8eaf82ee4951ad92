//! The steps that both take, and how their answers are written down.

use proptest::prelude::*;
use proptest::sample::Index;
use stockhold::RefusalReason;

pub const KEYS: usize = 3;
pub const TTL_DEFAULT_MS: u64 = 50;
pub const TTL_MAX_MS: u64 = 100;
pub const LIFE_MAX_MS: u64 = 150;
pub const PAYMENT_MS: u64 = 30;

#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    pub op_key: Option<u8>,
}

#[derive(Clone, Debug)]
pub enum What {
    Receive { key: usize, quantity: u32 },
    Adjust { key: usize, delta: i64 },
    Switch { key: usize, stopped: bool },
    Reserve { key: usize, quantity: u32, ttl_ms: Option<u64>, remember_refusal: bool },
    Confirm { hold: Index, quantity: Option<u32>, retake: bool },
    Release { hold: Index },
    Extend { hold: Index, ttl_ms: u64 },
    Pay { hold: Index },
    Cancel { hold: Index, quantity: Option<u32> },
    Ship { hold: Index, quantity: Option<u32> },
    Advance { ms: u64 },
    Sweep,
    Status { hold: Index },
    InTheWay { key: usize },
    Look,
    Reopen { orderly: bool },
}

pub fn what() -> impl Strategy<Value = What> {
    let (key, hold, units) = (|| 0..KEYS, any::<Index>, || proptest::option::of(1..4u32));
    prop_oneof![
        3 => (key(), 1..8u32).prop_map(|(key, quantity)| What::Receive { key, quantity }),
        2 => (key(), -5..5i64).prop_map(|(key, delta)| What::Adjust { key, delta }),
        1 => (key(), any::<bool>()).prop_map(|(key, stopped)| What::Switch { key, stopped }),
        12 => (key(), 1..5u32, proptest::option::of(1..=TTL_MAX_MS), any::<bool>()).prop_map(
            |(key, quantity, ttl_ms, remember_refusal)| What::Reserve { key, quantity, ttl_ms, remember_refusal }
        ),
        6 => (hold(), units(), any::<bool>())
            .prop_map(|(hold, quantity, retake)| What::Confirm { hold, quantity, retake }),
        3 => hold().prop_map(|hold| What::Release { hold }),
        3 => (hold(), 1..=TTL_MAX_MS).prop_map(|(hold, ttl_ms)| What::Extend { hold, ttl_ms }),
        2 => hold().prop_map(|hold| What::Pay { hold }),
        2 => (hold(), units()).prop_map(|(hold, quantity)| What::Cancel { hold, quantity }),
        2 => (hold(), units()).prop_map(|(hold, quantity)| What::Ship { hold, quantity }),
        5 => (1..60u64).prop_map(|ms| What::Advance { ms }),
        1 => Just(What::Sweep),
        2 => hold().prop_map(|hold| What::Status { hold }),
        1 => key().prop_map(|key| What::InTheWay { key }),
        2 => Just(What::Look),
        1 => any::<bool>().prop_map(|orderly| What::Reopen { orderly }),
    ]
}

pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (what(), proptest::option::weighted(0.3, 0..12u8));
    proptest::collection::vec(step.prop_map(|(what, op_key)| Step { what, op_key }), 1..most)
}

/// What an operation is told, by the engine (numbers are ranges of one) or by the model.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Reserved {
        hold: usize,
        quantity: u32,
        deadline: u64,
    },
    Confirmed {
        hold: usize,
        quantity: u32,
        returned: u32,
        retaken: bool,
    },
    Extended {
        hold: usize,
        deadline: u64,
    },
    Moved {
        hold: usize,
        quantity: u32,
        remaining: u32,
    },
    Stock,
    Refused {
        reason: RefusalReason,
        asked: u32,
    },
    /// Nothing is known of the hold any more.
    Forgotten,
    Error(String),
}

pub fn error<T>(error: impl std::fmt::Debug) -> Result<T, Told> {
    Err(Told::Error(format!("{error:?}")))
}
