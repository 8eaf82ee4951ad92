//! Opening a log: from a directory in any state to a store that the next chunk may be appended to.
//!
//! ```text
//! directory ─► sidecar: what was acknowledged ───┐
//!              checkpoint: where to go on from ──┼─► verdict ─► replay ─► fresh store ─► sidecar ─► older stores go
//!              scan: every whole chunk there is ─┘   (refuse)            with what has to be copied
//! ```
//! Invariants:
//! - Up to the fresh store nothing is changed but the lock file. A refused directory stays as it was found.
//! - Exactly the verdict's chain is replayed, chunk by chunk, by hash, from bytes that prove themselves.
//! - After anything but an orderly close the page cache is not believed: a failed sync leaves pages that can
//!   be read but are not on the disk. The chunks behind the last proven position are copied into the fresh
//!   store and synced, before the engine serves callers.
//! - A crash at any step leaves the next opening with the same chunks to decide on: copies prove themselves
//!   too, and nothing is removed before the sidecar has been written.
//! - The sidecar moves to the new epoch before the first append, so what was cut can never come back.

use std::{fs, io, path::Path, sync::Arc};

use thiserror::Error;

#[cfg(test)]
use super::chunk;
use super::{
    chunk::HEADER_BYTES,
    chunk_index::ChunkIndex,
    directory::{Directory, DirectoryError, Identity, Layout, OwnedDirectory},
    newer::Newer,
    scan::{FoundChunk, ScannedChunk, Tip},
    sidecar::{Durable, Sidecar, SidecarError},
    store::{Store, StoreError, advice},
    stores::{ChunkSource, OlderStores, StoreFolder, Stores},
    verdict::{Cut, LogRefusal, Start, Verdict, decide},
};
use crate::checkpoint::RunError;
use crate::error::{OpenError, VerifyError};
use crate::fault::{Fault, planted};
use crate::types::Position;

/// An older store with at most so many needed bytes is copied and removed, so that many short openings leave
/// few stores.
const COPIED_BYTES_MAX: u64 = 8 << 20;

fn copied_bytes_max() -> u64 {
    #[cfg(all(test, not(stockhold_loom)))]
    if let Some(bytes) = crate::proofs::simulation::copied_bytes_max() {
        return bytes;
    }
    COPIED_BYTES_MAX
}

/// The target that a log is replayed into.
pub(crate) trait Replay {
    /// Says where the log is to be read from. The directory is locked, and nothing in it was changed yet.
    fn start(&mut self, directory: &Layout, identity: &Identity) -> Result<Start, RunError>;

    /// Takes the next chunk and its records. An error stops the opening.
    fn chunk(&mut self, found: &FoundChunk, payload: &[u8]) -> Result<(), String>;

    /// Called after all chunks were replayed and are durable: from now on files may be written that rest on
    /// them. `read` returns the payload of a chunk once more.
    fn durable(
        &mut self,
        _chain: &[FoundChunk],
        _read: &dyn Fn(&FoundChunk) -> Result<Vec<u8>, LogError>,
    ) -> Result<(), LogError> {
        Ok(())
    }
}

/// A target for a log that is read from its beginning.
#[cfg(test)]
pub(crate) struct Beginning<F>(pub(crate) F);

#[cfg(test)]
impl<F: FnMut(&chunk::ChunkHeader, &[u8]) -> Result<(), String>> Replay for Beginning<F> {
    fn start(&mut self, _: &Layout, _: &Identity) -> Result<Start, RunError> {
        Ok(Start::default())
    }

    fn chunk(&mut self, found: &FoundChunk, payload: &[u8]) -> Result<(), String> {
        self.0(&found.header, payload)
    }
}

/// A log that may be appended to.
pub(crate) struct OpenLog {
    pub(crate) store: Box<dyn Store>,
    pub(crate) sidecar: Sidecar,
    /// The directory, locked as long as this exists: to be dropped after the store.
    pub(crate) directory: Arc<Directory>,
    /// Where it was locked.
    pub(crate) place: OwnedDirectory,
    /// The end of the log. Everything before it is durable.
    pub(crate) tip: Tip,
    /// The epoch of every chunk that this opening writes.
    pub(crate) epoch: u32,
    /// The stores of earlier openings.
    pub(crate) older: Option<OlderStores>,
}

/// The result of an opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogReport {
    /// Whether there was no log before.
    pub(crate) created: bool,
    pub(crate) chunks: u64,
    pub(crate) end: u64,
    /// The position in the sidecar.
    pub(crate) acknowledged: u64,
    pub(crate) cut: Option<Cut>,
    /// Bytes behind the last proven position that were written again, because the last close was not an
    /// orderly one.
    pub(crate) bytes_rewritten: u64,
}

#[derive(Debug, Error)]
pub(crate) enum LogError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Refused(#[from] LogRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] RunError),
    #[error("cannot open the log ({doing}: {error}): {}, then try again", advice(.error))]
    Io { doing: &'static str, error: io::Error },
    #[error(
        "the log's chunk at position {position} has changed while it was read: leave the directory alone and try again"
    )]
    Unreadable { position: u64 },
    #[error("the log has, from position {position} on, {found}: open it with a newer stockhold")]
    Newer { position: u64, found: Newer },
    #[error("the log cannot be replayed at position {position}: {reason}")]
    Fold { position: u64, reason: String },
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        let message = error.to_string();
        let damaged = |readable| OpenError::Damaged { readable, message: message.clone() };
        match &error {
            LogError::Directory(DirectoryError::Missing { .. }) => OpenError::Missing(message),
            LogError::Directory(DirectoryError::Foreign { .. }) => OpenError::Foreign(message),
            LogError::Directory(DirectoryError::Newer { .. }) => OpenError::Newer(message),
            LogError::Directory(DirectoryError::InUse { pid, .. }) => OpenError::InUse { pid: *pid, message },
            LogError::Directory(DirectoryError::Corrupt { .. }) => damaged(None),
            LogError::Directory(DirectoryError::Io { .. } | DirectoryError::CannotLock { .. }) => {
                OpenError::Io(message)
            }
            LogError::Sidecar(SidecarError::Newer { .. }) | LogError::Newer { .. } => {
                OpenError::Newer(message)
            }
            LogError::Sidecar(SidecarError::Corrupt) => damaged(None),
            LogError::Sidecar(SidecarError::Io { .. }) | LogError::Io { .. } => OpenError::Io(message),
            LogError::Checkpoint(RunError::Newer { .. }) => OpenError::Newer(message),
            LogError::Checkpoint(RunError::Io { .. }) => OpenError::Io(message),
            LogError::Checkpoint(_) => damaged(None),
            LogError::Refused(refusal) => damaged(refusal.readable().map(Position)),
            LogError::Store(StoreError::Full { .. } | StoreError::Io { .. } | StoreError::Gone { .. }) => {
                OpenError::Io(message)
            }
            LogError::Store(StoreError::Corrupt { .. } | StoreError::Dead { .. }) => damaged(None),
            LogError::Unreadable { position } | LogError::Fold { position, .. } => {
                damaged(Some(Position(*position)))
            }
        }
    }
}

impl From<LogError> for VerifyError {
    fn from(error: LogError) -> Self {
        VerifyError::Io(error.to_string())
    }
}

pub(crate) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> LogError {
    move |error| LogError::Io { doing, error }
}

impl OpenLog {
    /// A log that ends at `tip`; this opening has the epoch `epoch`.
    pub(crate) fn new(
        store: Box<dyn Store>,
        sidecar: Sidecar,
        directory: Directory,
        (tip, epoch): (Tip, u32),
        older: Option<OlderStores>,
    ) -> io::Result<Self> {
        let place = directory.place()?;
        Ok(OpenLog { store, sidecar, directory: Arc::new(directory), place, tip, epoch, older })
    }

    /// Opens the log in the directory at `path`, creating it if there is none.
    pub(crate) fn open(path: &Path, into: &mut dyn Replay) -> Result<(Self, LogReport), LogError> {
        let directory = Directory::open(path)?;
        if directory.fresh { create(directory, into) } else { reopen(directory, into) }
    }

    /// Has the names of its store and of the sidecar checked with the directory's.
    fn watch_names(&mut self) -> io::Result<()> {
        let layout = self.directory.layout.clone();
        self.place.add(layout.durable())?;
        self.place.add(StoreFolder::at(layout.log()).data_file(self.epoch))
    }

    /// An error if a file that the engine writes has lost its name. Cost: two system calls.
    pub(crate) fn check_names(&self) -> Result<(), StoreError> {
        let gone = |what: &str| StoreError::Gone { details: format!("{what} has no name any more") };
        let io = |error: io::Error| StoreError::io("looking for the directory", &error);
        if !self.store.has_name().map_err(io)? {
            return Err(gone("the log"));
        }
        if self.directory.has_name().map_err(io)? { Ok(()) } else { Err(gone("the identity")) }
    }

    /// An error if the directory is no longer the one under its name.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        self.place.check().map_err(|error| StoreError::Gone { details: error.to_string() })
    }

    /// Closes the log in an orderly way, so that the next opening can believe all of it. `end` is the end of
    /// the last whole group.
    pub(crate) fn close(mut self, end: Tip) -> Result<(), StoreError> {
        self.store.close()?;
        self.sidecar.write(&Durable { epoch: self.epoch, end: end.end, hash: end.hash, orderly: true })
    }
}

fn create(mut directory: Directory, into: &mut dyn Replay) -> Result<(OpenLog, LogReport), LogError> {
    let layout = directory.layout.clone();
    let stores = StoreFolder::at(layout.log());
    // Without an identity there can be no log, unless the identity was taken away from one.
    let acknowledged = Sidecar::read(&layout.durable()).ok().flatten().map_or(0, |durable| durable.end);
    if acknowledged > 0 || layout.checkpoint().exists() || survey(&stores)?.chunks().next().is_some() {
        return Err(layout.lacks("stockhold").into());
    }
    // The leftovers of a creation that a crash interrupted are removed.
    match fs::remove_dir_all(layout.log()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("creating the log")(error));
        }
        _ => {}
    }
    let stores: Arc<dyn Stores> = Arc::new(stores);
    let store = stores.create(1)?;
    let mut sidecar = Sidecar::create(&layout.durable()).map_err(io_error("creating the file `durable`"))?;
    let epoch = 1;
    sidecar.write(&Durable { epoch, ..Durable::default() })?;
    layout.sync().map_err(io_error("syncing the directory"))?;
    into.start(&layout, &directory.identity)?;
    directory.commit()?;
    let older = Some(OlderStores { stores, kept: Vec::new() });
    let io = io_error("looking for the directory");
    let mut log = OpenLog::new(store, sidecar, directory, (Tip::ORIGIN, epoch), older).map_err(&io)?;
    log.watch_names().map_err(&io)?;
    Ok((log, LogReport { created: true, ..LogReport::default() }))
}

fn reopen(directory: Directory, into: &mut dyn Replay) -> Result<(OpenLog, LogReport), LogError> {
    let layout = &directory.layout;
    let (mut sidecar, proven) = Sidecar::open(&layout.durable())?.ok_or_else(|| layout.lacks("durable"))?;
    let start = into.start(layout, &directory.identity)?;
    let stores: Arc<dyn Stores> = Arc::new(StoreFolder::at(layout.log()));
    let RecoveredLog { store, older, verdict, bytes_rewritten } =
        recover(&stores, &proven, &start, into)?.ok_or_else(|| layout.lacks("log"))?;
    let (tip, epoch) = (verdict.tip, verdict.epoch_next);
    sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
    let older = older.tidy().map_err(io_error("removing older stores"))?;
    layout.sync().map_err(io_error("syncing the directory"))?;
    let report = LogReport {
        created: false,
        chunks: verdict.chain.len() as u64,
        end: tip.end,
        acknowledged: proven.end,
        cut: verdict.cut,
        bytes_rewritten,
    };
    let io = io_error("looking for the directory");
    let mut log = OpenLog::new(store, sidecar, directory, (tip, epoch), Some(older)).map_err(&io)?;
    log.watch_names().map_err(&io)?;
    Ok((log, report))
}

/// Every whole chunk in the stores; an error if a later build has written one.
pub(crate) fn survey(stores: &dyn ChunkSource) -> Result<ChunkIndex, LogError> {
    let doing = io_error("reading the log");
    let mut index = ChunkIndex::default();
    let mut newer = None;
    for store in stores.list().map_err(&doing)? {
        let add = &mut |seen| match seen {
            ScannedChunk::Chunk(found) => index.add(found),
            ScannedChunk::Newer { start, found } => {
                newer = newer.min(Some((start, found))).or(Some((start, found)))
            }
        };
        stores.scan(store, add).map_err(&doing)?;
    }
    match newer {
        Some((position, found)) => Err(LogError::Newer { position, found }),
        None => Ok(index),
    }
}

/// A log that was replayed. It may be appended to once the sidecar has been written.
pub(crate) struct RecoveredLog {
    pub(crate) store: Box<dyn Store>,
    pub(crate) older: OlderStores,
    pub(crate) verdict: Verdict,
    pub(crate) bytes_rewritten: u64,
}

/// Decides which chunks of the stores are the log, replays them, and creates the next store with the chunks
/// that must be copied into it. `None` if there are no stores but there should be.
pub(crate) fn recover(
    stores: &Arc<dyn Stores>,
    proven: &Durable,
    start: &Start,
    into: &mut dyn Replay,
) -> Result<Option<RecoveredLog>, LogError> {
    let doing = io_error("reading the log");
    let numbers = stores.list().map_err(&doing)?;
    // After an orderly close there may be a checkpoint alone.
    if numbers.is_empty() && !(proven.orderly && proven.end == start.tip.end) {
        return Ok(None);
    }
    let index = survey(&**stores)?;
    let mut verdict = decide(&index, proven, start)?;
    // A store has the number of the opening that created it, so the sidecar says which openings were
    // finished. A number that exists is never used: it may be that of a killed opening, or of a folder that
    // was copied there.
    let number = (verdict.epoch_next..u32::MAX).find(|number| !numbers.contains(number));
    let number = number.ok_or(LogRefusal::Epochs)?;
    verdict.epoch_next = number;
    for found in &verdict.chain {
        let chunk = read(&**stores, found)?;
        let (position, payload) = (found.header.start, &chunk[HEADER_BYTES..]);
        into.chunk(found, payload).map_err(|reason| LogError::Fold { position, reason })?;
    }

    // If chunks between the two checkpoints are missing, the older checkpoint cannot be used, but nothing is
    // lost.
    let mut needed = index.chain_back(start.keep, start.tip).unwrap_or_default();
    needed.extend(&verdict.chain);
    let of = |store: u32| needed.iter().filter(move |found| found.place.store == store);
    let is_short =
        |store: u32| of(store).map(|found| u64::from(found.place.bytes)).sum::<u64>() <= copied_bytes_max();
    let short: Vec<u32> = numbers.iter().copied().filter(|store| is_short(*store)).collect();
    let is_believed = |found: &FoundChunk| {
        let is_proven = proven.orderly || found.header.end() <= proven.end;
        // An opening that was killed may have left copies that were never synced.
        let is_finished = found.place.store <= proven.epoch || planted(Fault::BelieveCopies);
        (is_proven && is_finished) || planted(Fault::TrustCache)
    };
    let mut store = stores.create(number)?;
    let mut bytes_rewritten = 0;
    for found in needed.iter().filter(|found| !is_believed(found) || short.contains(&found.place.store)) {
        let chunk = read(&**stores, found)?;
        store.append(found.header.start, &chunk)?;
        bytes_rewritten += if is_believed(found) { 0 } else { chunk.len() as u64 };
    }
    store.sync()?;
    into.durable(&verdict.chain, &|found| Ok(read(&**stores, found)?.split_off(HEADER_BYTES)))?;
    let end = |store: u32| of(store).map(|found| found.header.end()).max().unwrap_or(0);
    let kept = numbers.iter().map(|store| (*store, if short.contains(store) { 0 } else { end(*store) }));
    let older = OlderStores { stores: Arc::clone(stores), kept: kept.collect() };
    Ok(Some(RecoveredLog { store, older, verdict, bytes_rewritten }))
}

pub(crate) fn read(stores: &dyn ChunkSource, found: &FoundChunk) -> Result<Vec<u8>, LogError> {
    stores.read(found).map_err(|error| match error.kind() {
        // The lock excludes engines; if a file is overwritten or cut meanwhile, this notices it.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            LogError::Unreadable { position: found.header.start }
        }
        _ => io_error("reading the log")(error),
    })
}

#[cfg(test)]
mod tests;
