//! The life of a hold as a pure state machine: one word, one decision, no threads.
//!
//! ```text
//!             reserve            begin payment
//!   (nothing) ───────► Active ───────────────► Paying
//!                        │ extend ↺              │ extend ↺
//!                        ├───────────────────────┤
//!              confirm   │       release         │   deadline reached
//!            ┌───────────┴───────────┬───────────┴────────┐
//!            ▼                       ▼                    ▼
//!        Confirmed ─ ship ─► Shipped Released           Expired
//!            │ cancel  (part by part)                     │ retake (a late confirm)
//!            └──────────► Cancelled       Confirmed ◄─────┘
//! ```
//!
//! The live engine decides with [`decide`]; the fold applies what was decided and never decides again. State,
//! generation and deadline share one word, so each transition is one compare-and-swap with one winner. A
//! confirmed hold has no deadline: the same bits have the units that are still committed.
//!
//! ```text
//! bit 63 .. 60   59 .......... 41   40 ........................... 0
//!     phase (4)  tag (19)           deadline in ms since 2020, or units committed (41)
//! ```
//!
//! The tag counts the uses of the slot: it is the low end of a number that grows with each new hold, and with
//! each change of a hold that one word cannot express. Such a change (other lines, or part of a cart) swaps
//! the word to `Changing` first, then writes the fields, and then publishes the next word under the next tag.
//! So a thread that read the lines before the change fails with its swap after it.

use crate::answer::HoldState;
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::fault::{Fault, planted};
use crate::index::Generation;

const LOAD_BITS: u32 = 41;
const LOAD_MASK: u64 = (1 << LOAD_BITS) - 1;
/// Bits of the slot's uses that are in the word; the slot's fields have the rest.
pub(crate) const TAG_BITS: u32 = 19;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// Where in its life a hold is, the three phases that callers never see included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// There is no hold in the slot.
    Free = 0,
    /// Being reserved: units may be taken, no position is drawn yet.
    Reserving = 1,
    Active = 2,
    Paying = 3,
    Confirmed = 4,
    Shipped = 5,
    Released = 6,
    Expired = 7,
    Cancelled = 8,
    /// Between two words: one thread is writing the slot's fields.
    Changing = 9,
}

impl Phase {
    fn of(bits: u64) -> Phase {
        match bits {
            1 => Phase::Reserving,
            2 => Phase::Active,
            3 => Phase::Paying,
            4 => Phase::Confirmed,
            5 => Phase::Shipped,
            6 => Phase::Released,
            7 => Phase::Expired,
            8 => Phase::Cancelled,
            9 => Phase::Changing,
            _ => Phase::Free,
        }
    }

    /// The state that callers see; `None` if they see none.
    pub(crate) fn public(self) -> Option<HoldState> {
        match self {
            Phase::Free | Phase::Reserving | Phase::Changing => None,
            Phase::Active => Some(HoldState::Active),
            Phase::Paying => Some(HoldState::Paying),
            Phase::Confirmed => Some(HoldState::Confirmed),
            Phase::Shipped => Some(HoldState::Shipped),
            Phase::Released => Some(HoldState::Released),
            Phase::Expired => Some(HoldState::Expired),
            Phase::Cancelled => Some(HoldState::Cancelled),
        }
    }

    /// Whether the hold's units count as held.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Phase::Active | Phase::Paying)
    }

    /// Whether the word has a deadline.
    pub(crate) fn has_deadline(self) -> bool {
        matches!(self, Phase::Active | Phase::Paying | Phase::Reserving | Phase::Changing)
    }

    /// Whether the hold has ended for good. (An expired hold can be retaken.)
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Phase::Free | Phase::Shipped | Phase::Released | Phase::Cancelled)
    }
}

/// A hold's word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub u64);

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{}({})", self.phase(), self.tag(), self.0 & LOAD_MASK)
    }
}

impl Word {
    /// A word with a deadline. A deadline beyond the last that fits is replaced by that one.
    pub(crate) fn with_deadline(phase: Phase, uses: u32, deadline: Timestamp) -> Word {
        Word::pack(phase, uses, deadline.0.saturating_sub(EPOCH_2020_MS).min(LOAD_MASK))
    }

    /// A word with committed units.
    pub(crate) fn with_units(phase: Phase, uses: u32, units: u32) -> Word {
        Word::pack(phase, uses, u64::from(units))
    }

    fn pack(phase: Phase, uses: u32, load: u64) -> Word {
        let tag = u64::from(uses) & TAG_MASK;
        Word((phase as u64) << (LOAD_BITS + TAG_BITS) | tag << LOAD_BITS | load)
    }

    pub(crate) fn phase(self) -> Phase {
        Phase::of(self.0 >> (LOAD_BITS + TAG_BITS))
    }

    /// The low bits of the slot's uses.
    pub(crate) fn tag(self) -> u32 {
        ((self.0 >> LOAD_BITS) & TAG_MASK) as u32
    }

    /// Whether it can be the word of a hold of that generation in a checkpoint: not while a change is under
    /// way.
    pub(crate) fn can_be_folded(self, generation: Generation) -> bool {
        self.phase().public().is_some() && self.tag() == generation.0 & TAG_MASK as u32
    }

    /// Meaningful while the hold is being reserved or live.
    pub(crate) fn deadline(self) -> Timestamp {
        Timestamp(EPOCH_2020_MS + (self.0 & LOAD_MASK))
    }

    /// Units committed; meaningful once confirmed.
    pub(crate) fn units(self) -> u32 {
        if matches!(self.phase(), Phase::Confirmed) { (self.0 & LOAD_MASK) as u32 } else { 0 }
    }

    /// How many uses of the slot a change takes that the word cannot express.
    pub(crate) fn change_step() -> u32 {
        u32::from(!planted(Fault::SameTag))
    }

    /// The word while the fields for the next one are being written: under the next tag.
    pub(crate) fn changing(self) -> Word {
        // Without a deadline the hold is never due.
        let load = if self.phase().has_deadline() { self.0 & LOAD_MASK } else { LOAD_MASK };
        Word::pack(Phase::Changing, self.tag() + Self::change_step(), load)
    }

    /// The same word under the next tag.
    pub(crate) fn retagged(self) -> Word {
        Word::pack(self.phase(), self.tag() + Self::change_step(), self.0 & LOAD_MASK)
    }

    fn to(self, phase: Phase, load: u64) -> Word {
        Word::pack(phase, self.tag(), load)
    }
}

/// An event that changes a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The hold is paid: `units` become committed.
    Confirm { units: u32 },
    /// The holder gives the units back.
    Release,
    /// The deadline has passed, and the units go back.
    Expire,
    /// A later deadline.
    Extend { deadline: Timestamp },
    /// Other lines, and perhaps a later deadline.
    Replace { deadline: Timestamp },
    /// Payment begins, with a later deadline.
    Pay { deadline: Timestamp },
    /// `units` of the committed units leave; `None` = all.
    Ship { units: Option<u32> },
    /// `units` of the committed units go back on sale; `None` = all.
    Cancel { units: Option<u32> },
    /// A late confirm took the units again.
    Retake { units: u32 },
}

/// Why an event cannot happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum No {
    /// The deadline has passed: a thread that answers so expires the hold first.
    Due,
    /// The deadline has not passed.
    NotDue,
    /// The phase does not allow it.
    Phase(Phase),
    /// More units than the hold has.
    TooMany { remaining: u32 },
}

/// The next word of a hold after `event`, or why it cannot happen. At `now` equal to the deadline, the
/// deadline has passed.
#[inline]
pub(crate) fn decide(word: Word, now: Timestamp, event: Event) -> Result<Word, No> {
    let phase = word.phase();
    let due = || word.deadline() <= now && !planted(Fault::ForgetDeadline);
    let live = || match phase {
        Phase::Active | Phase::Paying if due() => Err(No::Due),
        Phase::Active | Phase::Paying => Ok(()),
        _ => Err(No::Phase(phase)),
    };
    let committed = |units: Option<u32>, emptied: Phase| match (phase, units) {
        (Phase::Confirmed, Some(units)) if units > word.units() => {
            Err(No::TooMany { remaining: word.units() })
        }
        (Phase::Confirmed, Some(units)) if units < word.units() => {
            Ok(word.to(Phase::Confirmed, u64::from(word.units() - units)))
        }
        (Phase::Confirmed, _) => Ok(word.to(emptied, 0)),
        // At its deadline the hold is due; the answer must not be that it is active.
        _ => live().and(Err(No::Phase(phase))),
    };
    match event {
        Event::Confirm { units } => live().map(|()| word.to(Phase::Confirmed, u64::from(units))),
        Event::Release => live().map(|()| word.to(Phase::Released, 0)),
        Event::Expire => match live() {
            Err(No::Due) => Ok(word.to(Phase::Expired, 0)),
            Err(no) => Err(no),
            Ok(()) => Err(No::NotDue),
        },
        Event::Extend { deadline } | Event::Replace { deadline } => {
            live().map(|()| Word::with_deadline(phase, word.tag(), deadline.max(word.deadline())))
        }
        Event::Pay { deadline } if phase == Phase::Active => {
            live().map(|()| Word::with_deadline(Phase::Paying, word.tag(), deadline.max(word.deadline())))
        }
        Event::Pay { .. } => live().and(Err(No::Phase(phase))),
        Event::Ship { units } => committed(units, Phase::Shipped),
        Event::Cancel { units } => committed(units, Phase::Cancelled),
        Event::Retake { units } if phase == Phase::Expired => Ok(word.to(Phase::Confirmed, u64::from(units))),
        Event::Retake { .. } => Err(No::Phase(phase)),
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(EPOCH_2020_MS + 1_000);
    const BEFORE: Timestamp = Timestamp(T.0 - 1);

    fn active() -> Word {
        Word::with_deadline(Phase::Active, 7, T)
    }

    const EVENTS: [Event; 8] = [
        Event::Confirm { units: 2 },
        Event::Release,
        Event::Expire,
        Event::Extend { deadline: Timestamp(T.0 + 5) },
        Event::Pay { deadline: Timestamp(T.0 + 5) },
        Event::Ship { units: None },
        Event::Cancel { units: None },
        Event::Retake { units: 2 },
    ];

    #[test]
    fn o09_at_the_deadline_and_after_it_only_expire_wins() {
        for now in [T, Timestamp(T.0 + 1), Timestamp(u64::MAX)] {
            for event in EVENTS {
                let got = decide(active(), now, event);
                match event {
                    Event::Expire => assert_eq!(got.unwrap().phase(), Phase::Expired),
                    Event::Retake { .. } => assert_eq!(got, Err(No::Phase(Phase::Active))),
                    _ => assert_eq!(got, Err(No::Due)),
                }
            }
        }
        assert_eq!(decide(active(), BEFORE, Event::Expire), Err(No::NotDue));
    }

    #[test]
    fn o05_a_hold_has_one_outcome() {
        for end in [Event::Confirm { units: 2 }, Event::Release] {
            let ended = decide(active(), BEFORE, end).unwrap();
            for event in &EVENTS[..5] {
                assert_eq!(decide(ended, BEFORE, *event), Err(No::Phase(ended.phase())));
                assert_eq!(decide(ended, Timestamp(u64::MAX), *event), Err(No::Phase(ended.phase())));
            }
        }
    }

    #[test]
    fn an_expired_hold_comes_back_by_a_retake_and_by_nothing_else() {
        let expired = decide(active(), T, Event::Expire).unwrap();
        for event in EVENTS {
            match event {
                Event::Retake { units } => {
                    let word = decide(expired, T, event).unwrap();
                    assert_eq!((word.phase(), word.units(), word.tag()), (Phase::Confirmed, units, 7));
                }
                _ => assert_eq!(decide(expired, BEFORE, event), Err(No::Phase(Phase::Expired))),
            }
        }
    }

    #[test]
    fn an_extension_never_shortens_and_keeps_the_generation() {
        let later = decide(active(), BEFORE, Event::Extend { deadline: Timestamp(T.0 + 5) }).unwrap();
        assert_eq!((later.deadline(), later.tag()), (Timestamp(T.0 + 5), 7));
        let same = decide(later, BEFORE, Event::Extend { deadline: T }).unwrap();
        assert_eq!(same, later);
    }

    #[test]
    fn payment_begins_once() {
        let paying = decide(active(), BEFORE, Event::Pay { deadline: Timestamp(T.0 + 5) }).unwrap();
        assert_eq!((paying.phase(), paying.deadline()), (Phase::Paying, Timestamp(T.0 + 5)));
        let again = decide(paying, BEFORE, Event::Pay { deadline: Timestamp(T.0 + 9) });
        assert_eq!(again, Err(No::Phase(Phase::Paying)));
    }

    #[test]
    fn what_is_committed_leaves_part_by_part_and_never_more_than_there_is() {
        let sold = decide(active(), BEFORE, Event::Confirm { units: 3 }).unwrap();
        let rest = decide(sold, BEFORE, Event::Ship { units: Some(1) }).unwrap();
        assert_eq!((rest.phase(), rest.units()), (Phase::Confirmed, 2));
        let too_many = decide(rest, BEFORE, Event::Cancel { units: Some(3) });
        assert_eq!(too_many, Err(No::TooMany { remaining: 2 }));
        assert_eq!(decide(rest, BEFORE, Event::Cancel { units: Some(2) }).unwrap().phase(), Phase::Cancelled);
        assert_eq!(decide(rest, BEFORE, Event::Ship { units: None }).unwrap().phase(), Phase::Shipped);
    }

    #[test]
    fn no_deadline_overflows_the_word() {
        let far = Word::with_deadline(Phase::Active, u32::MAX, Timestamp(u64::MAX));
        assert_eq!((far.phase(), far.tag()), (Phase::Active, TAG_MASK as u32));
        assert_eq!(Word::with_deadline(Phase::Active, 0, Timestamp(0)).deadline().0, EPOCH_2020_MS);
    }
}
