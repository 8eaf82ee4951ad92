//! A store in memory whose disk fails as planned: for tests of everything above the store.
//!
//! The [`Disk`] outlives the store, as a real one outlives the process: crash it, damage it, and open a new store on
//! it. What was synced survives a crash; of the rest the test decides write by write.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::store::{Store, StoreError};

/// What becomes of one write that was not synced when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Only so many of its first bytes reached the disk.
    Torn(usize),
}

/// Which operation fails next. Counts are of calls still to succeed: 0 fails the next one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) appends_until_failure: Option<u64>,
    pub(crate) syncs_until_failure: Option<u64>,
    /// Room for so many chunk bytes, then the disk is full.
    pub(crate) bytes_max: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    synced: BTreeMap<u64, Vec<u8>>,
    unsynced: BTreeMap<u64, Vec<u8>>,
    plan: Plan,
}

/// What is on the disk, and what the kernel still holds for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A store on this disk, as after a start of the process.
    pub(crate) fn open(&self) -> MemoryStore {
        MemoryStore { disk: self.clone(), dead: None }
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// The power goes: `fate` says, by start position, what became of every write that was not synced.
    pub(crate) fn crash(&self, mut fate: impl FnMut(u64) -> Fate) {
        let state = &mut *self.state();
        for (start, chunk) in std::mem::take(&mut state.unsynced) {
            let kept = match fate(start) {
                Fate::Lost => continue,
                Fate::Kept => chunk.len(),
                Fate::Torn(bytes) => bytes.min(chunk.len()),
            };
            state.synced.insert(start, chunk[..kept].to_vec());
        }
    }

    /// Puts bytes under a position as if they had been synced: a leftover, or a misplaced write.
    pub(crate) fn place(&self, start: u64, chunk: Vec<u8>) {
        self.state().synced.insert(start, chunk);
    }

    /// Start positions that a crash would leave.
    pub(crate) fn synced(&self) -> Vec<u64> {
        self.state().synced.keys().copied().collect()
    }
}

#[derive(Debug)]
pub(crate) struct MemoryStore {
    disk: Disk,
    dead: Option<StoreError>,
}

impl MemoryStore {
    fn writing<T>(
        &mut self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        let result = work(&mut self.disk.state());
        self.dead = result.as_ref().err().cloned();
        result
    }
}

/// Counts one call down; true when this one is to fail.
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
        self.writing(|state| {
            if strikes(&mut state.plan.appends_until_failure) {
                return Err(StoreError::io("a plan", &io::Error::other("a failure to append")));
            }
            let bytes: usize = state.synced.values().chain(state.unsynced.values()).map(Vec::len).sum();
            if state.plan.bytes_max.is_some_and(|max| bytes + chunk.len() > max) {
                return Err(StoreError::Full { doing: "a planned full disk".into() });
            }
            state.unsynced.insert(start, chunk.to_vec());
            Ok(())
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.writing(|_| Ok(()))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.writing(|state| {
            if strikes(&mut state.plan.syncs_until_failure) {
                return Err(StoreError::io("a plan", &io::Error::other("a failure to sync")));
            }
            let mut unsynced = std::mem::take(&mut state.unsynced);
            state.synced.append(&mut unsynced);
            Ok(())
        })
    }

    fn chunk_at_or_after(&self, start: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let state = self.disk.state();
        let synced = state.synced.range(start..).next();
        let unsynced = state.unsynced.range(start..).next();
        // On the same position the later write is the one that is read.
        let first = match (synced, unsynced) {
            (Some(old), Some(new)) if old.0 < new.0 => Some(old),
            (old, new) => new.or(old),
        };
        Ok(first.map(|(start, chunk)| (*start, chunk.clone())))
    }

    fn remove_from(&mut self, start: u64) -> Result<(), StoreError> {
        self.writing(|state| {
            state.synced.split_off(&start);
            state.unsynced.split_off(&start);
            Ok(())
        })
    }

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        self.writing(|state| {
            let State { synced, unsynced, .. } = state;
            let mut starts: Vec<u64> =
                synced.range(..position).chain(unsynced.range(..position)).map(|(start, _)| *start).collect();
            starts.sort_unstable();
            starts.dedup();
            starts.truncate(chunks_max);
            for start in &starts {
                synced.remove(start);
                unsynced.remove(start);
            }
            Ok(starts.len())
        })
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
        let disk = Disk::default();
        let mut store = disk.open();
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
        let disk = Disk::default();
        disk.plan(Plan { bytes_max: Some(6), ..Plan::default() });
        let mut store = disk.open();
        store.append(0, b"first").unwrap();
        assert!(matches!(store.append(1, b"second"), Err(StoreError::Full { .. })));
    }

    #[test]
    fn a_crash_spares_what_was_synced_and_the_test_decides_the_rest() {
        let disk = Disk::default();
        let mut store = disk.open();
        store.append(0, b"zero").unwrap();
        store.sync().unwrap();
        for start in 1..4 {
            store.append(start, b"later").unwrap();
        }
        disk.crash(|start| [Fate::Lost, Fate::Kept, Fate::Torn(2)][start as usize - 1]);
        let store = disk.open();
        assert_eq!(store.chunk_at_or_after(1), Ok(Some((2, b"later".to_vec()))));
        assert_eq!(store.chunk_at_or_after(3), Ok(Some((3, b"la".to_vec()))));
        assert_eq!(disk.synced(), [0, 2, 3]);
    }
}
