//! What an opening can find, and what it does with it: a test for each row of the tables in
//! `src/design/recovery.md`.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::damage::{
    change, chunk_behind, copied, damage_chunks, files_under, flip, newest_store, seal_chunk, store,
};
use common::{Disk, insist};
use stockhold::error::{LookupError, OpenError, SalvageError};
use stockhold::inspect::Inspection;
use stockhold::salvage::salvage;
use stockhold::{Config, Durability, Engine, HoldState, OpKey, OpenReport, Position, Reserve};
use stockhold_seeded::{Rng, seed};

/// A closed directory with `held` units held, and facts about it that tests need.
struct Closed {
    disk: Disk,
    held: i64,
    /// The position of each reserve.
    reserves: Vec<u64>,
    /// The position of each checkpoint.
    checkpoints: Vec<u64>,
    end: u64,
    /// The content of the file `durable` before the last two reserves.
    sidecar_before: Vec<u8>,
}

/// Eight reserves with `checkpoints` checkpoints among them, none of them behind the last two reserves.
fn closed(checkpoints: usize) -> Closed {
    let disk = Disk::new(Durability::Sync);
    let mut shop = disk.open();
    shop.receive(shop.key, 100);
    let (mut reserves, mut made, mut sidecar_before) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..8 {
        if number == 6 {
            // Another opening. The sidecar from before it vouches only up to its beginning.
            shop.engine.shutdown().unwrap();
            drop(shop);
            sidecar_before = fs::read(disk.directory.path().join("durable")).unwrap();
            shop = disk.open();
        }
        let reserved = shop.engine.reserve(Reserve::units(shop.key, 1).reference("order")).unwrap();
        reserves.push(reserved.position().0);
        reserved.wait().unwrap();
        if number < 6 && number + checkpoints >= 6 {
            made.push(shop.engine.checkpoint().unwrap().0);
        }
    }
    shop.engine.shutdown().unwrap();
    drop(shop);
    let end = disk.inspect().report().end.0;
    Closed { disk, held: 8, reserves, checkpoints: made, end, sidecar_before }
}

impl Closed {
    fn path(&self) -> &Path {
        self.disk.directory.path()
    }

    fn log(&self) -> PathBuf {
        newest_store(self.disk.directory.path())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The newest file of a checkpoint whose name begins with `start`.
    fn newest(&self, start: &str) -> PathBuf {
        let mut files = files_under(&self.file("checkpoint"));
        files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(start));
        files.pop().unwrap()
    }

    /// Asserts that the directory opens with all holds.
    #[track_caller]
    fn opens(&self) -> OpenReport {
        let shop = self.disk.open();
        shop.assert_level(100, self.held, 0);
        let report = shop.engine.report().clone();
        assert_eq!(report.holds_live, self.held as u64);
        shop.engine.shutdown().unwrap();
        drop(shop);
        assert_eq!(self.disk.inspect().drift(), None);
        report
    }

    /// Asserts that an opening and an inspection refuse the directory, and change nothing.
    #[track_caller]
    fn refused(&self) -> OpenError {
        let before = self.content();
        let inspected = Inspection::open(self.path()).unwrap_err();
        let error = Engine::open(self.path(), self.disk.config()).unwrap_err();
        assert!(self.content() == before, "{error}");
        assert_eq!(
            std::mem::discriminant(&error),
            std::mem::discriminant(&inspected),
            "{error}: {inspected}"
        );
        error
    }

    #[track_caller]
    fn refused_as_damaged(&self) -> (Option<Position>, String) {
        let error = self.refused();
        let OpenError::Damaged { readable, message } = error else { panic!("{error:?}") };
        assert!(message.contains("salvage") || message.contains("backup"), "{message}");
        (readable, message)
    }

    #[track_caller]
    fn refused_as_newer(&self, name: &str) {
        let OpenError::Newer(message) = self.refused() else { panic!() };
        assert!(message.contains(name) && message.contains("newer stockhold"), "{message}");
    }

    /// The bytes of all files but the lock.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let lock = self.file("lock");
        let files = files_under(self.path()).into_iter().filter(|path| path.is_file() && *path != lock);
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn remove_the_log(&self) {
        fs::remove_dir_all(self.file("log")).unwrap();
    }

    fn empty_the_log(&self) {
        self.remove_the_log();
        store(self.path(), b"");
    }
}

/// A copy of the directory as a crash would leave it now: everything written, nothing closed.
fn crash_image(disk: &Disk) -> Disk {
    let image = Disk {
        directory: tempfile::tempdir().unwrap(),
        clock: Arc::clone(&disk.clock),
        durability: disk.durability,
    };
    copied(disk.directory.path(), image.directory.path());
    image
}

// ── opened ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn nothing_or_an_unfinished_creation() {
    let whole = closed(0);
    for leftovers in [&[][..], &["lock"], &["lock", "log"], &["lock", "log", "durable", "stockhold.tmp"]] {
        let scratch = tempfile::tempdir().unwrap();
        for name in leftovers {
            match *name {
                "log" => sled::open(scratch.path().join("log")).map(drop).unwrap(),
                "durable" => fs::write(scratch.path().join(name), [0; 8_192]).unwrap(),
                name => fs::write(scratch.path().join(name), "").unwrap(),
            }
        }
        let engine = Engine::open(scratch.path(), whole.disk.config()).unwrap();
        assert!(engine.report().created, "{leftovers:?}");
        assert_eq!(engine.report().to_string(), "a new directory");
    }
}

#[test]
fn clean() {
    for checkpoints in [0, 1, 2] {
        let past = closed(checkpoints);
        let report = past.opens();
        let checkpoint = past.checkpoints.last().map(|position| Position(*position));
        assert_eq!((report.checkpoint, report.end), (checkpoint, Position(past.end)));
        let replayed = format!(
            "{} records replayed up to position {}: 8 live holds, 0 op keys",
            report.records, past.end
        );
        let from = checkpoint
            .map_or(String::new(), |position| format!("; from a checkpoint at position {position}"));
        assert_eq!(report.to_string(), replayed + &from);
    }
}

#[test]
fn not_closed_in_order() {
    let disk = Disk::new(Durability::Sync);
    let shop = disk.open();
    shop.receive(shop.key, 9);
    let hold = shop.reserve(2);
    let image = crash_image(&disk);
    let after = image.open();
    after.assert_level(9, 2, 0);
    assert_eq!(after.engine.status(hold).unwrap().state, HoldState::Active);
    let report = after.engine.report();
    assert!(report.rewritten_bytes > 0);
    let expected =
        format!("the last close was not orderly, {} bytes were synced again", report.rewritten_bytes);
    assert!(report.to_string().ends_with(&expected), "{report}");
}

#[test]
fn torn_tail() {
    let past = closed(2);
    let (start, torn) = chunk_behind(past.path(), false, 4, &[0, 4]);
    assert_eq!(start, past.end);
    store(past.path(), &torn);
    let tail = past.disk.inspect().report().torn_tail.unwrap();
    assert_eq!((tail.from.0, tail.until.0, tail.chunks), (past.end, past.end + 4, 1));
    let report = past.opens();
    assert_eq!((report.end.0, report.cut_bytes), (past.end, torn.len() as u64));
    let expected = format!("cut {} bytes of a torn, unacknowledged tail", torn.len());
    assert!(report.to_string().contains(&expected), "{report}");
    assert_eq!(past.opens().cut_bytes, 0, "the tail was removed for good");
}

#[test]
fn a_chunk_of_an_older_opening_behind_a_cut() {
    let past = closed(2);
    let (start, left_over) = chunk_behind(past.path(), true, 4, &[0, 4]);
    let end = past.opens().end;
    assert_eq!(end.0, start);
    let end = past.disk.inspect().report().end;
    store(past.disk.directory.path(), &left_over);
    let report = past.opens();
    assert_eq!((report.end, report.cut_bytes), (end, 0));
}

#[test]
fn the_last_group_lost_before_anybody_vouched_for_it() {
    let past = closed(2);
    fs::write(past.file("durable"), &past.sidecar_before).unwrap();
    damage_chunks(&past.log(), past.end - 1, past.end);
    let shop = past.disk.open();
    shop.assert_level(100, past.held - 1, 0);
}

#[test]
fn corrupt_newest_checkpoint() {
    for (name, remove) in [("levels", false), ("holds", false), ("manifest", false), ("holds", true)] {
        let past = closed(2);
        let file = past.newest(name);
        if remove {
            fs::remove_file(&file).unwrap()
        } else {
            flip(&file)
        }
        let report = past.opens();
        assert_eq!(report.checkpoint, Some(Position(past.checkpoints[0])), "{name}");
        assert_eq!((report.end, report.checkpoints_rejected.len()), (Position(past.end), 1));
        let file = file.file_name().unwrap().to_str().unwrap();
        assert!(report.checkpoints_rejected[0].starts_with(file), "{report}");
        assert!(
            report.to_string().contains(&format!("; a checkpoint could not be used: {file}: ")),
            "{report}"
        );
        assert_eq!(past.opens().checkpoints_rejected, [""; 0], "the damaged checkpoint was removed");
    }
}

#[test]
fn newest_manifest_missing() {
    let past = closed(2);
    fs::remove_file(past.newest("manifest")).unwrap();
    assert_eq!(past.opens().checkpoint, Some(Position(past.checkpoints[0])));
}

#[test]
fn no_checkpoint_usable_and_the_log_whole() {
    let past = closed(1);
    flip(&past.newest("manifest"));
    let report = past.opens();
    assert_eq!((report.checkpoint, report.end), (None, Position(past.end)));
    assert_eq!(report.checkpoints_rejected.len(), 1);
}

#[test]
fn log_emptied_and_the_checkpoint_has_everything() {
    let past = closed(2);
    let shop = past.disk.open();
    let position = shop.engine.checkpoint().unwrap();
    shop.engine.shutdown().unwrap();
    drop(shop);
    past.empty_the_log();
    let report = past.opens();
    assert_eq!((report.checkpoint, report.records), (Some(position), 0));
}

#[test]
fn leftovers() {
    let past = closed(2);
    let lost = ["manifest.unfinished", "holds-00000000000000ff", "ops-0000000000000003"];
    for name in lost {
        fs::write(past.file("checkpoint").join(name), "half of it").unwrap();
    }
    store(past.path(), b"half a chunk");
    let report = past.opens();
    assert_eq!(report.leftovers_removed, lost.len() as u64);
    assert!(report.to_string().ends_with("; removed 3 leftover files of checkpoints"), "{report}");
    assert!(!past.file("log/000000ff").exists());
    assert_eq!(past.opens().leftovers_removed, 0);
}

#[test]
fn folders_that_a_user_has_put_beside_the_engines_own() {
    let past = closed(2);
    for folder in [
        "log/fffffffe",
        "log/ffffffff",
        "log/00000003",
        "checkpoint/manifest-0000000000000009",
        "checkpoint/old",
    ] {
        fs::create_dir(past.file(folder)).unwrap();
    }
    assert_eq!(past.opens().epoch, 4);
    assert_eq!(past.opens().epoch, 5);
    assert!(past.file("checkpoint/old").exists());
}

#[test]
fn a_third_manifest_that_was_to_be_removed() {
    let past = closed(2);
    let aside = tempfile::tempdir().unwrap();
    copied(&past.file("checkpoint"), aside.path());
    past.disk.open().engine.checkpoint().unwrap();
    fs::read_dir(aside.path()).unwrap().for_each(|entry| {
        let entry = entry.unwrap();
        let to = past.file("checkpoint").join(entry.file_name());
        if !to.exists() {
            fs::copy(entry.path(), to).unwrap();
        }
    });
    assert!(past.opens().leftovers_removed > 0);
}

#[test]
fn a_file_of_the_ledger_damaged_or_missing() {
    for harm in [flip, |path: &Path| fs::remove_file(path).unwrap()] {
        let disk = Disk::new(Durability::Sync);
        let ledger = |config: Config| config.ledger_kept(Some(Duration::from_secs(3_600)));
        for _ in 0..3 {
            let shop = disk.open_with(ledger);
            shop.receive(shop.key, 1);
            shop.engine.checkpoint().unwrap();
        }
        let files = files_under(disk.directory.path());
        let is_ledger = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("ledger-");
        files.iter().filter(is_ledger).for_each(|path| harm(path));
        assert!(disk.inspect().verify_ledger().is_err());
        let shop = disk.open_with(ledger);
        assert_eq!(shop.engine.report().checkpoints_rejected, [""; 0]);
        shop.assert_level(3, 0, 0);
    }
}

// ── refused ────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn damage_that_the_sidecar_vouches_for() {
    let past = closed(2);
    let (from, until) = damage_chunks(&past.log(), past.reserves[7] - 1, past.reserves[7]);
    let (readable, message) = past.refused_as_damaged();
    assert_eq!((readable, until), (Some(Position(from)), past.end));
    assert!(message.contains(&format!("position {from}")), "{message}");
}

#[test]
fn corrupt_middle_that_only_the_log_behind_it_vouches_for() {
    let past = closed(2);
    fs::write(past.file("durable"), &past.sidecar_before).unwrap();
    let (from, until) = damage_chunks(&past.log(), past.reserves[6] - 1, past.reserves[6]);
    let (readable, message) = past.refused_as_damaged();
    assert_eq!(readable, Some(Position(from)));
    assert!(
        message.contains(&format!("damaged at position {from} and can be read again from {until}")),
        "{message}"
    );
}

#[test]
fn a_chunk_whose_entries_do_not_fill_it() {
    let past = closed(2);
    let (start, short) = chunk_behind(past.path(), true, 8, &[0, 4]);
    store(past.path(), &short);
    let error = Engine::open(past.path(), past.disk.config()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("its entries end at position {}", start + 4)), "{error}");
}

#[test]
fn no_checkpoint_usable_and_the_log_cut() {
    let past = closed(2);
    let manifests = files_under(&past.file("checkpoint"));
    manifests.iter().filter(|path| path.to_str().unwrap().contains("manifest-")).for_each(|path| flip(path));
    let (readable, message) = past.refused_as_damaged();
    assert_eq!(readable, Some(Position(0)));
    let (_, rejected) = message.split_once("checkpoints could not be used: ").unwrap();
    assert_eq!(rejected.matches("manifest-").count(), 2, "{message}");
}

#[test]
fn log_missing() {
    for checkpoint_last in [false, true] {
        let past = closed(2);
        if checkpoint_last {
            past.disk.open().engine.checkpoint().unwrap();
        }
        fs::remove_dir_all(past.file("log")).unwrap();
        if checkpoint_last {
            // After an orderly close with nothing behind the checkpoint, the log has nothing that could be
            // missing.
            past.opens();
            continue;
        }
        let (_, message) = past.refused_as_damaged();
        assert!(message.contains("`log` is missing"), "{message}");
        let scratch = tempfile::tempdir().unwrap();
        let salvaged = salvage(past.path(), scratch.path().join("new")).unwrap();
        assert_eq!(salvaged.is_complete(), checkpoint_last, "{salvaged}");
    }
}

#[test]
fn log_emptied_though_the_sidecar_promises_more() {
    for truncated in [false, true] {
        let past = closed(2);
        past.empty_the_log();
        if truncated {
            fs::write(past.log(), "").unwrap();
        }
        let (readable, message) = past.refused_as_damaged();
        assert_eq!(readable, Some(Position(past.checkpoints[1])));
        let expected = format!(
            "can be read up to position {}, but was acknowledged up to {}",
            past.checkpoints[1], past.end
        );
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn identity_or_sidecar_missing_or_damaged() {
    for name in ["stockhold", "durable"] {
        let past = closed(2);
        fs::remove_file(past.file(name)).unwrap();
        let error = Engine::open(past.path(), past.disk.config()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("`{name}` is missing")), "{error}");
    }
    // A directory of an engine on the system's clock, which keeps a file of its own.
    let past = closed(2);
    Engine::open(past.path(), Config::default()).unwrap();
    fs::remove_file(past.file("stockhold")).unwrap();
    assert!(past.file("clock").exists());
    let error = Engine::open(past.path(), Config::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let past = closed(2);
    fs::write(past.file("stockhold"), [0; 64]).unwrap();
    assert!(past.refused_as_damaged().1.contains("its identity is empty"));
    let past = closed(2);
    flip(&past.file("stockhold"));
    assert!(past.refused_as_damaged().1.contains("identity"));
    let past = closed(2);
    fs::write(past.file("durable"), [7; 8_192]).unwrap();
    assert!(past.refused_as_damaged().1.contains("both copies in the file `durable` are damaged"));
}

#[test]
fn part_of_the_directory_from_another_copy() {
    let (past, other) = (closed(2), closed(2));
    // Up to here the logs of both are the same.
    let shop = other.disk.open();
    shop.reserve(1);
    drop(shop);
    let before = fs::read(past.file("durable")).unwrap();
    fs::copy(other.file("durable"), past.file("durable")).unwrap();
    past.refused_as_damaged();
    fs::write(past.file("durable"), before).unwrap();
    fs::remove_dir_all(past.file("checkpoint")).unwrap();
    copied(&other.file("checkpoint"), &past.file("checkpoint"));
    let error = Engine::open(past.path(), past.disk.config()).unwrap_err().to_string();
    assert!(error.contains("it belongs to another directory"), "{error}");
}

#[test]
fn newer_identity() {
    let past = closed(2);
    change(&past.file("stockhold"), |bytes| bytes[20..24].copy_from_slice(&2_u32.to_le_bytes()));
    past.refused_as_newer("directory format 2");
}

#[test]
fn newer_chunk() {
    let format = (4, 3, "format 3, this build knows formats up to 2");
    let kind = (7, 25, "record kind 25, this build knows record kinds up to 24");
    for (vouched, (at, byte, named)) in [(false, format), (true, format), (false, kind), (true, kind)] {
        let past = closed(2);
        let (start, mut chunk) = chunk_behind(past.path(), true, 4, &[0, 4]);
        chunk[at] = byte;
        seal_chunk(&mut chunk);
        store(past.path(), &chunk);
        if vouched {
            // As if the newer program had closed in order.
            change(&past.file("durable"), |bytes| {
                for slot in [0, 4_096] {
                    bytes[slot + 24..slot + 32].copy_from_slice(&(start + 4).to_le_bytes());
                    let crc = crc32fast::hash(&bytes[slot..slot + 40]);
                    bytes[slot + 40..slot + 44].copy_from_slice(&crc.to_le_bytes());
                }
            });
        }
        past.refused_as_newer(&format!("from position {start} on, {named}"));
        // Nor does a salvage leave out what a later build has written.
        let target = past.disk.directory.path().with_extension("new");
        let salvaged = salvage(past.path(), &target).unwrap_err();
        assert!(matches!(salvaged, SalvageError::Source(OpenError::Newer(_))), "{salvaged}");
    }
}

#[test]
fn newer_sidecar() {
    let past = closed(2);
    change(&past.file("durable"), |bytes| {
        for slot in [0, 4_096] {
            bytes[slot + 4] = 2;
            let crc = crc32fast::hash(&bytes[slot..slot + 40]);
            bytes[slot + 40..slot + 44].copy_from_slice(&crc.to_le_bytes());
        }
    });
    past.refused_as_newer("`durable` has format 2");
}

#[test]
fn newer_manifest() {
    let newer = [(4, 3, "format 3, this"), (6, 25, "record kind 25, this"), (7, 5, "file kind 5, this")];
    for (at, byte, named) in newer {
        let past = closed(2);
        let manifest = past.newest("manifest");
        change(&manifest, |bytes| {
            bytes[at] = byte;
            let crc = crc32fast::hash(&[&bytes[..12], &bytes[16..]].concat());
            bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        });
        past.refused_as_newer(manifest.file_name().unwrap().to_str().unwrap());
        past.refused_as_newer(named);
    }
    // A format number without a valid checksum is damage.
    let past = closed(2);
    change(&past.newest("manifest"), |bytes| bytes[4] = 3);
    assert_eq!(past.opens().checkpoints_rejected.len(), 1);
}

#[test]
fn newer_run() {
    let past = closed(2);
    let run = past.newest("holds");
    change(&run, |bytes| {
        bytes[4] = 3;
        let crc = crc32fast::hash(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    });
    past.refused_as_newer(run.file_name().unwrap().to_str().unwrap());
}

#[test]
fn another_programs_directory_or_in_use() {
    let past = closed(0);
    change(&past.file("stockhold"), |bytes| bytes[0] = b'S');
    assert!(matches!(past.refused(), OpenError::Foreign(message) if message.contains("stockhold")));
    let past = closed(0);
    let _shop = past.disk.open();
    let refused = Engine::open(past.path(), past.disk.config());
    assert!(matches!(refused, Err(OpenError::InUse { pid: Some(pid), .. }) if pid == std::process::id()));
}

#[test]
fn what_is_refused_is_left_as_it_was_found_however_long_its_log() {
    let disk = Disk::new(Durability::Interval(Duration::from_millis(20)));
    let shop = disk.open();
    shop.receive(shop.key, 10_000);
    let reference = [b'x'; 40];
    for _ in 0..10_000 {
        drop(insist(|| shop.engine.reserve(Reserve::units(shop.key, 1).reference(&reference))).unwrap());
    }
    shop.engine.shutdown().unwrap();
    let (path, config) = (disk.directory.path(), disk.config().checkpoint_bytes(64 << 10));
    let (_, short) = chunk_behind(path, true, 8, &[0, 4]);
    store(path, &short);
    fs::remove_file(path.join("lock")).unwrap();
    let before = files_under(path);
    Engine::open(path, config.clone()).unwrap_err();
    fs::remove_file(path.join("lock")).unwrap();
    assert_eq!(files_under(path), before);
    // Without the damaged chunk, the opening makes checkpoints as soon as the log is durable.
    fs::remove_dir_all(path.join("log/000000ff")).unwrap();
    let engine = Engine::open(path, config).unwrap();
    assert!(engine.metrics().position_checkpoint.0 > 0);
    assert_eq!(engine.report().holds_live, 10_000);
}

// ── crashes on crashes ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn two_crashes_in_a_row() {
    let disk = Disk::new(Durability::Sync);
    let first = disk.open();
    first.receive(first.key, 9);
    let mut holds = vec![first.reserve(1)];
    let mut image = crash_image(&disk);
    for _ in 0..3 {
        let shop = image.open();
        for hold in &holds {
            assert_eq!(shop.engine.status(*hold).unwrap().state, HoldState::Active);
        }
        assert!(shop.engine.report().rewritten_bytes > 0);
        holds.push(shop.reserve(1));
        if holds.len() == 3 {
            shop.engine.checkpoint().unwrap();
        }
        let next = crash_image(&image);
        drop(shop);
        image = next;
    }
    image.open().assert_level(9, 4, 0);
}

const CRASH_IN: &str = "STOCKHOLD_TEST_CRASH_TABLE_IN";

/// Makes checkpoints as often as possible, so that crashes interrupt them.
fn frequent_checkpoints() -> Config {
    Config::default()
        .checkpoint_bytes(64 << 10)
        .ring_bytes(1 << 20)
        .durability(Durability::Interval(Duration::from_millis(5)))
}

/// Not a test: the body of a child process, which sells and makes checkpoints until it is killed. Runs if
/// [`CRASH_IN`] is set.
#[test]
fn child_that_is_killed() {
    let Ok(directory) = std::env::var(CRASH_IN) else { return };
    // Writes each line in one call, around the harness's capture.
    let print = |line: String| std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    print("opening".into());
    let engine = Engine::open(directory, frequent_checkpoints()).unwrap();
    let key = engine.key("poster", "berlin").unwrap();
    let epoch = u128::from(engine.report().epoch);
    thread::scope(|scope| {
        scope.spawn(|| while engine.checkpoint().is_ok() {});
        for seller in 0..2_u128 {
            let (engine, print) = (&engine, &print);
            scope.spawn(move || {
                for number in 0.. {
                    let op = OpKey(epoch << 64 | seller << 32 | number);
                    let reserve = Reserve::units(key, 1).op_key(op).reference("order");
                    let reserved = insist(|| engine.reserve(reserve)).unwrap();
                    let released = number % 2 == 1;
                    let mut position = reserved.position();
                    let hold = reserved.not_yet_durable().hold;
                    if released {
                        position = insist(|| engine.release(hold)).unwrap().position();
                    }
                    // Waits seldom, so that the log is long.
                    if number % 64 == 0 {
                        engine.wait(position).unwrap();
                        print(format!("ack {} {hold}", if released { "released" } else { "held" }));
                    }
                }
            });
        }
    });
}

#[test]
fn a_crash_at_any_step_of_an_opening_a_checkpoint_or_a_cut() {
    let mut rng = Rng::new(seed());
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), frequent_checkpoints()).unwrap();
    let key = engine.declare("poster", "berlin").unwrap();
    engine.receive(stockhold::Receive::units(key, 100_000_000)).unwrap().wait().unwrap();
    drop(engine);
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let mut cut = 0;
    for _ in 0..16 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(CRASH_IN, directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.by_ref().find(|line| line == "opening").unwrap();
        // Kills it during the opening, or some acknowledgements later. Those that it prints until it dies
        // count too.
        let during_opening = rng.below_u32(3) == 0;
        if during_opening {
            thread::sleep(Duration::from_micros(rng.below_u32(20_000).into()));
        }
        let mut left = if during_opening { 0 } else { 1 + rng.below_u32(60) };
        while left > 0 {
            let line = lines.next().unwrap();
            left -= u32::from(line.starts_with("ack "));
            note(&mut acknowledged, &line);
        }
        child.kill().unwrap();
        lines.for_each(|line| note(&mut acknowledged, &line));
        child.wait().unwrap();

        let found = Inspection::open(directory.path()).unwrap();
        assert_eq!(found.drift(), None);
        cut = cut.max(found.report().from.0);
    }
    assert!(cut > 0, "no checkpoint has cut the log");

    let engine = Engine::open(directory.path(), frequent_checkpoints()).unwrap();
    for (hold, what) in &acknowledged {
        let status = engine.status(hold.parse().unwrap()).map(|status| status.state);
        match what.as_str() {
            "held" => assert_eq!(status, Ok(HoldState::Active), "{hold}"),
            // Its slot may have a later hold.
            _ => assert!(matches!(status, Ok(HoldState::Released) | Err(LookupError::Forgotten)), "{hold}"),
        }
    }
    let held = engine.holds_of("order").iter().filter(|status| status.state == HoldState::Active).count();
    let level = engine.level(key).unwrap();
    assert_eq!((level.on_hand, level.held, level.committed), (100_000_000, held as i64, 0));
    println!("{} acknowledgements, {held} holds, {}", acknowledged.len(), engine.report());
}

fn note(acknowledged: &mut BTreeMap<String, String>, line: &str) {
    if let Some((what, hold)) = line.strip_prefix("ack ").and_then(|line| line.split_once(' ')) {
        acknowledged.insert(hold.to_owned(), what.to_owned());
    }
}
