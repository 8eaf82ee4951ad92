//! Everything that one run measured.

use serde::Serialize;

use super::figures::Figures;
use super::latency::Curve;
use super::machine::Machine;

/// The content of the JSON file, and of the page.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) machine: Machine,
    /// Latency of an fdatasync of a plain file, at the lower rate; `None` if no measured level syncs.
    pub(super) disk: Option<Curve>,
    pub(super) seconds: f64,
    pub(super) figures: Vec<Figures>,
}
