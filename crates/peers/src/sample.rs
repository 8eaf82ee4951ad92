//! The measured values of one row.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::PeerError;

pub(crate) struct Sample {
    pub(crate) granted: u64,
    pub(crate) elapsed: Duration,
    /// The time from a call to its acknowledgement.
    pub(crate) ack_ns: Histogram<u64>,
}

impl Sample {
    /// A histogram from 1 ns to one minute, with three digits.
    pub(crate) fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.granted as f64 / self.elapsed.as_secs_f64()
    }

    /// Fails unless the peer's own count equals the granted holds.
    pub(crate) fn agrees(&self, found: i64, what: &'static str) -> Result<(), PeerError> {
        if i64::try_from(self.granted) == Ok(found) {
            return Ok(());
        }
        Err(PeerError::Mismatch { granted: self.granted, found, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_took_less_than_it_granted_gets_no_figure() {
        let sample = Sample { granted: 3, elapsed: Duration::from_secs(1), ack_ns: Sample::histogram() };
        assert!(sample.agrees(3, "units are missing").is_ok());
        assert!(sample.agrees(2, "units are missing").is_err());
    }
}
