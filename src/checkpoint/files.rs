//! The file system interface of checkpoints: a folder of files, each written once, some renamed into place.

use std::fs::{self, DirEntry, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::creation::{self, at};

/// A folder. A file's bytes are durable after its [`sync`](NewFile::sync), its name after the folder's.
pub(crate) trait Files: Send + Sync {
    /// The names of all files; empty if the folder does not exist.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Creates an empty file, and replaces one of the same name.
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>>;
    /// Renames a file atomically, and replaces a file with the name `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait NewFile: Write + Send {
    /// Makes the file's bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A folder on disk, created together with its first file.
#[derive(Debug)]
pub(crate) struct DirFiles(PathBuf);

impl DirFiles {
    pub(crate) fn at(path: PathBuf) -> Self {
        DirFiles(path)
    }

    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        let path = self.0.join(name);
        File::open(&path).map_err(at(&path))
    }

    fn make(&self) -> io::Result<()> {
        match creation::create_folder(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_folder(self.0.parent().unwrap_or(Path::new("."))),
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

impl Files for DirFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.0))?,
        };
        // Folders, and names that are not UTF-8, do not belong to a checkpoint.
        let name = |entry: DirEntry| {
            Ok(if entry.file_type()?.is_dir() { None } else { entry.file_name().into_string().ok() })
        };
        entries.filter_map(|entry| entry.and_then(name).transpose()).collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(BufReader::with_capacity(256 << 10, self.file(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        self.make()?;
        Ok(Box::new(creation::create_file(&self.0.join(name), 0o666)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let path = self.0.join(from);
        fs::rename(&path, self.0.join(to)).map_err(at(&path))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        fs::remove_file(&path).map_err(at(&path))
    }

    fn sync(&self) -> io::Result<()> {
        self.make()?; // an empty state has no runs, so the folder may not exist yet
        sync_folder(&self.0)
    }
}
