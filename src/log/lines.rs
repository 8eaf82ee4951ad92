//! The packed lines of a cart, as records have them.
//!
//! For each line, in the order of the targets: the difference of its target to the one before (the first
//! one's target itself; later differences are at least 1), then its units. Both are little-endian base-128
//! numbers (LEB128) of as few bytes as possible. A line takes 2 bytes if targets lie close together, and 9 at
//! most.
//!
//! Must survive: any bytes. Bytes that are not packed exactly like this are refused ([`check`]); reading them
//! ends early.

use crate::hold::lines::Line;
#[cfg(any(fuzzing, all(test, not(stockhold_loom))))]
use crate::hold::lines::Lines;
use crate::index::Target;
use crate::types::{LINES_MAX, QUANTITY_MAX};

/// The longest lines, packed. Targets ascend below [`Target::END`], and the units of all lines come to
/// [`QUANTITY_MAX`] at most, so only some of either can be so large that they take a fourth byte.
pub(crate) const LINES_BYTES_MAX: usize =
    2 * 3 * LINES_MAX + four_bytes(Target::END) + four_bytes(QUANTITY_MAX as u64);

/// How many of [`LINES_MAX`] numbers with a sum below `end` can take four bytes while all others take three.
/// A fifth byte costs more than it adds.
const fn four_bytes(end: u64) -> usize {
    let (least_of_four, least_of_three) = (1 << 21, 1 << 14);
    let count = (end - least_of_three * LINES_MAX as u64) / (least_of_four - least_of_three);
    if count < LINES_MAX as u64 { count as usize } else { LINES_MAX }
}

/// Packs lines, which are in the order of their targets, each target once.
pub(crate) fn pack(lines: &[Line]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(lines.len() * 4);
    let mut before = 0;
    for line in lines {
        debug_assert!(
            packed.is_empty() || line.target.number() > before,
            "lines in the order of their targets"
        );
        push(&mut packed, line.target.number().wrapping_sub(before));
        push(&mut packed, line.units);
        before = line.target.number();
    }
    packed
}

/// Unpacks lines; `None` for bytes that are not packed lines. No bytes are no lines.
#[cfg(any(fuzzing, all(test, not(stockhold_loom))))]
pub(crate) fn unpack(packed: &[u8]) -> Option<Lines> {
    let LinesSummary { count, .. } = check(packed)?;
    let mut lines = Vec::with_capacity(count);
    lines.extend(iter(packed));
    Some(Lines::many(lines))
}

/// What is known of checked lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinesSummary {
    pub count: usize,
    /// The units of all lines together.
    pub units: u32,
}

/// Checks that the bytes are packed lines: targets ascend, each has units, and there are not too many of
/// either.
pub(crate) fn check(packed: &[u8]) -> Option<LinesSummary> {
    let mut lines = iter(packed);
    let (mut count, mut units) = (0, 0_u32);
    for line in &mut lines {
        (count, units) = (count + 1, units.checked_add(line.units)?);
        if count > LINES_MAX || units > QUANTITY_MAX {
            return None;
        }
    }
    lines.rest.is_empty().then_some(LinesSummary { count, units })
}

/// Iterates over packed lines without allocating. Bytes that were not [checked](check) end it early.
pub(crate) fn iter(packed: &[u8]) -> Iter<'_> {
    Iter { rest: packed, before: None }
}

#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    rest: &'a [u8],
    before: Option<u32>,
}

impl Iterator for Iter<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut rest = self.rest;
        let (ahead, units) = (pull(&mut rest)?, pull(&mut rest)?);
        let key = match self.before {
            None => ahead,
            Some(_) if ahead == 0 => return None,
            Some(before) => before.checked_add(ahead)?,
        };
        if !(1..=QUANTITY_MAX).contains(&units) {
            return None;
        }
        (self.rest, self.before) = (rest, Some(key));
        Some(Line { target: Target::of(key), units })
    }
}

/// The units of one target in two lists; 0 in a list that does not have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinePair {
    pub target: Target,
    pub first: u32,
    pub second: u32,
}

/// Joins two lists, both in the order of their targets.
pub(crate) fn join_lines(
    first: impl Iterator<Item = Line>,
    second: impl Iterator<Item = Line>,
) -> impl Iterator<Item = LinePair> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || {
        let target = match (first.peek(), second.peek()) {
            (Some(first), Some(second)) => first.target.min(second.target),
            (one, other) => one.or(other)?.target,
        };
        let units = |line: Option<Line>| line.map_or(0, |line| line.units);
        let of_first = units(first.next_if(|line| line.target == target));
        Some(LinePair {
            target,
            first: of_first,
            second: units(second.next_if(|line| line.target == target)),
        })
    })
}

fn push(packed: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

/// Takes the number at the start of `rest` off, if it is one and takes no more bytes than it needs.
fn pull(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for (at, &byte) in rest.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            if byte == 0 && at > 0 {
                return None;
            }
            *rest = rest.get(at + 1..)?;
            return u32::try_from(number).ok();
        }
    }
    None
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use stockhold_seeded::{Rng, seed};

    fn line(key: u32, units: u32) -> Line {
        Line { target: Target::of(key), units }
    }

    #[test]
    fn lines_survive_their_bytes() {
        let mut rng = Rng::new(seed());
        for count in [0, 1, 2, 3, 100, LINES_MAX] {
            let mut key = rng.index(1 << 20) as u32;
            let lines: Vec<_> = (0..count)
                .map(|_| {
                    let [key_bits, unit_bits] = [16, 20].map(|bits| rng.index(bits));
                    key += 1 + rng.index(1 << key_bits) as u32;
                    line(key, 1 + rng.index(1 << unit_bits) as u32)
                })
                .collect();
            let packed = pack(&lines);
            assert_eq!(&*unpack(&packed).unwrap(), &lines[..]);
            assert!(iter(&packed).eq(lines.iter().copied()));
            let units = lines.iter().map(|line| line.units).sum();
            assert_eq!(check(&packed), Some(LinesSummary { count, units }));
        }
        let ends = [line(0, 1), line(u32::MAX, QUANTITY_MAX - 1)];
        assert_eq!(&*unpack(&pack(&ends)).unwrap(), &ends);
        assert_eq!(pack(&[line(3, 2), line(300, 129)]), [3, 2, 0xa9, 2, 0x81, 1]);
    }

    #[test]
    fn what_is_not_packed_exactly_so_is_refused() {
        let many = |count: u32| pack(&(0..count).map(|key| line(key, 1)).collect::<Vec<_>>());
        assert!(check(&many(2_048)).is_some());
        #[rustfmt::skip]
        let hostile: &[(&str, &[u8])] = &[
            ("a line too many",               &many(2_049)),
            ("no units",                      &[3, 0]),
            ("a key twice",                   &[3, 1, 0, 1]),
            ("a key behind the last",         &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1]),
            ("more units than can be",        &[3, 0x80, 0x80, 0x80, 0x80, 0x08]),
            ("more units together",           &[3, 0xff, 0xff, 0xff, 0xff, 0x07, 1, 1]),
            ("a key alone",                   &[3]),
            ("a number without an end",       &[3, 0x81]),
            ("bytes behind the last line",    &[3, 1, 7]),
            ("a number longer than it needs", &[3, 0x81, 0x00]),
            ("a zero longer than it needs",   &[0x80, 0x00, 1]),
            ("a number of six bytes",         &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1]),
            ("a number above 32 bits",        &[0xff, 0xff, 0xff, 0xff, 0x1f, 1]),
        ];
        for (what, packed) in hostile {
            assert_eq!((check(packed), unpack(packed)), (None, None), "{what}");
            assert!(iter(packed).count() <= packed.len());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_bytes_of_their_lines() {
        let mut rng = Rng::new(seed());
        for _ in 0..50_000 {
            let bytes: Vec<u8> = (0..rng.index(12)).map(|_| (rng.next() as u8) >> (rng.next() % 8)).collect();
            if let Some(lines) = unpack(&bytes) {
                assert_eq!(pack(&lines), bytes);
            }
        }
    }

    #[test]
    fn the_longest_lines_take_as_many_bytes_as_we_say() {
        let mut key = 0;
        let longest: Vec<_> = (0..LINES_MAX)
            .map(|at| {
                key += if at < 1_015 { 1 << 21 } else { 1 << 14 };
                line(key, if at < 1_015 { 1 << 21 } else { 1 << 14 })
            })
            .collect();
        let units: u64 = longest.iter().map(|line| u64::from(line.units)).sum();
        let longer = (1 << 21) - (1 << 14);
        // Not one more of four bytes would fit.
        assert!(u64::from(key) < Target::END && u64::from(key + longer) >= Target::END);
        assert!(units <= QUANTITY_MAX.into() && units + u64::from(longer) > QUANTITY_MAX.into());
        assert_eq!(pack(&longest).len(), LINES_BYTES_MAX);
    }

    #[test]
    fn two_lists_are_told_as_one() {
        let (first, second) = ([line(1, 2), line(5, 1)], [line(0, 4), line(5, 3), line(9, 1)]);
        let told: Vec<_> = join_lines(first.into_iter(), second.into_iter())
            .map(|LinePair { target, first, second }| (target.number(), first, second))
            .collect();
        assert_eq!(told, [(0, 0, 4), (1, 2, 0), (5, 1, 3), (9, 0, 1)]);
    }
}
