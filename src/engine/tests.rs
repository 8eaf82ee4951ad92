//! What cannot be seen from outside: a disk that fails, every prefix of a log, and moments that do not last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::Engine;
use super::content::{Content, OpKind};
use super::open::on_log;
use crate::answer::{HoldState, Level};
use crate::clock::{ManualClock, Timestamp};
use crate::config::{Config, Durability};
use crate::error::{
    Busy, ConfirmError, HoldError, LookupError, OpKeyError, ReserveError, SharedError, StockError, Stopped,
    VerifyError,
};
use crate::fold::state::Fold;
use crate::hold::lines::Line;
use crate::hold::op_keys::Attempt;
use crate::hold::table::NewHold;
use crate::index::{KeyIndex, Target};
use crate::log::at_rest::LogAtRest;
use crate::log::directory::Directory;
use crate::log::record::{Record, Records};
use crate::log::recovery::{LogReport, OpenLog, RecoveredLog, Replay, recover};
use crate::log::scan::{FoundChunk, ScannedChunk};
use crate::log::sidecar::{Durable, Sidecar};
use crate::log::store::{Store, StoreError};
use crate::log::stores::{ChunkSource, Stores};
use crate::proofs::faulty_store::{Fate, FaultyStoreDisk, Plan};
use crate::request::{Adjust, AdjustReason, Confirm, Extend, HoldAction, Receive, Reserve};
use crate::types::{HoldId, OpKey, StockKey};

const SECOND: Duration = Duration::from_secs(1);
const START: Timestamp = Timestamp(1_767_225_600_000);

fn still(clock: &Arc<ManualClock>) -> Config {
    Config::default().clock(Arc::clone(clock)).driver_period(None).ring_bytes(1 << 20)
}

/// An engine whose chunks go to `store`, and whose directory has everything else.
fn on_stores(directory: &Path, stores: Arc<dyn Stores>, config: Config) -> Engine {
    let open = |into: &mut dyn Replay| {
        let mut directory = Directory::open(directory)?;
        let durable = directory.layout.durable();
        let (mut sidecar, proven) = match Sidecar::open(&durable)? {
            Some(found) => found,
            // As if it had been closed in order, with nothing in it.
            None => (Sidecar::create(&durable).unwrap(), Durable { orderly: true, ..Durable::default() }),
        };
        let created = directory.fresh;
        if created {
            directory.commit()?;
        }
        let start = into.start(&directory.layout, &directory.identity)?;
        let RecoveredLog { store, older, verdict, .. } = recover(&stores, &proven, &start, into)?.unwrap();
        let (tip, epoch) = (verdict.tip, verdict.epoch_next);
        sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
        let older = Some(older.tidy().unwrap());
        let report = LogReport { created, end: tip.end, cut: verdict.cut, ..LogReport::default() };
        Ok((OpenLog::new(store, sidecar, directory, (tip, epoch), older).unwrap(), report))
    };
    Engine::start(on_log(config, open).unwrap()).unwrap()
}

/// Five units, of which one is held and one sold, both for sure.
struct Poisoned {
    directory: tempfile::TempDir,
    disk: FaultyStoreDisk,
    clock: Arc<ManualClock>,
    engine: Engine,
    key: StockKey,
    held: HoldId,
    sold: HoldId,
}

impl Poisoned {
    fn healthy(durability: Durability) -> Poisoned {
        let directory = tempfile::tempdir().unwrap();
        let (disk, clock) = (FaultyStoreDisk::default(), Arc::new(ManualClock::new(START)));
        let config = still(&clock).durability(durability);
        let engine = on_stores(directory.path(), Arc::new(disk.clone()), config);
        let key = engine.declare("poster", "berlin").unwrap();
        engine.receive(Receive::units(key, 5)).unwrap().wait().unwrap();
        let [held, sold] =
            [(); 2].map(|()| engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap().hold);
        engine.confirm(sold).unwrap().wait().unwrap();
        Poisoned { directory, disk, clock, engine, key, held, sold }
    }

    /// Also returns the directory, which must not be removed under the engine.
    fn reopened(self) -> (Engine, StockKey, tempfile::TempDir) {
        drop(self.engine);
        self.disk.plan(Plan::default());
        let engine = on_stores(self.directory.path(), Arc::new(self.disk.clone()), still(&self.clock));
        (engine, self.key, self.directory)
    }

    /// Everything that a poisoned engine does and does not do.
    fn check(&self) {
        let Poisoned { engine, key, held, sold, .. } = self;
        let (key, held, sold) = (*key, *held, *sold);
        let stopped = |error: &SharedError| matches!(error, SharedError::Stopped(Stopped::Poisoned(_)));
        let available = engine.available(key).unwrap();

        let reserve = Reserve::units(key, 1);
        for reserve in [reserve, Reserve::units(key, 100), reserve.op_key(OpKey(77)).remember_refusal()] {
            let refused = engine.reserve(reserve).unwrap_err();
            assert!(matches!(&refused, ReserveError::Shared(common) if stopped(common)), "{refused}");
        }
        for confirm in [Confirm::hold(held), Confirm::hold(held).quantity(1).op_key(OpKey(78))] {
            let refused = engine.confirm(confirm).unwrap_err();
            assert!(matches!(&refused, ConfirmError::Shared(common) if stopped(common)), "{refused}");
        }
        let on_hold = [
            engine.release(held).map(drop),
            engine.extend(Extend::hold(held, 900 * SECOND)).map(drop),
            engine.extend(Extend::hold(held, SECOND)).map(drop),
            engine.begin_payment(held).map(drop),
            engine.cancel(sold).map(drop),
            engine.ship(sold).map(drop),
            engine.release(HoldAction::hold(held).op_key(OpKey(79))).map(drop),
        ];
        for refused in on_hold.map(Result::unwrap_err) {
            assert!(matches!(&refused, HoldError::Shared(common) if stopped(common)), "{refused}");
        }
        let stock = [
            engine.receive(Receive::units(key, 1)).map(drop),
            engine.adjust(Adjust::by(key, 1, AdjustReason::Found)).map(drop),
            engine.adjust(Adjust::by(key, -1, AdjustReason::Lost)).map(drop),
            engine.stop_sale(key).map(drop),
            engine.resume_sale(key).map(drop),
        ];
        for refused in stock.map(Result::unwrap_err) {
            assert!(matches!(&refused, StockError::Shared(common) if stopped(common)), "{refused}");
        }
        assert!(engine.declare("mug", "berlin").is_err());
        assert!(engine.key("mug", "berlin").is_err(), "a name that was refused is not there");

        // Reads go on, and nothing is given back: not even what time would give.
        assert_eq!(engine.available(key), Ok(available));
        self.clock.advance(600 * SECOND);
        assert_eq!(engine.sweep(), 0);
        assert_eq!(engine.available(key), Ok(available));
        assert_eq!(engine.status(held).unwrap().state, HoldState::Active);
        let refused = engine.reserve(Reserve::units(key, 5)).unwrap_err();
        assert!(matches!(&refused, ReserveError::Shared(common) if stopped(common)), "{refused}");
        let Level { on_hand, committed, position, .. } = engine.level(key).unwrap();
        assert_eq!((on_hand, committed), (5, 1));
        assert!(position <= engine.metrics().position_drawn);

        let unknown = engine.shutdown().unwrap_err();
        assert!(matches!(unknown.cause, Stopped::Poisoned(_)), "{unknown}");
    }
}

#[test]
fn after_a_failed_sync_the_outcome_is_unknown_and_nothing_new_succeeds() {
    for (fate, left) in [(Fate::Lost, 3), (Fate::Kept, 2), (Fate::Torn(9), 3)] {
        let shop = Poisoned::healthy(Durability::Sync);
        shop.disk.plan(Plan { syncs_until_failure: Some(0), ..Plan::default() });
        let receipt = shop.engine.reserve(Reserve::units(shop.key, 1).op_key(OpKey(5))).unwrap();
        let position = receipt.position();
        let unknown = receipt.wait().unwrap_err();
        assert_eq!(unknown.position, position);
        assert!(matches!(unknown.cause, Stopped::Poisoned(_)), "{unknown}");
        assert!(shop.engine.durable() < position);
        assert_eq!(shop.engine.available(shop.key), Ok(2), "what was decided stays decided");
        shop.check();

        shop.disk.crash(|_| fate);
        let (engine, key, _directory) = shop.reopened();
        assert_eq!(engine.available(key), Ok(left));
        // Asked again with the same op key: once, whatever had become of it.
        engine.reserve(Reserve::units(key, 1).op_key(OpKey(5))).unwrap().wait().unwrap();
        assert_eq!(engine.available(key), Ok(2));
    }
}

#[test]
fn a_full_disk_and_a_failed_append_poison_too() {
    let plans = [
        Plan { bytes_max: Some(0), ..Plan::default() },
        Plan { appends_until_failure: Some(0), ..Plan::default() },
    ];
    for plan in plans {
        for durability in [Durability::Sync, Durability::Interval(Duration::from_millis(5))] {
            let shop = Poisoned::healthy(durability);
            shop.disk.plan(plan);
            shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().wait().unwrap_err();
            shop.check();
            let (engine, key, _directory) = shop.reopened();
            assert_eq!(engine.available(key), Ok(3));
        }
    }
}

#[test]
fn all_waiters_are_told() {
    let shop = Poisoned::healthy(Durability::Sync);
    shop.disk.plan(Plan { syncs_until_failure: Some(0), ..Plan::default() });
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Decided before the failure, or refused after it.
                if let Ok(receipt) = shop.engine.extend(Extend::hold(shop.held, 700 * SECOND)) {
                    let unknown = receipt.wait().unwrap_err();
                    assert!(matches!(unknown.cause, Stopped::Poisoned(_)));
                }
            });
        }
        scope.spawn(|| {
            let Ok(receipt) = shop.engine.reserve(Reserve::units(shop.key, 1)) else { return };
            let mut receipt = pin!(receipt);
            loop {
                match receipt.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => thread::yield_now(),
                    Poll::Ready(answer) => return assert!(answer.is_err()),
                }
            }
        });
        scope.spawn(|| {
            let drawn = shop.engine.metrics().position_drawn;
            assert!(shop.engine.wait(crate::types::Position(drawn.0 + 1_000)).is_err());
        });
    });
    assert!(shop.engine.wait(shop.engine.durable()).is_ok());
}

/// A store that panics at its next append.
struct Panics;

impl ChunkSource for Panics {
    fn list(&self) -> std::io::Result<Vec<u32>> {
        Ok(Vec::new())
    }
    fn scan(&self, _: u32, _: &mut dyn FnMut(ScannedChunk)) -> std::io::Result<()> {
        Ok(())
    }
    fn read(&self, _: &FoundChunk) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

impl Stores for Panics {
    fn create(&self, _: u32) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Panics))
    }
    fn remove(&self, _: u32) -> std::io::Result<()> {
        Ok(())
    }
}

impl Store for Panics {
    fn append(&mut self, _: u64, _: &[u8]) -> Result<(), StoreError> {
        panic!("a planned panic of the log thread")
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    fn remove_below(&mut self, _: u64, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
    fn has_name(&self) -> io::Result<bool> {
        Ok(true)
    }
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn a_log_thread_that_panics_poisons() {
    let directory = tempfile::tempdir().unwrap();
    let engine = on_stores(directory.path(), Arc::new(Panics), Config::default());
    let position = engine.metrics().position_drawn;
    let unknown = engine.wait(position).unwrap_err();
    assert!(matches!(&unknown.cause, Stopped::Poisoned(cause) if cause.contains("panicked")), "{unknown}");
    assert!(matches!(engine.declare("poster", "berlin"), Err(error) if !error.is_busy()));
    assert!(engine.shutdown().is_err());
}

#[test]
fn a_shutdown_that_cannot_make_everything_durable_says_so() {
    let shop = Poisoned::healthy(Durability::Sync);
    shop.disk.plan(Plan { syncs_until_failure: Some(0), ..Plan::default() });
    let unknown = shop.engine.shutdown().unwrap_err();
    assert!(matches!(unknown.cause, Stopped::Poisoned(_)), "{unknown}");
    let stopped = shop.engine.receive(Receive::units(shop.key, 1)).unwrap_err();
    assert!(matches!(stopped, StockError::Shared(SharedError::Stopped(Stopped::Poisoned(_)))));
}

#[test]
fn an_op_key_that_is_being_decided_is_in_progress() {
    let clock = Arc::new(ManualClock::new(START));
    let engine = Engine::in_memory(still(&clock)).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    let receive = Receive::units(key, 3).op_key(OpKey(1));
    let content = Content::of(OpKind::Receive).number(0).number(3).bytes(b"").hash();
    let Ok(Attempt::Now(deciding)) = engine.inner.core.op_keys.begin(OpKey(1), content, START) else {
        panic!("the key is new")
    };
    assert_eq!(engine.receive(receive).unwrap_err(), SharedError::OpKey(OpKeyError::InProgress).into());
    let other = Receive::units(key, 4).op_key(OpKey(1));
    assert_eq!(engine.receive(other).unwrap_err(), SharedError::OpKey(OpKeyError::OtherContent).into());
    // It came to nothing: the next one decides.
    drop(deciding);
    assert_eq!(engine.receive(receive).unwrap().wait().unwrap().available, 3);
    assert_eq!(engine.receive(receive).unwrap().wait().unwrap().available, 3);
    assert_eq!(engine.available(key), Ok(3));
}

#[test]
fn a_hold_whose_slot_was_taken_and_given_up_is_forgotten_not_unknown() {
    let clock = Arc::new(ManualClock::new(START));
    let engine = Engine::in_memory(still(&clock)).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 1)).unwrap().wait().unwrap();
    let hold = engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap().hold;
    engine.release(hold).unwrap().wait().unwrap();
    // As a reserve does that loses the race for the last unit.
    let holds = &engine.inner.core.holds;
    let new = NewHold {
        lines: &[Line { target: Target::of(0), units: 1 }],
        born: START,
        deadline: START,
        reference: b"",
        epoch: 1,
    };
    let place = holds.place(super::core::thread_number(), new).unwrap();
    assert_eq!(engine.status(hold), Err(LookupError::Forgotten));
    holds.discard(place);
    assert_eq!(engine.status(hold), Err(LookupError::Forgotten));
    assert_eq!(engine.release(hold).unwrap_err(), HoldError::Lookup(LookupError::Forgotten));
    let forged = HoldId(hold.0 ^ 1);
    assert_eq!(engine.status(forged), Err(LookupError::Unknown));
}

#[test]
fn a_reserve_while_the_table_is_grown_elsewhere_is_busy() {
    let clock = Arc::new(ManualClock::new(START));
    let engine = Engine::in_memory(still(&clock)).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 2)).unwrap().wait().unwrap();
    let parked = engine.inner.core.holds.grow_elsewhere();
    let busy = engine.reserve(Reserve::units(key, 1)).unwrap_err();
    assert_eq!(busy, Busy::Growing.into());
    assert_eq!((engine.available(key), engine.metrics().busy_growing), (Ok(2), 1));
    drop(parked);
    assert!(engine.reserve(Reserve::units(key, 2)).is_ok());
}

/// Every operation, with and without op keys, by several threads on a few keys.
fn busy_day(engine: &Engine, clock: &ManualClock, keys: &[StockKey], threads: u64) {
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut rng = stockhold_seeded::Rng::new(thread);
                // Holds that others may end too.
                let mut mine: Vec<HoldId> = Vec::new();
                for step in 0..600 {
                    let key = keys[rng.index(keys.len())];
                    let quantity = 1 + rng.index(4) as u32;
                    let op = OpKey(u128::from(thread * 1_000_000 + step) << 1);
                    let hold = (!mine.is_empty()).then(|| mine[rng.index(mine.len())]);
                    let part = HoldAction::hold(hold.unwrap_or(HoldId(0))).quantity(1).op_key(op);
                    // Refusals and Busy are answers here like any other.
                    match (rng.index(16), hold) {
                        (0, _) => {
                            drop(engine.receive(Receive::units(key, quantity).reference("PO").op_key(op)))
                        }
                        (1, _) => {
                            let delta = rng.index(7) as i64 - 3;
                            drop(engine.adjust(Adjust::by(key, delta, AdjustReason::Count)));
                        }
                        (2, _) => drop(engine.stop_sale(key)),
                        (3, _) => keys.iter().for_each(|key| drop(engine.resume_sale(*key))),
                        (4, _) => clock.advance(Duration::from_secs(rng.index(200) as u64)),
                        (5, Some(hold)) => drop(engine.release(hold)),
                        (6, Some(hold)) => drop(engine.confirm(Confirm::hold(hold).quantity(1).op_key(op))),
                        (7, Some(hold)) => drop(engine.confirm(Confirm::hold(hold).retake_if_expired())),
                        (8, Some(hold)) => drop(engine.extend(Extend::hold(hold, 700 * SECOND))),
                        (9, Some(hold)) => drop(engine.extend(Extend::hold(hold, 300 * SECOND).op_key(op))),
                        (10, Some(hold)) => drop(engine.begin_payment(hold)),
                        (11, Some(_)) => drop(engine.ship(part)),
                        (12, Some(_)) => drop(engine.cancel(part)),
                        (13, _) => {
                            let asked = Reserve::units(key, 1_000).op_key(op).remember_refusal();
                            drop(engine.reserve(asked));
                        }
                        _ => {
                            let reserve = Reserve::units(key, quantity).reference("order-17");
                            let reserve = if step % 2 == 0 { reserve.op_key(op) } else { reserve };
                            if let Ok(granted) = engine.reserve(reserve) {
                                mine.push(granted.not_yet_durable().hold);
                            }
                        }
                    }
                }
            });
        }
    });
}

fn kind(record: &Record<'_>) -> String {
    let debug = format!("{record:?}");
    debug.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn every_prefix_of_a_log_with_every_operation_is_a_valid_state() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let config = || still(&clock).durability(Durability::Interval(Duration::from_millis(5)));
    let mut levels = Vec::new();
    for _ in 0..3 {
        let engine = Engine::open(directory.path(), config()).unwrap();
        let keys = ["berlin", "paris", "rome"].map(|location| engine.declare("poster", location).unwrap());
        keys.iter().for_each(|key| drop(engine.receive(Receive::units(*key, 20)).unwrap()));
        busy_day(&engine, &clock, &keys, 4);
        levels = keys.map(|key| engine.level(key).unwrap()).to_vec();
        let counters = keys.map(|key| engine.available(key).unwrap());
        assert_eq!(counters.to_vec(), levels.iter().map(|level| level.available).collect::<Vec<_>>());
        engine.shutdown().unwrap();
    }

    let (log, _) = LogAtRest::open(directory.path()).unwrap();
    let mut fold = Fold::default();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut ops = BTreeSet::new();
    for found in &log.verdict.chain {
        let payload = log.payload(found).unwrap();
        for record in Records::new(&payload, found.header.start) {
            let logged = record.unwrap();
            fold.apply(&logged, &mut |op| {
                assert!(ops.insert(op.fact.op.unwrap().key), "an op key was decided twice");
            })
            .unwrap();
            let (record, position) = (Record::decode(logged.bytes).unwrap().0, logged.position);
            *kinds.entry(kind(&record)).or_default() += 1;
            // The prefix that ends here is a valid state.
            let held: BTreeMap<KeyIndex, i64> = fold
                .holds
                .values()
                .filter(|hold| hold.word.phase().is_live())
                .fold(BTreeMap::new(), |mut held, hold| {
                    for line in hold.lines.iter() {
                        *held.entry(line.target.good().unwrap()).or_default() += i64::from(line.units);
                    }
                    held
                });
            for (key, level) in fold.levels.iter() {
                assert_eq!(level.check(), Ok(()), "{level:?} after {record:?} at {position}");
                assert!(level.available() + level.corrected_down >= 0);
                assert_eq!(level.held, held.get(&key).copied().unwrap_or(0), "after {record:?}");
            }
        }
        assert_eq!(fold.position, found.header.end());
    }
    let folded: Vec<_> =
        fold.levels.iter().map(|(_, level)| (level.on_hand, level.held, level.committed)).collect();
    let answered: Vec<_> = levels.iter().map(|level| (level.on_hand, level.held, level.committed)).collect();
    assert_eq!(folded, answered);
    // A void needs a lost race; all others must have been there.
    kinds.remove("Void");
    assert_eq!(kinds.len(), 15, "{kinds:?}");
}

#[test]
fn extensions_that_race_with_the_outcome_leave_a_log_that_opens() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let config = || still(&clock).durability(Durability::Interval(Duration::from_millis(5)));
    let engine = Engine::open(directory.path(), config()).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 1_000)).unwrap().wait().unwrap();
    const ROUNDS: usize = 1_000;
    let holds: Vec<_> =
        (0..ROUNDS).map(|_| engine.reserve(Reserve::units(key, 1)).unwrap().not_yet_durable().hold).collect();
    thread::scope(|scope| {
        for thread in 0..3u128 {
            let (engine, holds) = (&engine, &holds);
            scope.spawn(move || {
                for (round, hold) in holds.iter().enumerate() {
                    match thread {
                        0 => drop(engine.extend(Extend::hold(*hold, 700 * SECOND))),
                        1 => {
                            let extend = Extend::hold(*hold, 700 * SECOND).op_key(OpKey(round as u128));
                            drop(engine.extend(extend));
                        }
                        _ => drop(engine.confirm(*hold).unwrap()),
                    }
                }
            });
        }
    });
    engine.shutdown().unwrap();
    let engine = Engine::open(directory.path(), config()).unwrap();
    for hold in holds {
        assert_eq!(engine.status(hold).unwrap().state, HoldState::Confirmed);
    }
}

#[test]
fn a_counter_that_is_off_is_drift_whichever_way() {
    let clock = Arc::new(ManualClock::new(START));
    let directory = tempfile::tempdir().unwrap();
    for off in [1, -1] {
        let engine = Engine::open(directory.path().join(off.to_string()), still(&clock)).unwrap();
        let key = engine.declare("poster", "berlin").unwrap();
        engine.receive(Receive::units(key, 9)).unwrap().wait().unwrap();
        assert_eq!(engine.verify().unwrap().keys, 1);
        let core = &engine.inner.core;
        core.book.get(KeyIndex(0)).unwrap().counter.correct(core.lane(KeyIndex(0)), off);
        let error = engine.verify().unwrap_err();
        let way = if off > 0 { "1 units more" } else { "1 units fewer" };
        assert!(matches!(&error, VerifyError::Drift(drift) if drift.what.contains(way)), "{error}");
    }
}

/// Stores that move their chunks about: none is where a reading has found it, when it is first looked for
/// there.
struct Moving {
    stores: Arc<dyn Stores>,
    moved: Mutex<BTreeSet<u64>>,
}

impl ChunkSource for Moving {
    fn list(&self) -> std::io::Result<Vec<u32>> {
        self.stores.list()
    }
    fn scan(&self, store: u32, seen: &mut dyn FnMut(ScannedChunk)) -> std::io::Result<()> {
        self.stores.scan(store, seen)
    }
    fn read(&self, found: &FoundChunk) -> std::io::Result<Vec<u8>> {
        if self.moved.lock().unwrap().insert(found.hash) {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        self.stores.read(found)
    }
}

impl Stores for Moving {
    fn create(&self, store: u32) -> Result<Box<dyn Store>, StoreError> {
        self.stores.create(store)
    }
    fn remove(&self, store: u32) -> std::io::Result<()> {
        self.stores.remove(store)
    }
}

#[test]
fn chunks_that_move_while_they_are_verified_are_no_drift() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(START)));
    let stores = Moving { stores: Arc::new(FaultyStoreDisk::default()), moved: Mutex::default() };
    let engine = on_stores(directory.path(), Arc::new(stores), still(&clock));
    let key = engine.declare("poster", "berlin").unwrap();
    for _ in 0..20 {
        engine.receive(Receive::units(key, 9)).unwrap().wait().unwrap();
    }
    assert_eq!(engine.verify().unwrap().records, 22);
}
