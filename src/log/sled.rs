//! The store on disk. The only file that names sled.
//!
//! sled is a fast append-only page store with sharp edges; each rule here blunts one, and none may be dropped:
//! - Its `flush` ends in `sync_file_range`, which syncs neither the file's size nor the disk's own cache. So every
//!   [`sync`](Store::sync) is a flush and then an fdatasync on our own descriptor of its file.
//! - Its background flusher swallows errors: it is off.
//! - When the segment that vouches for the newest data is lost, it opens empty, without an error. One sync window,
//!   with sled's own rewriting of pages (up to three times as much), therefore stays below one segment; the store
//!   syncs by itself before a window grows past that. What a lost segment does anyway is seen by the preflight.
//! - Values above a quarter of a segment (shared by the 17 values of a full leaf) go to side files that nobody syncs:
//!   chunks stay below that.
//! - A snapshot file left half-written makes it unopenable: removed before it opens.
//! - It panics on bad bytes: every call is caught, and a panic becomes an error.
//! - Inserting what is already there writes nothing. So a rewrite cannot go through it; recovery rewrites the file.
//! - `apply_batch` takes a process-wide lock that waits behind a running flush: chunks are inserted one by one.

use std::{
    cell::Cell,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Once,
    thread,
    time::Duration,
};

use super::store::{Store, StoreError};

/// Frozen when a directory is created; part of its identity.
pub(crate) const SEGMENT_BYTES: usize = 2 << 20;
/// Longest chunk, header included.
pub(crate) const CHUNK_BYTES_MAX: usize = 30 << 10;
/// Chunk bytes appended between two syncs. The store syncs by itself when a caller does not.
pub(crate) const SYNC_WINDOW_BYTES_MAX: usize = 640 << 10;

const _: () =
    assert!(CHUNK_BYTES_MAX <= chunk_bytes_max(SEGMENT_BYTES), "a full leaf must not become a side file");
const _: () =
    assert!(SYNC_WINDOW_BYTES_MAX * 3 < SEGMENT_BYTES, "a sync window must fit one segment, rewritten");
const _: () = assert!(SEGMENT_BYTES.is_power_of_two() && SEGMENT_BYTES <= 16 << 20, "sled takes no other");

/// Longest chunk such that a leaf of 17 of them, with keys and lengths, stays in the log.
const fn chunk_bytes_max(segment_bytes: usize) -> usize {
    (segment_bytes / 4 - 52) / 17 - 32
}

const CACHE_BYTES: u64 = 16 << 20;
const TREE: &str = "log";
/// sled's data file inside its directory.
pub(crate) const DATA_FILE: &str = "db";

pub(crate) struct SledStore {
    /// `None` only while it is being let go of.
    open: Option<Open>,
    /// Our own descriptor of sled's file: sees every error of writing it back, whoever else has seen it.
    data: File,
    /// Chunk bytes handed over since the last sync.
    window_bytes: usize,
    window_bytes_max: usize,
    chunk_bytes_max: usize,
    dead: Option<StoreError>,
}

struct Open {
    tree: sled::Tree,
    _database: sled::Db,
}

/// How long a process takes from its fork to executing, at most.
const FORK_TAKES: Duration = Duration::from_millis(5);
const FORKS_WAITED_FOR: usize = 40;

impl SledStore {
    /// Opens or creates the store in `directory`. What sled does on opening changes bytes: look first.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_with(directory, SEGMENT_BYTES, CHUNK_BYTES_MAX, SYNC_WINDOW_BYTES_MAX)
    }

    /// As [`open`](Self::open), with limits that derive from another segment size: for measuring.
    #[allow(dead_code, reason = "the entry of the benchmark, which compiles this file too")]
    pub(crate) fn open_with_segments(directory: &Path, segment_bytes: usize) -> Result<Self, StoreError> {
        let window_bytes_max = segment_bytes / 3 - 1;
        Self::open_with(directory, segment_bytes, chunk_bytes_max(segment_bytes), window_bytes_max)
    }

    fn open_with(
        directory: &Path,
        segment_bytes: usize,
        chunk_bytes_max: usize,
        window_bytes_max: usize,
    ) -> Result<Self, StoreError> {
        remove_unfinished_snapshots(directory)
            .map_err(|e| StoreError::io(format!("reading {directory:?}"), &e))?;
        let attempt = || {
            guarded("opening the log", || {
                let database = sled::Config::new()
                    .path(directory)
                    .segment_size(segment_bytes)
                    .cache_capacity(CACHE_BYTES)
                    .use_compression(false)
                    .flush_every_ms(None)
                    .open()?;
                Ok(Open { tree: database.open_tree(TREE)?, _database: database })
            })
        };
        // sled closes its locked file without unlocking it, so a process that is just being forked off an earlier opener
        // has the lock until it executes. The directory's own lock says that no engine has it.
        let mut open = attempt();
        for _ in 0..FORKS_WAITED_FOR {
            if !matches!(open, Err(StoreError::InUse { .. })) {
                break;
            }
            thread::sleep(FORK_TAKES);
            open = attempt();
        }
        let open = open?;
        let data = match sync_files(directory) {
            Ok(data) => data,
            Err(error) => {
                let _ = let_go(Some(open)); // the first error is the cause
                return Err(StoreError::io(format!("syncing {directory:?}"), &error));
            }
        };
        Ok(Self { open: Some(open), data, window_bytes: 0, window_bytes_max, chunk_bytes_max, dead: None })
    }

    fn writing(&mut self, work: impl FnOnce(&mut Self) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        let result = work(self);
        self.dead = result.as_ref().err().cloned();
        result
    }

    fn tree(&self) -> Result<&sled::Tree, StoreError> {
        let open = self.open.as_ref().ok_or_else(|| StoreError::Dead { cause: "it was closed".into() })?;
        Ok(&open.tree)
    }

    fn flush_unguarded(&mut self) -> Result<(), StoreError> {
        let tree = self.tree()?;
        guarded("flushing the log", || tree.flush().map(drop))
    }

    fn sync_unguarded(&mut self) -> Result<(), StoreError> {
        self.flush_unguarded()?;
        self.data.sync_data().map_err(|e| StoreError::io("syncing the log", &e))?;
        self.window_bytes = 0;
        Ok(())
    }

    /// Syncs first if `bytes` more would make the window too large for sled to survive a loss of power.
    fn make_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        if self.window_bytes + bytes > self.window_bytes_max {
            self.sync_unguarded()?;
        }
        self.window_bytes += bytes;
        Ok(())
    }
}

impl Store for SledStore {
    fn append(&mut self, start: u64, chunk: &[u8]) -> Result<(), StoreError> {
        assert!(
            chunk.len() <= self.chunk_bytes_max,
            "a chunk of {} bytes would become a side file",
            chunk.len()
        );
        self.writing(|store| {
            store.make_room(chunk.len())?;
            let tree = store.tree()?;
            guarded("appending to the log", || tree.insert(start.to_be_bytes(), chunk).map(drop))
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.writing(Self::flush_unguarded)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.writing(Self::sync_unguarded)
    }

    fn chunk_at_or_after(&self, start: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let tree = self.tree()?;
        let first = guarded("reading the log", || tree.range(start.to_be_bytes()..).next().transpose())?;
        let Some((key, chunk)) = first else { return Ok(None) };
        match <[u8; 8]>::try_from(key.as_ref()) {
            Ok(key) => Ok(Some((u64::from_be_bytes(key), chunk.to_vec()))),
            Err(_) => Err(StoreError::Corrupt { details: "a key that is no position".into() }),
        }
    }

    fn remove_from(&mut self, start: u64) -> Result<(), StoreError> {
        self.writing(|store| {
            while let Some((start, _)) = store.chunk_at_or_after(start)? {
                // A removal is small, but the page it is in may be written again for it.
                store.make_room(store.chunk_bytes_max)?;
                let tree = store.tree()?;
                guarded("cutting the log", || tree.remove(start.to_be_bytes()).map(drop))?;
            }
            store.sync_unguarded()
        })
    }

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        self.writing(|store| {
            while removed < chunks_max {
                let tree = store.tree()?;
                let first =
                    guarded("cutting the log", || tree.range(..position.to_be_bytes()).next().transpose())?;
                let Some((start, _)) = first else { break };
                // As in `remove_from`.
                store.make_room(store.chunk_bytes_max)?;
                let tree = store.tree()?;
                guarded("cutting the log", || tree.remove(start).map(drop))?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()?;
        // sled writes once more when it is dropped; that too is to be on the disk before the close is called orderly.
        let_go(self.open.take())?;
        self.data.sync_data().map_err(|e| StoreError::io("syncing the log", &e))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // sled flushes, and may panic, when it is dropped. Nobody is left to tell: what was not synced was never
        // called durable.
        let _ = let_go(self.open.take());
    }
}

/// sled writes, syncs, and panics if that fails, when it is dropped.
fn let_go(open: Option<Open>) -> Result<(), StoreError> {
    guarded("closing the log", || {
        drop(open);
        Ok(())
    })
}

/// A snapshot that a crash left half-written is taken for the newest one and found damaged. It is only a shortcut:
/// without it the log is read instead.
fn remove_unfinished_snapshots(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b"snap.") && name.ends_with(b".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled never syncs the directory its files are created in, nor the file that holds its settings.
fn sync_files(directory: &Path) -> io::Result<File> {
    File::open(directory.join("conf"))?.sync_all()?;
    let data = File::open(directory.join(DATA_FILE))?;
    data.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(data)
}

/// Calls sled, turning its errors and panics into ours.
fn guarded<T>(doing: &str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match quietly(call) {
        Ok(Ok(value)) => Ok(value),
        // Other failures of the lock have the same text, and another code in it.
        Ok(Err(sled::Error::Io(error)))
            if error.to_string().contains("could not acquire lock")
                && error.to_string().contains("WouldBlock") =>
        {
            Err(StoreError::InUse { details: error.to_string() })
        }
        Ok(Err(sled::Error::Io(error))) => Err(StoreError::io(doing, &error)),
        Ok(Err(error)) => Err(StoreError::Corrupt { details: format!("{doing}: {error}") }),
        // It unwraps some errors of the operating system, which are no damage.
        Err(panic) if panic.contains("Os { code: ") => Err(StoreError::io(doing, &io::Error::other(panic))),
        Err(panic) => Err(StoreError::Corrupt { details: format!("{doing}: {panic}") }),
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`, catching a panic as its text, without the panic being reported as one: it is an error that is returned.
///
/// The hook in the way of the report stays for the rest of the process and passes on every panic but these.
fn quietly<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    if !std::thread::panicking() {
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // No thread-local is left while a thread ends: then the panic is not one of ours either.
                if !QUIET.try_with(Cell::get).unwrap_or(false) {
                    previous(panic);
                }
            }));
        });
    }
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a text".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(start: u64, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at as u64).wrapping_mul(start + 7).to_le_bytes()[1]).collect()
    }

    #[test]
    fn chunks_come_back_in_order_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(directory.path()).unwrap();
        for start in (0..500).rev() {
            store.append(start * 3, &chunk(start * 3, 2000)).unwrap();
        }
        Box::new(store).close().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        let mut seen = 0;
        while let Some((start, bytes)) = store.chunk_at_or_after(seen * 3).unwrap() {
            assert_eq!((start, bytes), (seen * 3, chunk(seen * 3, 2000)));
            seen += 1;
        }
        assert_eq!(seen, 500);
    }

    #[test]
    fn the_longest_chunks_never_become_side_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(directory.path()).unwrap();
        for start in 0..400 {
            store.append(start, &chunk(start, CHUNK_BYTES_MAX)).unwrap();
        }
        store.sync().unwrap();
        store.remove_from(200).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
        assert_eq!(store.chunk_at_or_after(200), Ok(None));
        assert_eq!(store.chunk_at_or_after(199).unwrap().unwrap().0, 199);
    }

    #[test]
    fn a_second_opening_is_told_that_the_log_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let _first = SledStore::open(directory.path()).unwrap();
        assert!(matches!(SledStore::open(directory.path()), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_snapshot_left_half_written_does_not_stop_the_opening() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(directory.path()).unwrap();
        store.append(0, b"chunk").unwrap();
        Box::new(store).close().unwrap();
        let leftover = directory.path().join("snap.00FFFFFFFFFFFFFF.generating");
        fs::write(&leftover, b"half").unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        assert_eq!(store.chunk_at_or_after(0), Ok(Some((0, b"chunk".to_vec()))));
        assert!(!leftover.exists());
    }

    #[test]
    fn a_panic_inside_becomes_an_error() {
        let result = guarded("reading", || -> sled::Result<()> { panic!("bad bytes at {}", 7) });
        assert_eq!(result, Err(StoreError::Corrupt { details: "reading: bad bytes at 7".into() }));
    }

    #[test]
    fn after_a_failure_nothing_is_written_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::open(directory.path()).unwrap();
        let failure = StoreError::Full { doing: "syncing".into() };
        assert_eq!(store.writing(|_| Err(failure.clone())), Err(failure));
        assert!(matches!(store.sync(), Err(StoreError::Dead { .. })));
        assert!(matches!(store.append(0, b"chunk"), Err(StoreError::Dead { .. })));
    }
}
