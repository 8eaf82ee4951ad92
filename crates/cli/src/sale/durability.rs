//! A durability as it is written on the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stockhold::Durability;

/// `sync`, `interval:100ms`, `interval:2s` or `memory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DurabilityArg(pub(super) Durability);

impl FromStr for DurabilityArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let interval = |text: &str| {
            let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
            let number: u64 = number.parse().ok()?;
            match unit {
                "ms" => Some(Duration::from_millis(number)),
                "s" => Some(Duration::from_secs(number)),
                _ => None,
            }
        };
        match text.strip_prefix("interval:") {
            Some(period) => interval(period).map(Durability::Interval),
            None if text == "sync" => Some(Durability::Sync),
            None if text == "memory" => Some(Durability::Memory),
            None => None,
        }
        .map(DurabilityArg)
        .ok_or_else(|| "write sync, interval:100ms (or another period), or memory".to_string())
    }
}

impl fmt::Display for DurabilityArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Durability::Sync => f.write_str("sync"),
            Durability::Interval(period) => write!(f, "interval:{}ms", period.as_millis()),
            Durability::Memory => f.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durabilities_are_read_as_they_are_written() {
        for text in ["sync", "interval:100ms", "interval:2000ms", "memory"] {
            assert_eq!(text.parse::<DurabilityArg>().unwrap().to_string(), text);
        }
        assert_eq!("interval:2s".parse::<DurabilityArg>().unwrap().to_string(), "interval:2000ms");
        for text in ["", "often", "interval:", "interval:5", "interval:ms", "interval:99999999999999999999s"]
        {
            assert!(text.parse::<DurabilityArg>().is_err(), "{text:?}");
        }
    }
}
