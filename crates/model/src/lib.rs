//! The contract of the stockhold engine as a program that is obviously right: plain numbers and maps, one
//! thread, no log, no slots and no counters.
//!
//! The model test, the operation fuzzer and the simulation do each [`Operation`] with the engine and with a
//! [`Model`], and compare the [`Reply`]s. A stock key, a name and a hold are numbers, in the order in which
//! they came; a time is in milliseconds. Where an engine may know less than the model, the model says so: the
//! units of a hold that is due and not closed yet may still count as held in an approximate number, so such
//! numbers are ranges.
//!
//! `crates/crash` has a book of its own, on purpose: an error in one of the two must not hide the same in the
//! other.

mod answer;
mod apply;
mod operation;
mod state;

pub use answer::{Answer, Failure, Grant, RefusalReason, Reply};
pub use operation::{KEYS_MAX, Lines, Operation, SaleSwitch, Selection};
pub use state::{Hold, HoldState, Model, Rules, Stock, UsedOpKey};
