//! The simulated disk as the engine uses it: stores, a folder, a file of two slots.

use std::io::{self, Cursor, Read, Write};

use super::disk::{Call, Chunked, Disk, DiskState, Outcome};
use crate::checkpoint::files::{Files, NewFile};
use crate::log::chunk;
use crate::log::scan::{FoundChunk, ScannedChunk, whole_chunk};
use crate::log::sidecar::SidecarSlots;
use crate::log::store::{Store, StoreError};
use crate::log::stores::{ChunkSource, Stores};
use stockhold_seeded::Rng;

/// Bytes between the sidecar's slots.
const SLOT_DISTANCE: u64 = 4_096;

impl DiskState {
    /// Makes a call that changes something: `right` if it succeeds, `wrong` if it fails.
    fn change<T>(
        &mut self,
        call: Call,
        right: impl FnOnce(&mut DiskState) -> T,
        wrong: impl FnOnce(&mut DiskState),
    ) -> io::Result<T> {
        match self.call(call) {
            Outcome::Succeeds => Ok(right(self)),
            Outcome::Fails(error) => {
                wrong(self);
                Err(error)
            }
        }
    }

    /// Lets a sync fail. If its process has ended, the sync did not happen and all stays dirty.
    fn in_vain(&mut self, write_back: impl FnOnce(&mut DiskState)) {
        if !self.has_ended() {
            write_back(self);
        }
    }

    fn half(&mut self) -> bool {
        self.rng.index(2) == 0
    }
}

impl Disk {
    fn change<T>(
        &self,
        call: Call,
        right: impl FnOnce(&mut DiskState) -> T,
        wrong: impl FnOnce(&mut DiskState),
    ) -> io::Result<T> {
        self.state().change(call, right, wrong)
    }

    fn look(&self) -> io::Result<()> {
        self.change(Call::Read, |_| (), |_| ())
    }
}

impl ChunkSource for Disk {
    fn list(&self) -> io::Result<Vec<u32>> {
        self.look()?;
        Ok(self.state().stores.keys().copied().collect())
    }

    fn scan(&self, store: u32, seen: &mut dyn FnMut(ScannedChunk)) -> io::Result<()> {
        self.look()?;
        let state = self.state();
        let chunks = state.stores.get(&store).into_iter().flat_map(|store| store.all());
        chunks.filter_map(|bytes| whole_chunk(bytes, 0)).for_each(|(chunk, _)| seen(chunk.in_store(store)));
        Ok(())
    }

    fn read(&self, found: &FoundChunk) -> io::Result<Vec<u8>> {
        let state = self.state();
        let mut chunks = state.stores.get(&found.place.store).into_iter().flat_map(|store| store.all());
        let is_it = |bytes: &&Vec<u8>| chunk::decode(bytes).is_ok_and(|(_, _, hash)| hash == found.hash);
        chunks.find(is_it).cloned().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Stores for Disk {
    fn create(&self, store: u32) -> Result<Box<dyn Store>, StoreError> {
        let create = |state: &mut DiskState| {
            let before = state.stores.insert(store, Chunked::default());
            assert!(before.is_none(), "the number of a store is used once");
        };
        let created = self.change(Call::CreateStore, create, |state| {
            if state.half() {
                create(state);
            }
        });
        created.map_err(|error| StoreError::io("simulating", &error))?;
        Ok(Box::new(SimulatedStore { disk: self.clone(), store, dead: None }))
    }

    fn remove(&self, store: u32) -> io::Result<()> {
        let remove = |state: &mut DiskState| drop(state.stores.remove(&store));
        self.change(Call::RemoveStore, remove, |state| {
            if state.half() {
                remove(state);
            }
        })
    }
}

struct SimulatedStore {
    disk: Disk,
    store: u32,
    dead: Option<StoreError>,
}

impl SimulatedStore {
    fn change<T: Default>(
        &mut self,
        call: Call,
        right: impl FnOnce(&mut Chunked) -> T,
        wrong: impl FnOnce(&mut Chunked, &mut Rng),
    ) -> Result<T, StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        let number = self.store;
        let right = |state: &mut DiskState| state.stores.get_mut(&number).map(right).unwrap_or_default();
        let wrong = |state: &mut DiskState| {
            let DiskState { stores, rng, .. } = state;
            if let Some(store) = stores.get_mut(&number) {
                wrong(store, rng);
            }
        };
        self.disk.change(call, right, wrong).map_err(|error| {
            let error = StoreError::io("simulating", &error);
            self.dead = Some(error.clone());
            error
        })
    }
}

impl Store for SimulatedStore {
    fn append(&mut self, start: u64, chunk: &[u8]) -> Result<(), StoreError> {
        let put = |store: &mut Chunked| store.put(start, chunk);
        self.change(Call::Append, put, |store, rng| {
            if rng.index(2) == 0 {
                put(store);
            }
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.change(Call::Flush, Chunked::flush, |_, _| ())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let is_over = self.disk.will_end();
        // If the process ends at this call, the sync does not happen and all stays dirty.
        self.change(Call::Sync, Chunked::sync, |store, rng| {
            if !is_over {
                store.sync_in_vain(rng);
            }
        })
    }

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        let remove = |store: &mut Chunked| {
            let starts: Vec<u64> =
                store.seen.range(..position).map(|(start, _)| *start).take(chunks_max).collect();
            starts.iter().for_each(|start| store.remove(*start));
            starts.len()
        };
        self.change(Call::RemoveBelow, remove, |store, rng| {
            if rng.index(2) == 0 {
                remove(store);
            }
        })
    }

    fn has_name(&self) -> io::Result<bool> {
        Ok(!self.disk.state().is_removed())
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()
    }
}

impl SidecarSlots for Disk {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.look()?;
        let state = self.state();
        out.copy_from_slice(&state.slots.seen[(offset / SLOT_DISTANCE) as usize][..out.len()]);
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let slot = (offset / SLOT_DISTANCE) as usize;
        self.change(
            Call::SlotWrite,
            |state| state.slots.write(slot, bytes),
            |state| {
                let written = state.rng.index(bytes.len() + 1);
                state.slots.write(slot, &bytes[..written]);
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.change(
            Call::SlotSync,
            |state| state.slots.sync(),
            |state| state.in_vain(|state| state.slots.write_back(&mut state.rng)),
        )
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.look()?;
        Ok(self.state().folder.names().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        self.look()?;
        let bytes = self.state().folder.read(name).map(<[u8]>::to_vec);
        Ok(Box::new(Cursor::new(bytes.ok_or(io::ErrorKind::NotFound)?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let create = |state: &mut DiskState| state.folder.create(name);
        let number = self.change(Call::Create, create, |state| {
            if state.half() {
                create(state);
            }
        })?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = |state: &mut DiskState| state.folder.rename(from, to);
        let renamed = self.change(Call::Rename, rename, |state| {
            if state.half() {
                rename(state);
            }
        })?;
        if renamed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let unlink = |state: &mut DiskState| state.folder.unlink(name);
        let removed = self.change(Call::Remove, unlink, |state| {
            if state.half() {
                unlink(state);
            }
        })?;
        if removed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.change(Call::FolderSync, |state| state.folder.sync_names(), |_| ())
    }
}

struct SimulatedFile {
    disk: Disk,
    number: usize,
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let number = self.number;
        self.disk.change(
            Call::Write,
            |state| state.folder.write(number, bytes),
            |state| {
                let written = state.rng.index(bytes.len() + 1);
                state.folder.write(number, &bytes[..written]);
            },
        )?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for SimulatedFile {
    fn sync(&mut self) -> io::Result<()> {
        let number = self.number;
        self.disk.change(
            Call::FileSync,
            |state| state.folder.sync_file(number),
            |state| state.in_vain(|state| state.folder.write_back(number, &mut state.rng)),
        )
    }
}
