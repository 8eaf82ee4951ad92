//! Copies directories and damages them, as crashes, disks and people do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: [u8; 4] = [0xD6, b'S', b'H', 0x9C];

/// The bytes and the modification time of every path under a directory.
pub fn everything(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for path in files_under(path) {
        let changed = path.metadata().unwrap().modified().unwrap();
        let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        all.insert(path, (bytes, changed));
    }
    all
}

pub fn files_under(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    let mut at = 0;
    while at < all.len() {
        if all[at].is_dir() {
            all.extend(fs::read_dir(&all[at]).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    all.sort();
    all
}

pub fn copied(from: &Path, to: &Path) {
    for path in files_under(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            fs::create_dir_all(target).unwrap()
        } else {
            fs::copy(path, target).map(drop).unwrap()
        }
    }
}

pub fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub fn flip(path: &Path) {
    change(path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    });
}

/// Damages every copy of the chunks that hold a position in `from..until`. Returns where the first of them
/// starts and the last ends.
pub fn damage_chunks(db: &Path, from: u64, until: u64) -> (u64, u64) {
    let mut hit: Option<(u64, u64)> = None;
    change(db, |bytes| {
        for at in 0..bytes.len().saturating_sub(48) {
            let start = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap());
            let words = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().unwrap());
            let end = start.saturating_add(words.into());
            if bytes[at..at + 4] == MAGIC && start < until && from < end {
                bytes[at + 40] ^= 1;
                let (first, last) = hit.unwrap_or((start, end));
                hit = Some((first.min(start), last.max(end)));
            }
        }
    });
    hit.unwrap()
}

/// A chunk with the given records that starts where the log of a directory, as its sidecar states it, ends;
/// and that position.
pub fn chunk_behind(dir: &Path, commit: bool, words: u32, records: &[u8]) -> (u64, Vec<u8>) {
    // The slot of `durable` with the higher sequence number is the newer one. It has the opening, the end and
    // the hash.
    let durable = fs::read(dir.join("durable")).unwrap();
    let number = |at: usize| u64::from_le_bytes(durable[at..at + 8].try_into().unwrap());
    let slot = if number(8) > number(4_096 + 8) { 0 } else { 4_096 };
    let (epoch, end, hash) = (number(slot + 16) as u32, number(slot + 24), number(slot + 32));

    let mut bytes = MAGIC.to_vec();
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend([u8::from(commit), 0]);
    bytes.extend(epoch.to_le_bytes());
    bytes.extend(words.to_le_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend((records.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(hash.to_le_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend(records);
    seal_chunk(&mut bytes);
    (end, bytes)
}

/// Gives a chunk the checksum of its bytes.
pub fn seal_chunk(chunk: &mut [u8]) {
    chunk[28..32].fill(0);
    let crc = crc32fast::hash(chunk);
    chunk[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// The file of the newest store in a directory's log.
pub fn newest_store(dir: &Path) -> PathBuf {
    files_under(&dir.join("log")).into_iter().filter(|path| path.ends_with("db")).max().unwrap()
}

/// Adds bytes to the log of a directory, in a new store.
pub fn store(dir: &Path, chunk: &[u8]) {
    let store = dir.join("log/000000ff");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("db"), chunk).unwrap();
}
