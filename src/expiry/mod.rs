//! When holds end: the wheel that knows what is due, and what stands between it and the sales path.

pub(crate) mod timers;
pub(crate) mod wheel;
