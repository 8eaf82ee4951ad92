//! The table of holds: slots in shards. Each thread allocates from a shard of its own first.
//!
//! A slot is 32 bytes, its reference 40 more, each line of a cart 16. The slot that was freed last is handed
//! out first. The slot of an expired hold is handed out after the others, because a late confirm may still
//! ask for the hold.
//!
//! # Ground rules
//!
//! 1. [`Slot`] says which thread may write it and when a reader may believe what it reads.
//! 2. A slot is returned once, by the thread that made its last transition. An expired hold can still be
//!    retaken, so its slot is handed out by a swap of its word, which the retake also needs.
//! 3. The lines of a cart are returned before its slot, by the same thread: when the hold is over, or when
//!    its slot is taken from it.

use crossbeam::utils::CachePadded;

use super::chains::Chains;
use super::indices::{NONE, Queued};
use super::lines::{Line, Lines};
use super::room::NoLines;
use super::shard::{MadeIn, Making, Shard, drop_lines, fill};
use super::slot::{Fields, HoldFields, Slot, StoredLines};
use super::state::{Phase, Word};
use crate::fault::{Fault, planted};
use crate::index::{LocalIndex, SlotIndex, Target};
use crate::log::record::HoldPlace;
use crate::segments::NoRoom;
use crate::stall::{self, Step};
use crate::sync::Ordering;
use crate::types::{REFERENCE_BYTES_MAX, Reference};

pub(crate) use super::shard::{NewHold, USES_MAX};

/// Why there is no room for a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// There are as many holds as there may be.
    Holds,
    /// There are as many lines of carts as there may be.
    Lines,
    /// Another thread is taking memory; there may be room in a moment.
    Growing,
    /// Other threads were taking and returning room: whether there is none cannot be known now.
    Moving,
}

/// A place for a hold that is being made. It becomes a hold, or is [discarded](HoldTable::discard).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'t> {
    pub place: HoldPlace,
    pub slot: &'t Slot,
}

/// A hold that recovery found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OldHold<'a> {
    pub new: NewHold<'a>,
    pub place: HoldPlace,
    pub word: Word,
}

/// All holds of one engine.
#[derive(Debug)]
pub(crate) struct HoldTable {
    /// Their number is a power of two.
    shards: Box<[CachePadded<Shard>]>,
    chains: Chains,
}

impl HoldTable {
    /// A table of at most `holds_max` holds and `lines_max` lines of carts. `shards` is a power of two; at
    /// most `expired_kept` expired holds keep their slots while free ones are left; slots below `room` can be
    /// [restored](Self::restore), even beyond `holds_max`.
    pub(crate) fn new(shards: usize, holds_max: u32, lines_max: u32, expired_kept: u32, room: u32) -> Self {
        let room = holds_max.max(room).div_ceil(shards as u32) as usize;
        let quota =
            |shard: usize| holds_max / shards as u32 + u32::from((shard as u32) < holds_max % shards as u32);
        let kept = expired_kept.div_ceil(shards as u32);
        let shard = |shard| CachePadded::new(Shard::new(room, quota(shard), kept));
        HoldTable { shards: (0..shards).map(shard).collect(), chains: Chains::new(lines_max) }
    }

    /// The shard of a slot, and its index there.
    #[inline]
    pub(crate) fn locate(&self, slot: SlotIndex) -> (usize, LocalIndex) {
        let shards = self.shards.len();
        (slot.as_usize() & (shards - 1), LocalIndex(slot.0 >> shards.trailing_zeros()))
    }

    /// The slot with an index in a shard.
    #[inline]
    pub(crate) fn global(&self, shard: usize, local: LocalIndex) -> SlotIndex {
        SlotIndex(local.0 << self.shards.len().trailing_zeros() | shard as u32)
    }

    #[inline]
    pub(crate) fn slot(&self, slot: SlotIndex) -> Option<&Slot> {
        let (shard, local) = self.locate(slot);
        self.shards[shard].slots.get(local.as_usize())
    }

    /// The reference of a hold whose fields were read.
    pub(crate) fn reference(&self, slot: SlotIndex, fields: &HoldFields) -> Reference {
        let (shard, local) = self.locate(slot);
        let Some(words) = self.shards[shard].references.get(local.as_usize()) else {
            return Reference::EMPTY;
        };
        let mut bytes = [0; REFERENCE_BYTES_MAX];
        for (bytes, word) in bytes.chunks_mut(8).zip(words) {
            // Relaxed: as the other fields.
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let length = usize::from(fields.reference_length).min(REFERENCE_BYTES_MAX);
        Reference::new(&bytes[..length]).unwrap_or(Reference::EMPTY)
    }

    /// The lines of a hold that has this word and these fields; `None` if it was changed since they were
    /// read.
    #[inline]
    pub(crate) fn lines(&self, slot: &Slot, word: Word, fields: &HoldFields) -> Option<Lines> {
        match fields.lines {
            StoredLines::Line { target, units } => Some(Lines::one(
                target,
                match word.phase() {
                    Phase::Confirmed | Phase::Shipped | Phase::Cancelled => word.units(),
                    _ => units,
                },
            )),
            // Other holds may have its lines by now.
            StoredLines::Chain { .. } if word.phase().is_over() => Some(Lines::many(Vec::new())),
            StoredLines::Chain { head, .. } => {
                let lines = self.chains.read(head);
                let behind = slot.word_behind();
                (behind.tag() == word.tag() && !behind.phase().is_over()).then_some(lines)
            }
        }
    }

    /// Puts a new hold into a slot, in the phase `Reserving`. The shard `home` is tried first.
    #[inline]
    pub(crate) fn allocate(&self, home: usize, new: NewHold<'_>) -> Result<Room<'_>, Full> {
        let lines = match *new.lines {
            [Line { target, units }] => StoredLines::Line { target, units },
            _ => StoredLines::Chain { head: self.chain(new.lines)?, changes: 0 },
        };
        let mut full = Full::Holds;
        for step in 0..self.shards.len() {
            let shard = (home + step) & (self.shards.len() - 1);
            match self.shards[shard].allocate(&self.chains, Making { lines, new }) {
                Ok(MadeIn { local, slot, generation }) => {
                    return Ok(Room {
                        place: HoldPlace { slot: self.global(shard, local), generation },
                        slot,
                    });
                }
                Err(NoRoom::Full) => {}
                Err(NoRoom::Growing) => full = Full::Growing, // another shard may have room
            }
        }
        Err(self.found_none(lines, full))
    }

    /// Gives the lines of a hold back that got no slot; returns why it got none.
    #[cold]
    #[inline(never)]
    fn found_none(&self, lines: StoredLines, full: Full) -> Full {
        if let StoredLines::Chain { head, .. } = lines {
            self.unchain(head);
        }
        if full == Full::Holds && !self.is_full() { Full::Moving } else { full }
    }

    /// Whether there was an instant at which no slot was free. The shards are read one after the other: only if
    /// nothing has changed when they are read again, all that was read was true at once.
    fn is_full(&self) -> bool {
        let mark = || self.shards.iter().try_fold(0_u64, |sum, shard| Some(sum + shard.full_mark()?));
        let seen = mark();
        planted(Fault::ShardByShard) || seen.is_some() && seen == mark()
    }

    /// Ends what is pending of a cart's lines: it has become a hold.
    pub(crate) fn settle_lines(&self, lines: &[Line]) {
        if lines.len() > 1 {
            self.chains.settle();
        }
    }

    /// The place alone of what [`allocate`](Self::allocate) returns. The lines of a cart are its hold's.
    #[cfg(test)]
    pub(crate) fn place(&self, home: usize, new: NewHold<'_>) -> Result<HoldPlace, Full> {
        let place = self.allocate(home, new)?.place;
        self.settle_lines(new.lines);
        Ok(place)
    }

    /// Gives a hold fewer units than it was made for. Called by the slot's owner, before any other thread
    /// sees the hold.
    pub(crate) fn set_units(&self, slot: &Slot, line: Line) {
        let HoldFields { born, uses, epoch, reference_length, .. } = slot.fields();
        let lines = StoredLines::Line { target: line.target, units: line.units };
        slot.set(Fields { lines, born, uses, epoch, reference_length });
    }

    /// Makes a chain that belongs to no hold yet, for [`replace_lines`](Self::replace_lines). Expired holds
    /// are forgotten if the only room left is theirs.
    ///
    /// The lines are used up only if at one instant too few were free, no cart was being made that may return
    /// some, and no expired hold had any.
    #[inline(never)] // no part of a reserve of one line
    pub(crate) fn chain(&self, lines: &[Line]) -> Result<u32, Full> {
        loop {
            let seen = match self.chains.add(lines) {
                Ok(head) => return Ok(head),
                Err(NoLines::Growing) => return Err(Full::Growing),
                Err(NoLines::Unknown) => return Err(Full::Moving),
                Err(NoLines::Full(seen)) => seen,
            };
            if !self.shards.iter().any(|shard| shard.forget_oldest(&self.chains)) {
                let none = self.shards.iter().all(|shard| shard.has_no_expired())
                    && self.chains.is_still(seen)
                    || planted(Fault::LinesByHalves);
                return Err(if none { Full::Lines } else { Full::Moving });
            }
        }
    }

    /// Returns a chain that was not used.
    pub(crate) fn unchain(&self, head: u32) {
        self.chains.undo(head);
    }

    /// Gives a hold other lines: those of a chain, under the next word `word`. Called by the thread that made
    /// the hold `Changing`, with the fields that the hold had before.
    pub(crate) fn replace_lines(&self, slot: &Slot, fields: &HoldFields, head: u32, word: Word) {
        slot.taken_over();
        slot.set(changed(fields, head));
        stall::at(Step::Changing);
        slot.publish(word);
        drop_lines(&self.chains, fields.lines);
        self.chains.settle();
    }

    /// Gives each line of a hold the units that `units` says for its target, under the next word `word`.
    /// Called by the thread that made the hold `Changing`, with the fields that the hold had before.
    pub(crate) fn change_units(
        &self,
        slot: &Slot,
        fields: &HoldFields,
        word: Word,
        units: impl Fn(Target) -> u32,
    ) {
        slot.taken_over();
        if let StoredLines::Chain { head, .. } = fields.lines {
            self.chains.change(head, units);
            slot.set(changed(fields, head));
        }
        stall::at(Step::Changing);
        slot.publish(word);
    }

    /// Returns the slot of a hold that was never made: no caller was given its place, so the place may be
    /// used again. Called by the slot's owner.
    pub(crate) fn discard(&self, place: HoldPlace) {
        if let Some(slot) = self.slot(place.slot) {
            let HoldFields { lines, born, epoch, .. } = slot.fields();
            let (nothing, uses) =
                (StoredLines::Line { target: Target::default(), units: 0 }, place.generation.0 - 1);
            slot.set(Fields { lines: nothing, born, uses, epoch, reference_length: 0 });
            slot.publish(Word::with_units(Phase::Free, uses, 0));
            if let StoredLines::Chain { head, .. } = lines {
                self.unchain(head);
            }
            self.free(place.slot);
        }
    }

    /// Returns the slot of a hold that has ended for good.
    #[inline]
    pub(crate) fn free(&self, slot: SlotIndex) {
        let (shard, local) = self.locate(slot);
        let shard = &self.shards[shard];
        let Some(slot) = shard.slots.get(local.as_usize()) else { return };
        drop_lines(&self.chains, slot.fields().lines);
        shard.push_free(local);
    }

    /// Returns the slot of a hold that has expired with this word. The hold is remembered until others need
    /// the room.
    pub(crate) fn retain_expired(&self, slot: SlotIndex, expired: Word) {
        let (shard, local) = self.locate(slot);
        self.shards[shard].retain_expired(&self.chains, Queued::new(local.0, expired.tag()));
    }

    /// Puts back a hold that recovery found; `None` if the table has no such place.
    pub(crate) fn restore(&self, old: OldHold<'_>) -> Option<()> {
        let (shard, local) = self.locate(old.place.slot);
        let shard = &self.shards[shard];
        let slot = shard.slots.get_or_grow(local.as_usize(), Slot::new).ok()?;
        let words = shard.room_for(local, old.new.reference).ok()?;
        let lines = match *old.new.lines {
            [Line { target, units }] => StoredLines::Line { target, units },
            // The hold is over, and its lines are forgotten.
            _ if old.word.phase().is_over() => StoredLines::Chain { head: NONE, changes: 0 },
            _ => StoredLines::Chain { head: self.chain(old.new.lines).ok()?, changes: 0 },
        };
        fill(slot, words, old.place.generation.0, Making { lines, new: old.new });
        slot.publish(old.word);
        if matches!(lines, StoredLines::Chain { head, .. } if head != NONE) {
            self.chains.settle();
        }
        shard.restored_at(local);
        Some(())
    }

    /// Lists free slots and expired holds. To be called once, after every [`restore`](Self::restore).
    pub(crate) fn finish_restore(&self) {
        self.shards.iter().for_each(|shard| shard.list_restored(&self.chains));
    }

    /// Behaves as if other threads were growing all shards, and had stopped in the middle of it.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn grow_elsewhere(&self) -> impl Sized {
        self.shards.iter().map(|shard| shard.slots.grow_elsewhere()).collect::<Vec<_>>()
    }

    /// The number of segments that the table may come to have.
    pub(crate) fn segments(&self) -> usize {
        self.shards.len() * self.shards[0].slots.segments()
    }

    /// The slots of one segment; `None` if it does not exist yet.
    pub(crate) fn segment(&self, number: usize) -> Option<impl Iterator<Item = (SlotIndex, &Slot)>> {
        let (shard, segment) = (number % self.shards.len(), number / self.shards.len());
        let slots = self.shards[shard].slots.segment(segment)?;
        Some(slots.map(move |(local, slot)| (self.global(shard, LocalIndex(local as u32)), slot)))
    }

    /// Every slot that was ever used, and others that are free. A slot that is made meanwhile may be missed.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (SlotIndex, &Slot)> {
        self.shards.iter().enumerate().flat_map(move |(shard, table)| {
            table.slots.iter().map(move |(local, slot)| (self.global(shard, LocalIndex(local as u32)), slot))
        })
    }
}

/// The fields of a hold that was changed once more, and has its lines in a chain.
fn changed(fields: &HoldFields, head: u32) -> Fields {
    let HoldFields { born, uses, generation, epoch, reference_length, .. } = *fields;
    let uses = uses + Word::change_step();
    let lines = StoredLines::Chain { head, changes: uses - generation.0 };
    Fields { lines, born, uses, epoch, reference_length }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests;
