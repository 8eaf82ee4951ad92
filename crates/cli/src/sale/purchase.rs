//! A granted hold as its shopper knows it.

/// What became of a granted hold, according to the answers that its shopper received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Live,
    Confirmed,
    Released,
    Expired,
}

/// A granted hold, and which of its decisions were acknowledged as durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase {
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    pub(crate) hold: u128,
    pub(crate) deadline_ns: u64,
    pub(crate) fate: Fate,
    pub(crate) grant_acknowledged: bool,
    pub(crate) end_acknowledged: bool,
}
