//! File systems of a few megabytes, mounted in a mount namespace: no other process sees them, and they go
//! with it.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::skip;

const INSIDE: &str = "STOCKHOLD_TEST_INSIDE";

/// Commands that start a process in a namespace in which it may mount.
const UNSHARE: [&[&str]; 3] = [&["unshare", "-m"], &["unshare", "-rm"], &["sudo", "-n", "unshare", "-m"]];

/// Whether this process may mount file systems. If not, runs the test in a child process that may, and
/// returns `false`.
pub fn may_mount(test: &str) -> bool {
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let probe = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let Some(unshare) =
        UNSHARE.iter().find(|unshare| succeeds(&[unshare, &["sh", "-c", probe][..]].concat()))
    else {
        skip("this user may not mount a file system; run this as root, or where users have namespaces");
        return false;
    };
    let passed_on = ["STOCKHOLD_SEED", "STOCKHOLD_TROUBLE", "CI"];
    let passed_on =
        passed_on.into_iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let status = Command::new(unshare[0])
        .args(&unshare[1..])
        .args(["env", &format!("{INSIDE}=1")])
        .args(passed_on)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .status();
    assert!(status.unwrap().success(), "{test}, in a namespace by {unshare:?}");
    false
}

fn succeeds(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    let quiet = command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn run(words: &[&str]) {
    assert!(succeeds(words), "{words:?}");
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// On an image file that takes space in memory only as it is written: a thin volume.
    Ext4,
    Tmpfs,
}

/// The kinds that can be mounted here. ext4 needs a loop device, which a user's namespace does not have.
pub fn available_kinds() -> Vec<Kind> {
    let disk = SmallDisk::try_new(Kind::Ext4);
    let kinds = if disk.is_some() { vec![Kind::Ext4, Kind::Tmpfs] } else { vec![Kind::Tmpfs] };
    println!("on {kinds:?}");
    kinds
}

const MEGABYTES: u64 = 16;

pub struct SmallDisk {
    kind: Kind,
    scratch: TempDir,
    /// A changed setting of the loop device, which outlives the mount, and its value before.
    changed: RefCell<Option<(PathBuf, String)>>,
}

impl SmallDisk {
    pub fn new(kind: Kind) -> SmallDisk {
        SmallDisk::try_new(kind).unwrap()
    }

    pub fn try_new(kind: Kind) -> Option<SmallDisk> {
        let disk = SmallDisk { kind, scratch: tempfile::tempdir().unwrap(), changed: RefCell::default() };
        fs::create_dir(disk.path()).unwrap();
        match kind {
            Kind::Tmpfs => {
                run(&["mount", "-t", "tmpfs", "-o", &format!("size={MEGABYTES}m"), "tmpfs", &disk.root()])
            }
            Kind::Ext4 => {
                fs::create_dir(disk.pool()).unwrap();
                let pool = disk.pool().display().to_string();
                run(&["mount", "-t", "tmpfs", "-o", &format!("size={}m", MEGABYTES + 1), "tmpfs", &pool]);
                File::create(disk.image()).unwrap().set_len(MEGABYTES << 20).unwrap();
                if !succeeds(&[
                    "mkfs.ext4",
                    "-q",
                    "-b",
                    "4096",
                    "-m",
                    "0",
                    &disk.image().display().to_string(),
                ]) || !disk.mount()
                {
                    return None;
                }
            }
        }
        Some(disk)
    }

    /// The mount point.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("disk")
    }

    fn root(&self) -> String {
        self.path().display().to_string()
    }

    /// The file system that an ext4 disk takes its blocks from.
    pub fn pool(&self) -> PathBuf {
        self.scratch.path().join("pool")
    }

    pub fn image(&self) -> PathBuf {
        self.pool().join("image")
    }

    fn mount(&self) -> bool {
        let image = self.image().display().to_string();
        succeeds(&["mount", "-o", "loop,errors=remount-ro", &image, &self.root()])
            && self.limit_requests_to_a_block().is_some()
    }

    /// Limits a request to one block. The loop device reports a write that its file kept in part as complete,
    /// and its file keeps or refuses a block as a whole.
    fn limit_requests_to_a_block(&self) -> Option<()> {
        let source = Command::new("findmnt").args(["-nM", &self.root(), "-o", "SOURCE"]).output().ok()?;
        let device = Path::new(std::str::from_utf8(&source.stdout).ok()?.trim()).file_name()?.to_owned();
        let setting = Path::new("/sys/block").join(device).join("queue/max_sectors_kb");
        let before = fs::read_to_string(&setting).ok()?;
        fs::write(&setting, "4").ok()?;
        *self.changed.borrow_mut() = Some((setting, before));
        Some(())
    }

    fn restore_setting(&self) {
        if let Some((setting, before)) = self.changed.take() {
            let _ = fs::write(setting, before); // the device may be gone
        }
    }

    /// Unmounts it, calls `between`, and mounts it again. Nothing of it stays in memory, as after a restart
    /// of the machine.
    pub fn remount(&self, between: impl FnOnce()) {
        assert_eq!(self.kind, Kind::Ext4);
        self.restore_setting();
        run(&["umount", &self.root()]);
        between();
        // As every start of a machine does. Its status is 1 if it has repaired something.
        succeeds(&["e2fsck", "-p", &self.image().display().to_string()]);
        assert!(self.mount());
    }

    pub fn set_writable(&self, writable: bool) {
        run(&["mount", "-o", if writable { "remount,rw" } else { "remount,ro" }, &self.root()]);
    }

    /// Fills it until only `free_bytes` are left.
    pub fn fill_until(&self, free_bytes: u64) {
        fill(&self.path().join("ballast"), free_bytes);
    }

    pub fn free_all(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.restore_setting();
        // Lazily: a mount that is still in use goes with the namespace.
        succeeds(&["umount", "-l", &self.root()]);
        succeeds(&["umount", "-l", &self.pool().display().to_string()]);
    }
}

/// Fills a file system with one file until only `free_bytes` are left.
pub fn fill(ballast: &Path, free_bytes: u64) {
    let mut file = File::create(ballast).unwrap();
    for bytes in [1 << 16, 1 << 10] {
        while file.write_all(&vec![7; bytes]).is_ok() {}
    }
    file.sync_all().unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(free_bytes)).unwrap();
    file.sync_all().unwrap();
}
