//! Hashers that suit what they hash better than the default one, which recovery would spend most of its time in.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// For maps whose keys are small numbers that nobody chooses to our harm: indices of our own.
pub(crate) type ByNumber = BuildHasherDefault<NumberHasher>;

/// A multiplication spreads them well enough.
#[derive(Clone, Default)]
pub(crate) struct NumberHasher(u64);

/// Goes on from a hash.
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

/// For maps whose keys are names that callers choose, op keys among them. Seeded, so that those which collide in one
/// process do not in another.
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

    /// The mark behind a text, which adds nothing to one alone.
    fn write_u8(&mut self, _: u8) {}
}
