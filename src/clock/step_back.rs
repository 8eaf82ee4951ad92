//! A step back of engine time: what it does to the times that are stored. Pure.
//!
//! Engine time never falls in a directory: the log's order would contradict its times. So a step back makes a
//! new directory from the state, see [`Inspection::set_time`](crate::inspect::Inspection::set_time).

use super::Timestamp;

/// A step of engine time from `before` back to `now`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StepBack {
    before: Timestamp,
    now: Timestamp,
}

impl StepBack {
    /// `None` if `now` is not earlier.
    pub(crate) fn new(before: Timestamp, now: Timestamp) -> Option<StepBack> {
        (now < before).then_some(StepBack { before, now })
    }

    pub(crate) fn now(self) -> Timestamp {
        self.now
    }

    fn back(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.saturating_sub(self.before.0 - self.now.0)).max(Timestamp::MIN)
    }

    /// The moment of something that has happened. It keeps its age if it happened in the time that is taken
    /// back; what happened before stays where it is, since that time was right.
    pub(crate) fn happened(self, at: Timestamp) -> Timestamp {
        if at > self.now { self.back(at) } else { at }
    }

    /// The deadline of a live hold that came to be at `born`, by the new time. The hold keeps the time that it
    /// had left, and one that was due stays due.
    pub(crate) fn deadline(self, deadline: Timestamp, born: Timestamp) -> Timestamp {
        self.back(deadline).max(born)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_796_000_000_000);

    fn after(ms: u64) -> Timestamp {
        Timestamp(NOW.0 + ms)
    }

    #[test]
    fn a_step_back_keeps_the_time_left_and_the_ages_of_the_wrong_time() {
        let step = StepBack::new(after(1_000), NOW).unwrap();
        for left_ms in [0, 1, 5_000] {
            assert_eq!(step.deadline(after(1_000 + left_ms), NOW), after(left_ms));
        }
        assert_eq!(
            step.deadline(after(400), Timestamp(NOW.0 - 100)),
            Timestamp(NOW.0 - 100),
            "due stays due"
        );
        assert_eq!(step.happened(after(400)), Timestamp(NOW.0 - 600));
        assert_eq!(step.happened(after(1_000)), NOW);
        for before_ms in [0, 1, 100_000] {
            let at = Timestamp(NOW.0 - before_ms);
            assert_eq!(step.happened(at), at);
        }
    }

    #[test]
    fn no_time_is_moved_out_of_range_or_ahead() {
        assert_eq!(StepBack::new(NOW, NOW), None);
        assert_eq!(StepBack::new(NOW, after(1)), None);
        let step = StepBack::new(Timestamp::MAX, Timestamp::MIN).unwrap();
        for at in [Timestamp::MIN, NOW, Timestamp::MAX] {
            assert_eq!(step.happened(at), Timestamp::MIN);
            assert_eq!(step.deadline(at, Timestamp::MIN), Timestamp::MIN);
        }
    }
}
