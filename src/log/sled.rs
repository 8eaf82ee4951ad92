//! The store on disk. The only file that calls sled.
//!
//! sled is a fast append-only page store. Each rule here prevents one of its failures, and none may be
//! dropped:
//! - Its `flush` ends in `sync_file_range`, which syncs neither the file's size nor the disk's own cache. So
//!   every [`sync`](Store::sync) is a flush and then an fdatasync on our own descriptor of its file.
//! - Its background flusher swallows errors: it is off.
//! - Its opening writes. If the segment that proves the newest data is lost, sled opens empty and without an
//!   error. It takes a segment that it cannot read for the end of its log. It does not open at all if a
//!   snapshot is half-written. So it is only ever opened on an empty folder; a store that exists is
//!   [read](super::scan) without it.
//! - One sync window, with sled's own rewriting of pages (up to three times as much), stays below one
//!   segment; the store syncs by itself before a window grows past that.
//! - Values above a quarter of a segment (shared by the 17 values of a full leaf) go to side files, which
//!   are never synced: chunks stay below that.
//! - It panics on bad bytes: every call is caught, and a panic becomes an error.
//! - `apply_batch` takes a process-wide lock that waits behind a running flush: chunks are inserted one by
//!   one.

use std::{
    cell::Cell,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Once,
};

use super::store::{Store, StoreError};

/// Fixed when a directory is created; part of its identity.
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
    /// `None` only while the store is being closed.
    open: Option<Open>,
    /// Our own descriptor of sled's file: it reports every write-back error, even one that was reported to
    /// another descriptor.
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

impl SledStore {
    /// Creates a store in `directory`, which must be empty.
    pub(crate) fn create(directory: &Path) -> Result<Self, StoreError> {
        Self::create_with(directory, SEGMENT_BYTES, CHUNK_BYTES_MAX, SYNC_WINDOW_BYTES_MAX)
    }

    /// As [`create`](Self::create), with limits that derive from another segment size: for measuring.
    #[allow(dead_code, reason = "the entry of the benchmark, which compiles this file too")]
    pub(crate) fn create_with_segments(directory: &Path, segment_bytes: usize) -> Result<Self, StoreError> {
        let window_bytes_max = segment_bytes / 3 - 1;
        Self::create_with(directory, segment_bytes, chunk_bytes_max(segment_bytes), window_bytes_max)
    }

    fn create_with(
        directory: &Path,
        segment_bytes: usize,
        chunk_bytes_max: usize,
        window_bytes_max: usize,
    ) -> Result<Self, StoreError> {
        let open = guarded("creating the log's store", || {
            let database = sled::Config::new()
                .path(directory)
                .segment_size(segment_bytes)
                .cache_capacity(CACHE_BYTES)
                .use_compression(false)
                .flush_every_ms(None)
                .open()?;
            Ok(Open { tree: database.open_tree(TREE)?, _database: database })
        })?;
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

    fn remove_below(&mut self, position: u64, chunks_max: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        self.writing(|store| {
            while removed < chunks_max {
                let tree = store.tree()?;
                let first =
                    guarded("cutting the log", || tree.range(..position.to_be_bytes()).next().transpose())?;
                let Some((start, _)) = first else { break };
                // A removal is small, but the page it is in may be written again for it.
                store.make_room(store.chunk_bytes_max)?;
                let tree = store.tree()?;
                guarded("cutting the log", || tree.remove(start).map(drop))?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }

    fn has_name(&self) -> io::Result<bool> {
        Ok(self.data.metadata()?.nlink() > 0)
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.sync()?;
        // sled writes once more when it is dropped; that too must be on the disk before the close counts as
        // orderly.
        let_go(self.open.take())?;
        self.data.sync_data().map_err(|e| StoreError::io("syncing the log", &e))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // sled flushes, and may panic, when it is dropped. No caller needs the error: what was not synced was
        // never acknowledged as durable.
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

/// Runs `call`, catching a panic as its text, without the panic being reported as one: it is an error that is
/// returned.
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

    #[test]
    fn the_longest_chunks_never_become_side_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::create(directory.path()).unwrap();
        for start in 0..400_u64 {
            let chunk: Vec<u8> = (0..CHUNK_BYTES_MAX as u64).map(|at| (at * (start + 7)) as u8).collect();
            store.append(start, &chunk).unwrap();
        }
        store.sync().unwrap();
        assert_eq!(std::fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
    }

    #[test]
    fn the_first_are_removed_first_and_their_room_is_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::create(directory.path()).unwrap();
        let mut removed = 0;
        for start in 0..3_000_u64 {
            store.append(start, &[start as u8; 20_000]).unwrap();
            if start % 20 == 19 {
                removed += store.remove_below((start + 1).saturating_sub(100), 40).unwrap() as u64;
                store.sync().unwrap();
            }
        }
        assert_eq!(removed, 2_900);
        assert_eq!(store.remove_below(2_902, 9), Ok(2));
        let bytes = std::fs::metadata(directory.path().join(DATA_FILE)).unwrap().len();
        assert!(bytes < 30 << 20, "{bytes} bytes for 2 MB of chunks");
    }

    #[test]
    fn a_panic_inside_becomes_an_error() {
        let result = guarded("reading", || -> sled::Result<()> { panic!("bad bytes at {}", 7) });
        assert_eq!(result, Err(StoreError::Corrupt { details: "reading: bad bytes at 7".into() }));
    }

    #[test]
    fn after_a_failure_nothing_is_written_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = SledStore::create(directory.path()).unwrap();
        let failure = StoreError::Full { doing: "syncing".into() };
        assert_eq!(store.writing(|_| Err(failure.clone())), Err(failure));
        assert!(matches!(store.sync(), Err(StoreError::Dead { .. })));
        assert!(matches!(store.append(0, b"chunk"), Err(StoreError::Dead { .. })));
    }
}
