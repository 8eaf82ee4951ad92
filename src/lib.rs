//! stockhold decides, exactly and at memory speed, who gets the last unit.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("stockhold runs on 64-bit Linux only: its durability rests on how Linux syncs files.");

pub mod answer;
mod clock;
mod config;
mod engine;
pub mod error;
mod expiry;
mod fault;
mod fold;
mod hold;
mod log;
#[cfg(test)]
mod loom_models;
mod metrics;
mod poison;
mod receipt;
mod request;
mod segments;
mod stock;
mod sync;
pub mod types;

pub use answer::{HoldState, HoldStatus, Level, Refusal, RefusalReason, Reserved};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use config::{Config, ConfigError, Durability};
pub use engine::{Engine, OpenReport};
pub use metrics::Metrics;
pub use receipt::Receipt;
pub use request::{Adjust, AdjustReason, Confirm, Extend, OnHold, Receive, Reserve};
pub use types::{HoldId, OpKey, Position, StockKey};
