//! The ledger: records that checkpoints have cut off the log, kept for the configured time.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::damage::{change, copied, flip};
use common::{Disk, Shop, cart, insist};
use stockhold::error::OpenError;
use stockhold::inspect::{EntryKind, Inspection};
use stockhold::salvage::salvage;
use stockhold::{Adjust, AdjustReason, Config, Durability, HoldId, Position, Receive, Reserve, ReserveCart};
use stockhold_seeded::{Rng, seed};

const DAY: Duration = Duration::from_secs(86_400);

fn for_a_day(config: Config) -> Config {
    config.checkpoint_bytes(64 << 10).ledger_kept(Some(DAY))
}

fn disk() -> Disk {
    Disk::new(Durability::Interval(Duration::from_millis(20)))
}

/// An operation that was answered, as its entry in the log must show it.
#[derive(Clone, PartialEq, Debug)]
struct LogEntry {
    position: Position,
    kind: EntryKind,
    hold: Option<HoldId>,
    units: i64,
}

/// Does `operations` at random, and adds their entries to `expected`.
fn trade(shop: &Shop, rng: &mut Rng, operations: usize, expected: &mut Vec<LogEntry>) {
    let [poster, frame] = shop.keys();
    let mut add = |position, kind, hold, units| expected.push(LogEntry { position, kind, hold, units });
    for _ in 0..operations {
        match rng.below_u32(5) {
            0 => {
                let receipt = insist(|| shop.engine.receive(Receive::units(frame, 9))).unwrap();
                add(receipt.position(), EntryKind::Receive, None, 9);
            }
            1 => {
                let less = Adjust::by(poster, -1, AdjustReason::Count);
                if let Ok(receipt) = insist(|| shop.engine.adjust(less)) {
                    add(receipt.position(), EntryKind::Adjust, None, -1);
                }
            }
            2 => {
                let lines = cart(&[(poster, 1), (frame, 2)]);
                let request = ReserveCart::lines(&lines).reference("order-17");
                if let Ok(receipt) = insist(|| shop.engine.reserve_cart(request)) {
                    add(receipt.position(), EntryKind::Reserve, Some(receipt.not_yet_durable().hold), 3);
                }
            }
            _ => {
                let request = Reserve::units(poster, 2).reference("order-4711");
                let receipt = insist(|| shop.engine.reserve(request)).unwrap();
                let position = receipt.position();
                let hold = receipt.not_yet_durable().hold;
                add(position, EntryKind::Reserve, Some(hold), 2);
                let position = insist(|| shop.engine.confirm(hold)).unwrap().position();
                add(position, EntryKind::Confirm, Some(hold), 2);
                let position = insist(|| shop.engine.ship(hold)).unwrap().position();
                add(position, EntryKind::Ship, Some(hold), 2);
            }
        }
    }
}

/// The entries of a directory from `from` on, without those that belong to no answer.
fn read_entries(inspection: &Inspection, from: u64) -> Vec<LogEntry> {
    let mut before = 0;
    let answered = inspection.log(Position(from)).filter_map(|entry| {
        let entry = entry.unwrap();
        assert!(entry.position.0 > before, "the entry is repeated or out of order");
        before = entry.position.0;
        match entry.kind {
            EntryKind::Opened | EntryKind::Declare | EntryKind::Void | EntryKind::Expire => None,
            kind => {
                let (position, hold, units) = (entry.position, entry.hold, entry.quantity.unwrap());
                Some(LogEntry { position, kind, hold, units })
            }
        }
    });
    answered.collect()
}

fn ledger_files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("checkpoint")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ledger-")).collect();
    files.sort();
    files
}

/// Trades in `lives` openings with the settings of `configure`. Returns the entries of all operations.
fn history(disk: &Disk, rng: &mut Rng, lives: u32, configure: fn(Config) -> Config) -> Vec<LogEntry> {
    let mut expected = Vec::new();
    for life in 0..lives {
        let shop = disk.open_with(configure);
        if life == 0 {
            let position = shop.engine.receive(Receive::units(shop.key, 1 << 20)).unwrap().position();
            expected.push(LogEntry { position, kind: EntryKind::Receive, hold: None, units: 1 << 20 });
        }
        for _ in 0..1 + rng.below_u32(4) {
            let operations = 1 + rng.below_u32(3_000) as usize;
            trade(&shop, rng, operations, &mut expected);
            if rng.below_u32(2) == 0 {
                shop.engine.checkpoint().unwrap();
            }
        }
        if rng.below_u32(2) == 0 {
            shop.engine.shutdown().unwrap();
        }
    }
    expected
}

#[test]
fn ledger_and_log_have_every_entry_once() {
    let mut rng = Rng::new(seed());
    for _ in 0..3 {
        let disk = disk();
        let expected = history(&disk, &mut rng, 4, for_a_day);
        // A last checkpoint cuts the log behind the others.
        let shop = disk.open_with(for_a_day);
        shop.engine.checkpoint().unwrap();
        shop.engine.checkpoint().unwrap();
        let bytes = shop.engine.metrics().ledger_bytes;
        drop(shop);
        let inspection = disk.inspect();
        let report = inspection.report();
        assert_eq!((report.ledger_from, report.ledger_bytes), (Some(Position(0)), bytes));
        assert!(report.from > Position(0), "the log was never cut");
        assert_eq!(inspection.log(Position(0)).count() as u64, report.records);
        assert_eq!(read_entries(&inspection, 0), expected);
        let middle = expected[expected.len() / 2].position;
        assert_eq!(read_entries(&inspection, middle.0), expected[expected.len() / 2..]);
        assert!(inspection.verify_ledger().unwrap() <= report.records);
        assert!(ledger_files(disk.directory.path()).len() <= 24);
    }
}

#[test]
fn only_entries_older_than_the_configured_time_are_removed() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let mut expected = history(&disk, &mut rng, 1, for_a_day);
    let shop = disk.open_with(for_a_day);
    for _ in 0..6 {
        disk.clock.advance(DAY / 4);
        trade(&shop, &mut rng, 20_000, &mut expected);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    let inspection = disk.inspect();
    let from = inspection.report().ledger_from.unwrap();
    let kept = read_entries(&inspection, 0);
    assert!(from > Position(0), "nothing was removed");
    let removed = expected.len() - kept.len();
    assert!(expected[removed - 1].position <= from);
    for (entry, expected) in kept.iter().zip(&expected[removed..]) {
        assert_eq!((entry.position, entry.units), (expected.position, expected.units));
        assert!(entry.hold.is_none() || entry.hold == expected.hold);
    }
    // All entries of the last day are there.
    let a_day_ago = inspection.report().time.0 - DAY.as_millis() as u64;
    let first = inspection.log(from).next().unwrap().unwrap();
    assert!(first.at.unwrap().0 <= a_day_ago, "an entry of the last day is gone");
    inspection.verify_ledger().unwrap();
}

#[test]
fn a_limit_in_bytes_holds_whatever_the_configured_time() {
    const BYTES_MAX: u64 = 1 << 20;
    let disk = disk();
    let limited = |config| for_a_day(config).ledger_bytes_max(Some(BYTES_MAX));
    let (mut rng, mut expected) = (Rng::new(seed()), Vec::new());
    let shop = disk.open_with(limited);
    shop.receive(shop.key, 1 << 20);
    for _ in 0..12 {
        trade(&shop, &mut rng, 4_000, &mut expected);
        shop.engine.checkpoint().unwrap();
        assert!(shop.engine.metrics().ledger_bytes <= BYTES_MAX);
    }
    drop(shop);
    let inspection = disk.inspect();
    assert!(inspection.report().ledger_from.unwrap() > Position(0));
    inspection.verify_ledger().unwrap();
}

#[test]
fn a_damaged_or_missing_file_stops_no_engine_and_verify_names_its_position() {
    let mut rng = Rng::new(seed());
    let harms: [fn(&Path); 3] = [
        flip,
        |path| fs::remove_file(path).unwrap(),
        |path| change(path, |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    let disk = disk();
    let mut expected = history(&disk, &mut rng, 1, for_a_day);
    for _ in 0..4 {
        disk.clock.advance(DAY / 7);
        let shop = disk.open_with(for_a_day);
        trade(&shop, &mut rng, 2_000, &mut expected);
        shop.engine.checkpoint().unwrap();
    }
    let (whole, named) = (disk.directory.path().to_owned(), disk.inspect().report().ledger_files);
    for harm in harms {
        let mut harmed = 0;
        for file in ledger_files(&whole) {
            let copy = tempfile::tempdir().unwrap();
            copied(&whole, copy.path());
            harm(&copy.path().join(file.strip_prefix(&whole).unwrap()));
            let inspection = Inspection::open(copy.path()).unwrap();
            let readable = match inspection.verify_ledger() {
                Err(OpenError::Damaged { readable, .. }) => readable,
                // Only the older checkpoint names this file.
                Ok(_) => continue,
                Err(error) => panic!("{error}"),
            };
            harmed += 1;
            let last = inspection.log(Position(0)).map_while(Result::ok).last();
            assert_eq!(
                last.map(|last| last.position),
                readable,
                "an inspection shows the entries up to there"
            );
            let log_from = inspection.report().from;
            assert!(expected.ends_with(&read_entries(&inspection, log_from.0)), "the log is complete");
            drop(inspection);

            let disk = Disk { directory: copy, clock: disk.clock.clone(), durability: disk.durability };
            let (shop, mut expected) = (disk.open_with(for_a_day), expected.clone());
            assert_eq!(shop.engine.report().checkpoints_rejected, [""; 0]);
            for _ in 0..3 {
                trade(&shop, &mut rng, 300, &mut expected);
                shop.engine.checkpoint().unwrap();
            }
            shop.engine.verify().unwrap();
            assert_eq!(shop.engine.metrics().checkpoint_failure, None);
        }
        assert_eq!(harmed, named);
    }
}

#[test]
fn a_copy_has_the_ledger_too() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let mut expected = history(&disk, &mut rng, 2, for_a_day);
    let scratch = tempfile::tempdir().unwrap();
    let [online, offline, damaged, salvaged] =
        ["online", "offline", "damaged", "salvaged"].map(|name| scratch.path().join(name));
    let shop = disk.open_with(for_a_day);
    trade(&shop, &mut rng, 1_000, &mut expected);
    shop.engine.backup(&online).unwrap();
    let before = expected.clone();
    trade(&shop, &mut rng, 1_000, &mut expected);
    drop(shop);
    disk.inspect().backup(&offline).unwrap();
    copied(disk.directory.path(), &damaged);
    fs::remove_file(damaged.join("durable")).unwrap();
    let report = salvage(&damaged, &salvaged).unwrap();
    assert_eq!(report.ledger_files_lost, 0);
    for (copy, expected) in [(&online, &before), (&offline, &expected), (&salvaged, &expected)] {
        let inspection = Inspection::open(copy).unwrap();
        assert_eq!(read_entries(&inspection, 0), **expected, "{copy:?}");
        inspection.verify_ledger().unwrap();
    }
    // The copy continues the ledger.
    let config = for_a_day(disk.config());
    let engine = stockhold::Engine::open(&offline, config).unwrap();
    let shop = Shop { key: engine.key("poster", "berlin").unwrap(), engine, clock: disk.clock.clone() };
    for _ in 0..3 {
        trade(&shop, &mut rng, 300, &mut expected);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    assert_eq!(read_entries(&Inspection::open(&offline).unwrap(), 0), expected);
}

#[test]
fn a_salvage_leaves_behind_what_lies_before_a_damaged_file() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let expected = history(&disk, &mut rng, 2, for_a_day);
    disk.open_with(for_a_day).engine.checkpoint().unwrap();
    // The oldest file that the newest checkpoint names. The older checkpoint may name one that is past its
    // day.
    let files = ledger_files(disk.directory.path());
    let named = disk.inspect().report().ledger_files as usize;
    flip(&files[files.len() - named]);
    fs::remove_file(disk.directory.path().join("durable")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let report = salvage(disk.directory.path(), scratch.path()).unwrap();
    assert_eq!(report.ledger_files_lost, 1);
    let inspection = Inspection::open(scratch.path()).unwrap();
    inspection.verify_ledger().unwrap();
    let positions = |entries: &[LogEntry]| entries.iter().map(|entry| entry.position).collect::<Vec<_>>();
    assert!(positions(&expected).ends_with(&positions(&read_entries(&inspection, 0))));
}

#[test]
fn the_ledger_begins_when_it_is_configured_and_is_removed_when_it_is_not() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let short = |config: Config| config.checkpoint_bytes(64 << 10);
    let mut expected = history(&disk, &mut rng, 2, short);
    disk.open_with(short).engine.checkpoint().unwrap();
    assert_eq!(ledger_files(disk.directory.path()).len(), 0);
    let begun = disk.inspect().report().checkpoint.unwrap();

    let shop = disk.open_with(for_a_day);
    for _ in 0..3 {
        trade(&shop, &mut rng, 500, &mut expected);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    let inspection = disk.inspect();
    assert_eq!(inspection.report().ledger_from, Some(begun));
    let later = expected.iter().position(|entry| entry.position > begun).unwrap();
    assert_eq!(read_entries(&inspection, 0), expected[later..]);
    drop(inspection);

    let shop = disk.open_with(short);
    for _ in 0..2 {
        trade(&shop, &mut rng, 10, &mut expected);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    assert_eq!(ledger_files(disk.directory.path()).len(), 0);
    let inspection = disk.inspect();
    assert_eq!((inspection.report().ledger_from, inspection.report().ledger_files), (None, 0));
    assert!(expected.ends_with(&read_entries(&inspection, 0)));
}
