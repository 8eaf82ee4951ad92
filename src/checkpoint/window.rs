//! A window of the log, as runs.
//!
//! The records of a running engine are gathered as they are, and only looked at when a checkpoint is due: what happened
//! to one hold is brought together by sorting, so that the window's bytes and 8 more a record are all that it takes.
//! Many movements of one key become one.

use std::collections::HashMap;

use super::CheckpointError;
use super::entry::{Entry, Happened, HoldEntry, LevelEntry, NameEntry, OpEntry, push_step};
use super::files::Files;
use super::manifest::Frontier;
use super::run::{RunRef, RunWriter};
use crate::clock::Timestamp;
use crate::fold::hold::{self, FoldedHold, Wrong};
use crate::fold::levels::touched;
use crate::fold::pages::Pages;
use crate::hashing::ByNumber;
use crate::log::lines::Beside;
use crate::log::record::{Record, Records};
use crate::log::scan::Tip;

/// Records are found again by 32 bits of offset.
pub(crate) const WINDOW_BYTES_MAX: usize = 3 << 30;

/// Consecutive groups of the log.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The chunks' payloads, one behind the other.
    pub bytes: Vec<u8>,
    /// Where in the bytes each chunk begins, and where in the log.
    pub chunks: Vec<(u32, u64)>,
    /// Where the last group ended.
    pub end: Tip,
}

impl Window {
    /// Adds a chunk of the log that begins at `start`.
    pub(crate) fn push(&mut self, start: u64, payload: &[u8]) {
        self.chunks.push((self.bytes.len() as u32, start));
        self.bytes.extend_from_slice(payload);
    }

    /// Adds what came behind it.
    pub(crate) fn append(&mut self, mut later: Window) {
        let offset = self.bytes.len() as u32;
        self.chunks.extend(later.chunks.iter().map(|(at, start)| (offset + at, *start)));
        self.bytes.append(&mut later.bytes);
        self.end = later.end;
    }

    /// The same end, and nothing before it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
    }

    /// The chunks, each with where it begins in the log; the window begins at `from`.
    pub(crate) fn stretches(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = [(0, from)];
        let chunks = if self.chunks.is_empty() { &first[..] } else { &self.chunks };
        let begin: Vec<(usize, u64)> = chunks.iter().map(|(at, start)| (*at as usize, *start)).collect();
        let ends: Vec<usize> = begin.iter().skip(1).map(|(at, _)| *at).chain([self.bytes.len()]).collect();
        begin.into_iter().zip(ends).map(|((at, start), end)| (start, &self.bytes[at..end]))
    }
}

/// In which opening the hold of each slot was made, modulo 256: what an id needs, and the log says only once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Openings(Pages<u8, 4_096>);

impl Openings {
    pub(crate) fn set(&mut self, slot: u32, epoch: u32) {
        self.0.set(slot, epoch as u8);
    }

    fn get(&self, slot: u32) -> u32 {
        self.0.get(slot).copied().unwrap_or(0).into()
    }
}

/// What comes of a window.
pub(crate) struct Digested {
    /// One of each kind at most, durable but for their names.
    pub runs: Vec<RunRef>,
    pub frontier: Frontier,
}

/// The time and the opening of records, which the log says once for all that follow.
#[derive(Clone, Copy)]
struct Told {
    opened_at: Timestamp,
    epoch: u32,
}

/// Writes runs with the number `number` of what a window says, which begins at `before`.
pub(crate) fn digest(
    window: &Window,
    before: &Frontier,
    openings: &mut Openings,
    files: &dyn Files,
    number: u64,
    stopped: &dyn Fn() -> bool,
) -> Result<Digested, CheckpointError> {
    let mut frontier = *before;
    let mut told = Told { opened_at: Timestamp(before.opened_at_ms), epoch: before.epoch };
    // Each opening, by the offset of the first record that it told.
    let mut openings_told = vec![(0, told)];
    let mut levels: HashMap<u32, LevelEntry, ByNumber> = HashMap::default();
    let mut steps: Vec<u64> = Vec::new();
    let mut runs = Runs { files, number, written: Vec::new() };
    let (mut names, mut ops) = (None, None);
    let mut records = Records::new(&window.bytes, before.position);
    loop {
        let offset = window.bytes.len() - records.rest().len();
        let Some(next) = records.next() else { break };
        let wrong = |what: &str| contradiction(frontier.position, what);
        let (position, record) = next.map_err(|_| wrong("bytes that are not a record"))?;
        let at = record.time(told.opened_at);
        if !record.is_sane() {
            return Err(contradiction(position, "it moves a number of units that no operation can"));
        }
        at.map_or(Ok(()), hold::check_time).map_err(|what| contradiction(position, what))?;
        let mut epoch = told.epoch;
        match record {
            Record::Opened { epoch, at_unix_ms } => {
                told = Told { epoch, opened_at: Timestamp(at_unix_ms) };
                openings_told.push((offset, told));
            }
            Record::Declare { key, sku, location } => {
                runs.put(&mut names, &NameEntry { key, sku: sku.into(), location: location.into() })?;
            }
            _ => {
                for Beside { key, first, second } in touched(&record) {
                    let entry = levels.entry(key).or_insert(LevelEntry { key, ..LevelEntry::default() });
                    entry.apply(&record, first, second);
                }
            }
        }
        if let Some(place) = record.place() {
            hold::check(place).map_err(|what| contradiction(position, what))?;
            steps.push(u64::from(place.slot) << 32 | offset as u64);
            if matches!(record, Record::Reserve { .. } | Record::ReserveCart { .. }) {
                openings.set(place.slot, told.epoch);
            }
            epoch = openings.get(place.slot);
        }
        if record.op().is_some() {
            let bytes = &window.bytes[offset..window.bytes.len() - records.rest().len()];
            let op = OpEntry { position, at: at.unwrap_or_default(), epoch, record: bytes.into() };
            runs.put(&mut ops, &op)?;
        }
        frontier.position = position;
        frontier.records += 1;
        frontier.now_ms = frontier.now_ms.max(at.unwrap_or_default().0);
        if frontier.records.is_multiple_of(4_096) && stopped() {
            return Err(CheckpointError::Stopped);
        }
    }
    if frontier.position != window.end.end {
        return Err(contradiction(frontier.position, "the window ends elsewhere"));
    }
    runs.finish(names)?;
    runs.finish(ops)?;

    let mut levels: Vec<LevelEntry> = levels.into_values().collect();
    levels.sort_unstable_by_key(|entry| entry.key);
    let mut run = None;
    levels.iter().try_for_each(|entry| runs.put(&mut run, entry))?;
    runs.finish(run)?;
    drop(levels);

    steps.sort_unstable();
    let mut run = None;
    let mut slots = 0_u64;
    for steps in steps.chunk_by(|one, next| one >> 32 == next >> 32) {
        let entry = happened(window, steps, &openings_told);
        let entry = entry.map_err(|what| contradiction(before.position, what))?;
        runs.put(&mut run, &entry)?;
        slots += 1;
        if slots.is_multiple_of(4_096) && stopped() {
            return Err(CheckpointError::Stopped);
        }
    }
    runs.finish(run)?;
    frontier.hash = window.end.hash;
    (frontier.epoch, frontier.opened_at_ms) = (told.epoch, told.opened_at.0);
    Ok(Digested { runs: runs.written, frontier })
}

/// What the records at these offsets, of one slot and in order, come to.
fn happened(window: &Window, steps: &[u64], openings_told: &[(usize, Told)]) -> Result<HoldEntry, Wrong> {
    let slot = (steps[0] >> 32) as u32;
    let mut what = Happened::Then(Vec::new());
    for step in steps {
        let offset = *step as u32 as usize;
        let told = openings_told[openings_told.partition_point(|(from, _)| *from <= offset) - 1].1;
        let decoded = Record::decode(&window.bytes[offset..]);
        let (record, _) = decoded.map_err(|_| "bytes that are not a record")?;
        let at = record.time(told.opened_at);
        let before = if let Happened::Made(hold) = &what { Some(hold) } else { None };
        let made = FoldedHold::made(&record, at.unwrap_or_default(), told.epoch, before)?;
        match (made, &mut what) {
            (Some(hold), what) => *what = Happened::Made(hold),
            (None, Happened::Made(hold)) => hold.apply(&record, at)?,
            (None, Happened::Then(steps)) => push_step(steps, &record, at),
        }
    }
    Ok(HoldEntry { slot, what })
}

fn contradiction(position: u64, what: &str) -> CheckpointError {
    CheckpointError::Contradiction { position, what: what.to_owned() }
}

/// The runs that are being written: none before its first entry.
struct Runs<'a> {
    files: &'a dyn Files,
    number: u64,
    written: Vec<RunRef>,
}

impl Runs<'_> {
    fn put<E: Entry>(&self, run: &mut Option<RunWriter<E>>, entry: &E) -> Result<(), CheckpointError> {
        let writer = match run {
            Some(writer) => writer,
            None => run.insert(RunWriter::create(self.files, self.number)?),
        };
        writer.put(entry)
    }

    fn finish<E: Entry>(&mut self, run: Option<RunWriter<E>>) -> Result<(), CheckpointError> {
        if let Some(run) = run {
            self.written.push(run.finish()?);
        }
        Ok(())
    }
}
