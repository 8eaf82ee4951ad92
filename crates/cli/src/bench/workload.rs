//! What is asked of the engine.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Named as on the command line and in the JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Workload {
    /// One unit of one SKU, over and over
    Hot,
    /// One unit of one of 10,000 SKUs, each as likely
    Uniform,
    /// One unit of one of 10,000 SKUs, the n-th with a likelihood of 1/n
    Zipf,
    /// Carts of four lines over 10,000 SKUs
    Carts,
    /// Reserve, then release one of four; confirm, ship and receive the others; 10,000 SKUs
    Churn,
    /// Refusals of one SKU that is sold out
    SoldOut,
    /// One SKU whose holds all expire at the same few instants, while reserves go on
    Expiry,
}

/// SKUs of the workloads that spread.
const SPREAD: u32 = 10_000;

impl Workload {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// What it does, in a line.
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

    /// Whether holds add up while it runs, so that memory is the limit.
    pub(super) fn piles_up(self) -> bool {
        matches!(self, Workload::Hot | Workload::Uniform | Workload::Zipf | Workload::Carts)
    }
}
