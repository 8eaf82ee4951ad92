//! The figures of one workload at one level.

use serde::{Deserialize, Serialize};

use super::latency::Curve;
use super::level::Level;
use super::workload::Workload;

/// Measured as fast as the engine decides, with one thread per core and many decisions in flight.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ClosedLoop {
    pub(super) decisions: u64,
    pub(super) seconds: f64,
    /// Acknowledged decisions.
    pub(super) decisions_per_second: f64,
    /// Log bytes given to the store; `None` if there is no log.
    pub(super) log_bytes_per_decision: Option<f64>,
    /// Bytes given to the operating system, including checkpoints; `None` if it does not report them, or
    /// nothing is kept.
    pub(super) written_bytes_per_decision: Option<f64>,
    /// Processor time of all threads, including the clients.
    pub(super) cpu_ns_per_decision: f64,
    /// Growth of the process.
    pub(super) memory_bytes: u64,
    /// The growth divided by the live holds at the end; `None` if there are too few holds.
    pub(super) memory_bytes_per_hold: Option<f64>,
    pub(super) holds_live: u64,
    pub(super) expired: u64,
    pub(super) busy: u64,
}

/// Measured with operations that do not wait for the ones before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct OpenLoop {
    pub(super) offered_per_second: u64,
    pub(super) offered: u64,
    /// Operations never sent, because the engine was behind for too long. Their latency ends when that was
    /// detected.
    pub(super) unsent: u64,
    pub(super) busy: u64,
    /// From the time at which an operation was due to its acknowledgement.
    pub(super) latency: Curve,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) workload: Workload,
    pub(super) level: Level,
    pub(super) closed: ClosedLoop,
    /// At 100,000 a second, and at half of the highest rate.
    pub(super) open: Vec<OpenLoop>,
}
