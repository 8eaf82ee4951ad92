//! The table of effects: for each kind of entry, what it does to stock and to its hold. The only place that
//! says so.
//!
//! Stock is in one of three pools, `available`, `held` and `committed`, or it is outside. `on_hand` is the
//! sum of the three. An entry has one or two quantities for each stock key that it names; each of them moves
//! from one pool to another. So an entry of any kind keeps `on_hand = available + held + committed`.

use super::kind::EntryKind;
use crate::hold::state::Phase;

/// Where a unit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pool {
    /// Not on hand: not received yet, shipped, or not found by a count.
    Outside,
    Available,
    Held,
    Committed,
}

/// From which pool to which the units of one quantity move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Move {
    pub from: Pool,
    pub to: Pool,
}

/// Which quantities an entry must have, so that it is one that an operation writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Required {
    /// None is needed; those that are there mean nothing.
    Nothing,
    /// The first.
    First,
    /// The first; the second may be there too.
    FirstMaybeSecond,
    /// Both.
    Both,
    /// One of the two, as the sign of a correction says.
    Either,
}

/// What an entry does to the hold that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HoldEffect {
    /// It names none.
    NoHold,
    /// The hold comes into being with the entry's lines, and lives until the entry's time and its TTL.
    Make,
    /// A live hold is confirmed: the first quantities become committed, the second go back.
    Confirm,
    /// An expired hold is confirmed late, with these lines.
    Retake,
    /// A live hold ends in this phase, and all its units go back.
    End(Phase),
    /// A live hold has the second quantities as its lines, in the place of the first.
    Replace,
    /// A live hold gets a later deadline.
    Extend,
    /// A live hold gets a later deadline, and its payment begins.
    Pay,
    /// Units leave a confirmed hold; if they are all, it ends in this phase.
    MoveCommitted(Phase),
}

/// How the operation that wrote the entry was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AnswerForm {
    /// No operation with an op key writes it.
    Nothing,
    Reserved,
    Confirmed,
    Retaken,
    Moved,
    Extended,
    Replaced,
    Adjusted,
    Refused,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Effect {
    pub name: &'static str,
    pub required: Required,
    pub hold: HoldEffect,
    pub answer: AnswerForm,
    /// What the moves of the two quantities add to a level.
    pub signs: Signs,
}

/// The moves of a row, as what one unit of the first and one of the second quantity add to each pool.
#[derive(Debug)]
pub(crate) struct Signs {
    pub on_hand: [i64; 2],
    pub held: [i64; 2],
    pub committed: [i64; 2],
    /// Available units that left by a correction.
    pub corrected_down: [i64; 2],
}

impl Signs {
    const fn of(moves: [Move; 2]) -> Signs {
        let [first, second] = moves;
        // Units that leave the outside come to be on hand.
        let outside = [first.change(Pool::Outside), second.change(Pool::Outside)];
        Signs {
            on_hand: [-outside[0], -outside[1]],
            held: [first.change(Pool::Held), second.change(Pool::Held)],
            committed: [first.change(Pool::Committed), second.change(Pool::Committed)],
            corrected_down: [first.is_correction_down() as i64, second.is_correction_down() as i64],
        }
    }
}

impl Move {
    /// What it adds to a pool for each unit.
    const fn change(self, pool: Pool) -> i64 {
        (self.to as u8 == pool as u8) as i64 - (self.from as u8 == pool as u8) as i64
    }

    const fn is_correction_down(self) -> bool {
        matches!((self.from, self.to), (Pool::Available, Pool::Outside))
    }
}

use AnswerForm as Answered;
use Pool::{Available, Committed, Held, Outside};
use Required::{Both, Either, First, FirstMaybeSecond, Nothing};

const fn moves(from: Pool, to: Pool) -> Move {
    Move { from, to }
}

const STAYS: Move = moves(Outside, Outside);
const RESERVED: Move = moves(Available, Held);
const PAID: Move = moves(Held, Committed);
const GIVEN_BACK: Move = moves(Held, Available);
const TAKEN_AGAIN: Move = moves(Available, Committed);
const SHIPPED: Move = moves(Committed, Outside);
const CANCELLED: Move = moves(Committed, Available);
const ARRIVED: Move = moves(Outside, Available);
const GONE: Move = moves(Available, Outside);

const fn row(
    name: &'static str,
    required: Required,
    first: Move,
    second: Move,
    hold: HoldEffect,
    answer: AnswerForm,
) -> Effect {
    Effect { name, required, hold, answer, signs: Signs::of([first, second]) }
}

impl EntryKind {
    /// Its row of the table.
    #[rustfmt::skip]
    #[inline(always)]
    pub(crate) const fn effect(self) -> &'static Effect {
        use HoldEffect::*;
        match self {
            //                            name       quantities        first        second      hold
            //                            answer
            EntryKind::Void    => &const { row("void",    Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
            EntryKind::Opened  => &const { row("opened",  Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
            EntryKind::Declare => &const { row("declare", Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
            EntryKind::Reserve => &const { row("reserve", First,            RESERVED,    STAYS,      Make,           Answered::Reserved) },
            EntryKind::Confirm => &const { row("confirm", FirstMaybeSecond, PAID,        GIVEN_BACK, Confirm,        Answered::Confirmed) },
            EntryKind::Retake  => &const { row("retake",  First,            TAKEN_AGAIN, STAYS,      Retake,         Answered::Retaken) },
            EntryKind::Release => &const { row("release", First,            GIVEN_BACK,  STAYS,      End(Phase::Released), Answered::Moved) },
            EntryKind::Expire  => &const { row("expire",  First,            GIVEN_BACK,  STAYS,      End(Phase::Expired),  Answered::Nothing) },
            EntryKind::Extend  => &const { row("extend",  Nothing,          STAYS,       STAYS,      Extend,         Answered::Extended) },
            EntryKind::Pay     => &const { row("pay",     Nothing,          STAYS,       STAYS,      Pay,            Answered::Extended) },
            EntryKind::Ship    => &const { row("ship",    First,            SHIPPED,     STAYS,      MoveCommitted(Phase::Shipped),   Answered::Moved) },
            EntryKind::Cancel  => &const { row("cancel",  First,            CANCELLED,   STAYS,      MoveCommitted(Phase::Cancelled), Answered::Moved) },
            EntryKind::Receive => &const { row("receive", First,            ARRIVED,     STAYS,      NoHold,         Answered::Adjusted) },
            EntryKind::Adjust  => &const { row("adjust",  Either,           ARRIVED,     GONE,       NoHold,         Answered::Adjusted) },
            EntryKind::Stop    => &const { row("stop",    Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
            EntryKind::Resume  => &const { row("resume",  Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
            EntryKind::Refuse  => &const { row("refuse",  Nothing,          STAYS,       STAYS,      NoHold,         Answered::Refused) },
            EntryKind::Replace => &const { row("replace", Both,             GIVEN_BACK,  RESERVED,   Replace,        Answered::Replaced) },
            EntryKind::Opens   => &const { row("opens",   Nothing,          STAYS,       STAYS,      NoHold,         Answered::Nothing) },
        }
    }
}
