//! What a decision may spend.

/// What the answers must satisfy, and how much the decision may spend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The number in a refusal is exact at the deciding instant (the default). If `false`, a refusal says
    /// only that fewer units were available than requested: for recordings whose refusals have no number.
    pub exact_refusals: bool,
    /// The most states of a stock key that are kept at one moment.
    pub configurations_max: usize,
    /// The most steps of the search at one moment.
    pub effort_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { exact_refusals: true, configurations_max: 4_096, effort_max: 4_000_000 }
    }
}

/// What a narrow sweep keeps and spends at one moment: it looks for one legal order only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    pub(crate) states: usize,
    pub(crate) effort: usize,
}
