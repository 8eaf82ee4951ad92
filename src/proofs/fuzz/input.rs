//! What a fuzzer makes up, taken apart, and as a file.

use std::io;
use std::os::unix::fs::FileExt;

use crate::log::sidecar::SidecarSlots;

/// Bytes that are taken from the front; behind the last come zeros.
pub(super) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn fill(&mut self, out: &mut [u8]) {
        let taken = self.take(out.len());
        out[..taken.len()].copy_from_slice(taken);
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.number::<1>() as u8
    }

    pub(super) fn number<const BYTES: usize>(&mut self) -> u64 {
        let mut number = [0; 8];
        self.fill(&mut number[..BYTES]);
        u64::from_le_bytes(number)
    }
}

/// A file that is only read: some zeros, and then the bytes.
pub(super) struct Bytes<'a> {
    pub before: usize,
    pub bytes: &'a [u8],
}

impl FileExt for Bytes<'_> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if offset < self.before {
            let zeros = out.len().min(self.before - offset);
            out[..zeros].fill(0);
            return Ok(zeros);
        }
        let rest = self.bytes.get(offset - self.before..).unwrap_or_default();
        let read = out.len().min(rest.len());
        out[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl SidecarSlots for Bytes<'_> {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
