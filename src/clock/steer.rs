//! Steers engine time towards the wall clock. Pure arithmetic: no clock, no atomics. The cases are in the
//! header of `clock`.
//!
//! Invariants of the times that consecutive lines give, at whichever moments they are read:
//! - engine time does not fall;
//! - while steady time goes on by `t`, engine time goes on by `t * 15/16 - 2 ms` to `t * 1025/1024 + 2 ms`.

use super::{CLOCK_LAST, Look, Timestamp};

const PERIOD_BITS: u32 = 10;
const PERIOD_MS: u64 = 1 << PERIOD_BITS;

/// Milliseconds in a period by which engine time may run slower than the steady clock.
const SLOWER_MAX_MS: i64 = PERIOD_MS as i64 / 16;
/// And faster.
const FASTER_MAX_MS: i64 = 1;

/// Within this, engine time equals the wall: clocks are read one after the other, and to the millisecond.
const NEAR_MS: i64 = 1;

/// A wall that moved by this much against the steady clock has jumped: it is where NTP steps instead of
/// slewing.
const JUMP_MIN_MS: u64 = 128;

const NUMBER_BITS: u32 = 14;
const SLEW_BITS: u32 = 8;
const AHEAD_BITS: u32 = u64::BITS - NUMBER_BITS - SLEW_BITS;

const _: () = assert!(SLOWER_MAX_MS < 1 << (SLEW_BITS - 1) && FASTER_MAX_MS < 1 << (SLEW_BITS - 1));

/// Engine time in one period of the steady clock. One word:
///
/// ```text
/// | ahead, 42 bits, signed | slew, 8 bits, signed | number of the period, 14 bits |
/// ```
/// The number repeats every 4.7 hours. A line from exactly so long ago, with none since, is taken for this
/// period's. It is valid again, since engine time has only advanced as fast as the steady clock meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SteerLine {
    /// How far engine time is ahead of steady time when the period begins: 69 years, either way.
    ahead_ms: i64,
    /// By how much that grows until the period ends.
    slew_ms: i64,
    /// The period.
    number: u64,
}

fn number(steady: Timestamp) -> u64 {
    (steady.0 >> PERIOD_BITS) & ((1 << NUMBER_BITS) - 1)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// How far `a` is ahead of `b`.
pub(crate) fn ahead_ms(a: Timestamp, b: Timestamp) -> i64 {
    signed(a.0).saturating_sub(signed(b.0))
}

impl SteerLine {
    /// A line of the period that `steady` is in.
    fn new(steady: Timestamp, ahead_ms: i64, slew_ms: i64) -> SteerLine {
        let most = (1 << (AHEAD_BITS - 1)) - 1;
        SteerLine { ahead_ms: ahead_ms.clamp(-most, most), slew_ms, number: number(steady) }
    }

    /// The first line: engine time is `engine` at `steady`.
    pub(crate) fn begin(steady: Timestamp, engine: Timestamp) -> SteerLine {
        SteerLine::new(steady, ahead_ms(engine, steady), 0)
    }

    pub(crate) fn word(self) -> u64 {
        (self.ahead_ms as u64) << (SLEW_BITS + NUMBER_BITS)
            | (self.slew_ms as u8 as u64) << NUMBER_BITS
            | self.number
    }

    pub(crate) fn of_word(word: u64) -> SteerLine {
        SteerLine {
            ahead_ms: word as i64 >> (SLEW_BITS + NUMBER_BITS),
            slew_ms: i64::from((word >> NUMBER_BITS) as u8 as i8),
            number: word & ((1 << NUMBER_BITS) - 1),
        }
    }

    /// Whether it is the line of the period that `steady` is in.
    pub(crate) fn covers(self, steady: Timestamp) -> bool {
        self.number == number(steady)
    }

    /// The part of the slew that has taken place. Rounded down: a slower engine time stands still now and
    /// then, and does not fall.
    fn slewed_ms(self, steady: Timestamp) -> i64 {
        (self.slew_ms * (steady.0 & (PERIOD_MS - 1)) as i64) >> PERIOD_BITS
    }

    /// Engine time at `steady`.
    pub(crate) fn at(self, steady: Timestamp) -> Timestamp {
        // Saturating: no valid time is near the limit, and after an absurd one time must not begin anew.
        let engine_ms = signed(steady.0).saturating_add(self.ahead_ms + self.slewed_ms(steady));
        Timestamp(engine_ms.max(0) as u64)
    }

    /// How far engine time is ahead when the period ends.
    fn ahead_at_end_ms(self) -> i64 {
        self.ahead_ms + self.slew_ms
    }

    /// The whole periods since, in which no line was made. Too few if the number has repeated: the safe side.
    fn unsteered_ms(self, steady: Timestamp) -> i64 {
        let since = number(steady).wrapping_sub(self.number + 1) & ((1 << NUMBER_BITS) - 1);
        (since << PERIOD_BITS) as i64
    }

    /// The line of the period that `steady` is in, without steering.
    pub(crate) fn coast(self, steady: Timestamp) -> SteerLine {
        SteerLine::new(steady, self.ahead_at_end_ms(), 0)
    }

    /// The line of the period that `look` is in, steered towards the wall.
    pub(crate) fn steer(self, look: &Look, jump_max_ms: u64) -> SteerLine {
        let engine = self.coast(look.steady).at(look.steady);
        let pull_ms = match ahead_ms(look.wall, engine) {
            _ if is_unbelieved(look.wall, engine, jump_max_ms) => 0,
            near if (-NEAR_MS..=NEAR_MS).contains(&near) => 0,
            far => far,
        };
        // The slewing that was missed in the periods without a line.
        let unsteered_ms = self.unsteered_ms(look.steady);
        let most = |limit_ms: i64| unsteered_ms / PERIOD_MS as i64 * limit_ms;
        let at_once_ms = pull_ms.clamp(-most(SLOWER_MAX_MS), most(FASTER_MAX_MS));
        let slew_ms = (pull_ms - at_once_ms).clamp(-SLOWER_MAX_MS, FASTER_MAX_MS);
        SteerLine::new(look.steady, self.ahead_at_end_ms() + at_once_ms, slew_ms)
    }

    /// The line after a step ahead: engine time is `engine`, or stays as it is if that is later.
    pub(crate) fn step(self, steady: Timestamp, engine: Timestamp) -> SteerLine {
        let now = if self.covers(steady) { self } else { self.coast(steady) };
        if now.at(steady) >= engine { now } else { SteerLine::begin(steady, engine) }
    }
}

/// Whether engine time may become the wall's.
pub(crate) fn is_in_range(wall: Timestamp) -> bool {
    (Timestamp::MIN..=CLOCK_LAST).contains(&wall)
}

/// Whether the wall is too far ahead to be followed.
pub(crate) fn is_unbelieved(wall: Timestamp, engine: Timestamp, jump_max_ms: u64) -> bool {
    wall.0.saturating_sub(engine.0) > jump_max_ms || wall > CLOCK_LAST
}

/// Whether the wall moved against the steady clock between two looks.
pub(crate) fn has_jumped(before: &Look, after: &Look) -> bool {
    let moved_ms = ahead_ms(after.wall, after.steady).abs_diff(ahead_ms(before.wall, before.steady));
    moved_ms >= JUMP_MIN_MS
}

#[cfg(test)]
mod tests;
