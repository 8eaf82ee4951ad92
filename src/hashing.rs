//! Hashers for particular keys. With the default one, recovery would spend most of its time in hashing.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// For maps whose keys are indices of our own: small numbers that no caller can choose so that they collide.
pub(crate) type ByNumber = BuildHasherDefault<NumberHasher>;

/// One multiplication a number, which spreads small ones well enough.
#[derive(Clone, Default)]
pub(crate) struct NumberHasher(u64);

/// Continues from a hash.
impl From<u64> for NumberHasher {
    fn from(hash: u64) -> Self {
        NumberHasher(hash)
    }
}

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// For maps whose keys callers choose: names and op keys. Seeded, so that keys which collide in one process
/// do not in another.
#[derive(Clone, Debug)]
pub(crate) struct ByName(u64);

impl Default for ByName {
    fn default() -> Self {
        ByName(rand::random())
    }
}

impl BuildHasher for ByName {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher(self.0)
    }
}

pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The byte that `str` writes behind its text. It adds nothing, since a key is one text alone.
    fn write_u8(&mut self, _: u8) {}
}
