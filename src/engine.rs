//! The engine. Data flows one way: `core` and its reads, then the `take` and the `transition`, then the
//! operations (those on goods together in `stock`, those on a hold in `hold_ops`, each sale in a file of its
//! own), then the `facade`, whose methods are the public API.

// What all operations are made of.
mod content;
pub(crate) mod core;
mod hold_record;
mod lookup;
pub(crate) mod pledges;
mod selection;
mod validate;

// Shared steps: changing a hold, expiring it, taking units.
mod expire;
mod hold_change;
mod take;
pub(crate) mod transition;

// Operations.
mod auto_ship;
mod batch;
pub(crate) mod cart;
mod checkpoint;
mod hold_ops;
mod query;
mod replace;
pub(crate) mod reserve;
mod retake;
mod stock;
mod verify;

// From a directory to a running engine.
pub(crate) mod open;
mod rebuild;
mod replay_target;
mod threads;

mod facade;
#[cfg(all(test, not(stockhold_loom)))]
mod tests;

pub use self::facade::Engine;
pub use self::open::OpenReport;
#[cfg(fuzzing)]
pub(crate) use self::open::restore;
pub use self::verify::Verified;
