//! The engine's own calls with all their steps, without its threads.

use std::sync::Arc;
use std::time::Duration;

use super::{BEFORE, DEADLINE, LATER, LINE, LogEntryBytes, at, drain, explore, explore_less};
use crate::answer::{HoldState, Refusal, RefusalReason, Reserved, ReservedCart};
use crate::clock::{EngineTime, ManualClock, Timestamp};
use crate::config::Config;
use crate::engine::cart::ValidCart;
use crate::engine::core::Core;
use crate::engine::reserve::ValidReserve;
use crate::error::{Busy, ConfirmError, HoldError, ReserveError, SharedError};
use crate::expiry::timers::Timers;
use crate::fold::answers::Answers;
use crate::fold::follower::Follower;
use crate::fold::levels::Levels;
use crate::hold::id::HoldIds;
use crate::hold::op_keys::OpKeys;
use crate::hold::state::Phase;
use crate::hold::table::{HoldTable, NewHold};
use crate::index::KeyIndex;
use crate::log::record::{Fact, Record};
use crate::log::ring::Reader;
use crate::log::writer::LogShared;
use crate::metrics::Tally;
use crate::request::{CartLine, Confirm, Reserve, ReserveCart};
use crate::stock::book::{Book, Gate, Item, Stock};
use crate::stock::catalog::Catalog;
use crate::stock::counter::Reading;
use crate::sync::thread;
use crate::types::{HoldId, StockKey};

pub(super) const KEY: StockKey = key(0);

pub(super) const fn key(index: u32) -> StockKey {
    StockKey { index: KeyIndex(index), tag: 1 }
}

/// An engine with few stock keys, room for `holds_max` holds in one shard, and no thread of its own.
pub(super) struct Bare {
    pub core: Core,
}

impl Bare {
    /// With one stock key on one cell.
    pub(super) fn new(available: i64, holds_max: u32) -> Arc<Bare> {
        Bare::with(1, &[available], holds_max)
    }

    /// With several stock keys, that can be split over `width` cells.
    pub(super) fn with(width: usize, available: &[i64], holds_max: u32) -> Arc<Bare> {
        let book = Book::with_cells(width, 1);
        for (index, available) in (0..).zip(available) {
            let stock = Stock { available: *available, on_hand: *available, gate: Gate::Open };
            book.add(KeyIndex(index), stock).unwrap();
        }
        let holds = HoldTable::new(1, holds_max, 8, holds_max, 0);
        // Its slots come into being here: growing the table is explored by itself.
        let new = NewHold { lines: &LINE, born: at(0), deadline: DEADLINE, reference: &[], epoch: 1 };
        holds.discard(holds.place(0, new).unwrap());
        Arc::new(Bare {
            core: Core {
                config: Config::default(),
                log: Arc::new(LogShared::new(16, 0, None)),
                book,
                catalog: Catalog::default(),
                holds,
                timers: [Timers::new(at(0))].into(),
                op_keys: OpKeys::new(1, None),
                answers: Answers { ids: HoldIds::new([7; 16]), tag: KEY.tag },
                follower: Follower::new(Default::default(), 0, Default::default()),
                ship_round: Default::default(),
                checkpointer: None,
                verifying: Default::default(),
                tally: Tally::new(1),
                epoch: 1,
                opened_at: at(0),
                time: EngineTime::begin(Arc::new(ManualClock::new(at(0))), Duration::ZERO, at(0), None),
                recovered_live: 0,
            },
        })
    }

    /// Reserves one unit until `deadline`, at the time `now`.
    pub(super) fn reserve(&self, now: Timestamp, deadline: Timestamp) -> Result<Reserved, ReserveError> {
        let clock = ManualClock::new(now);
        let (item, request, ttl) = (self.item(), Reserve::units(KEY, 1), deadline.since(now));
        let wanted = ValidReserve { item, request, ttl, clock: &clock };
        self.core.reserve(&wanted, None).map(|(reserved, _)| reserved)
    }

    /// Reserves one unit of each key until `deadline`, at the time `now`.
    pub(super) fn reserve_cart(
        &self,
        keys: &[u32],
        (now, deadline): (Timestamp, Timestamp),
    ) -> Result<ReservedCart, ReserveError> {
        let clock = ManualClock::new(now);
        let lines: Vec<_> = keys.iter().map(|index| CartLine::units(key(*index), 1)).collect();
        let request = ReserveCart::lines(&lines);
        let (lines, ttl) = (self.core.lines(&lines)?, deadline.since(now));
        let wanted = ValidCart { request, lines, ttl, clock: &clock };
        self.core.reserve_cart(&wanted, None).map(|(cart, _)| cart)
    }

    fn item(&self) -> Item<'_> {
        self.core.item(KEY).unwrap()
    }

    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Bare) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let bare = Arc::clone(self);
        thread::spawn(move || work(&bare))
    }

    pub(super) fn counter(&self) -> Reading {
        self.counter_of(KEY.index)
    }

    pub(super) fn counter_of(&self, index: KeyIndex) -> Reading {
        self.core.item(key(index.0)).unwrap().counter.exactly(self.core.lane(index))
    }

    pub(super) fn phase(&self, hold: HoldId) -> Phase {
        self.core.holds.slot(HoldIds::place(hold).slot).unwrap().word().phase()
    }

    /// The whole log, after all threads have finished. It checks that every prefix is a valid state: units
    /// are there before they are spent.
    pub(super) fn log(&self, available: &[i64]) -> Vec<LogEntryBytes> {
        let ring = &self.core.log.ring;
        let mut reader = Reader::new(0);
        let entries = drain(ring, &mut reader);
        assert_eq!((reader.position(), ring.used_words()), (ring.drawn(), 0), "a hole");
        let mut levels = Levels::default();
        for (index, available) in (0..).zip(available) {
            let (sku, location) = ("poster", "berlin");
            levels.apply(0, &Record::Declare { key: KeyIndex(index), sku, location }.fact()).unwrap();
            let quantity = *available as u32;
            if quantity > 0 {
                let received =
                    Record::Receive { at: 0, key: KeyIndex(index), quantity, reference: b"", op: None };
                levels.apply(0, &received.fact()).unwrap();
            }
        }
        for (position, bytes) in (1..).zip(entries.iter().flatten()) {
            let applied = levels.apply(position, &Fact::decode(bytes).unwrap().0);
            assert_eq!(applied, Ok(()), "a prefix of the log spends what is not there");
        }
        for (index, level) in levels.iter() {
            let reading = Reading { available: level.available(), pending: false };
            assert_eq!(self.counter_of(index), reading, "the counter and the log differ");
        }
        entries
    }
}

pub(super) fn sold_out(answer: &Result<Reserved, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(Refusal { reason: RefusalReason::OutOfStock, .. })))
}

fn busy(answer: &Result<Reserved, ReserveError>) -> bool {
    matches!(answer, Err(error) if error.is_busy())
}

/// Two reserves of the last unit: one is granted, the other refused, and the log has the granted one.
fn last_unit() {
    let bare = Bare::new(1, 2);
    let other = bare.spawn(|bare| bare.reserve(at(0), DEADLINE));
    let mine = bare.reserve(at(0), DEADLINE);
    let other = other.join().unwrap();
    assert!(mine.is_ok() != other.is_ok(), "{mine:?} {other:?}");
    assert!(sold_out(&mine) || sold_out(&other), "{mine:?} {other:?}");
    assert_eq!(bare.log(&[1]).len(), 1);
}

/// A confirm at the deadline loses to the sweep, through the real calls too, in either order.
pub(super) fn confirm_against_sweep() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let confirm = bare.spawn(move |bare| bare.core.confirm(hold.into(), DEADLINE, None));
    bare.core.sweep(DEADLINE);
    let confirm = confirm.join().unwrap();
    assert!(matches!(confirm, Err(ConfirmError::Expired)), "confirmed too late: {confirm:?}");
    assert_eq!(bare.phase(hold), Phase::Expired);
    assert_eq!(bare.log(&[1]).iter().flatten().count(), 2);
}

/// A confirm and a release of one hold, through the real calls: one wins, and the other gets a true error.
fn confirm_against_release() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let confirm = bare.spawn(move |bare| bare.core.confirm(hold.into(), BEFORE, None));
    let release = bare.core.release(hold.into(), BEFORE, None);
    match (confirm.join().unwrap(), release) {
        (Ok(_), Err(error)) => assert_eq!(error, HoldError::WrongState(HoldState::Confirmed)),
        (Err(error), Ok(_)) => assert_eq!(error, ConfirmError::Ended(HoldState::Released)),
        both => panic!("not one outcome: {both:?}"),
    }
    assert_eq!(bare.log(&[1]).iter().flatten().count(), 2);
}

/// Confirm, release and the sweep of one hold, through the real calls.
fn one_outcome() {
    let bare = Bare::new(1, 2);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let confirm = bare.spawn(move |bare| bare.core.confirm(hold.into(), BEFORE, None));
    let release = bare.spawn(move |bare| bare.core.release(hold.into(), BEFORE, None));
    let swept = bare.core.sweep(DEADLINE);
    let (confirm, release) = (confirm.join().unwrap(), release.join().unwrap());
    let expired = bare.phase(hold) == Phase::Expired;
    assert_eq!(
        usize::from(confirm.is_ok()) + usize::from(release.is_ok()) + usize::from(expired),
        1,
        "{confirm:?} {release:?} {swept}"
    );
    if let Err(error) = confirm {
        assert!(
            matches!(error, ConfirmError::Expired | ConfirmError::Ended(_) | ConfirmError::Lookup(_)),
            "{error:?}"
        );
    }
    if let Err(error) = release {
        assert!(
            matches!(error, HoldError::Expired | HoldError::WrongState(_) | HoldError::Lookup(_)),
            "{error:?}"
        );
    }
    assert_eq!(bare.log(&[1]).iter().flatten().count(), 2);
}

/// A late confirm that takes the unit again, against a reserve that wants it and its slot.
pub(super) fn late_confirm_against_reserve() {
    let bare = Bare::new(1, 1);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    assert_eq!(bare.core.sweep(DEADLINE), 1);
    let late = bare.spawn(move |bare| {
        bare.core
            .confirm(Confirm::hold(hold).retake_if_expired(), DEADLINE, None)
            .map(|(confirmed, _)| confirmed)
    });
    let reserved = bare.reserve(DEADLINE, LATER);
    let late = late.join().unwrap();
    assert!(!(late.is_ok() && reserved.is_ok()), "the last unit was sold twice");
    match &reserved {
        Ok(_) => {}
        _ if busy(&reserved) => {}
        Err(ReserveError::HoldsFull { .. }) => assert!(late.is_ok(), "{late:?}"),
        Err(_) => assert!(sold_out(&reserved) && late.is_ok(), "a false refusal: {reserved:?} {late:?}"),
    }
    match &late {
        Ok(confirmed) => assert!(confirmed.retaken),
        Err(ConfirmError::Shared(SharedError::Busy(Busy::Pending | Busy::Reclaiming))) => {}
        Err(ConfirmError::Refused(_)) => assert!(reserved.is_ok()),
        Err(error) => assert!(
            matches!(error, ConfirmError::Lookup(_) | ConfirmError::Ended(_) | ConfirmError::Expired),
            "{error:?}"
        ),
    }
    bare.log(&[1]);
}

/// An extension that began in time against the sweep: the hold lives on or has expired, and the caller of the
/// extension knows which.
fn extend_against_sweep() {
    let bare = Bare::new(1, 1);
    let hold = bare.reserve(at(0), DEADLINE).unwrap().hold;
    let extend = bare.spawn(move |bare| {
        let request = crate::request::Extend::hold(hold, Duration::from_secs(60));
        bare.core.extend(request, BEFORE, None)
    });
    let swept = bare.core.sweep(DEADLINE);
    let extended = extend.join().unwrap();
    assert_eq!(usize::from(extended.is_err()), swept, "{extended:?}");
    let phase = if extended.is_ok() { Phase::Active } else { Phase::Expired };
    assert_eq!(bare.phase(hold), phase);
    if let Ok((extended, _)) = extended {
        assert!(bare.core.timers[0].state().earliest_ms() <= extended.deadline.0, "forgotten by the wheel");
    }
}

#[test]
fn two_reserves_of_the_last_unit() {
    explore(last_unit);
}

#[test]
fn a_confirm_against_a_release() {
    explore(confirm_against_release);
}

#[test]
fn a_confirm_at_the_deadline_against_the_sweep() {
    explore(confirm_against_sweep);
}

#[test]
fn a_confirm_a_release_and_the_sweep() {
    explore_less(one_outcome);
}

#[test]
fn a_late_confirm_against_a_reserve() {
    explore_less(late_confirm_against_reserve);
}

#[test]
fn an_extension_against_the_sweep() {
    explore(extend_against_sweep);
}
