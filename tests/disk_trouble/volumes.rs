//! Real file systems that are full, that may not be written, or whose disk fails.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use stockhold::Durability;
use stockhold::inspect::Inspection;

use crate::all;
use crate::sale::{Ending, SMALL, Sale, Told, judge};
use crate::small_disk::{Kind, SmallDisk, fill, is_inside, kinds};

/// More than any of these disks takes.
const LARGE: Sale = Sale { orders: 200_000, batch: 200, ..SMALL };
const LEVELS: [Durability; 2] = [Durability::Sync, Durability::Interval(Duration::from_millis(5))];

/// Bytes left on a full disk: from none to more than a segment of the store.
fn left_over() -> Vec<u64> {
    let kilobytes =
        (0..80).step_by(if all() { 1 } else { 8 }).chain([300, 1_000, 2_040, 2_060, 2_400, 4_200]);
    kilobytes.map(|kilobytes| kilobytes << 10).collect()
}

/// A new directory on the disk, or one that was closed or crashed in: each, or one in turn.
fn beginnings(turn: usize) -> Vec<Option<Ending>> {
    let each = [None, Some(Ending::Close), Some(Ending::Abandon)];
    if all() { each.into() } else { vec![each[turn % 3]] }
}

/// With what there is to say about where it failed.
fn in_the_case(case: &str, told: &Told, check: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
        let mut told = told.clone();
        told.orders.retain(|number, _| number % 1_000 == 0);
        told.unknown.truncate(2);
        println!("FAILED: {case}: {told:#?}");
        std::panic::resume_unwind(panic);
    }
}

fn assert_all_say(told: &Told, advice: &str) {
    let sentences = told.sentences();
    assert!(
        !sentences.is_empty() && sentences.iter().all(|why| why.contains(advice)),
        "{advice}: {sentences:?}"
    );
}

#[test]
fn a_disk_that_becomes_full_stops_the_engine_and_loses_nothing() {
    if !is_inside("volumes::a_disk_that_becomes_full_stops_the_engine_and_loses_nothing") {
        return;
    }
    for kind in kinds() {
        for (number, left) in left_over().into_iter().enumerate() {
            for ending in beginnings(number + kind as usize) {
                let disk = SmallDisk::new(kind);
                let directory = disk.path().join("shop");
                let before = ending.map(|ending| {
                    Sale { first: 1_000_000, orders: 40, ending, ..SMALL }.run(&[], &directory)
                });
                disk.leave(left);
                let told = Sale { durability: LEVELS[number % 2], ..LARGE }.run(&[], &directory);
                in_the_case(&format!("{kind:?}, {left} bytes left, {ending:?}"), &told, || {
                    told.behaved();
                    assert_all_say(&told, "free space");
                    disk.free_all();
                    judge(&directory, &before.iter().chain([&told]).collect::<Vec<_>>());
                });
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_at_the_close_loses_nothing() {
    if !is_inside("volumes::a_disk_that_is_full_at_the_close_loses_nothing") {
        return;
    }
    for kind in kinds() {
        for (orders, more) in [(1, 0), (40, 0), (40, 1), (3_000, 0)] {
            for durability in LEVELS {
                let disk = SmallDisk::new(kind);
                let directory = disk.path().join("shop");
                let then = "cat /dev/zero > ../ballast";
                let told = Sale { durability, orders, then, more, ..SMALL }.run(&[], &directory);
                in_the_case(&format!("{kind:?}, {orders} orders, {more} more"), &told, || {
                    told.behaved();
                    assert_eq!(
                        told.acknowledged() as u64,
                        orders + if told.is_untroubled() { more } else { 0 }
                    );
                    disk.free_all();
                    judge(&directory, &[&told]);
                });
            }
        }
    }
}

#[test]
fn what_may_not_be_written_is_not_opened_and_can_be_inspected() {
    if !is_inside("volumes::what_may_not_be_written_is_not_opened_and_can_be_inspected") {
        return;
    }
    for kind in kinds() {
        for ending in [Ending::Close, Ending::Abandon] {
            let disk = SmallDisk::new(kind);
            let directory = disk.path().join("shop");
            let before = Sale { first: 1_000, orders: 40, ending, ..SMALL }.run(&[], &directory);
            disk.may_be_written(false);
            for directory in [&directory, &disk.path().join("new")] {
                let told = SMALL.run(&[], directory);
                in_the_case(&format!("{kind:?}, {ending:?}"), &told, || {
                    told.behaved();
                    assert!(!told.opened);
                    assert_all_say(&told, "mount the file system for writing");
                });
            }
            assert_eq!(Inspection::open(&directory).unwrap().drift(), None);
            disk.may_be_written(true);
            judge(&directory, &[&before]);
        }
    }
}

#[test]
fn a_directory_whose_mode_forbids_writing_is_not_opened_and_can_be_inspected() {
    if !is_inside("volumes::a_directory_whose_mode_forbids_writing_is_not_opened_and_can_be_inspected") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (parent, directory) = (scratch.path().join("shops"), scratch.path().join("shops/shop"));
    let before = Sale { first: 1_000, orders: 40, ..SMALL }.run(&[], &directory);
    let mode = |mode: &str| {
        let changed = Command::new("chmod").args(["-R", mode]).arg(&parent).status();
        assert!(changed.unwrap().success());
    };
    // Root is bound by modes only without the capability to override them.
    let bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override"];
    let bound: Vec<String> = bound.map(String::from).into();
    mode("a-w");
    for directory in [&directory, &parent.join("new")] {
        let told = SMALL.run(&bound, directory);
        in_the_case("a-w", &told, || {
            told.behaved();
            assert!(!told.opened);
            assert_all_say(&told, "permission");
        });
    }
    assert_eq!(Inspection::open(&directory).unwrap().drift(), None);
    mode("u+w");
    judge(&directory, &[&before]);
}

#[test]
fn a_file_system_that_goes_read_only_stops_the_engine_and_loses_nothing() {
    if !is_inside("volumes::a_file_system_that_goes_read_only_stops_the_engine_and_loses_nothing") {
        return;
    }
    if !kinds().contains(&Kind::Ext4) {
        return;
    }
    // At `Sync` alone: an interval's acknowledgements are not meant to outlive the mount.
    let disk = SmallDisk::new(Kind::Ext4);
    let directory = disk.path().join("shop");
    // An error that ext4 finds in itself; it was mounted to become read-only then.
    let then = "echo 1 > /sys/fs/ext4/$(basename $(findmnt -nT . -o SOURCE))/trigger_fs_error";
    let told = Sale { orders: 40, then, more: 40, ..SMALL }.run(&[], &directory);
    in_the_case("an error of the file system", &told, || {
        told.behaved();
        assert!(!told.stopped.is_empty(), "it went on");
        disk.remount(|| ());
        judge(&directory, &[&told]);
    });
}

#[test]
fn a_volume_that_cannot_keep_what_it_took_loses_nothing_acknowledged() {
    if !is_inside("volumes::a_volume_that_cannot_keep_what_it_took_loses_nothing_acknowledged") {
        return;
    }
    if !kinds().contains(&Kind::Ext4) {
        return;
    }
    // The file system has room and takes every write; the pool under it has none, so syncs fail and pages are
    // lost.
    for (number, left) in left_over().into_iter().enumerate() {
        for ending in beginnings(number) {
            let disk = SmallDisk::new(Kind::Ext4);
            let (directory, ballast) = (disk.path().join("shop"), disk.pool().join("ballast"));
            let before = ending
                .map(|ending| Sale { first: 1_000_000, orders: 40, ending, ..SMALL }.run(&[], &directory));
            fill(&ballast, left);
            let told = LARGE.run(&[], &directory);
            in_the_case(&format!("{left} bytes left, {ending:?}"), &told, || {
                told.behaved();
                assert!(!told.is_untroubled());
                disk.remount(|| fs::remove_file(&ballast).unwrap());
                judge(&directory, &before.iter().chain([&told]).collect::<Vec<_>>());
            });
        }
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_not_opened_and_is_opened_when_it_can() {
    if !is_inside("volumes::a_disk_that_cannot_be_read_is_not_opened_and_is_opened_when_it_can") {
        return;
    }
    if !kinds().contains(&Kind::Ext4) {
        return;
    }
    for ending in [Ending::Close, Ending::Abandon] {
        let disk = SmallDisk::new(Kind::Ext4);
        let (directory, copy) = (disk.path().join("shop"), disk.pool().with_extension("copy"));
        let before = Sale { first: 1_000, orders: 4_000, batch: 100, ending, ..SMALL }.run(&[], &directory);
        disk.remount(|| assert!(fs::copy(disk.image(), &copy).is_ok()));
        // The disk ends here now; reads behind it fail.
        fs::File::options().write(true).open(disk.image()).unwrap().set_len(1 << 20).unwrap();
        let told = SMALL.run(&[], &directory);
        in_the_case(&format!("{ending:?}"), &told, || {
            told.behaved();
            assert_all_say(&told, "look at the system's log");
            disk.remount(|| assert!(fs::copy(&copy, disk.image()).is_ok()));
            judge(&directory, &[&before]);
        });
    }
}
