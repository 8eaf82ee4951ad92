//! A histogram of acknowledgement latencies.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies in nanoseconds, with three significant digits.
pub(super) struct Latencies(Histogram<u64>);

/// The longest latency; longer ones count as this.
const LONGEST_NS: u64 = 600_000_000_000;

/// Quantiles of the points of a curve.
const QUANTILES: [f64; 18] = [
    0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
    1.0,
];

/// The fraction `quantile` of all latencies is at most `ns`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) quantile: f64,
    pub(super) ns: u64,
}

/// The figures of a histogram.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Curve {
    pub(super) count: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) max_ns: u64,
    pub(super) points: Vec<Point>,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        Latencies(histogram.expect("the bounds are a range, and three digits are allowed"))
    }

    /// Adds an operation that was due at `due_ns` and acknowledged at `now_ns`.
    pub(super) fn note(&mut self, due_ns: u64, now_ns: u64) {
        self.0.saturating_record(now_ns.saturating_sub(due_ns));
    }

    pub(super) fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all of them have the same bounds");
    }

    pub(super) fn curve(&self) -> Curve {
        let at = |quantile: f64| self.0.value_at_quantile(quantile).min(self.0.max());
        Curve {
            count: self.0.len(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.0.max(),
            points: QUANTILES.map(|quantile| Point { quantile, ns: at(quantile) }).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_against_everything_that_was_due_in_it() {
        let mut latencies = Latencies::new();
        // Due every microsecond; nothing is acknowledged before 100 µs have passed, then everything at once.
        (0..100).for_each(|due_us| latencies.note(due_us * 1_000, 100_000));
        let curve = latencies.curve();
        assert_eq!((curve.count, curve.max_ns), (100, 100_031)); // three digits
        assert!((50_000..52_000).contains(&curve.p50_ns), "{curve:?}");
    }

    #[test]
    fn the_latencies_of_two_threads_make_one_curve() {
        let [mut one, mut two] = [0, 1].map(|_| Latencies::new());
        one.note(0, 1_000);
        two.note(0, 9_000);
        one.add(&two);
        let curve = one.curve();
        assert_eq!((curve.count, curve.p50_ns), (2, 1_000));
        assert!(curve.points.windows(2).all(|pair| pair[0].ns <= pair[1].ns), "{curve:?}");
    }

    #[test]
    fn an_acknowledgement_that_is_early_or_never_ends_is_still_counted() {
        let mut latencies = Latencies::new();
        latencies.note(5, 4);
        latencies.note(0, u64::MAX);
        assert_eq!(latencies.curve().count, 2);
        assert_eq!(Latencies::new().curve().p999_ns, 0);
    }
}
