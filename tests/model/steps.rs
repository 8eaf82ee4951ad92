//! The steps that the engine and the model both take.

use stockhold_model::{KEYS_MAX, Lines, Operation, Rules};

/// Stock keys of the test.
pub const KEYS: usize = 3;
pub const TTL_MAX_MS: u64 = 100;

pub const RULES: Rules = Rules {
    ttl_default_ms: 50,
    life_max_ms: 150,
    payment_ms: 30,
    holds_max: usize::MAX,
    commitments_kept_ms: 200,
    op_keys_kept_ms: u64::MAX,
    forgets_expired: false,
};

#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub op_key: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// A caller asks for something.
    Do(Operation<HoldPick>),
    Advance {
        ms: u64,
    },
    Sweep,
    Status {
        hold: HoldPick,
    },
    BlockingHolds {
        key: usize,
    },
    /// Everything that can be read is compared.
    Compare,
    Checkpoint,
    Reopen(Restart),
}

/// One of all holds, by a fraction of their number.
#[derive(Clone, Copy, Debug)]
pub struct HoldPick(pub usize);

impl HoldPick {
    /// Which of `count`; `None` if there is none.
    pub fn number(self, count: usize) -> Option<usize> {
        (count > 0).then(|| ((self.0 as u128 * count as u128) >> usize::BITS) as usize)
    }
}

/// How an engine ends before another opens its directory.
#[derive(Clone, Copy, Debug)]
pub enum Restart {
    Orderly,
    Dropped,
    /// The directory is as a kill would leave it.
    Killed,
}

/// Lines of the test's stock keys.
pub fn lines(units: [u32; KEYS]) -> Lines {
    let mut lines = [0; KEYS_MAX];
    lines[..KEYS].copy_from_slice(&units);
    lines
}
