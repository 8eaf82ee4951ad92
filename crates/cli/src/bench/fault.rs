//! Why a measurement failed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::output::Stop;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fault {
    /// An answer was wrong, or the counters do not add up.
    Untrue(String),
    /// The machine or the directory prevents the measurement.
    Failed(String),
}

impl Fault {
    pub(super) fn failed(error: impl fmt::Display) -> Fault {
        Fault::Failed(error.to_string())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Untrue(sentence) => Stop::Untrue(sentence),
            Fault::Failed(sentence) => Stop::environment(sentence),
        }
    }
}
