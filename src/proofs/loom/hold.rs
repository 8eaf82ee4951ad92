//! The word of a hold: one outcome, whichever threads meet.

use std::sync::Arc;

use super::counter::OneKey;
use super::{BEFORE, DEADLINE, LATER, LINE, LogEntryBytes, at, drain, explore};
use crate::clock::Timestamp;
use crate::engine::pledges::{Returns, Takes};
use crate::engine::transition::HoldTransition;
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, Phase, Word, decide};
use crate::hold::table::{Full, HoldTable, NewHold};
use crate::index::KeyIndex;
use crate::log::record::{Encoded, HoldPlace, Record};
use crate::log::ring::{Reader, Ring, Share};
use crate::stock::counter::{Reading, Short};
use crate::sync::thread;

/// The units of the models' hold.
pub(super) const UNITS: u32 = 3;
const PLACE: HoldPlace = HoldPlace::new(0, 1);

/// One hold, the counter of its stock key, and a small ring.
pub(super) struct Stand {
    pub slot: Slot,
    pub one_key: OneKey,
    pub ring: Ring,
}

impl Stand {
    pub(super) fn new(word: Word) -> Arc<Stand> {
        let slot = Slot::new();
        slot.publish(word);
        Arc::new(Stand { slot, one_key: OneKey::new(0), ring: Ring::new(8, 6) })
    }

    /// A hold that is active until [`DEADLINE`].
    pub(super) fn active() -> Arc<Stand> {
        Stand::new(Word::with_deadline(Phase::Active, 1, DEADLINE))
    }

    /// The steps of the engine for a hold: load, decide, draw, swap, fill or void; again if another thread
    /// was first.
    pub(super) fn change(&self, now: Timestamp, event: Event) -> Result<u64, No> {
        loop {
            let word = self.slot.word();
            let next = decide(word, now, event)?;
            let (key, quantity) = (0, UNITS);
            let (record, returned) = match event {
                Event::Confirm { units } => {
                    let (taken, returned) = (units, UNITS - units);
                    (
                        Record::Confirm {
                            at: 0,
                            place: PLACE,
                            key: KeyIndex(key),
                            taken,
                            returned,
                            op: None,
                        },
                        returned,
                    )
                }
                Event::Release => (
                    Record::Release { at: 0, place: PLACE, key: KeyIndex(key), quantity, op: None },
                    quantity,
                ),
                Event::Expire => {
                    (Record::Expire { at: 0, place: PLACE, key: KeyIndex(key), quantity }, quantity)
                }
                Event::Cancel { units } => {
                    let quantity = units.unwrap_or(word.units());
                    (Record::Cancel { at: 0, place: PLACE, key: KeyIndex(key), quantity, op: None }, quantity)
                }
                Event::Ship { units } => {
                    let quantity = units.unwrap_or(word.units());
                    (Record::Ship { at: 0, place: PLACE, key: KeyIndex(key), quantity, op: None }, 0)
                }
                _ => (Record::Sale { at: 0, key: KeyIndex(key), stopped: false }, 0),
            };
            let record = Encoded::new(&record).unwrap();
            let claim = self.ring.claim(record.words(), Share::Keep).unwrap();
            let (mut returns, takes) = (Returns::default(), Takes::default());
            if returned > 0 {
                returns.announce(&self.one_key.counter, self.one_key.lane(0), returned).unwrap();
            }
            let change = HoldTransition {
                claim,
                record: &record,
                slot: &self.slot,
                from: word,
                to: next,
                returns,
                takes,
            };
            if let Ok(end) = change.apply(|| {}) {
                return Ok(end);
            }
        }
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Stand) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let stand = Arc::clone(self);
        thread::spawn(move || work(&stand))
    }

    /// The whole log, after all threads have finished. Checks that the ring is empty and nothing is pending.
    pub(super) fn log(&self) -> Vec<LogEntryBytes> {
        let mut reader = Reader::new(6);
        let entries = drain(&self.ring, &mut reader);
        assert_eq!(reader.position(), self.ring.drawn(), "a hole");
        assert_eq!(self.ring.used_words(), 0);
        assert!(!self.one_key.reading().pending);
        entries
    }

    pub(super) fn available(&self) -> i64 {
        self.one_key.reading().available
    }
}

/// Confirm, release and expire of one hold, each with its own time: one of them wins, and the units go where
/// the winner says.
pub(super) fn three_outcomes() {
    let stand = Stand::active();
    let confirm = stand.spawn(|stand| stand.change(BEFORE, Event::Confirm { units: 1 }).is_ok());
    let release = stand.spawn(|stand| stand.change(BEFORE, Event::Release).is_ok());
    let expire = stand.change(DEADLINE, Event::Expire).is_ok();
    let (confirm, release) = (confirm.join().unwrap(), release.join().unwrap());
    let (phase, back) = match (confirm, release, expire) {
        (true, false, false) => (Phase::Confirmed, UNITS - 1),
        (false, true, false) => (Phase::Released, UNITS),
        (false, false, true) => (Phase::Expired, UNITS),
        winners => panic!("not one winner: {winners:?}"),
    };
    assert_eq!((stand.slot.word().phase(), stand.available()), (phase, i64::from(back)));
    assert_eq!(stand.log().iter().flatten().count(), 1, "one record took effect");
}

/// At the deadline a confirm loses to the expiry, in either order.
pub(super) fn confirm_at_the_deadline() {
    let stand = Stand::active();
    let confirm = stand.spawn(|stand| stand.change(DEADLINE, Event::Confirm { units: 1 }));
    let expire = stand.change(DEADLINE, Event::Expire);
    let confirm = confirm.join().unwrap();
    assert!(matches!(confirm, Err(No::Due | No::Phase(Phase::Expired))), "confirmed too late: {confirm:?}");
    assert!(expire.is_ok());
    assert_eq!(stand.available(), i64::from(UNITS));
    stand.log();
}

/// An extension that began in time against an expiry: one of them wins, and the hold is as the winner made
/// it.
fn extend_against_expire() {
    let stand = Stand::active();
    let extend = stand.spawn(|stand| stand.change(BEFORE, Event::Extend { deadline: LATER }).is_ok());
    let expire = stand.change(DEADLINE, Event::Expire);
    let extend = extend.join().unwrap();
    let word = stand.slot.word();
    if extend {
        assert_eq!(expire, Err(No::NotDue));
        assert_eq!((word.phase(), word.deadline()), (Phase::Active, LATER));
        assert_eq!(stand.available(), 0);
    } else {
        assert!(expire.is_ok());
        assert_eq!((word.phase(), stand.available()), (Phase::Expired, i64::from(UNITS)));
    }
    assert_eq!(stand.log().iter().flatten().count(), 1);
}

/// Parts that are cancelled and parts that ship add up to what was confirmed, and never to more.
fn cancel_against_ship(cancelled: u32, shipped: u32) {
    let stand = Stand::new(Word::with_units(Phase::Confirmed, 1, UNITS));
    let cancel = stand.spawn(move |stand| stand.change(LATER, Event::Cancel { units: Some(cancelled) }));
    let ship = stand.change(LATER, Event::Ship { units: Some(shipped) });
    let cancel = cancel.join().unwrap();
    let word = stand.slot.word();
    let gone = if ship.is_ok() { shipped } else { 0 };
    let back = if cancel.is_ok() { cancelled } else { 0 };
    assert_eq!(stand.available(), i64::from(back));
    assert_eq!(word.units(), UNITS - gone - back);
    if cancelled + shipped <= UNITS {
        assert!(cancel.is_ok() && ship.is_ok());
        let last = if cancel.ok() > ship.ok() { Phase::Cancelled } else { Phase::Shipped };
        assert_eq!(word.phase(), last, "the log's last record emptied it");
    } else {
        assert!(cancel.is_ok() != ship.is_ok(), "{cancel:?} {ship:?}");
        let loser = cancel.and(ship).unwrap_err();
        assert_eq!(loser, No::TooMany { remaining: word.units() });
    }
    stand.log();
}

/// The slot of an expired hold goes to the late confirm or to a new hold. A late confirm that loses rolls
/// back, and no other thread is sold out because of it.
pub(super) fn retake_against_reuse() {
    // It is remembered, so that the new hold has to reclaim it while it may be retaken.
    let table = Arc::new(HoldTable::new(1, 1, 8, 1, 0));
    let new = NewHold { lines: &LINE, born: at(0), deadline: DEADLINE, reference: &[], epoch: 1 };
    let place = table.place(0, new).unwrap();
    let expired = Word::with_units(Phase::Expired, place.generation.0, 0);
    table.slot(place.slot).unwrap().publish(expired);
    table.retain_expired(place.slot, expired);
    let one_key = Arc::new(OneKey::new(1));
    let ring = Arc::new(Ring::new(8, 0));

    let late = {
        let (table, one_key, ring) = (Arc::clone(&table), Arc::clone(&one_key), Arc::clone(&ring));
        thread::spawn(move || {
            let slot = table.slot(place.slot).unwrap();
            let Ok(next) = decide(expired, LATER, Event::Retake { units: 1 }) else { return false };
            let record = Record::Retake { at: 0, place, key: KeyIndex(0), taken: 1, op: None };
            let record = Encoded::new(&record).unwrap();
            let claim = ring.claim(record.words(), Share::Keep).unwrap();
            let (returns, mut takes) = (Returns::default(), Takes::default());
            if takes.take(&one_key.counter, one_key.lane(0), 1).is_err() {
                takes.roll_back();
                return false;
            }
            let change =
                HoldTransition { claim, record: &record, slot, from: expired, to: next, returns, takes };
            change.apply(|| {}).is_ok()
        })
    };
    let taker = one_key.spawn(|one_key| one_key.take(1, 1));
    let reused = table.place(0, new).is_ok();
    let (late, taken) = (late.join().unwrap(), taker.join().unwrap());

    assert!(!(late && reused), "two holds in one slot");
    assert!(!(late && taken.is_ok()), "the last unit was sold twice");
    if !late {
        assert_ne!(taken, Err(Short::Out { available: 0 }), "a false refusal");
    }
    let left = 1 - i64::from(late) - i64::from(taken.is_ok());
    assert_eq!(one_key.reading(), Reading { available: left, pending: false });
    let word = table.slot(place.slot).unwrap().word();
    assert_eq!(late, word.phase() == Phase::Confirmed, "{word:?}");
    let mut reader = Reader::new(0);
    assert_eq!(drain(&ring, &mut reader).iter().flatten().count(), usize::from(late));
    assert_eq!((reader.position(), ring.used_words()), (ring.drawn(), 0));
}

/// Two threads free slots and get slots at once: no slot is given to both.
fn free_list() {
    let table = Arc::new(HoldTable::new(1, 3, 8, 0, 0));
    let new = NewHold { lines: &LINE, born: at(0), deadline: DEADLINE, reference: &[], epoch: 1 };
    let first = table.place(0, new).unwrap();
    let second = table.place(0, new).unwrap();
    table.discard(first);
    let other = Arc::clone(&table);
    let other = thread::spawn(move || {
        let got = other.place(0, new).unwrap();
        other.discard(got);
        other.place(0, new).unwrap()
    });
    let mine = table.place(0, new).unwrap();
    let other = other.join().unwrap();
    assert!(mine.slot != other.slot && mine.slot != second.slot && other.slot != second.slot);
    for place in [mine, other] {
        let slot = table.slot(place.slot).unwrap();
        assert_eq!((slot.word().phase(), slot.fields().generation), (Phase::Reserving, place.generation));
    }
    assert_eq!(table.place(0, new), Err(Full::Holds));
}

#[test]
fn confirm_against_release_against_expire() {
    explore(three_outcomes);
}

#[test]
fn confirm_against_expire_at_the_deadline() {
    explore(confirm_at_the_deadline);
}

#[test]
fn an_extension_against_an_expiry() {
    explore(extend_against_expire);
}

#[test]
fn cancel_against_ship_with_enough_for_both() {
    explore(|| cancel_against_ship(1, 2));
}

#[test]
fn cancel_against_ship_with_too_little_for_both() {
    explore(|| cancel_against_ship(2, 2));
}

#[test]
fn a_late_confirm_against_a_new_hold_and_a_taker() {
    explore(retake_against_reuse);
}

#[test]
fn two_threads_at_the_free_list() {
    explore(free_list);
}
