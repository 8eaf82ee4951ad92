//! The log: everything from a record to a durable position, and back again when a directory is opened.
//!
//! In the order of the data flow: a [`record`] says what happened (with the [`lines`] of a cart), the
//! [`ring`] puts records into one order, the [`writer`] takes them [`group`] by group to the store, and a
//! [`watch`] wakes the callers that wait. [`chunk`] frames records, [`store`] keeps chunks ([`sled`] on
//! disk), [`sidecar`] has a position that was durable. The deciding threads and the writer share [`shared`],
//! and the writer sleeps at its [`bell`].
//!
//! The way back: [`directory`] locks the directory ([`layout`], [`identity`], [`lock`]), [`stores`] has its
//! chunks, [`scan`] reads them without changing a byte, [`chunk_index`] links them, [`verdict`] decides which
//! of them are the log, and [`recovery`] replays it; [`at_rest`] only reads.
//!
//! Positions are counts of 8-byte [`words`] since the directory was created. A chunk covers `start..start +
//! words`.

pub(crate) mod at_rest;
mod bell;
pub(crate) mod chunk;
pub(crate) mod chunk_index;
pub(crate) mod directory;
pub(crate) mod group;
mod identity;
mod layout;
pub(crate) mod lines;
mod lock;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod ring;
pub(crate) mod scan;
mod shared;
pub(crate) mod sidecar;
pub(crate) mod sled;
pub(crate) mod store;
pub(crate) mod stores;
pub(crate) mod verdict;
pub(crate) mod watch;
pub(crate) mod words;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod tests {
    //! Random numbers for this folder's tests. The seed is printed; `STOCKHOLD_SEED` repeats a run.

    pub(crate) fn seed() -> u64 {
        let given = std::env::var("STOCKHOLD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(rand::random);
        println!("STOCKHOLD_SEED={seed}");
        seed
    }

    /// SplitMix64: small, and the same everywhere.
    #[derive(Clone, Debug)]
    pub(crate) struct Random(pub(crate) u64);

    impl Random {
        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        }

        pub(crate) fn below(&mut self, bound: usize) -> usize {
            (self.next() % bound.max(1) as u64) as usize
        }
    }
}
