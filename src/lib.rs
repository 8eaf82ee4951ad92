//! stockhold decides, exactly and at memory speed, who gets the last unit.
//!
//! A program links it and calls [`Engine::reserve`]. It gets either a *hold*, units set aside until a
//! deadline, or a *refusal*, which was true when it was decided. Two guarantees, at every instant and after
//! every crash:
//!
//! - **No oversell**: sales never take `available` below zero.
//! - **No false refusal**: out-of-stock is answered only if, at some instant during the call, fewer units
//!   were available than asked for. A hold past its deadline never causes a refusal, whether it was swept or
//!   not.
//!
//! ```
//! use stockhold::{Config, Engine, Receive, Reserve, error::ReserveError};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("stock");
//! let engine = Engine::open(directory, Config::default())?;
//! let poster = engine.declare("poster", "berlin")?;
//! engine.receive(Receive::units(poster, 1))?.wait()?;
//!
//! let reserved = engine.reserve(Reserve::units(poster, 1).reference("order-1"))?.wait()?; // now durable
//! match engine.reserve(Reserve::units(poster, 1)) {
//!     Err(ReserveError::Refused(refusal)) => assert_eq!(refusal.available, 0), // true when it was read
//!     other => panic!("one unit cannot be held twice: {other:?}"),
//! }
//! engine.confirm(reserved.hold)?.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # It is
//!
//! - a library in your process: a decision is a few atomic operations, not a round trip;
//! - exact: a refused reserve could not have been granted, and granted units are there;
//! - durable: a [`Receipt`] is acknowledged after an `fdatasync` (see [`Durability`] for other levels);
//! - for 64-bit Linux.
//!
//! # It is not
//!
//! - a server: write your own protocol (`examples/gateway.rs` is one in a file);
//! - replicated: one process decides, on one machine;
//! - a database of orders: it has quantities and holds, and no customers or prices.
//!
//! # The path of a request
//!
//! ```text
//! reserve ─► validate ─► take: stock counter ─► log position ─► hold table ─► receipt      memory, lock-free
//!                                                    │
//!                                           log thread, one: groups
//!                                  ┌─────────────────┴──────────────────┐
//!                    chunks ─► store ─► fdatasync             fold: facts ─► levels, holds, references
//!                                           │                           │
//!                              durable position ─► waiters       checkpointer ─► runs, manifest
//! ```
//!
//! Every arrow is one call or one queue, and data flows one way. [`design::house`] shows the whole on one
//! screen and says where a new thing goes; a chapter a protocol follows it in [`design`].
//! [`design::where_time_goes`] says what each arrow costs, [`design::tuning`] what to set for which sale.
//! An operation that is busy is repeated with [`retry`].

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("stockhold runs on 64-bit Linux only: its durability rests on how Linux syncs files.");

pub mod answer;
mod checkpoint;
pub mod clock;
mod config;
mod creation;
pub mod design;
mod engine;
pub mod error;
mod expiry;
mod fault;
mod fold;
mod hashing;
mod hold;
mod index;
pub mod inspect;
mod join;
mod log;
mod metrics;
mod poison;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod proofs;
mod receipt;
mod request;
pub mod retry;
pub mod salvage;
mod segments;
#[cfg(not(stockhold_faults))]
mod stall;
#[cfg(stockhold_faults)]
#[doc(hidden)]
pub mod stall;
mod stock;
mod sync;
pub mod types;
mod varint;

pub use answer::{HoldState, HoldStatus, Level, Refusal, RefusalReason, Reserved, ReservedCart};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use config::{Config, ConfigError, Durability};
pub use engine::{Engine, OpenReport, Verified};
pub use metrics::{Metrics, SyncLatency};
pub use receipt::Receipt;
pub use request::{
    Adjust, AdjustReason, CartLine, Confirm, Extend, HoldAction, Receive, Replace, Reserve, ReserveCart,
};
pub use types::{HoldId, OpKey, Position, StockKey};

/// Compiles the examples of the README with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same for the longer example.
#[cfg(doctest)]
#[doc = include_str!("../docs/checkout.md")]
struct Checkout;
