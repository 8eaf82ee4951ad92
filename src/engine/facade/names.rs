//! Stock keys and their names.

use std::sync::Arc;

use super::Engine;
use crate::error::NameError;
use crate::index::KeyIndex;
use crate::types::StockKey;

/// # Names
impl Engine {
    /// The key of a SKU at a location, made if it is new. Declaring again costs nothing and returns the same
    /// key.
    ///
    /// Names are any text of 1 to 255 bytes. A new key becomes durable with the first durable operation on
    /// it.
    ///
    /// # Errors
    ///
    /// A name that is empty or too long, a full catalogue, an engine that takes no new operations.
    pub fn declare(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        self.inner.core.declare(sku, location)
    }

    /// The key of a SKU at a location that was declared. Keep the key: operations take keys, so that they
    /// need not hash names.
    ///
    /// # Errors
    ///
    /// A name that was never declared.
    pub fn key(&self, sku: &str, location: &str) -> Result<StockKey, NameError> {
        let core = &self.inner.core;
        Ok(StockKey { index: core.catalog.find(sku, location)?, tag: core.answers.tag })
    }

    /// The SKU and location of a key; `None` for a key of another directory.
    pub fn name(&self, key: StockKey) -> Option<(Arc<str>, Arc<str>)> {
        let core = &self.inner.core;
        if key.tag == core.answers.tag { core.catalog.name(key.index) } else { None }
    }

    /// All keys, in the order in which they were declared.
    pub fn keys(&self) -> Vec<StockKey> {
        let core = &self.inner.core;
        (0..core.catalog.len())
            .map(|index| StockKey { index: KeyIndex(index), tag: core.answers.tag })
            .collect()
    }
}
