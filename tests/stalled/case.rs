//! A case: which thread is parked at which step, and the answers that other threads must get.

use stockhold::error::Busy;
use stockhold::stall::Step;

pub const VICTIM: &str = "victim";
pub const LOG: &str = "stockhold-log";
pub const FOLD: &str = "stockhold-fold";

/// The answer to a call that needs more units than there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Truth,
    Busy(Busy),
    /// `Busy`, either `Pending` or `Reclaiming`.
    SomeBusy,
}
pub use Answer::{SomeBusy, Truth};

pub const PENDING: Answer = Answer::Busy(Busy::Pending);
pub const RECLAIMING: Answer = Answer::Busy(Busy::Reclaiming);
pub const GROWING: Answer = Answer::Busy(Busy::Growing);

/// The call of the thread that will be parked. Units are of the first stock key, unless the description says
/// more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// 2 units.
    Reserve,
    /// 2 units, with a deadline in a second.
    ReserveShort,
    /// Two reserves of 1 unit.
    Batch,
    /// 2 units, and 1 of the second key.
    Cart,
    /// 2 units, 2 of the second key, 1 of the third.
    Cart3,
    /// A hold of 2 units.
    Release,
    /// A hold of 2 units.
    Confirm,
    /// Confirms 1 of 2 units.
    ConfirmPart,
    /// Of a cart of 2 units and 1 of the second key: confirms 1 of each.
    ConfirmCart,
    Extend,
    /// 2 units by 3.
    ReplaceMore,
    /// 2 units by 1.
    ReplaceFewer,
    /// 2 units by 1, of a hold with a deadline in a second.
    ReplaceShort,
    /// Of a confirmed hold of 2 units.
    Cancel,
    /// A late confirm, with retake.
    Retake,
    /// A sweep, which expires a hold that is due.
    Sweep,
    /// A call on a hold that is due, which expires it.
    Inline,
    /// 1 unit.
    Receive,
    /// 1 unit off.
    Adjust,
    /// An exact query of a split key.
    Exactly,
    Prepare,
}

/// What other threads do while the thread is parked at its first step.
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
    /// What other threads then do, and the step at which the thread is parked next, if any.
    pub then: Option<(Others, Option<(Step, u32)>)>,
    /// The answer on the first key.
    pub first_key: Answer,
    /// The answer on every other key.
    pub other_keys: Answer,
    /// The answer to carts and replaces.
    pub carts: Answer,
    /// Units of a scarce key that others get while the thread is parked.
    pub granted: u32,
    /// Units of a scarce key that are on sale after its call.
    pub available_after: i64,
    /// Whether the case runs with few units, and whether it runs with many.
    pub scarce: bool,
    pub plenty: bool,
    /// Whether no memory was allocated before.
    pub cold: bool,
}

pub fn case(act: Act, step: Step, first_key: Answer, granted: u32, available_after: i64) -> Case {
    Case {
        act,
        thread: VICTIM,
        step: (step, 1),
        then: None,
        first_key,
        other_keys: Truth,
        carts: Truth,
        granted,
        available_after,
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

    pub fn other_keys(self, other_keys: Answer) -> Case {
        Case { other_keys, ..self }
    }

    pub fn in_thread(self, thread: &'static str) -> Case {
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
