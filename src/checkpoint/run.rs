//! A run: a file of entries in ascending order, written once.
//!
//! ```text
//!  0        4         6      7      8         16      20
//!  | magic  | format  | kind | zero | number  | crc32 |  block | block | ...
//! block:  | length | crc32 | entries ... |
//! ```
//! All numbers are little-endian. A block's CRC covers the run's kind and number and the block's own number
//! before its entries, so that a block of another run, or at another place, is not accepted. The number of
//! bytes and entries and the hash of the whole run come from the manifest that names it; a run alone is not
//! trusted.
//!
//! Must survive: any bytes.

use std::io::{self, Read, Write};
use std::marker::PhantomData;

use xxhash_rust::xxh3::Xxh3Default;

use super::entry::RunEntry;
use super::files::{Files, NewFile};
use super::run_ref::{RunKind, RunRef};
use super::{FORMAT, RunError};
use crate::log::newer::Newer;

const MAGIC: [u8; 4] = [0xD6, b'S', b'R', 0x9C];
const HEADER_BYTES: usize = 20;
const BLOCK_HEADER_BYTES: usize = 8;
/// A block is closed when it has at least this many bytes; one long entry may exceed it.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks are read whole; this limits the memory that a block's length can make the reader allocate.
const BLOCK_BYTES_MAX: u32 = 1 << 30;

/// The header of a run of this format. Formats 1 and 2 differ in the number alone.
fn header(format: u16, kind: RunKind, number: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[0..4].copy_from_slice(&MAGIC);
    out[4..6].copy_from_slice(&format.to_le_bytes());
    out[6] = kind as u8;
    out[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = crc32fast::hash(&out[..16]);
    out[16..20].copy_from_slice(&crc.to_le_bytes());
    out
}

fn block_crc(kind: RunKind, number: u64, block: u64, entries: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind as u8]);
    crc.update(&number.to_le_bytes());
    crc.update(&block.to_le_bytes());
    crc.update(entries);
    crc.finalize()
}

/// Makes a run of blocks with any bytes and matching checksums.
#[cfg(fuzzing)]
pub(crate) fn seal(kind: RunKind, number: u64, blocks: &[&[u8]]) -> Vec<u8> {
    let mut run = header(FORMAT, kind, number).to_vec();
    for (at, block) in (0..).zip(blocks) {
        run.extend_from_slice(&(block.len() as u32).to_le_bytes());
        run.extend_from_slice(&block_crc(kind, number, at, block).to_le_bytes());
        run.extend_from_slice(block);
    }
    run
}

/// Writes a run.
pub(crate) struct RunWriter<E> {
    run: RunRef,
    name: String,
    file: Box<dyn NewFile>,
    hash: Xxh3Default,
    /// Entries of the block that is being filled.
    block: Vec<u8>,
    blocks: u64,
    entry: PhantomData<E>,
}

impl<E: RunEntry> RunWriter<E> {
    pub(crate) fn create(files: &dyn Files, number: u64) -> Result<Self, RunError> {
        let run = RunRef { kind: E::KIND, number, bytes: 0, entries: 0, latest_ms: 0, hash: 0 };
        let name = run.name();
        let file = files.create(&name).map_err(RunError::io(&name, "creating it"))?;
        let hash = Xxh3Default::new();
        let mut writer =
            RunWriter { run, name, file, hash, block: Vec::new(), blocks: 0, entry: PhantomData };
        writer.write(&header(FORMAT, E::KIND, number))?;
        Ok(writer)
    }

    /// Appends an entry, whose sort key is above those of all entries before it.
    pub(crate) fn put(&mut self, entry: &E) -> Result<(), RunError> {
        entry.encode(&mut self.block);
        self.run.entries += 1;
        self.run.latest_ms = self.run.latest_ms.max(entry.at().0);
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<(), RunError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        let crc = block_crc(self.run.kind, self.run.number, self.blocks, &block);
        let length = u32::try_from(block.len()).ok().filter(|length| *length <= BLOCK_BYTES_MAX);
        let length = length.ok_or_else(|| RunError::damaged(&self.name, "an entry is too long"))?;
        let mut head = [0; BLOCK_HEADER_BYTES];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&crc.to_le_bytes());
        self.write(&head)?;
        self.write(&block)?;
        self.blocks += 1;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        self.hash.update(bytes);
        self.run.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(RunError::io(&self.name, "writing it"))
    }

    /// Makes the run's bytes durable, but not its name.
    pub(crate) fn finish(mut self) -> Result<RunRef, RunError> {
        self.close_block()?;
        self.file.sync().map_err(RunError::io(&self.name, "syncing it"))?;
        Ok(RunRef { hash: self.hash.digest(), ..self.run })
    }
}

/// Reads the entries of a run, in order. The first error ends it; a run is intact if it ends without one.
pub(crate) struct RunReader<E> {
    run: RunRef,
    name: String,
    file: Box<dyn Read + Send>,
    hash: Xxh3Default,
    bytes_left: u64,
    entries_left: u64,
    block: Vec<u8>,
    /// Offset of the next entry in the block.
    at: usize,
    blocks: u64,
    /// Sort key of the entry before.
    last: Option<u64>,
    failed: bool,
    entry: PhantomData<E>,
}

impl<E: RunEntry> RunReader<E> {
    pub(crate) fn open(files: &dyn Files, run: RunRef) -> Result<Self, RunError> {
        let name = run.name();
        let file = files.open(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RunError::damaged(&name, "it is missing"),
            _ => RunError::io(&name, "opening it")(error),
        })?;
        let mut reader = RunReader {
            run,
            name,
            file,
            hash: Xxh3Default::new(),
            bytes_left: run.bytes,
            entries_left: run.entries,
            block: Vec::new(),
            at: 0,
            blocks: 0,
            last: None,
            failed: false,
            entry: PhantomData,
        };
        let mut found = [0; HEADER_BYTES];
        reader.read(&mut found)?;
        let format = u16::from_le_bytes([found[4], found[5]]);
        let is_whole = found[..4] == MAGIC && found[16..] == crc32fast::hash(&found[..16]).to_le_bytes();
        if is_whole && format > FORMAT {
            return Err(RunError::Newer { name: reader.name, found: Newer::format(format, FORMAT) });
        }
        if format == 0 || E::KIND != run.kind || found != header(format, run.kind, run.number) {
            return Err(reader.damaged("its first bytes are not those of a run of this kind and number"));
        }
        Ok(reader)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn damaged(&self, what: &str) -> RunError {
        RunError::damaged(&self.name, what)
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), RunError> {
        let left = self.bytes_left.checked_sub(out.len() as u64);
        self.bytes_left = left.ok_or_else(|| self.damaged("it is shorter than the manifest says"))?;
        match self.file.read_exact(out) {
            Ok(()) => {
                self.hash.update(out);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it is shorter than the manifest says"))
            }
            Err(error) => Err(RunError::io(&self.name, "reading it")(error)),
        }
    }

    fn next_block(&mut self) -> Result<(), RunError> {
        let mut head = [0; BLOCK_HEADER_BYTES];
        self.read(&mut head)?;
        let [length, crc] =
            [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if length == 0 || u64::from(length) > self.bytes_left || length > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block's length is out of range"));
        }
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        // Piece by piece, so that a false length does not allocate more memory than the file has bytes.
        while block.len() < length as usize {
            let at = block.len();
            block.resize((length as usize).min(at + 4 * BLOCK_BYTES), 0);
            self.read(&mut block[at..])?;
        }
        if block_crc(self.run.kind, self.run.number, self.blocks, &block) != crc {
            return Err(self.damaged("a block's checksum does not match its bytes"));
        }
        (self.block, self.at) = (block, 0);
        self.blocks += 1;
        Ok(())
    }

    fn next_entry(&mut self) -> Result<Option<E>, RunError> {
        if self.at == self.block.len() {
            if self.bytes_left == 0 {
                return self.end().map(|()| None);
            }
            self.next_block()?;
        }
        let decoded = E::decode(&self.block[self.at..]);
        let (entry, bytes) = decoded.ok_or_else(|| self.damaged("an entry cannot be decoded"))?;
        self.at += bytes;
        let sort_key = entry.sort_key();
        if self.last.is_some_and(|last| last >= sort_key) {
            return Err(self.damaged("its entries are not in order"));
        }
        self.last = Some(sort_key);
        let left = self.entries_left.checked_sub(1);
        self.entries_left = left.ok_or_else(|| self.damaged("it has more entries than the manifest says"))?;
        Ok(Some(entry))
    }

    fn end(&mut self) -> Result<(), RunError> {
        if self.entries_left > 0 {
            return Err(self.damaged("it has fewer entries than the manifest says"));
        }
        if self.hash.digest() != self.run.hash {
            return Err(self.damaged("its hash does not match the manifest"));
        }
        let more = self.file.read(&mut [0]).map_err(RunError::io(&self.name, "reading it"))?;
        if more > 0 { Err(self.damaged("it is longer than the manifest says")) } else { Ok(()) }
    }
}

impl<E: RunEntry> Iterator for RunReader<E> {
    type Item = Result<E, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_entry().transpose();
        self.failed = !matches!(next, Some(Ok(_)));
        next
    }
}
