//! From an id to a hold: its word, fields and lines, all read at one moment.

use super::core::Core;
use crate::clock::Timestamp;
use crate::error::{Busy, LookupError, SharedError};
use crate::hold::id::HoldIds;
use crate::hold::lines::Lines;
use crate::hold::slot::{HoldFields, Slot};
use crate::hold::state::{Phase, Word};
use crate::index::Generation;
use crate::log::record::HoldPlace;
use crate::sync::{Patience, spin_loop, yield_now};
use crate::types::HoldId;

/// A hold as it was at one moment. A change reads it again.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub word: Word,
    pub fields: HoldFields,
    /// What it holds; once confirmed, what of it is committed.
    pub lines: Lines,
}

impl Hold {
    /// Whether it is live and its deadline has passed.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.word.phase().is_live() && self.word.deadline() <= now
    }
}

/// The result of one reading of a slot.
#[derive(Debug)]
pub(crate) enum HoldRead {
    Read(Hold),
    /// Another thread is changing it in more than one step.
    Changing,
    /// The slot does not have the hold, or no longer.
    Gone,
}

/// A hold that was found by its id.
#[derive(Clone, Debug)]
pub(crate) struct FoundHold<'c> {
    pub slot: &'c Slot,
    pub place: HoldPlace,
    pub hold: Hold,
}

/// Why a hold was not found.
#[derive(Debug)]
pub(crate) enum NotFound {
    Lookup(LookupError),
    Shared(SharedError),
}

impl From<NotFound> for LookupError {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => error,
            NotFound::Shared(_) => LookupError::Changing,
        }
    }
}

impl Core {
    /// Reads the hold with this generation, if the slot still has it.
    #[inline]
    pub(crate) fn try_read(&self, slot: &Slot, generation: Generation) -> HoldRead {
        loop {
            let word = slot.word();
            if word.phase() == Phase::Changing {
                return HoldRead::Changing;
            }
            let fields = slot.fields();
            if fields.word.tag() == word.tag() && fields.word.phase() != Phase::Changing {
                let came_to_be = |word: Word| !matches!(word.phase(), Phase::Free | Phase::Reserving);
                if fields.generation != generation || !came_to_be(word) || !came_to_be(fields.word) {
                    return HoldRead::Gone;
                }
                if let Some(lines) = self.holds.lines(slot, word, &fields) {
                    return HoldRead::Read(Hold { word, fields, lines });
                }
            }
            spin_loop(); // another thread changed the slot in between
        }
    }

    /// Reads the hold that a slot has, whichever it is. For queries: waits while another thread is changing
    /// it.
    pub(crate) fn read_any(&self, slot: &Slot) -> Option<Hold> {
        loop {
            let (word, facts) = (slot.word(), slot.fields());
            let changing = [word, facts.word].iter().any(|word| word.phase() == Phase::Changing);
            if !changing && word.tag() == facts.word.tag() {
                match self.try_read(slot, facts.generation) {
                    HoldRead::Read(hold) => return Some(hold),
                    HoldRead::Gone => return None,
                    HoldRead::Changing => {}
                }
            }
            yield_now();
        }
    }

    /// Reads the hold with this generation, with patience while it is being changed; `None` if the slot does
    /// not have it.
    #[inline]
    pub(crate) fn read(&self, slot: &Slot, generation: Generation) -> Result<Option<Hold>, SharedError> {
        let mut patience = Patience::new();
        loop {
            match self.try_read(slot, generation) {
                HoldRead::Read(hold) => return Ok(Some(hold)),
                HoldRead::Gone => return Ok(None),
                HoldRead::Changing if patience.spin_once() => {}
                HoldRead::Changing => return Err(self.busy(Busy::Changing)),
            }
        }
    }

    /// Finds the hold that an id names.
    #[inline]
    pub(crate) fn find(&self, id: HoldId) -> Result<FoundHold<'_>, NotFound> {
        let unknown = NotFound::Lookup(LookupError::Unknown);
        let place = HoldIds::place(id);
        let Some(slot) = self.holds.slot(place.slot) else { return Err(unknown) };
        match self.read(slot, place.generation).map_err(NotFound::Shared)? {
            Some(hold) if self.answers.ids.id(place, hold.fields.epoch) == id => {
                Ok(FoundHold { slot, place, hold })
            }
            Some(_) => Err(unknown),
            // A slot that was allocated and discarded is free, at the generation of the hold before.
            None if slot.fields().generation >= place.generation && self.answers.ids.is_ours(id) => {
                Err(NotFound::Lookup(LookupError::Forgotten))
            }
            None => Err(unknown),
        }
    }
}
