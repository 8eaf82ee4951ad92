//! Steering engine time towards the wall, as arithmetic: no clock, no atomics. The cases are in the room's header.
//!
//! Invariants, for all that lines one after the other say, whenever they are asked:
//! - engine time does not fall;
//! - while steady time goes on by `t`, engine time goes on by `t * 15/16 - 2 ms` to `t * 1025/1024 + 2 ms`.

use super::{Look, Timestamp};

const PERIOD_BITS: u32 = 10;
const PERIOD_MS: u64 = 1 << PERIOD_BITS;

/// Milliseconds in a period by which engine time may run slower than the steady clock.
const SLOWER_MAX_MS: i64 = PERIOD_MS as i64 / 16;
/// And faster.
const FASTER_MAX_MS: i64 = 1;

/// Nearer than this to the wall is near enough: clocks are read one after the other, and to the millisecond.
const NEAR_MS: i64 = 1;

/// A wall that moved by this much against the steady clock has jumped: it is where NTP steps instead of slewing.
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
/// The number comes round every 4.7 hours. A line from just so long ago, with none since, is taken for this period's:
/// then it is valid once more, since engine time has only gone on as fast as the steady clock meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SteerLine {
    /// How far engine time is ahead of steady time when the period begins: 69 years, either way.
    ahead_ms: i64,
    /// How much further when it ends.
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
    /// Of the period that `steady` is in.
    fn new(steady: Timestamp, ahead_ms: i64, slew_ms: i64) -> SteerLine {
        let most = (1 << (AHEAD_BITS - 1)) - 1;
        SteerLine { ahead_ms: ahead_ms.clamp(-most, most), slew_ms, number: number(steady) }
    }

    /// Engine time begins at `engine`.
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

    /// Rounded down: engine time that runs slower stands still now and then, and does not fall.
    fn slewed_ms(self, steady: Timestamp) -> i64 {
        (self.slew_ms * (steady.0 & (PERIOD_MS - 1)) as i64) >> PERIOD_BITS
    }

    /// Engine time.
    pub(crate) fn at(self, steady: Timestamp) -> Timestamp {
        // Wrapping: no such time is near, and should an absurd clock say one, the beginning is the safe side.
        let engine_ms = (steady.0 as i64).wrapping_add(self.ahead_ms + self.slewed_ms(steady));
        Timestamp(engine_ms.max(0) as u64)
    }

    /// How far ahead it is when its period ends.
    fn ahead_at_end_ms(self) -> i64 {
        self.ahead_ms + self.slew_ms
    }

    /// The whole periods since, in which nobody was told a time. Too few if the number came round: the safe side.
    fn unsteered_ms(self, steady: Timestamp) -> i64 {
        let since = number(steady).wrapping_sub(self.number + 1) & ((1 << NUMBER_BITS) - 1);
        (since << PERIOD_BITS) as i64
    }

    /// The line of the period that `steady` is in, without a look at the wall.
    pub(crate) fn coast(self, steady: Timestamp) -> SteerLine {
        SteerLine::new(steady, self.ahead_at_end_ms(), 0)
    }

    /// The line of the period that `look` is in.
    pub(crate) fn steer(self, look: &Look, jump_max_ms: u64) -> SteerLine {
        let engine = self.coast(look.steady).at(look.steady);
        let pull_ms = match ahead_ms(look.wall, engine) {
            _ if is_unbelieved(look.wall, engine, jump_max_ms) => 0,
            near if (-NEAR_MS..=NEAR_MS).contains(&near) => 0,
            far => far,
        };
        // What slewing would have done since, had anybody looked.
        let unsteered_ms = self.unsteered_ms(look.steady);
        let most = |limit_ms: i64| unsteered_ms / PERIOD_MS as i64 * limit_ms;
        let at_once_ms = pull_ms.clamp(-most(SLOWER_MAX_MS), most(FASTER_MAX_MS));
        let slew_ms = (pull_ms - at_once_ms).clamp(-SLOWER_MAX_MS, FASTER_MAX_MS);
        SteerLine::new(look.steady, self.ahead_at_end_ms() + at_once_ms, slew_ms)
    }

    /// The line after a step ahead: engine time is `engine`, or what it was if that is later.
    pub(crate) fn step(self, steady: Timestamp, engine: Timestamp) -> SteerLine {
        let now = if self.covers(steady) { self } else { self.coast(steady) };
        if now.at(steady) >= engine { now } else { SteerLine::begin(steady, engine) }
    }
}

/// Whether the wall is too far ahead to be followed.
pub(crate) fn is_unbelieved(wall: Timestamp, engine: Timestamp, jump_max_ms: u64) -> bool {
    wall.0.saturating_sub(engine.0) > jump_max_ms
}

/// Whether the wall moved against the steady clock between two looks.
pub(crate) fn has_jumped(before: &Look, after: &Look) -> bool {
    let moved_ms = ahead_ms(after.wall, after.steady).abs_diff(ahead_ms(before.wall, before.steady));
    moved_ms >= JUMP_MIN_MS
}

#[cfg(test)]
mod tests;
