//! Which slots carry a reference: an extendible hash table of slot numbers, some 13 bytes a slot.
//!
//! It may name slots whose hold has another reference with the same hash; whoever asks compares.
//!
//! The fold comes by here for every hold, so what it does is appending: to one of so few buckets that their ends stay in
//! the processor's cache, where a chain through all slots would be a miss a link. What a slot carried before stays behind
//! in its bucket until much of that is such, and is swept out then. No step is longer than a bucket, however many slots there
//! are: a bucket that is full of what counts splits into two, and the others are left alone (Fagin, Nievergelt, Pippenger
//! and Strong, "Extendible hashing", 1979).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pages::Pages;
use crate::index::SlotIndex;

/// Entries at which a bucket is swept if many of them no longer count, and split if they do: to look for a reference is to
/// read one bucket. One that cannot be split, since its entries have the same hash, becomes as long as they are many.
const BUCKET: usize = 4_096;
/// The share of a bucket that no longer counts, at least, is swept out rather than split: to sweep is a look at each
/// slot, wherever it is.
const SWEPT: usize = 4;
/// Entries that no longer count, from which on a bucket is swept once they are half of it, full or not: what many slots
/// carried alike may fill a bucket to which nothing comes any more.
const STALE: usize = BUCKET / 2;
/// Bits of the hash that say which bucket: enough for a hundred million slots.
const DEPTH_MAX: u32 = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct References {
    /// What each slot carries, by its hash; 0 = nothing.
    hashes: Pages<u32, 4_096>,
    /// By the first bits of a hash: its bucket.
    directory: Vec<u32>,
    /// How many bits that are.
    depth: u32,
    buckets: Vec<Bucket>,
    /// So that references which are chosen to be in one bucket here are in many elsewhere.
    seed: u64,
}

#[derive(Debug)]
struct Bucket {
    /// Bits that its entries' hashes begin with alike.
    depth: u32,
    /// Entries at which it is full.
    full_at: usize,
    /// About how many of them no longer count.
    stale: usize,
    entries: Vec<SlotHash>,
}

/// A slot that carries a reference of this hash, or did.
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
            // By a quarter: doubled, half of it would stay empty, and a bucket is copied soon.
            entries.reserve_exact((entries.len() / 4).max(8));
        }
        entries.push(SlotHash { hash, slot });
        if entries.len() >= *full_at {
            self.make_room(number);
        }
    }

    /// Never 0, and odd, so that [`sweep`](Self::sweep) has a bit to mark with.
    fn hash(&self, reference: &[u8]) -> u32 {
        xxh3_64_with_seed(reference, self.seed) as u32 | 1
    }

    fn carried(&self, slot: SlotIndex) -> u32 {
        self.hashes.get(slot.0).copied().unwrap_or(0)
    }

    fn number(&self, hash: u32) -> usize {
        self.directory[first_bits(hash, self.depth)] as usize
    }

    /// A bucket is full: it is swept or split, or becomes a longer one.
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

    /// Leaves in a bucket what counts, each slot once.
    fn sweep(&mut self, number: usize) {
        let References { hashes, buckets, .. } = self;
        let Bucket { depth, entries, .. } = &mut buckets[number];
        entries.retain(|SlotHash { hash, slot }| match hashes.get_mut(slot.0) {
            Some(carried) if carried == hash => {
                *carried = hash & !1; // whoever comes again finds another hash
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

    /// Slots whose hold may carry `reference`.
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
