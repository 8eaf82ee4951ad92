//! The log thread: takes the contiguous prefix of the ring, group by group, to the store.
//!
//! A group is everything that is published, up to one sync window. It becomes a few chunks, then one flush
//! and, at [`Durability::Sync`], one fdatasync; then its receipts are released. The words of a group are
//! freed as soon as they are copied, so decisions go on while it is being synced.
//!
//! While nothing is published the thread sleeps; [`Bell`](super::bell::Bell) says why it never sleeps over a
//! record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{SendTimeoutError, Sender};

use super::chunk::{self, ChunkHeader};
use super::group::{Group, Payload};
use super::record;
use super::recovery::OpenLog;
use super::ring::{Reader, RingItem};
use super::scan::Tip;
use super::sidecar::Durable;
use super::sled::{CHUNK_BYTES_MAX, SYNC_WINDOW_BYTES_MAX};
use super::store::StoreError;
use super::words::Words;
use crate::config::Durability;
use crate::fault::{Fault, planted};
use crate::stall::{self, Step};
use crate::sync::Ordering;
#[cfg(not(stockhold_loom))]
use crate::sync::thread;

pub(crate) use super::shared::LogShared;

/// How long the thread sleeps at most, so that an idle engine's sidecar and interval syncs are not late.
const NAP: Duration = Duration::from_millis(50);
/// How long an engine in memory lets its next group gather: far less than the smallest ring takes to fill.
#[cfg(not(stockhold_loom))]
const GATHER: Duration = Duration::from_micros(100);
/// How long the log thread waits for a full channel to the fold before it checks whether something is to be
/// synced.
const HAND_ON_WAIT: Duration = Duration::from_millis(1);
/// How far the sidecar may lag behind.
const SIDECAR_LAG: Duration = Duration::from_millis(100);
/// Chunks removed at a time while there is nothing else to do.
const CUT_CHUNKS_IDLE: usize = 16;

/// The longest payload of a chunk. Records are never split, so the longest record must fit.
const PAYLOAD_BYTES_MAX: usize = CHUNK_BYTES_MAX - chunk::HEADER_BYTES;
const _: () = assert!(super::record::RECORD_BYTES_MAX <= PAYLOAD_BYTES_MAX);

/// What the log thread needs to start.
pub(crate) struct WriterSetup {
    pub shared: Arc<LogShared>,
    /// Where chunks are appended; with `None` nothing is kept.
    pub log: Option<OpenLog>,
    pub fold: Sender<Group>,
    pub durability: Durability,
}

/// What one turn of the log thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WriterTurn {
    /// It wrote a group.
    Wrote,
    /// There was nothing to write: it synced and cut what was due.
    Nothing,
    /// The ring is closed, and everything in it is written.
    Over,
}

/// The log thread's own state.
pub(crate) struct LogWriter {
    setup: WriterSetup,
    reader: Reader,
    encoded: Vec<u8>,
    last_sync: Instant,
    last_sidecar: Instant,
    last_place_check: Instant,
    /// Bytes handed to the store since the last sync.
    window_bytes: usize,
    /// The end of the log.
    tip: Tip,
    /// The end of the log when it was last synced.
    synced: Tip,
    /// The position in the sidecar.
    sidecar_end: u64,
    /// The position below which everything was removed.
    cut: u64,
    /// Like the next one a constant of this module; the simulation sets its own.
    pub(crate) sidecar_lag: Duration,
    pub(crate) payload_bytes_max: usize,
}

/// Runs the log thread until the ring is closed and empty, or the store fails. A failure or a panic poisons
/// the engine.
pub(crate) fn run(setup: WriterSetup) {
    let shared = Arc::clone(&setup.shared);
    shared.bell.belong_to_this_thread();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| LogWriter::new(setup).run()));
    match outcome {
        Ok(Ok(())) => shared.end(Ok(())),
        Ok(Err(error)) => shared.end(Err(&error.to_string())),
        Err(_) => shared.end(Err("the log thread panicked")),
    }
}

impl LogWriter {
    pub(crate) fn new(setup: WriterSetup) -> Self {
        let tip = setup.log.as_ref().map_or(Tip::ORIGIN, |log| log.tip);
        LogWriter {
            reader: Reader::new(tip.end),
            encoded: Vec::new(),
            last_sync: Instant::now(),
            last_sidecar: Instant::now(),
            last_place_check: Instant::now(),
            window_bytes: 0,
            tip,
            synced: tip,
            sidecar_end: tip.end,
            cut: 0,
            sidecar_lag: SIDECAR_LAG,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            setup,
        }
    }

    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let shared = Arc::clone(&self.setup.shared);
            match self.turn()? {
                WriterTurn::Wrote => {
                    if self.setup.log.is_none() && !shared.ring.is_closed() {
                        // No sync gathers the next group, and no caller waits for an acknowledgement: without
                        // a pause every record would be a group, and every writer would have to wake this
                        // thread.
                        #[cfg(not(stockhold_loom))]
                        thread::sleep(GATHER);
                    }
                }
                WriterTurn::Nothing => shared.bell.sleep(self.nap(), || {
                    self.reader.has_next(&shared.ring)
                        || (shared.ring.is_closed() && shared.ring.used_words() == 0)
                }),
                WriterTurn::Over => return self.close(),
            }
        }
    }

    /// Writes the next group, if there is one.
    pub(crate) fn turn(&mut self) -> Result<WriterTurn, StoreError> {
        let mut group = self.next_group();
        let shared = Arc::clone(&self.setup.shared);
        if group.chunks.is_empty() {
            if shared.ring.is_closed() && shared.ring.used_words() == 0 {
                return Ok(WriterTurn::Over);
            }
            self.sync_if_due()?;
            self.cut(CUT_CHUNKS_IDLE)?;
            if shared.ring.drawn() == self.reader.position() {
                shared.metrics.idle();
            }
            return Ok(WriterTurn::Nothing);
        }
        stall::at(Step::LogWriting);
        self.write(&group)?;
        group.tip = self.tip;
        let chunks = group.chunks.len();
        self.hand_on(group)?;
        self.cut(2 * chunks)?;
        Ok(WriterTurn::Wrote)
    }

    /// Sends a group to the fold. While the channel is full, the log waits for the fold to catch up. The fold
    /// may itself wait for a checkpoint, and the checkpoint for a sync: so this goes on syncing while it
    /// waits.
    fn hand_on(&mut self, mut group: Group) -> Result<(), StoreError> {
        loop {
            match self.setup.fold.send_timeout(group, HAND_ON_WAIT) {
                Err(SendTimeoutError::Timeout(unsent)) => group = unsent,
                // A fold that has ended needs no group.
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return Ok(()),
            }
            self.sync_if_due()?;
        }
    }

    /// How long to sleep: until the next sync of an interval is due, but not longer than [`NAP`].
    fn nap(&self) -> Duration {
        match self.setup.durability {
            Durability::Interval(period) if self.window_bytes > 0 => {
                period.saturating_sub(self.last_sync.elapsed()).min(NAP)
            }
            _ => NAP,
        }
    }

    /// Copies the published records, up to one sync window, and frees their words.
    fn next_group(&mut self) -> Group {
        let ring = &self.setup.shared.ring;
        let mut group = Group { chunks: Vec::new(), end: self.reader.position(), tip: Tip::ORIGIN };
        let mut bytes = 0;
        let mut records = 0;
        let room = SYNC_WINDOW_BYTES_MAX - CHUNK_BYTES_MAX;
        while bytes < room && self.reader.has_next(ring) {
            let spare = self.setup.shared.spare.take();
            let mut payload = Payload { start: self.reader.position(), bytes: spare, ..Payload::default() };
            while let Some(next) = self.reader.next_bytes(ring)
                && payload.bytes.len() + next <= self.payload_bytes_max
            {
                let at = payload.bytes.len();
                match self.reader.next(ring, &mut payload.bytes) {
                    RingItem::Nothing => break,
                    RingItem::Record { words } => {
                        payload.words += words;
                        payload.kinds = payload.kinds.max(record::kind_number(&payload.bytes, at));
                    }
                    RingItem::Void { words } => {
                        let void = record::Record::Void { words: words.0 as u16 };
                        let mut buffer = [0; record::VOID_BYTES_MAX];
                        payload.bytes.extend_from_slice(void.encode(&mut buffer).unwrap_or_default());
                        payload.words += words;
                    }
                }
                records += 1;
            }
            if payload.words == Words::ZERO {
                break;
            }
            stall::at(Step::LogFreeing);
            self.reader.free(ring, payload.words);
            bytes += payload.bytes.len() + chunk::HEADER_BYTES;
            group.end = self.reader.position();
            group.chunks.push(payload);
        }
        if !group.chunks.is_empty() {
            self.setup.shared.metrics.group(records, bytes as u64);
        }
        group
    }

    fn write(&mut self, group: &Group) -> Result<(), StoreError> {
        // Unsynced bytes are bounded too: beyond the window a loss of power would cost the store more than
        // its tail.
        if self.window_bytes + group.bytes() > SYNC_WINDOW_BYTES_MAX {
            self.sync()?;
        }
        if planted(Fault::AckEarly) {
            self.setup.shared.durable.advance(group.end);
        }
        let Some(log) = &mut self.setup.log else {
            self.tip.end = group.end;
            self.setup.shared.durable.advance(group.end);
            return Ok(());
        };
        for (index, payload) in group.chunks.iter().enumerate() {
            let header = ChunkHeader {
                epoch: log.epoch,
                start: payload.start,
                words: payload.words.0 as u32,
                commit: index + 1 == group.chunks.len(),
                kinds: payload.kinds,
                previous: self.tip.hash,
                synced: self.synced.end,
            };
            self.encoded.clear();
            self.tip.hash = chunk::encode(&header, &payload.bytes, &mut self.encoded);
            self.tip.end = header.end();
            log.store.append(payload.start, &self.encoded)?;
            self.window_bytes += self.encoded.len();
        }
        match self.setup.durability {
            Durability::Sync => self.sync()?,
            Durability::Interval(_) | Durability::Memory => {
                log.store.flush()?;
                self.check_names()?;
                self.setup.shared.durable.advance(group.end);
                self.sync_if_due()?;
            }
        }
        Ok(())
    }

    /// Fails if what was written lies in files that have lost their names: it would be lost, or be found by
    /// no opening. Each group is checked by link counts; the directory's path only now and then.
    fn check_names(&mut self) -> Result<(), StoreError> {
        let Some(log) = &self.setup.log else { return Ok(()) };
        if planted(Fault::TrustNames) {
            return Ok(());
        }
        log.check_names()?;
        if self.last_place_check.elapsed() >= self.sidecar_lag {
            log.check_place()?;
            self.last_place_check = Instant::now();
        }
        Ok(())
    }

    /// Syncs if the interval is over or another thread wants it, and moves the sidecar on.
    fn sync_if_due(&mut self) -> Result<(), StoreError> {
        if let Durability::Interval(period) = self.setup.durability
            && self.window_bytes > 0
            && self.last_sync.elapsed() >= period
        {
            return self.sync();
        }
        if self.setup.shared.sync_wanted.load(Ordering::Relaxed) > self.synced.end {
            return self.sync();
        }
        self.update_sidecar()
    }

    /// Removes chunks below `cut_below`, at most `chunks_max` of them.
    fn cut(&mut self, chunks_max: usize) -> Result<(), StoreError> {
        let below = self.setup.shared.cut_below.load(Ordering::Relaxed);
        if self.cut < below
            && let Some(log) = &mut self.setup.log
            && log.store.remove_below(below, chunks_max)? < chunks_max
        {
            self.cut = below;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let began = Instant::now();
        if let Some(log) = &mut self.setup.log {
            if planted(Fault::SkipSync) { log.store.flush()? } else { log.store.sync()? }
        }
        self.last_sync = Instant::now();
        self.setup.shared.metrics.sync(self.last_sync - began);
        self.check_names()?;
        self.window_bytes = 0;
        self.synced = self.tip;
        self.setup.shared.durable.advance(self.tip.end);
        self.setup.shared.synced.advance_and_wake(self.tip.end);
        self.update_sidecar()
    }

    /// Writes the synced position to the sidecar, if the sidecar has lagged behind it for long enough.
    fn update_sidecar(&mut self) -> Result<(), StoreError> {
        let Tip { end, hash } = self.synced;
        if let Some(log) = &mut self.setup.log
            && self.sidecar_end != end
            && self.last_sidecar.elapsed() >= self.sidecar_lag
        {
            log.sidecar.write(&Durable { epoch: log.epoch, end, hash, orderly: false })?;
            self.sidecar_end = end;
            self.last_sidecar = Instant::now();
        }
        Ok(())
    }

    /// Syncs everything and writes the exact end to the sidecar.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.sync()?;
        match self.setup.log {
            Some(log) => {
                log.check_place()?;
                log.close(self.tip)
            }
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::log::record::RECORD_BYTES_MAX;
    use crate::log::recovery::Beginning;
    use crate::log::ring::Share;
    use stockhold_seeded::{Rng, seed};

    #[test]
    fn records_of_every_length_are_packed_whole_into_chunks_that_are_not_too_long() {
        let shared = LogShared::new(1 << 20, 0, None);
        let (mut rng, mut written) = (Rng::new(seed()), Vec::new());
        for number in 0..400 {
            let length = match number % 8 {
                0 => RECORD_BYTES_MAX - rng.index(100),
                1 => rng.index(RECORD_BYTES_MAX),
                _ => 1 + rng.index(80),
            };
            let record = vec![number as u8; length];
            let words = Words::of_record(length);
            shared.ring.claim(words, Share::Take).unwrap().draw(words).fill(&record);
            written.extend(record);
        }
        let end = shared.ring.drawn();
        let (fold, _groups) = crossbeam::channel::unbounded();
        let mut log = LogWriter::new(WriterSetup {
            shared: Arc::new(shared),
            log: None,
            fold,
            durability: Durability::Memory,
        });
        let (mut read, mut at, mut chunks) = (Vec::new(), 0, 0);
        while at < end {
            let group = log.next_group();
            assert!(group.bytes() <= SYNC_WINDOW_BYTES_MAX);
            for payload in group.chunks {
                assert!(payload.bytes.len() <= PAYLOAD_BYTES_MAX);
                assert_eq!(payload.start, at);
                at += payload.words.0;
                chunks += 1;
                read.extend(payload.bytes);
            }
            assert_eq!(group.end, at);
        }
        assert_eq!((at, log.setup.shared.ring.used_words()), (end, 0));
        assert!(read == written && chunks > 50);
    }

    #[test]
    fn a_fold_that_holds_the_log_back_may_wait_for_a_sync() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) =
            OpenLog::open(directory.path(), &mut Beginning(|_: &ChunkHeader, _: &[u8]| Ok(()))).unwrap();
        let shared = Arc::new(LogShared::new(1 << 13, 0, None));
        let words = Words::of_record(9);
        shared.ring.claim(words, Share::Take).unwrap().draw(words).fill(&[0; 9]);
        // The fold takes the group only after the checkpoint that it waits for was made.
        let (fold, groups) = crossbeam::channel::bounded(0);
        let durability = Durability::Interval(Duration::from_secs(3_600));
        let mut log =
            LogWriter::new(WriterSetup { shared: Arc::clone(&shared), log: Some(log), fold, durability });
        std::thread::scope(|scope| {
            scope.spawn(move || log.turn().unwrap());
            while shared.durable.position() < words.0 {
                std::thread::yield_now();
            }
            assert!(shared.sync_up_to(words.0));
            assert_eq!(groups.recv().unwrap().end, words.0);
        });
    }
}
