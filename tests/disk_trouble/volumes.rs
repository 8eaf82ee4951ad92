//! Real file systems that are full, that are read-only, or whose disk fails.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use stockhold::Durability;
use stockhold::inspect::Inspection;

use crate::all_rows;
use crate::sale::{Ending, SMALL, Sale, Transcript, check_directory};
use crate::small_disk::{Kind, SmallDisk, available_kinds, fill, may_mount};

/// A sale that needs more space than any of these disks has.
const LARGE: Sale = Sale { orders: 200_000, batch: 200, ..SMALL };
const LEVELS: [Durability; 2] = [Durability::Sync, Durability::Interval(Duration::from_millis(5))];

/// Bytes left on a full disk, from none to more than a segment of the store.
fn bytes_left() -> Vec<u64> {
    let kilobytes =
        (0..80).step_by(if all_rows() { 1 } else { 8 }).chain([300, 1_000, 2_040, 2_060, 2_400, 4_200]);
    kilobytes.map(|kilobytes| kilobytes << 10).collect()
}

/// The directory at the start: new, closed, or left by a crash. All of them, or one that depends on `turn`.
fn starts(turn: usize) -> Vec<Option<Ending>> {
    let each = [None, Some(Ending::Close), Some(Ending::Abandon)];
    if all_rows() { each.into() } else { vec![each[turn % 3]] }
}

/// Runs `check`. If it fails, prints the case and a shortened transcript.
fn check_case(case: &str, transcript: &Transcript, check: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
        let mut transcript = transcript.clone();
        transcript.orders.retain(|number, _| number % 1_000 == 0);
        transcript.unknown.truncate(2);
        println!("FAILED: {case}: {transcript:#?}");
        std::panic::resume_unwind(panic);
    }
}

fn assert_all_advise(transcript: &Transcript, advice: &str) {
    let sentences = transcript.sentences();
    assert!(
        !sentences.is_empty() && sentences.iter().all(|why| why.contains(advice)),
        "{advice}: {sentences:?}"
    );
}

#[test]
fn a_disk_that_becomes_full_stops_the_engine_and_loses_nothing() {
    if !may_mount("volumes::a_disk_that_becomes_full_stops_the_engine_and_loses_nothing") {
        return;
    }
    for kind in available_kinds() {
        for (number, left) in bytes_left().into_iter().enumerate() {
            for ending in starts(number + kind as usize) {
                let disk = SmallDisk::new(kind);
                let directory = disk.path().join("shop");
                let before = ending.map(|ending| {
                    Sale { first: 1_000_000, orders: 40, ending, ..SMALL }.run(&[], &directory)
                });
                disk.fill_until(left);
                let transcript = Sale { durability: LEVELS[number % 2], ..LARGE }.run(&[], &directory);
                check_case(&format!("{kind:?}, {left} bytes left, {ending:?}"), &transcript, || {
                    transcript.assert_well_behaved();
                    assert_all_advise(&transcript, "free space");
                    disk.free_all();
                    check_directory(&directory, &before.iter().chain([&transcript]).collect::<Vec<_>>());
                });
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_at_the_close_loses_nothing() {
    if !may_mount("volumes::a_disk_that_is_full_at_the_close_loses_nothing") {
        return;
    }
    for kind in available_kinds() {
        for (orders, more) in [(1, 0), (40, 0), (40, 1), (3_000, 0)] {
            for durability in LEVELS {
                let disk = SmallDisk::new(kind);
                let directory = disk.path().join("shop");
                let then = "cat /dev/zero > ../ballast";
                let transcript = Sale { durability, orders, then, more, ..SMALL }.run(&[], &directory);
                check_case(&format!("{kind:?}, {orders} orders, {more} more"), &transcript, || {
                    transcript.assert_well_behaved();
                    assert_eq!(
                        transcript.acknowledged() as u64,
                        orders + if transcript.is_untroubled() { more } else { 0 }
                    );
                    disk.free_all();
                    check_directory(&directory, &[&transcript]);
                });
            }
        }
    }
}

#[test]
fn a_read_only_file_system_is_not_opened_and_can_be_inspected() {
    if !may_mount("volumes::a_read_only_file_system_is_not_opened_and_can_be_inspected") {
        return;
    }
    for kind in available_kinds() {
        for ending in [Ending::Close, Ending::Abandon] {
            let disk = SmallDisk::new(kind);
            let directory = disk.path().join("shop");
            let before = Sale { first: 1_000, orders: 40, ending, ..SMALL }.run(&[], &directory);
            disk.set_writable(false);
            for directory in [&directory, &disk.path().join("new")] {
                let transcript = SMALL.run(&[], directory);
                check_case(&format!("{kind:?}, {ending:?}"), &transcript, || {
                    transcript.assert_well_behaved();
                    assert!(!transcript.opened);
                    assert_all_advise(&transcript, "mount the file system for writing");
                });
            }
            assert_eq!(Inspection::open(&directory).unwrap().drift(), None);
            disk.set_writable(true);
            check_directory(&directory, &[&before]);
        }
    }
}

#[test]
fn a_directory_whose_mode_forbids_writing_is_not_opened_and_can_be_inspected() {
    if !may_mount("volumes::a_directory_whose_mode_forbids_writing_is_not_opened_and_can_be_inspected") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (parent, directory) = (scratch.path().join("shops"), scratch.path().join("shops/shop"));
    let before = Sale { first: 1_000, orders: 40, ..SMALL }.run(&[], &directory);
    let mode = |mode: &str| {
        let changed = Command::new("chmod").args(["-R", mode]).arg(&parent).status();
        assert!(changed.unwrap().success());
    };
    // Modes bind root only without the capability to override them.
    let without_override =
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override"];
    let without_override: Vec<String> = without_override.map(String::from).into();
    mode("a-w");
    for directory in [&directory, &parent.join("new")] {
        let transcript = SMALL.run(&without_override, directory);
        check_case("a-w", &transcript, || {
            transcript.assert_well_behaved();
            assert!(!transcript.opened);
            assert_all_advise(&transcript, "permission");
        });
    }
    assert_eq!(Inspection::open(&directory).unwrap().drift(), None);
    mode("u+w");
    check_directory(&directory, &[&before]);
}

#[test]
fn a_file_system_that_goes_read_only_stops_the_engine_and_loses_nothing() {
    if !may_mount("volumes::a_file_system_that_goes_read_only_stops_the_engine_and_loses_nothing") {
        return;
    }
    if !available_kinds().contains(&Kind::Ext4) {
        return;
    }
    // Only at `Sync`: acknowledgements at an interval need not outlive the mount.
    let disk = SmallDisk::new(Kind::Ext4);
    let directory = disk.path().join("shop");
    // An error that ext4 reports about itself; it was mounted so that it then becomes read-only.
    let then = "echo 1 > /sys/fs/ext4/$(basename $(findmnt -nT . -o SOURCE))/trigger_fs_error";
    let transcript = Sale { orders: 40, then, more: 40, ..SMALL }.run(&[], &directory);
    check_case("an error of the file system", &transcript, || {
        transcript.assert_well_behaved();
        assert!(!transcript.stopped.is_empty(), "the engine did not stop");
        disk.remount(|| ());
        check_directory(&directory, &[&transcript]);
    });
}

#[test]
fn a_volume_that_loses_accepted_writes_loses_nothing_acknowledged() {
    if !may_mount("volumes::a_volume_that_loses_accepted_writes_loses_nothing_acknowledged") {
        return;
    }
    if !available_kinds().contains(&Kind::Ext4) {
        return;
    }
    // The file system has room and takes every write. The pool below it has none, so syncs fail and pages are
    // lost.
    for (number, left) in bytes_left().into_iter().enumerate() {
        for ending in starts(number) {
            let disk = SmallDisk::new(Kind::Ext4);
            let (directory, ballast) = (disk.path().join("shop"), disk.pool().join("ballast"));
            let before = ending
                .map(|ending| Sale { first: 1_000_000, orders: 40, ending, ..SMALL }.run(&[], &directory));
            fill(&ballast, left);
            let transcript = LARGE.run(&[], &directory);
            check_case(&format!("{left} bytes left, {ending:?}"), &transcript, || {
                transcript.assert_well_behaved();
                assert!(!transcript.is_untroubled());
                disk.remount(|| fs::remove_file(&ballast).unwrap());
                check_directory(&directory, &before.iter().chain([&transcript]).collect::<Vec<_>>());
            });
        }
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_opened_only_when_it_can() {
    if !may_mount("volumes::a_disk_that_cannot_be_read_is_opened_only_when_it_can") {
        return;
    }
    if !available_kinds().contains(&Kind::Ext4) {
        return;
    }
    for ending in [Ending::Close, Ending::Abandon] {
        let disk = SmallDisk::new(Kind::Ext4);
        let (directory, copy) = (disk.path().join("shop"), disk.pool().with_extension("copy"));
        let before = Sale { first: 1_000, orders: 4_000, batch: 100, ending, ..SMALL }.run(&[], &directory);
        disk.remount(|| assert!(fs::copy(disk.image(), &copy).is_ok()));
        // Cuts the image, so that reads past its end fail.
        fs::File::options().write(true).open(disk.image()).unwrap().set_len(1 << 20).unwrap();
        let transcript = SMALL.run(&[], &directory);
        check_case(&format!("{ending:?}"), &transcript, || {
            transcript.assert_well_behaved();
            assert_all_advise(&transcript, "look at the system's log");
            disk.remount(|| assert!(fs::copy(&copy, disk.image()).is_ok()));
            check_directory(&directory, &[&before]);
        });
    }
}
