//! A plain file that is appended to and synced by group. It has no checksums, and is never read.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::error::PeerError;

/// The size of a record: a hold with its key, quantity, deadline and reference.
pub(crate) const RECORD_BYTES: u64 = 32;

pub(crate) struct Journal {
    shared: Arc<Shared>,
    path: PathBuf,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    appended: Condvar,
    durable: AtomicU64,
    failed: Mutex<Option<String>>,
    synced: Condvar,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    records: u64,
    closed: bool,
}

impl Journal {
    pub(crate) fn create(path: PathBuf) -> Result<Journal, PeerError> {
        let file = File::create(&path).map_err(|error| PeerError::file(&path, error))?;
        let shared = Arc::<Shared>::default();
        let writer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.write(file)
        });
        Ok(Journal { shared, path, writer: Some(writer) })
    }

    /// Appends a record. Returns its position: the number of records so far.
    pub(crate) fn append(&self, record: [u8; RECORD_BYTES as usize]) -> u64 {
        let mut queue = self.shared.queue.lock().unwrap();
        let slept = queue.bytes.is_empty();
        queue.bytes.extend_from_slice(&record);
        queue.records += 1;
        let position = queue.records;
        drop(queue);
        if slept {
            self.shared.appended.notify_one();
        }
        position
    }

    pub(crate) fn durable(&self) -> u64 {
        // Acquire: pairs with the writer's release after the sync.
        self.shared.durable.load(Ordering::Acquire)
    }

    pub(crate) fn wait(&self, position: u64) -> Result<(), PeerError> {
        let mut failed = self.shared.failed.lock().unwrap();
        loop {
            if self.durable() >= position {
                return Ok(());
            }
            if let Some(error) = &*failed {
                return Err(PeerError::Journal(error.clone()));
            }
            failed = self.shared.synced.wait(failed).unwrap();
        }
    }

    /// The number of records in the file, by its length.
    pub(crate) fn records(&self) -> Result<i64, PeerError> {
        let path: &Path = &self.path;
        let length = path.metadata().map_err(|error| PeerError::file(path, error))?.len();
        Ok((length / RECORD_BYTES) as i64)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap().closed = true;
        self.shared.appended.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join(); // a failure was reported to the waiting threads
        }
    }
}

impl Shared {
    fn write(&self, mut file: File) {
        let mut group = Vec::new();
        loop {
            let records = {
                let mut queue = self.queue.lock().unwrap();
                while queue.bytes.is_empty() {
                    if queue.closed {
                        return;
                    }
                    queue = self.appended.wait(queue).unwrap();
                }
                std::mem::swap(&mut group, &mut queue.bytes);
                queue.records
            };
            let written = file.write_all(&group).and_then(|()| file.sync_data());
            group.clear();
            let mut failed = self.failed.lock().unwrap();
            match written {
                // Release: pairs with the acquire of a reader, which then relies on the sync.
                Ok(()) => self.durable.store(records, Ordering::Release),
                Err(error) => *failed = Some(error.to_string()),
            }
            let stop = failed.is_some();
            drop(failed);
            self.synced.notify_all();
            if stop {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_in_the_file() {
        let scratch = tempfile::tempdir().unwrap();
        let journal = Journal::create(scratch.path().join("journal")).unwrap();
        (1..=1_000).for_each(|position| assert_eq!(journal.append([7; 32]), position));
        journal.wait(1_000).unwrap();
        assert_eq!((journal.durable(), journal.records().unwrap()), (1_000, 1_000));
    }

    #[test]
    fn a_disk_that_is_full_is_told_to_who_waits() {
        let journal = Journal::create("/dev/full".into()).unwrap();
        let position = journal.append([7; 32]);
        assert!(journal.wait(position).is_err());
    }
}
