//! The operations of an [`Engine`](crate::Engine), by what they are about, each reading like the diagram in the crate's
//! front page.

// In the order in which the documentation shows them.
mod directory;
mod names;
mod sales;

mod holds;
mod stock;

mod queries;

use crate::error::{OpKeyError, SharedError};

/// An answer of another kind than the operation's: a hash collision, answered as other content.
fn other<T, E: From<SharedError>>() -> Result<T, E> {
    Err(SharedError::OpKey(OpKeyError::OtherContent).into())
}
