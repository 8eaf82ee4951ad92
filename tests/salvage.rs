//! Salvages directories that were damaged in many ways.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::damage::{
    change, chunk_behind, copied, damage_chunks, everything, files_under, flip, newest_store, store,
};
use common::{Disk, insist, still};
use stockhold::error::{OpenError, SalvageError};
use stockhold::inspect::Inspection;
use stockhold::salvage::{SalvageReport, salvage};
use stockhold::{Confirm, Durability, Engine, HoldId, OpKey, Position, Reserve};
use stockhold_seeded::{Rng, seed};
use tempfile::TempDir;

const UNITS: i64 = 10_000;

/// A closed directory, and the operations acknowledged in it.
struct Past {
    disk: Disk,
    /// Held and committed units after each position.
    levels: BTreeMap<u64, (i64, i64)>,
    /// The hold of op key `n` at index `n`, with its position.
    holds: Vec<(HoldId, Position)>,
    /// The positions of the checkpoints, the oldest first.
    checkpoints: Vec<u64>,
    end: u64,
}

/// Sales in two openings, with checkpoints after some of them.
fn past(checkpoints_at: &[usize]) -> Past {
    let disk = Disk::new(Durability::Sync);
    let mut past = Past { levels: BTreeMap::new(), holds: Vec::new(), checkpoints: Vec::new(), end: 0, disk };
    let mut shop = past.disk.open();
    shop.receive(shop.key, UNITS as u32);
    let mut level = (0, 0);
    past.levels.insert(0, level);
    for number in 0..120 {
        if number == 60 {
            shop.engine.shutdown().unwrap();
            shop = past.disk.open();
        }
        let reserve =
            Reserve::units(shop.key, 1 + number % 3).op_key(OpKey(number.into())).reference("order");
        let reserved = shop.engine.reserve(reserve).unwrap();
        let position = reserved.position();
        let hold = reserved.wait().unwrap().hold;
        past.holds.push((hold, position));
        let units = i64::from(1 + number % 3);
        level.0 += units;
        past.levels.insert(position.0, level);
        if number % 4 == 0 {
            let confirmed = shop.engine.confirm(Confirm::hold(hold)).unwrap();
            let position = confirmed.position();
            confirmed.wait().unwrap();
            level = (level.0 - units, level.1 + units);
            past.levels.insert(position.0, level);
        }
        if checkpoints_at.contains(&(number as usize)) {
            past.checkpoints.push(shop.engine.checkpoint().unwrap().0);
        }
    }
    shop.engine.shutdown().unwrap();
    drop(shop);
    past.end = past.disk.inspect().report().end.0;
    past
}

/// Sales without waits, so that a group has many chunks, in three openings.
fn large_groups() -> Past {
    let disk = Disk::new(Durability::Sync);
    let mut past = Past { levels: BTreeMap::new(), holds: Vec::new(), checkpoints: Vec::new(), end: 0, disk };
    past.levels.insert(0, (0, 0));
    let mut held = 0;
    for round in 0..3 {
        let shop = past.disk.open_with(|config| config.op_keys_max(100_000));
        if round == 0 {
            shop.receive(shop.key, 2 * UNITS as u32);
        }
        for _ in 0..3_000 {
            let number = past.holds.len() as u32;
            let op = OpKey(number.into());
            let reserve = Reserve::units(shop.key, 1 + number % 3).op_key(op).reference("order");
            let reserved = insist(|| shop.engine.reserve(reserve)).unwrap();
            held += i64::from(1 + number % 3);
            past.levels.insert(reserved.position().0, (held, 0));
            past.holds
                .push((reserved.not_yet_durable().hold, Position(*past.levels.keys().next_back().unwrap())));
        }
        if round == 1 {
            past.checkpoints.push(shop.engine.checkpoint().unwrap().0);
        }
        shop.engine.shutdown().unwrap();
    }
    past.end = past.disk.inspect().report().end.0;
    past
}

impl Past {
    fn log(&self) -> PathBuf {
        newest_store(self.disk.directory.path())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.disk.directory.path().join(name)
    }

    fn files(&self, start: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.file("checkpoint"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start))
            .collect();
        files.sort();
        files
    }

    /// Salvages the directory, and checks the new one against the acknowledged operations.
    #[track_caller]
    fn salvage(&self) -> (SalvageReport, TempDir) {
        let scratch = tempfile::tempdir().unwrap();
        let target = scratch.path().join("new");
        let before = everything(self.disk.directory.path());
        let report = salvage(self.disk.directory.path(), &target).unwrap();
        assert!(everything(self.disk.directory.path()) == before, "the source has changed");
        self.check(&report, &target);
        (report, scratch)
    }

    #[track_caller]
    fn check(&self, report: &SalvageReport, target: &Path) {
        let found = Inspection::open(target).unwrap();
        assert_eq!((found.drift(), found.report().end), (None, report.end), "{report}");
        let expected = self.levels.range(..=report.end.0).next_back().unwrap().1;
        let level = found.levels().next().map(|entry| (entry.level.held, entry.level.committed));
        assert_eq!(level.unwrap_or_default(), *expected, "{report}");
        assert_eq!(
            report.acknowledged.0 <= report.end.0,
            report.missing.is_empty() && report.unapplied.is_empty()
        );
        drop(found);

        let engine = Engine::open(target, still(&self.disk.clock)).unwrap();
        let Ok(key) = engine.key("poster", "berlin") else { return };
        for (number, (hold, position)) in self.holds.iter().enumerate() {
            if *position > report.end {
                assert!(engine.status(*hold).is_err());
                continue;
            }
            assert_eq!(engine.status(*hold).is_ok(), report.identity_lost.is_none());
            let again =
                Reserve::units(key, 1 + number as u32 % 3).op_key(OpKey(number as u128)).reference("order");
            let again = engine.reserve(again).unwrap().wait().unwrap();
            assert_eq!(again.hold == *hold, report.identity_lost.is_none());
            assert!(engine.status(again.hold).is_ok());
        }
        let known = self.holds.iter().filter(|(_, position)| *position <= report.end).count();
        assert_eq!(report.op_keys, known as u64);
        engine.reserve(Reserve::units(key, 1)).unwrap().wait().unwrap();
        engine.shutdown().unwrap();
        assert_eq!(Inspection::open(target).unwrap().drift(), None);
    }
}

#[test]
fn an_undamaged_directory_is_salvaged_completely() {
    for checkpoints_at in [&[][..], &[30], &[30, 90]] {
        let past = past(checkpoints_at);
        let (report, _target) = past.salvage();
        assert!(report.is_complete(), "{report}");
        assert_eq!((report.end.0, report.acknowledged.0), (past.end, past.end));
        assert_eq!(report.checkpoint.map(|position| position.0), past.checkpoints.last().copied());
        assert_eq!(
            (&report.missing[..], &report.unapplied[..], report.contradiction.clone()),
            (&[][..], &[][..], None)
        );
        assert!(report.to_string().contains("nothing acknowledged is missing"), "{report}");
    }
}

#[test]
fn the_log_is_read_although_the_store_by_itself_would_open_empty() {
    let past = past(&[30, 90]);
    change(&past.log(), |bytes| bytes[..20].fill(0));
    let (report, _target) = past.salvage();
    assert!(report.is_complete(), "{report}");
}

#[test]
fn the_log_behind_a_gap_is_reported_and_not_applied() {
    let past = past(&[30, 60]);
    let hole = past.holds[90].1.0;
    let (from, until) = damage_chunks(&past.log(), hole - 1, hole);
    let (report, _target) = past.salvage();
    assert_eq!((report.end.0, report.acknowledged.0), (from, past.end));
    assert_eq!(
        report.missing.iter().map(|range| (range.from.0, range.until.0)).collect::<Vec<_>>(),
        [(from, until)]
    );
    let [behind] = report.unapplied[..] else { panic!("{report}") };
    let entries = past.levels.keys().filter(|position| **position > until).count();
    assert_eq!((behind.from.0, behind.until.0, behind.records), (until, past.end, entries as u64));
    assert!(!report.is_complete());
    assert!(report.to_string().contains(&format!("missing from position {from} until {until}")), "{report}");
}

#[test]
fn of_a_group_with_a_gap_the_chunks_before_it_are_recovered_if_it_was_durable() {
    let past = large_groups();
    // Damages the first opening, which went on behind the gap, and makes the checkpoint unusable.
    flip(&past.files("manifest")[0]);
    let hole = past.holds[1_000].1.0;
    let (from, until) = damage_chunks(&past.log(), hole - 1, hole);
    let (report, _target) = past.salvage();
    assert_eq!((report.end.0, report.acknowledged.0, report.checkpoint), (from, past.end, None));
    assert_eq!(
        report.missing.iter().map(|range| (range.from.0, range.until.0)).collect::<Vec<_>>(),
        [(from, until)]
    );
    assert_eq!(
        report.unapplied.iter().map(|range| (range.from.0, range.until.0)).collect::<Vec<_>>(),
        [(until, past.end)]
    );
}

#[test]
fn an_entry_that_contradicts_the_log_ends_what_is_recovered() {
    let past = past(&[30, 90]);
    // A whole group behind the end, whose bytes are no record.
    let (start, nonsense) = chunk_behind(past.disk.directory.path(), true, 4, &[255; 20]);
    store(past.disk.directory.path(), &nonsense);
    let scratch = tempfile::tempdir().unwrap();
    let report = salvage(past.disk.directory.path(), scratch.path().join("new")).unwrap();
    assert_eq!((report.end.0, report.is_complete()), (start, false));
    assert_eq!(report.contradiction.unwrap().position.0, start);
    assert_eq!(report.unapplied.len(), 1);
}

#[test]
fn a_leftover_of_an_older_opening_is_neither_applied_nor_reported() {
    let past = past(&[30]);
    let (start, left_over) = chunk_behind(past.disk.directory.path(), true, 4, &[0, 4]);
    let shop = past.disk.open();
    shop.reserve(1);
    shop.reserve(1);
    shop.engine.shutdown().unwrap();
    let log = past.log();
    store(past.disk.directory.path(), &left_over);
    let salvaged = || {
        let scratch = tempfile::tempdir().unwrap();
        let report = salvage(past.disk.directory.path(), scratch.path().join("new")).unwrap();
        (report.end.0, report.acknowledged.0, report.missing.len(), report.unapplied.len())
    };
    let end = past.disk.inspect().report().end.0;
    assert_eq!(salvaged(), (end, end, 0, 0));
    // Nor is it used if the later chunks in its place are damaged.
    damage_chunks(&log, start, start + 1);
    assert_eq!(salvaged(), (start, end, 1, 1));
    fs::remove_file(past.file("durable")).unwrap();
    let (recovered, _, missing, unapplied) = salvaged();
    assert_eq!((recovered, missing, unapplied), (start, 1, 1));
}

#[test]
fn of_a_truncated_file_the_log_before_the_cut_is_recovered() {
    let past = past(&[30, 60]);
    let db = fs::OpenOptions::new().write(true).open(past.log()).unwrap();
    let mut length = db.metadata().unwrap().len();
    let mut report = past.salvage().0;
    while report.end.0 > past.checkpoints[1] {
        length -= length / 8;
        db.set_len(length).unwrap();
        let shorter = past.salvage().0;
        assert!(shorter.end <= report.end);
        assert_eq!(shorter.is_complete(), shorter.end.0 == past.end);
        report = shorter;
    }
    assert_eq!(report.missing.len(), 1);
}

#[test]
fn without_the_log_the_newest_checkpoint_is_recovered() {
    let past = past(&[30, 90]);
    fs::remove_dir_all(past.file("log")).unwrap();
    let (report, _target) = past.salvage();
    assert_eq!(report.end.0, past.checkpoints[1]);
    let missing: Vec<_> = report.missing.iter().map(|range| (range.from.0, range.until.0)).collect();
    assert_eq!(missing, [(past.checkpoints[1], past.end)]);
}

#[test]
fn without_the_sidecar_all_is_recovered_but_not_reported_as_complete() {
    for damage in [fs::remove_file, |path: PathBuf| fs::write(path, [7; 8192])] {
        let past = past(&[30, 90]);
        damage(past.file("durable")).unwrap();
        let (report, _target) = past.salvage();
        assert_eq!((report.end.0, report.is_complete()), (past.end, false));
        assert!(report.sidecar_lost.is_some());
    }
}

#[test]
fn without_the_identity_the_holds_have_other_ids() {
    for (checkpoints_at, damage) in [
        (&[30_usize, 90][..], fs::remove_file as fn(PathBuf) -> std::io::Result<()>),
        (&[30, 90], |path| {
            flip(&path);
            Ok(())
        }),
        (&[], |path| fs::write(path, b"nothing of the kind")),
    ] {
        let past = past(checkpoints_at);
        let id = past.disk.inspect().report().directory_id;
        damage(past.file("stockhold")).unwrap();
        let (report, _target) = past.salvage();
        assert_eq!((report.end.0, report.is_complete()), (past.end, false));
        assert_eq!(
            report.directory_id == id,
            !checkpoints_at.is_empty(),
            "a checkpoint has the id of the directory"
        );
        assert!(report.to_string().contains("other ids"), "{report}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_an_older_one_and_more_of_the_log() {
    for run in ["levels", "holds", "ops", "names", "manifest"] {
        let past = past(&[30, 90]);
        let files = past.files(run);
        flip(files.last().unwrap());
        let (report, _target) = past.salvage();
        assert!(report.is_complete(), "{run}: {report}");
        assert!(!report.checkpoints_rejected.is_empty(), "{run}: {report}");
        assert_ne!(
            report.checkpoint.map(|position| position.0),
            Some(past.checkpoints[1]),
            "{run}: {report}"
        );
    }
}

#[test]
fn a_checkpoint_without_one_of_its_files_is_passed_over() {
    let past = past(&[30, 90]);
    fs::remove_file(past.files("holds").last().unwrap()).unwrap();
    assert!(past.salvage().0.is_complete());
}

#[test]
fn without_any_checkpoint_only_a_log_from_its_beginning_can_be_proven() {
    let past = past(&[30, 90]);
    past.files("manifest").iter().for_each(|path| fs::remove_file(path).unwrap());
    // The store has not yet overwritten everything that was cut.
    assert!(past.salvage().0.end.0 > 0);
    let (_, kept) = damage_chunks(&past.log(), 0, past.checkpoints[0]);
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("new");
    let Err(SalvageError::Nothing(message)) = salvage(past.disk.directory.path(), &target) else { panic!() };
    assert!(message.contains(&format!("readable from position {kept} on")), "{message}");
    assert!(!target.exists());
}

#[test]
fn files_of_checkpoints_that_cannot_be_opened_are_done_without() {
    for all in [false, true] {
        let past = past(&[]); // its log has everything
        let checkpoints = past.file("checkpoint");
        if all {
            let _ = fs::remove_dir_all(&checkpoints);
            fs::write(&checkpoints, b"a file in place of the folder").unwrap();
        } else {
            fs::create_dir_all(&checkpoints).unwrap();
            let link = checkpoints.join("manifest-0000000000000063");
            std::os::unix::fs::symlink(&link, &link).unwrap();
        }
        let target = past.disk.directory.path().with_extension("new");
        let report = salvage(past.disk.directory.path(), &target).unwrap();
        past.check(&report, &target);
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn a_foreign_used_or_newer_directory_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("new");
    let refused = |source: &Path| salvage(source, &target).unwrap_err();
    assert!(matches!(refused(&scratch.path().join("no")), SalvageError::Source(OpenError::Missing(_))));
    assert!(matches!(refused(scratch.path()), SalvageError::Source(OpenError::Missing(_))));
    let past = past(&[30]);
    let shop = past.disk.open();
    assert!(matches!(refused(past.disk.directory.path()), SalvageError::Source(OpenError::InUse { .. })));
    drop(shop);
    change(&past.file("stockhold"), |bytes| bytes[20] = 9);
    assert!(matches!(refused(past.disk.directory.path()), SalvageError::Source(OpenError::Newer(_))));
    assert!(!target.exists());
}

#[test]
fn a_directory_that_was_never_used_has_nothing_to_salvage() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, target) = (scratch.path().join("source"), scratch.path().join("new"));
    stockhold::inspect::Inspection::open(&source).unwrap_err();
    drop(Engine::open(&source, common::Disk::new(Durability::Sync).config()).unwrap());
    fs::remove_dir_all(source.join("log")).unwrap();
    assert!(salvage(&source, &target).is_err());
}

#[test]
fn the_new_directory_must_not_exist_and_not_be_in_the_source() {
    let past = past(&[]);
    let source = past.disk.directory.path();
    let before = everything(source);
    for target in [source.to_owned(), source.join("new"), source.join("a/b"), source.join("log")] {
        assert!(matches!(salvage(source, &target), Err(SalvageError::Exists(_))), "{target:?}");
    }
    let taken = tempfile::tempdir().unwrap();
    fs::write(taken.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(salvage(source, taken.path()), Err(SalvageError::Exists(_))));
    assert!(everything(source) == before);
}

#[test]
fn whatever_is_damaged_the_salvaged_state_is_one_of_the_past() {
    let mut rng = Rng::new(seed());
    let pasts = [past(&[]), past(&[30]), past(&[30, 90]), past(&[20, 50, 59, 61, 110]), large_groups()];
    let (mut salvaged, mut complete, mut opened) = (0, 0, 0);
    for round in 0..40 {
        let past = &pasts[round % pasts.len()];
        let scratch = tempfile::tempdir().unwrap();
        let (source, target) = (scratch.path().join("source"), scratch.path().join("new"));
        copied(past.disk.directory.path(), &source);
        for _ in 0..1 + rng.below_u32(4) {
            let files: Vec<_> = files_under(&source).into_iter().filter(|path| path.is_file()).collect();
            let file = &files[rng.below_u32(files.len() as u32) as usize];
            let kind = rng.below_u32(8);
            if kind == 0 {
                fs::remove_file(file).unwrap();
                continue;
            }
            change(file, |bytes| {
                let length = bytes.len() as u32;
                if length == 0 {
                    return;
                }
                // Most of a store's file is unused, so half of the damage is near its beginning.
                let end = if rng.below_u32(2) == 0 { length } else { length.min(40_000) };
                let at = rng.below_u32(end) as usize;
                match kind {
                    1 => bytes.truncate(at),
                    2 => {
                        let until = (at + rng.below_u32(4_096) as usize).min(bytes.len());
                        bytes[at..until].fill(0);
                    }
                    _ => bytes[at] ^= 1 << rng.below_u32(8),
                }
            });
        }
        let (before, mut proven) = (everything(&source), true);
        match salvage(&source, &target) {
            Ok(report) => {
                salvaged += 1;
                complete += u32::from(report.is_complete());
                past.check(&report, &target);
            }
            Err(SalvageError::Nothing(_) | SalvageError::Source(OpenError::Newer(_))) => {
                proven = false;
                assert!(!target.exists())
            }
            Err(error) => panic!("{error}"),
        }
        assert!(everything(&source) == before);

        // An engine opens the damaged directory with everything acknowledged, or not at all. It creates a new
        // one only where nothing is left.
        if let Ok(engine) = Engine::open(&source, past.disk.config()) {
            opened += 1;
            if engine.report().created {
                assert!(!proven && !before.contains_key(&source.join("stockhold")));
                continue;
            }
            assert_eq!(engine.report().end.0, past.end, "{}", engine.report());
            let level = engine.level(engine.key("poster", "berlin").unwrap()).unwrap();
            assert_eq!((level.held, level.committed), past.levels[past.levels.keys().next_back().unwrap()]);
        }
    }
    println!("salvaged {salvaged}, {complete} of them completely; opened {opened}");
    assert!(salvaged > 20, "{salvaged}");
}
