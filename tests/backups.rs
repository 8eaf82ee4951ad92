//! Copies of a directory, taken during sales and at rest.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::damage::{everything, files_under, flip};
use common::{Disk, ON_DISK, insist};
use stockhold::error::{BackupError, CheckpointError, OpenError};
use stockhold::inspect::Inspection;
use stockhold::{Confirm, Durability, Engine, HoldId, HoldState, OpKey, Position, Receive, Reserve};
use stockhold_seeded::{Rng, seed};

const THREADS: usize = 3;
const COPIES: usize = 4;

/// A sale: its op key, its hold, whether it was confirmed, and the position of its last record.
#[derive(Clone, Copy)]
struct Sale {
    op: OpKey,
    hold: HoldId,
    confirmed: bool,
    position: Position,
}

#[test]
fn a_copy_taken_while_sales_go_on_has_what_was_acknowledged_before_it_and_whole_operations_after() {
    let rng = Rng::new(seed());
    for durability in ON_DISK {
        let disk = Disk::new(durability);
        let scratch = tempfile::tempdir().unwrap();
        let shop = disk.open_with(|config| config.checkpoint_bytes(64 << 10));
        shop.receive(shop.key, 1_000_000);
        let (engine, key) = (&shop.engine, shop.key);
        let (over, sold) = (&AtomicBool::new(false), &AtomicUsize::new(0));
        let sell = |thread: usize| {
            let (mut rng, mut sales) = (rng.fork(thread), Vec::new());
            for number in 0_u128.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let op = OpKey((thread as u128) << 64 | number);
                let reserve = Reserve::units(key, 1 + rng.below_u32(3)).op_key(op).reference("order");
                let reserved = insist(|| engine.reserve(reserve)).unwrap();
                let mut position = reserved.position();
                let hold = reserved.not_yet_durable().hold;
                let confirmed = rng.below_u32(2) == 0;
                if confirmed {
                    position = insist(|| engine.confirm(Confirm::hold(hold))).unwrap().position();
                }
                sales.push(Sale { op, hold, confirmed, position });
                sold.fetch_add(1, Ordering::Relaxed);
                // Waits now and then, so that groups of all sizes are written.
                if rng.below_u32(8) == 0 {
                    engine.wait(position).unwrap();
                }
            }
            sales
        };
        let (sales, copies) = thread::scope(|scope| {
            let sellers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || sell(thread))).collect();
            let mut copies = Vec::new();
            for number in 0..COPIES {
                while sold.load(Ordering::Relaxed) < 500 * (number + 1) {
                    thread::yield_now();
                }
                // This reserve is behind everything that was answered before the backup.
                let op = OpKey(u128::MAX - number as u128);
                let reserve = Reserve::units(key, 1).op_key(op).reference("copy");
                let before = insist(|| engine.reserve(reserve)).unwrap();
                let before = (before.position(), before.not_yet_durable().hold);
                if number % 2 == 1 {
                    engine.checkpoint().unwrap();
                }
                let target = scratch.path().join(number.to_string());
                let end = engine.backup(&target).unwrap();
                assert!(before.0 <= end);
                copies.push((target, end, op, before.1));
            }
            over.store(true, Ordering::Relaxed);
            let sales: Vec<Sale> = sellers.into_iter().flat_map(|seller| seller.join().unwrap()).collect();
            (sales, copies)
        });
        shop.engine.shutdown().unwrap();

        for (target, end, op, hold) in copies {
            let found = Inspection::open(&target).unwrap();
            assert_eq!((found.drift(), found.report().end), (None, end));
            assert_eq!(found.report().directory_id, shop.engine.report().directory_id);
            let level = found.levels().next().unwrap().level;
            drop(found);

            let copy = Engine::open(&target, disk.config()).unwrap();
            assert_eq!(copy.report().checkpoint, Some(end));
            assert_eq!(copy.status(hold).unwrap().state, HoldState::Active);
            let again =
                copy.reserve(Reserve::units(key, 1).op_key(op).reference("copy")).unwrap().wait().unwrap();
            assert_eq!(again.hold, hold);
            let (mut held, mut committed) = (0, 0);
            for status in copy.holds_of("order").iter().chain(copy.holds_of("copy").iter()) {
                match status.state {
                    HoldState::Active => held += i64::from(status.quantity),
                    HoldState::Confirmed => committed += i64::from(status.quantity),
                    state => panic!("{state}"),
                }
            }
            assert_eq!((level.on_hand, level.held, level.committed), (1_000_000, held, committed));
            let mut before = 0;
            for sale in &sales {
                match copy.status(sale.hold) {
                    Ok(status) if sale.position <= end => {
                        before += 1;
                        let state = if sale.confirmed { HoldState::Confirmed } else { HoldState::Active };
                        assert_eq!(status.state, state);
                    }
                    // The confirm came after the copy.
                    Ok(status) => assert!(sale.confirmed && status.state == HoldState::Active),
                    Err(_) => assert!(sale.position > end, "{:?} at {} of {end}", sale.op, sale.position),
                }
            }
            assert!(before > 0);
        }
    }
}

/// A closed directory, and a copy of it that was made at rest.
fn copied(scratch: &Path) -> (Disk, PathBuf) {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.receive(shop.key, 9);
    let op = |number| Reserve::units(shop.key, 1).op_key(OpKey(number));
    shop.engine.reserve(op(1)).unwrap().wait().unwrap();
    shop.engine.checkpoint().unwrap();
    shop.engine.reserve(op(2)).unwrap().wait().unwrap();
    shop.engine.shutdown().unwrap();
    let target = scratch.join("copy");
    disk.inspect().backup(&target).unwrap();
    (disk, target)
}

#[test]
fn a_copy_at_rest_has_and_answers_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, target) = copied(scratch.path());
    let (source, copy) = (disk.inspect(), Inspection::open(&target).unwrap());
    assert_eq!(copy.drift(), None);
    let content = |found: &Inspection| {
        let report = found.report();
        let (end, records, time) = (report.end, report.records, report.time);
        let holds: Vec<_> =
            found.holds(time).unwrap().map(|entry| (entry.hold, entry.state, entry.deadline)).collect();
        (end, records, time, report.directory_id, report.epoch, holds)
    };
    assert_eq!(content(&source), content(&copy));
    assert!(source.levels().map(|entry| entry.level).eq(copy.levels().map(|entry| entry.level)));
    drop((source, copy));
    let (shop, copied_engine) = (disk.open(), Engine::open(&target, disk.config()).unwrap());
    for number in [1, 2] {
        let again = |engine: &Engine| {
            engine.reserve(Reserve::units(shop.key, 1).op_key(OpKey(number))).unwrap().wait().unwrap()
        };
        assert_eq!(again(&shop.engine), again(&copied_engine));
    }
    assert_eq!(copied_engine.available(shop.key), Ok(7));
}

#[test]
fn a_target_that_exists_or_lies_inside_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, target) = copied(scratch.path());
    let inspection = disk.inspect();
    let inside = disk.directory.path().join("copy");
    for taken in [&target, &inside, &disk.directory.path().to_owned()] {
        assert!(matches!(inspection.backup(taken), Err(BackupError::Exists(_))), "{taken:?}");
    }
    assert!(!inside.exists());
    drop(inspection);
    let shop = disk.open();
    let (folder, store) = (inside.with_file_name("checkpoint/copy"), inside.with_file_name("log/000000ff"));
    for taken in [&target, &inside, &folder, &store] {
        assert!(matches!(shop.engine.backup(taken), Err(BackupError::Exists(_))), "{taken:?}");
    }
    assert!(!inside.exists() && !folder.exists() && !store.exists());
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    shop.engine.backup(&file).unwrap_err();
    assert_eq!(fs::read(file).unwrap(), b"");
    fs::create_dir(scratch.path().join("empty")).unwrap();
    shop.engine.backup(scratch.path().join("empty")).unwrap();
}

#[test]
fn a_damaged_file_is_not_copied() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, _) = copied(scratch.path());
    let shop = disk.open();
    shop.engine.checkpoint().unwrap();
    let runs = files_under(&disk.directory.path().join("checkpoint"));
    let run = runs.iter().rfind(|path| path.to_str().unwrap().contains("holds-")).unwrap();
    flip(run);
    let failed = shop.engine.backup(scratch.path().join("other")).unwrap_err();
    assert!(matches!(&failed, BackupError::Failed(what) if what.contains("holds-")), "{failed}");
    Engine::open(scratch.path().join("other"), disk.config()).unwrap_err();
}

#[test]
fn an_engine_whose_directory_was_moved_away_leaves_the_one_in_its_place_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let (place, aside) = (scratch.path().join("shop"), scratch.path().join("aside"));
    let disk = Disk::new(Durability::Sync);
    let sell_in = |engine: &Engine| {
        let key = engine.declare("poster", "berlin").unwrap();
        engine.receive(Receive::units(key, 9)).unwrap().wait().unwrap();
        engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap();
    };
    let moved = Engine::open(&place, disk.config()).unwrap();
    sell_in(&moved);
    moved.checkpoint().unwrap();
    fs::rename(&place, &aside).unwrap();
    let engine = Engine::open(&place, disk.config()).unwrap();
    for _ in 0..2 {
        sell_in(&engine);
        engine.checkpoint().unwrap();
    }
    let checkpoints = place.join("checkpoint");
    let before = everything(&checkpoints);
    // It stops at this operation, or at one a moment later.
    let key = moved.key("poster", "berlin").unwrap();
    let _ = moved.receive(Receive::units(key, 9)).map(|receipt| receipt.wait());
    assert!(matches!(moved.checkpoint(), Err(CheckpointError::Failed(_) | CheckpointError::Stopped(_))));
    moved.backup(scratch.path().join("copy")).unwrap_err();
    drop(moved);
    assert!(everything(&checkpoints) == before);
    drop(engine);
    for (path, held) in [(&place, 2), (&aside, 1)] {
        assert_eq!(Engine::open(path, disk.config()).unwrap().report().holds_live, held);
    }
}

#[test]
fn a_copy_that_lacks_a_file_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, target) = copied(scratch.path());
    let mut names: Vec<_> = ["stockhold", "durable", "checkpoint"].map(String::from).to_vec();
    let runs = fs::read_dir(target.join("checkpoint")).unwrap();
    names.extend(runs.map(|entry| format!("checkpoint/{}", entry.unwrap().file_name().to_str().unwrap())));
    assert_eq!(names.len(), 3 + 5, "four runs and a manifest");
    for name in names {
        let (file, aside) = (target.join(&name), scratch.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        let refused = Engine::open(&target, disk.config());
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{name}: {refused:?}");
        fs::rename(&aside, &file).unwrap();
    }
    Engine::open(&target, disk.config()).unwrap();
}

#[test]
fn a_copy_that_was_interrupted_is_refused_and_never_taken_for_an_empty_shop() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, target) = copied(scratch.path());
    let runs = fs::read_dir(target.join("checkpoint")).unwrap();
    let mut written: Vec<_> = runs.map(|entry| entry.unwrap().path()).collect();
    // A backup writes the runs first, then the manifest, unlike the order of their names.
    written.sort_by_key(|path| path.to_str().unwrap().contains("manifest"));
    written.push(target.join("durable"));
    for copied in 1..=written.len() {
        let part = scratch.path().join(format!("part-{copied}"));
        for path in &written[..copied] {
            let to = part.join(path.strip_prefix(&target).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(path, to).unwrap();
        }
        let refused = Engine::open(&part, disk.config());
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{copied}: {refused:?}");
    }
}
