//! Checkpoints in memory: any entries in runs whose checksums hold, named by a manifest.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::input::Input;
use super::restored;
use crate::checkpoint::RunError;
use crate::checkpoint::entry::{KeepUntil, RunEntry};
use crate::checkpoint::files::{Files, NewFile};
use crate::checkpoint::ledger::Stretch;
use crate::checkpoint::load::load;
use crate::checkpoint::manifest::{Frontier, Manifest};
use crate::checkpoint::manifest_set::{ManifestSet, Retention};
use crate::checkpoint::merge::merge;
use crate::checkpoint::rows::{HoldRow, LevelRow, NameRow, OpRow};
use crate::checkpoint::run::{RunReader, seal};
use crate::checkpoint::run_ref::{RunKind, RunRef};
use crate::checkpoint::window::{HoldEpochs, Window, digest};
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::fold::state::Fold;
use crate::fold::verify::Verifier;
use crate::log::record::{Encoded, Record};
use crate::log::scan::Tip;

const ID: [u8; 16] = [7; 16];

/// Checkpoints of what the input says are read, merged and written on: what is accepted means the same
/// whichever way, and an engine goes on from it, or it is told to be damaged.
pub fn checkpoint(bytes: &[u8]) {
    let mut input = Input(bytes);
    let files = Memory::default();
    let manifest = match input.byte() {
        0 => {
            // Any bytes as a manifest.
            files.put("manifest-0000000000000001", Manifest::seal(input.0, [0; 2]));
            let Ok((manifest_set, _)) = ManifestSet::open(Arc::new(files.clone()), ID) else { return };
            let Some(manifest) = manifest_set.newest() else { return };
            let _ = load(&files, manifest, &mut |_| {});
            return;
        }
        number => Manifest {
            number: if number == 255 { input.number::<8>() } else { number.into() },
            directory: ID,
            frontier: frontier(&mut input),
            runs: runs(&mut input, &files),
            kinds: 0,
        },
    };
    manifest.commit(&files).expect("memory takes everything");
    let (mut manifest_set, rejected) =
        ManifestSet::open(Arc::new(files.clone()), ID).expect("memory is read");
    if !rejected.is_empty() {
        return;
    }
    assert_eq!(manifest_set.newest(), Some(&manifest));
    let mut ops = 0_u64;
    let Ok(loaded) = load(&files, &manifest, &mut |_| ops += 1) else { return };
    let verified = Verifier::from(loaded.fold.clone());

    let merged = Manifest { runs: merged(&files, &manifest), ..manifest.clone() };
    let mut ops_merged = 0;
    let again = load(&files, &merged, &mut |_| ops_merged += 1).expect("what was merged is a run");
    assert_eq!(ops, ops_merged);
    if let Ok(verifier) = &verified {
        verifier.same_as(&again.fold).expect("merged runs say what they said apart");
    }

    // The log goes on from there, and the next checkpoint with it.
    let mut fold = loaded.fold;
    manifest_set.start_from(loaded.hold_epochs);
    let opened = Record::Opened { epoch: fold.epoch.saturating_add(1), at_unix_ms: EPOCH_2020_MS };
    let opened = Encoded::new(&opened).expect("a short record");
    if fold.payload(fold.position, opened.as_bytes(), &mut |_| {}).is_err() {
        return;
    }
    let (bytes, end) = (opened.as_bytes().to_vec(), Tip { end: fold.position, hash: 1 });
    let window = Window { bytes, end, ..Window::default() };
    manifest_set
        .write(&window, &Retention::default(), &|| false, |_| true)
        .expect("a checkpoint of what can be folded");
    let next = manifest_set.newest().expect("it was written").clone();
    let next = load(&files, &next, &mut |_| {}).expect("what was written can be read");
    if let Some(verifier) = verified.ok().and_then(|_| Verifier::from(fold.clone()).ok()) {
        verifier.same_as(&next.fold).expect("the next checkpoint says what the log says");
    }
    restored(fold);
}

/// What checkpoints say of a log that begins with `payload` and ends at `position`.
pub(super) fn digested(payload: &[u8], position: u64) -> Result<Fold, RunError> {
    let (files, before) = (Memory::default(), Frontier::default());
    let (bytes, end) = (payload.to_vec(), Tip { end: position, hash: 1 });
    let window = Window { bytes, end, ..Window::default() };
    let digested = digest(&window, &before, &mut HoldEpochs::default(), &files, 2, &|| false)?;
    let (frontier, runs, kinds) = (digested.frontier, digested.runs, digested.kinds);
    let manifest = Manifest { number: 1, directory: ID, frontier, runs, kinds };
    load(&files, &manifest, &mut |_| {}).map(|loaded| loaded.fold)
}

/// Of the files of a checkpoint, by name: the run's kind as the input has it, and its entries. For seeds.
pub fn entries(name: &str, file: &[u8]) -> Option<(u8, Vec<u8>)> {
    let kind = ["levels", "names", "holds", "ops"].iter().position(|kind| name.starts_with(kind))?;
    let mut input = Input(file.get(20..)?);
    let mut entries = Vec::new();
    while !input.is_empty() {
        let length = input.number::<4>() as usize;
        input.number::<4>();
        entries.extend_from_slice(input.take(length));
    }
    Some((kind as u8, entries))
}

fn frontier(input: &mut Input<'_>) -> Frontier {
    // Eight bytes each, or what is usual.
    let shape = input.byte();
    let mut number = |bit: u8, usual: u64| if shape >> bit & 1 == 1 { input.number::<8>() } else { usual };
    Frontier {
        position: number(0, 1_000),
        hash: number(1, 5),
        epoch: number(2, 3) as u32,
        opened_at_ms: number(3, EPOCH_2020_MS),
        now_ms: number(4, EPOCH_2020_MS + 1_000),
        records: number(5, 100),
    }
}

fn runs(input: &mut Input<'_>, files: &Memory) -> Vec<RunRef> {
    let mut runs = Vec::new();
    while !input.is_empty() && runs.len() < 16 {
        let (shape, number) = (input.byte(), runs.len() as u64);
        let kind = RunKind::STATE[usize::from(shape % 4)];
        let length = input.number::<2>() as usize;
        let said = input.take(length);
        let (first, second) = said.split_at(if shape & 4 == 0 { said.len() } else { said.len() / 2 });
        let blocks: Vec<&[u8]> = [first, second].into_iter().filter(|block| !block.is_empty()).collect();
        let mut file = seal(kind, number, &blocks);
        if shape & 8 != 0 {
            // Another length of a block than it has.
            let length = input.number::<4>() as u32;
            file.extend_from_slice(&length.to_le_bytes());
        }
        let mut run = RunRef {
            kind,
            number,
            bytes: file.len() as u64,
            entries: blocks.iter().map(|block| count(kind, block)).sum(),
            latest_ms: 0,
            hash: xxhash_rust::xxh3::xxh3_64(&file),
        };
        match shape >> 4 {
            1 => run.bytes = input.number::<8>(),
            2 => run.entries = input.number::<8>(),
            3 => run.hash ^= 1,
            _ => {}
        }
        files.put(&run.name(), file);
        runs.push(run);
    }
    runs
}

fn count(kind: RunKind, block: &[u8]) -> u64 {
    fn of<E: RunEntry>(mut block: &[u8]) -> u64 {
        let mut count = 0;
        while let Some((_, bytes)) = E::decode(block).filter(|_| !block.is_empty()) {
            (block, count) = (&block[bytes..], count + 1);
        }
        count
    }
    match kind {
        RunKind::Levels => of::<LevelRow>(block),
        RunKind::Names => of::<NameRow>(block),
        RunKind::Holds => of::<HoldRow>(block),
        RunKind::Ops => of::<OpRow>(block),
        RunKind::Ledger => of::<Stretch>(block),
    }
}

/// The runs of each kind as one.
fn merged(files: &Memory, manifest: &Manifest) -> Vec<RunRef> {
    fn of<E: RunEntry>(files: &Memory, manifest: &Manifest) -> Option<RunRef> {
        let keep = KeepUntil { now: Timestamp(0), op_keys: None };
        let merged = merge::<E>(files, &manifest.of(E::KIND), 1_000, &keep, &|| false);
        let merged = merged.expect("what can be loaded can be merged")?;
        let mut reader = RunReader::<E>::open(files, merged).expect("it was written");
        assert_eq!(reader.by_ref().filter(|entry| entry.is_ok()).count() as u64, merged.entries);
        Some(merged)
    }
    let runs = [
        of::<LevelRow>(files, manifest),
        of::<NameRow>(files, manifest),
        of::<HoldRow>(files, manifest),
        of::<OpRow>(files, manifest),
    ];
    runs.into_iter().flatten().collect()
}

/// A folder in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        self.with(|files| files.insert(name.to_owned(), bytes));
    }
}

impl Files for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.with(|files| files.keys().cloned().collect()))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.with(|files| files.get(name).cloned()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        self.put(name, Vec::new());
        Ok(Box::new(Writing { files: self.clone(), name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|files| {
            let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            files.insert(to.to_owned(), bytes);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|files| files.remove(name)).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Writing {
    files: Memory,
    name: String,
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.with(|files| match files.get_mut(&self.name) {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Writing {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
