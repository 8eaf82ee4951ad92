//! A window of the log, and the runs that are written from it.
//!
//! The records of a running engine are collected unread, and only decoded when a checkpoint is due. The
//! records of each slot's last hold are grouped by sorting. Beside the window's bytes that takes 8 bytes a
//! record of a hold, 4 a slot, and an entry for each stock key that was changed. All changes of one key
//! become one entry.
//!
//! The records of a slot's earlier holds are skipped. An opening or a verification, which folds the log,
//! checks them.

use super::RunError;
use super::entry::RunEntry;
use super::files::Files;
use super::manifest::Frontier;
use super::rows::{HoldDelta, HoldRow, LevelRow, NameRow, OpRow, push_step};
use super::run::RunWriter;
use super::run_ref::RunRef;
use crate::clock::Timestamp;
use crate::fold::hold::{self, FoldedHold, Wrong};
use crate::fold::pages::Pages;
use crate::index::{KeyIndex, SlotIndex};
use crate::log::lines::LinePair;
use crate::log::record::effect::HoldEffect;
use crate::log::record::{Batch, Fact, Logged, Records, Subject, kind_number};
use crate::log::scan::Tip;

/// A record's offset in the window is kept in 32 bits.
pub(crate) const WINDOW_BYTES_MAX: usize = 3 << 30;

/// Consecutive groups of the log.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The chunks' payloads, concatenated.
    pub bytes: Vec<u8>,
    /// Each chunk's start in the bytes, and its start in the log.
    pub chunks: Vec<(u32, u64)>,
    /// The end of the last group.
    pub end: Tip,
}

impl Window {
    /// Adds a chunk of the log that begins at `start`.
    pub(crate) fn push(&mut self, start: u64, payload: &[u8]) {
        self.chunks.push((self.bytes.len() as u32, start));
        self.bytes.extend_from_slice(payload);
    }

    /// Appends the window that follows this one in the log.
    pub(crate) fn append(&mut self, mut later: Window) {
        let offset = self.bytes.len() as u32;
        self.chunks.extend(later.chunks.iter().map(|(at, start)| (offset + at, *start)));
        self.bytes.append(&mut later.bytes);
        self.end = later.end;
    }

    /// Drops the records; the end stays.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.chunks.clear();
    }

    /// The chunks, each with its start in the log; the window starts at `from`.
    pub(crate) fn stretches(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = [(0, from)];
        let chunks = if self.chunks.is_empty() { &first[..] } else { &self.chunks };
        let begin: Vec<(usize, u64)> = chunks.iter().map(|(at, start)| (*at as usize, *start)).collect();
        let ends: Vec<usize> = begin.iter().skip(1).map(|(at, _)| *at).chain([self.bytes.len()]).collect();
        begin.into_iter().zip(ends).map(|((at, start), end)| (start, &self.bytes[at..end]))
    }
}

/// By slot: the epoch of the opening that made its hold, modulo 256. It is part of the hold's id.
#[derive(Clone, Debug, Default)]
pub(crate) struct HoldEpochs(Pages<u8, 4_096>);

impl HoldEpochs {
    pub(crate) fn set(&mut self, slot: SlotIndex, epoch: u32) {
        self.0.set(slot.0, epoch as u8);
    }

    fn get(&self, slot: SlotIndex) -> u32 {
        self.0.get(slot.0).copied().unwrap_or(0).into()
    }
}

/// The result of writing a window.
pub(crate) struct WindowRuns {
    /// One of each kind at most; the bytes are durable, the names not yet.
    pub runs: Vec<RunRef>,
    pub frontier: Frontier,
    /// The highest number of a kind of record in the window.
    pub kinds: u8,
}

/// Epoch and time of an opening: the log has them once, for all the records that follow.
#[derive(Clone, Copy)]
struct Opening {
    opened_at: Timestamp,
    epoch: u32,
}

/// Writes the records of a window that begins at `before` as runs with the number `number`.
pub(crate) fn digest(
    window: &Window,
    before: &Frontier,
    hold_epochs: &mut HoldEpochs,
    files: &dyn Files,
    number: u64,
    stopped: &dyn Fn() -> bool,
) -> Result<WindowRuns, RunError> {
    let mut reader = WindowReader::new(before, hold_epochs, Runs { files, number, written: Vec::new() });
    let (mut records, mut batch) = (Records::new(&window.bytes, before.position), Batch::new());
    let mut offset = 0;
    while records.next_batch(&mut batch, |fact| reader.levels.prefetch(fact)) {
        for logged in batch.drain(..) {
            let logged =
                logged.map_err(|_| contradiction(reader.frontier.position, "bytes that are not a record"))?;
            reader.record(offset, &logged)?;
            offset += logged.bytes.len();
            if reader.frontier.records.is_multiple_of(4_096) && stopped() {
                return Err(RunError::Stopped);
            }
        }
    }
    if reader.frontier.position != window.end.end {
        return Err(contradiction(
            reader.frontier.position,
            "the window's records do not end at its last group",
        ));
    }
    reader.finish(window, before, stopped)
}

/// Reads a window record by record, and collects what becomes runs.
struct WindowReader<'a> {
    frontier: Frontier,
    kinds: u8,
    opening: Opening,
    /// Each opening, with the offset of its record in the window.
    opening_starts: Vec<(usize, Opening)>,
    hold_epochs: &'a mut HoldEpochs,
    levels: LevelChanges,
    /// The records of holds: the slot and the record's offset, in 32 bits each.
    steps: Vec<u64>,
    /// By slot: the offset of the record that made its last hold.
    made_last: Pages<u32, 4_096>,
    runs: Runs<'a>,
    names: Option<RunWriter<NameRow>>,
    ops: Option<RunWriter<OpRow>>,
}

impl<'a> WindowReader<'a> {
    fn new(before: &Frontier, hold_epochs: &'a mut HoldEpochs, runs: Runs<'a>) -> Self {
        let opening = Opening { opened_at: Timestamp(before.opened_at_ms), epoch: before.epoch };
        WindowReader {
            frontier: *before,
            kinds: 0,
            opening,
            opening_starts: vec![(0, opening)],
            hold_epochs,
            levels: LevelChanges::default(),
            steps: Vec::new(),
            made_last: Pages::default(),
            runs,
            names: None,
            ops: None,
        }
    }

    fn record(&mut self, offset: usize, logged: &Logged<'_>) -> Result<(), RunError> {
        let Logged { position, ref fact, bytes } = *logged;
        let wrong = |what: &str| contradiction(position, what);
        self.kinds = self.kinds.max(kind_number(bytes, 0));
        if !fact.is_sane() {
            return Err(wrong("it moves more units than any operation can"));
        }
        let at = fact.time(self.opening.opened_at);
        at.map_or(Ok(()), hold::check_time).map_err(wrong)?;
        if let Some((epoch, opened_at)) = fact.opening() {
            self.opening = Opening { epoch, opened_at };
            self.opening_starts.push((offset, self.opening));
        }
        if let Subject::NewKey { key, sku, location } = fact.subject {
            self.runs.put(&mut self.names, &NameRow::new(key, sku, location))?;
        }
        fact.visit(|LinePair { target, first, second }| {
            let key = target.good().ok_or_else(|| wrong("a stock key that was never declared"))?;
            self.levels.of(key).apply(fact, first, second);
            Ok::<_, RunError>(())
        })?;
        if let Some(place) = fact.place {
            hold::check(place).map_err(wrong)?;
            self.steps.push(u64::from(place.slot.0) << 32 | offset as u64);
            if fact.kind.effect().hold == HoldEffect::Make {
                self.hold_epochs.set(place.slot, self.opening.epoch);
                self.made_last.set(place.slot.0, offset as u32);
            }
        }
        if fact.op.is_some() {
            let epoch = fact.place.map_or(self.opening.epoch, |place| self.hold_epochs.get(place.slot));
            let op = OpRow { position, at: at.unwrap_or_default(), epoch, record: bytes.into() };
            self.runs.put(&mut self.ops, &op)?;
        }
        self.frontier.position = position;
        self.frontier.records += 1;
        self.frontier.now_ms = self.frontier.now_ms.max(at.unwrap_or_default().0);
        Ok(())
    }

    fn finish(
        mut self,
        window: &Window,
        before: &Frontier,
        stopped: &dyn Fn() -> bool,
    ) -> Result<WindowRuns, RunError> {
        let mut runs = self.runs;
        runs.finish(self.names)?;
        runs.finish(self.ops)?;

        let mut run = None;
        self.levels.in_order().iter().try_for_each(|entry| runs.put(&mut run, entry))?;
        runs.finish(run)?;

        // Drops the records of a slot's earlier holds: at full speed they are most of the records.
        let made_last = &self.made_last;
        self.steps.retain(|step| made_last.get((step >> 32) as u32).is_none_or(|made| *step as u32 >= *made));
        self.steps.sort_unstable();
        let mut run = None;
        let mut slots = 0_u64;
        for steps in self.steps.chunk_by(|one, next| one >> 32 == next >> 32) {
            let entry = combine(window, steps, &self.opening_starts);
            let entry = entry.map_err(|what| contradiction(before.position, what))?;
            runs.put(&mut run, &entry)?;
            slots += 1;
            if slots.is_multiple_of(4_096) && stopped() {
                return Err(RunError::Stopped);
            }
        }
        runs.finish(run)?;

        let Opening { opened_at, epoch } = self.opening;
        let frontier = Frontier { hash: window.end.hash, epoch, opened_at_ms: opened_at.0, ..self.frontier };
        Ok(WindowRuns { runs: runs.written, frontier, kinds: self.kinds })
    }
}

/// The changes that a window makes to stock levels.
#[derive(Default)]
struct LevelChanges {
    entries: Vec<LevelRow>,
    /// By key: the index of its entry plus one; 0 if it has none.
    places: Pages<u32, 4_096>,
}

impl LevelChanges {
    fn of(&mut self, key: KeyIndex) -> &mut LevelRow {
        let mut place = self.places.get(key.0).copied().unwrap_or(0);
        if place == 0 {
            self.entries.push(LevelRow { key, ..LevelRow::default() });
            place = self.entries.len() as u32;
            self.places.set(key.0, place);
        }
        &mut self.entries[place as usize - 1]
    }

    /// Reads a word of the entry that `fact` touches first, so that it is in the cache when the fact is
    /// applied.
    fn prefetch(&self, fact: &Fact<'_>) -> u64 {
        let place = fact.stock_key().and_then(|key| self.places.get(key.0)).copied().unwrap_or(0) as usize;
        self.entries.get(place.wrapping_sub(1)).map_or(0, |entry| entry.level.held as u64)
    }

    fn in_order(mut self) -> Vec<LevelRow> {
        self.entries.sort_unstable_by_key(|entry| entry.key);
        self.entries
    }
}

/// Combines the records of one slot, given by their offsets in order. If one of them made the slot's last
/// hold, it comes first.
fn combine(window: &Window, steps: &[u64], opening_starts: &[(usize, Opening)]) -> Result<HoldRow, Wrong> {
    let slot = SlotIndex((steps[0] >> 32) as u32);
    let mut what = HoldDelta::Steps(Vec::new());
    for step in steps {
        let offset = *step as u32 as usize;
        let opening = opening_starts[opening_starts.partition_point(|(from, _)| *from <= offset) - 1].1;
        let bytes = &window.bytes[offset..];
        let (fact, taken) = Fact::decode(bytes).map_err(|_| "bytes that are not a record")?;
        let at = fact.time(opening.opened_at);
        let made = FoldedHold::made(&fact, at.unwrap_or_default(), opening.epoch, None)?;
        match (made, &mut what) {
            (Some(hold), what) => *what = HoldDelta::Made(hold),
            (None, HoldDelta::Made(hold)) => hold.apply(&fact, at)?,
            (None, HoldDelta::Steps(steps)) => push_step(steps, &bytes[..taken], at),
        }
    }
    Ok(HoldRow { slot, what })
}

fn contradiction(position: u64, what: &str) -> RunError {
    RunError::Contradiction { position, what: what.to_owned() }
}

/// Writes runs; a run is created when it gets its first entry.
struct Runs<'a> {
    files: &'a dyn Files,
    number: u64,
    written: Vec<RunRef>,
}

impl Runs<'_> {
    fn put<E: RunEntry>(&self, run: &mut Option<RunWriter<E>>, entry: &E) -> Result<(), RunError> {
        let writer = match run {
            Some(writer) => writer,
            None => run.insert(RunWriter::create(self.files, self.number)?),
        };
        writer.put(entry)
    }

    fn finish<E: RunEntry>(&mut self, run: Option<RunWriter<E>>) -> Result<(), RunError> {
        if let Some(run) = run {
            self.written.push(run.finish()?);
        }
        Ok(())
    }
}
