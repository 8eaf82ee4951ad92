//! The SKU and location of a stock key.

use crate::checkpoint::entry::{RunEntry, get, put};
use crate::checkpoint::run_ref::RunKind;
use crate::fold::hold::Wrong;
use crate::index::KeyIndex;

/// The SKU and location of a stock key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NameRow {
    pub key: KeyIndex,
    /// The SKU, followed by the location.
    text: Box<str>,
    sku_bytes: usize,
}

impl NameRow {
    pub(crate) fn new(key: KeyIndex, sku: &str, location: &str) -> Self {
        NameRow { key, text: [sku, location].concat().into(), sku_bytes: sku.len() }
    }

    pub(crate) fn sku(&self) -> &str {
        self.text.split_at(self.sku_bytes).0
    }

    pub(crate) fn location(&self) -> &str {
        self.text.split_at(self.sku_bytes).1
    }
}

impl RunEntry for NameRow {
    const KIND: RunKind = RunKind::Names;

    fn sort_key(&self) -> u64 {
        self.key.0.into()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.key, self.sku(), self.location()), out);
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let ((key, sku, location), bytes) = get::<(KeyIndex, &str, &str)>(bytes)?;
        Some((NameRow::new(key, sku, location), bytes))
    }

    fn merge_onto(self, _older: Self) -> Result<Self, Wrong> {
        Err("a stock key is declared twice")
    }
}
