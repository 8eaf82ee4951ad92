//! The names of stock keys, packed: their text, and 12 bytes a key.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hashing::ByName;
use crate::index::KeyIndex;

/// A SKU or a location.
pub(crate) type Name = Arc<str>;

/// Text is stored in pieces of this size, so that it is never copied to make room.
const PIECE_BYTES: usize = 1 << 20;
/// The lowest bits of an entry of [`Names::skus`] are the SKU's length.
const LENGTH_BITS: u32 = 8;
const _: () = assert!(crate::types::NAME_BYTES_MAX < 1 << LENGTH_BITS);

/// The names of all stock keys, by key. A location's text is stored once, a SKU's once for consecutive keys
/// that have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The text of SKUs.
    pieces: Vec<String>,
    /// For each key: where its SKU's text begins, counting [`PIECE_BYTES`] a piece, and how long it is.
    skus: Vec<u64>,
    /// For each key: the number of its location.
    at: Vec<u32>,
    locations: Vec<Name>,
    numbers: HashMap<Name, u32, ByName>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.skus.len()
    }

    /// The SKU and the location of a key.
    pub(crate) fn get(&self, key: KeyIndex) -> Option<(&str, &str)> {
        Some((self.sku(key)?, self.locations.get(self.location(key)? as usize)?))
    }

    pub(crate) fn sku(&self, key: KeyIndex) -> Option<&str> {
        self.text(*self.skus.get(key.as_usize())?)
    }

    /// The number of a key's location.
    pub(crate) fn location(&self, key: KeyIndex) -> Option<u32> {
        self.at.get(key.as_usize()).copied()
    }

    /// The number of a location, if any key has it.
    pub(crate) fn number(&self, location: &str) -> Option<u32> {
        self.numbers.get(location).copied()
    }

    /// All locations, by number.
    pub(crate) fn locations(&self) -> &[Name] {
        &self.locations
    }

    /// The SKU and the location of every key, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len() as u32).filter_map(|key| self.get(KeyIndex(key)))
    }

    /// Adds the names of the next key.
    pub(crate) fn push(&mut self, sku: &str, location: &str) {
        let last = self.at.last().filter(|last| *self.locations[**last as usize] == *location).copied();
        let number = last.unwrap_or_else(|| self.number_or_next(location));
        let last = self.skus.last().filter(|last| self.text(**last) == Some(sku)).copied();
        let sku = last.unwrap_or_else(|| self.store(sku));
        self.skus.push(sku);
        self.at.push(number);
    }

    fn number_or_next(&mut self, location: &str) -> u32 {
        self.number(location).unwrap_or_else(|| {
            let (number, name) = (self.locations.len() as u32, Name::from(location));
            self.locations.push(Arc::clone(&name));
            self.numbers.insert(name, number);
            number
        })
    }

    /// Stores a text and returns its place, as in [`skus`](Self::skus).
    fn store(&mut self, text: &str) -> u64 {
        if self.pieces.last().is_none_or(|piece| piece.len() + text.len() > PIECE_BYTES) {
            // The first grows as it is filled: most directories need no more.
            let room = if self.pieces.is_empty() { 0 } else { PIECE_BYTES };
            self.pieces.push(String::with_capacity(room));
        }
        let piece = self.pieces.len() - 1;
        let begin = piece * PIECE_BYTES + self.pieces[piece].len();
        self.pieces[piece].push_str(text);
        (begin as u64) << LENGTH_BITS | text.len() as u64
    }

    fn text(&self, place: u64) -> Option<&str> {
        let (begin, bytes) = ((place >> LENGTH_BITS) as usize, (place & ((1 << LENGTH_BITS) - 1)) as usize);
        self.pieces.get(begin / PIECE_BYTES)?.get(begin % PIECE_BYTES..)?.get(..bytes)
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Names {}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_order_and_their_text_once() {
        let mut names = Names::default();
        let long = "é".repeat(120);
        let given: Vec<(String, &str)> =
            (0..30_000).map(|key| (format!("{long}{}", key / 3), ["berlin", "rome", ""][key % 3])).collect();
        given.iter().for_each(|(sku, location)| names.push(sku, location));
        assert_eq!(names.len(), given.len());
        assert!(names.iter().eq(given.iter().map(|(sku, location)| (&**sku, *location))));
        assert_eq!(names.locations().len(), 3);
        assert_eq!((names.number("rome"), names.number("paris")), (Some(1), None));
        let text: usize = names.pieces.iter().map(String::len).sum();
        assert_eq!(text, given.iter().step_by(3).map(|(sku, _)| sku.len()).sum::<usize>());
        assert_eq!((names.get(KeyIndex(30_000)), names.clone() == names), (None, true));
    }
}
