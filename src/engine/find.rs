//! From an id to a hold, as it is: word, fields and lines of one moment.

use super::core::Core;
use crate::clock::Timestamp;
use crate::error::{Busy, Common, LookupError};
use crate::hold::id::HoldIds;
use crate::hold::lines::Lines;
use crate::hold::slot::{Facts, Slot};
use crate::hold::state::{Phase, Word};
use crate::log::record::Place;
use crate::sync::{Patience, spin_loop, yield_now};
use crate::types::HoldId;

/// A hold as it was at one moment; a change looks again.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub word: Word,
    pub facts: Facts,
    /// What it holds; once confirmed, what of it is committed.
    pub lines: Lines,
}

impl Hold {
    /// It is live, and its deadline has passed.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.word.phase().is_live() && self.word.deadline() <= now
    }
}

/// What a look at a slot finds.
#[derive(Debug)]
pub(crate) enum Seen {
    Here(Hold),
    /// Somebody is changing it in more than one step.
    Changing,
    /// The slot has no such hold, or no more.
    Gone,
}

/// A hold that was found by its id.
#[derive(Clone, Debug)]
pub(crate) struct FoundHold<'c> {
    pub slot: &'c Slot,
    pub place: Place,
    pub hold: Hold,
}

/// Why a hold was not found.
#[derive(Debug)]
pub(crate) enum NotFound {
    Lookup(LookupError),
    Common(Common),
}

impl From<NotFound> for LookupError {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::Lookup(error) => error,
            NotFound::Common(_) => LookupError::Changing,
        }
    }
}

impl Core {
    /// Whether the slot still has the hold that was named, and what it is.
    #[inline]
    pub(crate) fn seen(&self, slot: &Slot, generation: u32) -> Seen {
        loop {
            let word = slot.word();
            if word.phase() == Phase::Changing {
                return Seen::Changing;
            }
            let facts = slot.facts();
            if facts.word.tag() == word.tag() && facts.word.phase() != Phase::Changing {
                let came_to_be = |word: Word| !matches!(word.phase(), Phase::Free | Phase::Reserving);
                if facts.generation != generation || !came_to_be(word) || !came_to_be(facts.word) {
                    return Seen::Gone;
                }
                if let Some(lines) = self.holds.lines(slot, word, &facts) {
                    return Seen::Here(Hold { word, facts, lines });
                }
            }
            spin_loop(); // another made it another hold, or changed it, in between
        }
    }

    /// The hold that a slot has, whichever it is. For queries: waits while somebody is changing it.
    pub(crate) fn whichever(&self, slot: &Slot) -> Option<Hold> {
        loop {
            let (word, facts) = (slot.word(), slot.facts());
            let changing = [word, facts.word].iter().any(|word| word.phase() == Phase::Changing);
            if !changing && word.tag() == facts.word.tag() {
                match self.seen(slot, facts.generation) {
                    Seen::Here(hold) => return Some(hold),
                    Seen::Gone => return None,
                    Seen::Changing => {}
                }
            }
            yield_now();
        }
    }

    /// Likewise, with patience; `None` if it is gone.
    #[inline]
    pub(crate) fn here(&self, slot: &Slot, generation: u32) -> Result<Option<Hold>, Common> {
        let mut patience = Patience::new();
        loop {
            match self.seen(slot, generation) {
                Seen::Here(hold) => return Ok(Some(hold)),
                Seen::Gone => return Ok(None),
                Seen::Changing if patience.last() => {}
                Seen::Changing => return Err(self.busy(Busy::Changing)),
            }
        }
    }

    /// The hold that an id names.
    #[inline]
    pub(crate) fn find(&self, id: HoldId) -> Result<FoundHold<'_>, NotFound> {
        let unknown = NotFound::Lookup(LookupError::Unknown);
        let place = HoldIds::place(id);
        let Some(slot) = self.holds.slot(place.slot) else { return Err(unknown) };
        match self.here(slot, place.generation).map_err(NotFound::Common)? {
            Some(hold) if self.answers.ids.id(place, hold.facts.epoch) == id => {
                Ok(FoundHold { slot, place, hold })
            }
            Some(_) => Err(unknown),
            // A slot that was taken and given up again is free at the generation of the hold before.
            None if slot.facts().generation >= place.generation && self.answers.ids.is_ours(id) => {
                Err(NotFound::Lookup(LookupError::Forgotten))
            }
            None => Err(unknown),
        }
    }
}
