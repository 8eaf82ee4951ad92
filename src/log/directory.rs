//! A stockhold directory that is locked: for an engine, for readers, or for a salvage.
//!
//! [`layout`](super::layout) has the names of its files.
//!
//! Invariants:
//! - The identity is written when everything else exists and is durable. A directory without one was never
//!   used: the next opening completes a creation that a crash interrupted, and only a log with chunks in it
//!   makes its absence damage.
//! - Nothing is written before the locks are held, and nothing at all in a directory that is not stockhold's.
//! - A reader writes nothing, not even the lock file.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::identity::{encode, read_identity};
use super::layout::IDENTITY;
use super::lock::{EngineLock, LockedNames, ReaderLock};

use crate::creation;

pub(crate) use super::identity::Identity;
pub(crate) use super::layout::{DirectoryError, Layout};

/// A directory that one engine has for itself until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    /// True until [`commit`](Self::commit): there is no identity on the disk yet.
    pub(crate) fresh: bool,
    /// Dropping it unlocks the directory. None in a test without a directory.
    lock: Option<EngineLock>,
}

impl Directory {
    /// Locks the directory at `path`, creating it if there is none. Completes a creation that a crash
    /// interrupted.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let io = |error| DirectoryError::Io { path: path.to_owned(), doing: "looking for it", error };
        // Absolute, because the process may change its working directory while the engine runs.
        let path = &std::path::absolute(path).map_err(io)?;
        let layout = Layout::at(path);
        create_durably(path).map_err(layout.io("creating it"))?;
        // Before the first byte is written: is it stockhold's, or empty?
        if read_identity(&layout)?.is_none() {
            layout.refuse_foreign()?;
        }
        let mut lock = EngineLock::take(&layout)?;
        // Once more, now that no other process can be creating it.
        let found = read_identity(&layout)?;
        let fresh = found.is_none();
        let identity = match found {
            Some(identity) => {
                lock.take_identity(&layout)?;
                identity
            }
            None => {
                layout.refuse_foreign()?;
                Identity::random()
            }
        };
        Ok(Self { layout, identity, fresh, lock: Some(lock) })
    }

    /// A directory that does not exist: for an engine whose log and files are given.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn nowhere(identity: Identity) -> Self {
        Self { layout: Layout::at(Path::new("/dev/null/nowhere")), identity, fresh: false, lock: None }
    }

    /// The names of the directory, to check later whether they are still its own.
    pub(crate) fn place(&self) -> io::Result<OwnedDirectory> {
        let names = self.lock.as_ref().map_or(Ok(LockedNames::default()), |lock| lock.names(&self.layout));
        Ok(OwnedDirectory { layout: self.layout.clone(), names: names? })
    }

    /// Whether the identity still has a name; false if the directory was removed. Cost: one call.
    pub(crate) fn has_name(&self) -> io::Result<bool> {
        self.lock.as_ref().map_or(Ok(true), EngineLock::has_name)
    }

    /// Makes a fresh directory a stockhold directory: the last step of its creation.
    pub(crate) fn commit(&mut self) -> Result<(), DirectoryError> {
        let write = || -> io::Result<()> {
            let unfinished = self.layout.identity_unfinished();
            // Readable by its owner only: it has the secret in it.
            let mut file = creation::create_file(&unfinished, 0o600)?;
            file.write_all(&encode(&self.identity))?;
            file.sync_all()?;
            self.layout.sync()?;
            fs::rename(&unfinished, self.layout.identity())?;
            self.layout.sync()
        };
        write().map_err(self.layout.io("writing its identity"))?;
        if let Some(lock) = &mut self.lock {
            lock.take_identity(&self.layout)?;
        }
        self.fresh = false;
        Ok(())
    }
}

/// Where a directory was locked. A lock does not keep its directory from being removed or moved, and what is
/// written then is lost, or lies elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct OwnedDirectory {
    pub(crate) layout: Layout,
    names: LockedNames,
}

impl OwnedDirectory {
    /// Has the name of this file checked too.
    pub(super) fn add(&mut self, path: PathBuf) -> io::Result<()> {
        self.names.add(path)
    }

    /// An error if the directory, its identity or a file that was added is no longer the one under its name.
    /// Cost: a system call for each.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.names.check()
    }
}

/// A directory that is only read. No engine can open it until it is released.
#[derive(Debug)]
pub(crate) struct ReadOnlyDirectory {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    lock: Option<ReaderLock>,
}

impl ReadOnlyDirectory {
    /// Lets engines open the directory. To be called when every file that is read was opened.
    pub(crate) fn release(&mut self) {
        self.lock = None;
    }

    /// Locks the directory at `path` for reading, without changing a byte of it.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let layout = Layout::at(path);
        if !path.try_exists().map_err(layout.io("looking for it"))? {
            return Err(layout.missing());
        }
        let Some(identity) = read_identity(&layout)? else {
            layout.refuse_foreign()?;
            return Err(layout.missing());
        };
        let lock = ReaderLock::take(&layout)?;
        Ok(Self { layout, identity, lock: Some(lock) })
    }
}

/// A directory that may have lost any of its parts. It is only read; no engine can open it
/// until it is released.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) layout: Layout,
    /// The identity, or why it is unknown.
    pub(crate) identity: Result<Identity, DirectoryError>,
    lock: Option<ReaderLock>,
}

impl Remains {
    /// Lets engines open the directory. To be called when every file that is read was opened.
    pub(crate) fn release(&mut self) {
        self.lock = None;
    }

    /// Locks the directory at `path` for reading, without changing a byte of it. An error if nothing of a
    /// stockhold directory is left.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let layout = Layout::at(path);
        if !layout.has_remains() {
            return Err(layout.missing());
        }
        let lock = ReaderLock::take(&layout)?;
        let identity = match read_identity(&layout) {
            Ok(found) => found.ok_or_else(|| layout.lacks(IDENTITY)),
            // Without its mark the file may be another program's, but there are files of stockhold beside it.
            Err(problem @ (DirectoryError::Foreign { .. } | DirectoryError::Corrupt { .. })) => Err(problem),
            Err(error) => return Err(error),
        };
        Ok(Self { layout, identity, lock: Some(lock) })
    }
}

/// Creates the directory and those above it, and makes the name of each durable.
fn create_durably(path: &Path) -> io::Result<()> {
    // "a" has the parent "", which is the working directory.
    let parent =
        path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let Some(parent) = parent.filter(|_| !path.is_dir()) else { return Ok(()) };
    create_durably(parent)?;
    match creation::create_folder(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(path: &Path) -> Directory {
        let mut directory = Directory::open(path).unwrap();
        directory.commit().unwrap();
        directory
    }

    #[test]
    fn a_directory_keeps_its_identity() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new/one");
        let identity = created(&path).identity;
        let again = Directory::open(&path).unwrap();
        assert!(!again.fresh);
        assert_eq!(again.identity, identity);
        assert_ne!(identity, created(&scratch.path().join("other")).identity);
    }

    #[test]
    fn a_second_opening_names_the_process_that_has_the_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let first = created(scratch.path());
        let ours = std::process::id();
        let refused = Directory::open(scratch.path()).unwrap_err();
        assert!(matches!(refused, DirectoryError::InUse { pid: Some(pid), .. } if pid == ours), "{refused}");
        let refused = ReadOnlyDirectory::open(scratch.path()).unwrap_err();
        assert!(matches!(refused, DirectoryError::InUse { pid: Some(pid), .. } if pid == ours), "{refused}");
        drop(first);
        Directory::open(scratch.path()).unwrap();
    }

    #[test]
    fn every_leftover_of_a_creation_is_completed() {
        for leftovers in
            [&[][..], &["lock"], &["lock", "log"], &["lock", "log", "durable"], &["lock", "stockhold.tmp"]]
        {
            let scratch = tempfile::tempdir().unwrap();
            for leftover in leftovers {
                match *leftover {
                    "log" => fs::create_dir(scratch.path().join("log")).unwrap(),
                    file => fs::write(scratch.path().join(file), b"").unwrap(),
                }
            }
            assert!(matches!(ReadOnlyDirectory::open(scratch.path()), Err(DirectoryError::Missing { .. })));
            assert!(created(scratch.path()).layout.identity().exists(), "{leftovers:?}");
        }
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("holiday.jpg"), b"").unwrap();
        assert!(matches!(Directory::open(scratch.path()), Err(DirectoryError::Foreign { .. })));
        assert!(matches!(ReadOnlyDirectory::open(scratch.path()), Err(DirectoryError::Foreign { .. })));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_writes_nothing_and_keeps_engines_out_until_it_has_opened_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(matches!(
            ReadOnlyDirectory::open(&scratch.path().join("no")),
            Err(DirectoryError::Missing { .. })
        ));
        drop(created(scratch.path()));
        fs::remove_file(scratch.path().join("lock")).unwrap();
        drop(ReadOnlyDirectory::open(scratch.path()).unwrap());
        assert!(!scratch.path().join("lock").exists());
        drop(Directory::open(scratch.path()).unwrap());
        let mut reader = ReadOnlyDirectory::open(scratch.path()).unwrap();
        let another = ReadOnlyDirectory::open(scratch.path()).unwrap();
        let ours = std::process::id();
        let refused = Directory::open(scratch.path()).unwrap_err();
        assert!(
            matches!(refused, DirectoryError::InUse { pid: Some(pid), by_reader: true, .. } if pid == ours),
            "{refused}"
        );
        reader.release();
        drop(another);
        Directory::open(scratch.path()).unwrap();
    }
}
