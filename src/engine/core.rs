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
use crate::hold::lines::Line;
use crate::hold::op_keys::{Answer, Attempt, Done, OpKeys};
use crate::hold::table::HoldTable;
use crate::log::record::{Encoded, Op, Record, Span};
use crate::log::ring::{Claim, NoClaim, Share};
use crate::log::writer::LogShared;
use crate::metrics::{Count, Tally};
use crate::stock::blocks::Lane;
use crate::stock::book::{Book, Item};
use crate::stock::catalog::Catalog;
use crate::stock::counter::PendingFull;
use crate::types::{OpKey, Position, StockKey};

use super::auto_ship::ShipRound;
use super::transition::Pledges;

/// Shards at most; a snapshot of their timers fits on the stack.
pub(crate) const SHARDS_MAX: usize = 16;

/// A record that does not fit, which no validated request can cause.
pub(crate) const TOO_LONG: SharedError = SharedError::ReferenceTooLong(crate::log::record::RECORD_BYTES_MAX);

pub(crate) struct Core {
    pub config: Config,
    pub log: Arc<LogShared>,
    pub book: Book,
    pub catalog: Catalog,
    pub holds: HoldTable,
    pub timers: Box<[Timers]>,
    pub op_keys: OpKeys,
    pub answers: Answers,
    pub follower: Follower,
    /// Over the commitments, for those that nobody ships.
    pub round: parking_lot::Mutex<ShipRound>,
    /// None in memory.
    pub checkpointer: Option<Checkpointer>,
    /// One verifies at a time.
    pub verifying: parking_lot::Mutex<()>,
    pub tally: Tally,
    /// This opening.
    pub epoch: u32,
    /// Times in the log count from here.
    pub opened_at: Timestamp,
    /// The clock, steered towards the wall.
    pub time: EngineTime,
    /// Live holds that recovery found.
    pub recovered_live: u64,
}

/// Shards of an engine on this machine: about as many as threads can run at once.
pub(crate) fn shards() -> usize {
    #[cfg(all(test, not(stockhold_loom)))]
    if crate::proofs::simulation::steered().is_some() {
        return 2;
    }
    thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(SHARDS_MAX)
}

/// The calling thread's number: threads spread over shards by it.
#[inline]
pub(crate) fn home() -> usize {
    #[cfg(all(test, not(stockhold_loom)))]
    if let Some(client) = crate::proofs::simulation::steered() {
        return client;
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: a number, nothing more.
        static HOME: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    HOME.try_with(|home| *home).unwrap_or(0)
}

impl Core {
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.time.now().max(self.opened_at)
    }

    /// Keeps engine time for the next opening. Not once the log has ended: the directory may be another's then.
    pub(crate) fn keep_time(&self) {
        if self.stopped().is_ok() {
            self.time.keep();
        }
    }

    /// `now` as records have it.
    pub(crate) fn at(&self, now: Timestamp) -> u64 {
        now.0.saturating_sub(self.opened_at.0)
    }

    #[inline]
    pub(crate) fn item(&self, key: StockKey) -> Result<Item<'_>, SharedError> {
        if key.tag != self.answers.tag {
            return Err(SharedError::ForeignKey);
        }
        self.book.get(key.index).ok_or(SharedError::ForeignKey)
    }

    /// Where this thread does its part of a key's work.
    #[inline]
    pub(crate) fn lane(&self, key: u32) -> Lane<'_> {
        self.book.lane(home(), key)
    }

    #[inline]
    pub(crate) fn count(&self, count: Count) {
        self.tally.add(home(), count);
    }

    /// Counts and returns a `Busy`.
    pub(crate) fn busy(&self, busy: Busy) -> SharedError {
        self.count(match busy {
            Busy::Pending => Count::BusyPending,
            Busy::Reclaiming => Count::BusyReclaiming,
            Busy::LogBehind => Count::BusyLogBehind,
            Busy::OpKeysFull => Count::BusyOpKeysFull,
            Busy::Changing => Count::BusyChanging,
            Busy::Growing => Count::BusyGrowing,
        });
        SharedError::Busy(busy)
    }

    /// Why the engine takes nothing new, if so.
    #[inline]
    pub(crate) fn stopped(&self) -> Result<(), Stopped> {
        if self.log.ring.is_closed() { Err(self.log.poison.cause()) } else { Ok(()) }
    }

    /// Room in the log, before anything changes.
    #[inline]
    pub(crate) fn claim(&self, words: u64, share: Share) -> Result<Claim<'_>, SharedError> {
        self.log.ring.claim(words, share).map_err(|no| match no {
            NoClaim::Full => self.busy(Busy::LogBehind),
            NoClaim::Closed => SharedError::Stopped(self.log.poison.cause()),
        })
    }

    /// A record's bytes. It fits: requests are validated first, and the longest record is tested to fit.
    pub(crate) fn encode(&self, record: &Record<'_>) -> Result<Encoded, SharedError> {
        Encoded::new(record).ok_or(TOO_LONG)
    }

    /// The position that an answer rests on that wrote nothing.
    pub(crate) fn read_position(&self) -> Position {
        Position(self.log.ring.drawn())
    }

    // ── op keys ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Decides once for an op key. `decide` gets the op to log, and what it returns is remembered.
    #[inline]
    pub(crate) fn once<T, E: From<SharedError>>(
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

    /// Announces that units will come back.
    #[inline]
    pub(crate) fn announce(&self, lines: &[Line]) -> Result<Pledges<'_>, SharedError> {
        let mut back = Pledges::default();
        for line in lines {
            let announced = match self.book.get(line.key) {
                Some(item) => back
                    .announce(item.counter, self.lane(line.key), line.units)
                    .map_err(|PendingFull| self.busy(Busy::Pending)),
                None => Err(SharedError::ForeignKey),
            };
            if let Err(cause) = announced {
                back.forgo();
                return Err(cause);
            }
        }
        Ok(back)
    }

    /// A position was drawn for nothing.
    pub(crate) fn voided(&self) {
        self.log.bell.ring();
        self.count(Count::Voided);
    }

    /// Forgets op keys past their window, and gathers what is no longer hot.
    pub(crate) fn tidy(&self, now: Timestamp) {
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
pub(crate) fn span(from: Timestamp, to: Timestamp) -> Span {
    Span::from_millis(to.0.saturating_sub(from.0))
}
