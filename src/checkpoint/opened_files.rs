//! The files of checkpoints, opened by a reader all at once.
//!
//! The reader goes on with what it has opened: an engine that opens the directory meanwhile may remove files,
//! and their bytes stay readable until the reader closes them. Of the ledger, which can have thousands of files,
//! only the youngest are opened at once: checkpoints merge those. The others are opened when they are read, and
//! may be gone if the ledger's retention is over.
//!
//! A file that cannot be opened is no error before it is read: a reader may do without it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::files::{DirFiles, Files, NewFile};
use super::run_ref::RunKind;

/// The ledger's files that are opened at once.
const LEDGER_FILES: usize = 256;

#[derive(Debug)]
pub(crate) struct OpenedFiles {
    folder: DirFiles,
    /// Every file that there was, by name, if it was opened. None if the folder could not be listed.
    files: Option<BTreeMap<String, Option<Arc<File>>>>,
}

impl OpenedFiles {
    pub(crate) fn open(folder: DirFiles) -> Self {
        let files = folder.list().ok().map(|names| Self::open_all(&folder, names));
        OpenedFiles { folder, files }
    }

    fn open_all(folder: &DirFiles, mut names: Vec<String>) -> BTreeMap<String, Option<Arc<File>>> {
        names.sort_unstable();
        let ledger = names.iter().filter(|name| RunKind::Ledger.is_name(name)).count();
        let mut left = ledger.saturating_sub(LEDGER_FILES);
        let mut files = BTreeMap::new();
        for name in names {
            let is_old = left > 0 && RunKind::Ledger.is_name(&name);
            left -= usize::from(is_old);
            let file = if is_old { None } else { folder.file(&name).ok().map(Arc::new) };
            files.insert(name, file);
        }
        files
    }
}

/// Reads a file from its beginning, whatever else reads it.
struct FromBeginning {
    file: Arc<File>,
    offset: u64,
}

impl Read for FromBeginning {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn only_read<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "these files are only read"))
}

impl Files for OpenedFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        match &self.files {
            Some(files) => Ok(files.keys().cloned().collect()),
            None => self.folder.list(), // the error again
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        match self.files.as_ref().and_then(|files| files.get(name)) {
            Some(Some(file)) => {
                let from_beginning = FromBeginning { file: Arc::clone(file), offset: 0 };
                Ok(Box::new(BufReader::with_capacity(256 << 10, from_beginning)))
            }
            Some(None) => self.folder.open(name).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::other(
                    "an engine has opened the directory since and has removed this file, as its retention says; \
                     read the directory again",
                ),
                _ => error,
            }),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn NewFile>> {
        only_read()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        only_read()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        only_read()
    }

    fn sync(&self) -> io::Result<()> {
        only_read()
    }
}
