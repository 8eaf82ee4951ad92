//! What the threads of the pipeline send to each other: carts and their decisions, in batches.

use super::cart::Cart;
use super::decide::Decision;
use super::line::BadLine;

/// The file order of one batch, from the reader to the collector.
pub struct BatchPlan {
    pub slots: Vec<PlanSlot>,
    /// Bytes of the file up to the end of the batch.
    pub bytes: u64,
}

/// One position of the file order.
pub enum PlanSlot {
    /// The next cart of this worker.
    Worker(usize),
    /// A line that cannot be used.
    Bad { number: u64, why: BadLine },
}

/// The carts of one batch that go to one worker.
pub type WorkerCarts = Vec<Cart>;

/// The same carts with their decisions, from the worker to the collector.
pub type DecidedCarts = Vec<(Cart, Decision)>;
