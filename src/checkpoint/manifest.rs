//! The manifest: the list of a checkpoint's runs. Its rename into place is the only commit.
//!
//! ```text
//!  0        4         6        7           8        12      16
//!  | magic  | format  | kinds  | run kinds | length | crc32 |  body, in bincode
//! ```
//! `kinds` is the highest number of a kind of record in the files that it names, and `run kinds` that of a kind
//! of run, so that a build that does not know one recognises it, and does not take it for damage. Format 1 has
//! zeros there: all its kinds are known to every build.
//!
//! Must survive: any bytes.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::run_ref::{NUMBERS, RunKind, RunRef};
use super::{FORMAT, RunError};
use crate::clock::Timestamp;
use crate::fold::hold;
use crate::log::newer::{Newer, RECORD_KIND_MAX};
use crate::log::scan::Tip;

const MAGIC: [u8; 4] = [0xD6, b'S', b'M', 0x9C];
const HEADER_BYTES: usize = 16;
/// The first format, which does not state kinds.
const FORMAT_WITHOUT_KINDS: u16 = 1;
/// Above the size of a manifest with the longest ledger.
const BYTES_MAX: usize = 1 << 20;
const CODEC: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<BYTES_MAX>,
> = bincode::config::standard().with_limit::<BYTES_MAX>();

/// Most runs of one kind, far above how many stay unmerged. They are all open at once when they are read.
const RUNS_MAX: usize = 64;

const UNFINISHED: &str = "manifest.unfinished";

/// A position up to which the log was folded, and the state there apart from levels and holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Frontier {
    /// The end of the last record, which is the end of a group.
    pub position: u64,
    /// Hash of the chunk that ends there.
    pub hash: u64,
    /// The opening that wrote the last record, and its time, from which the times of records count.
    pub epoch: u32,
    pub opened_at_ms: u64,
    /// The latest time in the log.
    pub now_ms: u64,
    /// Number of records since the directory was created.
    pub records: u64,
}

impl Frontier {
    pub(crate) fn tip(&self) -> Tip {
        Tip { end: self.position, hash: self.hash }
    }
}

/// One checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Ascends with each checkpoint of the directory.
    pub number: u64,
    /// The directory's identity.
    pub directory: [u8; 16],
    pub frontier: Frontier,
    /// The runs; those of a kind are sorted from the oldest on.
    pub runs: Vec<RunRef>,
    /// The highest number of a kind of record in them; it stands in the header.
    #[serde(skip)]
    pub kinds: u8,
}

impl Manifest {
    /// The runs of a kind, the oldest first.
    pub(crate) fn of(&self, kind: RunKind) -> Vec<RunRef> {
        self.runs.iter().filter(|run| run.kind == kind).copied().collect()
    }

    /// The bytes of the state's runs, and those of the ledger's.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let (ledger, state): (Vec<_>, Vec<_>) = self.runs.iter().partition(|run| run.kind == RunKind::Ledger);
        let sum = |runs: Vec<&RunRef>| runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.bytes));
        (sum(state), sum(ledger))
    }

    pub(crate) fn name(&self) -> String {
        format!("manifest-{:016x}", self.number)
    }

    /// Whether a file's name is a manifest's.
    pub(crate) fn is_name(name: &str) -> bool {
        name.starts_with("manifest-")
    }

    /// Writes the manifest durably, as the newest. The bytes of its runs must be durable.
    pub(crate) fn commit(&self, files: &dyn Files) -> Result<(), RunError> {
        let name = self.name();
        let io = |doing| RunError::io(&name, doing);
        // The names of the runs must be durable before the manifest that refers to them.
        files.sync().map_err(io("syncing the folder"))?;
        let mut file = files.create(UNFINISHED).map_err(io("creating it"))?;
        file.write_all(&self.encode()).map_err(io("writing it"))?;
        file.sync().map_err(io("syncing it"))?;
        drop(file);
        files.rename(UNFINISHED, &name).map_err(io("renaming it"))?;
        files.sync().map_err(io("syncing the folder"))
    }

    /// Reads the manifest with a name.
    pub(crate) fn read(files: &dyn Files, name: &str) -> Result<Manifest, RunError> {
        let io = |doing| RunError::io(name, doing);
        let mut bytes = Vec::new();
        let file = files.open(name).map_err(io("opening it"))?;
        file.take(BYTES_MAX as u64).read_to_end(&mut bytes).map_err(io("reading it"))?;
        let manifest = Manifest::decode(&bytes).map_err(|problem| match problem {
            ManifestProblem::Newer(found) => RunError::Newer { name: name.to_owned(), found },
            ManifestProblem::Damaged(what) => RunError::damaged(name, what),
        })?;
        if manifest.name() == name {
            Ok(manifest)
        } else {
            Err(RunError::damaged(name, format!("it is {}", manifest.name())))
        }
    }

    fn encode(&self) -> Vec<u8> {
        let run_kinds = self.runs.iter().map(|run| run.kind as u8).max().unwrap_or(0);
        Manifest::seal(
            &bincode::serde::encode_to_vec(self, CODEC).unwrap_or_default(),
            [self.kinds, run_kinds],
        )
    }

    /// A manifest with the given body and a matching header.
    pub(crate) fn seal(body: &[u8], kinds: [u8; 2]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&kinds);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&out);
        crc.update(body);
        out.extend_from_slice(&crc.finalize().to_le_bytes());
        out.extend_from_slice(body);
        out
    }

    /// Refuses numbers that no engine can have reached.
    fn check(self) -> Result<Manifest, &'static str> {
        let Frontier { position, opened_at_ms, now_ms, records, .. } = self.frontier;
        let counts = [self.number.saturating_mul(2), position, records];
        if counts.into_iter().any(|count| count >= NUMBERS) {
            return Err("it has a number or position above the maximum");
        }
        if RunKind::STATE.into_iter().any(|kind| self.of(kind).len() > RUNS_MAX) {
            return Err("it names more runs than the maximum");
        }
        [opened_at_ms, now_ms].into_iter().try_for_each(|at| hold::check_time(Timestamp(at)))?;
        Ok(self)
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, ManifestProblem> {
        let damaged = ManifestProblem::Damaged;
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(damaged("it is too short"))?;
        if header[..4] != MAGIC {
            return Err(damaged("its first bytes are not those of a manifest"));
        }
        let format = u16::from_le_bytes([header[4], header[5]]);
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[..12]);
        crc.update(body);
        // Checksum first: a format number that the disk corrupted is damage, and the older manifest is used.
        if length as usize != body.len() || crc.finalize().to_le_bytes() != header[12..] || format == 0 {
            return Err(damaged("its checksum does not match its bytes"));
        }
        if format > FORMAT {
            return Err(ManifestProblem::Newer(Newer::format(format, FORMAT)));
        }
        let (kinds, run_kinds) = (header[6], header[7]);
        if format == FORMAT_WITHOUT_KINDS && (kinds, run_kinds) != (0, 0) {
            return Err(damaged("it is of format 1 and states kinds"));
        }
        if kinds > RECORD_KIND_MAX {
            return Err(ManifestProblem::Newer(Newer::record_kind(kinds)));
        }
        if run_kinds > RunKind::MAX as u8 {
            return Err(ManifestProblem::Newer(Newer::run_kind(run_kinds, RunKind::MAX as u8)));
        }
        let decoded = bincode::serde::decode_from_slice::<Manifest, _>(body, CODEC);
        match decoded {
            Ok((manifest, bytes)) if bytes == body.len() => {
                Manifest { kinds, ..manifest }.check().map_err(damaged)
            }
            _ => Err(damaged("its body is not a manifest")),
        }
    }
}

enum ManifestProblem {
    Newer(Newer),
    Damaged(&'static str),
}
