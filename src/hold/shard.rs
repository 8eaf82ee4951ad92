//! One shard of the table of holds: its slots, which of them are free, and which have expired holds.
//!
//! # Ground rules
//!
//! 1. A slot that a function here returns belongs to the caller: no other thread has its index or can get it.
//! 2. The slot of an expired hold can still be retaken, so it changes hands by a swap of its word, which the
//!    retake also needs. One of the two wins.

use crossbeam::utils::CachePadded;

use super::chains::Chains;
use super::indices::{IndexQueue, IndexStack, Links, Queued};
use super::lines::Line;
use super::slot::{CHANGES_MAX, Fields, Slot, StoredLines};
use super::state::{Phase, Word};
use crate::clock::Timestamp;
use crate::fault::{Fault, planted};
use crate::index::{Generation, LocalIndex};
use crate::segments::{NoRoom, Segments};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::types::REFERENCE_BYTES_MAX;

/// Uses after which a slot is not handed out again. The numbers above are for changes of its last hold.
pub(crate) const USES_MAX: u32 = u32::MAX - CHANGES_MAX;

pub(super) type ReferenceWords = [AtomicU64; REFERENCE_BYTES_MAX / 8];

/// One shard of the table.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) slots: Segments<Slot>,
    pub(super) references: Segments<ReferenceWords>,
    /// Local indices of slots without a hold.
    free: IndexStack,
    /// The lowest local index that was never handed out. Restored holds may lie far above it.
    fresh: CachePadded<AtomicU32>,
    /// Slots of expired holds, oldest first.
    expired: IndexQueue,
    /// Slots that may be handed out.
    quota: u32,
}

/// The data of a new hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHold<'a> {
    /// In the order of their keys; at least one.
    pub lines: &'a [Line],
    pub born: Timestamp,
    pub deadline: Timestamp,
    pub reference: &'a [u8],
    pub epoch: u32,
}

/// A new hold, and where its lines are stored.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) lines: StoredLines,
    pub(super) new: NewHold<'a>,
}

/// A slot with a new hold in it, in the phase `Reserving`.
pub(super) struct MadeIn<'t> {
    pub(super) local: LocalIndex,
    pub(super) slot: &'t Slot,
    pub(super) generation: Generation,
}

impl Shard {
    /// A shard of `room` slots, of which `quota` may be handed out, that remembers `expired_kept` expired
    /// holds.
    pub(super) fn new(room: usize, quota: u32, expired_kept: u32) -> Self {
        Shard {
            slots: Segments::new(room),
            references: Segments::new(room),
            free: IndexStack::new(),
            fresh: CachePadded::new(AtomicU32::new(0)),
            expired: IndexQueue::new(expired_kept.min(room as u32)),
            quota,
        }
    }

    /// Whether a slot may be handed out again. A slot whose numbers of uses are spent is retired, since an id
    /// is never given twice; so is a slot above the quota of this opening.
    fn may_be_used_again(&self, local: LocalIndex, slot: &Slot) -> bool {
        slot.fields().uses < USES_MAX && local.0 < self.quota
    }

    /// Puts a new hold into a slot.
    #[inline]
    pub(super) fn allocate(&self, chains: &Chains, making: Making<'_>) -> Result<MadeIn<'_>, NoRoom> {
        let local = self.next_slot(chains)?;
        let slot = self.slots.get(local.as_usize()).ok_or(NoRoom::Full)?;
        let words = self
            .room_for(local, making.new.reference)
            .inspect_err(|_| self.free.push(&self.slots, local.0))?;
        // The slot is ours: its word is final, and an expired hold in it was swapped away, so no retake can
        // win.
        let uses = slot.fields().uses + 1;
        let word = Word::with_deadline(Phase::Reserving, uses, making.new.deadline);
        slot.take_over(word);
        fill(slot, words, uses, making);
        slot.publish(word);
        Ok(MadeIn { local, slot, generation: Generation(uses) })
    }

    /// Where a slot's reference goes, if it has one.
    pub(super) fn room_for(
        &self,
        local: LocalIndex,
        reference: &[u8],
    ) -> Result<Option<&ReferenceWords>, NoRoom> {
        if reference.is_empty() {
            return Ok(None);
        }
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        self.references.get_or_grow(local.as_usize(), zeros).map(Some)
    }

    fn next_slot(&self, chains: &Chains) -> Result<LocalIndex, NoRoom> {
        if let Some(freed) = self.free.pop(&self.slots) {
            return Ok(LocalIndex(freed));
        }
        // An expired hold is also given up while another thread grows the slots, not only when the quota is
        // reached.
        self.pop_fresh().or_else(|none| self.pop_expired(chains).ok_or(none))
    }

    /// Queues the slot of an expired hold. The queue hands out its oldest entry when it is full: that slot
    /// becomes free.
    pub(super) fn retain_expired(&self, chains: &Chains, queued: Queued) {
        if let Some(oldest) = self.expired.push(queued) {
            self.forget_and_free(chains, oldest);
        }
    }

    fn pop_fresh(&self) -> Result<LocalIndex, NoRoom> {
        // Relaxed: the counter hands out numbers; the slot's contents are published by its word.
        let mut local = self.fresh.load(Ordering::Relaxed);
        loop {
            if local >= self.quota {
                return Err(NoRoom::Full);
            }
            // The slot is made before its number is drawn: a number whose slot cannot be made would be lost.
            let slot = self.slots.get_or_grow(local as usize, Slot::new)?;
            // Release: who sees that this number is gone sees what the caller gave back before; pairs with
            // `full_mark`.
            match self.fresh.compare_exchange_weak(local, local + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if slot.fields().uses == 0 => return Ok(LocalIndex(local)),
                // A restored hold, far above the others: the slot is in one of the lists, or in use.
                Ok(_) => local += 1,
                Err(now) => local = now,
            }
        }
    }

    #[inline(never)]
    fn pop_expired(&self, chains: &Chains) -> Option<LocalIndex> {
        while let Some(queued) = self.expired.pop() {
            let (local, forgotten) = (LocalIndex(queued.index()), self.forget(chains, queued));
            self.expired.done();
            let slot = self.slots.get(local.as_usize());
            if forgotten && slot.is_some_and(|slot| self.may_be_used_again(local, slot)) {
                return Some(local);
            }
        }
        None
    }

    /// Forgets one expired hold and frees its slot; false if there is none.
    pub(super) fn forget_oldest(&self, chains: &Chains) -> bool {
        while let Some(queued) = self.expired.pop() {
            if self.forget_and_free(chains, queued) {
                return true;
            }
        }
        false
    }

    /// Forgets the expired hold of an index that came out of the queue, and frees its slot.
    fn forget_and_free(&self, chains: &Chains, queued: Queued) -> bool {
        let forgotten = self.forget(chains, queued);
        if forgotten {
            self.push_free(LocalIndex(queued.index()));
        }
        self.expired.done();
        forgotten
    }

    /// Whether no expired hold is remembered, nor one about to be or being forgotten.
    pub(super) fn has_no_expired(&self) -> bool {
        self.expired.mark().is_some()
    }

    /// A number that differs after each slot that went in or came out; `None` while one is free, or about to be.
    pub(super) fn full_mark(&self) -> Option<u64> {
        let spent = self.fresh.load(Ordering::Acquire) >= self.quota; // pairs with the swap in `pop_fresh`
        let (free, expired) = (self.free.mark()?, self.expired.mark()?);
        spent.then_some(free + expired)
    }

    /// Frees a slot without a hold. Called by the slot's owner, who owns it no longer.
    #[inline]
    pub(super) fn push_free(&self, local: LocalIndex) {
        if self.slots.get(local.as_usize()).is_some_and(|slot| self.may_be_used_again(local, slot)) {
            self.free.push(&self.slots, local.0);
        }
    }

    /// Forgets a queued expired hold and returns its lines, if the slot still has it: then the caller owns
    /// the slot. A later hold of the slot has an entry of its own in the queue.
    fn forget(&self, chains: &Chains, queued: Queued) -> bool {
        let Some(slot) = self.slots.get(queued.index() as usize) else { return false };
        let word = slot.word();
        if planted(Fault::TakeExpiredSlot) {
            return true;
        }
        // A retake needs the same swap, and so does another thread with the same index: one of them gets the
        // slot.
        let free = Word::with_units(Phase::Free, word.tag(), 0);
        let is_same_hold = word.phase() == Phase::Expired && word.tag() == queued.tag();
        let ours = is_same_hold && slot.swap(word, free).is_ok();
        if ours {
            drop_lines(chains, slot.fields().lines);
        }
        ours
    }

    /// Counts a slot that a hold was restored into as handed out. No other thread exists yet.
    pub(super) fn restored_at(&self, local: LocalIndex) {
        self.fresh.fetch_max(local.0 + 1, Ordering::Relaxed); // before any other thread exists
    }

    /// Lists the free slots and the expired holds, after all were restored. Where a whole segment has no
    /// hold, which no engine leaves but any bytes can say, no memory is taken: from there on slots are fresh,
    /// but for those that had holds.
    pub(super) fn list_restored(&self, chains: &Chains) {
        // Relaxed: before any other thread exists.
        let fresh = self.fresh.load(Ordering::Relaxed).min(self.slots.gap() as u32);
        self.fresh.store(fresh, Ordering::Relaxed);
        for (local, slot) in self.slots.iter() {
            let local = local as u32;
            if local >= fresh && slot.fields().uses == 0 {
                continue;
            }
            let word = slot.word();
            match word.phase() {
                Phase::Active | Phase::Paying | Phase::Confirmed => {}
                Phase::Reserving | Phase::Changing => {}
                // Also if the slot may not be used again: its lines may.
                Phase::Expired => self.retain_expired(chains, Queued::new(local, word.tag())),
                Phase::Free | Phase::Shipped | Phase::Released | Phase::Cancelled => {
                    self.push_free(LocalIndex(local));
                }
            }
        }
    }
}

/// Writes the fields of a slot, and the words of its reference if it has one. Called by the slot's owner.
pub(super) fn fill(slot: &Slot, words: Option<&ReferenceWords>, uses: u32, making: Making<'_>) {
    let Making { lines, new: NewHold { born, epoch, reference, .. } } = making;
    slot.set(Fields { lines, born, uses, epoch, reference_length: reference.len() as u8 });
    for (word, bytes) in words.into_iter().flatten().zip(reference.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(padded), Ordering::Relaxed); // published by the word
    }
}

/// Returns the chain of a hold, if its lines are in one.
#[inline]
pub(super) fn drop_lines(chains: &Chains, lines: StoredLines) {
    if let StoredLines::Chain { head, .. } = lines {
        chains.drop(head);
    }
}

impl Links for Segments<Slot> {
    #[inline]
    fn link(&self, index: u32) -> Option<&AtomicU32> {
        Some(&self.get(index as usize)?.next_free)
    }
}
