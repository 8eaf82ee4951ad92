//! The expiry of holds: the timing wheel, and the timers that put it beside the sales path.

pub(crate) mod timers;
pub(crate) mod wheel;
