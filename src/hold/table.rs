//! The table of holds: slots in shards, each thread at home in one.
//!
//! A slot is 32 bytes, its reference 40 more. Slots are handed out last-freed-first, except that an expired hold is
//! remembered for a while (a late confirm may ask for it), so its slot queues behind the others'. How, see
//! [`super::indices`].
//!
//! # Ground rules
//!
//! 1. A slot has one owner from [`allocate`](HoldTable::allocate) until its word says `Active`; only the owner
//!    writes its fields then. Afterwards the fields are read-only and the word alone changes, by swaps.
//! 2. A reader takes the word, then the fields, then the word again, and believes them only if both words are of the
//!    generation it came for and of a hold that came to be. A new owner changes the word before the fields.
//! 3. A slot comes back by whoever made its last transition, once. An expired one can still be retaken, so it
//!    is reclaimed by a swap of its word, which the retake also needs.
//! 4. An expired hold's slot has its index in the queue, or in the hand of who puts it there or has taken it out to reclaim
//!    it. The index of a retaken one stays behind, and may be there twice when the slot's next hold expires: who finds the
//!    word not `Expired`, or loses the swap, drops the index. So a slot is in the free stack, or to be reclaimed, never
//!    both: it gets into the stack only as `Free` or ended otherwise.

use crossbeam::utils::CachePadded;

use super::id::EPOCHS;
use super::indices::{IndexQueue, IndexStack, Links, NONE};
use super::state::{GENERATION_BITS, Phase, Word};
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::fault::{Fault, planted};
use crate::log::record::Place;
use crate::segments::{NoRoom, Segments};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use crate::types::{REFERENCE_BYTES_MAX, Reference};

/// Set in [`Slot::timer`] while the slot is in its shard's intake.
const QUEUED: u32 = 1 << 31;

/// One hold's place in memory.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The hold's [`Word`].
    pub(crate) word: AtomicU64,
    /// Key (high half) and quantity.
    item: AtomicU64,
    /// Born in ms since 2020 (41 bits), reference length (6), high generation (13), opening (4).
    life: AtomicU64,
    next_free: AtomicU32,
    /// Link of the timer intake, see [`crate::expiry::timers`].
    pub(crate) timer: AtomicU32,
}

#[cfg(not(stockhold_loom))]
const _: () = assert!(size_of::<Slot>() == 32);

/// What a slot says beside its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    pub key: u32,
    pub quantity: u32,
    pub born: Timestamp,
    /// All 32 bits.
    pub generation: u32,
    /// The word, as it was after the fields were read.
    pub word: Word,
    /// The opening that made it, modulo [`EPOCHS`].
    pub epoch: u32,
    reference_length: u8,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Slot {
            word: AtomicU64::new(0),
            item: AtomicU64::new(0),
            life: AtomicU64::new(0),
            next_free: AtomicU32::new(NONE),
            timer: AtomicU32::new(0),
        }
    }

    pub(crate) fn word(&self) -> Word {
        // Acquire: pairs with the Release of `publish` and the AcqRel of swaps: the fields are the hold's.
        Word(self.word.load(Ordering::Acquire))
    }

    /// One transition: one winner.
    pub(crate) fn swap(&self, old: Word, new: Word) -> Result<(), Word> {
        // AcqRel: what the winner does next is ordered behind what made the old word, and seen with the new one.
        match self.word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }

    /// By the owner alone: makes `word` what others see.
    pub(crate) fn publish(&self, word: Word) {
        // Release: the fields before it; pairs with `word()`.
        self.word.store(word.0, Ordering::Release);
    }

    /// By the new owner, before it writes the fields: whoever reads a new field sees that the old hold is gone.
    fn take_over(&self, word: Word) {
        self.word.store(word.0, Ordering::Relaxed); // ordered before the fields by the fence
        fence(Ordering::Release); // pairs with the fence in `facts`
    }

    /// The fields; see rule 2 for when to believe them.
    pub(crate) fn facts(&self) -> Facts {
        // Relaxed: ordered by the Acquire of the word read before.
        let (item, life) = (self.item.load(Ordering::Relaxed), self.life.load(Ordering::Relaxed));
        // Acquire fence: had a field been of a later hold, the word read now would be too, and not fit. Pairs with the
        // fence in `take_over`.
        fence(Ordering::Acquire);
        let word = Word(self.word.load(Ordering::Relaxed));
        Facts {
            key: (item >> 32) as u32,
            quantity: item as u32,
            born: Timestamp(EPOCH_2020_MS + (life >> 23)),
            generation: ((life >> 4) as u32 & 0x1fff) << GENERATION_BITS | word.generation(),
            word,
            epoch: life as u32 % EPOCHS,
            reference_length: (life >> 17) as u8 & 0x3f,
        }
    }

    /// By the owner: the fields, and the reference's `words` if it has one.
    fn fill(&self, words: Option<&ReferenceWords>, generation: u32, new: NewHold<'_>) {
        self.set(new.key, new.quantity, new.born, generation, new.epoch, new.reference);
        for (word, bytes) in words.into_iter().flatten().zip(new.reference.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed); // published by the word
        }
    }

    fn set(&self, key: u32, quantity: u32, born: Timestamp, generation: u32, epoch: u32, reference: &[u8]) {
        let born = born.0.saturating_sub(EPOCH_2020_MS) & ((1 << 41) - 1);
        let high = u64::from(generation >> GENERATION_BITS);
        // Relaxed: published by the word.
        self.item.store(u64::from(key) << 32 | u64::from(quantity), Ordering::Relaxed);
        self.life.store(
            born << 23 | (reference.len() as u64) << 17 | high << 4 | u64::from(epoch % EPOCHS),
            Ordering::Relaxed,
        );
    }
}

type ReferenceWords = [AtomicU64; REFERENCE_BYTES_MAX / 8];

#[derive(Debug)]
struct Shard {
    slots: Segments<Slot>,
    references: Segments<ReferenceWords>,
    /// Local indices of slots that are nobody's.
    free: IndexStack,
    /// Slots that were ever handed out.
    fresh: CachePadded<AtomicU32>,
    /// Slots of expired holds, oldest first.
    expired: IndexQueue,
    quota: u32,
}

/// What a new hold is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHold<'a> {
    pub key: u32,
    pub quantity: u32,
    pub born: Timestamp,
    pub deadline: Timestamp,
    pub reference: &'a [u8],
    pub epoch: u32,
}

/// A hold as recovery found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OldHold<'a> {
    pub new: NewHold<'a>,
    pub place: Place,
    pub word: Word,
}

#[derive(Debug)]
pub(crate) struct HoldTable {
    shards: Box<[CachePadded<Shard>]>,
}

impl HoldTable {
    /// `shards` is a power of two; `expired_kept` bounds how many expired holds are remembered for their own sake;
    /// slots below `room` can be [restored](Self::restore), even beyond `holds_max`.
    pub(crate) fn new(shards: usize, holds_max: u32, expired_kept: u32, room: u32) -> Self {
        let room = holds_max.max(room).div_ceil(shards as u32) as usize;
        let quota =
            |shard: usize| holds_max / shards as u32 + u32::from((shard as u32) < holds_max % shards as u32);
        let kept = expired_kept.div_ceil(shards as u32);
        HoldTable {
            shards: (0..shards)
                .map(|shard| {
                    CachePadded::new(Shard {
                        slots: Segments::new(room),
                        references: Segments::new(room),
                        free: IndexStack::new(),
                        fresh: CachePadded::new(AtomicU32::new(0)),
                        expired: IndexQueue::new(kept.min(quota(shard))),
                        quota: quota(shard),
                    })
                })
                .collect(),
        }
    }

    /// The shard of a slot, and its index there.
    pub(crate) fn locate(&self, slot: u32) -> (usize, u32) {
        (slot as usize % self.shards.len(), slot / self.shards.len() as u32)
    }

    /// The slot with an index in a shard.
    pub(crate) fn global(&self, shard: usize, local: u32) -> u32 {
        local * self.shards.len() as u32 + shard as u32
    }

    pub(crate) fn slot(&self, slot: u32) -> Option<&Slot> {
        let (shard, local) = self.locate(slot);
        self.shards[shard].slots.get(local as usize)
    }

    /// The reference of a hold whose facts were read.
    pub(crate) fn reference(&self, slot: u32, facts: &Facts) -> Reference {
        let (shard, local) = self.locate(slot);
        let Some(words) = self.shards[shard].references.get(local as usize) else { return Reference::EMPTY };
        let mut bytes = [0; REFERENCE_BYTES_MAX];
        for (bytes, word) in bytes.chunks_mut(8).zip(words) {
            // Relaxed: as the other fields.
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let length = usize::from(facts.reference_length).min(REFERENCE_BYTES_MAX);
        Reference::new(&bytes[..length]).unwrap_or(Reference::EMPTY)
    }

    /// A slot for a new hold, in the phase `Reserving`, first from the shard `home`. [`NoRoom::Full`] = as many holds
    /// exist as may.
    pub(crate) fn allocate(&self, home: usize, new: NewHold<'_>) -> Result<Place, NoRoom> {
        let mut none = NoRoom::Full;
        for step in 0..self.shards.len() {
            let shard = (home + step) % self.shards.len();
            match self.shards[shard].allocate(new) {
                Ok((local, generation)) => return Ok(Place { slot: self.global(shard, local), generation }),
                Err(NoRoom::Full) => {}
                Err(NoRoom::Growing) => none = NoRoom::Growing, // another shard may have room
            }
        }
        Err(none)
    }

    /// By the owner: the hold never came to be, and its place was told to nobody; it may be used again.
    pub(crate) fn vanish(&self, place: Place) {
        if let Some(slot) = self.slot(place.slot) {
            let facts = slot.facts();
            slot.set(0, 0, facts.born, place.generation - 1, facts.epoch, &[]);
            slot.publish(Word::with_units(Phase::Free, place.generation - 1, 0));
            self.free(place.slot);
        }
    }

    /// The slot of a hold that has ended for good.
    pub(crate) fn free(&self, slot: u32) {
        let (shard, local) = self.locate(slot);
        let shard = &self.shards[shard];
        if shard.slots.get(local as usize).is_some_and(|slot| shard.may_be_used_again(local, slot)) {
            shard.free.push(&shard.slots, local);
        }
    }

    /// The slot of a hold that has expired: remembered until others need the room.
    pub(crate) fn bury(&self, slot: u32) {
        let (shard, local) = self.locate(slot);
        self.shards[shard].bury(local);
    }

    /// Puts back a hold that recovery found. `None` if the table has no such place.
    pub(crate) fn restore(&self, old: OldHold<'_>) -> Option<()> {
        let (shard, local) = self.locate(old.place.slot);
        let shard = &self.shards[shard];
        let slot = shard.slots.get_or_grow(local as usize, Slot::new).ok()?;
        let words = shard.room_for(local, old.new.reference).ok()?;
        slot.fill(words, old.place.generation, old.new);
        slot.publish(old.word);
        shard.fresh.fetch_max(local + 1, Ordering::Relaxed); // before any other thread exists
        Some(())
    }

    /// After every [`restore`](Self::restore): lists the slots that are free, and those of expired holds.
    pub(crate) fn restored(&self) -> Option<()> {
        for shard in &self.shards {
            for local in 0..shard.fresh.load(Ordering::Relaxed) {
                let slot = shard.slots.get_or_grow(local as usize, Slot::new).ok()?;
                match slot.word().phase() {
                    Phase::Active | Phase::Paying | Phase::Confirmed | Phase::Reserving => {}
                    _ if !shard.may_be_used_again(local, slot) => {}
                    Phase::Expired => shard.bury(local),
                    Phase::Free | Phase::Shipped | Phase::Released | Phase::Cancelled => {
                        shard.free.push(&shard.slots, local)
                    }
                }
            }
        }
        Some(())
    }

    /// As if other threads were growing all shards, and were parked in the middle of it.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn grow_elsewhere(&self) -> impl Sized {
        self.shards.iter().map(|shard| shard.slots.grow_elsewhere()).collect::<Vec<_>>()
    }

    /// Every slot that was ever used.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.shards.iter().enumerate().flat_map(move |(shard, table)| {
            // Relaxed: a slot allocated meanwhile may be missed.
            (0..table.fresh.load(Ordering::Relaxed))
                .filter_map(move |local| Some((self.global(shard, local), table.slots.get(local as usize)?)))
        })
    }
}

impl Shard {
    /// A generation that is used up retires its slot: an id is never given twice. So does a place beyond what is
    /// allowed now.
    fn may_be_used_again(&self, local: u32, slot: &Slot) -> bool {
        slot.facts().generation < u32::MAX && local < self.quota
    }

    /// A slot with a new hold in it, and its generation.
    fn allocate(&self, new: NewHold<'_>) -> Result<(u32, u32), NoRoom> {
        let local = self.next_slot()?;
        let slot = self.slots.get(local as usize).ok_or(NoRoom::Full)?;
        let words =
            self.room_for(local, new.reference).inspect_err(|_| self.free.push(&self.slots, local))?;
        // The slot is ours: its word is final, and what could still be retaken was swapped away.
        let generation = slot.facts().generation + 1;
        let word = Word::with_deadline(Phase::Reserving, generation, new.deadline);
        slot.take_over(word);
        slot.fill(words, generation, new);
        slot.publish(word);
        Ok((local, generation))
    }

    /// Where a slot's reference goes, if it has one.
    fn room_for(&self, local: u32, reference: &[u8]) -> Result<Option<&ReferenceWords>, NoRoom> {
        if reference.is_empty() {
            return Ok(None);
        }
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        self.references.get_or_grow(local as usize, zeros).map(Some)
    }

    fn next_slot(&self) -> Result<u32, NoRoom> {
        if let Some(freed) = self.free.pop(&self.slots) {
            return Ok(freed);
        }
        // Not only at the end: while another thread makes new ones, an expired one will do.
        self.pop_fresh().or_else(|none| self.pop_expired().ok_or(none))
    }

    /// One in, one out: what must make room in the queue is for anybody.
    fn bury(&self, local: u32) {
        if let Some(oldest) = self.expired.push(local)
            && self.reclaim(oldest)
        {
            self.free.push(&self.slots, oldest);
        }
    }

    fn pop_fresh(&self) -> Result<u32, NoRoom> {
        // Relaxed: the counter hands out numbers; the slot's contents are published by its word.
        let mut local = self.fresh.load(Ordering::Relaxed);
        loop {
            if local >= self.quota {
                return Err(NoRoom::Full);
            }
            // Before the number is drawn: one whose slot does not come to be would be lost.
            self.slots.get_or_grow(local as usize, Slot::new)?;
            match self.fresh.compare_exchange_weak(local, local + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(local),
                Err(now) => local = now,
            }
        }
    }

    fn pop_expired(&self) -> Option<u32> {
        std::iter::from_fn(|| self.expired.pop()).find(|&local| self.reclaim(local))
    }

    /// Whether the slot still has an expired hold, which is forgotten: the slot is the caller's own then.
    fn reclaim(&self, local: u32) -> bool {
        let Some(slot) = self.slots.get(local as usize) else { return false };
        let word = slot.word();
        if planted(Fault::TakeExpiredSlot) {
            return true;
        }
        // Against a retake, which needs the same swap, and against who has the same index: one of them gets the slot.
        let free = Word::with_units(Phase::Free, word.generation(), 0);
        word.phase() == Phase::Expired && self.may_be_used_again(local, slot) && slot.swap(word, free).is_ok()
    }
}

impl Links for Segments<Slot> {
    fn link(&self, index: u32) -> Option<&AtomicU32> {
        Some(&self.get(index as usize)?.next_free)
    }
}

/// Marks a slot as queued; `true` if it was not, and the caller is to link it.
pub(crate) fn queue(timer: &AtomicU32) -> bool {
    // AcqRel, always a read-modify-write: with `unqueue`, one of the two sees the other, so that a word published
    // before is either drained or leads to a new link.
    timer.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED == 0
}

/// Links a slot that [`queue`] marked in front of `next`.
pub(crate) fn link(timer: &AtomicU32, next: u32) {
    timer.store(QUEUED | (next & !QUEUED), Ordering::Relaxed); // released by the push
}

/// The link; after it the slot may be queued again.
pub(crate) fn unqueue(timer: &AtomicU32) -> u32 {
    timer.fetch_and(!QUEUED, Ordering::AcqRel) & !QUEUED
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    fn new(key: u32) -> NewHold<'static> {
        NewHold {
            key,
            quantity: 3,
            born: Timestamp(EPOCH_2020_MS + 9),
            deadline: Timestamp(EPOCH_2020_MS + 99),
            reference: b"order-4711",
            epoch: 21,
        }
    }

    #[test]
    fn a_new_hold_says_what_it_was_made_of() {
        let table = HoldTable::new(2, 8, 0, 0);
        let place = table.allocate(1, new(5)).unwrap();
        let slot = table.slot(place.slot).unwrap();
        let facts = slot.facts();
        assert_eq!((facts.key, facts.quantity, facts.born.0), (5, 3, EPOCH_2020_MS + 9));
        assert_eq!((facts.generation, facts.epoch), (1, 21 % EPOCHS));
        assert_eq!(table.reference(place.slot, &facts).as_bytes(), b"order-4711");
        assert_eq!(slot.word(), Word::with_deadline(Phase::Reserving, 1, Timestamp(EPOCH_2020_MS + 99)));
    }

    #[test]
    fn holds_max_is_exact_whatever_shard_asks() {
        for max in [1, 3, 8] {
            let table = HoldTable::new(4, max, 0, 0);
            let places: Vec<_> = std::iter::from_fn(|| table.allocate(2, new(0)).ok()).collect();
            assert_eq!(places.len(), max as usize);
            let slot = table.slot(places[0].slot).unwrap();
            slot.publish(Word::with_units(Phase::Released, 1, 0));
            table.free(places[0].slot);
            let again = table.allocate(0, new(0)).unwrap();
            assert_eq!((again.slot, again.generation), (places[0].slot, 2));
        }
    }

    #[test]
    fn a_place_that_was_told_to_nobody_is_used_again() {
        let table = HoldTable::new(1, 8, 0, 0);
        let place = table.allocate(0, new(0)).unwrap();
        table.vanish(place);
        assert_eq!(table.allocate(0, new(0)).unwrap(), place);
    }

    #[test]
    fn an_expired_hold_is_remembered_until_its_room_is_needed() {
        let table = HoldTable::new(1, 3, 1, 0);
        let expire = |place: Place| {
            table.slot(place.slot).unwrap().publish(Word::with_units(Phase::Expired, place.generation, 0));
            table.bury(place.slot);
        };
        let first = table.allocate(0, new(0)).unwrap();
        expire(first);
        let second = table.allocate(0, new(0)).unwrap();
        assert_ne!(first.slot, second.slot, "one expired hold is kept");
        expire(second);
        assert_eq!(table.allocate(0, new(0)).unwrap().slot, first.slot, "two are too many: the oldest goes");
        assert!(table.allocate(0, new(0)).is_ok());
        assert_eq!(table.allocate(0, new(0)).unwrap().slot, second.slot, "full: the last one goes");
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Full));
    }

    #[test]
    fn a_retaken_hold_keeps_its_slot() {
        let table = HoldTable::new(1, 1, 1, 0);
        let place = table.allocate(0, new(0)).unwrap();
        let slot = table.slot(place.slot).unwrap();
        slot.publish(Word::with_units(Phase::Expired, 1, 0));
        table.bury(place.slot);
        slot.swap(slot.word(), Word::with_units(Phase::Confirmed, 1, 3)).unwrap();
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Full));
        assert_eq!(slot.word().phase(), Phase::Confirmed);
    }

    #[test]
    fn while_another_makes_slots_others_will_do() {
        let table = HoldTable::new(2, 4, 4, 0);
        let parked = table.shards[0].slots.grow_elsewhere();
        let mut places: Vec<_> = (0..2).map(|_| table.allocate(0, new(0)).unwrap()).collect();
        assert!(places.iter().all(|place| table.locate(place.slot).0 == 1));
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Growing), "which is not to say that it is full");
        drop(parked);
        places.extend(std::iter::from_fn(|| table.allocate(0, new(0)).ok()));
        assert_eq!(places.len(), 4, "nothing was lost");
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Full));
    }

    #[test]
    fn a_hold_whose_reference_has_no_room_yet_does_not_come_to_be() {
        let table = HoldTable::new(1, 1, 1, 0);
        let parked = table.shards[0].references.grow_elsewhere();
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Growing));
        let place = table.allocate(0, NewHold { reference: &[], ..new(0) }).unwrap();
        assert_eq!(place, Place { slot: 0, generation: 1 }, "the slot came back as it was");
        table.vanish(place);
        drop(parked);
        let place = table.allocate(0, new(0)).unwrap();
        let facts = table.slot(place.slot).unwrap().facts();
        assert_eq!(table.reference(place.slot, &facts).as_bytes(), b"order-4711");
    }

    #[test]
    fn the_generation_outgrows_the_word() {
        let table = HoldTable::new(1, 1, 0, 0);
        let place = Place { slot: 0, generation: (5 << GENERATION_BITS) | 7 };
        let word = Word::with_units(Phase::Released, place.generation, 0);
        table.restore(OldHold { new: new(1), place, word }).unwrap();
        table.restored().unwrap();
        assert_eq!(table.allocate(0, new(0)).unwrap().generation, place.generation + 1);
        table.slot(0).unwrap().set(0, 0, Timestamp(0), u32::MAX, 0, &[]);
        table.slot(0).unwrap().publish(Word::with_units(Phase::Released, u32::MAX, 0));
        table.free(0);
        assert_eq!(table.allocate(0, new(0)), Err(NoRoom::Full), "a used-up slot is retired");
    }
}
