//! Stock: the counter, the keys it counts for, and their names.

pub(crate) mod blocks;
pub(crate) mod book;
pub(crate) mod catalog;
pub(crate) mod counter;
mod gate;
pub(crate) mod names;
pub(crate) mod shape;
