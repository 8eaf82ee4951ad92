//! When holds end: deadlines, and the order in which they come up.

pub(crate) mod wheel;
