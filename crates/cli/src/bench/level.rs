//! The levels of durability: when a decision counts as acknowledged.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use stockhold::Durability;

/// The variants' names are those of the command line and of the JSON; their comments are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// After an fdatasync
    Sync,
    /// After the operating system has it; synced every 100 ms
    Interval,
    /// At once; nothing is written
    Memory,
}

impl Level {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// One line that describes the level.
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
