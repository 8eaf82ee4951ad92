//! Which slots carry a reference: a chained hash table of slot numbers, 12 bytes a slot.
//!
//! It may name slots whose hold has another reference with the same hash; whoever asks compares.

use xxhash_rust::xxh3::xxh3_64;

use super::pages::Pages;

/// No slot.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct References {
    heads: Vec<u32>,
    /// By slot: the next in its chain, and the hash it is chained under (0 = not chained).
    links: Pages<(u32, u32), 4_096>,
    chained: usize,
}

fn hash(reference: &[u8]) -> u32 {
    xxh3_64(reference) as u32 | 1
}

impl References {
    pub(crate) fn set(&mut self, slot: u32, reference: &[u8]) {
        self.remove(slot);
        if reference.is_empty() {
            return;
        }
        if self.chained >= self.heads.len() {
            self.grow();
        }
        self.chain(slot, hash(reference));
        self.chained += 1;
    }

    fn link(&self, slot: u32) -> (u32, u32) {
        self.links.get(slot).copied().unwrap_or((NONE, 0))
    }

    fn chain(&mut self, slot: u32, hash: u32) {
        let head = hash as usize >> 1 & (self.heads.len() - 1);
        self.links.set(slot, (std::mem::replace(&mut self.heads[head], slot), hash));
    }

    fn grow(&mut self) {
        self.heads = vec![NONE; (self.heads.len() * 2).max(1_024)];
        let chained = self.links.iter().filter(|(_, (_, hash))| *hash != 0);
        let chained: Vec<(u32, u32)> = chained.map(|(slot, (_, hash))| (slot, *hash)).collect();
        chained.into_iter().for_each(|(slot, hash)| self.chain(slot, hash));
    }

    fn remove(&mut self, slot: u32) {
        let (next, hash) = self.link(slot);
        if hash == 0 {
            return;
        }
        let head = hash as usize >> 1 & (self.heads.len() - 1);
        let mut at = self.heads[head];
        if at == slot {
            self.heads[head] = next;
        } else {
            while at != NONE {
                let (following, its) = self.link(at);
                if following == slot {
                    self.links.set(at, (next, its));
                    break;
                }
                at = following;
            }
        }
        self.links.set(slot, (NONE, 0));
        self.chained -= 1;
    }

    /// Slots whose hold may carry `reference`.
    pub(crate) fn slots(&self, reference: &[u8]) -> Vec<u32> {
        let hash = hash(reference);
        let Some(&head) = self.heads.get(hash as usize >> 1 & self.heads.len().wrapping_sub(1)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut at = head;
        while at != NONE {
            let (next, its) = self.link(at);
            if its == hash {
                found.push(at);
            }
            at = next;
        }
        found
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_moved_and_removed() {
        let mut index = References::default();
        assert!(index.slots(b"a").is_empty());
        for slot in 0..5_000u32 {
            index.set(slot, format!("order-{}", slot % 1_700).as_bytes());
        }
        let mut found = index.slots(b"order-3");
        found.sort_unstable();
        assert_eq!(found, [3, 1_703, 3_403]);
        index.set((1 << 30) - 1, b"stray");
        assert_eq!(index.slots(b"stray"), [(1 << 30) - 1]);
        index.set((1 << 30) - 1, b"");
        index.set(1_703, b"other");
        index.set(3, b"");
        assert_eq!(index.slots(b"order-3"), [3_403]);
        assert_eq!(index.slots(b"other"), [1_703]);
        assert_eq!(index.chained, 4_999);
    }
}
