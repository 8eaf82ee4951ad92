//! Operations of a caller.

/// Stock keys of a model, at most.
pub const KEYS_MAX: usize = 4;

/// Units of each stock key.
pub type Lines = [u32; KEYS_MAX];

/// What an operation names of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Everything that it has.
    Whole,
    /// Units of its only stock key.
    Quantity(u32),
    /// Units of several stock keys.
    Lines(Lines),
}

impl Selection {
    /// Whether it names lines, and no unit in them.
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Selection::Lines(lines) if lines == [0; KEYS_MAX])
    }
}

/// Whether a stock key is on sale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaleSwitch {
    /// It is.
    Open,
    /// It is not.
    Stopped,
    /// It will be.
    OpensIn {
        /// From now.
        ms: u64,
    },
}

/// An operation. `H` names a hold: by its number for a [`Model`](crate::Model), by its id for an engine.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the engine's requests")]
pub enum Operation<H> {
    /// Declares the stock key of a name.
    Declare {
        name: usize,
    },
    /// Prepares a stock key for many threads, which changes no answer.
    Prepare {
        key: usize,
    },
    Receive {
        key: usize,
        quantity: u32,
    },
    Adjust {
        key: usize,
        delta: i64,
    },
    Switch {
        key: usize,
        to: SaleSwitch,
    },
    Reserve {
        key: usize,
        quantity: u32,
        at_least: u32,
        ttl_ms: Option<u64>,
        remember_refusal: bool,
    },
    Cart {
        lines: Lines,
        ttl_ms: Option<u64>,
        remember_refusal: bool,
    },
    /// Reserves of key and quantity each.
    Batch {
        requests: Vec<(usize, u32)>,
    },
    Replace {
        hold: H,
        by: Selection,
        ttl_ms: Option<u64>,
    },
    Confirm {
        hold: H,
        selection: Selection,
        retake: bool,
    },
    Release {
        hold: H,
    },
    Extend {
        hold: H,
        ttl_ms: u64,
    },
    BeginPayment {
        hold: H,
    },
    Cancel {
        hold: H,
        selection: Selection,
    },
    Ship {
        hold: H,
        selection: Selection,
    },
}

impl<H: Copy> Operation<H> {
    /// The hold that it names, if it is of a kind that names one.
    pub fn hold(&self) -> Option<H> {
        match *self {
            Operation::Replace { hold, .. }
            | Operation::Confirm { hold, .. }
            | Operation::Release { hold }
            | Operation::Extend { hold, .. }
            | Operation::BeginPayment { hold }
            | Operation::Cancel { hold, .. }
            | Operation::Ship { hold, .. } => Some(hold),
            Operation::Declare { .. }
            | Operation::Prepare { .. }
            | Operation::Receive { .. }
            | Operation::Adjust { .. }
            | Operation::Switch { .. }
            | Operation::Reserve { .. }
            | Operation::Cart { .. }
            | Operation::Batch { .. } => None,
        }
    }

    /// The same operation with its hold named otherwise; `None` if `rename` has no other name for it.
    pub fn with_hold<N>(&self, rename: impl FnOnce(H) -> Option<N>) -> Option<Operation<N>> {
        Some(match *self {
            Operation::Declare { name } => Operation::Declare { name },
            Operation::Prepare { key } => Operation::Prepare { key },
            Operation::Receive { key, quantity } => Operation::Receive { key, quantity },
            Operation::Adjust { key, delta } => Operation::Adjust { key, delta },
            Operation::Switch { key, to } => Operation::Switch { key, to },
            Operation::Reserve { key, quantity, at_least, ttl_ms, remember_refusal } => {
                Operation::Reserve { key, quantity, at_least, ttl_ms, remember_refusal }
            }
            Operation::Cart { lines, ttl_ms, remember_refusal } => {
                Operation::Cart { lines, ttl_ms, remember_refusal }
            }
            Operation::Batch { ref requests } => Operation::Batch { requests: requests.clone() },
            Operation::Replace { hold, by, ttl_ms } => Operation::Replace { hold: rename(hold)?, by, ttl_ms },
            Operation::Confirm { hold, selection, retake } => {
                Operation::Confirm { hold: rename(hold)?, selection, retake }
            }
            Operation::Release { hold } => Operation::Release { hold: rename(hold)? },
            Operation::Extend { hold, ttl_ms } => Operation::Extend { hold: rename(hold)?, ttl_ms },
            Operation::BeginPayment { hold } => Operation::BeginPayment { hold: rename(hold)? },
            Operation::Cancel { hold, selection } => Operation::Cancel { hold: rename(hold)?, selection },
            Operation::Ship { hold, selection } => Operation::Ship { hold: rename(hold)?, selection },
        })
    }

    /// Whether an engine reads the op key of this operation: some kinds take none, and an impossible reserve
    /// is refused before.
    pub fn uses_op_key(&self) -> bool {
        match *self {
            Operation::Declare { .. }
            | Operation::Prepare { .. }
            | Operation::Switch { .. }
            | Operation::Batch { .. } => false,
            Operation::Reserve { quantity, at_least, .. } => (1..=quantity).contains(&at_least),
            Operation::Cart { lines, .. } => lines != [0; KEYS_MAX],
            _ => true,
        }
    }

    /// Whether the caller wants a refusal to be remembered with the op key.
    pub(crate) fn remembers_refusal(&self) -> bool {
        match *self {
            Operation::Reserve { remember_refusal, .. } | Operation::Cart { remember_refusal, .. } => {
                remember_refusal
            }
            _ => false,
        }
    }

    /// What an op key identifies: all but whether a refusal is remembered.
    pub(crate) fn content(&self) -> Operation<H> {
        let mut content = self.clone();
        match &mut content {
            Operation::Reserve { remember_refusal, .. } | Operation::Cart { remember_refusal, .. } => {
                *remember_refusal = false;
            }
            _ => {}
        }
        content
    }
}
