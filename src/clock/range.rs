//! Which moments are taken from a caller, and the conversions from and to the system's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Timestamp;
use crate::error::TimeError;

impl Timestamp {
    /// Returns the moment if it lies between [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    ///
    /// # Errors
    ///
    /// [`TimeError`] says which unit the number may have instead.
    pub fn check(self) -> Result<Timestamp, TimeError> {
        if (Self::MIN..=Self::MAX).contains(&self) {
            Ok(self)
        } else {
            Err(TimeError(i64::try_from(self.0).unwrap_or(i64::MAX)))
        }
    }
}

/// Rounded down to a whole millisecond. A moment before [`MIN`](Timestamp::MIN) or after
/// [`MAX`](Timestamp::MAX) is an error.
impl TryFrom<SystemTime> for Timestamp {
    type Error = TimeError;

    fn try_from(time: SystemTime) -> Result<Timestamp, TimeError> {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(millis(since) as u64).check(),
            Err(before) => Err(TimeError(-millis(before.duration()))),
        }
    }
}

/// Engine time may be far off the machine's clock; the moment is the same.
impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(moment.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_outside_2020_to_2089_is_refused_and_the_sentence_names_the_unit() {
        let sentence = |moment: Timestamp| moment.check().unwrap_err().to_string();
        let (first, last) = (Timestamp(1_577_836_800_000), Timestamp(3_776_860_055_551));
        assert_eq!((first.check(), last.check()), (Ok(Timestamp::MIN), Ok(Timestamp::MAX)));
        assert_eq!(last.to_string(), "2089-09-06T15:47:35.551Z");
        for outside in [0, first.0 - 1, last.0 + 1, u64::MAX] {
            assert!(sentence(Timestamp(outside)).contains("milliseconds since 1970"), "{outside}");
        }
        let nine = 1_796_029_200;
        for (number, unit) in [(1, "seconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds")] {
            let says = sentence(Timestamp(nine * number));
            assert!(says.contains(&format!("is a number of {unit}")), "{says}");
        }
        assert_eq!(Timestamp::from_unix_secs(nine).check(), Ok(Timestamp(nine * 1_000)));
    }

    #[test]
    fn a_system_time_is_taken_if_it_is_in_range_and_given_back() {
        let moment = Timestamp::from_unix_millis(1_796_029_200_123);
        assert_eq!(Timestamp::try_from(SystemTime::from(moment)), Ok(moment));
        let at = |ms| SystemTime::from(Timestamp(ms));
        assert_eq!(Timestamp::try_from(at(Timestamp::MIN.0)), Ok(Timestamp::MIN));
        assert_eq!(Timestamp::try_from(at(Timestamp::MIN.0 - 1)), Err(TimeError(1_577_836_799_999)));
        assert_eq!(Timestamp::try_from(at(Timestamp::MAX.0 + 1)), Err(TimeError(3_776_860_055_552)));
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::try_from(before), Err(TimeError(-1_000)));
        let _ = SystemTime::from(Timestamp(u64::MAX));
    }
}
