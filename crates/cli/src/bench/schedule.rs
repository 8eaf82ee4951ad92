//! The times at which operations are due at a fixed rate, whether or not the engine keeps up.
//!
//! Operations are assigned to the senders in turn. Latency counts from the time at which an operation was
//! due, not from the time at which a delayed sender sent it: otherwise a stall would hide all but one of the
//! operations that it delayed.

/// The rate, in operations a second, that is measured on every machine.
pub(super) const RATE: u64 = 100_000;

/// A rate, for some time, with some number of senders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: u64,
    count: u64,
    senders: u64,
}

impl Schedule {
    /// `rate` operations a second for `seconds`, but at most `count_max`, and at least one per sender.
    pub(super) fn new(rate: u64, seconds: f64, count_max: u64, senders: u64) -> Self {
        let count = (rate as f64 * seconds) as u64;
        Schedule { rate: rate.max(1), count: count.min(count_max).max(senders), senders }
    }

    /// Number of operations of all senders.
    pub(super) fn count(self) -> u64 {
        self.count
    }

    /// Times at which the operations of a sender are due, in nanoseconds since the beginning.
    pub(super) fn due_ns(self, sender: u64) -> impl Iterator<Item = u64> {
        let at = move |index: u64| (u128::from(index) * 1_000_000_000 / u128::from(self.rate)) as u64;
        (sender..self.count).step_by(self.senders as usize).map(at)
    }

    /// Time from the beginning until the last operation is due.
    pub(super) fn span_ns(self) -> u64 {
        (u128::from(self.count) * 1_000_000_000 / u128::from(self.rate)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_due_at_even_intervals_over_all_senders() {
        let schedule = Schedule::new(4, 1.5, u64::MAX, 2);
        let (one, two): (Vec<u64>, Vec<u64>) = (schedule.due_ns(0).collect(), schedule.due_ns(1).collect());
        assert_eq!(one, [0, 500_000_000, 1_000_000_000]);
        assert_eq!(two, [250_000_000, 750_000_000, 1_250_000_000]);
        assert_eq!((schedule.count(), schedule.span_ns()), (6, 1_500_000_000));
    }

    #[test]
    fn rounding_errors_do_not_accumulate() {
        let schedule = Schedule::new(3_000_000, 2.0, u64::MAX, 1);
        assert_eq!(schedule.due_ns(0).last(), Some(1_999_999_666));
    }

    #[test]
    fn a_schedule_is_bounded_and_has_an_operation_for_each_sender() {
        assert_eq!(Schedule::new(1_000_000, 60.0, 5_000, 1).count(), 5_000);
        let idle = Schedule::new(0, 0.01, 5_000, 3);
        assert!((0..3).all(|sender| idle.due_ns(sender).count() == 1));
    }
}
