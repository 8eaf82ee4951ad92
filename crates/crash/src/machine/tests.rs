//! The disks that a few calls may leave, and the calls that are refused.

use super::*;
use crate::image::Entry;
use crate::loss::{DISKS, image_after};
use stockhold_seeded::Rng;

/// Replays `lines`, in which `'text'` stands for a string as strace writes it.
fn played(lines: &str) -> Result<Machine, String> {
    let text: String = lines
        .trim()
        .lines()
        .map(|line| {
            let parts = line.trim().split('\'').enumerate();
            let part = |(number, part): (usize, &str)| match number % 2 {
                0 => part.to_owned(),
                _ => crate::trace::quoted(part.as_bytes()),
            };
            format!("7 {}\n", parts.map(part).collect::<String>())
        })
        .collect();
    // The last return is ignored.
    let trace = Trace::read(&format!("{text}7 lseek(99, 0, SEEK_SET) = 0\n"))?;
    let mut machine = Machine::new("/d", &Base::default());
    machine.process_starts();
    trace.events.iter().try_for_each(|event| machine.step(&trace, *event))?;
    Ok(machine)
}

/// All contents that a loss of power may leave of a file named `a`; `None` if there is no such file.
fn left(machine: &Machine) -> Vec<Option<Vec<u8>>> {
    let mut left = Vec::new();
    for seed in 0..3_000 {
        let mut rng = Rng::stream(1, seed);
        let image = image_after(&machine.disk, DISKS[rng.index(3)], &mut rng);
        let file = image.entries.into_iter().find(|(name, _)| name == "a").map(|(_, entry)| match entry {
            Entry::File(content) => content,
            Entry::Directory => panic!("a file"),
        });
        if !left.contains(&file) {
            left.push(file);
        }
    }
    left.sort();
    left
}

const OLD: &str = "
    openat(AT_FDCWD, '/d/a', O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3
    write(3, 'old', 3) = 3
    fsync(3) = 0
    close(3) = 0
    openat(AT_FDCWD, '/d', O_RDONLY|O_CLOEXEC) = 3
    fsync(3) = 0";

fn some(text: &str) -> Option<Vec<u8>> {
    Some(text.into())
}

#[test]
fn a_file_that_replaces_another_is_one_of_both_if_it_was_synced_first() {
    let replace = "
        openat(AT_FDCWD, '/d/a.tmp', O_WRONLY|O_CREAT|O_EXCL, 0666) = 4
        write(4, 'newer', 5) = 5";
    let (sync, rename) = ("fdatasync(4) = 0", "rename('/d/a.tmp', '/d/a') = 0");
    let after = |rest: &[&str]| left(&played(&format!("{OLD}{replace}\n{}", rest.join("\n"))).unwrap());
    assert_eq!(after(&[sync, rename]), [some("newer"), some("old")]);
    assert_eq!(after(&[sync, rename, "fsync(3) = 0"]), [some("newer")]);
    assert_eq!(after(&[rename]), [some(""), some("\0\0\0\0\0"), some("newer"), some("old")]);
    let wrong_order = "fsync(3) = 0";
    assert_eq!(after(&[sync, wrong_order, rename]), [some("newer"), some("old")]);
}

#[test]
fn what_is_not_synced_is_there_or_not() {
    assert_eq!(left(&played(OLD).unwrap()), [some("old")]);
    let appended = "
        openat(AT_FDCWD, '/d/a', O_WRONLY|O_APPEND|O_CLOEXEC) = 4
        write(4, 'er', 2) = 2
        sync_file_range(4, 0, 5, SYNC_FILE_RANGE_WRITE) = 0";
    let found = left(&played(&format!("{OLD}{appended}")).unwrap());
    assert_eq!(found, [some("old"), some("old\0\0"), some("older")]);
    let gone = "\nunlink('/d/a') = 0";
    assert_eq!(left(&played(&format!("{OLD}{gone}")).unwrap()), [None, some("old")]);
    assert_eq!(left(&played(&format!("{OLD}{gone}\nfsync(3) = 0")).unwrap()), [None]);
}

#[test]
fn links_copies_and_directories_are_followed() {
    let machine = played(&format!(
        "{OLD}
        mkdir('/d/sub', 0777) = 0
        openat(3, 'sub', O_RDONLY|O_DIRECTORY) = 5
        linkat(AT_FDCWD, '/d/a', 5, 'link', 0) = 0
        openat(AT_FDCWD, '/d/a', O_RDONLY) = 6
        openat(5, 'copy', O_WRONLY|O_CREAT|O_TRUNC, 0666) = 7
        copy_file_range(6, NULL, 7, NULL, 1073741824, 0) = 3
        copy_file_range(6, NULL, 7, NULL, 1073741824, 0) = 0
        unlinkat(AT_FDCWD, '/d/a', 0) = 0
        dup(7) = 8
        close(7) = 0
        fsync(8) = 0
        fsync(5) = 0
        fsync(3) = 0"
    ));
    let image = image_after(&machine.unwrap().disk, DISKS[1], &mut Rng::stream(1, 1));
    let file = |name: &str| (format!("sub/{name}"), Entry::File(b"old".into()));
    assert_eq!(image.entries, [("sub".to_owned(), Entry::Directory), file("copy"), file("link")]);
}

#[test]
fn a_sync_covers_only_what_had_returned_when_it_began() {
    let machine = played(&format!(
        "{OLD}
        openat(AT_FDCWD, '/d/a', O_WRONLY) = 4
        fdatasync(4 <unfinished ...>"
    ));
    assert!(machine.is_ok());
    let text = |write: &str| {
        format!(
            "7 openat(AT_FDCWD, {}, O_WRONLY|O_CREAT, 0666) = 4\n7 fdatasync(4 <unfinished ...>\n8 {write}\n\
             7 <... fdatasync resumed>) = 0\n7 lseek(9, 0, SEEK_SET) = 0\n",
            crate::trace::quoted(b"/d/a")
        )
    };
    let write = format!("pwrite64(4, {}, 3, 0) = 3", crate::trace::quoted(b"new"));
    let trace = Trace::read(&text(&write)).unwrap();
    let mut machine = Machine::new("/d", &Base::default());
    machine.process_starts();
    trace.events.iter().for_each(|event| machine.step(&trace, *event).unwrap());
    let node = machine.disk.named(ROOT, "a").unwrap().unwrap();
    assert!(machine.disk.file(node).unwrap().durable.is_empty());
    assert_eq!(machine.disk.content(node).unwrap(), b"new");
}

#[test]
fn what_is_not_known_is_not_passed_over() {
    for call in [
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 4, 0) = 0x7f0000000000",
        "fallocate(4, FALLOC_FL_PUNCH_HOLE, 0, 1) = 0",
        "sendfile(4, 9, NULL, 5) = 5",
        "sync() = 0",
        "symlink('/x', '/d/b') = 0",
        "rename('/x', '/d/b') = 0",
        "pwrite64(4, 'a'..., 2, 0) = 2",
        "openat(AT_FDCWD, '/d/b', O_RDWR|O_DIRECT) = 5",
        "vfork() = 8",
    ] {
        let text = format!("{OLD}\nopenat(AT_FDCWD, '/d/a', O_RDWR) = 4\n{call}");
        assert!(played(&text).is_err(), "{call}");
    }
    let private = "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 4, 0) = 0x7f0000000000";
    assert!(played(&format!("{OLD}\nopenat(AT_FDCWD, '/d/a', O_RDWR) = 4\n{private}")).is_ok());
}
