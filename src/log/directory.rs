//! The directory: whose it is, and that nobody else has it open.
//!
//! ```text
//! <dir>/stockhold   who we are: 64 bytes, written last when a directory is created
//! <dir>/lock        held locked while an engine runs; says which process
//! <dir>/log/        the stores of the log
//! <dir>/durable     the sidecar
//! <dir>/checkpoint/ the last two checkpoints
//! <dir>/clock       engine time beside the machine's uptime; evidence, not needed
//! ```
//! Invariants:
//! - The identity is written when everything else exists and is durable. A directory without one was never used: a
//!   crash during creation is completed by the next opening, and only a log with chunks in it makes its absence damage.
//! - Nothing is written before the lock is held, and nothing at all in a directory that is not ours.
//! - Inspecting writes nothing: not even the lock file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{sled::SEGMENT_BYTES, store::advice};

const MAGIC: &[u8; 20] = b"stockhold directory\n";
const FORMAT: u32 = 1;
const IDENTITY_BYTES: usize = 64;

const IDENTITY: &str = "stockhold";
const IDENTITY_UNFINISHED: &str = "stockhold.tmp";
const LOCK: &str = "lock";
const LOG: &str = "log";
const DURABLE: &str = "durable";
const CHECKPOINT: &str = "checkpoint";
const CLOCK: &str = "clock";

/// What makes a directory this one and no other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: [u8; 16],
    /// Key of everything that must not be guessable from outside.
    pub(crate) secret: [u8; 16],
    pub(crate) segment_bytes: u32,
}

impl Identity {
    pub(crate) fn random() -> Self {
        Identity { id: rand::random(), secret: rand::random(), segment_bytes: SEGMENT_BYTES as u32 }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret stays out of every log.
        f.debug_struct("Identity").field("id", &self.id).field("segment_bytes", &self.segment_bytes).finish()
    }
}

#[derive(Debug, Error)]
pub(crate) enum DirectoryError {
    #[error(
        "there is no stockhold directory at {path:?}: check the path, or open an engine there to create one"
    )]
    Missing { path: PathBuf },
    #[error("{path:?} is not a stockhold directory ({found:?} is in it): choose an empty or a new directory")]
    Foreign { path: PathBuf, found: PathBuf },
    #[error(
        "{path:?} has directory format {found}, this build knows {known}: open it with a newer stockhold"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error(
        "{path:?} is in use{}: close the engine that has it open",
        .pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
    )]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error(
        "{path:?} is damaged ({details}): restore it from a backup, or salvage its log into a new directory"
    )]
    Corrupt { path: PathBuf, details: String },
    #[error("cannot use {path:?} ({doing}: {error}): {}, then try again", advice(.error))]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
}

/// The names inside a directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    path: PathBuf,
}

impl Layout {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }
    pub(crate) fn durable(&self) -> PathBuf {
        self.path.join(DURABLE)
    }
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }
    pub(crate) fn clock(&self) -> PathBuf {
        self.path.join(CLOCK)
    }
    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> DirectoryError {
        let path = self.path.clone();
        move |error| DirectoryError::Io { path: path.clone(), doing, error }
    }
    /// The error of a directory that was ours once and lost a part.
    pub(crate) fn lacks(&self, part: &str) -> DirectoryError {
        self.corrupt(format!("`{part}` is missing from it"))
    }
    fn corrupt(&self, details: impl Into<String>) -> DirectoryError {
        DirectoryError::Corrupt { path: self.path.clone(), details: details.into() }
    }
}

/// A directory that is ours alone until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    /// True until [`commit`](Self::commit): there is no identity on the disk yet.
    pub(crate) fresh: bool,
    /// Dropping it lets go of the lock.
    lock: Lock,
}

impl Directory {
    /// Takes the directory at `path`, creating it if there is none. Completes a creation that a crash interrupted.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let io = |error| DirectoryError::Io { path: path.to_owned(), doing: "looking for it", error };
        // It is written to for as long as the engine runs, wherever the process goes meanwhile.
        let path = &std::path::absolute(path).map_err(io)?;
        let layout = Layout { path: path.clone() };
        create_durably(path).map_err(layout.io("creating it"))?;
        // Before the first byte is written: is it ours, or nobody's?
        if read_identity(&layout)?.is_none() {
            refuse_foreign(&layout)?;
        }
        let lock = lock_exclusively(&layout)?;
        // Again, now that nobody else can be creating it.
        let found = read_identity(&layout)?;
        let fresh = found.is_none();
        let identity = match found {
            Some(identity) => identity,
            None => {
                refuse_foreign(&layout)?;
                Identity::random()
            }
        };
        Ok(Self { layout, identity, fresh, lock })
    }

    /// A directory that is nowhere: for an engine whose log and files are given.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(crate) fn nowhere(identity: Identity) -> io::Result<Self> {
        let (layout, lock) =
            (Layout { path: PathBuf::from("/dev/null/nowhere") }, Lock(File::open("/dev/null")?));
        Ok(Self { layout, identity, fresh: false, lock })
    }

    /// Where it is now.
    pub(crate) fn place(&self) -> io::Result<OwnedDirectory> {
        Ok(OwnedDirectory { layout: self.layout.clone(), lock: file_id(&self.lock.0.metadata()?) })
    }

    /// Makes a fresh directory a stockhold directory: the last step of its creation.
    pub(crate) fn commit(&mut self) -> Result<(), DirectoryError> {
        let write = || -> io::Result<()> {
            let unfinished = self.layout.path.join(IDENTITY_UNFINISHED);
            // Readable by its owner only: it holds the secret.
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&encode(&self.identity))?;
            file.sync_all()?;
            self.layout.sync()?;
            fs::rename(&unfinished, self.layout.path.join(IDENTITY))?;
            self.layout.sync()
        };
        write().map_err(self.layout.io("writing its identity"))?;
        self.fresh = false;
        Ok(())
    }
}

/// Where a directory that was locked is, or was: names are not kept by a lock.
#[derive(Clone, Debug)]
pub(crate) struct OwnedDirectory {
    pub(crate) layout: Layout,
    lock: (u64, u64),
}

impl OwnedDirectory {
    /// An error once another directory is there, or none.
    pub(crate) fn check(&self) -> io::Result<()> {
        let is_there =
            fs::metadata(self.layout.path.join(LOCK)).is_ok_and(|lock| file_id(&lock) == self.lock);
        if is_there { Ok(()) } else { Err(io::Error::other("the directory was moved away from its place")) }
    }
}

/// Which file it is, whatever its name.
fn file_id(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// A directory that is only read. No engine can open it meanwhile.
#[derive(Debug)]
pub(crate) struct DirectoryLook {
    pub(crate) layout: Layout,
    pub(crate) identity: Identity,
    _lock: Option<Lock>,
}

impl DirectoryLook {
    /// Reads the directory at `path` without changing a byte of it.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let layout = Layout { path: path.to_owned() };
        let missing = || DirectoryError::Missing { path: path.to_owned() };
        if !path.try_exists().map_err(layout.io("looking for it"))? {
            return Err(missing());
        }
        let Some(identity) = read_identity(&layout)? else {
            refuse_foreign(&layout)?;
            return Err(missing());
        };
        let lock = lock_shared(&layout)?;
        Ok(Self { layout, identity, _lock: lock })
    }
}

/// What is left of a directory, whatever is gone from it. Only read; no engine can open it meanwhile.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) layout: Layout,
    /// Or why it is not known any more.
    pub(crate) identity: Result<Identity, DirectoryError>,
    _lock: Option<Lock>,
}

impl Remains {
    /// Looks at `path` without changing a byte there. An error if nothing of a stockhold directory is left.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let layout = Layout { path: path.to_owned() };
        let parts = [IDENTITY, LOG, DURABLE, CHECKPOINT];
        if !parts.iter().any(|part| path.join(part).exists()) {
            return Err(DirectoryError::Missing { path: path.to_owned() });
        }
        let lock = lock_shared(&layout)?;
        let identity = match read_identity(&layout) {
            Ok(found) => found.ok_or_else(|| layout.lacks(IDENTITY)),
            // Without its mark it may be another program's, but something of ours lies beside it.
            Err(problem @ (DirectoryError::Foreign { .. } | DirectoryError::Corrupt { .. })) => Err(problem),
            Err(error) => return Err(error),
        };
        Ok(Self { layout, identity, _lock: lock })
    }
}

/// A lock on a descriptor that cannot write: shared, so that inspectors do not exclude each other.
fn lock_shared(layout: &Layout) -> Result<Option<Lock>, DirectoryError> {
    match File::open(layout.path.join(LOCK)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Err(in_use(layout, &file)),
            Err(TryLockError::Error(error)) => Err(layout.io("locking it")(error)),
        },
        // A copy may have been made without the lock file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(layout.io("locking it")(error)),
    }
}

/// Creates the directory and those above it, each made durable in the one it is in.
fn create_durably(path: &Path) -> io::Result<()> {
    // "a" has the parent "", which is here.
    let parent =
        path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let Some(parent) = parent.filter(|_| !path.is_dir()) else { return Ok(()) };
    create_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

/// In a directory without an identity there may only be what an interrupted creation leaves.
fn refuse_foreign(layout: &Layout) -> Result<(), DirectoryError> {
    for entry in fs::read_dir(&layout.path).map_err(layout.io("listing it"))? {
        let name = entry.map_err(layout.io("listing it"))?.file_name();
        let ours =
            [IDENTITY_UNFINISHED, LOCK, LOG, DURABLE, CHECKPOINT, CLOCK].iter().any(|ours| name == *ours);
        if !ours {
            return Err(DirectoryError::Foreign { path: layout.path.clone(), found: name.into() });
        }
    }
    Ok(())
}

fn lock_exclusively(layout: &Layout) -> Result<Lock, DirectoryError> {
    let path = layout.path.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(layout.io("locking it"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(layout, &file)),
        Err(TryLockError::Error(error)) => return Err(layout.io("locking it")(error)),
    }
    // For whoever meets the lock; only a courtesy, so neither synced nor believed.
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(layout.io("locking it"))?;
    Ok(Lock(file))
}

/// A file that is locked, until this is dropped. Unlocked by hand: a process that another thread is just forking has the
/// file too until it executes, and closing ours would leave the lock with it.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock(); // closed next, which is as good unless somebody forks
    }
}

fn in_use(layout: &Layout, mut lock: &File) -> DirectoryError {
    let mut text = String::new();
    let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    // An inspector holds the lock without writing its pid: then the one in the file is from an engine that is gone.
    let pid = pid.filter(|pid| Path::new("/proc").join(pid.to_string()).exists());
    DirectoryError::InUse { path: layout.path.clone(), pid }
}

fn read_identity(layout: &Layout) -> Result<Option<Identity>, DirectoryError> {
    let file = match File::open(layout.path.join(IDENTITY)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(layout.io("reading its identity")(error)),
    };
    let mut bytes = Vec::new();
    // One byte more than it may have, so that a longer file is seen and a huge one is not read.
    let read = (&file).take(IDENTITY_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(layout.io("reading its identity"))?;
    decode(&bytes).map(Some).map_err(|problem| match problem {
        DirectoryProblem::Foreign => {
            DirectoryError::Foreign { path: layout.path.clone(), found: IDENTITY.into() }
        }
        DirectoryProblem::Newer(found) => {
            DirectoryError::Newer { path: layout.path.clone(), found, known: FORMAT }
        }
        DirectoryProblem::Empty => layout.corrupt("its identity is empty"),
        DirectoryProblem::Corrupt => layout.corrupt("its identity does not match its checksum"),
        DirectoryProblem::Segments(found) => {
            layout.corrupt(format!("it has segments of {found} bytes, this build writes {SEGMENT_BYTES}"))
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum DirectoryProblem {
    Foreign,
    Newer(u32),
    Empty,
    Corrupt,
    Segments(u32),
}

fn encode(identity: &Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(IDENTITY_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&identity.segment_bytes.to_le_bytes());
    out.extend_from_slice(&identity.id);
    out.extend_from_slice(&identity.secret);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Result<Identity, DirectoryProblem> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(DirectoryProblem::Empty); // as a crash leaves a file whose bytes were not on the disk
    }
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(DirectoryProblem::Foreign)?;
    let (format, rest) = rest.split_first_chunk::<4>().ok_or(DirectoryProblem::Corrupt)?;
    let format = u32::from_le_bytes(*format);
    // A newer format may be longer, and have its checksum elsewhere.
    if format > FORMAT {
        return Err(DirectoryProblem::Newer(format));
    }
    if bytes.len() != IDENTITY_BYTES || format == 0 {
        return Err(DirectoryProblem::Corrupt);
    }
    let (body, crc) = bytes.split_at(IDENTITY_BYTES - 4);
    if crc != crc32fast::hash(body).to_le_bytes() {
        return Err(DirectoryProblem::Corrupt);
    }
    let (segment_bytes, rest) = rest.split_first_chunk::<4>().ok_or(DirectoryProblem::Corrupt)?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or(DirectoryProblem::Corrupt)?;
    let (secret, _) = rest.split_first_chunk::<16>().ok_or(DirectoryProblem::Corrupt)?;
    let segment_bytes = u32::from_le_bytes(*segment_bytes);
    if segment_bytes as usize != SEGMENT_BYTES {
        return Err(DirectoryProblem::Segments(segment_bytes));
    }
    Ok(Identity { id: *id, secret: *secret, segment_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(path: &Path) -> Directory {
        let mut directory = Directory::open(path).unwrap();
        directory.commit().unwrap();
        directory
    }

    #[test]
    fn a_directory_keeps_its_identity() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("new/one");
        let identity = created(&path).identity;
        let again = Directory::open(&path).unwrap();
        assert!(!again.fresh);
        assert_eq!(again.identity, identity);
        assert_ne!(identity, created(&scratch.path().join("other")).identity);
    }

    #[test]
    fn a_second_opening_is_told_which_process_is_in_the_way() {
        let scratch = tempfile::tempdir().unwrap();
        let first = created(scratch.path());
        let ours = std::process::id();
        let refused = Directory::open(scratch.path()).unwrap_err();
        assert!(matches!(refused, DirectoryError::InUse { pid: Some(pid), .. } if pid == ours), "{refused}");
        let refused = DirectoryLook::open(scratch.path()).unwrap_err();
        assert!(matches!(refused, DirectoryError::InUse { pid: Some(pid), .. } if pid == ours), "{refused}");
        drop(first);
        Directory::open(scratch.path()).unwrap();
    }

    #[test]
    fn every_leftover_of_a_creation_is_completed() {
        for leftovers in
            [&[][..], &["lock"], &["lock", "log"], &["lock", "log", "durable"], &["lock", "stockhold.tmp"]]
        {
            let scratch = tempfile::tempdir().unwrap();
            for leftover in leftovers {
                match *leftover {
                    "log" => fs::create_dir(scratch.path().join("log")).unwrap(),
                    file => fs::write(scratch.path().join(file), b"").unwrap(),
                }
            }
            assert!(matches!(DirectoryLook::open(scratch.path()), Err(DirectoryError::Missing { .. })));
            assert!(created(scratch.path()).layout.path.join(IDENTITY).exists(), "{leftovers:?}");
        }
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("holiday.jpg"), b"").unwrap();
        assert!(matches!(Directory::open(scratch.path()), Err(DirectoryError::Foreign { .. })));
        assert!(matches!(DirectoryLook::open(scratch.path()), Err(DirectoryError::Foreign { .. })));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_inspection_writes_nothing_and_keeps_engines_out() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(matches!(
            DirectoryLook::open(&scratch.path().join("no")),
            Err(DirectoryError::Missing { .. })
        ));
        drop(created(scratch.path()));
        fs::remove_file(scratch.path().join(LOCK)).unwrap();
        drop(DirectoryLook::open(scratch.path()).unwrap());
        assert!(!scratch.path().join(LOCK).exists());
        drop(Directory::open(scratch.path()).unwrap());
        let _inspection = DirectoryLook::open(scratch.path()).unwrap();
        let _another = DirectoryLook::open(scratch.path()).unwrap();
        assert!(matches!(Directory::open(scratch.path()), Err(DirectoryError::InUse { .. })));
    }

    #[test]
    fn every_flipped_bit_of_the_identity_is_seen() {
        let identity = Identity { id: [1; 16], secret: [2; 16], segment_bytes: SEGMENT_BYTES as u32 };
        let bytes = encode(&identity);
        assert_eq!(decode(&bytes), Ok(identity));
        assert_eq!(bytes.len(), IDENTITY_BYTES);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        let mut newer = bytes.clone();
        newer[20] = 9;
        assert_eq!(decode(&newer), Err(DirectoryProblem::Newer(9)));
        assert_eq!(decode(&bytes[..40]), Err(DirectoryProblem::Corrupt));
    }
}
