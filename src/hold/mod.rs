//! Holds: their state machine, their ids, their table, and the op keys that keep an operation from being done
//! twice.

pub(crate) mod chains;
pub(crate) mod id;
pub(crate) mod indices;
pub(crate) mod lines;
pub(crate) mod op_keys;
mod room;
mod shard;
pub(crate) mod slot;
pub(crate) mod state;
pub(crate) mod table;
