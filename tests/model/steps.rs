//! The steps that both take, and how their answers are written down.

use stockhold::RefusalReason;

pub const KEYS: usize = 3;
pub const TTL_DEFAULT_MS: u64 = 50;
pub const TTL_MAX_MS: u64 = 100;
pub const LIFE_MAX_MS: u64 = 150;
pub const PAYMENT_MS: u64 = 30;
pub const COMMITMENTS_KEPT_MS: u64 = 200;

#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    pub op_key: Option<u8>,
}

/// Which of so many: a fraction of all.
#[derive(Clone, Copy, Debug)]
pub struct Which(pub usize);

impl Which {
    pub fn index(self, many: usize) -> usize {
        ((self.0 as u128 * many as u128) >> usize::BITS) as usize
    }
}

/// How an engine ends before another opens its directory.
#[derive(Clone, Copy, Debug)]
pub enum Reboot {
    Orderly,
    Dropped,
    /// The directory is as it was when a kill came.
    Killed,
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
    Replace { hold: Which, by: Part, ttl_ms: Option<u64> },
    Confirm { hold: Which, part: Part, retake: bool },
    Release { hold: Which },
    Extend { hold: Which, ttl_ms: u64 },
    Pay { hold: Which },
    Cancel { hold: Which, part: Part },
    Ship { hold: Which, part: Part },
    Advance { ms: u64 },
    Sweep,
    Status { hold: Which },
    BlockingHolds { key: usize },
    Look,
    Checkpoint,
    Reopen { reboot: Reboot },
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
