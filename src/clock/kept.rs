//! The file `clock`: engine time at a moment of the machine's uptime, so that engine time continues over a
//! restart of the process as if there had been none, whatever the wall clock did meanwhile.
//!
//! ```text
//!  0        4         6      8          24           40           48           56      60
//!  | magic  | format  | zero | boot     | namespace  | uptime ms  | engine ms  | crc32 |
//! ```
//! The file is optional, so no error in reading or writing it stops an engine. It is never synced: after a loss
//! of power its contents would be of no use.
//!
//! # When it is ignored
//!
//! - It is missing, damaged, or of another format. Format 1 did not say the time namespace. Its uptime may be
//!   another clock's, so an opening after an upgrade is as one after a start of the machine.
//! - It is of another start of the machine, of another time namespace, or of a later uptime than now.
//! - It is ahead of the wall by more than [`AHEAD_OF_WALL_MAX`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::creation;

use super::{CLOCK_MAX_MS, Look, Timestamp, Uptime, millis_ceil};

const MAGIC: [u8; 4] = [0xD6, b'C', b'L', 0x9C];
const FORMAT: u16 = 2;
const BYTES: usize = 60;
const CRC_AT: usize = BYTES - 4;

/// How far ahead of the wall the file may be and still be believed: three days.
///
/// Boot and namespace can agree and the uptime be another clock's all the same: a virtual machine was restored, or
/// a tool moved its clocks. Believed, it takes engine time ahead for good, since the log's last time follows:
/// holds expire, and every UUIDv7 is too old. Ignored, it costs little: engine time goes on from the wall or the
/// log's last time, whichever is later, so holds live longer by the time since then.
///
/// People and time zones set a wall wrong by hours, or by a day or two, and that must move no deadline. A lead of
/// three days is made up for in 48; longer ones are not worth keeping whatever their cause.
///
/// There is no such limit for a file that is behind the wall: engine time then goes on, the wall is unbelieved,
/// and an operator can accept it at any time. A wall that jumped ahead by years must not be believed because the
/// process was started anew.
const AHEAD_OF_WALL_MAX: Duration = Duration::from_secs(3 * 86_400);

/// Engine time at a moment of the machine's uptime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct KeptTime {
    boot: u128,
    namespace: u128,
    uptime_ms: u64,
    engine: Timestamp,
}

impl KeptTime {
    fn new(uptime: Uptime, engine: Timestamp) -> KeptTime {
        let Uptime { boot, namespace, since } = uptime;
        KeptTime { boot, namespace, uptime_ms: since.as_millis() as u64, engine }
    }

    /// Engine time now, if the machine has been up since then, its uptime is of the same clock, and the time is
    /// one that a clock may return. Rounded up, so that it does not fall.
    fn at(&self, uptime: Uptime) -> Option<Timestamp> {
        let passed_ms = millis_ceil(uptime.since).checked_sub(self.uptime_ms)?;
        let engine_ms = self.engine.0.saturating_add(passed_ms);
        let same_clock = (uptime.boot, uptime.namespace) == (self.boot, self.namespace);
        (same_clock && engine_ms < CLOCK_MAX_MS).then_some(Timestamp(engine_ms))
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        out[8..24].copy_from_slice(&self.boot.to_le_bytes());
        out[24..40].copy_from_slice(&self.namespace.to_le_bytes());
        out[40..48].copy_from_slice(&self.uptime_ms.to_le_bytes());
        out[48..CRC_AT].copy_from_slice(&self.engine.0.to_le_bytes());
        let crc = crc32fast::hash(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<KeptTime> {
        let number = |from: usize| bytes[from..].first_chunk().copied().map(u64::from_le_bytes);
        let id = |from: usize| bytes[from..].first_chunk().copied().map(u128::from_le_bytes);
        let intact = bytes[CRC_AT..] == crc32fast::hash(&bytes[..CRC_AT]).to_le_bytes();
        let ours = bytes[..4] == MAGIC && bytes[4..6] == FORMAT.to_le_bytes();
        (intact && ours).then_some(KeptTime {
            boot: id(8)?,
            namespace: id(24)?,
            uptime_ms: number(40)?,
            engine: Timestamp(number(48)?),
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

    /// Engine time now for an opening, if the file is to be believed: see the [module](self).
    pub(crate) fn believed(&self, look: &Look) -> Option<Timestamp> {
        self.at(look).filter(|engine| engine.since(look.wall) <= AHEAD_OF_WALL_MAX)
    }

    /// Engine time now, if the file is of this steady clock.
    fn at(&self, look: &Look) -> Option<Timestamp> {
        self.kept?.at(look.uptime?)
    }

    /// Writes engine time, if the file is off by more than `slack_ms`. An error is ignored: the file is then
    /// invalid, or older and further off.
    pub(crate) fn keep(&mut self, look: &Look, engine: Timestamp, slack_ms: u64) {
        let Some(uptime) = look.uptime else { return };
        if self.at(look).is_some_and(|kept| kept.0.abs_diff(engine.0) <= slack_ms) {
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
    use super::*;

    const KEPT: KeptTime =
        KeptTime { boot: 7, namespace: 3, uptime_ms: 5_000, engine: Timestamp(1_800_000_000_000) };

    fn up(boot: u128, ms: u64) -> Uptime {
        Uptime { boot, namespace: 3, since: Duration::from_millis(ms) }
    }

    #[test]
    fn engine_time_goes_on_while_the_machine_is_up() {
        assert_eq!(KEPT.at(up(7, 5_000)), Some(KEPT.engine));
        assert_eq!(KEPT.at(up(7, 8_000)), Some(Timestamp(1_800_000_003_000)));
        assert_eq!(KEPT.at(up(8, 8_000)), None, "another start of the machine");
        assert_eq!(KEPT.at(up(7, 4_000)), None, "uptime does not fall");
        for namespace in [0, 4, u128::MAX] {
            let elsewhere = Uptime { namespace, ..up(7, 8_000) };
            assert_eq!(KEPT.at(elsewhere), None, "another time namespace");
        }
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
    fn a_file_of_format_1_says_nothing_because_its_namespace_is_unknown() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("clock");
        let (engine, up) = (Timestamp(1_800_000_000_000), up(7, 5_000));
        let mut old = Vec::from(MAGIC);
        old.extend([1, 0, 0, 0]);
        old.extend(up.boot.to_le_bytes());
        old.extend([5_000, engine.0].map(u64::to_le_bytes).concat());
        old.extend(crc32fast::hash(&old).to_le_bytes());
        std::fs::write(&path, old).unwrap();
        let look = Look { steady: engine, wall: engine, uptime: Some(up) };
        let mut file = KeptFile::open(&path).unwrap();
        assert_eq!(file.believed(&look), None);
        file.keep(&look, engine, 0);
        assert_eq!(KeptFile::open(&path).unwrap().believed(&look), Some(engine));
    }

    #[test]
    fn a_file_ahead_of_the_wall_by_more_than_three_days_is_not_believed() {
        let scratch = tempfile::tempdir().unwrap();
        let mut file = KeptFile::open(&scratch.path().join("clock")).unwrap();
        let engine = Timestamp(1_800_000_000_000);
        let look = |wall| Look { steady: engine, wall, uptime: Some(up(7, 5_000)) };
        file.keep(&look(engine), engine, 0);
        let three_days = 3 * 86_400_000;
        for (wall_ms, believed) in [
            (engine.0 - three_days, true),
            (engine.0 - three_days - 1, false),
            (1_600_000_000_000, false),
            (engine.0 + three_days + 1, true),
            (3_000_000_000_000, true),
        ] {
            assert_eq!(file.believed(&look(Timestamp(wall_ms))).is_some(), believed, "{wall_ms}");
        }
    }

    #[test]
    fn a_file_is_written_when_it_is_off() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("clock");
        let look = |ms| Look { steady: Timestamp(0), wall: Timestamp(0), uptime: Some(up(7, ms)) };
        let mut file = KeptFile::open(&path).unwrap();
        assert_eq!(file.believed(&look(0)), None);
        let again = || {
            let kept = KeptFile::open(&path).unwrap().believed(&look(10_000));
            kept.unwrap().0
        };
        file.keep(&look(5_000), Timestamp(100_000), 0);
        assert_eq!(again(), 105_000);
        file.keep(&look(6_000), Timestamp(102_000), 1_000); // a second off
        assert_eq!(again(), 105_000);
        file.keep(&look(6_000), Timestamp(102_000), 999);
        assert_eq!(again(), 106_000);
        let _ = std::fs::write(&path, b"short");
        assert_eq!(KeptFile::open(&path).unwrap().believed(&look(10_000)), None);
    }
}
