//! The column `at`, and pacing by it.

use std::time::{Duration, Instant};

/// A time of the order file, in microseconds since any origin: only differences are used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Micros(i64);

impl Micros {
    /// Parses RFC 3339 (`2026-11-27T09:00:00.250+01:00`), or a number of seconds, with or without a fraction.
    pub fn parse(text: &str) -> Option<Micros> {
        let number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
        if text.bytes().all(number) && !text.is_empty() {
            // At most 10,000 years: the range of RFC 3339, and far from the overflow of microseconds.
            const SECONDS_MAX: f64 = 10_000.0 * 366.0 * 86_400.0;
            let seconds: f64 = text.parse().ok()?;
            return (seconds.abs() <= SECONDS_MAX).then(|| Micros((seconds * 1e6).round() as i64));
        }
        text.parse::<jiff::Timestamp>().ok().map(|time| Micros(time.as_microsecond()))
    }
}

/// Computes when a line is due: the first at once, the others after the time difference in the file, divided
/// by the speed.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    first: Option<(Micros, Instant)>,
}

impl Pace {
    /// `speed` 1 is the original pace; 60 replays a minute in a second.
    pub fn new(speed: f64) -> Self {
        Pace { speed, first: None }
    }

    /// When a line with the time `at` is due; at once for a line that is earlier than the first.
    pub fn due(&mut self, at: Micros, now: Instant) -> Instant {
        let (first, began) = *self.first.get_or_insert((at, now));
        let seconds = at.0.saturating_sub(first.0).max(0) as f64 / 1e6 / self.speed;
        // At most about 100 years, so that the addition does not overflow.
        let wait = Duration::from_secs_f64(seconds.min(3.2e9));
        began.checked_add(wait).unwrap_or(began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_seconds() {
        assert_eq!(Micros::parse("1970-01-01T00:00:01Z"), Some(Micros(1_000_000)));
        assert_eq!(Micros::parse("1970-01-01T02:00:00.25+02:00"), Some(Micros(250_000)));
        assert_eq!(Micros::parse("12.5"), Some(Micros(12_500_000)));
        assert_eq!(Micros::parse("-3"), Some(Micros(-3_000_000)));
        assert_eq!(Micros::parse("1764234000"), Some(Micros(1_764_234_000_000_000)));
        for bad in [
            "",
            "noon",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1-2",
            ".",
            "nan",
            "inf",
            "1e400",
            "99999999999999",
        ] {
            assert_eq!(Micros::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_line_is_due_as_much_later_as_the_speed_says() {
        let now = Instant::now();
        let mut pace = Pace::new(10.0);
        assert_eq!(pace.due(Micros(5_000_000), now), now);
        assert_eq!(pace.due(Micros(25_000_000), now + Duration::from_secs(1)), now + Duration::from_secs(2));
        assert_eq!(pace.due(Micros(1), now), now);
    }
}
