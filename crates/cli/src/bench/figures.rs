//! What is told of one workload at one level.

use serde::{Deserialize, Serialize};

use super::latency::Curve;
use super::level::Level;
use super::workload::Workload;

/// As fast as the engine decides, with as many threads as cores and many decisions in flight.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ClosedLoop {
    pub(super) decisions: u64,
    pub(super) seconds: f64,
    /// Acknowledged.
    pub(super) decisions_per_second: f64,
    /// Of the log, handed to its store; `None` where there is none.
    pub(super) log_bytes_per_decision: Option<f64>,
    /// Handed to the system, checkpoints included; `None` where it does not tell, or nothing is kept.
    pub(super) written_bytes_per_decision: Option<f64>,
    /// Of all threads, the clients' too.
    pub(super) cpu_ns_per_decision: f64,
    /// What the process grew by.
    pub(super) memory_bytes: u64,
    /// Of that, for each hold that lives at the end; `None` where there are too few to say.
    pub(super) memory_bytes_per_hold: Option<f64>,
    pub(super) holds_live: u64,
    pub(super) expired: u64,
    pub(super) busy: u64,
}

/// As operations come that do not wait for the ones before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct OpenLoop {
    pub(super) offered_per_second: u64,
    pub(super) offered: u64,
    /// Never sent, because the engine was behind for too long: they count as acknowledged when that was seen.
    pub(super) unsent: u64,
    pub(super) busy: u64,
    /// From when an operation was due to its acknowledgement.
    pub(super) latency: Curve,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) workload: Workload,
    pub(super) level: Level,
    pub(super) closed: ClosedLoop,
    /// At 100,000 a second, and at half of the most.
    pub(super) open: Vec<OpenLoop>,
}
