//! Stock: the counter, the keys it counts for, and their names.

pub(crate) mod blocks;
pub(crate) mod book;
pub(crate) mod catalog;
mod cells;
pub(crate) mod counter;
mod gate;
pub(crate) mod names;
mod reply;
pub(crate) mod shape;
