//! A case: which thread is parked where, and what the others are answered.

use stockhold::error::Busy;
use stockhold::stall::Step;

pub const VICTIM: &str = "victim";
pub const LOG: &str = "stockhold-log";
pub const FOLD: &str = "stockhold-fold";

/// What somebody is answered who would be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Truth,
    Busy(Busy),
    /// One `Busy` or the other.
    SomeBusy,
}
pub use Answer::{SomeBusy, Truth};

pub const PENDING: Answer = Answer::Busy(Busy::Pending);
pub const RECLAIMING: Answer = Answer::Busy(Busy::Reclaiming);
pub const GROWING: Answer = Answer::Busy(Busy::Growing);

/// What the thread does that will be parked. Units are of the first stock key, unless it says more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// 2 units.
    Reserve,
    /// 2 units, for a second.
    ReserveShort,
    /// 1 and 1.
    Batch,
    /// 2, and 1 of the second key.
    Cart,
    /// 2, 2 of the second, 1 of the third.
    Cart3,
    /// A hold of 2.
    Release,
    Confirm,
    /// 1 of 2.
    ConfirmPart,
    /// Of a cart of 2 and 1: 1 and 1.
    ConfirmCart,
    Extend,
    /// By 3.
    ReplaceMore,
    /// By 1.
    ReplaceFewer,
    /// By 1, of a hold that has a second to live.
    ReplaceShort,
    /// Of what was confirmed.
    Cancel,
    /// A late confirm, with retake.
    Retake,
    /// Expires a hold that is due, by turning the wheel.
    Sweep,
    /// The same, by asking for the hold.
    Inline,
    /// One unit more.
    Receive,
    /// Of a split key.
    Exactly,
    Prepare,
}

/// What others do between two steps of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    DrainFirst,
    DrainThird,
    Confirm,
    /// Two seconds pass.
    Later,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub act: Act,
    pub thread: &'static str,
    pub step: (Step, u32),
    /// What happens there, and where the thread is parked next, if it goes on.
    pub then: Option<(Others, Option<(Step, u32)>)>,
    /// Whoever would be refused the first key, and any other.
    pub here: Answer,
    pub elsewhere: Answer,
    /// Carts and replaces.
    pub lines: Answer,
    /// Of a scarce key: the units that others get while the thread is parked, and those on sale when it is
    /// through.
    pub granted: u32,
    pub after: i64,
    pub scarce: bool,
    pub plenty: bool,
    /// Nothing was allocated before.
    pub cold: bool,
}

pub fn case(act: Act, step: Step, here: Answer, granted: u32, after: i64) -> Case {
    Case {
        act,
        thread: VICTIM,
        step: (step, 1),
        then: None,
        here,
        elsewhere: Truth,
        lines: Truth,
        granted,
        after,
        scarce: true,
        plenty: true,
        cold: false,
    }
}

impl Case {
    pub fn passage(mut self, passage: u32) -> Case {
        self.step.1 = passage;
        self
    }

    pub fn then(mut self, others: Others) -> Case {
        self.then = Some((others, None));
        self
    }

    pub fn then_at(mut self, others: Others, step: Step, passage: u32) -> Case {
        self.then = Some((others, Some((step, passage))));
        self
    }

    pub fn elsewhere(self, elsewhere: Answer) -> Case {
        Case { elsewhere, ..self }
    }

    pub fn of(self, thread: &'static str) -> Case {
        Case { thread, ..self }
    }

    pub fn scarce_only(self) -> Case {
        Case { plenty: false, ..self }
    }

    pub fn plenty_only(self) -> Case {
        Case { scarce: false, ..self }
    }

    pub fn is_split(&self) -> bool {
        matches!(self.act, Act::Exactly | Act::Prepare)
    }
}
