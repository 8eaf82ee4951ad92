//! Types, and bounds on input, that every part of the engine shares.

use crate::index::KeyIndex;

use std::fmt;
use std::str::FromStr;

/// The most units that one request may name: 2^31 - 1.
pub const QUANTITY_MAX: u32 = i32::MAX as u32;

/// The most lines that one cart may have.
pub const LINES_MAX: usize = 2_048;

/// The most units that one stock key may have on hand: 2^40 - 1.
///
/// Far below what the counter's word can carry, so that no sum of allowed operations overflows it.
pub const ON_HAND_MAX: i64 = (1 << 40) - 1;

/// The longest SKU or location name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest reference (an order id, say), in bytes.
pub const REFERENCE_BYTES_MAX: usize = 40;

/// A resolved (SKU, location), which operations take instead of two strings.
///
/// Returned by [`Engine::declare`](crate::Engine::declare) or [`Engine::key`](crate::Engine::key); it stays
/// valid for the life of the directory, across restarts. A key of another directory is refused with
/// [`SharedError::ForeignKey`](crate::error::SharedError::ForeignKey).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StockKey {
    pub(crate) index: KeyIndex,
    /// Part of the directory's identity.
    pub(crate) tag: u32,
}

/// A position in the log: behind one record, and so behind all records before it.
///
/// Positions have the order of the decisions. They count 8-byte words, so they are not contiguous.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of one hold. It cannot be guessed, is never used again once it was acknowledged, and locates the
/// hold without a lookup.
///
/// Its text form is 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(pub(crate) u128);

impl HoldId {
    /// The id as a number, to store it in a database or a cookie.
    pub fn to_u128(self) -> u128 {
        self.0
    }

    /// The id from [`HoldId::to_u128`]. Any number is accepted; the engine checks whether a hold has this id.
    pub fn from_u128(id: u128) -> Self {
        HoldId(id)
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldId({self})")
    }
}

/// The text is not a [`HoldId`] or an [`OpKey`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected 32 hexadecimal digits (dashes are allowed)")]
pub struct ParseIdError;

fn parse_128(text: &str) -> Result<u128, ParseIdError> {
    let mut value: u128 = 0;
    let mut digits = 0;
    for c in text.chars().filter(|&c| c != '-') {
        let digit = c.to_digit(16).ok_or(ParseIdError)?;
        digits += 1;
        if digits > 32 {
            return Err(ParseIdError);
        }
        value = value << 4 | u128::from(digit);
    }
    if digits == 32 { Ok(value) } else { Err(ParseIdError) }
}

impl FromStr for HoldId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_128(text).map(HoldId)
    }
}

/// The caller's 128-bit identity of one operation (an idempotency key).
///
/// A repetition with the same content returns the first result; with other content it fails. A UUIDv7 is
/// recommended: it carries its time, so that a key older than the retention window is refused rather than
/// taken for new.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OpKey(pub u128);

impl OpKey {
    /// The time in it, in Unix milliseconds, if it is a UUIDv7.
    pub(crate) fn uuid_v7_ms(self) -> Option<u64> {
        let version = (self.0 >> 76) & 0xf;
        let variant = (self.0 >> 62) & 0b11;
        (version == 7 && variant == 0b10).then_some((self.0 >> 80) as u64)
    }
}

impl FromStr for OpKey {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_128(text).map(OpKey)
    }
}

/// The caller's own name for a hold: an order id, a cart id; up to [`REFERENCE_BYTES_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference {
    bytes: [u8; REFERENCE_BYTES_MAX],
    length: u8,
}

impl Reference {
    /// No reference.
    pub const EMPTY: Reference = Reference { bytes: [0; REFERENCE_BYTES_MAX], length: 0 };

    /// A reference of these bytes; `None` if there are more than [`REFERENCE_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut reference = Reference { length: u8::try_from(bytes.len()).ok()?, ..Reference::EMPTY };
        reference.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(reference)
    }

    /// The bytes, as the caller gave them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = HoldId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            "00112233-4455-6677-8899-aabbccddeeff".parse(),
            Ok(OpKey(0x00112233445566778899aabbccddeeff))
        );
        for bad in ["", "12", "zz", &"f".repeat(33), "é"] {
            assert_eq!(bad.parse::<HoldId>(), Err(ParseIdError), "{bad:?}");
        }
    }

    #[test]
    fn a_uuid_v7_carries_its_time() {
        let key: OpKey = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
        assert_eq!(key.uuid_v7_ms(), Some(0x017f22e279b0));
        assert_eq!(OpKey(1).uuid_v7_ms(), None);
    }

    #[test]
    fn a_reference_holds_forty_bytes_and_no_more() {
        assert_eq!(Reference::new(&[7; 40]).unwrap().as_bytes(), [7; 40]);
        assert_eq!(Reference::new(&[7; 41]), None);
        assert_eq!(Reference::new(&[7; 300]), None);
    }
}
