//! The point of a recording at which the power goes.

/// The process, and the number of its events before the cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cut {
    pub(crate) run: usize,
    pub(crate) events: usize,
}
