//! When operations are due that come at a rate, whether or not the engine keeps up. (Pure.)
//!
//! They are dealt to the senders in turn. An operation is late from the moment it was due, not from when a sender that
//! was held up got around to it: otherwise a stall would hide every operation that it delayed but one.

/// A rate, kept up for a while by so many senders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rate: u64,
    count: u64,
    senders: u64,
}

impl Schedule {
    /// `rate` operations a second for `seconds`, but `count_max` at most, and one of each sender at least.
    pub(super) fn new(rate: u64, seconds: f64, count_max: u64, senders: u64) -> Self {
        let count = (rate as f64 * seconds) as u64;
        Schedule { rate: rate.max(1), count: count.min(count_max).max(senders), senders }
    }

    /// Operations of all senders.
    pub(super) fn count(self) -> u64 {
        self.count
    }

    /// When each operation of a sender is due, in nanoseconds since the beginning.
    pub(super) fn due_ns(self, sender: u64) -> impl Iterator<Item = u64> {
        let at = move |index: u64| (u128::from(index) * 1_000_000_000 / u128::from(self.rate)) as u64;
        (sender..self.count).step_by(self.senders as usize).map(at)
    }

    /// How long it takes if all of them are sent when they are due.
    pub(super) fn span_ns(self) -> u64 {
        (u128::from(self.count) * 1_000_000_000 / u128::from(self.rate)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_due_at_even_distances_whoever_sends_them() {
        let schedule = Schedule::new(4, 1.5, u64::MAX, 2);
        let (one, two): (Vec<u64>, Vec<u64>) = (schedule.due_ns(0).collect(), schedule.due_ns(1).collect());
        assert_eq!(one, [0, 500_000_000, 1_000_000_000]);
        assert_eq!(two, [250_000_000, 750_000_000, 1_250_000_000]);
        assert_eq!((schedule.count(), schedule.span_ns()), (6, 1_500_000_000));
    }

    #[test]
    fn no_rounding_adds_up() {
        let schedule = Schedule::new(3_000_000, 2.0, u64::MAX, 1);
        assert_eq!(schedule.due_ns(0).last(), Some(1_999_999_666));
    }

    #[test]
    fn a_schedule_has_an_end_and_something_for_each_sender() {
        assert_eq!(Schedule::new(1_000_000, 60.0, 5_000, 1).count(), 5_000);
        let idle = Schedule::new(0, 0.01, 5_000, 3);
        assert!((0..3).all(|sender| idle.due_ns(sender).count() == 1));
    }
}
