//! The catalogue: the caller's SKUs and locations as stock keys, so that the hot path hashes no string.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use dashmap::{DashMap, SharedValue};
use parking_lot::RwLock;

use super::names::{Name, Names};
use crate::error::NameError;
use crate::hashing::{ByName, ByNumber, NumberHasher};
use crate::index::KeyIndex;
use crate::types::NAME_BYTES_MAX;

/// The names of all stock keys. A lookup takes a read lock of the names, and one of a shard of the index.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Its write lock serialises declarations.
    names: RwLock<Names>,
    index: NameIndex,
}

/// Refuses names that are empty or too long.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(NameError::TooLong(bytes)),
    }
}

impl Catalog {
    pub(crate) fn find(&self, sku: &str, location: &str) -> Result<KeyIndex, NameError> {
        check(sku)?;
        check(location)?;
        let names = self.names.read();
        let of_sku = self.index.hash(sku);
        let found = names.number(location).and_then(|number| self.index.find(&names, sku, of_sku, number));
        found.ok_or_else(|| {
            // Only for a better error: it may cost a lookup for every location.
            let mut locations = 0..names.locations().len() as u32;
            if locations.any(|number| self.index.find(&names, sku, of_sku, number).is_some()) {
                NameError::UnknownLocation { sku: sku.to_owned(), location: location.to_owned() }
            } else {
                NameError::UnknownSku(sku.to_owned())
            }
        })
    }

    /// The key's index: the one it has, or else the next one, for which `make` is called before other threads
    /// can find it.
    pub(crate) fn declare(
        &self,
        sku: &str,
        location: &str,
        make: impl FnOnce(KeyIndex) -> Result<(), NameError>,
    ) -> Result<KeyIndex, NameError> {
        check(sku)?;
        check(location)?;
        let of_sku = self.index.hash(sku);
        let find = |names: &Names| self.index.find(names, sku, of_sku, names.number(location)?);
        if let Some(known) = find(&self.names.read()) {
            return Ok(known);
        }
        let mut names = self.names.write();
        if let Some(known) = find(&names) {
            return Ok(known);
        }
        let key = KeyIndex(u32::try_from(names.len()).map_err(|_| NameError::Full)?);
        make(key)?;
        names.push(sku, location);
        self.index.insert(&names, key);
        Ok(key)
    }

    /// The catalogue of the names that recovery found. The error says which stock key is impossible.
    pub(crate) fn restore(names: Names) -> Result<Catalog, String> {
        let index = NameIndex::default();
        index.reserve(&names);
        for (number, (sku, location)) in (0..).zip(names.iter()) {
            let wrong = |what: String| format!("stock key {number}, {sku:?} at {location:?}: {what}");
            check(sku).and_then(|()| check(location)).map_err(|error| wrong(error.to_string()))?;
            if !index.insert(&names, KeyIndex(number)) {
                return Err(wrong("it is declared twice".into()));
            }
        }
        Ok(Catalog { names: RwLock::new(names), index })
    }

    pub(crate) fn name(&self, key: KeyIndex) -> Option<(Name, Name)> {
        let names = self.names.read();
        let location = names.locations().get(names.location(key)? as usize)?;
        Some((names.sku(key)?.into(), Arc::clone(location)))
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> u32 {
        self.names.read().len() as u32
    }
}

/// Stock keys by their names. It has only their numbers, 5 bytes each and some room; the names of a number
/// are looked up in [`Names`]. It uses the shards of a map rather than one table, so that a shard that grows
/// does not delay others long.
#[derive(Debug, Default)]
struct NameIndex {
    keys: DashMap<KeyIndex, (), ByNumber>,
    of_sku: ByName,
}

impl NameIndex {
    fn hash(&self, sku: &str) -> u64 {
        self.of_sku.hash_one(sku)
    }

    fn hash_of(&self, names: &Names, key: KeyIndex) -> u64 {
        let (sku, location) = (names.sku(key).unwrap_or_default(), names.location(key).unwrap_or_default());
        at_location(self.hash(sku), location)
    }

    /// The key of a SKU at the location with this number. `of_sku` is the hash of the SKU.
    fn find(&self, names: &Names, sku: &str, of_sku: u64, location: u32) -> Option<KeyIndex> {
        let hash = at_location(of_sku, location);
        let shard = self.keys.shards()[self.keys.determine_shard(hash as usize)].read();
        let is_same = |key: KeyIndex| names.location(key) == Some(location) && names.sku(key) == Some(sku);
        shard.get(hash, |(key, _)| is_same(*key)).map(|(key, _)| *key)
    }

    /// Adds a key; false if another key has the same names.
    fn insert(&self, names: &Names, key: KeyIndex) -> bool {
        let hash = self.hash_of(names, key);
        let mut shard = self.keys.shards()[self.keys.determine_shard(hash as usize)].write();
        let is_same = |other: KeyIndex| {
            names.location(other) == names.location(key) && names.sku(other) == names.sku(key)
        };
        if shard.get(hash, |(other, _)| is_same(*other)).is_some() {
            return false;
        }
        shard.insert(hash, (key, SharedValue::new(())), |(key, _)| self.hash_of(names, *key));
        true
    }

    /// Makes room for all names.
    fn reserve(&self, names: &Names) {
        let shards = self.keys.shards();
        // They are spread over the shards evenly, but for a few.
        let each = names.len() / shards.len() * 33 / 32 + 16;
        for shard in shards {
            shard.write().reserve(each, |(key, _)| self.hash_of(names, *key));
        }
    }
}

fn at_location(of_sku: u64, location: u32) -> u64 {
    let mut hasher = NumberHasher::from(of_sku);
    hasher.write_u32(location);
    hasher.finish()
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_declared_once_and_found_again() {
        let catalog = Catalog::default();
        assert_eq!(catalog.find("a", "x"), Err(NameError::UnknownSku("a".into())));
        assert_eq!(catalog.declare("a", "x", |_| Ok(())), Ok(KeyIndex(0)));
        assert_eq!(catalog.declare("a", "y", |_| Ok(())), Ok(KeyIndex(1)));
        assert_eq!(catalog.declare("b", "x", |_| Ok(())), Ok(KeyIndex(2)));
        assert_eq!(catalog.declare("a", "x", |_| panic!("declared before")), Ok(KeyIndex(0)));
        assert_eq!(catalog.find("a", "y"), Ok(KeyIndex(1)));
        assert!(matches!(catalog.find("b", "y"), Err(NameError::UnknownLocation { .. })));
        let (sku, location) = catalog.name(KeyIndex(2)).unwrap();
        assert_eq!((&*sku, &*location), ("b", "x"));
    }

    #[test]
    fn a_declaration_that_fails_leaves_no_name_behind() {
        let catalog = Catalog::default();
        assert_eq!(catalog.declare("a", "x", |_| Err(NameError::Full)), Err(NameError::Full));
        assert!(catalog.find("a", "x").is_err());
        assert_eq!(catalog.len(), 0);
    }

    #[test]
    fn what_was_declared_is_restored_and_nothing_twice() {
        let mut names = Names::default();
        for key in 0..10_000 {
            names.push(&format!("sku-{}", key / 4), ["x", "y", "z", "w"][key % 4]);
        }
        let catalog = Catalog::restore(names.clone()).unwrap();
        assert_eq!(catalog.len(), 10_000);
        assert_eq!(catalog.find("sku-2499", "w"), Ok(KeyIndex(9_999)));
        assert_eq!(catalog.declare("sku-7", "z", |_| panic!("declared before")), Ok(KeyIndex(30)));
        assert_eq!(catalog.declare("sku-7", "v", |_| Ok(())), Ok(KeyIndex(10_000)));
        names.push("sku-3", "y");
        let twice = Catalog::restore(names).unwrap_err();
        assert_eq!(twice, "stock key 10000, \"sku-3\" at \"y\": it is declared twice");
    }

    #[test]
    fn names_have_bounds() {
        let catalog = Catalog::default();
        assert_eq!(catalog.find("", "x"), Err(NameError::Empty));
        assert_eq!(catalog.find("a", ""), Err(NameError::Empty));
        assert_eq!(catalog.find(&"é".repeat(128), "x"), Err(NameError::TooLong(256)));
    }
}
