//! A stock key's level in eight bytes. Nearly all levels fit. Pure.
//!
//! ```text
//! 0 │ stopped │ on_hand (20) │ held (14) │ committed (14) │ corrected_down (14)
//! 1 │ number of the level, which is stored elsewhere
//! ```

use super::level::KeyLevel;

const UNITS_BITS: u32 = 14;
const UNITS_MASK: u64 = (1 << UNITS_BITS) - 1;
const ON_HAND_BITS: u32 = 20;
const ON_HAND_MASK: u64 = (1 << ON_HAND_BITS) - 1;
const STOPPED: u64 = 1 << 62;
const ELSEWHERE: u64 = 1 << 63;
const _: () = assert!(1 << (3 * UNITS_BITS + ON_HAND_BITS) == STOPPED);

/// A packed level, or the number of one that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Packed(u64);

/// The content of a packed word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unpacked {
    Here(KeyLevel),
    /// The number of a level that does not fit in eight bytes.
    Elsewhere(usize),
}

impl Packed {
    /// Packs a level. `None` if it does not fit: it has an opening time, or too many units, or a negative
    /// quantity.
    #[inline]
    pub(crate) fn of(level: &KeyLevel) -> Option<Packed> {
        let KeyLevel { on_hand, held, committed, corrected_down, stopped, opens_at_ms } = *level;
        let [on_hand, held, committed, corrected_down] =
            [on_hand, held, committed, corrected_down].map(|units| units as u64);
        let beyond = on_hand >> ON_HAND_BITS | (held | committed | corrected_down) >> UNITS_BITS;
        (beyond | opens_at_ms == 0).then_some(Packed(
            if stopped { STOPPED } else { 0 }
                | on_hand << (3 * UNITS_BITS)
                | held << (2 * UNITS_BITS)
                | committed << UNITS_BITS
                | corrected_down,
        ))
    }

    /// A word that refers to the level with this number.
    pub(crate) fn elsewhere(number: usize) -> Packed {
        Packed(ELSEWHERE | number as u64)
    }

    #[inline]
    pub(crate) fn unpack(self) -> Unpacked {
        let Packed(word) = self;
        if word & ELSEWHERE != 0 {
            return Unpacked::Elsewhere((word & !ELSEWHERE) as usize);
        }
        let units = |place: u32| (word >> (place * UNITS_BITS) & UNITS_MASK) as i64;
        Unpacked::Here(KeyLevel {
            on_hand: (word >> (3 * UNITS_BITS) & ON_HAND_MASK) as i64,
            held: units(2),
            committed: units(1),
            corrected_down: units(0),
            stopped: word & STOPPED != 0,
            opens_at_ms: 0,
        })
    }

    /// The word itself, read to bring it into the cache.
    #[inline]
    pub(crate) fn prefetch(self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const FULL: KeyLevel = KeyLevel {
        on_hand: ON_HAND_MASK as i64,
        held: UNITS_MASK as i64,
        committed: UNITS_MASK as i64,
        corrected_down: UNITS_MASK as i64,
        stopped: true,
        opens_at_ms: 0,
    };

    #[test]
    fn a_level_that_fits_comes_back_as_it_was() {
        let with = |change: fn(&mut KeyLevel)| {
            let mut level = KeyLevel::default();
            change(&mut level);
            level
        };
        let levels = [
            FULL,
            with(|_| {}),
            with(|level| level.on_hand = FULL.on_hand),
            with(|level| level.held = FULL.held),
            with(|level| level.committed = FULL.committed),
            with(|level| level.corrected_down = FULL.corrected_down),
            with(|level| level.stopped = true),
        ];
        for level in levels {
            assert_eq!(Packed::of(&level).unwrap().unpack(), Unpacked::Here(level));
        }
        assert_eq!(Packed::elsewhere(1 << 28).unpack(), Unpacked::Elsewhere(1 << 28));
    }

    #[test]
    fn what_does_not_fit_is_not_packed() {
        let changes: [fn(&mut KeyLevel); 8] = [
            |level| level.on_hand += 1,
            |level| level.on_hand = -1,
            |level| level.held += 1,
            |level| level.held = -1,
            |level| level.committed += 1,
            |level| level.corrected_down += 1,
            |level| level.corrected_down = i64::MAX,
            |level| level.opens_at_ms = 1,
        ];
        for change in changes {
            let mut level = FULL;
            change(&mut level);
            assert_eq!(Packed::of(&level), None, "{level:?}");
        }
    }
}
