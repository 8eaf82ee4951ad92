//! The work that each peer does.

use std::time::Duration;

/// The initial units of each stock key: enough for every request.
pub(crate) const UNITS: u32 = 1_000_000_000;

/// The time to live of each hold: none expires within a row.
pub(crate) const TTL: Duration = Duration::from_secs(600);

/// The stock keys of the requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Demand {
    Hot,
    Spread,
}

impl Demand {
    pub(crate) fn keys(self) -> u64 {
        match self {
            Demand::Hot => 1,
            Demand::Spread => 10_000,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Demand::Hot => "one key",
            Demand::Spread => "10,000 keys",
        }
    }
}

/// One measurement of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) demand: Demand,
    pub(crate) time: Duration,
    pub(crate) holds_max: u64,
    pub(crate) threads: u64,
}

impl Job {
    /// The stock key of a hold: without a pattern, and the same for all peers.
    pub(crate) fn key_of(&self, reference: u64) -> u64 {
        let mixed = reference.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (mixed * self.demand.keys()) >> 32
    }

    /// The most holds of one thread.
    pub(crate) fn share(&self) -> u64 {
        self.holds_max.div_ceil(self.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_is_spread_evenly_over_all_keys_and_none_other() {
        let job = Job { demand: Demand::Spread, time: TTL, holds_max: 1, threads: 1 };
        let mut asked = vec![0; 10_000];
        (0..1_000_000).for_each(|reference| asked[job.key_of(reference) as usize] += 1);
        assert!(asked.iter().all(|count| (50..200).contains(count)));
        assert_eq!(Job { demand: Demand::Hot, ..job }.key_of(u64::MAX), 0);
    }
}
