//! What all handles and threads of one engine share, and the small steps that every operation is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Durability};
use crate::error::{Busy, Common, Stopped};
use crate::expiry::timers::{Fired, Slots, State, Timers, Turn};
use crate::fold::answers::Answers;
use crate::fold::follower::Follower;
use crate::hold::lines::Line;
use crate::hold::op_keys::{Answer, Began, Done, OpKeys};
use crate::hold::slot::Slot;
use crate::hold::state::{Event, No, Phase, decide};
use crate::hold::table::HoldTable;
use crate::log::record::{Encoded, Op, Place, Record, Span};
use crate::log::ring::{Claim, NoClaim, Share};
use crate::log::writer::Shared;
use crate::metrics::{Count, Tally};
use crate::stall::{self, Step};
use crate::stock::blocks::Lane;
use crate::stock::book::{Book, Item};
use crate::stock::catalog::Catalog;
use crate::stock::counter::PendingFull;
use crate::sync::AtomicU32;
use crate::types::{OpKey, Position, StockKey};

use super::find::Seen;
use super::told::Told;
use super::transition::{Beaten, Change, Pledges};

/// Shards at most; a snapshot of their timers fits on the stack.
pub(crate) const SHARDS_MAX: usize = 16;

/// Turns of one shard in a row that may make no progress before a sweep leaves it for later. Under loom one is enough to
/// reach every branch.
const IDLE_TURNS_MAX: usize = if cfg!(stockhold_loom) { 1 } else { 64 };

/// A record that does not fit, which no validated request can cause.
pub(crate) const TOO_LONG: Common = Common::ReferenceTooLong(crate::log::record::RECORD_BYTES_MAX);

pub(crate) struct Core {
    pub config: Config,
    pub log: Arc<Shared>,
    pub book: Book,
    pub catalog: Catalog,
    pub holds: HoldTable,
    pub timers: Box<[Timers]>,
    pub op_keys: OpKeys,
    pub answers: Answers,
    pub follower: Follower,
    pub tally: Tally,
    /// This opening.
    pub epoch: u32,
    /// Times in the log count from here.
    pub opened_at: Timestamp,
    /// How far engine time is ahead of the clock: as far as the last time in the log was, so that it goes on from there.
    pub ahead_ms: u64,
    /// Live holds that recovery found.
    pub recovered_live: u64,
}

/// The calling thread's number: threads spread over shards by it.
pub(crate) fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: a number, nothing more.
        static HOME: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    HOME.try_with(|home| *home).unwrap_or(0)
}

/// What a look at the timers of all shards says.
pub(crate) enum Horizon {
    /// Nothing is due, and nothing was being reclaimed, at an instant.
    Clean {
        /// Nor since the look before: nothing was registered, and nobody reclaimed, in between.
        same: bool,
    },
    /// This shard has something due.
    Due(usize),
    /// Somebody is reclaiming.
    Turning,
}

/// The timers' states at one look.
pub(crate) struct Snapshot([State; SHARDS_MAX]);

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        let clock_ms = self.config.clock.now().0;
        Timestamp(clock_ms.saturating_add(self.ahead_ms)).max(self.opened_at)
    }

    /// `now` as records have it.
    pub(crate) fn at(&self, now: Timestamp) -> u64 {
        now.0.saturating_sub(self.opened_at.0)
    }

    pub(crate) fn item(&self, key: StockKey) -> Result<&Item, Common> {
        if key.tag != self.answers.tag {
            return Err(Common::ForeignKey);
        }
        self.book.get(key.index).ok_or(Common::ForeignKey)
    }

    /// Where this thread does its part of a key's work.
    pub(crate) fn lane(&self, key: u32) -> Lane<'_> {
        self.book.lane(home(), key)
    }

    pub(crate) fn count(&self, count: Count) {
        self.tally.add(home(), count);
    }

    /// Counts and returns a `Busy`.
    pub(crate) fn busy(&self, busy: Busy) -> Common {
        self.count(match busy {
            Busy::Pending => Count::BusyPending,
            Busy::Reclaiming => Count::BusyReclaiming,
            Busy::LogBehind => Count::BusyLogBehind,
            Busy::OpKeysFull => Count::BusyOpKeysFull,
            Busy::Changing => Count::BusyChanging,
            Busy::Growing => Count::BusyGrowing,
        });
        Common::Busy(busy)
    }

    /// Why the engine takes nothing new, if so.
    pub(crate) fn stopped(&self) -> Result<(), Stopped> {
        if self.log.ring.is_closed() { Err(self.log.poison.cause()) } else { Ok(()) }
    }

    /// Room in the log, before anything changes.
    pub(crate) fn claim(&self, words: u64, share: Share) -> Result<Claim<'_>, Common> {
        self.log.ring.claim(words, share).map_err(|no| match no {
            NoClaim::Full => self.busy(Busy::LogBehind),
            NoClaim::Closed => Common::Stopped(self.log.poison.cause()),
        })
    }

    /// A record's bytes. It fits: requests are validated first, and the longest record is tested to fit.
    pub(crate) fn encode(&self, record: &Record<'_>) -> Result<Encoded, Common> {
        Encoded::new(record).ok_or(TOO_LONG)
    }

    /// The position that an answer rests on that wrote nothing.
    pub(crate) fn read_position(&self) -> Position {
        Position(self.log.ring.drawn())
    }

    // ── op keys ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Decides once for an op key. `decide` gets the op to log, and what it returns is remembered.
    pub(crate) fn once<T, E: From<Common>>(
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
        self.stopped().map_err(Common::from)?;
        match self.op_keys.begin(key, content, now) {
            Err(Common::Busy(busy)) => Err(self.busy(busy).into()),
            Err(error) => Err(error.into()),
            Ok(Began::Before(done)) => {
                self.count(Count::Duplicates);
                Ok((unwrap(done.answer)?, done.position))
            }
            Ok(Began::Now(deciding)) => {
                let (value, position) = decide(Some(Op::new(key.0, content, 0)))?;
                deciding.done(Done { answer: wrap(value), position, at: now });
                Ok((value, position))
            }
        }
    }

    // ── holds ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Announces that units will come back.
    pub(crate) fn announce(&self, lines: &[Line]) -> Result<Pledges<'_>, Common> {
        let mut back = Pledges::default();
        for line in lines {
            let announced = match self.book.get(line.key) {
                Some(item) => back
                    .announce(&item.counter, self.lane(line.key), line.units)
                    .map_err(|PendingFull| self.busy(Busy::Pending)),
                None => Err(Common::ForeignKey),
            };
            if let Err(cause) = announced {
                back.forgo();
                return Err(cause);
            }
        }
        Ok(back)
    }

    /// Closes a hold whose deadline has passed at `now`; `Ok(None)` if that is not how it is.
    pub(crate) fn expire(
        &self,
        slot: &Slot,
        place: Place,
        now: Timestamp,
    ) -> Result<Option<Position>, Common> {
        loop {
            let hold = match self.seen(slot, place.generation) {
                Seen::Here(hold) => hold,
                Seen::Gone => return Ok(None),
                Seen::Changing => return Err(self.busy(Busy::Changing)),
            };
            let Ok(next) = decide(hold.word, now, Event::Expire) else { return Ok(None) };
            if hold.lines.iter().any(|line| self.book.get(line.key).is_none()) {
                return Ok(None);
            }
            let (is_cart, ttl) = (hold.lines.len() > 1, span(now, now));
            let told = Told::Expire { lines: hold.lines };
            let mut record = Encoded::empty();
            let put = told.put(&mut record, is_cart, (self.at(now), place), ttl, None);
            put.ok_or(Common::CartLines(told.back().len()))?;
            let claim = self.claim(record.words(), Share::Keep)?;
            let (back, taken) = (self.announce(told.back())?, Pledges::default());
            let change = Change { claim, record: &record, slot, from: hold.word, to: next, back, taken };
            match change.make(|| {}) {
                Ok(end) => {
                    self.log.bell.ring();
                    stall::at(Step::Ended);
                    self.holds.bury(place.slot);
                    self.count(Count::Expired);
                    return Ok(Some(Position(end)));
                }
                Err(Beaten) => self.voided(),
            }
        }
    }

    /// A position was drawn for nothing.
    pub(crate) fn voided(&self) {
        self.log.bell.ring();
        self.count(Count::Voided);
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn timers_of(&self, slot: u32) -> (&Timers, ShardSlots<'_>, u32) {
        let (shard, local) = self.holds.locate(slot);
        (&self.timers[shard], ShardSlots { core: self, shard }, local)
    }

    /// The timers' states, whatever they say.
    pub(crate) fn look(&self) -> Snapshot {
        let mut snapshot = Snapshot([State::default(); SHARDS_MAX]);
        for (timers, state) in self.timers.iter().zip(&mut snapshot.0) {
            *state = timers.state();
        }
        snapshot
    }

    /// Whether everything due at `now` was reclaimed.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.timers.iter().map(Timers::state).all(|state| !state.is_turning() && !state.is_due(now))
    }

    /// Whether anything is due, in any shard, now. The clock is asked last, and only if anything will ever be due.
    pub(crate) fn horizon(&self, before: Option<&Snapshot>, now: impl FnOnce() -> Timestamp) -> Horizon {
        let (mut same, mut earliest_ms, mut earliest_shard) = (true, u64::MAX, 0);
        for (shard, timers) in self.timers.iter().enumerate() {
            let state = timers.state();
            if state.is_turning() {
                return Horizon::Turning;
            }
            same &= before.is_none_or(|before| before.0[shard] == state);
            if state.earliest_ms() < earliest_ms {
                (earliest_ms, earliest_shard) = (state.earliest_ms(), shard);
            }
        }
        if earliest_ms < u64::MAX && earliest_ms <= now().0 {
            return Horizon::Due(earliest_shard);
        }
        Horizon::Clean { same }
    }

    /// Expires a batch of what is due in one shard.
    pub(crate) fn turn(&self, shard: usize, now: Timestamp) -> Turn {
        self.timers[shard].turn(&ShardSlots { core: self, shard }, now)
    }

    /// Expires all that is due at `now`, a batch at a time; how many. What somebody else reclaims is left to them.
    pub(crate) fn sweep(&self, now: Timestamp) -> usize {
        let mut expired = 0;
        for shard in 0..self.timers.len() {
            // Turns without progress: what is due cannot be closed yet.
            let mut idle = 0;
            while idle < IDLE_TURNS_MAX
                && self.timers[shard].state().is_due(now)
                && !self.log.ring.is_closed()
            {
                match self.turn(shard, now) {
                    Turn::Elsewhere => break,
                    Turn::Turned { expired: batch, progress } => {
                        expired += batch;
                        idle = if progress { 0 } else { idle + 1 };
                    }
                }
            }
        }
        expired
    }

    /// Forgets op keys past their window, and gathers what is no longer hot.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.op_keys.forget_if_due(now);
        self.book.cool(now);
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

/// One shard's slots, as its timers see them.
pub(crate) struct ShardSlots<'c> {
    core: &'c Core,
    shard: usize,
}

impl ShardSlots<'_> {
    fn slot(&self, local: u32) -> Option<(u32, &Slot)> {
        let slot = self.core.holds.global(self.shard, local);
        Some((slot, self.core.holds.slot(slot)?))
    }
}

impl Slots for ShardSlots<'_> {
    fn timer(&self, local: u32) -> Option<&AtomicU32> {
        Some(&self.core.holds.slot(self.core.holds.global(self.shard, local))?.timer)
    }

    fn deadline(&self, local: u32) -> Option<Timestamp> {
        let word = self.slot(local)?.1.word();
        word.phase().has_deadline().then(|| word.deadline())
    }

    fn fire(&self, local: u32, now: Timestamp) -> Fired {
        let Some((slot, item)) = self.slot(local) else { return Fired::Dead };
        loop {
            let word = item.word();
            let generation = item.facts().generation;
            match decide(word, now, Event::Expire) {
                // Its units may be taken and its position not drawn, or another is changing it: it cannot be closed
                // yet, nor forgotten.
                Err(No::Phase(Phase::Reserving | Phase::Changing)) | Err(No::NotDue) => {
                    return Fired::Later(word.deadline());
                }
                Err(_) => return Fired::Dead,
                Ok(_) => {}
            }
            match self.core.expire(item, Place { slot, generation }, now) {
                Ok(Some(_)) => return Fired::Expired,
                // A key that is not there, which no log of ours names, has no units.
                Ok(None) if item.word() == word => return Fired::Dead,
                Ok(None) => {} // it changed under us: look again
                Err(_) => return Fired::Later(word.deadline()),
            }
        }
    }
}

/// A TTL as records have it.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> Span {
    Span::from_millis(to.0.saturating_sub(from.0))
}
