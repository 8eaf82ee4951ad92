//! When a decision counts as acknowledged.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use stockhold::Durability;

/// Named as on the command line and in the JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// After an fdatasync
    Sync,
    /// After the system has it, which is synced every 100 ms
    Interval,
    /// At once; nothing is kept
    Memory,
}

impl Level {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// When a decision counts as acknowledged, in a line.
    pub(super) fn sentence(self) -> String {
        let help = self.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
        help.unwrap_or_default()
    }

    pub(super) fn durability(self) -> Durability {
        match self {
            Level::Sync => Durability::Sync,
            Level::Interval => Durability::Interval(Duration::from_millis(100)),
            Level::Memory => Durability::Memory,
        }
    }
}
