//! Which slots carry a reference: a chained hash table of slot numbers, 16 bytes a slot.
//!
//! It may name slots whose hold has another reference with the same hash; whoever asks compares. A chain is as long as
//! holds have the same reference, which may be all of them: so a slot leaves it without a walk.

use xxhash_rust::xxh3::xxh3_64;

use super::pages::Pages;

/// No slot.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct References {
    heads: Vec<u32>,
    links: Pages<Link, 4_096>,
    chained: usize,
}

/// A slot's place in a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    previous: u32,
    next: u32,
    /// What it is chained under; 0 = it is not.
    hash: u32,
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

    fn link(&self, slot: u32) -> Link {
        self.links.get(slot).copied().unwrap_or_default()
    }

    fn head(&mut self, hash: u32) -> &mut u32 {
        let head = hash as usize >> 1 & (self.heads.len() - 1);
        &mut self.heads[head]
    }

    fn chain(&mut self, slot: u32, hash: u32) {
        let next = std::mem::replace(self.head(hash), slot);
        self.links.set(slot, Link { previous: NONE, next, hash });
        if let Some(next) = self.links.get_mut(next) {
            next.previous = slot;
        }
    }

    fn grow(&mut self) {
        self.heads = vec![NONE; (self.heads.len() * 2).max(1_024)];
        let chained = self.links.iter().filter(|(_, link)| link.hash != 0);
        let chained: Vec<(u32, u32)> = chained.map(|(slot, link)| (slot, link.hash)).collect();
        chained.into_iter().for_each(|(slot, hash)| self.chain(slot, hash));
    }

    fn remove(&mut self, slot: u32) {
        let Link { previous, next, hash } = self.link(slot);
        if hash == 0 {
            return;
        }
        match self.links.get_mut(previous) {
            Some(previous) => previous.next = next,
            None => *self.head(hash) = next,
        }
        if let Some(next) = self.links.get_mut(next) {
            next.previous = previous;
        }
        self.links.set(slot, Link::default());
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
            let link = self.link(at);
            if link.hash == hash {
                found.push(at);
            }
            at = link.next;
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

    #[test]
    fn a_reference_that_all_holds_share_is_moved_and_removed_as_fast_as_any() {
        // With a walk through the chain for each this would not come to an end.
        let mut index = References::default();
        for _ in 0..2 {
            (0..1 << 20).for_each(|slot| index.set(slot, b"sale"));
            assert_eq!(index.slots(b"sale").len(), 1 << 20);
        }
        (0..1 << 20).filter(|slot| slot % 4 != 1).for_each(|slot| index.set(slot, b""));
        (0..1 << 20).filter(|slot| slot % 8 == 1).for_each(|slot| index.set(slot, b"other"));
        assert_eq!((index.slots(b"sale").len(), index.slots(b"other").len()), (1 << 17, 1 << 17));
    }
}
