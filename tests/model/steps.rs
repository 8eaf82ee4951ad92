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

/// Units of each stock key.
pub type Lines = [u32; KEYS];

/// What is named of a hold.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Whole,
    Quantity(u32),
    Lines(Lines),
}

#[derive(Clone, Copy, Debug)]
pub enum Gate {
    Open,
    Stopped,
    OpensIn { ms: u64 },
}

#[derive(Clone, Debug)]
pub enum What {
    Receive { key: usize, quantity: u32 },
    Adjust { key: usize, delta: i64 },
    Switch { key: usize, gate: Gate },
    Reserve { key: usize, quantity: u32, at_least: u32, ttl_ms: Option<u64>, remember_refusal: bool },
    Cart { lines: Lines, ttl_ms: Option<u64>, remember_refusal: bool },
    Batch { wanted: Vec<(usize, u32)> },
    Replace { hold: Index, by: Part, ttl_ms: Option<u64> },
    Confirm { hold: Index, part: Part, retake: bool },
    Release { hold: Index },
    Extend { hold: Index, ttl_ms: u64 },
    Pay { hold: Index },
    Cancel { hold: Index, part: Part },
    Ship { hold: Index, part: Part },
    Advance { ms: u64 },
    Sweep,
    Status { hold: Index },
    InTheWay { key: usize },
    Look,
    Reopen { orderly: bool },
}

pub fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => Just(Part::Whole),
        2 => (1..4u32).prop_map(Part::Quantity),
        3 => [0..3u32, 0..3u32, 0..2u32].prop_map(Part::Lines),
    ]
}

pub fn gate() -> impl Strategy<Value = Gate> {
    prop_oneof![3 => Just(Gate::Open), 1 => Just(Gate::Stopped), 1 => (0..80u64).prop_map(|ms| Gate::OpensIn { ms })]
}

pub fn what() -> impl Strategy<Value = What> {
    let (key, hold) = (|| 0..KEYS, any::<Index>);
    let ttl = || proptest::option::of(1..=TTL_MAX_MS);
    let other =
        || prop_oneof![(1..5u32).prop_map(Part::Quantity), [0..4u32, 0..4u32, 0..3u32].prop_map(Part::Lines)];
    // Mostly all or nothing.
    let least = |quantity: u32| prop_oneof![3 => Just(quantity), 2 => 1..=quantity, 1 => 0..7u32];
    let reserve = (key(), 1..5u32, ttl(), any::<bool>()).prop_flat_map(
        move |(key, quantity, ttl_ms, remember_refusal)| {
            least(quantity).prop_map(move |at_least| What::Reserve {
                key,
                quantity,
                at_least,
                ttl_ms,
                remember_refusal,
            })
        },
    );
    prop_oneof![
        3 => (key(), 1..8u32).prop_map(|(key, quantity)| What::Receive { key, quantity }),
        2 => (key(), -5..5i64).prop_map(|(key, delta)| What::Adjust { key, delta }),
        1 => (key(), gate()).prop_map(|(key, gate)| What::Switch { key, gate }),
        9 => reserve,
        6 => ([0..4u32, 0..3u32, 0..3u32], ttl(), any::<bool>())
            .prop_map(|(lines, ttl_ms, remember_refusal)| What::Cart { lines, ttl_ms, remember_refusal }),
        1 => proptest::collection::vec((key(), 1..5u32), 0..6).prop_map(|wanted| What::Batch { wanted }),
        5 => (hold(), other(), proptest::option::weighted(0.3, 1..=TTL_MAX_MS))
            .prop_map(|(hold, by, ttl_ms)| What::Replace { hold, by, ttl_ms }),
        6 => (hold(), part(), any::<bool>())
            .prop_map(|(hold, part, retake)| What::Confirm { hold, part, retake }),
        3 => hold().prop_map(|hold| What::Release { hold }),
        3 => (hold(), 1..=TTL_MAX_MS).prop_map(|(hold, ttl_ms)| What::Extend { hold, ttl_ms }),
        2 => hold().prop_map(|hold| What::Pay { hold }),
        3 => (hold(), part()).prop_map(|(hold, part)| What::Cancel { hold, part }),
        3 => (hold(), part()).prop_map(|(hold, part)| What::Ship { hold, part }),
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
    /// Of each request, what it was granted.
    Batch(Vec<Option<(usize, u32, u64)>>),
    Replaced {
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
        key: usize,
        asked: u32,
    },
    /// The hold has nothing of a key that was named.
    NotHeld {
        key: usize,
    },
    /// Nothing is known of the hold any more.
    Forgotten,
    Error(String),
}

pub fn error<T>(error: impl std::fmt::Debug) -> Result<T, Told> {
    Err(Told::Error(format!("{error:?}")))
}
