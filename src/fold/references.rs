//! Which slots have a reference: an extendible hash table of slot numbers, about 13 bytes for each slot.
//!
//! It may return slots whose hold has another reference with the same hash, so callers compare the
//! references.
//!
//! The fold updates it for every hold, so an update only appends to a bucket. Buckets are few, so their ends
//! stay in the processor's cache; a chain through all slots would miss the cache at each link. The entry of a
//! slot's former reference stays in its bucket as a stale entry until a sweep removes it. No step is longer
//! than one bucket: a full bucket with few stale entries splits into two, and no other bucket changes (Fagin,
//! Nievergelt, Pippenger and Strong, "Extendible hashing", 1979).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pages::Pages;
use crate::index::SlotIndex;

/// The length at which a bucket is full: then it is swept if many entries are stale, otherwise it is split. A
/// lookup reads one bucket. A bucket whose entries all have the same hash cannot be split, and grows.
const BUCKET: usize = 4_096;
/// A full bucket is swept, not split, if at least one entry in so many is stale. A sweep reads each slot of
/// its entries.
const SWEPT: usize = 4;
/// A bucket with so many stale entries is swept once they are half of it, full or not: a bucket may be full
/// of stale entries and never get another one.
const STALE: usize = BUCKET / 2;
/// The most bits of a hash that choose a bucket: enough for a hundred million slots.
const DEPTH_MAX: u32 = 16;

/// The index of references.
#[derive(Debug)]
pub(crate) struct References {
    /// The hash of each slot's reference; 0 = none.
    hashes: Pages<u32, 4_096>,
    /// The bucket of each value of the first bits of a hash.
    directory: Vec<u32>,
    /// The number of those bits.
    depth: u32,
    buckets: Vec<Bucket>,
    /// Drawn at random, so that no caller can choose references that fall into one bucket.
    seed: u64,
}

#[derive(Debug)]
struct Bucket {
    /// The number of first bits that the hashes of its entries share.
    depth: u32,
    /// The length at which it is full.
    full_at: usize,
    /// About how many entries are stale.
    stale: usize,
    entries: Vec<SlotHash>,
}

/// A slot that has a reference with this hash, or had one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SlotHash {
    hash: u32,
    slot: SlotIndex,
}

/// The first bits of a hash.
fn first_bits(hash: u32, bits: u32) -> usize {
    (u64::from(hash) >> (u32::BITS - bits)) as usize
}

impl Bucket {
    fn new(depth: u32, stale: usize, entries: Vec<SlotHash>) -> Bucket {
        Bucket { depth, full_at: BUCKET.max(entries.len() * 2), stale, entries }
    }

    fn can_split(&self) -> bool {
        self.depth < DEPTH_MAX && self.entries.iter().any(|entry| entry.hash != self.entries[0].hash)
    }
}

impl Default for References {
    fn default() -> Self {
        let buckets = vec![Bucket::new(0, 0, Vec::new())];
        References { hashes: Pages::default(), directory: vec![0], depth: 0, buckets, seed: rand::random() }
    }
}

impl References {
    pub(crate) fn set(&mut self, slot: SlotIndex, reference: &[u8]) {
        let hash = if reference.is_empty() { 0 } else { self.hash(reference) };
        let before = self.carried(slot);
        if before == hash {
            return;
        }
        self.hashes.set(slot.0, hash);
        if before != 0 {
            let number = self.number(before);
            let Bucket { stale, entries, .. } = &mut self.buckets[number];
            *stale += 1;
            if *stale >= STALE && *stale * 2 >= entries.len() {
                self.sweep(number);
            }
        }
        if hash == 0 {
            return;
        }
        let number = self.number(hash);
        let Bucket { full_at, entries, .. } = &mut self.buckets[number];
        if entries.len() == entries.capacity() {
            // By a quarter: after doubling, half of it would stay empty until the bucket is copied.
            entries.reserve_exact((entries.len() / 4).max(8));
        }
        entries.push(SlotHash { hash, slot });
        if entries.len() >= *full_at {
            self.make_room(number);
        }
    }

    /// Never 0, and odd: [`sweep`](Self::sweep) marks with the lowest bit.
    fn hash(&self, reference: &[u8]) -> u32 {
        xxh3_64_with_seed(reference, self.seed) as u32 | 1
    }

    fn carried(&self, slot: SlotIndex) -> u32 {
        self.hashes.get(slot.0).copied().unwrap_or(0)
    }

    fn number(&self, hash: u32) -> usize {
        self.directory[first_bits(hash, self.depth)] as usize
    }

    /// Sweeps or splits a full bucket, or lets it grow.
    #[cold]
    fn make_room(&mut self, number: usize) {
        let bucket = &self.buckets[number];
        if bucket.stale * SWEPT >= bucket.entries.len() || !bucket.can_split() {
            self.sweep(number);
        }
        let bucket = &self.buckets[number];
        if bucket.entries.len() > BUCKET / 2 && bucket.can_split() {
            self.split(number);
        }
    }

    /// Removes stale entries and duplicates from a bucket.
    fn sweep(&mut self, number: usize) {
        let References { hashes, buckets, .. } = self;
        let Bucket { depth, entries, .. } = &mut buckets[number];
        entries.retain(|SlotHash { hash, slot }| match hashes.get_mut(slot.0) {
            Some(carried) if carried == hash => {
                *carried = hash & !1; // a second entry of the slot finds another hash
                true
            }
            _ => false,
        });
        for SlotHash { hash, slot } in &*entries {
            self.hashes.set(slot.0, *hash);
        }
        let mut swept = Bucket::new(*depth, 0, std::mem::take(entries));
        swept.entries.shrink_to(swept.full_at);
        self.buckets[number] = swept;
    }

    fn split(&mut self, number: usize) {
        let Bucket { depth, stale, entries, .. } = &mut self.buckets[number];
        let (depth, stale, mut first) = (*depth + 1, stale.div_ceil(2), std::mem::take(entries));
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|number| [*number; 2]).collect();
            self.depth = depth;
        }
        let is_second = |hash: u32| first_bits(hash, depth) % 2 == 1;
        let mut second: Vec<SlotHash> = first.extract_if(.., |entry| is_second(entry.hash)).collect();
        [&mut first, &mut second].into_iter().for_each(Vec::shrink_to_fit);
        let new = self.buckets.len();
        for (bits, of_bits) in (0..).zip(&mut self.directory) {
            if *of_bits as usize == number && (bits >> (self.depth - depth)) % 2 == 1 {
                *of_bits = new as u32;
            }
        }
        self.buckets[number] = Bucket::new(depth, stale, first);
        self.buckets.push(Bucket::new(depth, stale, second));
    }

    /// The slots whose hold may have this reference.
    pub(crate) fn slots(&self, reference: &[u8]) -> Vec<SlotIndex> {
        let hash = self.hash(reference);
        let entries = self.buckets[self.number(hash)].entries.iter();
        let carries = |entry: &&SlotHash| entry.hash == hash && self.carried(entry.slot) == hash;
        let mut found: Vec<SlotIndex> = entries.filter(carries).map(|entry| entry.slot).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    fn entries(index: &References) -> usize {
        index.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    #[test]
    fn references_are_found_moved_and_removed() {
        let mut index = References::default();
        assert!(index.slots(b"a").is_empty());
        for slot in 0..5_000u32 {
            index.set(SlotIndex(slot), format!("order-{}", slot % 1_700).as_bytes());
        }
        assert_eq!(index.slots(b"order-3"), [3, 1_703, 3_403].map(SlotIndex));
        index.set(SlotIndex((1 << 30) - 1), b"stray");
        assert_eq!(index.slots(b"stray"), [SlotIndex((1 << 30) - 1)]);
        index.set(SlotIndex((1 << 30) - 1), b"");
        index.set(SlotIndex(1_703), b"other");
        index.set(SlotIndex(3), b"");
        assert_eq!(index.slots(b"order-3"), [SlotIndex(3_403)]);
        assert_eq!(index.slots(b"other"), [SlotIndex(1_703)]);
        assert!(index.slots(b"stray").is_empty());
    }

    #[test]
    fn buckets_split_as_slots_come_and_every_one_is_found() {
        let mut index = References::default();
        (0..300_000u32).for_each(|slot| index.set(SlotIndex(slot), &slot.to_le_bytes()));
        assert!((0..300_000u32).all(|slot| index.slots(&slot.to_le_bytes()).contains(&SlotIndex(slot))));
        assert!(index.buckets.iter().all(|bucket| bucket.entries.len() <= BUCKET));
        let room: usize = index.buckets.iter().map(|bucket| bucket.entries.capacity()).sum();
        assert!(room < 400_000, "{room} entries of memory for 300,000");
    }

    #[test]
    fn what_slots_carried_before_does_not_pile_up() {
        let mut index = References::default();
        for round in 0..40u64 {
            for slot in 0..20_000u32 {
                // Half of them with ever new references, half with one of two in turn.
                let turn = if slot % 2 == 0 { round << 32 | u64::from(slot) } else { round % 2 };
                index.set(SlotIndex(slot), &turn.to_le_bytes());
            }
            assert!(entries(&index) < 20_000 * 2 + index.buckets.len() * BUCKET, "round {round}");
        }
        assert_eq!(
            index.slots(&1u64.to_le_bytes()),
            (0..20_000).filter(|slot| slot % 2 == 1).map(SlotIndex).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_reference_that_all_holds_share_is_moved_and_removed_as_fast_as_any() {
        // With a walk through all of them for each this would not come to an end.
        let mut index = References::default();
        for _ in 0..2 {
            (0..1 << 20).for_each(|slot| index.set(SlotIndex(slot), b"sale"));
            assert_eq!(index.slots(b"sale").len(), 1 << 20);
        }
        (0..1 << 20).filter(|slot| slot % 4 != 1).for_each(|slot| index.set(SlotIndex(slot), b""));
        (0..1 << 20).filter(|slot| slot % 8 == 1).for_each(|slot| index.set(SlotIndex(slot), b"other"));
        assert_eq!((index.slots(b"sale").len(), index.slots(b"other").len()), (1 << 17, 1 << 17));
    }

    #[test]
    fn what_all_slots_carried_alike_takes_no_room_once_they_carry_something_else() {
        const SLOTS: usize = 50_000;
        let mut index = References::default();
        for sale in 0..100u64 {
            (0..SLOTS as u32).for_each(|slot| index.set(SlotIndex(slot), &sale.to_le_bytes()));
            let room: usize = index.buckets.iter().map(|bucket| bucket.entries.capacity()).sum();
            assert!(room < SLOTS * 8, "sale {sale}: {room} entries of memory for {SLOTS}");
        }
        assert_eq!(index.slots(&99u64.to_le_bytes()).len(), SLOTS);
    }
}
