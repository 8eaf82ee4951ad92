//! The log thread: takes the contiguous prefix of the ring, group by group, to the store.
//!
//! A group is whatever is queued, up to one sync window. It becomes a few chunks, then one flush and, at
//! [`Durability::Sync`], one fdatasync; then its receipts are released. The words of a group are freed as soon as
//! they are copied, so decisions go on while it is being synced.
//!
//! The race to survive: the thread goes to sleep while a writer publishes. The writer publishes, then asks
//! whether the thread sleeps; the thread says that it sleeps, then looks once more (see [`Bell`]).

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{SendTimeoutError, Sender};
use parking_lot::Mutex;

use super::chunk::{self, ChunkHeader};
use super::group::{Group, Payload, Spare};
use super::recovery::OpenLog;
use super::ring::{Found, Reader, Ring};
use super::scan::Tip;
use super::sidecar::Durable;
use super::sled::{CHUNK_BYTES_MAX, SYNC_WINDOW_BYTES_MAX};
use super::store::StoreError;
use super::stores::{Older, Stores};
use super::watch::Watch;
use crate::config::Durability;
use crate::fault::{Fault, planted};
use crate::metrics::LogMetrics;
use crate::poison::Poison;
use crate::stall::{self, Step};
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicBool, Ordering, fence, park_timeout};

/// How long the thread sleeps at most, so that an idle engine's sidecar and interval syncs are not late.
const NAP: Duration = Duration::from_millis(50);
/// How long an engine in memory lets its next group gather: far less than the smallest ring takes to fill.
#[cfg(not(stockhold_loom))]
const GATHER: Duration = Duration::from_micros(100);
/// How long the log lets itself be held back by the fold until it looks again whether something is to be synced.
const HELD_BACK: Duration = Duration::from_millis(1);
/// How far the sidecar may lag behind.
const SIDECAR_LAG: Duration = Duration::from_millis(100);
/// Chunks removed at a time while nothing else is to be done.
const CUT_CHUNKS_IDLE: usize = 16;

/// The longest payload of a chunk. Records are never split, so the longest must fit.
const PAYLOAD_BYTES_MAX: usize = CHUNK_BYTES_MAX - chunk::HEADER_BYTES;
const _: () = assert!(super::record::RECORD_BYTES_MAX <= PAYLOAD_BYTES_MAX);

/// Wakes the log thread when it sleeps, for the price of one fence when it does not.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    sleeping: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// After publishing: wakes the thread if it sleeps.
    pub(crate) fn ring(&self) {
        // SeqCst fences, here between publishing and asking, in `sleep` between saying and looking: one of the two
        // sees the other.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// From now on it wakes the calling thread, the first that asks.
    pub(crate) fn belong_to_this_thread(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Sleeps unless `awake` holds once everybody knows that we sleep.
    pub(crate) fn sleep(&self, nap: Duration, awake: impl Fn() -> bool) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst); // see `ring`
        if planted(Fault::SkipSecondLook) || !awake() {
            park_timeout(nap);
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// What the deciding threads and the log thread share.
pub(crate) struct LogShared {
    pub ring: Ring,
    pub bell: Bell,
    /// Acknowledged: durable at the engine's level.
    pub durable: Watch,
    pub poison: Poison,
    pub metrics: LogMetrics,
    pub spare: Spare,
    /// Up to here the log survives a loss of power, at every durability level that keeps one.
    synced: Watch,
    /// Somebody waits for the log to be synced up to here, whatever the durability level.
    sync_wanted: AtomicU64,
    /// Nobody needs what lies below.
    cut_below: AtomicU64,
    /// Where the log is that earlier openings wrote.
    older: Mutex<Option<Older>>,
}

impl LogShared {
    /// A log that ends at `end`, with a ring of so many words; the rest of it is in `older` stores.
    pub(crate) fn new(ring_words: usize, end: u64, older: Option<Older>) -> LogShared {
        LogShared {
            ring: Ring::new(ring_words, end),
            bell: Bell::default(),
            durable: Watch::new(end),
            poison: Poison::default(),
            metrics: LogMetrics::new(),
            spare: Spare::default(),
            synced: Watch::new(end),
            sync_wanted: AtomicU64::new(0),
            cut_below: AtomicU64::new(0),
            older: Mutex::new(older),
        }
    }

    /// Where the log's chunks are; `None` in memory.
    pub(crate) fn stores(&self) -> Option<Arc<dyn Stores>> {
        self.older.lock().as_ref().map(|older| Arc::clone(&older.stores))
    }

    /// Waits until the log is synced up to `position`, a group's end; false if it never will be.
    pub(crate) fn sync_up_to(&self, position: u64) -> bool {
        self.want_sync(position);
        if self.synced() < position {
            self.bell.ring();
        }
        self.synced.wait(position)
    }

    /// The next turn of the log is to sync up to `position`.
    pub(crate) fn want_sync(&self, position: u64) {
        // Relaxed: a wish, which the log thread sees soon; what it does comes back through the watch.
        self.sync_wanted.fetch_max(position, Ordering::Relaxed);
    }

    /// Up to here the log survives a loss of power.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.position()
    }

    /// There will be no more of the log: it was closed, or it failed.
    pub(crate) fn end(&self, outcome: Result<(), &str>) {
        if let Err(cause) = outcome {
            self.poison.fail(cause);
        }
        self.ring.close();
        self.durable.end();
        self.synced.end();
        self.synced.wake_now();
    }

    /// What the log has below `position` may go: older stores now, and chunks of the one that is written to when there is
    /// time for it.
    pub(crate) fn cut_below(&self, position: u64) {
        self.cut_below.fetch_max(position, Ordering::Relaxed); // as above
        if let Some(older) = &mut *self.older.lock() {
            older.cut_below(position);
        }
    }
}

/// Where the log begins, and where it goes.
pub(crate) struct Writer {
    pub shared: Arc<LogShared>,
    /// `None` keeps nothing.
    pub log: Option<OpenLog>,
    pub fold: Sender<Group>,
    pub durability: Durability,
}

/// What a turn of the log came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WriterTurn {
    Wrote,
    /// There was nothing to write, so what else is to be done was looked after.
    Nothing,
    /// The ring is closed, and everything in it is written.
    Over,
}

/// The thread's own state.
pub(crate) struct Log {
    writer: Writer,
    reader: Reader,
    encoded: Vec<u8>,
    last_sync: Instant,
    last_sidecar: Instant,
    /// Bytes handed to the store since the last sync.
    window_bytes: usize,
    /// Where the log ends, and where it was last synced.
    tip: Tip,
    synced: Tip,
    /// Where the sidecar is.
    vouched: u64,
    /// Nothing is left below.
    cut: u64,
    /// Both are the constants of this module; the simulation has its own.
    pub(crate) sidecar_lag: Duration,
    pub(crate) payload_bytes_max: usize,
}

/// Runs until the ring is closed and empty, or the store fails; a failure or a panic poisons.
pub(crate) fn run(writer: Writer) {
    let shared = Arc::clone(&writer.shared);
    shared.bell.belong_to_this_thread();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Log::new(writer).run()));
    match outcome {
        Ok(Ok(())) => shared.end(Ok(())),
        Ok(Err(error)) => shared.end(Err(&error.to_string())),
        Err(_) => shared.end(Err("the log thread panicked")),
    }
}

impl Log {
    pub(crate) fn new(writer: Writer) -> Self {
        let tip = writer.log.as_ref().map_or(Tip::ORIGIN, |log| log.tip);
        Log {
            reader: Reader::new(tip.end),
            encoded: Vec::new(),
            last_sync: Instant::now(),
            last_sidecar: Instant::now(),
            window_bytes: 0,
            tip,
            synced: tip,
            vouched: tip.end,
            cut: 0,
            sidecar_lag: SIDECAR_LAG,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            writer,
        }
    }

    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let shared = Arc::clone(&self.writer.shared);
            match self.turn()? {
                WriterTurn::Wrote => {
                    if self.writer.log.is_none() && !shared.ring.is_closed() {
                        // No sync gathers the next group, and nobody waits for an acknowledgement: without a pause every
                        // record would be a group, and every writer would have to wake us.
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
        let shared = Arc::clone(&self.writer.shared);
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

    /// Gives a group to the fold; a full channel holds the log back until the fold has caught up. That may itself wait for
    /// a checkpoint, which waits for a sync: so what is to be synced meanwhile is.
    fn hand_on(&mut self, mut group: Group) -> Result<(), StoreError> {
        loop {
            match self.writer.fold.send_timeout(group, HELD_BACK) {
                Err(SendTimeoutError::Timeout(held_back)) => group = held_back,
                // A fold that is gone folds nothing.
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return Ok(()),
            }
            self.sync_if_due()?;
        }
    }

    /// Until the next sync of an interval is due, if that is sooner.
    fn nap(&self) -> Duration {
        match self.writer.durability {
            Durability::Interval(period) if self.window_bytes > 0 => {
                period.saturating_sub(self.last_sync.elapsed()).min(NAP)
            }
            _ => NAP,
        }
    }

    /// Copies what is published, up to one sync window, and frees its words.
    fn next_group(&mut self) -> Group {
        let ring = &self.writer.shared.ring;
        let mut group = Group { chunks: Vec::new(), end: self.reader.position(), tip: Tip::ORIGIN };
        let mut bytes = 0;
        let mut records = 0;
        let room = SYNC_WINDOW_BYTES_MAX - CHUNK_BYTES_MAX;
        while bytes < room && self.reader.has_next(ring) {
            let spare = self.writer.shared.spare.take();
            let mut payload = Payload { start: self.reader.position(), words: 0, bytes: spare };
            while let Some(next) = self.reader.next_bytes(ring)
                && payload.bytes.len() + next <= self.payload_bytes_max
            {
                match self.reader.next(ring, &mut payload.bytes) {
                    Found::Nothing => break,
                    Found::Record { words } => payload.words += words,
                    Found::Void { words } => {
                        let void = super::record::Record::Void { words: words as u16 };
                        let mut buffer = [0; super::record::VOID_BYTES_MAX];
                        payload.bytes.extend_from_slice(void.encode(&mut buffer).unwrap_or_default());
                        payload.words += words;
                    }
                }
                records += 1;
            }
            if payload.words == 0 {
                break;
            }
            stall::at(Step::LogFreeing);
            self.reader.free(ring, payload.words);
            bytes += payload.bytes.len() + chunk::HEADER_BYTES;
            group.end = self.reader.position();
            group.chunks.push(payload);
        }
        if !group.chunks.is_empty() {
            self.writer.shared.metrics.group(records, bytes as u64);
        }
        group
    }

    fn write(&mut self, group: &Group) -> Result<(), StoreError> {
        // What is unsynced is bounded by bytes too: beyond the window a loss of power costs the store more than
        // its tail.
        if self.window_bytes + group.bytes() > SYNC_WINDOW_BYTES_MAX {
            self.sync()?;
        }
        if planted(Fault::AckEarly) {
            self.writer.shared.durable.advance(group.end);
        }
        let Some(log) = &mut self.writer.log else {
            self.tip.end = group.end;
            self.writer.shared.durable.advance(group.end);
            return Ok(());
        };
        for (index, payload) in group.chunks.iter().enumerate() {
            let header = ChunkHeader {
                epoch: log.epoch,
                start: payload.start,
                words: payload.words as u32,
                commit: index + 1 == group.chunks.len(),
                previous: self.tip.hash,
                synced: self.synced.end,
            };
            self.encoded.clear();
            self.tip.hash = chunk::encode(&header, &payload.bytes, &mut self.encoded);
            self.tip.end = header.end();
            log.store.append(payload.start, &self.encoded)?;
            self.window_bytes += self.encoded.len();
        }
        match self.writer.durability {
            Durability::Sync => self.sync()?,
            Durability::Interval(_) | Durability::Memory => {
                log.store.flush()?;
                self.writer.shared.durable.advance(group.end);
                self.sync_if_due()?;
            }
        }
        Ok(())
    }

    /// Syncs what an interval leaves unsynced for too long, and keeps the sidecar close.
    fn sync_if_due(&mut self) -> Result<(), StoreError> {
        if let Durability::Interval(period) = self.writer.durability
            && self.window_bytes > 0
            && self.last_sync.elapsed() >= period
        {
            return self.sync();
        }
        if self.writer.shared.sync_wanted.load(Ordering::Relaxed) > self.synced.end {
            return self.sync();
        }
        self.vouch()
    }

    /// Removes what nobody needs, at most so many chunks of it.
    fn cut(&mut self, chunks_max: usize) -> Result<(), StoreError> {
        let below = self.writer.shared.cut_below.load(Ordering::Relaxed);
        if self.cut < below
            && let Some(log) = &mut self.writer.log
            && log.store.remove_below(below, chunks_max)? < chunks_max
        {
            self.cut = below;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let began = Instant::now();
        if let Some(log) = &mut self.writer.log {
            if planted(Fault::SkipSync) { log.store.flush()? } else { log.store.sync()? }
        }
        self.last_sync = Instant::now();
        self.writer.shared.metrics.sync(self.last_sync - began);
        self.window_bytes = 0;
        self.synced = self.tip;
        self.writer.shared.durable.advance(self.tip.end);
        self.writer.shared.synced.advance_and_wake(self.tip.end);
        self.vouch()
    }

    /// Moves the sidecar to what is synced, if it has lagged for long.
    fn vouch(&mut self) -> Result<(), StoreError> {
        let Tip { end, hash } = self.synced;
        if let Some(log) = &mut self.writer.log
            && self.vouched != end
            && self.last_sidecar.elapsed() >= self.sidecar_lag
        {
            log.sidecar.write(&Durable { epoch: log.epoch, end, hash, orderly: false })?;
            self.vouched = end;
            self.last_sidecar = Instant::now();
        }
        Ok(())
    }

    /// Everything synced, the sidecar exact.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.sync()?;
        match self.writer.log {
            Some(log) => log.close(self.tip),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;
    use crate::log::record::{RECORD_BYTES_MAX, words_for};
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
            let words = words_for(length);
            shared.ring.claim(words, Share::Take).unwrap().draw(words).fill(&record);
            written.extend(record);
        }
        let end = shared.ring.drawn();
        let (fold, _groups) = crossbeam::channel::unbounded();
        let mut log =
            Log::new(Writer { shared: Arc::new(shared), log: None, fold, durability: Durability::Memory });
        let (mut read, mut at, mut chunks) = (Vec::new(), 0, 0);
        while at < end {
            let group = log.next_group();
            assert!(group.bytes() <= SYNC_WINDOW_BYTES_MAX);
            for payload in group.chunks {
                assert!(payload.bytes.len() <= PAYLOAD_BYTES_MAX);
                assert_eq!(payload.start, at);
                at += payload.words;
                chunks += 1;
                read.extend(payload.bytes);
            }
            assert_eq!(group.end, at);
        }
        assert_eq!((at, log.writer.shared.ring.used_words()), (end, 0));
        assert!(read == written && chunks > 50);
    }

    #[test]
    fn a_fold_that_holds_the_log_back_may_wait_for_a_sync() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) =
            OpenLog::open(directory.path(), &mut Beginning(|_: &ChunkHeader, _: &[u8]| Ok(()))).unwrap();
        let shared = Arc::new(LogShared::new(1 << 13, 0, None));
        let words = words_for(9);
        shared.ring.claim(words, Share::Take).unwrap().draw(words).fill(&[0; 9]);
        // It takes the group when the checkpoint is made that it waits for, and not before.
        let (fold, groups) = crossbeam::channel::bounded(0);
        let durability = Durability::Interval(Duration::from_secs(3_600));
        let mut log = Log::new(Writer { shared: Arc::clone(&shared), log: Some(log), fold, durability });
        std::thread::scope(|scope| {
            scope.spawn(move || log.turn().unwrap());
            while shared.durable.position() < words {
                std::thread::yield_now();
            }
            assert!(shared.sync_up_to(words));
            assert_eq!(groups.recv().unwrap().end, words);
        });
    }
}
