//! File systems of a few megabytes, in a mount namespace of their own: no other process sees them, and they
//! go with it.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::skip;

const INSIDE: &str = "STOCKHOLD_TEST_INSIDE";

/// Ways to a namespace in which one may mount.
const WAYS: [&[&str]; 3] = [&["unshare", "-m"], &["unshare", "-rm"], &["sudo", "-n", "unshare", "-m"]];

/// Whether this process may mount. If not, runs the test again in one that may, and says no.
pub fn is_inside(test: &str) -> bool {
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let probe = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let Some(way) = WAYS.iter().find(|way| runs(&[way, &["sh", "-c", probe][..]].concat())) else {
        skip("nobody here may mount a file system; run this as root, or where users have namespaces");
        return false;
    };
    let given = ["STOCKHOLD_SEED", "STOCKHOLD_TROUBLE", "CI"];
    let given = given.into_iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let status = Command::new(way[0])
        .args(&way[1..])
        .args(["env", &format!("{INSIDE}=1")])
        .args(given)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .status();
    assert!(status.unwrap().success(), "{test}, by {way:?}");
    false
}

fn runs(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    let quiet = command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn run(words: &[&str]) {
    assert!(runs(words), "{words:?}");
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Of an image file, which takes space in memory only as it is written: a thin volume.
    Ext4,
    Tmpfs,
}

/// What can be had here: ext4 takes a loop device, which a user's namespace does not have.
pub fn kinds() -> Vec<Kind> {
    let disk = SmallDisk::try_new(Kind::Ext4);
    let kinds = if disk.is_some() { vec![Kind::Ext4, Kind::Tmpfs] } else { vec![Kind::Tmpfs] };
    println!("on {kinds:?}");
    kinds
}

const MEGABYTES: u64 = 16;

pub struct SmallDisk {
    kind: Kind,
    scratch: TempDir,
    /// A setting of the loop device, which outlives the mount, and what it was before.
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
                if !runs(&["mkfs.ext4", "-q", "-b", "4096", "-m", "0", &disk.image().display().to_string()])
                    || !disk.mount()
                {
                    return None;
                }
            }
        }
        Some(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("disk")
    }

    fn root(&self) -> String {
        self.path().display().to_string()
    }

    /// What an ext4's blocks are taken from.
    pub fn pool(&self) -> PathBuf {
        self.scratch.path().join("pool")
    }

    pub fn image(&self) -> PathBuf {
        self.pool().join("image")
    }

    fn mount(&self) -> bool {
        let image = self.image().display().to_string();
        runs(&["mount", "-o", "loop,errors=remount-ro", &image, &self.root()])
            && self.one_block_a_request().is_some()
    }

    /// The loop device takes a write that its file has kept in part for a whole one: so no request is longer
    /// than what its file keeps or refuses.
    fn one_block_a_request(&self) -> Option<()> {
        let source = Command::new("findmnt").args(["-nM", &self.root(), "-o", "SOURCE"]).output().ok()?;
        let device = Path::new(std::str::from_utf8(&source.stdout).ok()?.trim()).file_name()?.to_owned();
        let setting = Path::new("/sys/block").join(device).join("queue/max_sectors_kb");
        let before = fs::read_to_string(&setting).ok()?;
        fs::write(&setting, "4").ok()?;
        *self.changed.borrow_mut() = Some((setting, before));
        Some(())
    }

    fn change_back(&self) {
        if let Some((setting, before)) = self.changed.take() {
            let _ = fs::write(setting, before); // the device may be gone
        }
    }

    /// Takes it away and gives it back, as after a restart of the machine: nothing of it is in memory.
    pub fn remount(&self, meanwhile: impl FnOnce()) {
        assert_eq!(self.kind, Kind::Ext4);
        self.change_back();
        run(&["umount", &self.root()]);
        meanwhile();
        // As every start of a machine does it; it answers 1 when it has mended something.
        runs(&["e2fsck", "-p", &self.image().display().to_string()]);
        assert!(self.mount());
    }

    pub fn may_be_written(&self, may: bool) {
        run(&["mount", "-o", if may { "remount,rw" } else { "remount,ro" }, &self.root()]);
    }

    /// Fills it up but for so much.
    pub fn leave(&self, free_bytes: u64) {
        fill(&self.path().join("ballast"), free_bytes);
    }

    pub fn free_all(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.change_back();
        // Lazily: the namespace takes along what is still in use.
        runs(&["umount", "-l", &self.root()]);
        runs(&["umount", "-l", &self.pool().display().to_string()]);
    }
}

/// Fills a file system up with one file, but for so much.
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
