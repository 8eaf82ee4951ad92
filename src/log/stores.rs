//! The stores of a log: `<dir>/log/<number>`, one for each opening whose chunks are still needed.
//!
//! Only the store that the running engine appends to is ever open. A store is not opened again: sled's
//! opening writes, takes a segment that it cannot read for the end of its log, and overwrites the rest. So
//! each opening begins a fresh store. The chunks of older stores are read from their raw bytes, which prove
//! themselves; an older store is removed when the log is cut above it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::creation::{self, at};

use super::{
    scan::{self, FoundChunk, ScannedChunk},
    sled::{DATA_FILE, SledStore},
    store::{Store, StoreError},
};

/// The chunks of the stores of one log.
pub(crate) trait ChunkSource: Send + Sync {
    /// The numbers of the stores, ascending.
    fn list(&self) -> io::Result<Vec<u32>>;
    /// Calls `found` with every whole chunk in one store.
    fn scan(&self, store: u32, found: &mut dyn FnMut(ScannedChunk)) -> io::Result<()>;
    /// Reads a chunk again. An error of the kind `InvalidData` says that it has changed.
    fn read(&self, found: &FoundChunk) -> io::Result<Vec<u8>>;
}

/// The stores of one log, by number.
pub(crate) trait Stores: ChunkSource {
    /// Creates a store to append to.
    fn create(&self, store: u32) -> Result<Box<dyn Store>, StoreError>;
    /// Removes a store and everything in it, durably.
    fn remove(&self, store: u32) -> io::Result<()>;
}

/// The stores in a folder.
#[derive(Debug)]
pub(crate) struct StoreFolder(PathBuf);

impl StoreFolder {
    pub(crate) fn at(path: PathBuf) -> Self {
        StoreFolder(path)
    }

    fn of(&self, store: u32) -> PathBuf {
        self.0.join(format!("{store:08x}"))
    }

    /// The file that has a store's chunks.
    pub(super) fn data_file(&self, store: u32) -> PathBuf {
        self.of(store).join(DATA_FILE)
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

impl ChunkSource for StoreFolder {
    fn list(&self) -> io::Result<Vec<u32>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.0))?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().filter(|name| name.len() == 8);
            numbers.extend(number.and_then(|name| u32::from_str_radix(name, 16).ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn scan(&self, store: u32, found: &mut dyn FnMut(ScannedChunk)) -> io::Result<()> {
        match File::open(self.data_file(store)) {
            // The store's creation was interrupted, or its removal.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&self.data_file(store))(error)),
            Ok(file) => {
                let scanned = scan::scan(&file, |chunk| found(chunk.in_store(store)));
                scanned.map(drop).map_err(at(&self.data_file(store)))
            }
        }
    }

    fn read(&self, found: &FoundChunk) -> io::Result<Vec<u8>> {
        let path = self.data_file(found.place.store);
        File::open(&path).and_then(|file| scan::read_chunk(&file, found)).map_err(at(&path))
    }
}

impl Stores for StoreFolder {
    fn create(&self, store: u32) -> Result<Box<dyn Store>, StoreError> {
        let path = self.of(store);
        let make = || {
            match creation::create_folder(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::create_dir(&path)?;
            sync(&self.0)?;
            sync(self.0.parent().unwrap_or(Path::new(".")))
        };
        let io = |error| StoreError::io(format!("creating {path:?}"), &error);
        make().map_err(io)?;
        let store = SledStore::create(&path)?;
        creation::give_tree(&path).map_err(io)?;
        Ok(Box::new(store))
    }

    fn remove(&self, store: u32) -> io::Result<()> {
        match fs::remove_dir_all(self.of(store)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&self.of(store))(error)),
            _ => {}
        }
        sync(&self.0)
    }
}

/// The stores of earlier openings that have chunks which are still needed.
pub(crate) struct OlderStores {
    pub(crate) stores: Arc<dyn Stores>,
    /// The stores, each with the end of its last needed chunk; 0 if it has none.
    pub(crate) kept: Vec<(u32, u64)>,
}

impl OlderStores {
    /// Removes the stores that have no needed chunk.
    pub(crate) fn tidy(mut self) -> io::Result<Self> {
        for (store, _) in self.kept.iter().filter(|(_, end)| *end == 0) {
            self.stores.remove(*store)?;
        }
        self.kept.retain(|(_, end)| *end > 0);
        Ok(self)
    }

    /// Removes the stores that have nothing needed from `position` on. One that cannot be removed now is
    /// tried again the next time.
    pub(crate) fn cut_below(&mut self, position: u64) {
        let stores = &self.stores;
        self.kept.retain(|(store, end)| *end > position || stores.remove(*store).is_err());
    }
}
