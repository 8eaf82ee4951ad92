//! The ledger: records that checkpoints remove from the log are kept for the set time, and disturb nothing
//! else.

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

/// What was answered, and what the log has to say of it.
#[derive(Clone, PartialEq, Debug)]
struct Said {
    position: Position,
    kind: EntryKind,
    hold: Option<HoldId>,
    units: i64,
}

/// Does `operations` by chance.
fn trade(shop: &Shop, rng: &mut Rng, operations: usize, said: &mut Vec<Said>) {
    let [poster, frame] = shop.keys();
    let mut say = |position, kind, hold, units| said.push(Said { position, kind, hold, units });
    for _ in 0..operations {
        match rng.below_u32(5) {
            0 => {
                let receipt = insist(|| shop.engine.receive(Receive::units(frame, 9))).unwrap();
                say(receipt.position(), EntryKind::Receive, None, 9);
            }
            1 => {
                let less = Adjust::by(poster, -1, AdjustReason::Count);
                if let Ok(receipt) = insist(|| shop.engine.adjust(less)) {
                    say(receipt.position(), EntryKind::Adjust, None, -1);
                }
            }
            2 => {
                let lines = cart(&[(poster, 1), (frame, 2)]);
                let request = ReserveCart::lines(&lines).reference("order-17");
                if let Ok(receipt) = insist(|| shop.engine.reserve_cart(request)) {
                    say(receipt.position(), EntryKind::Reserve, Some(receipt.not_yet_durable().hold), 3);
                }
            }
            _ => {
                let request = Reserve::units(poster, 2).reference("order-4711");
                let receipt = insist(|| shop.engine.reserve(request)).unwrap();
                let position = receipt.position();
                let hold = receipt.not_yet_durable().hold;
                say(position, EntryKind::Reserve, Some(hold), 2);
                let position = insist(|| shop.engine.confirm(hold)).unwrap().position();
                say(position, EntryKind::Confirm, Some(hold), 2);
                let position = insist(|| shop.engine.ship(hold)).unwrap().position();
                say(position, EntryKind::Ship, Some(hold), 2);
            }
        }
    }
}

/// All that a directory tells, from `from` on, but for what no operation was answered.
fn told(inspection: &Inspection, from: u64) -> Vec<Said> {
    let mut before = 0;
    let answered = inspection.log(Position(from)).filter_map(|entry| {
        let entry = entry.unwrap();
        assert!(entry.position.0 > before, "twice, or out of order");
        before = entry.position.0;
        match entry.kind {
            EntryKind::Opened | EntryKind::Declare | EntryKind::Void | EntryKind::Expire => None,
            kind => {
                let (position, hold, units) = (entry.position, entry.hold, entry.quantity.unwrap());
                Some(Said { position, kind, hold, units })
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

/// A shop whose every opening is `configure`d, and what happened in it.
fn history(disk: &Disk, rng: &mut Rng, lives: u32, configure: fn(Config) -> Config) -> Vec<Said> {
    let mut said = Vec::new();
    for life in 0..lives {
        let shop = disk.open_with(configure);
        if life == 0 {
            let position = shop.engine.receive(Receive::units(shop.key, 1 << 20)).unwrap().position();
            said.push(Said { position, kind: EntryKind::Receive, hold: None, units: 1 << 20 });
        }
        for _ in 0..1 + rng.below_u32(4) {
            let operations = 1 + rng.below_u32(3_000) as usize;
            trade(&shop, rng, operations, &mut said);
            if rng.below_u32(2) == 0 {
                shop.engine.checkpoint().unwrap();
            }
        }
        if rng.below_u32(2) == 0 {
            shop.engine.shutdown().unwrap();
        }
    }
    said
}

#[test]
fn ledger_and_log_have_every_entry_ever_written_once() {
    let mut rng = Rng::new(seed());
    for _ in 0..3 {
        let disk = disk();
        let said = history(&disk, &mut rng, 4, for_a_day);
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
        assert_eq!(told(&inspection, 0), said);
        let middle = said[said.len() / 2].position;
        assert_eq!(told(&inspection, middle.0), said[said.len() / 2..]);
        assert!(inspection.verify_ledger().unwrap() <= report.records);
        assert!(ledger_files(disk.directory.path()).len() <= 24);
    }
}

#[test]
fn what_is_older_than_was_set_goes_and_nothing_else() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let mut said = history(&disk, &mut rng, 1, for_a_day);
    let shop = disk.open_with(for_a_day);
    for _ in 0..6 {
        disk.clock.advance(DAY / 4);
        trade(&shop, &mut rng, 20_000, &mut said);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    let inspection = disk.inspect();
    let from = inspection.report().ledger_from.unwrap();
    let told = told(&inspection, 0);
    assert!(from > Position(0), "nothing went");
    let kept = &said[said.len() - told.len()..];
    assert!(said[said.len() - told.len() - 1].position <= from);
    for (told, said) in told.iter().zip(kept) {
        assert_eq!((told.position, told.units), (said.position, said.units));
        assert!(told.hold.is_none() || told.hold == said.hold);
    }
    // What is a day old at most is all there.
    let a_day_ago = inspection.report().time.0 - DAY.as_millis() as u64;
    let first = inspection.log(from).next().unwrap().unwrap();
    assert!(first.at.unwrap().0 <= a_day_ago, "what was to be kept is gone");
    inspection.verify_ledger().unwrap();
}

#[test]
fn a_limit_in_bytes_holds_whatever_the_time_says() {
    const BYTES_MAX: u64 = 1 << 20;
    let disk = disk();
    let limited = |config| for_a_day(config).ledger_bytes_max(Some(BYTES_MAX));
    let (mut rng, mut said) = (Rng::new(seed()), Vec::new());
    let shop = disk.open_with(limited);
    shop.receive(shop.key, 1 << 20);
    for _ in 0..12 {
        trade(&shop, &mut rng, 4_000, &mut said);
        shop.engine.checkpoint().unwrap();
        assert!(shop.engine.metrics().ledger_bytes <= BYTES_MAX);
    }
    drop(shop);
    let inspection = disk.inspect();
    assert!(inspection.report().ledger_from.unwrap() > Position(0));
    inspection.verify_ledger().unwrap();
}

#[test]
fn a_damaged_or_missing_file_stops_nothing_and_verify_names_it() {
    let mut rng = Rng::new(seed());
    let harms: [fn(&Path); 3] = [
        flip,
        |path| fs::remove_file(path).unwrap(),
        |path| change(path, |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    let disk = disk();
    let mut said = history(&disk, &mut rng, 1, for_a_day);
    for _ in 0..4 {
        disk.clock.advance(DAY / 7);
        let shop = disk.open_with(for_a_day);
        trade(&shop, &mut rng, 2_000, &mut said);
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
                // A file that only the checkpoint before names.
                Ok(_) => continue,
                Err(error) => panic!("{error}"),
            };
            harmed += 1;
            let last = inspection.log(Position(0)).map_while(Result::ok).last();
            assert_eq!(last.map(|last| last.position), readable, "it is shown up to there");
            let log_from = inspection.report().from;
            assert!(said.ends_with(&told(&inspection, log_from.0)), "the log is there");
            drop(inspection);

            let disk = Disk { directory: copy, clock: disk.clock.clone(), durability: disk.durability };
            let (shop, mut said) = (disk.open_with(for_a_day), said.clone());
            assert_eq!(shop.engine.report().checkpoints_rejected, [""; 0]);
            for _ in 0..3 {
                trade(&shop, &mut rng, 300, &mut said);
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
    let mut said = history(&disk, &mut rng, 2, for_a_day);
    let scratch = tempfile::tempdir().unwrap();
    let [online, offline, damaged, salvaged] =
        ["online", "offline", "damaged", "salvaged"].map(|name| scratch.path().join(name));
    let shop = disk.open_with(for_a_day);
    trade(&shop, &mut rng, 1_000, &mut said);
    shop.engine.backup(&online).unwrap();
    let before = said.clone();
    trade(&shop, &mut rng, 1_000, &mut said);
    drop(shop);
    disk.inspect().backup(&offline).unwrap();
    copied(disk.directory.path(), &damaged);
    fs::remove_file(damaged.join("durable")).unwrap();
    let report = salvage(&damaged, &salvaged).unwrap();
    assert_eq!(report.ledger_files_lost, 0);
    for (copy, said) in [(&online, &before), (&offline, &said), (&salvaged, &said)] {
        let inspection = Inspection::open(copy).unwrap();
        assert_eq!(told(&inspection, 0), **said, "{copy:?}");
        inspection.verify_ledger().unwrap();
    }
    // And it goes on there.
    let config = for_a_day(disk.config());
    let engine = stockhold::Engine::open(&offline, config).unwrap();
    let shop = Shop { key: engine.key("poster", "berlin").unwrap(), engine, clock: disk.clock.clone() };
    for _ in 0..3 {
        trade(&shop, &mut rng, 300, &mut said);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    assert_eq!(told(&Inspection::open(&offline).unwrap(), 0), said);
}

#[test]
fn a_salvage_leaves_behind_what_lies_before_a_damaged_file() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let said = history(&disk, &mut rng, 2, for_a_day);
    disk.open_with(for_a_day).engine.checkpoint().unwrap();
    // The oldest that the newest checkpoint names: the one before may name another, which is past its day.
    let files = ledger_files(disk.directory.path());
    let named = disk.inspect().report().ledger_files as usize;
    flip(&files[files.len() - named]);
    fs::remove_file(disk.directory.path().join("durable")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let report = salvage(disk.directory.path(), scratch.path()).unwrap();
    assert_eq!(report.ledger_files_lost, 1);
    let inspection = Inspection::open(scratch.path()).unwrap();
    inspection.verify_ledger().unwrap();
    let positions = |said: &[Said]| said.iter().map(|said| said.position).collect::<Vec<_>>();
    assert!(positions(&said).ends_with(&positions(&told(&inspection, 0))));
}

#[test]
fn it_begins_when_it_is_set_and_its_files_go_when_it_is_not() {
    let disk = disk();
    let mut rng = Rng::new(seed());
    let short = |config: Config| config.checkpoint_bytes(64 << 10);
    let mut said = history(&disk, &mut rng, 2, short);
    disk.open_with(short).engine.checkpoint().unwrap();
    assert_eq!(ledger_files(disk.directory.path()).len(), 0);
    let begun = disk.inspect().report().checkpoint.unwrap();

    let shop = disk.open_with(for_a_day);
    for _ in 0..3 {
        trade(&shop, &mut rng, 500, &mut said);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    let inspection = disk.inspect();
    assert_eq!(inspection.report().ledger_from, Some(begun));
    let later = said.iter().position(|said| said.position > begun).unwrap();
    assert_eq!(told(&inspection, 0), said[later..]);
    drop(inspection);

    let shop = disk.open_with(short);
    for _ in 0..2 {
        trade(&shop, &mut rng, 10, &mut said);
        shop.engine.checkpoint().unwrap();
    }
    drop(shop);
    assert_eq!(ledger_files(disk.directory.path()).len(), 0);
    let inspection = disk.inspect();
    assert_eq!((inspection.report().ledger_from, inspection.report().ledger_files), (None, 0));
    assert!(said.ends_with(&told(&inspection, 0)));
}
