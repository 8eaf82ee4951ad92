//! The log: everything between a record and a durable position, and back again when a directory is opened.
//!
//! In the order of the data flow: [`chunk`] frames records, [`store`] is where chunks go (`sled` on disk, `memory` in
//! tests), `sidecar` remembers how far the disk was known to have followed. The way back: `directory` says whose
//! directory this is, `preflight` and `scan` read it without changing a byte, [`recovery`] decides what it holds.
//!
//! Positions are counts of 8-byte words since the directory was created. A chunk covers `start..start + words`.

pub(crate) mod chunk;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod recovery;
pub(crate) mod sled;
pub(crate) mod store;
