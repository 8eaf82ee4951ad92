//! The workloads: which operations the clients make.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The variants' names are those of the command line and of the JSON; their comments are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Workload {
    /// Reserves of one unit of a single SKU
    Hot,
    /// Reserves of one unit of 10,000 SKUs, all equally likely
    Uniform,
    /// Reserves of one unit of 10,000 SKUs, the n-th with a probability proportional to 1/n
    Zipf,
    /// Carts of four lines over 10,000 SKUs
    Carts,
    /// Reserves over 10,000 SKUs; one in four is released, the others are confirmed, shipped and received
    /// again
    Churn,
    /// Refused reserves of one sold-out SKU
    SoldOut,
    /// Reserves of one SKU whose holds all expire at a few common instants
    Expiry,
}

/// Number of SKUs in the workloads with many.
const SPREAD: u32 = 10_000;

impl Workload {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// One line that describes the workload.
    pub(super) fn sentence(self) -> String {
        let help = self.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
        help.unwrap_or_default()
    }

    pub(super) fn skus(self) -> u32 {
        match self {
            Workload::Hot | Workload::SoldOut | Workload::Expiry => 1,
            Workload::Uniform | Workload::Zipf | Workload::Carts | Workload::Churn => SPREAD,
        }
    }

    /// Whether holds accumulate while it runs, so that memory is the limit.
    pub(super) fn accumulates(self) -> bool {
        matches!(self, Workload::Hot | Workload::Uniform | Workload::Zipf | Workload::Carts)
    }
}
