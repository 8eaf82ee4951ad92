//! Moments and durations in milliseconds.

use std::fmt;
use std::time::Duration;

/// 2020-01-01T00:00:00Z: the earliest time that a clock may return. A hold's word has 41 bits of milliseconds
/// counted from here, which reach the year 2089.
pub(crate) const EPOCH_2020_MS: u64 = 1_577_836_800_000;

/// 2079-01-01T00:00:00Z: a clock must return an earlier time. With the longest life, every deadline then fits
/// a hold's word.
pub(crate) const CLOCK_MAX_MS: u64 = 3_439_756_800_000;

/// The last time that engine time reaches: it stands still there. So whatever a clock returns, no time enters
/// the log that a later opening could not go on from.
pub(crate) const CLOCK_LAST: Timestamp = Timestamp(CLOCK_MAX_MS - 1);

/// The last time that a hold's word can carry.
pub(crate) const TIME_MAX: Timestamp = Timestamp(EPOCH_2020_MS + (1 << 41) - 1);

/// A moment in engine time: milliseconds since 1970, in UTC.
///
/// A moment that a caller gives must lie between [`MIN`](Self::MIN) and [`MAX`](Self::MAX), else the call
/// answers [`TimeError`](crate::error::TimeError). A number of seconds or microseconds, taken for milliseconds,
/// lies outside.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use stockhold::Timestamp;
///
/// let nine = Timestamp::from_unix_secs(1_796_029_200);
/// assert_eq!(nine, Timestamp::from_unix_millis(1_796_029_200_000));
/// assert_eq!(nine.to_string(), "2026-11-30T09:00:00.000Z");
/// let tomorrow = Timestamp::try_from(SystemTime::now() + Duration::from_secs(86_400))?;
/// assert!(tomorrow > nine || tomorrow.check().is_ok());
/// # Ok::<(), stockhold::error::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The first moment that a call takes: 2020-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(EPOCH_2020_MS);

    /// The last moment that a call takes: 2089-09-06T15:47:35.551Z.
    pub const MAX: Timestamp = TIME_MAX;

    /// The moment `millis` milliseconds after 1970. Any number is taken; see [`check`](Self::check).
    pub const fn from_unix_millis(millis: u64) -> Timestamp {
        Timestamp(millis)
    }

    /// The moment `secs` seconds after 1970. Saturates; see [`check`](Self::check).
    pub const fn from_unix_secs(secs: u64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000))
    }

    /// Milliseconds since 1970.
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }

    /// This moment plus `duration`, rounded up to a whole millisecond. Saturates.
    pub fn plus(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis_ceil(duration)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC, to the millisecond.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1_000, self.0 % 1_000);
        let (year, month, day) = civil(seconds / 86_400);
        let second = seconds % 86_400;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01: days are counted from a 1 March, so that the leap
/// day is a year's last, in eras of 400 years (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// 2013).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Whole milliseconds, rounded up, so that a hold never lives shorter than was asked for.
pub(crate) fn millis_ceil(duration: Duration) -> u64 {
    let rest = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    duration.as_secs().saturating_mul(1_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
        let _ = Timestamp(u64::MAX).to_string();
    }
}
