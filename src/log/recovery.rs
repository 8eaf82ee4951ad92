//! Opening a log: from a directory, whatever became of it, to a place where the next chunk may be appended.
//!
//! ```text
//! directory ─► preflight: what will the store keep ─┐
//!              scan: every whole chunk in its file ─┼─► verdict ─► rescue ─► refresh ─► store opens ─► replay ─► sidecar
//!              sidecar: what was acknowledged ──────┘   (refuse)   what the store would lose
//! ```
//! Invariants:
//! - Up to the verdict nothing is changed but the lock file. A refused directory stays as it was found.
//! - What is replayed is exactly the verdict's chain, chunk by chunk, by hash, out of the store that will serve it.
//! - A whole chunk above the sidecar that the store would not keep is in the rescue file before the store opens. A
//!   crash at any step leaves the next opening with the same chunks to decide on.
//! - After anything but an orderly close the page cache is not believed: a failed sync leaves pages that read well and
//!   are not on the disk. The store's file is then written again over itself and synced, before it is served.
//! - The sidecar moves to the new epoch before the first append, so what was cut can never come back.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use thiserror::Error;

use super::{
    chunk::{self, ChunkError},
    directory::{Directory, DirectoryError, Identity, Layout},
    preflight::Safe,
    scan::{self, Found, Index, Tip},
    sidecar::{Durable, Sidecar, SidecarError},
    sled::SledStore,
    store::{Store, StoreError, advice},
    verdict::{Cut, Refusal, Start, Verdict, decide},
};
use crate::checkpoint::CheckpointError;
use crate::fault::{Fault, planted};

/// Chunks held in memory between the verdict and the store. What a crash leaves there is a sync window or two.
const RESCUE_BYTES_MAX: usize = 64 << 20;

/// What a log is replayed into.
pub(crate) trait Replay {
    /// The directory is ours, and nothing in it was changed yet: says where the log is to be read from.
    fn start(&mut self, directory: &Layout, identity: &Identity) -> Result<Start, CheckpointError>;

    /// The next chunk, and its records. Its error stops the opening.
    fn chunk(&mut self, found: &Found, payload: &[u8]) -> Result<(), String>;
}

/// A log that is read from its beginning.
#[cfg(test)]
pub(crate) struct Beginning<F>(pub(crate) F);

#[cfg(test)]
impl<F: FnMut(&chunk::ChunkHeader, &[u8]) -> Result<(), String>> Replay for Beginning<F> {
    fn start(&mut self, _: &Layout, _: &Identity) -> Result<Start, CheckpointError> {
        Ok(Start::default())
    }

    fn chunk(&mut self, found: &Found, payload: &[u8]) -> Result<(), String> {
        self.0(&found.header, payload)
    }
}

/// A log that may be appended to.
pub(crate) struct OpenLog {
    pub(crate) store: Box<dyn Store>,
    pub(crate) sidecar: Sidecar,
    /// Locked as long as anybody has it: drop it after the store.
    pub(crate) directory: Arc<Directory>,
    /// Where the next chunk starts, and what it names as `previous`. Everything before it is durable.
    pub(crate) tip: Tip,
    /// Of every chunk this opening writes.
    pub(crate) epoch: u32,
}

/// What an opening found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogReport {
    /// There was no log before.
    pub(crate) created: bool,
    pub(crate) chunks: u64,
    pub(crate) end: u64,
    /// How far the sidecar vouched for it.
    pub(crate) acknowledged: u64,
    pub(crate) cut: Option<Cut>,
    /// Whole chunks that the store by itself had lost.
    pub(crate) chunks_rescued: u64,
    /// Bytes of the store's file that were written again because the last close was not an orderly one.
    pub(crate) bytes_refreshed: u64,
}

#[derive(Debug, Error)]
pub(crate) enum LogError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot open the log ({doing}: {error}): {}, then try again", advice(.error))]
    Io { doing: &'static str, error: io::Error },
    #[error(
        "the store does not return the log's chunk at position {position} ({problem}): restore the directory from a \
         backup, or salvage its log into a new one"
    )]
    Unreadable { position: u64, problem: String },
    #[error(
        "the log has chunks of format {found} from position {position} on: open it with a newer stockhold"
    )]
    Newer { position: u64, found: u16 },
    #[error("the log cannot be replayed at position {position}: {reason}")]
    Fold { position: u64, reason: String },
}

pub(crate) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> LogError {
    move |error| LogError::Io { doing, error }
}

impl OpenLog {
    /// Opens the log in the directory at `path`, creating it if there is none.
    pub(crate) fn open(path: &Path, into: &mut dyn Replay) -> Result<(Self, LogReport), LogError> {
        let directory = Directory::open(path)?;
        if directory.fresh { create(directory, into) } else { reopen(directory, into) }
    }

    /// Lets go of the log so that the next opening can believe all of it. `end` is the tip of the last whole group.
    pub(crate) fn close(mut self, end: Tip) -> Result<(), StoreError> {
        self.store.close()?;
        self.sidecar.write(&Durable { epoch: self.epoch, end: end.end, hash: end.hash, orderly: true })
    }
}

fn create(mut directory: Directory, into: &mut dyn Replay) -> Result<(OpenLog, LogReport), LogError> {
    let layout = directory.layout.clone();
    // Without an identity there can be no log, unless the identity was taken away from one.
    let acknowledged = Sidecar::read(&layout.durable()).ok().flatten().map_or(0, |durable| durable.end);
    if acknowledged > 0 || layout.checkpoint().exists() || survey(&layout)?.chunks().next().is_some() {
        return Err(layout.lacks("stockhold").into());
    }
    // What a crash has left of an earlier creation is not worth completing.
    match fs::remove_dir_all(layout.log()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("creating the log")(error));
        }
        _ => {}
    }
    let store = SledStore::open(&layout.log())?;
    let mut sidecar = Sidecar::create(&layout.durable()).map_err(io_error("creating the file `durable`"))?;
    let epoch = 1;
    sidecar.write(&Durable { epoch, ..Durable::default() })?;
    layout.sync().map_err(io_error("syncing the directory"))?;
    into.start(&layout, &directory.identity)?;
    directory.commit()?;
    let directory = Arc::new(directory);
    let log = OpenLog { store: Box::new(store), sidecar, directory, tip: Tip::ORIGIN, epoch };
    Ok((log, LogReport { created: true, ..LogReport::default() }))
}

fn reopen(directory: Directory, into: &mut dyn Replay) -> Result<(OpenLog, LogReport), LogError> {
    let layout = &directory.layout;
    let (mut sidecar, proven) = Sidecar::open(&layout.durable())?.ok_or_else(|| layout.lacks("durable"))?;
    if !layout.log_data().is_file() {
        return Err(layout.lacks("log/db").into());
    }
    let start = into.start(layout, &directory.identity)?;
    let index = survey(layout)?;
    let verdict = decide(&index, &proven, &start)?;
    let rescued = rescue(layout, &verdict, &proven)?;
    let bytes_refreshed = if believes_the_cache(&proven) { 0 } else { refresh(&layout.log_data())? };

    let mut store: Box<dyn Store> = Box::new(SledStore::open(&layout.log())?);
    let cut = replay(store.as_mut(), &verdict, &rescued, into)?;
    match fs::remove_file(layout.rescue()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("removing `rescue`")(error));
        }
        _ => {}
    }
    layout.sync().map_err(io_error("syncing the directory"))?;
    let (tip, epoch) = (verdict.tip, verdict.epoch_next);
    sidecar.write(&Durable { epoch, end: tip.end, hash: tip.hash, orderly: false })?;
    let report = LogReport {
        created: false,
        chunks: verdict.chain.len() as u64,
        end: tip.end,
        acknowledged: proven.end,
        cut,
        chunks_rescued: rescued.len() as u64,
        bytes_refreshed,
    };
    Ok((OpenLog { store, sidecar, directory: Arc::new(directory), tip, epoch }, report))
}

/// Every whole chunk in the directory, and whether the store will keep it.
pub(super) fn survey(layout: &Layout) -> Result<Index, LogError> {
    let doing = io_error("reading the log");
    let mut index = Index::default();
    let safe = Safe::read(&layout.log()).map_err(&doing)?;
    if let Some(file) = open_existing(&layout.log_data()).map_err(&doing)? {
        let add = |found: Found| {
            index.add(Found { safe: safe.covers(found.place.offset, found.place.bytes), ..found });
        };
        scan::scan(&file, add).map_err(&doing)?;
    }
    // What is only here has to be rescued again, from here.
    if let Some(file) = open_existing(&layout.rescue()).map_err(&doing)? {
        scan::scan(&file, |found| {
            if !index.contains(found.hash) {
                index.add(Found {
                    place: scan::Place { offset: found.place.offset | IN_RESCUE, ..found.place },
                    ..found
                });
            }
        })
        .map_err(&doing)?;
    }
    Ok(index)
}

/// Marks an offset as one in the rescue file.
pub(super) const IN_RESCUE: u64 = 1 << 63;

pub(super) fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The chunks of the log that the store by itself would lose; a refusal if that is more than a crash explains.
pub(super) fn at_risk<'v>(verdict: &'v Verdict, proven: &Durable) -> Result<Vec<&'v Found>, Refusal> {
    let at_risk: Vec<_> = verdict.chain.iter().filter(|found| !found.safe).collect();
    let mut bytes = 0;
    for found in &at_risk {
        bytes += found.place.bytes as usize;
        // Below the sidecar no crash explains it, and so much above it is more than a crash leaves.
        if found.header.start < proven.end || bytes > RESCUE_BYTES_MAX {
            return Err(Refusal::Unsafe { damaged: found.header.start, readable: verdict.tip.end });
        }
    }
    Ok(at_risk)
}

/// Copies every chunk of the log that the store would lose to the rescue file, durably, and returns them by hash.
fn rescue(layout: &Layout, verdict: &Verdict, proven: &Durable) -> Result<HashMap<u64, Vec<u8>>, LogError> {
    let mut rescued = HashMap::new();
    let doing = io_error("rescuing chunks");
    for found in at_risk(verdict, proven)? {
        let in_rescue = found.place.offset & IN_RESCUE != 0;
        let path = if in_rescue { layout.rescue() } else { layout.log_data() };
        let place = scan::Place { offset: found.place.offset & !IN_RESCUE, ..found.place };
        let file = File::open(path).map_err(&doing)?;
        let chunk = scan::read_chunk(&file, &Found { place, ..*found }).map_err(&doing)?;
        rescued.insert(found.hash, (in_rescue, chunk));
    }
    if rescued.values().any(|(in_rescue, _)| !in_rescue) {
        let write = || -> io::Result<()> {
            // Behind what is there: that may be the only copy of another chunk.
            let mut file = OpenOptions::new().append(true).create(true).open(layout.rescue())?;
            for (_, chunk) in rescued.values().filter(|(in_rescue, _)| !in_rescue) {
                file.write_all(chunk)?;
            }
            file.sync_all()?;
            layout.sync()
        };
        write().map_err(&doing)?;
    }
    Ok(rescued.into_iter().map(|(hash, (_, chunk))| (hash, chunk)).collect())
}

/// Whether what can be read is what is on the disk.
pub(crate) fn believes_the_cache(proven: &Durable) -> bool {
    proven.orderly || planted(Fault::TrustCache)
}

/// Writes a file over itself and syncs it. The same bytes, so a crash on the way harms nothing.
fn refresh(path: &Path) -> Result<u64, LogError> {
    let rewrite = || -> io::Result<u64> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut block = vec![0; 1 << 20];
        for offset in (0..length).step_by(block.len()) {
            let bytes = (length - offset).min(block.len() as u64) as usize;
            file.read_exact_at(&mut block[..bytes], offset)?;
            file.write_all_at(&block[..bytes], offset)?;
        }
        file.sync_all()?;
        Ok(length)
    };
    rewrite().map_err(io_error("writing the log again"))
}

/// Reads the verdict's chain out of the store, handing every chunk to `fold`; puts back what was rescued; removes what
/// lies behind. Returns the verdict's cut, with what only the store still had of it.
fn replay(
    store: &mut dyn Store,
    verdict: &Verdict,
    rescued: &HashMap<u64, Vec<u8>>,
    into: &mut dyn Replay,
) -> Result<Option<Cut>, LogError> {
    let mut next = verdict.start.end;
    for found in &verdict.chain {
        let position = found.header.start;
        let stored = store.chunk_at_or_after(next)?;
        let chunk = match stored {
            Some((start, chunk)) if start == position && hash_of(&chunk) == Some(found.hash) => chunk,
            stored => {
                let Some(chunk) = rescued.get(&found.hash) else {
                    return Err(unreadable(position, stored));
                };
                store.append(position, chunk)?;
                chunk.clone()
            }
        };
        let (_, payload, _) = chunk::decode(&chunk)
            .map_err(|error| LogError::Unreadable { position, problem: error.to_string() })?;
        into.chunk(found, payload).map_err(|reason| LogError::Fold { position, reason })?;
        next = position + 1;
    }
    let end = verdict.tip.end;
    let mut cut = verdict.cut;
    let mut behind = store.chunk_at_or_after(next)?;
    if behind.as_ref().is_some_and(|(start, _)| *start < end) {
        return Err(unreadable(next, behind));
    }
    while let Some((start, chunk)) = behind {
        match chunk::decode(&chunk) {
            // Counted already, if it is whole.
            Ok(_) => {}
            Err(ChunkError::Newer { found }) => return Err(LogError::Newer { position: start, found }),
            Err(_) => {
                let counted = cut.get_or_insert(Cut { from: end, until: start, ..Cut::default() });
                counted.until = counted.until.max(start);
                counted.bytes += chunk.len() as u64;
            }
        }
        let Some(after) = start.checked_add(1) else { break };
        behind = store.chunk_at_or_after(after)?;
    }
    store.remove_from(end)?;
    store.sync()?;
    Ok(cut)
}

fn hash_of(chunk: &[u8]) -> Option<u64> {
    chunk::decode(chunk).ok().map(|(_, _, hash)| hash)
}

fn unreadable(position: u64, stored: Option<(u64, Vec<u8>)>) -> LogError {
    let problem = match stored {
        None => "it has nothing there or after".into(),
        Some((start, chunk)) => match chunk::decode(&chunk) {
            Err(ChunkError::Newer { found }) => return LogError::Newer { position: start, found },
            Err(error) => error.to_string(),
            Ok(_) if start != position => format!("the next one it has starts at {start}"),
            Ok(_) => "it has another one there".into(),
        },
    };
    LogError::Unreadable { position, problem }
}

/// Recovers a store that has no file to look at first: the same verdict, on the chunks it returns.
#[cfg(test)]
pub(crate) fn recover(
    store: &mut dyn Store,
    proven: &Durable,
    start: &Start,
    into: &mut dyn Replay,
) -> Result<Verdict, LogError> {
    let mut index = Index::default();
    let mut next = Some(0);
    while let Some((start, chunk)) = next.map_or(Ok(None), |next| store.chunk_at_or_after(next))? {
        if let Ok((header, _, hash)) = chunk::decode(&chunk)
            && header.start == start
        {
            let place =
                scan::Place { offset: 0, bytes: chunk.len().min(super::sled::CHUNK_BYTES_MAX) as u32 };
            index.add(Found { header, hash, place, safe: true });
        }
        next = start.checked_add(1);
    }
    recover_found(store, &index, proven, start, &mut |_| Ok(HashMap::new()), into)
}

#[cfg(test)]
pub(crate) type Rescue<'a> = dyn FnMut(&[&Found]) -> Result<HashMap<u64, Vec<u8>>, LogError> + 'a;

/// The same, on the chunks that were `found`; `before` is what is done between the verdict and the store: it rescues
/// the chunks that the store would lose, and returns them by hash.
#[cfg(test)]
pub(crate) fn recover_found(
    store: &mut dyn Store,
    found: &Index,
    proven: &Durable,
    start: &Start,
    before: &mut Rescue<'_>,
    into: &mut dyn Replay,
) -> Result<Verdict, LogError> {
    let mut verdict = decide(found, proven, start)?;
    let rescued = before(&at_risk(&verdict, proven)?)?;
    verdict.cut = replay(store, &verdict, &rescued, into)?;
    Ok(verdict)
}

#[cfg(test)]
mod tests;
