//! The stores of a log, opened by a reader all at once.
//!
//! The reader goes on with what it has opened: an engine that opens the directory meanwhile appends to a store
//! of its own, and may remove older ones, whose bytes stay readable until the reader closes them.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::scan::{self, FoundChunk, ScannedChunk};
use super::stores::{ChunkSource, StoreFolder};
use crate::creation::at;

#[derive(Debug)]
pub(crate) struct OpenedStores {
    /// Each store that has a file, with the file and its path.
    files: Vec<(u32, File, PathBuf)>,
}

impl OpenedStores {
    pub(crate) fn open(stores: &StoreFolder) -> io::Result<Self> {
        let mut files = Vec::new();
        for store in stores.list()? {
            let path = stores.data_file(store);
            match File::open(&path) {
                Ok(file) => files.push((store, file, path)),
                // The store's creation was interrupted, or its removal.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&path)(error)),
            }
        }
        Ok(OpenedStores { files })
    }

    fn of(&self, store: u32) -> Option<&(u32, File, PathBuf)> {
        self.files.iter().find(|(number, ..)| *number == store)
    }
}

impl ChunkSource for OpenedStores {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.files.iter().map(|(store, ..)| *store).collect())
    }

    fn scan(&self, store: u32, found: &mut dyn FnMut(ScannedChunk)) -> io::Result<()> {
        let Some((_, file, path)) = self.of(store) else { return Ok(()) };
        scan::scan(file, |chunk| found(chunk.in_store(store))).map(drop).map_err(at(path))
    }

    fn read(&self, found: &FoundChunk) -> io::Result<Vec<u8>> {
        let (_, file, path) = self.of(found.place.store).ok_or(io::ErrorKind::NotFound)?;
        scan::read_chunk(file, found).map_err(at(path))
    }
}
