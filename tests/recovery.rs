//! Closing and opening again: the state that comes back, and the openings that are refused.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Disk, ON_DISK, SECOND, START, Shop, insist, out_of_stock, still};
use stockhold::error::{LookupError, OpenError};
use stockhold::{
    Adjust, AdjustReason, Config, Confirm, Durability, Engine, Extend, HoldAction, HoldId, HoldState,
    HoldStatus, Level, ManualClock, OpKey, Receipt, Receive, Reserve, StockKey, Timestamp,
};

/// The answers to all queries of an engine.
#[derive(PartialEq, Debug)]
struct Snapshot {
    names: Vec<(String, String)>,
    keys: Vec<StockKey>,
    levels: Vec<Level>,
    available: Vec<i64>,
    holds: Vec<Result<HoldStatus, LookupError>>,
    by_reference: Vec<Vec<HoldStatus>>,
    holds_live: u64,
}

impl Snapshot {
    fn of(shop: &Shop, holds: &[HoldId]) -> Snapshot {
        let engine = &shop.engine;
        // Read first, since a read of a hold that is due expires it.
        let statuses = holds.iter().map(|hold| engine.status(*hold)).collect();
        let keys = engine.keys();
        let name =
            |key: &StockKey| engine.name(*key).map(|(sku, location)| (sku.to_string(), location.to_string()));
        let level = |key: &StockKey| Level { position: Default::default(), ..engine.level(*key).unwrap() };
        Snapshot {
            names: keys.iter().map(|key| name(key).unwrap()).collect(),
            levels: keys.iter().map(level).collect(),
            available: keys.iter().map(|key| engine.available(*key).unwrap()).collect(),
            holds: statuses,
            by_reference: ["order-1", "order-2", "x"].map(|reference| engine.holds_of(reference)).to_vec(),
            holds_live: engine.metrics().holds_live,
            keys,
        }
    }
}

/// Waits for the receipt of an operation.
fn done<T, E: std::fmt::Debug>(answer: Result<Receipt<'_, T>, E>) {
    answer.unwrap().wait().unwrap();
}

/// One operation. `holds` are the holds made so far.
type Step = fn(&Shop, &mut Vec<HoldId>);

fn reserve(shop: &Shop, reserve: Reserve<'_>) -> HoldId {
    shop.engine.reserve(reserve).unwrap().wait().unwrap().hold
}

const STEPS: [Step; 21] = [
    |shop, _| done(shop.engine.receive(Receive::units(shop.key, 40))),
    |shop, holds| holds.push(reserve(shop, Reserve::units(shop.key, 3).reference("order-1"))),
    |shop, holds| {
        holds.push(reserve(shop, Reserve::units(shop.key, 4).reference("order-2").op_key(OpKey(1))))
    },
    |shop, holds| {
        holds.push(reserve(shop, Reserve::units(shop.key, 5).reference("order-1").ttl(50 * SECOND)))
    },
    |shop, holds| holds.push(reserve(shop, Reserve::units(shop.key, 6))),
    |shop, holds| done(shop.engine.confirm(Confirm::hold(holds[0]).quantity(2))),
    |shop, holds| done(shop.engine.extend(Extend::hold(holds[1], 900 * SECOND))),
    |shop, holds| done(shop.engine.begin_payment(holds[1])),
    |shop, holds| done(shop.engine.release(holds[3])),
    |shop, _| shop.clock.advance(50 * SECOND),
    |shop, _| assert!(shop.engine.sweep() < 9),
    |shop, holds| {
        let late = Confirm::hold(holds[2]).retake_if_expired().quantity(4);
        done(shop.engine.confirm(late));
    },
    |shop, holds| done(shop.engine.ship(HoldAction::hold(holds[2]).quantity(3))),
    |shop, holds| done(shop.engine.cancel(HoldAction::hold(holds[0]).quantity(1))),
    |shop, holds| done(shop.engine.ship(holds[0])),
    |shop, _| assert!(shop.engine.declare("mug", "läden/rom").is_ok()),
    |shop, _| {
        let adjust = Adjust::by(shop.key, -30, AdjustReason::Count).reference("count-1");
        assert!(shop.engine.adjust(adjust).unwrap().wait().unwrap().available < 100);
    },
    |shop, _| done(shop.engine.stop_sale(shop.key)),
    |shop, _| done(shop.engine.resume_sale(shop.key)),
    |shop, _| done(shop.engine.stop_sale(shop.key)),
    |shop, holds| done(shop.engine.confirm(holds[1])),
];

#[test]
fn after_each_operation_everything_comes_back() {
    // Without checkpoints, with one after each operation, and with one after some, so that log lies between
    // them.
    for (durability, checkpoint_every) in
        ON_DISK.into_iter().flat_map(|level| [0, 1, 2, 5].map(|every| (level, every)))
    {
        let disk = Disk::new(durability);
        let mut shop = disk.open();
        let mut holds = Vec::new();
        for (number, step) in STEPS.iter().enumerate() {
            step(&shop, &mut holds);
            if checkpoint_every > 0 && number % checkpoint_every == 0 {
                shop.engine.checkpoint().unwrap();
            }
            let before = Snapshot::of(&shop, &holds);
            if number % 2 == 0 {
                shop.engine.shutdown().unwrap();
            }
            drop(shop);
            assert_eq!(disk.inspect().drift(), None, "after step {number}, {checkpoint_every}");
            shop = disk.open();
            assert_eq!(Snapshot::of(&shop, &holds), before, "after step {number}, {checkpoint_every}");
            assert_eq!(shop.engine.report().epoch as usize, number + 2);
            assert_eq!(shop.engine.report().holds_live, before.holds_live);
        }
        let again = shop.engine.reserve(Reserve::units(shop.key, 4).reference("order-2").op_key(OpKey(1)));
        assert_eq!(again.unwrap().wait().unwrap().hold, holds[1]);
    }
}

#[test]
fn a_whole_day_comes_back_at_once() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    let mut holds = Vec::new();
    STEPS.iter().for_each(|step| step(&shop, &mut holds));
    let before = Snapshot::of(&shop, &holds);
    shop.engine.shutdown().unwrap();
    let report = disk.open().engine.report().clone();
    assert!(!report.created);
    assert_eq!((report.cut_bytes, report.rewritten_bytes), (0, 0));
    assert!(report.to_string().contains("records replayed"));
    assert_eq!(Snapshot::of(&disk.open(), &holds), before);
}

#[test]
fn a_deadline_that_passes_while_closed_expires() {
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let shop = disk.open();
        shop.engine.receive(Receive::units(shop.key, 3)).unwrap().wait().unwrap();
        let (short, long) = (shop.reserve(1), shop.reserve(2));
        shop.engine.extend(Extend::hold(long, 900 * SECOND)).unwrap().wait().unwrap();
        drop(shop);
        disk.clock.advance(599 * SECOND);
        let shop = disk.open();
        assert!(out_of_stock(&shop.try_reserve(1)).is_some());
        assert_eq!(shop.engine.status(short).unwrap().deadline, Some(START.plus(600 * SECOND)));
        drop(shop);
        disk.clock.advance(SECOND);
        let shop = disk.open();
        shop.reserve(1);
        assert_eq!(shop.engine.status(short).unwrap().state, HoldState::Expired);
        assert!(out_of_stock(&shop.try_reserve(1)).is_some());
        assert_eq!(shop.engine.status(long).unwrap().deadline, Some(START.plus(900 * SECOND)));
        assert_eq!(shop.engine.metrics().holds_live, 2);
    }
}

#[test]
fn time_is_never_below_the_last_time_in_the_log() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.engine.receive(Receive::units(shop.key, 2)).unwrap().wait().unwrap();
    shop.clock.advance(100 * SECOND);
    let hold = shop.reserve(1);
    let (last, deadline) = (shop.engine.now(), shop.engine.status(hold).unwrap().deadline);
    drop(shop);
    // The clock is set back an hour.
    let back = Arc::new(ManualClock::new(Timestamp(START.0 - 3_600_000)));
    let open = || Engine::open(disk.directory.path(), still(&back)).unwrap();
    for _ in 0..2 {
        let engine = open();
        assert_eq!(engine.now(), last);
        let key = engine.key("poster", "berlin").unwrap();
        assert_eq!(engine.status(hold).unwrap().deadline, deadline);
        let other = engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap();
        assert_eq!(other.deadline, last.plus(600 * SECOND));
        engine.release(other.hold).unwrap().wait().unwrap();
    }
    // The clock catches up, and time goes on from there.
    back.advance(3_700 * SECOND + 599 * SECOND);
    let engine = open();
    assert_eq!(engine.now(), last.plus(599 * SECOND));
    assert_eq!(engine.status(hold).unwrap().state, HoldState::Active);
    back.advance(SECOND);
    assert_eq!(engine.status(hold).unwrap().state, HoldState::Expired);
}

#[test]
fn an_open_directory_is_refused_with_the_process_that_has_it() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    let second = Engine::open(disk.directory.path(), disk.config());
    let Err(OpenError::InUse { pid, message }) = second else { panic!("{second:?}") };
    assert_eq!(pid, Some(std::process::id()));
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    shop.engine.shutdown().unwrap();
    // A shutdown frees the directory although a handle still exists.
    drop(disk.open());
    drop(shop);
}

#[test]
fn an_engine_in_memory_takes_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop");
    let refused = Engine::open(&path, Config::default().durability(Durability::Memory));
    assert!(matches!(refused, Err(OpenError::MemoryWithDirectory(named)) if named == path));
    let refused = Engine::open(&path, Config::default().holds_max(0));
    assert!(matches!(refused, Err(OpenError::Config(error)) if error.setting == "holds_max"));
    assert!(!path.exists());
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let refused = Engine::open(directory.path(), Config::default());
    let Err(OpenError::Foreign(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains("thesis.txt"), "{message}");
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[test]
fn a_lost_log_is_damage_and_not_a_new_directory() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.engine.receive(Receive::units(shop.key, 3)).unwrap().wait().unwrap();
    shop.engine.shutdown().unwrap();
    fs::remove_dir_all(disk.directory.path().join("log")).unwrap();
    let refused = Engine::open(disk.directory.path(), disk.config());
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_path_that_is_a_file_is_an_error_of_the_system() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Engine::open(file.path(), Config::default());
    assert!(matches!(refused, Err(OpenError::Io(_))), "{refused:?}");
}

#[test]
fn a_relative_path_stays_the_same_when_the_process_changes_its_directory() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::env::set_current_dir(first.path()).unwrap();
    let engine = Engine::open("shop", Config::default()).unwrap();
    engine.declare("poster", "berlin").unwrap();
    std::env::set_current_dir(second.path()).unwrap();
    engine.checkpoint().unwrap();
    engine.backup("copy").unwrap();
    drop(engine);
    for path in [first.path().join("shop"), second.path().join("copy")] {
        assert!(Engine::open(path, Config::default()).unwrap().report().checkpoint.is_some());
    }
    std::env::set_current_dir("/").unwrap();
}

#[test]
fn more_holds_than_holds_max_allows_still_come_back() {
    let disk = Disk::new(Durability::Interval(5 * SECOND));
    let shop = disk.open();
    shop.engine.receive(Receive::units(shop.key, 9)).unwrap().wait().unwrap();
    let holds: Vec<_> = (0..8).map(|_| shop.reserve(1)).collect();
    drop(shop);
    let shop = disk.open_with(|config| config.holds_max(2));
    shop.assert_level(9, 8, 0);
    for hold in holds {
        shop.engine.release(hold).unwrap().wait().unwrap();
    }
    shop.assert_level(9, 0, 0);
}

// ── crashes ────────────────────────────────────────────────────────────────────────────────────────────────

const CRASH_IN: &str = "STOCKHOLD_TEST_CRASH_IN";
const CRASH_AT: &str = "STOCKHOLD_TEST_CRASH_AT";

fn crash_config(durability: &str) -> Config {
    let durability = match durability {
        "sync" => Durability::Sync,
        _ => Durability::Interval(Duration::from_millis(50)),
    };
    Config::default().durability(durability).ring_bytes(1 << 20)
}

/// Not a test: the body of the crashing process, which runs if [`CRASH_IN`] is set.
#[test]
fn child_that_crashes() {
    let Ok(directory) = std::env::var(CRASH_IN) else { return };
    let crash_at: u32 = std::env::var(CRASH_AT).unwrap().parse().unwrap();
    let durability = if crash_at.is_multiple_of(2) { "sync" } else { "interval" };
    let engine = Engine::open(directory, crash_config(durability)).unwrap();
    let key = engine.key("poster", "berlin").unwrap();
    // Writes one line in one call, around the harness's capture. Called once the answer is durable.
    let acknowledge = |what: &str, hold: HoldId| {
        std::io::stdout().write_all(format!("\nack {what} {hold}\n").as_bytes()).unwrap();
    };
    thread::scope(|scope| {
        for number in 0..3u128 {
            let (engine, acknowledge) = (&engine, &acknowledge);
            scope.spawn(move || {
                for step in 0.. {
                    if number == 0 && step == crash_at {
                        std::process::abort();
                    }
                    let op = OpKey(u128::from(crash_at) << 64 | number << 32 | u128::from(step));
                    let reserve = Reserve::units(key, 1).op_key(op).reference("order");
                    let hold = insist(|| engine.reserve(reserve)).unwrap().wait().unwrap().hold;
                    acknowledge("granted", hold);
                    match step % 3 {
                        0 => {
                            engine.confirm(hold).unwrap().wait().unwrap();
                            acknowledge("confirmed", hold);
                        }
                        1 => {
                            engine.release(hold).unwrap().wait().unwrap();
                            acknowledge("released", hold);
                        }
                        _ => {}
                    }
                }
            });
        }
    });
}

#[test]
fn after_a_crash_everything_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), crash_config("sync")).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(Receive::units(key, 100_000)).unwrap().wait().unwrap();
    drop(engine);
    // The last acknowledged state of each hold, over all crashes of this directory.
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    for crash_at in [0, 1, 7, 50, 133] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_crashes", "--nocapture", "--test-threads=1"])
            .env(CRASH_IN, directory.path())
            .env(CRASH_AT, crash_at.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(!child.status.success(), "the child did not crash");
        let output = String::from_utf8_lossy(&child.stdout);
        for line in output.lines().filter_map(|line| line.strip_prefix("ack ")) {
            let (what, hold) = line.split_once(' ').unwrap();
            acknowledged.insert(hold.to_owned(), what.to_owned());
        }
        assert!(acknowledged.len() as u32 >= crash_at);

        let engine = Engine::open(directory.path(), crash_config("sync")).unwrap();
        for (hold, what) in &acknowledged {
            let status = engine.status(hold.parse().unwrap());
            let state = status.as_ref().map(|status| status.state);
            match what.as_str() {
                "granted" => {
                    assert!(status.is_ok() || status == Err(LookupError::Forgotten), "{hold}: {status:?}")
                }
                "confirmed" => assert_eq!(state, Ok(HoldState::Confirmed), "{hold}"),
                // Its slot may have a later hold.
                _ => assert!(
                    matches!(state, Ok(HoldState::Released) | Err(&LookupError::Forgotten)),
                    "{hold}: {status:?}"
                ),
            }
        }
        // The level is the sum of the holds.
        let level = engine.level(key).unwrap();
        let (mut held, mut committed) = (0, 0);
        for status in engine.holds_of("order") {
            match status.state {
                HoldState::Active => held += i64::from(status.quantity),
                HoldState::Confirmed => committed += i64::from(status.quantity),
                _ => {}
            }
        }
        assert_eq!((level.on_hand, level.held, level.committed), (100_000, held, committed));
        assert_eq!(engine.available(key), Ok(level.available));
        engine.shutdown().unwrap();
    }
}
