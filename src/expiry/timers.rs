//! The timers of one shard of holds: a wheel behind a lock, and in front of it a part that callers use
//! without the lock.
//!
//! The wheel has a horizon: [`Timers::state`] says, by one load, up to when nothing is due. A thread that
//! would refuse a caller compares it with the current time; if something is due, it turns the wheel itself,
//! unless another thread is turning it already. The driver thread only keeps the horizon fresh; the engine is
//! exact without it (F5, F7).
//!
//! ```text
//! bit 63 ......... 23  22 ....... 1  0
//!     earliest (41)    turns (22)    being turned
//! ```
//!
//! # Ground rules
//!
//! 1. `earliest` is never later than the deadline of any live hold of the shard. A reserve queues its slot in
//!    the intake, *then* lowers `earliest`, *then* takes its units. A turn resets `earliest`, *then* drains
//!    the intake, and ends by lowering it to what the wheel says: so a slot that the turn did not drain was
//!    queued after the reset, and its own lowering stands.
//! 2. While the wheel is being turned no thread believes `earliest`: bit 0 says so.
//! 3. A refuser reads the state of every shard, then the counter, then every state again. If the states are
//!    equal both times and nothing is due, no turn ended or began in between, so the counter had every unit
//!    that was not in a live hold.
//! 4. The intake has a slot at most once, and the wheel has at most one timer a slot, whatever its holds did
//!    meanwhile: dead timers are bounded by slots. When a timer fires, the hold's word is read; a later
//!    deadline (an extension) puts the timer back.
//! 5. A turn is bounded: it drains at most [`DRAIN_MAX`] slots and takes at most [`BATCH`] steps of the
//!    wheel. If anything remains, `earliest` stays where it was.

use crossbeam::utils::CachePadded;

use super::wheel::{Progress, Wheel};
use crate::clock::{EPOCH_2020_MS, Timestamp};
use crate::fault::{Fault, planted};
use crate::hold::slot;
use crate::index::LocalIndex;
use crate::stall::{self, Step};
use crate::sync::{AtomicU32, AtomicU64, Ordering, TryMutex};

/// No slot: the end of the intake.
const NONE: u32 = u32::MAX >> 1;
const TURNING: u64 = 1;
const TURN_ONE: u64 = 2;
const TURN_MASK: u64 = (1 << 23) - 1;
const NEVER: u64 = u64::MAX >> 23;
/// The most slots that one turn takes over from the intake.
const DRAIN_MAX: usize = 4_096;
/// The most holds that one turn expires.
const BATCH: usize = 256;

/// The state of a shard's timers, as one load reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct State(u64);

impl State {
    /// Whether the wheel is being turned, so that the state cannot be believed.
    pub(crate) fn is_turning(self) -> bool {
        self.0 & TURNING != 0
    }

    /// Whether something may be due at `now`.
    pub(crate) fn is_due(self, now: Timestamp) -> bool {
        self.earliest_ms() <= now.0
    }

    /// A lower bound of every deadline, in Unix ms; `u64::MAX` if there is none.
    pub(crate) fn earliest_ms(self) -> u64 {
        unpack(self.0 >> 23)
    }
}

fn pack(deadline_ms: u64) -> u64 {
    deadline_ms.saturating_sub(EPOCH_2020_MS).min(NEVER)
}

fn unpack(earliest: u64) -> u64 {
    if earliest == NEVER { u64::MAX } else { EPOCH_2020_MS + earliest }
}

/// The result of a timer that fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fired {
    /// The hold expired.
    Expired,
    /// There is nothing to expire.
    Dead,
    /// The hold cannot expire now: the timer fires again at this deadline, which may have passed.
    Later(Timestamp),
}

/// The result of a turn of the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// `expired` holds expired; more may be due. A slot taken over and a step of the wheel are progress too.
    Turned { expired: usize, progress: bool },
    /// Another thread is turning the wheel.
    Elsewhere,
}

/// The shard's hooks into the table of holds.
pub(crate) trait Slots {
    /// The intake link of the slot with this local index.
    fn timer(&self, local: LocalIndex) -> Option<&AtomicU32>;
    /// The deadline of the hold in it, while it is being reserved or live.
    fn deadline(&self, local: LocalIndex) -> Option<Timestamp>;
    /// Expires the hold in it if it is due at `now`, because its timer fired.
    fn fire(&self, local: LocalIndex, now: Timestamp) -> Fired;
}

#[derive(Debug)]
struct Turning {
    wheel: Wheel,
    /// The rest of a drain that reached its bound.
    backlog: u32,
    due: Vec<u32>,
}

/// The timers of one shard.
#[derive(Debug)]
pub(crate) struct Timers {
    state: CachePadded<AtomicU64>,
    /// Head of the intake: pushed one by one, taken whole, so it needs no tag.
    intake: CachePadded<AtomicU32>,
    turning: TryMutex<Turning>,
}

impl Timers {
    pub(crate) fn new(now: Timestamp) -> Self {
        Timers {
            state: CachePadded::new(AtomicU64::new(NEVER << 23)),
            intake: CachePadded::new(AtomicU32::new(NONE)),
            turning: TryMutex::new(Turning { wheel: Wheel::new(now.0), backlog: NONE, due: Vec::new() }),
        }
    }

    /// The state, by one load.
    pub(crate) fn state(&self) -> State {
        // SeqCst: with the counter's load between two of these, and against the lowering below: the reader's
        // three loads and the reserver's lower-then-take must have one order (rules 1 and 3).
        State(self.state.load(Ordering::SeqCst))
    }

    /// Registers the deadline of a hold whose word is published, before its units are taken; `timer` is its
    /// slot's intake link, and `local` the slot's index in the shard.
    #[inline]
    pub(crate) fn register(&self, timer: &AtomicU32, local: LocalIndex, deadline: Timestamp) {
        if !planted(Fault::SkipIntake) && slot::queue(timer) {
            stall::at(Step::Marked);
            let mut head = self.intake.load(Ordering::Relaxed); // the swap re-checks it
            loop {
                slot::link(timer, head);
                // SeqCst: releases the link and the word before it to the drain's swap. If the lowering below
                // reads an `earliest` from before a reset, this also orders the push before the drain that
                // follows that reset.
                match self.intake.compare_exchange_weak(head, local.0, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(now) => head = now,
                }
            }
        }
        stall::at(Step::Queued);
        self.lower(pack(deadline.0));
    }

    fn lower(&self, earliest: u64) {
        let mut state = self.state.load(Ordering::SeqCst);
        while state >> 23 > earliest {
            // SeqCst: see `state`.
            match self.state.compare_exchange_weak(
                state,
                earliest << 23 | (state & TURN_MASK),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// Expires a bounded batch of what is due at `now`.
    pub(crate) fn turn(&self, slots: &impl Slots, now: Timestamp) -> Turn {
        let Some(mut turning) = self.turning.try_lock() else { return Turn::Elsewhere };
        let before = self.begin_turn();
        stall::at(Step::Turning);
        let Turning { wheel, backlog, due } = &mut *turning;
        let drained = self.drain(slots, wheel, backlog);
        due.clear();
        let progress = wheel.advance(now.0, BATCH, due);
        let mut expired = 0;
        let mut unfinished = progress == Progress::More;
        for &local in due.iter() {
            stall::at(Step::Firing);
            match slots.fire(LocalIndex(local), now) {
                Fired::Expired => expired += 1,
                Fired::Dead => {}
                Fired::Later(deadline) => {
                    unfinished |= deadline <= now;
                    wheel.insert(local, deadline.0);
                }
            }
        }
        let mut earliest = wheel.next_due_ms().map_or(NEVER, pack);
        if unfinished {
            earliest = earliest.min(pack(now.0));
        }
        if !drained {
            earliest = earliest.min(before);
        }
        stall::at(Step::TurnEnding);
        self.end_turn(earliest);
        Turn::Turned { expired, progress: expired > 0 || !drained || progress == Progress::More }
    }

    /// Marks the wheel as being turned and resets `earliest`, which it returns.
    fn begin_turn(&self) -> u64 {
        let mut state = self.state.load(Ordering::SeqCst);
        loop {
            let turns = (state + TURN_ONE) & TURN_MASK;
            match self.state.compare_exchange_weak(
                state,
                NEVER << 23 | if planted(Fault::TurnUnseen) { state & TURN_MASK } else { turns | TURNING },
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return state >> 23,
                Err(now) => state = now,
            }
        }
    }

    fn end_turn(&self, earliest: u64) {
        let mut state = self.state.load(Ordering::SeqCst);
        loop {
            let lowest = (state >> 23).min(earliest);
            let ended = lowest << 23 | (state & TURN_MASK & !TURNING);
            match self.state.compare_exchange_weak(state, ended, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// Moves slots from the intake into the wheel; `false` if some are left.
    fn drain(&self, slots: &impl Slots, wheel: &mut Wheel, backlog: &mut u32) -> bool {
        for _ in 0..DRAIN_MAX {
            if *backlog == NONE {
                // SeqCst: takes over the links; pairs with the push.
                *backlog = self.intake.swap(NONE, Ordering::SeqCst);
                if *backlog == NONE {
                    return true;
                }
            }
            let local = *backlog;
            let Some(timer) = slots.timer(LocalIndex(local)) else {
                *backlog = NONE;
                continue;
            };
            // From here on the slot may be queued again, so its word is read only now.
            *backlog = slot::unqueue(timer);
            match slots.deadline(LocalIndex(local)) {
                Some(deadline) => wheel.insert(local, deadline.0),
                None => wheel.remove(local),
            }
        }
        *backlog == NONE && self.intake.load(Ordering::Acquire) == NONE
    }
}
