//! The table of holds: slots in shards, each thread at home in one.
//!
//! A slot is 32 bytes, its reference 40 more, each line of a cart 16. Slots are handed out last-freed-first, except that
//! an expired hold is remembered for a while (a late confirm may ask for it), so its slot queues behind the others'.
//!
//! # Ground rules
//!
//! 1. Who may write and what to believe of a slot is said where [`Slot`] is.
//! 2. A slot comes back by whoever made its last transition, once. An expired one can still be retaken, so it
//!    is handed out by a swap of its word, which the retake also needs.
//! 3. The lines of a cart go back before its slot does, by the same hand: when the hold is over, or when its slot is taken
//!    from it.

use crossbeam::utils::CachePadded;

use super::chains::Chains;
use super::indices::{IndexQueue, IndexStack, Links, NONE, Queued};
use super::lines::{Line, Lines};
use super::slot::{CHANGES_MAX, Facts, Fields, Slot, What};
use super::state::{Phase, Word};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::log::record::HoldPlace;
use crate::segments::{NoRoom, Segments};
use crate::stall::{self, Step};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::types::{REFERENCE_BYTES_MAX, Reference};

/// Uses after which a slot is handed out no more; what it has left is for changes of its last hold.
pub(crate) const USES_MAX: u32 = u32::MAX - CHANGES_MAX;

type ReferenceWords = [AtomicU64; REFERENCE_BYTES_MAX / 8];

#[derive(Debug)]
struct Shard {
    slots: Segments<Slot>,
    references: Segments<ReferenceWords>,
    /// Local indices of slots that are nobody's.
    free: IndexStack,
    /// Slots that were ever handed out, but for those restored far behind them.
    fresh: CachePadded<AtomicU32>,
    /// Slots of expired holds, oldest first.
    expired: IndexQueue,
    quota: u32,
}

/// What a new hold is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHold<'a> {
    /// In the order of their keys; at least one.
    pub lines: &'a [Line],
    pub born: Timestamp,
    pub deadline: Timestamp,
    pub reference: &'a [u8],
    pub epoch: u32,
}

/// Why there is no room for a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// As many holds exist as may.
    Holds,
    /// Carts have as many lines as they may.
    Lines,
    /// Another thread is taking memory; there may be room in a moment.
    Growing,
}

/// Where a new hold was made, in its shard.
struct MadeIn<'t> {
    local: u32,
    slot: &'t Slot,
    generation: u32,
}

/// Fields of a new hold that is being made.
#[derive(Clone, Copy)]
struct Making<'a> {
    what: What,
    new: NewHold<'a>,
}

/// A place for a hold that is being made: it becomes one, or [vanishes](HoldTable::vanish).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'t> {
    pub place: HoldPlace,
    pub slot: &'t Slot,
}

/// A hold as recovery found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OldHold<'a> {
    pub new: NewHold<'a>,
    pub place: HoldPlace,
    pub word: Word,
}

#[derive(Debug)]
pub(crate) struct HoldTable {
    /// A power of two of them.
    shards: Box<[CachePadded<Shard>]>,
    chains: Chains,
}

impl HoldTable {
    /// `shards` is a power of two; `expired_kept` bounds how many expired holds are remembered for their own sake;
    /// slots below `room` can be [restored](Self::restore), even beyond `holds_max`.
    pub(crate) fn new(shards: usize, holds_max: u32, lines_max: u32, expired_kept: u32, room: u32) -> Self {
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
                        expired: IndexQueue::new(kept.min(room as u32)),
                        quota: quota(shard),
                    })
                })
                .collect(),
            chains: Chains::new(lines_max),
        }
    }

    /// The shard of a slot, and its index there.
    #[inline]
    pub(crate) fn locate(&self, slot: u32) -> (usize, u32) {
        (slot as usize & (self.shards.len() - 1), slot >> self.shards.len().trailing_zeros())
    }

    /// The slot with an index in a shard.
    #[inline]
    pub(crate) fn global(&self, shard: usize, local: u32) -> u32 {
        local << self.shards.len().trailing_zeros() | shard as u32
    }

    #[inline]
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

    /// What a hold holds, its word and facts being so; `None` if it was changed since they were read.
    #[inline]
    pub(crate) fn lines(&self, slot: &Slot, word: Word, facts: &Facts) -> Option<Lines> {
        match facts.what {
            What::Line { key, units } => Some(Lines::one(
                key,
                match word.phase() {
                    Phase::Confirmed | Phase::Shipped | Phase::Cancelled => word.units(),
                    _ => units,
                },
            )),
            // Its lines are for others by now.
            What::Chain { .. } if word.phase().is_over() => Some(Lines::many(Vec::new())),
            What::Chain { head, .. } => {
                let lines = self.chains.read(head);
                let behind = slot.word_behind();
                (behind.tag() == word.tag() && !behind.phase().is_over()).then_some(lines)
            }
        }
    }

    /// A slot for a new hold, in the phase `Reserving`, first from the shard `home`.
    #[inline]
    pub(crate) fn allocate(&self, home: usize, new: NewHold<'_>) -> Result<Room<'_>, Full> {
        let what = match *new.lines {
            [Line { key, units }] => What::Line { key, units },
            _ => What::Chain { head: self.chain(new.lines)?, changes: 0 },
        };
        let mut none = Full::Holds;
        for step in 0..self.shards.len() {
            let shard = (home + step) & (self.shards.len() - 1);
            match self.shards[shard].allocate(&self.chains, Making { what, new }) {
                Ok(MadeIn { local, slot, generation }) => {
                    return Ok(Room {
                        place: HoldPlace { slot: self.global(shard, local), generation },
                        slot,
                    });
                }
                Err(NoRoom::Full) => {}
                Err(NoRoom::Growing) => none = Full::Growing, // another shard may have room
            }
        }
        self.drop_lines(what);
        Err(none)
    }

    /// The place alone of what [`allocate`](Self::allocate) gives.
    #[cfg(test)]
    pub(crate) fn place(&self, home: usize, new: NewHold<'_>) -> Result<HoldPlace, Full> {
        self.allocate(home, new).map(|room| room.place)
    }

    fn drop_lines(&self, what: What) {
        drop_lines(&self.chains, what);
    }

    /// By the owner, before anybody sees the hold: it has fewer units than it was made for.
    pub(crate) fn set_units(&self, slot: &Slot, line: Line) {
        let Facts { born, uses, epoch, reference_length, .. } = slot.facts();
        let what = What::Line { key: line.key, units: line.units };
        slot.set(Fields { what, born, uses, epoch, reference_length });
    }

    /// A chain that is nobody's yet, for [`replace_lines`](Self::replace_lines). Expired holds are forgotten if theirs is
    /// the only room.
    pub(crate) fn chain(&self, lines: &[Line]) -> Result<u32, Full> {
        loop {
            match self.chains.add(lines) {
                Ok(head) => return Ok(head),
                Err(NoRoom::Growing) => return Err(Full::Growing),
                Err(NoRoom::Full) if self.forget_expired() => {}
                Err(NoRoom::Full) => return Err(Full::Lines),
            }
        }
    }

    /// Forgets an expired hold, if there is one.
    fn forget_expired(&self) -> bool {
        self.shards.iter().any(|shard| {
            let forget = |queued: &Queued| shard.forget(&self.chains, *queued);
            let forgotten = std::iter::from_fn(|| shard.expired.pop()).find(forget);
            forgotten.inspect(|queued| shard.push_free(queued.index())).is_some()
        })
    }

    /// Gives up a chain that was not used.
    pub(crate) fn unchain(&self, head: u32) {
        self.chains.drop(head);
    }

    /// By who made the hold `Changing`, which had these facts before: it has the chained lines from now on, and the word
    /// is `word`.
    pub(crate) fn replace_lines(&self, slot: &Slot, facts: &Facts, head: u32, word: Word) {
        slot.taken_over();
        slot.set(changed(facts, head));
        stall::at(Step::Changing);
        slot.publish(word);
        self.drop_lines(facts.what);
    }

    /// By who made the hold `Changing`, which had these facts before: each line keeps what `units` says of its key, and
    /// the word is `word`.
    pub(crate) fn change_units(&self, slot: &Slot, facts: &Facts, word: Word, units: impl Fn(u32) -> u32) {
        slot.taken_over();
        if let What::Chain { head, .. } = facts.what {
            self.chains.change(head, units);
            slot.set(changed(facts, head));
        }
        stall::at(Step::Changing);
        slot.publish(word);
    }

    /// By the owner: the hold never came to be, and its place was told to nobody; it may be used again.
    pub(crate) fn discard(&self, place: HoldPlace) {
        if let Some(slot) = self.slot(place.slot) {
            let Facts { what, born, epoch, .. } = slot.facts();
            let (nothing, uses) = (What::Line { key: 0, units: 0 }, place.generation - 1);
            slot.set(Fields { what: nothing, born, uses, epoch, reference_length: 0 });
            slot.publish(Word::with_units(Phase::Free, uses, 0));
            self.drop_lines(what);
            self.free(place.slot);
        }
    }

    /// The slot of a hold that has ended for good.
    #[inline]
    pub(crate) fn free(&self, slot: u32) {
        let (shard, local) = self.locate(slot);
        let shard = &self.shards[shard];
        let Some(slot) = shard.slots.get(local as usize) else { return };
        self.drop_lines(slot.facts().what);
        shard.push_free(local);
    }

    /// The slot of a hold that has expired, with this word: remembered until others need the room.
    pub(crate) fn retain_expired(&self, slot: u32, expired: Word) {
        let (shard, local) = self.locate(slot);
        self.shards[shard].retain_expired(&self.chains, Queued::new(local, expired.tag()));
    }

    /// Puts back a hold that recovery found. `None` if the table has no such place.
    pub(crate) fn restore(&self, old: OldHold<'_>) -> Option<()> {
        let (shard, local) = self.locate(old.place.slot);
        let shard = &self.shards[shard];
        let slot = shard.slots.get_or_grow(local as usize, Slot::new).ok()?;
        let words = shard.room_for(local, old.new.reference).ok()?;
        let what = match *old.new.lines {
            [Line { key, units }] => What::Line { key, units },
            // Over, and its lines forgotten.
            _ if old.word.phase().is_over() => What::Chain { head: NONE, changes: 0 },
            _ => What::Chain { head: self.chain(old.new.lines).ok()?, changes: 0 },
        };
        fill(slot, words, old.place.generation, Making { what, new: old.new });
        slot.publish(old.word);
        shard.fresh.fetch_max(local + 1, Ordering::Relaxed); // before any other thread exists
        Some(())
    }

    /// After every [`restore`](Self::restore): lists the slots that are free, and those of expired holds. Where no hold was
    /// for a whole segment, which no engine leaves but any bytes can say, no memory is taken: slots are fresh from there
    /// on, but for those that had holds.
    pub(crate) fn restored(&self) {
        for shard in &self.shards {
            // Relaxed: before any other thread exists.
            let fresh = shard.fresh.load(Ordering::Relaxed).min(shard.slots.gap() as u32);
            shard.fresh.store(fresh, Ordering::Relaxed);
            for (local, slot) in shard.slots.iter() {
                let local = local as u32;
                if local >= fresh && slot.facts().uses == 0 {
                    continue;
                }
                let word = slot.word();
                match word.phase() {
                    Phase::Active | Phase::Paying | Phase::Confirmed => {}
                    Phase::Reserving | Phase::Changing => {}
                    // Whether its slot may be used again or not: its lines may.
                    Phase::Expired => shard.retain_expired(&self.chains, Queued::new(local, word.tag())),
                    Phase::Free | Phase::Shipped | Phase::Released | Phase::Cancelled => {
                        shard.push_free(local)
                    }
                }
            }
        }
    }

    /// As if other threads were growing all shards, and were parked in the middle of it.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn grow_elsewhere(&self) -> impl Sized {
        self.shards.iter().map(|shard| shard.slots.grow_elsewhere()).collect::<Vec<_>>()
    }

    /// Segments that the table may come to have.
    pub(crate) fn segments(&self) -> usize {
        self.shards.len() * self.shards[0].slots.segments()
    }

    /// The slots of one of them; `None` if it is not there yet.
    pub(crate) fn segment(&self, number: usize) -> Option<impl Iterator<Item = (u32, &Slot)>> {
        let (shard, segment) = (number % self.shards.len(), number / self.shards.len());
        let slots = self.shards[shard].slots.segment(segment)?;
        Some(slots.map(move |(local, slot)| (self.global(shard, local as u32), slot)))
    }

    /// Every slot that was ever used, and others that are free. One that is made meanwhile may be missed.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.shards.iter().enumerate().flat_map(move |(shard, table)| {
            table.slots.iter().map(move |(local, slot)| (self.global(shard, local as u32), slot))
        })
    }
}

impl Shard {
    /// A number of uses that is used up retires its slot: an id is never given twice. So does a place beyond what is
    /// allowed now.
    fn may_be_used_again(&self, local: u32, slot: &Slot) -> bool {
        slot.facts().uses < USES_MAX && local < self.quota
    }

    /// A slot with a new hold in it.
    #[inline]
    fn allocate(&self, chains: &Chains, making: Making<'_>) -> Result<MadeIn<'_>, NoRoom> {
        let local = self.next_slot(chains)?;
        let slot = self.slots.get(local as usize).ok_or(NoRoom::Full)?;
        let words =
            self.room_for(local, making.new.reference).inspect_err(|_| self.free.push(&self.slots, local))?;
        // The slot is ours: its word is final, and what could still be retaken was swapped away.
        let generation = slot.facts().uses + 1;
        let word = Word::with_deadline(Phase::Reserving, generation, making.new.deadline);
        slot.take_over(word);
        fill(slot, words, generation, making);
        slot.publish(word);
        Ok(MadeIn { local, slot, generation })
    }

    /// Where a slot's reference goes, if it has one.
    fn room_for(&self, local: u32, reference: &[u8]) -> Result<Option<&ReferenceWords>, NoRoom> {
        if reference.is_empty() {
            return Ok(None);
        }
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        self.references.get_or_grow(local as usize, zeros).map(Some)
    }

    fn next_slot(&self, chains: &Chains) -> Result<u32, NoRoom> {
        if let Some(freed) = self.free.pop(&self.slots) {
            return Ok(freed);
        }
        // Not only at the end: while another thread makes new ones, an expired one will do.
        self.pop_fresh().or_else(|none| self.pop_expired(chains).ok_or(none))
    }

    /// One in, one out: what must make room in the queue is for anybody.
    fn retain_expired(&self, chains: &Chains, queued: Queued) {
        if let Some(oldest) = self.expired.push(queued)
            && self.forget(chains, oldest)
        {
            self.push_free(oldest.index());
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
            let slot = self.slots.get_or_grow(local as usize, Slot::new)?;
            match self.fresh.compare_exchange_weak(local, local + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if slot.facts().uses == 0 => return Ok(local),
                // It was restored with a hold, far behind the others: it is in one of the lists, or in use.
                Ok(_) => local += 1,
                Err(now) => local = now,
            }
        }
    }

    fn pop_expired(&self, chains: &Chains) -> Option<u32> {
        let popped = std::iter::from_fn(|| self.expired.pop()).find(|&queued| {
            let slot = self.slots.get(queued.index() as usize);
            self.forget(chains, queued)
                && slot.is_some_and(|slot| self.may_be_used_again(queued.index(), slot))
        });
        popped.map(Queued::index)
    }

    /// By the owner of a slot without a hold, who owns it no more.
    #[inline]
    fn push_free(&self, local: u32) {
        if self.slots.get(local as usize).is_some_and(|slot| self.may_be_used_again(local, slot)) {
            self.free.push(&self.slots, local);
        }
    }

    /// Whether the slot still has the expired hold that was queued, which is forgotten, and its lines go back: the slot is
    /// the caller's own then. A later hold of the slot has its own place in the queue.
    fn forget(&self, chains: &Chains, queued: Queued) -> bool {
        let Some(slot) = self.slots.get(queued.index() as usize) else { return false };
        let word = slot.word();
        if planted(Fault::TakeExpiredSlot) {
            return true;
        }
        // Against a retake, which needs the same swap, and against who has the same index: one of them gets the slot.
        let free = Word::with_units(Phase::Free, word.tag(), 0);
        let is_it = word.phase() == Phase::Expired && word.tag() == queued.tag();
        let ours = is_it && slot.swap(word, free).is_ok();
        if ours {
            drop_lines(chains, slot.facts().what);
        }
        ours
    }
}

/// By the owner: the fields, and the reference's `words` if it has one.
fn fill(slot: &Slot, words: Option<&ReferenceWords>, uses: u32, making: Making<'_>) {
    let Making { what, new: NewHold { born, epoch, reference, .. } } = making;
    slot.set(Fields { what, born, uses, epoch, reference_length: reference.len() as u8 });
    for (word, bytes) in words.into_iter().flatten().zip(reference.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(padded), Ordering::Relaxed); // published by the word
    }
}

fn drop_lines(chains: &Chains, what: What) {
    if let What::Chain { head, .. } = what {
        chains.drop(head);
    }
}

/// The fields of a hold that was changed once more, and has its lines in a chain.
fn changed(facts: &Facts, head: u32) -> Fields {
    let Facts { born, uses, generation, epoch, reference_length, .. } = *facts;
    let uses = uses + Word::change_step();
    let what = What::Chain { head, changes: uses - generation };
    Fields { what, born, uses, epoch, reference_length }
}

impl Links for Segments<Slot> {
    fn link(&self, index: u32) -> Option<&AtomicU32> {
        Some(&self.get(index as usize)?.next_free)
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::clock::EPOCH_2020_MS;
    use crate::hold::id::EPOCHS;
    use crate::hold::state::TAG_BITS;
    use crate::segments::SEGMENT_ITEMS;

    const LINE: [Line; 1] = [Line { key: 5, units: 3 }];

    fn new(lines: &[Line]) -> NewHold<'_> {
        NewHold {
            lines,
            born: Timestamp(EPOCH_2020_MS + 9),
            deadline: Timestamp(EPOCH_2020_MS + 99),
            reference: b"order-4711",
            epoch: 21,
        }
    }

    #[test]
    fn a_new_hold_says_what_it_was_made_of() {
        let table = HoldTable::new(2, 8, 8, 0, 0);
        let place = table.place(1, new(&LINE)).unwrap();
        let slot = table.slot(place.slot).unwrap();
        let facts = slot.facts();
        assert_eq!((facts.what, facts.born.0), (What::Line { key: 5, units: 3 }, EPOCH_2020_MS + 9));
        assert_eq!((facts.generation, facts.epoch), (1, 21 % EPOCHS));
        assert_eq!(table.reference(place.slot, &facts).as_bytes(), b"order-4711");
        assert_eq!(slot.word(), Word::with_deadline(Phase::Reserving, 1, Timestamp(EPOCH_2020_MS + 99)));
    }

    #[test]
    fn holds_max_is_exact_whatever_shard_asks() {
        for max in [1, 3, 8] {
            let table = HoldTable::new(4, max, 8, 0, 0);
            let places: Vec<_> = std::iter::from_fn(|| table.place(2, new(&LINE)).ok()).collect();
            assert_eq!(places.len(), max as usize);
            let slot = table.slot(places[0].slot).unwrap();
            slot.publish(Word::with_units(Phase::Released, 1, 0));
            table.free(places[0].slot);
            let again = table.place(0, new(&LINE)).unwrap();
            assert_eq!((again.slot, again.generation), (places[0].slot, 2));
        }
    }

    #[test]
    fn a_place_that_was_told_to_nobody_is_used_again() {
        let table = HoldTable::new(1, 8, 8, 0, 0);
        let place = table.place(0, new(&LINE)).unwrap();
        table.discard(place);
        assert_eq!(table.place(0, new(&LINE)).unwrap(), place);
    }

    fn expire(table: &HoldTable, place: HoldPlace) {
        let expired = Word::with_units(Phase::Expired, place.generation, 0);
        table.slot(place.slot).unwrap().publish(expired);
        table.retain_expired(place.slot, expired);
    }

    #[test]
    fn an_expired_hold_is_not_forgotten_for_what_earlier_holds_of_its_slot_left_behind() {
        let table = HoldTable::new(1, 8, 8, 4, 0);
        for _ in 0..20 {
            let place = table.place(0, new(&LINE)).unwrap();
            let slot = table.slot(place.slot).unwrap();
            expire(&table, place);
            assert_eq!(slot.word().phase(), Phase::Expired, "at once");
            // Retaken late, and cancelled: its slot is used again, and the queue has it still.
            slot.publish(Word::with_units(Phase::Cancelled, place.generation, 0));
            table.free(place.slot);
        }
    }

    #[test]
    fn an_expired_hold_is_remembered_until_its_room_is_needed() {
        let table = HoldTable::new(1, 3, 8, 1, 0);
        let first = table.place(0, new(&LINE)).unwrap();
        expire(&table, first);
        let second = table.place(0, new(&LINE)).unwrap();
        assert_ne!(first.slot, second.slot, "one expired hold is kept");
        expire(&table, second);
        assert_eq!(table.place(0, new(&LINE)).unwrap().slot, first.slot, "two are too many: the oldest goes");
        assert!(table.place(0, new(&LINE)).is_ok());
        assert_eq!(table.place(0, new(&LINE)).unwrap().slot, second.slot, "full: the last one goes");
        assert!(table.place(0, new(&LINE)).is_err());
    }

    #[test]
    fn expired_holds_are_forgotten_when_only_theirs_is_room_for_lines() {
        let table = HoldTable::new(2, 8, 4, 8, 0);
        let two = [Line { key: 5, units: 3 }, Line { key: 6, units: 1 }];
        let [first, second] = [0, 1].map(|home| table.place(home, new(&two)).unwrap());
        assert_eq!(table.place(0, new(&two)), Err(Full::Lines), "they are live");
        for place in [first, second] {
            expire(&table, place);
        }
        assert!(table.place(0, new(&two)).is_ok());
        assert_eq!(table.slot(second.slot).unwrap().word().phase(), Phase::Expired, "one was enough");
        assert!(table.place(0, new(&two)).is_ok());
        assert_eq!(table.place(0, new(&two)), Err(Full::Lines));
    }

    #[test]
    fn a_retaken_hold_keeps_its_slot() {
        let table = HoldTable::new(1, 1, 8, 1, 0);
        let place = table.place(0, new(&LINE)).unwrap();
        let slot = table.slot(place.slot).unwrap();
        expire(&table, place);
        slot.swap(slot.word(), Word::with_units(Phase::Confirmed, 1, 3)).unwrap();
        assert!(table.place(0, new(&LINE)).is_err());
        assert_eq!(slot.word().phase(), Phase::Confirmed);
    }

    #[test]
    fn a_stray_hold_takes_no_memory_for_the_slots_before_it() {
        let table = HoldTable::new(1, u32::MAX, 8, 8, 1 << 30);
        let word = |phase| Word::with_units(phase, 1, 0);
        let restore = |slot, phase| {
            let (new, place) = (new(&LINE), HoldPlace { slot, generation: 1 });
            table.restore(OldHold { new, place, word: word(phase) }).unwrap();
        };
        let stray = SEGMENT_ITEMS as u32 * 2;
        restore(1, Phase::Active);
        restore(stray + 1, Phase::Active);
        restore(stray + 2, Phase::Released);
        restore((1 << 30) - 1, Phase::Expired);
        table.restored();
        assert_eq!(table.slots().count(), 3 * SEGMENT_ITEMS);
        // What was free comes first, then what is fresh, and no place twice.
        let handed_out: Vec<_> =
            (0..3 * SEGMENT_ITEMS).map(|_| table.place(0, new(&LINE)).unwrap()).collect();
        assert_eq!(handed_out[0], HoldPlace { slot: stray + 2, generation: 2 });
        let mut slots: Vec<_> = handed_out.iter().map(|place| place.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), handed_out.len());
        assert!(!slots.contains(&1) && !slots.contains(&(stray + 1)), "they are live");
        assert_eq!(table.slot((1 << 30) - 1).unwrap().word().phase(), Phase::Expired);
    }

    #[test]
    fn the_generation_outgrows_the_word() {
        let table = HoldTable::new(1, 1, 8, 0, 0);
        let place = HoldPlace { slot: 0, generation: (5 << TAG_BITS) | 7 };
        let word = Word::with_units(Phase::Released, place.generation, 0);
        table.restore(OldHold { new: new(&LINE), place, word }).unwrap();
        table.restored();
        assert_eq!(table.place(0, new(&LINE)).unwrap().generation, place.generation + 1);
        let what = What::Line { key: 0, units: 0 };
        let used_up = Fields { what, born: Timestamp(0), uses: USES_MAX, epoch: 0, reference_length: 0 };
        table.slot(0).unwrap().set(used_up);
        table.slot(0).unwrap().publish(Word::with_units(Phase::Released, USES_MAX, 0));
        table.free(0);
        assert!(table.place(0, new(&LINE)).is_err(), "a used-up slot is retired");
    }
}
