//! Creates the files and folders of a directory, for the owner of the folder that they are in.
//!
//! An operator may run a command as root in a shop's directory. What it creates would belong to root, and the
//! shop could neither remove it nor, with a strict umask, read it. So each new file is given to the owner of
//! its folder. Only a process with the privilege can do that; for others the kernel's refusal is no error.
//!
//! Invariants:
//! - Only what this process has just created is given away, by its descriptor, or by a name that is not
//!   followed if it is a link. A file that was there before keeps its owner: the shop could have put a link to
//!   another file in its place.
//! - A folder is given away after its content, so that its new owner cannot replace what is still to be given.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

/// An error of the operating system, with the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {error}")]
pub(crate) struct PathError {
    path: PathBuf,
    pub(crate) error: io::Error,
}

/// Adds the path to an error. [`advice`](crate::log::store::advice) still sees the cause.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), PathError { path: path.to_owned(), error })
}

/// The user and group of the folder that `path` is in.
fn owner(path: &Path) -> io::Result<(u32, u32)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::metadata(folder)?;
    Ok((folder.uid(), folder.gid()))
}

/// Gives something that belongs to `made` to the owner of its folder by `change`.
fn give(
    path: &Path,
    made: &fs::Metadata,
    change: impl FnOnce(Option<u32>, Option<u32>) -> io::Result<()>,
) -> io::Result<()> {
    let (user, group) = owner(path)?;
    if user == made.uid() {
        return Ok(()); // its group is as the folder says, or as its owner has chosen
    }
    match change(Some(user), Some(group)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

/// Creates an empty file, in place of one that has this name.
pub(crate) fn create_file(path: &Path, mode: u32) -> io::Result<File> {
    let create = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode).open(path)
    };
    let file = match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path).map_err(at(path))?;
            create()
        }
        created => created,
    };
    let file = file.map_err(at(path))?;
    give(path, &file.metadata()?, |user, group| fchown(&file, user, group)).map_err(at(path))?;
    Ok(file)
}

/// Opens a file for reading and writing, and creates it if there is none.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another process may have created it in between: then it is opened.
            match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open().map_err(at(path)),
                Err(error) => Err(at(path)(error)),
                Ok(file) => {
                    give(path, &file.metadata()?, |user, group| fchown(&file, user, group))
                        .map_err(at(path))?;
                    Ok(file)
                }
            }
        }
        opened => opened.map_err(at(path)),
    }
}

/// Creates a folder. An error of the kind `AlreadyExists` if there is one.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    give_created(path)
}

/// Gives a folder that this process has created, and all that is in it, to the owner of the folder above it.
pub(crate) fn give_tree(path: &Path) -> io::Result<()> {
    let made = fs::symlink_metadata(path)?;
    if owner(path)?.0 == made.uid() {
        return Ok(());
    }
    // The content goes to the same owner, so each entry is given by that of `path`.
    let (user, group) = owner(path)?;
    give_all(path, user, group).map_err(at(path))
}

fn give_all(path: &Path, user: u32, group: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_all(&entry?.path(), user, group)?;
        }
    }
    match lchown(path, Some(user), Some(group)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

fn give_created(path: &Path) -> io::Result<()> {
    give(path, &fs::symlink_metadata(path)?, |user, group| lchown(path, user, group)).map_err(at(path))
}
