//! A store in memory whose disk fails as a test plans it, for tests of everything above the store.
//!
//! The [`FaultyStoreDisk`] outlives the store, as a real one outlives the process: a test crashes it, damages
//! it, and opens a new store on it. Synced writes survive a crash; for every other write the test decides.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::log::{
    scan::{FoundChunk, ScannedChunk, whole_chunk},
    store::{Store, StoreError},
    stores::{ChunkSource, Stores},
};

/// What a loss of power does to one write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Only so many of its first bytes reached the disk.
    Torn(usize),
}

/// Which operation fails next. The counts are of calls that still succeed: 0 fails the next call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) appends_until_failure: Option<u64>,
    pub(crate) syncs_until_failure: Option<u64>,
    /// The disk is full after so many bytes of chunks.
    pub(crate) bytes_max: Option<usize>,
}

/// One store's chunks, by start position.
#[derive(Debug, Default)]
struct KeptChunks {
    synced: BTreeMap<u64, Vec<u8>>,
    unsynced: BTreeMap<u64, Vec<u8>>,
}

impl KeptChunks {
    /// The chunks as they are read: of two writes at one position, the later.
    fn all(&self) -> BTreeMap<u64, &Vec<u8>> {
        self.synced.iter().chain(&self.unsynced).map(|(start, chunk)| (*start, chunk)).collect()
    }
}

#[derive(Debug, Default)]
struct StoreState {
    stores: BTreeMap<u32, KeptChunks>,
    plan: Plan,
}

/// A disk, together with what the kernel has not written to it yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyStoreDisk(Arc<Mutex<StoreState>>);

impl FaultyStoreDisk {
    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.0.lock().unwrap()
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// Loses power: `fate` decides, by start position, what happens to every write that was not synced.
    pub(crate) fn crash(&self, mut fate: impl FnMut(u64) -> Fate) {
        for chunks in self.state().stores.values_mut() {
            for (start, chunk) in std::mem::take(&mut chunks.unsynced) {
                let kept = match fate(start) {
                    Fate::Lost => continue,
                    Fate::Kept => chunk.len(),
                    Fate::Torn(bytes) => bytes.min(chunk.len()),
                };
                chunks.synced.insert(start, chunk[..kept].to_vec());
            }
        }
    }

    /// Puts bytes at a position of the newest store as if they had been synced: a leftover, or a misplaced
    /// write.
    pub(crate) fn place(&self, start: u64, chunk: Vec<u8>) {
        let mut state = self.state();
        state.stores.values_mut().next_back().unwrap().synced.insert(start, chunk);
    }

    /// The bytes at a position.
    pub(crate) fn chunk(&self, start: u64) -> Option<Vec<u8>> {
        let state = self.state();
        state.stores.values().rev().find_map(|chunks| chunks.all().get(&start).map(|chunk| chunk.to_vec()))
    }

    /// The start positions of the synced chunks.
    pub(crate) fn synced(&self) -> Vec<u64> {
        let state = self.state();
        let mut starts: Vec<u64> =
            state.stores.values().flat_map(|chunks| chunks.synced.keys().copied()).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

impl ChunkSource for FaultyStoreDisk {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.state().stores.keys().copied().collect())
    }

    fn scan(&self, store: u32, seen: &mut dyn FnMut(ScannedChunk)) -> io::Result<()> {
        let state = self.state();
        let Some(chunks) = state.stores.get(&store) else { return Ok(()) };
        for (start, chunk) in chunks.all() {
            if let Some((chunk, _)) = whole_chunk(chunk, start) {
                seen(chunk.in_store(store));
            }
        }
        Ok(())
    }

    fn read(&self, found: &FoundChunk) -> io::Result<Vec<u8>> {
        let state = self.state();
        let chunks = state.stores.get(&found.place.store);
        let chunk =
            chunks.and_then(|chunks| chunks.all().get(&found.place.offset).map(|chunk| chunk.to_vec()));
        chunk.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Stores for FaultyStoreDisk {
    fn create(&self, store: u32) -> Result<Box<dyn Store>, StoreError> {
        let before = self.state().stores.insert(store, KeptChunks::default());
        assert!(before.is_none(), "a store's number is used once");
        Ok(Box::new(MemoryStore { disk: self.clone(), store, dead: None }))
    }

    fn remove(&self, store: u32) -> io::Result<()> {
        self.state().stores.remove(&store);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct MemoryStore {
    disk: FaultyStoreDisk,
    store: u32,
    dead: Option<StoreError>,
}

impl MemoryStore {
    fn writing<T>(
        &mut self,
        work: impl FnOnce(&mut KeptChunks, &mut Plan, usize) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        let StoreState { stores, plan } = &mut *self.disk.state();
        let bytes = stores.values().flat_map(|chunks| chunks.all().into_values().map(Vec::len)).sum();
        let result = work(stores.entry(self.store).or_default(), plan, bytes);
        self.dead = result.as_ref().err().cloned();
        result
    }
}

/// Counts one call down; true if this call must fail.
fn strikes(countdown: &mut Option<u64>) -> bool {
    match countdown {
        Some(0) => true,
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Store for MemoryStore {
    fn append(&mut self, start: u64, chunk: &[u8]) -> Result<(), StoreError> {
        self.writing(|chunks, plan, bytes| {
            if strikes(&mut plan.appends_until_failure) {
                return Err(StoreError::io("a planned failure to append", &io::Error::other("a bad sector")));
            }
            if plan.bytes_max.is_some_and(|max| bytes + chunk.len() > max) {
                return Err(StoreError::Full { doing: "a planned full disk".into() });
            }
            chunks.unsynced.insert(start, chunk.to_vec());
            Ok(())
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.writing(|_, _, _| Ok(()))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.writing(|chunks, plan, _| {
            if strikes(&mut plan.syncs_until_failure) {
                return Err(StoreError::io("a planned failure to sync", &io::Error::other("a bad sector")));
            }
            let mut unsynced = std::mem::take(&mut chunks.unsynced);
            chunks.synced.append(&mut unsynced);
            Ok(())
        })
    }

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        self.writing(|chunks, _, _| {
            let mut starts: Vec<u64> = chunks.all().range(..position).map(|(start, _)| *start).collect();
            starts.truncate(chunks_max);
            for start in &starts {
                chunks.synced.remove(start);
                chunks.unsynced.remove(start);
            }
            Ok(starts.len())
        })
    }

    fn has_name(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_kills_the_store() {
        let disk = FaultyStoreDisk::default();
        let mut store = disk.create(1).unwrap();
        disk.plan(Plan { syncs_until_failure: Some(1), ..Plan::default() });
        store.append(0, b"first").unwrap();
        store.sync().unwrap();
        store.append(1, b"second").unwrap();
        assert!(matches!(store.sync(), Err(StoreError::Io { .. })));
        disk.plan(Plan::default());
        assert!(matches!(store.sync(), Err(StoreError::Dead { .. })));
        assert!(matches!(store.append(2, b"third"), Err(StoreError::Dead { .. })));
        assert_eq!(disk.synced(), [0]);
    }

    #[test]
    fn a_full_disk_is_called_full() {
        let disk = FaultyStoreDisk::default();
        disk.plan(Plan { bytes_max: Some(6), ..Plan::default() });
        let mut store = disk.create(1).unwrap();
        store.append(0, b"first").unwrap();
        assert!(matches!(store.append(1, b"second"), Err(StoreError::Full { .. })));
    }

    #[test]
    fn a_crash_spares_what_was_synced_and_the_test_decides_the_rest() {
        let disk = FaultyStoreDisk::default();
        let mut store = disk.create(1).unwrap();
        store.append(0, b"zero").unwrap();
        store.sync().unwrap();
        for start in 1..4 {
            store.append(start, b"later").unwrap();
        }
        disk.crash(|start| [Fate::Lost, Fate::Kept, Fate::Torn(2)][start as usize - 1]);
        assert_eq!(disk.chunk(1), None);
        assert_eq!(disk.chunk(2), Some(b"later".to_vec()));
        assert_eq!(disk.chunk(3), Some(b"la".to_vec()));
        assert_eq!(disk.synced(), [0, 2, 3]);
    }
}
