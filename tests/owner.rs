//! A directory has one owner, whatever is removed or renamed under it, and nothing is acknowledged into files
//! that have no name any more.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use common::{Disk, ON_DISK, SECOND, insist};
use stockhold::error::{OpenError, ReserveError, SharedError};
use stockhold::inspect::Inspection;
use stockhold::salvage::salvage;
use stockhold::{Durability, Engine, HoldId, Position, Receive, Reserve};

/// Everything that can be removed from a directory one by one.
fn parts(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

#[track_caller]
fn in_use(directory: &Path, disk: &Disk) {
    let ours = std::process::id();
    let refused = Engine::open(directory, disk.config()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { pid: Some(pid), .. } if pid == ours), "{refused}");
}

#[test]
fn no_second_engine_opens_whatever_was_removed_from_the_directory() {
    for part in ["lock", "stockhold", "durable", "log", "checkpoint", "everything"] {
        let disk = Disk::new(Durability::Sync);
        let shop = disk.open();
        shop.engine.receive(Receive::units(shop.key, 10)).unwrap().wait().unwrap();
        shop.engine.checkpoint().unwrap();
        let directory = disk.directory.path();
        let removed: Vec<_> = parts(directory)
            .into_iter()
            .filter(|path| part == "everything" || path.ends_with(part))
            .collect();
        assert!(!removed.is_empty(), "{part}");
        removed.iter().for_each(|path| remove(path));
        in_use(directory, &disk);
        drop(shop);
    }
}

#[test]
fn no_second_engine_opens_a_directory_under_another_name_or_its_content_in_another_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::new(Durability::Sync);
    let directory = scratch.path().join("stock");
    let engine = Engine::open(&directory, disk.config()).unwrap();
    let moved = scratch.path().join("moved");
    fs::rename(&directory, &moved).unwrap();
    in_use(&moved, &disk);
    let content = scratch.path().join("content");
    fs::create_dir(&content).unwrap();
    for part in parts(&moved) {
        fs::rename(&part, content.join(part.file_name().unwrap())).unwrap();
    }
    fs::remove_file(content.join("lock")).unwrap();
    in_use(&content, &disk);
    assert!(engine.shutdown().is_err(), "its directory is gone");
    drop(engine);
    Engine::open(&content, disk.config()).unwrap();
}

#[test]
fn an_engine_that_ends_gives_its_directory_up() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.engine.shutdown().unwrap();
    let second = disk.open();
    in_use(disk.directory.path(), &disk);
    drop((second, shop));
}

type TakeAway = fn(&Path);

/// Ways in which another process takes a directory away.
const AWAY: [(&str, TakeAway); 8] = [
    ("all of it removed", |directory| fs::remove_dir_all(directory).unwrap()),
    ("its log removed", |directory| fs::remove_dir_all(directory.join("log")).unwrap()),
    ("its log moved away", |directory| fs::rename(directory.join("log"), directory.join("log.old")).unwrap()),
    ("its sidecar removed", |directory| fs::remove_file(directory.join("durable")).unwrap()),
    ("its identity removed", |directory| fs::remove_file(directory.join("stockhold")).unwrap()),
    ("its identity replaced", |directory| {
        let (identity, copy) = (directory.join("stockhold"), directory.join("stockhold.tmp"));
        fs::copy(&identity, &copy).unwrap();
        fs::rename(&copy, &identity).unwrap();
    }),
    ("moved away", |directory| fs::rename(directory, directory.with_extension("moved")).unwrap()),
    ("another at its place", |directory| {
        fs::rename(directory, directory.with_extension("moved")).unwrap();
        fs::create_dir(directory).unwrap();
    }),
];

#[test]
fn nothing_is_acknowledged_into_files_that_have_no_name_any_more() {
    for durability in ON_DISK {
        for (what, take_away) in AWAY {
            let scratch = tempfile::tempdir().unwrap();
            let directory = scratch.path().join("stock");
            let disk = Disk::new(durability);
            let engine = Engine::open(&directory, disk.config()).unwrap();
            let key = engine.declare("mug", "berlin").unwrap();
            engine.receive(Receive::units(key, 1_000_000)).unwrap().wait().unwrap();
            let reserve = || insist(|| engine.reserve(Reserve::units(key, 1)));
            let before: HoldId = reserve().unwrap().wait().unwrap().hold;
            take_away(&directory);
            // A path is looked at now and then only; what is found stops everything.
            let stopped = loop {
                match reserve() {
                    Ok(receipt) => match receipt.wait() {
                        Ok(_) => {}
                        Err(unknown) => break unknown.to_string(),
                    },
                    Err(ReserveError::Shared(SharedError::Stopped(stopped))) => break stopped.to_string(),
                    Err(error) => panic!("{what}: {error}"),
                }
            };
            assert!(stopped.contains("removed, moved or replaced"), "{what}: {stopped}");
            assert!(engine.status(before).is_ok(), "reads go on");
            assert!(engine.shutdown().is_err(), "{what}");
        }
    }
}

#[test]
fn a_shutdown_without_a_directory_is_an_error_even_if_nothing_happened_since() {
    for (what, take_away) in AWAY {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("stock");
        let engine = Engine::open(&directory, Disk::new(Durability::Sync).config()).unwrap();
        let key = engine.declare("mug", "berlin").unwrap();
        engine.receive(Receive::units(key, 5)).unwrap().wait().unwrap();
        take_away(&directory);
        assert!(engine.shutdown().is_err(), "{what}");
    }
}

#[test]
fn a_reader_that_finds_an_engine_says_so_whatever_was_removed() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    let directory = disk.directory.path();
    fs::remove_file(directory.join("lock")).unwrap();
    assert!(matches!(Inspection::open(directory), Err(OpenError::InUse { .. })));
    let target = directory.with_extension("new");
    assert!(salvage(directory, &target).is_err());
    drop(shop);
}

/// What an inspection says of a directory.
fn read(inspection: &Inspection) -> (String, u64, u64) {
    let log = inspection.log(Position(0)).map(|entry| format!("{:?}\n", entry.unwrap())).collect();
    (log, inspection.levels().count() as u64, inspection.verify_ledger().unwrap())
}

#[test]
fn a_reader_keeps_no_engine_from_opening_and_goes_on_with_the_directory_as_it_was() {
    let disk = Disk::new(Durability::Sync);
    let directory = disk.directory.path();
    let sale = || {
        let shop = disk.open_with(|config| config.ledger_kept(Some(1_000_000 * SECOND)));
        shop.engine.receive(Receive::units(shop.key, 50)).unwrap().wait().unwrap();
        (0..20).for_each(|_| {
            shop.reserve(1);
        });
        shop
    };
    for _ in 0..3 {
        sale().engine.checkpoint().unwrap();
    }
    let inspection = Inspection::open(directory).unwrap();
    let before = read(&inspection);
    // Each of these removes files that the reader has opened.
    for _ in 0..3 {
        let shop = sale();
        shop.engine.checkpoint().unwrap();
        shop.engine.checkpoint().unwrap();
        assert_eq!(read(&inspection), before);
    }
    let shop = sale();
    assert_eq!(read(&inspection), before);
    let scratch = tempfile::tempdir().unwrap();
    assert_eq!(inspection.backup(scratch.path().join("copy")).unwrap(), inspection.report().end);
    assert!(
        matches!(Inspection::open(directory), Err(OpenError::InUse { .. })),
        "an engine writes there now"
    );
    drop(shop);
}

/// The user and group of the kernel's `nobody`.
const SHOP: u32 = 65_534;

fn give(path: &Path) {
    if path.is_dir() {
        parts(path).iter().for_each(|part| give(part));
    }
    chown(path, Some(SHOP), Some(SHOP)).unwrap();
}

#[track_caller]
fn assert_given(path: &Path) {
    let found = fs::symlink_metadata(path).unwrap();
    assert_eq!((found.uid(), found.gid()), (SHOP, SHOP), "{path:?}");
    if path.is_dir() {
        parts(path).iter().for_each(|part| assert_given(part));
    }
}

#[test]
fn what_root_creates_in_a_shops_directory_belongs_to_the_shop() {
    let scratch = tempfile::tempdir().unwrap();
    if chown(scratch.path(), Some(SHOP), Some(SHOP)).is_err() {
        println!("skipped: only root may give files away");
        return;
    }
    let disk = Disk::new(Durability::Sync);
    let directory = scratch.path().join("stock");
    let sale = || {
        let engine = Engine::open(&directory, disk.config()).unwrap();
        let key = engine.declare("mug", "berlin").unwrap();
        engine.receive(Receive::units(key, 5)).unwrap().wait().unwrap();
        engine.checkpoint().unwrap();
        engine
    };
    let engine = sale();
    engine.backup(scratch.path().join("copy")).unwrap();
    assert_given(scratch.path());
    engine.shutdown().unwrap();
    // A directory of the shop's own, in a folder of root's.
    chown(scratch.path(), Some(0), Some(0)).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    give(&directory);
    drop(sale());
    drop(sale());
    assert_given(&directory);
    salvage(&directory, scratch.path().join("salvaged")).unwrap();
    assert_eq!(
        fs::metadata(scratch.path().join("salvaged")).unwrap().uid(),
        0,
        "a folder of root's stays so"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_path() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("stock");
    fs::create_dir(&directory).unwrap();
    // A folder where the log's file should be.
    fs::create_dir_all(directory.join("log/00000001/db")).unwrap();
    let refused = Engine::open(&directory, Disk::new(Durability::Sync).config()).unwrap_err();
    assert!(refused.to_string().contains("log/00000001/db"), "{refused}");
}
