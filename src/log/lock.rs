//! The locks of a directory: one engine has it alone, or readers share it for a moment.
//!
//! An engine locks the directory itself and its identity. Neither can be removed without the rest: whoever
//! removes the file `lock`, or moves the content into another folder, does not let a second engine in. It also
//! locks the file `lock`, because builds before this one lock nothing else.
//!
//! A reader holds its locks only while it opens the files that it reads, so it never keeps an engine from
//! opening the directory. An engine that meets a reader waits for it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::layout::{DirectoryError, Layout};
use crate::creation;

/// How often an engine looks again at a directory that only readers have locked. Readers of this build take
/// milliseconds; a command of an earlier build may take as long as it is open.
const READER_LOOKS: u32 = 100;
const READER_PAUSE: Duration = Duration::from_millis(20);

/// A locked file. Dropping it unlocks the file explicitly: a process that another thread is just forking has
/// the file too until it executes, and closing ours would leave the lock with it.
#[derive(Debug)]
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // an error does not matter unless a process is forked: the file is closed next
    }
}

impl LockedFile {
    /// Locks a file for one engine.
    fn exclusive(layout: &Layout, file: File) -> Result<Self, DirectoryError> {
        for _ in 0..READER_LOOKS {
            match file.try_lock() {
                Ok(()) => return Ok(LockedFile(file)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(layout.cannot_lock(error)),
            }
            // Whoever shares its lock only reads.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(|error| layout.cannot_lock(error))?,
                Err(TryLockError::WouldBlock) => return Err(layout.in_use(holder(&file), false)),
                Err(TryLockError::Error(error)) => return Err(layout.cannot_lock(error)),
            }
            thread::sleep(READER_PAUSE);
        }
        Err(layout.in_use(holder(&file), true))
    }

    /// Locks a file for a reader, beside others.
    fn shared(layout: &Layout, file: File) -> Result<Self, DirectoryError> {
        match file.try_lock_shared() {
            Ok(()) => Ok(LockedFile(file)),
            Err(TryLockError::WouldBlock) => Err(layout.in_use(holder(&file), false)),
            Err(TryLockError::Error(error)) => Err(layout.cannot_lock(error)),
        }
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId::of(&self.0.metadata()?))
    }

    /// Whether the file still has a name.
    fn has_name(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }
}

/// The locks of an engine.
#[derive(Debug)]
pub(super) struct EngineLock {
    directory: LockedFile,
    /// None until the directory has one.
    identity: Option<LockedFile>,
    _for_earlier_builds: LockedFile,
}

impl EngineLock {
    /// Takes the locks of the directory and of the file `lock`, which is created.
    pub(super) fn take(layout: &Layout) -> Result<Self, DirectoryError> {
        let directory = File::open(layout.path()).map_err(layout.io("locking it"))?;
        let directory = LockedFile::exclusive(layout, directory)?;
        let lock = creation::open_or_create(&layout.lock()).map_err(layout.io("creating its file `lock`"))?;
        let _for_earlier_builds = LockedFile::exclusive(layout, lock)?;
        Ok(EngineLock { directory, identity: None, _for_earlier_builds })
    }

    /// Takes the lock of the identity too, once there is one.
    pub(super) fn take_identity(&mut self, layout: &Layout) -> Result<(), DirectoryError> {
        let identity = File::open(layout.identity()).map_err(layout.io("locking its identity"))?;
        self.identity = Some(LockedFile::exclusive(layout, identity)?);
        Ok(())
    }

    /// What is locked, and under which names.
    pub(super) fn names(&self, layout: &Layout) -> io::Result<LockedNames> {
        let mut names = vec![(layout.path().to_owned(), self.directory.id()?)];
        if let Some(identity) = &self.identity {
            names.push((layout.identity(), identity.id()?));
        }
        Ok(LockedNames(names))
    }

    /// Whether the identity still has a name: a check without a path.
    pub(super) fn has_name(&self) -> io::Result<bool> {
        self.identity.as_ref().map_or(Ok(true), LockedFile::has_name)
    }
}

/// The names of what an engine has locked, and of what it writes.
#[derive(Clone, Debug, Default)]
pub(super) struct LockedNames(Vec<(PathBuf, FileId)>);

impl LockedNames {
    /// Adds a file that is written, though not locked.
    pub(super) fn add(&mut self, path: PathBuf) -> io::Result<()> {
        let id = FileId::of(&fs::metadata(&path)?);
        self.0.push((path, id));
        Ok(())
    }

    /// An error if a name is gone, or is another file's.
    pub(super) fn check(&self) -> io::Result<()> {
        for (path, locked) in &self.0 {
            let is_there = match fs::metadata(path) {
                Ok(found) => FileId::of(&found) == *locked,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            if !is_there {
                return Err(io::Error::other(format!("{path:?} was removed, moved or replaced")));
            }
        }
        Ok(())
    }
}

/// The locks of a reader, on descriptors that cannot write.
#[derive(Debug)]
pub(super) struct ReaderLock {
    _locked: Vec<LockedFile>,
}

impl ReaderLock {
    pub(super) fn take(layout: &Layout) -> Result<Self, DirectoryError> {
        let mut locked = Vec::new();
        for path in [layout.path().to_owned(), layout.lock(), layout.identity()] {
            match File::open(&path) {
                Ok(file) => locked.push(LockedFile::shared(layout, file)?),
                // A copy may have been made without the file `lock`, and a salvage reads what has no identity.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(layout.io("locking it")(error)),
            }
        }
        Ok(ReaderLock { _locked: locked })
    }
}

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(file: &fs::Metadata) -> Self {
        FileId { device: file.dev(), inode: file.ino() }
    }
}

/// The process that has a file locked, if the kernel lists it: it lists those of our own process namespace, on
/// local file systems.
fn holder(file: &File) -> Option<u32> {
    let id = FileId::of(&file.metadata().ok()?);
    holder_in(&fs::read_to_string("/proc/locks").ok()?, id)
}

/// A line is `1: FLOCK  ADVISORY  WRITE 31578 fe:00:11462849 0 EOF`.
fn holder_in(locks: &str, id: FileId) -> Option<u32> {
    // Linux's encoding of device numbers.
    let major = (id.device >> 8) & 0xfff | (id.device >> 32) & !0xfff;
    let minor = id.device & 0xff | (id.device >> 12) & !0xff;
    let place = format!("{major:02x}:{minor:02x}:{}", id.inode);
    let mut lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line.get(1) == Some(&"FLOCK") && line.get(5) == Some(&place.as_str()))?;
    // A process of another namespace is listed as 0.
    line.get(4)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernels_list() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:5 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 0 fe:00:6 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 31578 fe:00:5 0 EOF\n";
        let id = |inode| FileId { device: 0xfe00, inode };
        assert_eq!(holder_in(locks, id(5)), Some(31_578));
        assert_eq!(holder_in(locks, id(6)), None, "a process of another namespace");
        assert_eq!(holder_in(locks, id(7)), None);
    }
}
