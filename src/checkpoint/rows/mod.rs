//! The rows of a checkpoint, a file for each kind of run. A new kind is a file here and a variant of
//! [`RunKind`].
//!
//! [`RunKind`]: super::run_ref::RunKind

mod hold;
mod level;
mod name;
mod op;

pub(crate) use hold::{HoldDelta, HoldRow, push_step};
pub(crate) use level::LevelRow;
pub(crate) use name::NameRow;
pub(crate) use op::OpRow;
