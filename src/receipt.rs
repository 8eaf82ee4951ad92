//! Receipts: a decision is made at once, and acknowledged when it is durable.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::Engine;
use crate::error::OutcomeUnknown;
use crate::types::Position;

/// A decision that was made and may not be durable yet.
///
/// [`wait`](Receipt::wait) for it, or `.await` it, before you tell your customer. Dropping it does not undo
/// the decision.
#[must_use = "the decision is made but may not be durable yet: wait() or .await before telling anybody"]
#[derive(Debug)]
pub struct Receipt<'e, T> {
    engine: &'e Engine,
    value: T,
    position: Position,
}

impl<'e, T> Receipt<'e, T> {
    pub(crate) fn new(engine: &'e Engine, value: T, position: Position) -> Self {
        Receipt { engine, value, position }
    }

    /// Blocks until the decision is durable at the engine's [`Durability`](crate::Durability).
    pub fn wait(self) -> Result<T, OutcomeUnknown> {
        self.engine.wait(self.position)?;
        Ok(self.value)
    }

    /// Returns the decision without waiting: a crash may lose it. To wait for many at once, keep the
    /// [`position`](Receipt::position) of the last and give it to [`Engine::wait`].
    pub fn not_yet_durable(self) -> T {
        self.value
    }

    /// The log position of the decision.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl<T: Clone + Unpin> Future for Receipt<'_, T> {
    type Output = Result<T, OutcomeUnknown>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receipt = self.get_mut();
        receipt.engine.poll_durable(receipt.position, context.waker()).map_ok(|()| receipt.value.clone())
    }
}
