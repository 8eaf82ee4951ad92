//! The lock of a directory: one engine has it alone, or several readers share it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::layout::{DirectoryError, Layout};

/// A locked file. Dropping it unlocks the file explicitly: a process that another thread is just forking has
/// the file too until it executes, and closing ours would leave the lock with it.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // an error does not matter unless a process is forked: the file is closed next
    }
}

impl Lock {
    /// Takes the lock of an engine, and writes this process's id into its file.
    pub(super) fn exclusive(layout: &Layout) -> Result<Self, DirectoryError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(layout.lock())
            .map_err(layout.io("locking it"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(layout, &file)),
            Err(TryLockError::Error(error)) => return Err(layout.io("locking it")(error)),
        }
        // Only for the error message of another opening, so it is neither synced nor believed.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(layout.io("locking it"))?;
        Ok(Lock(file))
    }

    /// Takes the lock of a reader, on a descriptor that cannot write: shared, so that readers do not exclude
    /// each other. `None` if there is no lock file.
    pub(super) fn shared(layout: &Layout) -> Result<Option<Self>, DirectoryError> {
        match File::open(layout.lock()) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(Some(Lock(file))),
                Err(TryLockError::WouldBlock) => Err(in_use(layout, &file)),
                Err(TryLockError::Error(error)) => Err(layout.io("locking it")(error)),
            },
            // A copy may have been made without the lock file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(layout.io("locking it")(error)),
        }
    }

    /// Which file is locked.
    pub(super) fn file_id(&self) -> io::Result<FileId> {
        Ok(FileId::of(&self.0.metadata()?))
    }

    /// A lock that locks nothing.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(super) fn nothing() -> io::Result<Self> {
        Ok(Lock(File::open("/dev/null")?))
    }
}

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(file: &fs::Metadata) -> Self {
        FileId { device: file.dev(), inode: file.ino() }
    }
}

fn in_use(layout: &Layout, mut lock: &File) -> DirectoryError {
    let mut text = String::new();
    let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    // A reader holds the lock without writing its id: then the file has the id of an engine that has ended.
    let pid = pid.filter(|pid| Path::new("/proc").join(pid.to_string()).exists());
    DirectoryError::InUse { path: layout.path().to_owned(), pid }
}
