//! The way back from a wrong wall clock: a copy of the directory with an earlier engine time.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::damage::{everything, files_under};
use common::{SECOND, START};
use stockhold::answer::HoldState;
use stockhold::error::{
    BackupError, ConfirmError, OpKeyError, ReserveError, SetTimeError, SharedError, TimeError,
};
use stockhold::inspect::Inspection;
use stockhold::{
    Config, Engine, HoldId, HoldStatus, ManualClock, OpKey, Position, Receive, RefusalReason, Reserve,
    StockKey, Timestamp,
};
use stockhold_seeded::{Rng, seed};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const YEARS: Duration = Duration::from_secs(4 * 365 * 86_400);

/// A machine with one directory, which is started with a wall clock that says any time.
struct Machine {
    scratch: TempDir,
}

/// An engine that is open, and the clock of its machine.
struct Running {
    engine: Engine,
    clock: Arc<ManualClock>,
    key: StockKey,
}

impl Machine {
    fn new() -> Machine {
        Machine { scratch: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.path().join(name)
    }

    fn start(&self, name: &str, wall: Timestamp) -> Running {
        start(&self.path(name), wall, |config| config)
    }

    /// Makes the copy `mended` of the directory `stock`.
    fn set_time(&self, now: Timestamp) -> Position {
        let (before, inspection) =
            (everything(&self.path("stock")), Inspection::open(self.path("stock")).unwrap());
        let end = inspection.set_time(self.path("mended"), now).unwrap();
        drop(inspection);
        assert!(everything(&self.path("stock")) == before, "the directory was changed");
        let mended = Inspection::open(self.path("mended")).unwrap();
        assert_eq!((mended.drift(), mended.report().time, mended.report().end), (None, now, end));
        end
    }
}

fn start(path: &Path, wall: Timestamp, configure: impl FnOnce(Config) -> Config) -> Running {
    let clock = Arc::new(ManualClock::new(wall));
    let config = Config::default().clock(Arc::clone(&clock)).driver_period(None).ring_bytes(1 << 20);
    let engine = Engine::open(path, configure(config)).unwrap();
    let key = engine.declare("seat", "hall").unwrap();
    Running { engine, clock, key }
}

impl Running {
    fn reserve(&self, ttl: Duration) -> HoldId {
        let request = Reserve::units(self.key, 1).ttl(ttl);
        self.engine.reserve(request).unwrap().wait().unwrap().hold
    }

    fn reserve_of_new_stock(&self) -> HoldId {
        self.engine.receive(Receive::units(self.key, 10)).unwrap().wait().unwrap();
        self.reserve(10 * MINUTE)
    }

    fn reserve_with(&self, op_key: OpKey) -> Result<(HoldId, Timestamp), ReserveError> {
        let reserved = self.engine.reserve(Reserve::units(self.key, 1).op_key(op_key))?.wait().unwrap();
        Ok((reserved.hold, reserved.deadline))
    }

    fn status(&self, hold: HoldId) -> HoldStatus {
        self.engine.status(hold).unwrap()
    }
}

fn uuid_v7(at: Timestamp, number: u128) -> OpKey {
    OpKey(u128::from(at.0) << 80 | 7 << 76 | 0b10 << 62 | number)
}

fn is_too_old(answer: &Result<(HoldId, Timestamp), ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Shared(SharedError::OpKey(OpKeyError::TooOld))))
}

fn is_not_open(answer: &Result<(HoldId, Timestamp), ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::NotOpen)
}

/// The machine starts with its clock four years ahead, which is mended. Without a way back, fresh op keys were too
/// old for decades, and a sale that opens in a week sold at once.
#[test]
fn after_one_opening_by_a_wrong_clock_a_copy_has_the_right_time_and_lost_nothing() {
    let machine = Machine::new();
    let shop = machine.start("stock", START);
    shop.engine.receive(Receive::units(shop.key, 100)).unwrap().wait().unwrap();
    let sold = shop.reserve(MINUTE);
    shop.engine.confirm(sold).unwrap().wait().unwrap();
    let of_a_week = shop.reserve(7 * DAY);
    let opens_at = START.plus(7 * DAY);
    let gated = shop.engine.declare("mug", "berlin").unwrap();
    shop.engine.receive(Receive::units(gated, 5)).unwrap().wait().unwrap();
    shop.engine.open_sale_at(gated, opens_at).unwrap().wait().unwrap();
    drop(shop);

    let shop = machine.start("stock", START.plus(YEARS));
    assert_eq!(shop.status(of_a_week).state, HoldState::Expired);
    let (made, deadline) = shop.reserve_with(OpKey(7)).unwrap();
    let of_a_minute = shop.reserve(MINUTE);
    shop.clock.advance(2 * MINUTE);
    let late = shop.reserve(10 * MINUTE); // the last record
    drop(shop);

    let right = START.plus(600 * SECOND);
    let shop = machine.start("stock", right);
    assert!(shop.engine.report().to_string().contains("stockhold clock"), "{}", shop.engine.report());
    assert!(is_too_old(&shop.reserve_with(uuid_v7(right, 1))));
    assert_eq!(shop.engine.accept_clock(), Ok(Duration::ZERO));
    drop(shop);

    let last = Inspection::open(machine.path("stock")).unwrap().report().time;
    assert_eq!(last, START.plus(YEARS + 2 * MINUTE));
    machine.set_time(right);
    let shop = machine.start("mended", right);
    assert_eq!(shop.engine.now(), right);
    let fresh = shop.reserve_with(uuid_v7(right, 1)).unwrap();
    assert_eq!(fresh.1, right.plus(600 * SECOND));
    let on_gated = Running { key: gated, ..shop };
    assert!(is_not_open(&on_gated.reserve_with(uuid_v7(right, 2))), "a sale of next week sells today");
    let shop = Running { key: shop.key, ..on_gated };
    // The hold that was made two minutes before the end has eight of its ten left, the last one all ten.
    assert_eq!(shop.reserve_with(OpKey(7)), Ok((made, shop.status(made).deadline.unwrap())));
    assert_eq!(
        shop.status(made).deadline,
        Some(Timestamp(deadline.0 - last.since(right).as_millis() as u64))
    );
    assert_eq!(shop.status(made).deadline, Some(right.plus(8 * MINUTE)));
    assert_eq!(shop.status(late).deadline, Some(right.plus(10 * MINUTE)));
    // It was due, and is.
    assert_eq!(shop.status(of_a_minute).state, HoldState::Expired);
    assert!(matches!(shop.engine.confirm(of_a_minute), Err(ConfirmError::Expired)));
    assert_eq!(
        (shop.status(of_a_week).state, shop.status(sold).state),
        (HoldState::Expired, HoldState::Confirmed)
    );
    let level = shop.engine.level(shop.key).unwrap();
    assert_eq!((level.on_hand, level.held, level.committed), (100, 3, 1));
    shop.engine.verify().unwrap();
    shop.clock.advance(8 * MINUTE);
    assert_eq!((shop.status(made).state, shop.status(late).state), (HoldState::Expired, HoldState::Active));
    shop.clock.advance(7 * DAY);
    assert!(shop.engine.reserve(Reserve::units(gated, 1)).is_ok(), "the sale opens when it should");
}

#[test]
fn a_time_that_is_not_earlier_or_no_time_is_refused_and_nothing_is_made() {
    let machine = Machine::new();
    drop(machine.start("stock", START));
    let inspection = Inspection::open(machine.path("stock")).unwrap();
    let set = |now| inspection.set_time(machine.path("mended"), now);
    for now in [START, START.plus(SECOND), Timestamp::MAX] {
        let refused = set(now).unwrap_err();
        assert_eq!(refused, SetTimeError::NotEarlier { now, last: START });
    }
    for seconds in [0, START.0 / 1_000, START.0 * 1_000] {
        assert_eq!(set(Timestamp(seconds)), Err(SetTimeError::Time(TimeError(seconds as i64))));
    }
    assert!(!machine.path("mended").exists());
    let earlier = Timestamp(START.0 - 1);
    let inside = inspection.set_time(machine.path("stock/mended"), earlier);
    assert!(matches!(inside, Err(SetTimeError::Backup(BackupError::Exists(_)))), "{inside:?}");
    set(earlier).unwrap();
    let again = set(earlier);
    assert!(matches!(again, Err(SetTimeError::Backup(BackupError::Exists(_)))), "{again:?}");
}

/// The identity is written last, so a copy that was cut short is never taken for an empty directory.
#[test]
fn a_copy_that_was_cut_short_does_not_open_and_the_directory_does() {
    let machine = Machine::new();
    let hold = machine.start("stock", START.plus(YEARS)).reserve_of_new_stock();
    machine.set_time(START);
    let mended = machine.path("mended");
    let config = || Config::default().clock(Arc::new(ManualClock::new(START)));
    let identity = mended.join("stockhold");
    let bytes = std::fs::read(&identity).unwrap();
    for cut in [None, Some(&[][..]), Some(&bytes[..bytes.len() / 2])] {
        match cut {
            None => std::fs::remove_file(&identity).unwrap(),
            Some(part) => std::fs::write(&identity, part).unwrap(),
        }
        assert!(Engine::open(&mended, config()).is_err());
    }
    std::fs::write(&identity, bytes).unwrap();
    assert_eq!(Engine::open(&mended, config()).unwrap().status(hold).unwrap().state, HoldState::Active);
    assert_eq!(machine.start("stock", START).status(hold).state, HoldState::Active);
}

#[test]
fn after_a_crash_the_copy_still_has_the_right_time() {
    let machine = Machine::new();
    machine.start("stock", START.plus(YEARS)).reserve_of_new_stock();
    machine.set_time(START);
    let shop = machine.start("mended", START);
    shop.clock.advance(MINUTE);
    let hold = shop.reserve(10 * MINUTE);
    // What a kill leaves: the files of a running engine.
    let (from, to) = (machine.path("mended"), machine.path("crashed"));
    for path in files_under(&from) {
        let target = to.join(path.strip_prefix(&from).unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
    let crashed = machine.start("crashed", START.plus(2 * MINUTE));
    assert_eq!(crashed.engine.now(), START.plus(2 * MINUTE));
    assert_eq!(crashed.status(hold).deadline, Some(START.plus(11 * MINUTE)));
    crashed.engine.verify().unwrap();
}

#[test]
fn the_ledger_shows_the_wrong_times_and_the_step_and_is_cut_by_the_right_time() {
    let machine = Machine::new();
    let with_ledger =
        |name: &str, wall| start(&machine.path(name), wall, |config| config.ledger_kept(Some(30 * DAY)));
    for wall in [START, START.plus(YEARS)] {
        let shop = with_ledger("stock", wall);
        shop.engine.receive(Receive::units(shop.key, 5)).unwrap().wait().unwrap();
        shop.engine.checkpoint().unwrap();
        shop.engine.receive(Receive::units(shop.key, 5)).unwrap().wait().unwrap();
    }
    let right = START.plus(MINUTE);
    machine.set_time(right);
    let shop = with_ledger("mended", right);
    shop.reserve(MINUTE);
    drop(shop);
    let mended = Inspection::open(machine.path("mended")).unwrap();
    mended.verify_ledger().unwrap();
    let mut times: Vec<Timestamp> = mended.log(Position(0)).filter_map(|entry| entry.unwrap().at).collect();
    times.dedup();
    assert_eq!(times, [START, START.plus(YEARS), right]);
    drop(mended);
    // Two retention times later its records are gone: they do not wait for the wrong time.
    for days in [31, 62] {
        let shop = with_ledger("mended", START.plus(days * DAY));
        shop.reserve(MINUTE);
        shop.engine.checkpoint().unwrap();
    }
    let mended = Inspection::open(machine.path("mended")).unwrap();
    let first = mended.log(Position(0)).find_map(|entry| entry.unwrap().at).unwrap();
    assert!(first >= right && first < START.plus(YEARS), "{first}");
}

/// Sales in right time and in wrong time, checkpoints in between, and a step back to anywhere.
#[test]
fn any_step_back_keeps_levels_outcomes_answers_and_the_time_left() {
    let mut rng = Rng::new(seed());
    for _ in 0..12 {
        let machine = Machine::new();
        let (mut holds, mut answers) = (Vec::new(), Vec::new());
        let mut wall = START;
        for part in 0..3_u32 {
            let shop = start(&machine.path("stock"), wall, |config| config.op_key_retention(None));
            if part == 0 {
                shop.engine.receive(Receive::units(shop.key, 1_000)).unwrap().wait().unwrap();
            }
            for number in 0..rng.below_u32(60) {
                shop.clock.advance(Duration::from_millis(rng.below_u32(30_000).into()));
                let op_key = OpKey(u128::from(part) << 64 | u128::from(number));
                let ttl = Duration::from_millis(1 + u64::from(rng.below_u32(3_000_000)));
                let request = Reserve::units(shop.key, 1 + rng.below_u32(3)).ttl(ttl).op_key(op_key);
                let granted = shop.engine.reserve(request).unwrap().wait().unwrap();
                answers.push((op_key, granted.quantity, ttl, granted.hold));
                match rng.below_u32(5) {
                    0 => {
                        shop.engine.confirm(granted.hold).unwrap().wait().unwrap();
                    }
                    1 => {
                        shop.engine.release(granted.hold).unwrap().wait().unwrap();
                    }
                    2 => {
                        shop.engine.checkpoint().unwrap();
                    }
                    _ => holds.push(granted.hold),
                }
            }
            wall = shop.engine.now().plus(DAY * rng.below_u32(3) + YEARS * part * rng.below_u32(2));
        }
        let stock = Inspection::open(machine.path("stock")).unwrap();
        let last = stock.report().time;
        let now = Timestamp(last.0 - 1 - u64::from(rng.below_u32(u32::MAX)) * 30);
        let left = |of: &Inspection, at: Timestamp| {
            let of = of.holds(at).unwrap().filter(|entry| entry.deadline.is_some());
            let mut left: Vec<_> = of.map(|entry| (entry.hold, entry.overdue, entry.deadline)).collect();
            left.sort_unstable();
            let left = left.into_iter().map(|(hold, due, deadline)| (hold, due, deadline.unwrap().since(at)));
            left.collect::<Vec<_>>()
        };
        let levels = |of: &Inspection| of.levels().map(|entry| entry.level).collect::<Vec<_>>();
        let before = (left(&stock, last), levels(&stock));
        drop(stock);
        machine.set_time(now);
        let mended = Inspection::open(machine.path("mended")).unwrap();
        assert!((left(&mended, now), levels(&mended)) == before);
        drop(mended);
        let shop = start(&machine.path("mended"), now, |config| config.op_key_retention(None));
        assert_eq!(shop.engine.now(), now);
        for (op_key, quantity, ttl, hold) in answers {
            let request = Reserve::units(shop.key, quantity).ttl(ttl).op_key(op_key);
            assert_eq!(shop.engine.reserve(request).unwrap().wait().unwrap().hold, hold);
        }
        shop.engine.checkpoint().unwrap();
        shop.engine.verify().unwrap();
        shop.clock.advance(3_000 * SECOND);
        shop.engine.sweep();
        for hold in holds {
            assert_eq!(shop.status(hold).state, HoldState::Expired);
        }
        drop(shop);
        assert_eq!(Inspection::open(machine.path("mended")).unwrap().drift(), None);
    }
}
