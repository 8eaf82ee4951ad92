//! Names: the caller's SKUs and locations, interned once, so that the hot path hashes no string.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::RwLock;

use crate::error::NameError;
use crate::hashing::{ByName, ByNumber};
use crate::types::NAME_BYTES_MAX;

/// A SKU or a location.
pub(crate) type Name = Arc<str>;
/// Of every stock key, by index: SKU and location.
pub(crate) type Names = Vec<(Name, Name)>;

/// See the module. Lookups take a shard's read lock of the maps, for one map operation.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    skus: DashMap<Name, u32, ByName>,
    locations: DashMap<Name, u32, ByName>,
    keys: DashMap<(u32, u32), u32, ByNumber>,
    /// By key index. Its write lock also serialises declarations.
    names: RwLock<Names>,
}

/// Refuses names that cannot be.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(NameError::TooLong(bytes)),
    }
}

impl Catalog {
    pub(crate) fn find(&self, sku: &str, location: &str) -> Result<u32, NameError> {
        check(sku)?;
        check(location)?;
        let unknown_location =
            || NameError::UnknownLocation { sku: sku.to_owned(), location: location.to_owned() };
        let sku = *self.skus.get(sku).ok_or_else(|| NameError::UnknownSku(sku.to_owned()))?;
        let location = *self.locations.get(location).ok_or_else(unknown_location)?;
        Ok(*self.keys.get(&(sku, location)).ok_or_else(unknown_location)?)
    }

    /// The key's index: the one it has, or the next one, made by `make` before anybody can find it.
    pub(crate) fn declare(
        &self,
        sku: &str,
        location: &str,
        make: impl FnOnce(u32) -> Result<(), NameError>,
    ) -> Result<u32, NameError> {
        match self.find(sku, location) {
            Err(NameError::UnknownSku(_) | NameError::UnknownLocation { .. }) => {}
            found => return found,
        }
        let mut names = self.names.write();
        if let Ok(index) = self.find(sku, location) {
            return Ok(index);
        }
        let index = u32::try_from(names.len()).map_err(|_| NameError::Full)?;
        make(index)?;
        let next_sku = self.skus.len() as u32;
        let interned_sku: Name = self.skus.get(sku).map_or_else(|| Arc::from(sku), |e| Arc::clone(e.key()));
        let sku = *self.skus.entry(Arc::clone(&interned_sku)).or_insert(next_sku);
        let next_location = self.locations.len() as u32;
        let interned_location: Name =
            self.locations.get(location).map_or_else(|| Arc::from(location), |e| Arc::clone(e.key()));
        let location = *self.locations.entry(Arc::clone(&interned_location)).or_insert(next_location);
        names.push((interned_sku, interned_location));
        self.keys.insert((sku, location), index);
        Ok(index)
    }

    /// The keys that recovery found, into an empty catalogue. An error says which of them cannot be.
    pub(crate) fn restore(&self, names: &Names) -> Result<(), String> {
        // Numbers of names are given out here alone: asking a map for its length locks all of it.
        let (mut skus, mut locations) = (0, 0);
        let mut last: Option<(&Name, u32)> = None;
        for (index, (sku, location)) in (0..).zip(names) {
            let wrong = |what: String| format!("stock key {index}, {sku:?} at {location:?}: {what}");
            check(sku).and_then(|()| check(location)).map_err(|error| wrong(error.to_string()))?;
            let location = match last.filter(|(name, _)| Arc::ptr_eq(name, location)) {
                Some((_, number)) => number,
                None => number_of(&self.locations, location, &mut locations),
            };
            last = Some((&names[index as usize].1, location));
            let sku = number_of(&self.skus, sku, &mut skus);
            if self.keys.insert((sku, location), index).is_some() {
                return Err(wrong("it is declared twice".into()));
            }
        }
        self.names.write().clone_from(names);
        Ok(())
    }

    pub(crate) fn name(&self, index: u32) -> Option<(Name, Name)> {
        self.names.read().get(index as usize).cloned()
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u32 {
        self.names.read().len() as u32
    }
}

/// The number that a name has, or the next one.
fn number_of(numbers: &DashMap<Name, u32, ByName>, name: &Name, next: &mut u32) -> u32 {
    *numbers.entry(Name::clone(name)).or_insert_with(|| {
        *next += 1;
        *next - 1
    })
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_declared_once_and_found_again() {
        let catalog = Catalog::default();
        assert_eq!(catalog.find("a", "x"), Err(NameError::UnknownSku("a".into())));
        assert_eq!(catalog.declare("a", "x", |_| Ok(())), Ok(0));
        assert_eq!(catalog.declare("a", "y", |_| Ok(())), Ok(1));
        assert_eq!(catalog.declare("b", "x", |_| Ok(())), Ok(2));
        assert_eq!(catalog.declare("a", "x", |_| panic!("declared before")), Ok(0));
        assert_eq!(catalog.find("a", "y"), Ok(1));
        assert!(matches!(catalog.find("b", "y"), Err(NameError::UnknownLocation { .. })));
        let (sku, location) = catalog.name(2).unwrap();
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
    fn names_have_bounds() {
        let catalog = Catalog::default();
        assert_eq!(catalog.find("", "x"), Err(NameError::Empty));
        assert_eq!(catalog.find("a", ""), Err(NameError::Empty));
        assert_eq!(catalog.find(&"é".repeat(128), "x"), Err(NameError::TooLong(256)));
    }
}
