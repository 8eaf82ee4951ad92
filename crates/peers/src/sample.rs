//! What was seen of one row.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::trouble::Trouble;

pub(crate) struct Sample {
    pub(crate) granted: u64,
    pub(crate) elapsed: Duration,
    /// From the call to its acknowledgement.
    pub(crate) ack_ns: Histogram<u64>,
}

impl Sample {
    /// 1 ns to one minute, three digits.
    pub(crate) fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.granted as f64 / self.elapsed.as_secs_f64()
    }

    /// Fails unless what was granted is what the peer says of itself.
    pub(crate) fn agrees(&self, found: i64, what: &'static str) -> Result<(), Trouble> {
        if i64::try_from(self.granted) == Ok(found) {
            return Ok(());
        }
        Err(Trouble::Mismatch { granted: self.granted, found, what })
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
