//! What all handles and threads of one engine share, and the small steps that every operation is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::checkpoint::thread::Checkpointer;
use crate::clock::{Clock, EngineTime, Timestamp};
use crate::config::{Config, Durability};
use crate::error::{Busy, SharedError, Stopped};
use crate::expiry::timers::Timers;
use crate::fold::answers::Answers;
use crate::fold::follower::Follower;
use crate::hold::lines::{Good, Line};
use crate::hold::op_keys::{Answer, Attempt, Done, OpKeys};
use crate::hold::table::HoldTable;
use crate::index::KeyIndex;
use crate::log::record::{Encoded, Op, Record, Span};
use crate::log::ring::{Claim, NoClaim, Share};
use crate::log::words::Words;
use crate::log::writer::LogShared;
use crate::metrics::{Count, Tally};
use crate::stock::blocks::Lane;
use crate::stock::book::{Book, Item};
use crate::stock::catalog::Catalog;
use crate::types::{OpKey, Position, StockKey};

/// Shards at most; a snapshot of their timers fits on the stack.
pub(crate) const SHARDS_MAX: usize = 16;

/// The error of a record that does not fit, which no validated request can cause.
pub(crate) const RECORD_TOO_LONG: SharedError =
    SharedError::ReferenceTooLong(crate::log::record::RECORD_BYTES_MAX);

/// The state of one engine.
pub(crate) struct Core {
    pub config: Config,
    pub log: Arc<LogShared>,
    pub book: Book,
    pub catalog: Catalog,
    pub holds: HoldTable,
    /// One for each shard.
    pub timers: Box<[Timers]>,
    pub op_keys: OpKeys,
    pub answers: Answers,
    pub follower: Follower,
    pub ship_round: parking_lot::Mutex<ShipRound>,
    /// None in memory.
    pub checkpointer: Option<Checkpointer>,
    /// Held by the one thread that verifies.
    pub verifying: parking_lot::Mutex<()>,
    pub tally: Tally,
    /// The number of this opening.
    pub epoch: u32,
    /// Times in the log count from here.
    pub opened_at: Timestamp,
    /// The clock, steered towards the wall.
    pub time: EngineTime,
    /// Live holds that recovery found.
    pub recovered_live: u64,
}

/// How far the search for overdue commitments is; see [`auto_ship`](super::auto_ship).
#[derive(Debug, Default)]
pub(crate) struct ShipRound {
    /// The next segment of the table of holds.
    pub next: usize,
    /// Segments searched in this opening, and segments skipped because time ran ahead.
    pub passed: u128,
}

/// Shards of an engine on this machine: about as many as threads can run at once.
pub(crate) fn shards() -> usize {
    #[cfg(all(test, not(stockhold_loom)))]
    if crate::proofs::simulation::steered().is_some() {
        return 2;
    }
    thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(SHARDS_MAX)
}

/// The calling thread's number, by which threads are spread over shards and cells.
#[inline]
pub(crate) fn thread_number() -> usize {
    #[cfg(all(test, not(stockhold_loom)))]
    if let Some(client) = crate::proofs::simulation::steered() {
        return client;
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: only the number matters, it publishes nothing.
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.try_with(|number| *number).unwrap_or(0)
}

impl Core {
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.time.now().max(self.opened_at)
    }

    /// Saves engine time for the next opening, unless the log has ended: another engine may have the
    /// directory then.
    pub(crate) fn save_time(&self) {
        if self.stopped().is_ok() {
            self.time.keep();
        }
    }

    /// A moment as records have it: milliseconds since the opening.
    pub(crate) fn record_time(&self, now: Timestamp) -> u64 {
        now.0.saturating_sub(self.opened_at.0)
    }

    /// The public stock key with an index.
    pub(crate) fn stock_key(&self, index: KeyIndex) -> StockKey {
        StockKey { index, tag: self.answers.tag }
    }

    #[inline]
    pub(crate) fn item(&self, key: StockKey) -> Result<Item<'_>, SharedError> {
        if key.tag != self.answers.tag {
            return Err(SharedError::ForeignKey);
        }
        self.book.get(key.index).ok_or(SharedError::ForeignKey)
    }

    /// The counter of a line, and the line as one of a good; `None` for a key that is not there.
    #[inline]
    pub(crate) fn good(&self, line: Line) -> Option<(Item<'_>, Good)> {
        let good = line.good()?;
        Some((self.book.get(good.key)?, good))
    }

    /// The cells of a key that the calling thread uses first.
    #[inline]
    pub(crate) fn lane(&self, key: KeyIndex) -> Lane<'_> {
        self.book.lane(thread_number(), key)
    }

    #[inline]
    pub(crate) fn count(&self, count: Count) {
        self.tally.add(thread_number(), count);
    }

    /// Counts a `Busy`, and returns it as an error.
    pub(crate) fn busy(&self, busy: Busy) -> SharedError {
        self.count(match busy {
            Busy::Pending => Count::BusyPending,
            Busy::Reclaiming => Count::BusyReclaiming,
            Busy::LogBehind => Count::BusyLogBehind,
            Busy::OpKeysFull => Count::BusyOpKeysFull,
            Busy::Changing => Count::BusyChanging,
            Busy::Growing => Count::BusyGrowing,
            Busy::Room => Count::BusyRoom,
        });
        SharedError::Busy(busy)
    }

    /// An error if the engine takes no new operations: the reason.
    #[inline]
    pub(crate) fn stopped(&self) -> Result<(), Stopped> {
        if self.log.ring.is_closed() { Err(self.log.poison.cause()) } else { Ok(()) }
    }

    /// Claims room in the log, before anything changes.
    #[inline]
    pub(crate) fn claim(&self, words: Words, share: Share) -> Result<Claim<'_>, SharedError> {
        self.log.ring.claim(words, share).map_err(|no| match no {
            NoClaim::Full => self.busy(Busy::LogBehind),
            NoClaim::Closed => SharedError::Stopped(self.log.poison.cause()),
        })
    }

    /// Encodes a record. It fits: requests are validated first, and the longest record is tested to fit.
    pub(crate) fn encode(&self, record: &Record<'_>) -> Result<Encoded, SharedError> {
        Encoded::new(record).ok_or(RECORD_TOO_LONG)
    }

    /// The position that an answer rests on for which nothing was written.
    pub(crate) fn read_position(&self) -> Position {
        Position(self.log.ring.drawn())
    }

    /// Counts a position that was drawn and voided, and wakes the log thread to pass it.
    pub(crate) fn count_void(&self) {
        self.log.bell.ring();
        self.count(Count::Voided);
    }

    // ── op keys ────────────────────────────────────────────────────────────────────────────────────────────

    /// Decides once for an op key. `decide` gets the op to log, and its result is remembered.
    #[inline]
    pub(crate) fn decide_once<T, E: From<SharedError>>(
        &self,
        key: Option<OpKey>,
        content: u64,
        now: Timestamp,
        wrap: impl Fn(T) -> Answer,
        unwrap: impl Fn(Answer) -> Result<T, E>,
        decide: impl FnOnce(Option<Op>) -> Result<(T, Position), E>,
    ) -> Result<(T, Position), E>
    where
        T: Copy,
    {
        let Some(key) = key else { return decide(None) };
        self.stopped().map_err(SharedError::from)?;
        match self.op_keys.begin(key, content, now) {
            Err(SharedError::Busy(busy)) => Err(self.busy(busy).into()),
            Err(error) => Err(error.into()),
            Ok(Attempt::Before(done)) => {
                self.count(Count::Duplicates);
                Ok((unwrap(done.answer)?, done.position))
            }
            Ok(Attempt::Now(deciding)) => {
                let (value, position) = decide(Some(Op::new(key.0, content, 0)))?;
                deciding.done(Done { answer: wrap(value), position, at: now });
                Ok((value, position))
            }
        }
    }

    /// Forgets op keys past their window, and gathers split keys that are no longer hot.
    pub(crate) fn clean_up(&self, now: Timestamp) {
        self.op_keys.forget_if_due(now);
        self.book.gather_idle(now);
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.config.durability == Durability::Memory
    }
}

/// Engine time.
impl Clock for Core {
    fn now(&self) -> Timestamp {
        Core::now(self)
    }
}

/// A TTL as records have it.
pub(crate) fn record_ttl(from: Timestamp, to: Timestamp) -> Span {
    Span::from_millis(to.0.saturating_sub(from.0))
}
