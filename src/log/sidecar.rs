//! The sidecar: a small file with a position that was durable, and the hash of the chunk that ends there.
//!
//! ```text
//! slot 0 at byte 0, slot 1 at byte 4096, each:
//!  0        4         6       8          16      20      24    32     40      44
//!  | magic  | format  | flags | sequence | epoch | zero  | end | hash | crc32 |
//! ```
//! It is a lower bound: the log may be longer (the sidecar is written now and then), but a log that does not
//! reach `end` with that same hash has lost acknowledged records.
//!
//! Must survive: loss of power during a write. Slots are written in turn, so one of them is always whole. The
//! slot that an opening reads may not be on the disk, if an earlier process was killed before it synced it.
//! So it is written and synced again before the other slot, which may be the only whole one on the disk, is
//! overwritten.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use thiserror::Error;

use super::store::{StoreError, advice};
use crate::creation;

const MAGIC: [u8; 4] = [0xD6, b'S', b'C', 0x9C];
const FORMAT: u16 = 1;
/// Far enough apart that no disk tears both with one write.
pub(crate) const SLOT_BYTES: u64 = 4096;
pub(crate) const RECORD_BYTES: usize = 44;
const FLAG_ORDERLY: u16 = 1;

/// A durable end of the log, as the sidecar has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Durable {
    /// The opening that wrote it. Chunks at or after `end` from an earlier one are leftovers.
    pub(crate) epoch: u32,
    /// Position up to which the log was durable: the end of a group.
    pub(crate) end: u64,
    /// Hash of the chunk that ends there; 0 at position 0.
    pub(crate) hash: u64,
    /// Whether an orderly close wrote it: every sync had succeeded and nothing was appended after.
    pub(crate) orderly: bool,
}

#[derive(Debug, Error)]
pub(crate) enum SidecarError {
    #[error("both copies in the file `durable` are damaged: restore a backup, or salvage the log")]
    Corrupt,
    #[error(
        "the file `durable` has format {found}, this build knows {FORMAT}: open it with a newer stockhold"
    )]
    Newer { found: u16 },
    #[error("cannot read the file `durable` ({error}): {}, then try again", advice(.error))]
    Io {
        #[from]
        error: io::Error,
    },
}

/// The operations that the sidecar needs of its file.
pub(crate) trait SidecarSlots: Send {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

impl SidecarSlots for File {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The sidecar, open for writing.
pub(crate) struct Sidecar {
    file: Box<dyn SidecarSlots>,
    sequence: u64,
    /// What the opening read, until it is known to be on the disk.
    unsure: Option<Durable>,
    dead: Option<StoreError>,
}

impl Sidecar {
    /// Creates the file; it says that nothing is durable yet. The leftover of an earlier attempt is
    /// overwritten.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = creation::create_file(path, 0o666)?;
        file.set_len(2 * SLOT_BYTES)?;
        let whole = file.try_clone()?;
        let sidecar = Self::create_on(Box::new(file))?;
        whole.sync_all()?;
        Ok(sidecar)
    }

    /// As [`create`](Self::create), in a file that exists.
    pub(crate) fn create_on(file: Box<dyn SidecarSlots>) -> io::Result<Self> {
        let mut sidecar = Self { file, sequence: 0, unsure: None, dead: None };
        sidecar.write_unguarded(&Durable::default())?;
        Ok(sidecar)
    }

    /// Opens the file for writing; `None` if there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<(Self, Durable)>, SidecarError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::on(Box::new(file)).map(Some)
    }

    /// As [`open`](Self::open), with a file that is open.
    pub(crate) fn on(file: Box<dyn SidecarSlots>) -> Result<(Self, Durable), SidecarError> {
        let (sequence, durable) = newest(&*file)?;
        Ok((Self { file, sequence, unsure: Some(durable), dead: None }, durable))
    }

    /// Reads the file without opening it for writing; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Durable>, SidecarError> {
        match File::open(path) {
            Ok(file) => Ok(Some(newest(&file)?.1)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a durable end. To be called only with a position that a sync of the store has covered.
    pub(crate) fn write(&mut self, durable: &Durable) -> Result<(), StoreError> {
        if let Some(cause) = &self.dead {
            return Err(StoreError::Dead { cause: cause.to_string() });
        }
        self.write_unguarded(durable).map_err(|error| {
            let error = StoreError::io("writing the file `durable`", &error);
            self.dead = Some(error.clone());
            error
        })
    }

    fn write_unguarded(&mut self, durable: &Durable) -> io::Result<()> {
        if let Some(found) = self.unsure {
            self.put(&found)?;
            self.unsure = None;
        }
        // It never wraps: the disk does not last for 2^64 writes.
        self.sequence = self.sequence.wrapping_add(1);
        self.put(durable)
    }

    fn put(&self, durable: &Durable) -> io::Result<()> {
        let slot = encode(self.sequence, durable);
        self.file.write(&slot, self.sequence % 2 * SLOT_BYTES)?;
        self.file.sync()
    }
}

pub(crate) fn newest(file: &dyn SidecarSlots) -> Result<(u64, Durable), SidecarError> {
    let mut newest: Option<(u64, Durable)> = None;
    let mut newer_format = None;
    for slot in 0..2 {
        let mut bytes = [0; RECORD_BYTES];
        match file.read(&mut bytes, slot * SLOT_BYTES) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error.into()),
        }
        match decode(&bytes) {
            Ok(found) if newest.is_none_or(|kept| kept.0 < found.0) => newest = Some(found),
            Ok(_) => {}
            Err(Some(format)) => newer_format = Some(format),
            Err(None) => {}
        }
    }
    match (newest, newer_format) {
        (_, Some(found)) => Err(SidecarError::Newer { found }),
        (Some(newest), None) => Ok(newest),
        (None, None) => Err(SidecarError::Corrupt),
    }
}

pub(crate) fn encode(sequence: u64, durable: &Durable) -> [u8; RECORD_BYTES] {
    let mut out = [0; RECORD_BYTES];
    out[0..4].copy_from_slice(&MAGIC);
    out[4..6].copy_from_slice(&FORMAT.to_le_bytes());
    out[6..8].copy_from_slice(&if durable.orderly { FLAG_ORDERLY } else { 0 }.to_le_bytes());
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..20].copy_from_slice(&durable.epoch.to_le_bytes());
    out[24..32].copy_from_slice(&durable.end.to_le_bytes());
    out[32..40].copy_from_slice(&durable.hash.to_le_bytes());
    let crc = crc32fast::hash(&out[..40]);
    out[40..44].copy_from_slice(&crc.to_le_bytes());
    out
}

/// `Err(Some(format))` for a whole record of a newer format, `Err(None)` for anything else that is no record.
pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Result<(u64, Durable), Option<u16>> {
    let (body, crc) = bytes.split_at(40);
    if body[..4] != MAGIC || crc != crc32fast::hash(body).to_le_bytes() {
        return Err(None);
    }
    let u16_at = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if u16_at(4) != FORMAT {
        return Err(Some(u16_at(4)));
    }
    let orderly = u16_at(6) & FLAG_ORDERLY != 0;
    Ok((u64_at(8), Durable { epoch: u32_at(16), end: u64_at(24), hash: u64_at(32), orderly }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable(end: u64) -> Durable {
        Durable { epoch: 3, end, hash: end * 31, orderly: end == 2 }
    }

    #[test]
    fn the_bytes_of_format_1_never_change() {
        #[rustfmt::skip]
        let expected = [
            0xD6, b'S', b'C', 0x9C, 1, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 0, 0, 0, 0, 0, 0, 62, 0, 0, 0, 0, 0, 0, 0, 59, 165, 187, 164,
        ];
        assert_eq!(encode(9, &durable(2)), expected);
        assert_eq!(decode(&encode(9, &durable(2))), Ok((9, durable(2))));
    }

    #[test]
    fn the_last_write_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable");
        assert!(Sidecar::open(&path).unwrap().is_none());
        let mut sidecar = Sidecar::create(&path).unwrap();
        assert_eq!(Sidecar::read(&path).unwrap(), Some(Durable::default()));
        for end in 1..6 {
            sidecar.write(&durable(end)).unwrap();
            assert_eq!(Sidecar::read(&path).unwrap(), Some(durable(end)));
        }
        let (mut sidecar, found) = Sidecar::open(&path).unwrap().unwrap();
        assert_eq!(found, durable(5));
        sidecar.write(&durable(7)).unwrap();
        assert_eq!(Sidecar::read(&path).unwrap(), Some(durable(7)));
    }

    /// A file that reports every write and sync to the test.
    struct ReportingSlots(File, std::sync::mpsc::Sender<Option<u64>>);

    impl SidecarSlots for ReportingSlots {
        fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
            SidecarSlots::read(&self.0, out, offset)
        }
        fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.1.send(Some(offset / SLOT_BYTES)).unwrap();
            SidecarSlots::write(&self.0, bytes, offset)
        }
        fn sync(&self) -> io::Result<()> {
            self.1.send(None).unwrap();
            Ok(())
        }
    }

    #[test]
    fn the_slot_that_was_read_is_synced_before_the_other_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable");
        Sidecar::create(&path).unwrap().write(&durable(1)).unwrap();
        let (sender, reports) = std::sync::mpsc::channel();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (mut sidecar, found) = Sidecar::on(Box::new(ReportingSlots(file, sender))).unwrap();
        assert_eq!(found, durable(1));
        assert!(reports.try_recv().is_err(), "nothing is written before it has to be");
        for end in 2..4 {
            sidecar.write(&durable(end)).unwrap();
        }
        let reported: Vec<Option<u64>> = reports.try_iter().collect();
        assert_eq!(reported, [Some(0), None, Some(1), None, Some(0), None]);
        assert_eq!(Sidecar::read(&path).unwrap(), Some(durable(3)));
    }

    #[test]
    fn a_torn_write_leaves_the_one_before_and_two_are_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable");
        let mut sidecar = Sidecar::create(&path).unwrap();
        sidecar.write(&durable(1)).unwrap();
        sidecar.write(&durable(2)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let newest = (sidecar.sequence % 2 * SLOT_BYTES) as usize;
        bytes[newest + 25] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Sidecar::read(&path).unwrap(), Some(durable(1)));
        bytes[(newest + SLOT_BYTES as usize) % (2 * SLOT_BYTES as usize) + 2] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Sidecar::read(&path), Err(SidecarError::Corrupt)));
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(Sidecar::read(&path), Err(SidecarError::Corrupt)));
    }
}
