//! One disk: the log's stores, the checkpoints' folder and the sidecar's two slots, as programs see them (the
//! page cache) and as a loss of power would leave them.
//!
//! What was written is *dirty* until it is synced. A sync that fails leaves what is read as it was, and
//! nothing dirty: the kernel marks pages clean, whether or not they are on disk, and syncs only what is
//! written again. Linux does this, and no system does worse.
//!
//! Every call is counted. At the chosen call the power fails or the process is killed: this call and later
//! ones fail, until [`restart`](Disk::restart).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::ending::Ending;
use super::folder::Folder;
use stockhold_seeded::Rng;

/// The most removed chunks whose bytes are still in a store's file: the newest ones.
const STALE_MAX: usize = 8;
/// The bytes of a slot: more than the sidecar writes.
const SLOT_BYTES: usize = 64;

/// A call to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Append,
    Flush,
    Sync,
    RemoveBelow,
    CreateStore,
    RemoveStore,
    SlotWrite,
    SlotSync,
    Create,
    Write,
    FileSync,
    Rename,
    Remove,
    FolderSync,
    /// Changes nothing, but the process may end at it.
    Read,
}

/// The calls that write. Only these can be made to fail.
pub(super) const WRITING: [Call; 14] = [
    Call::Append,
    Call::Flush,
    Call::Sync,
    Call::RemoveBelow,
    Call::CreateStore,
    Call::RemoveStore,
    Call::SlotWrite,
    Call::SlotSync,
    Call::Create,
    Call::Write,
    Call::FileSync,
    Call::Rename,
    Call::Remove,
    Call::FolderSync,
];

/// A planned failure: of the call of this kind that follows `after` others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trouble {
    pub call: Call,
    pub after: u16,
    /// True: the disk is full from then on, until the restart. False: only this call fails.
    pub full: bool,
}

/// A change of the store.
#[derive(Clone, Debug)]
enum StoreChange {
    Put(u64, Vec<u8>),
    Remove(u64),
}

type ChunkMap = BTreeMap<u64, Vec<u8>>;

impl StoreChange {
    /// Applies the change; returns the chunk that was there before.
    fn make(self, chunks: &mut ChunkMap) -> Option<Vec<u8>> {
        match self {
            StoreChange::Put(start, chunk) => chunks.insert(start, chunk),
            StoreChange::Remove(start) => chunks.remove(&start),
        }
    }
}

/// One of the log's stores.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunked {
    /// What a process reads.
    pub seen: ChunkMap,
    /// What the operating system has: it survives a kill.
    cached: ChunkMap,
    /// What is on the disk: it survives a power failure.
    pub kept: ChunkMap,
    /// Changes that the process has not written to the operating system yet.
    buffered: Vec<StoreChange>,
    /// Changes that the operating system has, and that are not synced.
    dirty: Vec<StoreChange>,
    /// Removed chunks whose bytes are still in the store's file, the oldest first.
    pub stale: Vec<Vec<u8>>,
}

impl Chunked {
    pub(super) fn put(&mut self, start: u64, chunk: &[u8]) {
        self.change(StoreChange::Put(start, chunk.to_vec()));
    }

    pub(super) fn remove(&mut self, start: u64) {
        self.change(StoreChange::Remove(start));
    }

    /// The three maps of chunks, so that a caller can damage all of them alike.
    pub(super) fn everywhere(&mut self) -> [&mut ChunkMap; 3] {
        [&mut self.seen, &mut self.cached, &mut self.kept]
    }

    fn change(&mut self, change: StoreChange) {
        self.buffered.push(change.clone());
        if let Some(stale) = change.make(&mut self.seen) {
            self.stale.push(stale);
            let too_many = self.stale.len().saturating_sub(STALE_MAX);
            self.stale.drain(..too_many);
        }
    }

    pub(super) fn flush(&mut self) {
        for change in self.buffered.drain(..) {
            self.dirty.push(change.clone());
            change.make(&mut self.cached);
        }
    }

    pub(super) fn sync(&mut self) {
        self.flush();
        for change in self.dirty.drain(..) {
            change.make(&mut self.kept);
        }
    }

    pub(super) fn sync_in_vain(&mut self, rng: &mut Rng) {
        self.flush();
        self.write_back(rng);
    }

    /// Moves some of the dirty changes to the disk: none, all, the first ones and a part of the next, or any.
    /// Afterwards none is dirty.
    fn write_back(&mut self, rng: &mut Rng) {
        let (mood, whole) = (rng.index(4), rng.index(self.dirty.len() + 1));
        for (number, change) in self.dirty.drain(..).enumerate() {
            let (reaches, torn) = match mood {
                0 => (false, false),
                1 => (true, false),
                2 => (number <= whole, number == whole),
                _ => (rng.index(2) == 0, rng.index(4) == 0),
            };
            match change {
                _ if !reaches => {}
                StoreChange::Put(start, mut chunk) if torn => {
                    chunk.truncate(rng.index(chunk.len()));
                    self.kept.insert(start, chunk);
                }
                StoreChange::Remove(_) if torn => {}
                change => drop(change.make(&mut self.kept)),
            }
        }
    }

    /// Every chunk whose bytes are in the store's file.
    pub(super) fn all(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.seen.values().chain(&self.stale)
    }

    fn end(&mut self, end: Ending, rng: &mut Rng) {
        // Of the changes that were not written to the operating system, the last ones are lost.
        self.buffered.truncate(rng.index(self.buffered.len() + 1));
        self.flush();
        if end == Ending::Power {
            self.write_back(rng);
            self.cached = self.kept.clone();
        }
        self.seen = self.cached.clone();
    }
}

/// The sidecar's file.
#[derive(Clone, Debug)]
pub(super) struct SimulatedSlots {
    pub seen: [[u8; SLOT_BYTES]; 2],
    pub kept: [[u8; SLOT_BYTES]; 2],
    dirty: [bool; 2],
}

impl SimulatedSlots {
    fn new() -> SimulatedSlots {
        SimulatedSlots { seen: [[0; SLOT_BYTES]; 2], kept: [[0; SLOT_BYTES]; 2], dirty: [false; 2] }
    }

    pub(super) fn write(&mut self, slot: usize, bytes: &[u8]) {
        self.seen[slot][..bytes.len()].copy_from_slice(bytes);
        self.dirty[slot] = true;
    }

    pub(super) fn sync(&mut self) {
        (self.kept, self.dirty) = (self.seen, [false; 2]);
    }

    /// Moves none, all or a part of each dirty slot to the disk.
    pub(super) fn write_back(&mut self, rng: &mut Rng) {
        for slot in 0..2 {
            if std::mem::take(&mut self.dirty[slot]) {
                let bytes = [0, SLOT_BYTES, rng.index(SLOT_BYTES)][rng.index(3)];
                self.kept[slot][..bytes].copy_from_slice(&self.seen[slot][..bytes]);
            }
        }
    }

    fn end(&mut self, end: Ending, rng: &mut Rng) {
        if end == Ending::Power {
            self.write_back(rng);
            self.seen = self.kept;
        }
    }
}

/// Everything on the disk.
#[derive(Clone, Debug)]
pub(super) struct DiskState {
    pub stores: BTreeMap<u32, Chunked>,
    pub slots: SimulatedSlots,
    pub folder: Folder,
    pub rng: Rng,
    /// The number of calls until the process or the power ends.
    end_in: Option<u64>,
    ended: bool,
    trouble: Option<Trouble>,
    full: bool,
    /// What an operator puts back after another process has removed the directory: all that it was then.
    removed: Option<Box<DiskState>>,
    /// The number of calls since the disk was created.
    pub calls: u64,
}

/// The outcome of a call.
pub(super) enum Outcome {
    Succeeds,
    /// The call fails. A part of what it was to write may be there.
    Fails(io::Error),
}

/// A handle to the disk; its clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<DiskState>>);

impl Disk {
    pub(super) fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(DiskState {
            stores: BTreeMap::new(),
            slots: SimulatedSlots::new(),
            folder: Folder::default(),
            rng: Rng::new(seed),
            end_in: None,
            ended: false,
            trouble: None,
            full: false,
            removed: None,
            calls: 0,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The process or the power ends at the call that follows `calls` others.
    pub(super) fn end_in(&self, calls: u64) {
        self.state().end_in = Some(calls);
    }

    /// Whether the next call fails because the process or the power has ended.
    pub(super) fn will_end(&self) -> bool {
        let state = self.state();
        state.ended || state.end_in == Some(0)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended()
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.state().trouble = Some(trouble);
    }

    /// Another process removes the directory. What is written from here on goes into files without names.
    pub(super) fn remove(&self) {
        let state = &mut *self.state();
        if state.removed.is_none() {
            state.removed = Some(Box::new(state.clone()));
        }
    }

    /// Starts the next process, on the directory as it was before it was removed, and cancels all planned
    /// failures.
    pub(super) fn restart(&self, end: Ending, seed: u64) {
        let state = &mut *self.state();
        if let Some(before) = state.removed.take() {
            *state = DiskState { calls: state.calls, ..*before };
        }
        state.rng = Rng::new(seed);
        state.stores.values_mut().for_each(|store| store.end(end, &mut state.rng));
        state.slots.end(end, &mut state.rng);
        state.folder.end(end, &mut state.rng);
        (state.end_in, state.ended, state.trouble, state.full) = (None, false, None, false);
    }

    /// Cancels the planned failure, and ends a full disk.
    pub(super) fn calm(&self) {
        let state = &mut *self.state();
        (state.trouble, state.full) = (None, false);
    }

    /// A copy of the whole state.
    pub(super) fn image(&self) -> DiskState {
        self.state().clone()
    }

    pub(super) fn put_back(&self, image: DiskState) {
        *self.state() = image;
    }
}

impl DiskState {
    /// Whether another process has removed the directory.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Counts a call, and decides whether it fails.
    pub(super) fn call(&mut self, call: Call) -> Outcome {
        self.calls += 1;
        if let Some(left) = &mut self.end_in {
            self.ended |= *left == 0;
            *left = left.saturating_sub(1);
        }
        if self.ended {
            return Outcome::Fails(io::Error::other("everything has ended"));
        }
        if let Some(trouble) = &mut self.trouble
            && trouble.call == call
        {
            if trouble.after == 0 {
                self.full = trouble.full;
                self.trouble = None;
                if !self.full {
                    return Outcome::Fails(io::Error::other("a planned failure"));
                }
            } else {
                trouble.after -= 1;
            }
        }
        if self.full
            && matches!(call, Call::Append | Call::CreateStore | Call::SlotWrite | Call::Create | Call::Write)
        {
            return Outcome::Fails(io::Error::new(io::ErrorKind::StorageFull, "a full disk"));
        }
        Outcome::Succeeds
    }
}
