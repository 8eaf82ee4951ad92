//! The disk as the engine sees it: a store, a folder, a file of two slots.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Write};

use super::disk::{Call, Disk, Goes, State};
use crate::checkpoint::files::{Files, NewFile};
use crate::log::chunk;
use crate::log::scan::{Found, Index, Place};
use crate::log::sidecar::Slots;
use crate::log::store::{Store, StoreError};

/// Bytes between the sidecar's slots.
const SLOT_DISTANCE: u64 = 4_096;

impl State {
    /// A call that changes something: `right` is what it does, `wrong` what it may leave when it fails.
    fn change<T>(
        &mut self,
        call: Call,
        right: impl FnOnce(&mut State) -> T,
        wrong: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        match self.call(call) {
            Goes::Well => Ok(right(self)),
            Goes::Wrong(error) => {
                wrong(self);
                Err(error)
            }
        }
    }

    /// A sync fails. One that its process did not live to see is still to be done.
    fn in_vain(&mut self, write_back: impl FnOnce(&mut State)) {
        if !self.has_ended() {
            write_back(self);
        }
    }

    fn half(&mut self) -> bool {
        self.random.below(2) == 0
    }
}

impl Disk {
    fn change<T>(
        &self,
        call: Call,
        right: impl FnOnce(&mut State) -> T,
        wrong: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        self.state().change(call, right, wrong)
    }

    fn look(&self) -> io::Result<()> {
        self.change(Call::Read, |_| (), |_| ())
    }

    /// Every whole chunk that lies in the store's file, and by their hashes those that the store has not where they
    /// belong.
    pub(super) fn survey(&self) -> io::Result<(Index, HashMap<u64, Vec<u8>>)> {
        self.look()?;
        let state = self.state();
        let (mut index, mut elsewhere) = (Index::default(), HashMap::new());
        let seen = state.log.seen.iter().map(|(start, bytes)| (Some(*start), bytes));
        for (place, bytes) in seen.chain(state.log.stale.iter().map(|bytes| (None, bytes))) {
            let Ok((header, _, hash)) = chunk::decode(bytes) else { continue };
            let safe = place == Some(header.start);
            if !safe {
                elsewhere.insert(hash, bytes.clone());
            }
            index.add(Found { header, hash, place: Place { offset: 0, bytes: bytes.len() as u32 }, safe });
        }
        Ok((index, elsewhere))
    }

    /// Writes the store's file over itself, and syncs it.
    pub(super) fn refresh(&self) -> io::Result<()> {
        self.change(
            Call::Refresh,
            |state| state.log.refresh(),
            |state| state.in_vain(|state| state.log.sync_in_vain(&mut state.random)),
        )
    }

    pub(super) fn store(&self) -> Box<dyn Store> {
        Box::new(OnDisk { disk: self.clone(), dead: None })
    }
}

struct OnDisk {
    disk: Disk,
    dead: Option<StoreError>,
}

impl OnDisk {
    fn change<T>(
        &mut self,
        call: Call,
        right: impl FnOnce(&mut State) -> T,
        wrong: impl FnOnce(&mut State),
    ) -> Result<T, StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        self.disk.change(call, right, wrong).map_err(|error| {
            let error = StoreError::io("simulating", &error);
            self.dead = Some(error.clone());
            error
        })
    }
}

impl Store for OnDisk {
    fn append(&mut self, start: u64, chunk: &[u8]) -> Result<(), StoreError> {
        let put = |state: &mut State| state.log.put(start, chunk);
        self.change(Call::Append, put, |state| {
            if state.half() {
                put(state)
            }
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.change(Call::Flush, |state| state.log.flush(), |_| ())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.change(
            Call::Sync,
            |state| state.log.sync(),
            |state| state.in_vain(|state| state.log.sync_in_vain(&mut state.random)),
        )
    }

    fn chunk_at_or_after(&self, start: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let state = self.disk.state();
        Ok(state.log.seen.range(start..).next().map(|(start, chunk)| (*start, chunk.clone())))
    }

    fn remove_from(&mut self, start: u64) -> Result<(), StoreError> {
        let remove = |state: &mut State| {
            let starts: Vec<u64> = state.log.seen.range(start..).map(|(start, _)| *start).collect();
            starts.into_iter().for_each(|start| state.log.remove(start));
        };
        self.change(
            Call::RemoveFrom,
            |state| {
                remove(state);
                state.log.sync();
            },
            |state| {
                if state.half() {
                    remove(state);
                    state.in_vain(|state| state.log.sync_in_vain(&mut state.random));
                }
            },
        )
    }

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        let remove = |state: &mut State| {
            let starts: Vec<u64> =
                state.log.seen.range(..position).map(|(start, _)| *start).take(chunks_max).collect();
            starts.iter().for_each(|start| state.log.remove(*start));
            starts.len()
        };
        self.change(Call::RemoveBelow, remove, |state| {
            if state.half() {
                remove(state);
            }
        })
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()
    }
}

impl Slots for Disk {
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
                let written = state.random.below(bytes.len() + 1);
                state.slots.write(slot, &bytes[..written]);
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.change(
            Call::SlotSync,
            |state| state.slots.sync(),
            |state| state.in_vain(|state| state.slots.write_back(&mut state.random)),
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
        let create = |state: &mut State| state.folder.create(name);
        let number = self.change(Call::Create, create, |state| {
            if state.half() {
                create(state);
            }
        })?;
        Ok(Box::new(Written { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = |state: &mut State| state.folder.rename(from, to);
        let renamed = self.change(Call::Rename, rename, |state| {
            if state.half() {
                rename(state);
            }
        })?;
        if renamed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let unlink = |state: &mut State| state.folder.unlink(name);
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

struct Written {
    disk: Disk,
    number: usize,
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let number = self.number;
        self.disk.change(
            Call::Write,
            |state| state.folder.write(number, bytes),
            |state| {
                let written = state.random.below(bytes.len() + 1);
                state.folder.write(number, &bytes[..written]);
            },
        )?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Written {
    fn sync(&mut self) -> io::Result<()> {
        let number = self.number;
        self.disk.change(
            Call::FileSync,
            |state| state.folder.sync_file(number),
            |state| state.in_vain(|state| state.folder.write_back(number, &mut state.random)),
        )
    }
}
