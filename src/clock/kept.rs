//! The file `clock`: engine time at a moment of the machine's uptime, so that engine time continues over a
//! restart of the process as if there had been none, whatever the wall clock did meanwhile.
//!
//! ```text
//!  0        4         6      8          24           32           40      44
//!  | magic  | format  | zero | boot     | uptime ms  | engine ms  | crc32 |
//! ```
//! The file is optional: after another start of the machine, or if it is damaged or missing, it is ignored,
//! so no error in reading or writing it stops an engine. It is never synced: after a loss of power its
//! contents would be of no use.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::creation;

use super::{CLOCK_MAX_MS, Look, Timestamp, Uptime, millis_ceil};

const MAGIC: [u8; 4] = [0xD6, b'C', b'L', 0x9C];
const FORMAT: u16 = 1;
const BYTES: usize = 44;

/// Engine time at a moment of the machine's uptime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct KeptTime {
    boot: u128,
    uptime_ms: u64,
    engine: Timestamp,
}

impl KeptTime {
    fn new(uptime: Uptime, engine: Timestamp) -> KeptTime {
        KeptTime { boot: uptime.boot, uptime_ms: uptime.since.as_millis() as u64, engine }
    }

    /// Engine time now, if the machine has been up since then and the time is one that a clock may return.
    /// Rounded up, so that it does not fall.
    fn at(&self, uptime: Uptime) -> Option<Timestamp> {
        let passed_ms = millis_ceil(uptime.since).checked_sub(self.uptime_ms)?;
        let engine_ms = self.engine.0.saturating_add(passed_ms);
        (uptime.boot == self.boot && engine_ms < CLOCK_MAX_MS).then_some(Timestamp(engine_ms))
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        out[8..24].copy_from_slice(&self.boot.to_le_bytes());
        out[24..32].copy_from_slice(&self.uptime_ms.to_le_bytes());
        out[32..40].copy_from_slice(&self.engine.0.to_le_bytes());
        let crc = crc32fast::hash(&out[..40]);
        out[40..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<KeptTime> {
        let number = |from: usize| bytes[from..].first_chunk().copied().map(u64::from_le_bytes);
        let intact = bytes[40..] == crc32fast::hash(&bytes[..40]).to_le_bytes();
        let ours = bytes[..4] == MAGIC && bytes[4..6] == FORMAT.to_le_bytes();
        (intact && ours).then_some(KeptTime {
            boot: u128::from_le_bytes(*bytes[8..].first_chunk()?),
            uptime_ms: number(24)?,
            engine: Timestamp(number(32)?),
        })
    }
}

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct KeptFile {
    file: File,
    kept: Option<KeptTime>,
}

impl KeptFile {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<KeptFile> {
        let file = creation::open_or_create(path)?;
        let mut bytes = [0; BYTES];
        let kept = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| KeptTime::decode(&bytes));
        Ok(KeptFile { file, kept })
    }

    /// Engine time now, if the file is valid for this start of the machine.
    pub(crate) fn engine_time(&self, look: &Look) -> Option<Timestamp> {
        self.kept?.at(look.uptime?)
    }

    /// Writes engine time, if the file is off by more than `slack_ms`. An error is ignored: the file is then
    /// invalid, or older and further off.
    pub(crate) fn keep(&mut self, look: &Look, engine: Timestamp, slack_ms: u64) {
        let Some(uptime) = look.uptime else { return };
        if self.engine_time(look).is_some_and(|kept| kept.0.abs_diff(engine.0) <= slack_ms) {
            return;
        }
        let kept = KeptTime::new(uptime, engine);
        if self.file.write_all_at(&kept.encode(), 0).is_ok() {
            self.kept = Some(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEPT: KeptTime = KeptTime { boot: 7, uptime_ms: 5_000, engine: Timestamp(1_800_000_000_000) };

    fn up(boot: u128, ms: u64) -> Uptime {
        Uptime { boot, since: Duration::from_millis(ms) }
    }

    #[test]
    fn engine_time_goes_on_while_the_machine_is_up() {
        assert_eq!(KEPT.at(up(7, 5_000)), Some(KEPT.engine));
        assert_eq!(KEPT.at(up(7, 8_000)), Some(Timestamp(1_800_000_003_000)));
        assert_eq!(KEPT.at(up(8, 8_000)), None, "another start of the machine");
        assert_eq!(KEPT.at(up(7, 4_000)), None, "uptime does not fall");
        for engine_ms in [CLOCK_MAX_MS - 1_000, u64::MAX] {
            let kept = KeptTime { engine: Timestamp(engine_ms), ..KEPT };
            assert_eq!(kept.at(up(7, 6_000)), None, "a time behind which no log could be read again");
        }
    }

    #[test]
    fn what_is_damaged_says_nothing() {
        let bytes = KEPT.encode();
        assert_eq!(KeptTime::decode(&bytes), Some(KEPT));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(KeptTime::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_file_is_written_when_it_is_off() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("clock");
        let look = |ms| Look { steady: Timestamp(0), wall: Timestamp(0), uptime: Some(up(7, ms)) };
        let mut file = KeptFile::open(&path).unwrap();
        assert_eq!(file.engine_time(&look(0)), None);
        let again = || {
            let kept = KeptFile::open(&path).unwrap().engine_time(&look(10_000));
            kept.unwrap().0
        };
        file.keep(&look(5_000), Timestamp(100_000), 0);
        assert_eq!(again(), 105_000);
        file.keep(&look(6_000), Timestamp(102_000), 1_000); // a second off
        assert_eq!(again(), 105_000);
        file.keep(&look(6_000), Timestamp(102_000), 999);
        assert_eq!(again(), 106_000);
        let _ = std::fs::write(&path, b"short");
        assert_eq!(KeptFile::open(&path).unwrap().engine_time(&look(10_000)), None);
    }
}
