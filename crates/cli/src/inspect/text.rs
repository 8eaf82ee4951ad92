//! Values that the engine stores, in the form that people read.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use stockhold::Timestamp;
use stockhold::inspect::LineEntry;
use stockhold::types::Reference;

use crate::figure::thousands;

/// `1 hold`, `2 holds`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Escapes control characters: a name is arbitrary text, and must not control the terminal.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        let mut escaped = String::new();
        for c in text.chars() {
            if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
        }
        return escaped.into();
    }
    text.into()
}

/// A reference, which is arbitrary bytes, as printable text.
pub(super) fn reference(reference: &Reference) -> String {
    printable(&reference.to_string()).into_owned()
}

/// The bytes of a reference in hexadecimal, if they are not UTF-8.
pub(super) fn reference_hex(reference: &Reference) -> Option<String> {
    let bytes = reference.as_bytes();
    std::str::from_utf8(bytes).is_err().then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A line of a cart.
#[derive(Serialize)]
pub(super) struct LineJson<'a> {
    sku: &'a str,
    location: &'a str,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u32>,
}

impl<'a> LineJson<'a> {
    pub(super) fn all(lines: &[LineEntry<'a>]) -> Vec<LineJson<'a>> {
        let json = |&LineEntry { sku, location, quantity, returned, before, .. }: &LineEntry<'a>| LineJson {
            sku,
            location,
            quantity,
            returned,
            before,
        };
        lines.iter().map(json).collect()
    }
}

/// The machine's wall clock; the nearest moment in range, if it is set to another.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = since.as_millis().try_into().unwrap_or(u64::MAX);
    Timestamp::from_unix_millis(millis).clamp(Timestamp::MIN, Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_control_the_terminal() {
        assert_eq!(printable("plakat größe 2"), "plakat größe 2");
        assert_eq!(printable("a\u{1b}[2J\nb\u{85}"), "a\\u{1b}[2J\\nb\\u{85}");
    }

    #[test]
    fn a_reference_that_is_not_text_is_given_in_hexadecimal() {
        let bytes = Reference::new(&[0x6f, 0xff]).unwrap();
        assert_eq!(
            (reference(&bytes).as_str(), reference_hex(&bytes).as_deref()),
            ("o\u{fffd}", Some("6fff"))
        );
        assert_eq!(reference_hex(&Reference::new(b"order").unwrap()), None);
    }
}
