//! The log: everything from a record to a durable position, and back again when a directory is opened.
//!
//! In the order of the data flow: a [`record`] says what happened (with the [`lines`] of a cart), the
//! [`ring`] puts records into one order, the [`writer`] takes them [`group`] by group to the store, and a
//! [`watch`] wakes the callers that wait. [`chunk`] frames records, [`store`] keeps chunks ([`sled`] on
//! disk), [`sidecar`] has a position that was durable. The deciding threads and the writer share [`shared`],
//! and the writer sleeps at its [`bell`].
//!
//! The way back: [`directory`] locks the directory ([`layout`], [`identity`], [`lock`]), [`stores`] has its
//! chunks, [`scan`] reads them without changing a byte, [`chunk_index`] links them, [`verdict`] decides which
//! of them are the log, and [`recovery`] replays it; [`at_rest`] only reads what it has
//! [opened](opened_stores). [`reread`] reads the log of a running engine once more. [`newer`] names what a later
//! build has written.
//!
//! Positions are counts of 8-byte [`words`] since the directory was created. A chunk covers `start..start +
//! words`.

pub(crate) mod at_rest;
mod bell;
pub(crate) mod chunk;
pub(crate) mod chunk_index;
pub(crate) mod directory;
pub(crate) mod group;
mod identity;
mod layout;
pub(crate) mod lines;
mod lock;
pub(crate) mod newer;
pub(crate) mod opened_stores;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod reread;
pub(crate) mod ring;
pub(crate) mod scan;
mod shared;
pub(crate) mod sidecar;
pub(crate) mod sled;
pub(crate) mod store;
pub(crate) mod stores;
pub(crate) mod verdict;
pub(crate) mod watch;
pub(crate) mod words;
pub(crate) mod writer;
