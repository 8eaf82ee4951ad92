//! Answers to a caller.

use std::ops::RangeInclusive;

use crate::HoldState;

/// A hold that was made or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Its number.
    pub hold: usize,
    /// Units of all its lines.
    pub quantity: u32,
    /// The time at which it expires.
    pub deadline_ms: u64,
}

/// Why units are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalReason {
    /// Fewer are available.
    OutOfStock,
    /// The sale of the stock key is stopped.
    Stopped,
    /// It has not opened.
    NotOpen,
}

/// Why an operation cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the engine's errors")]
pub enum Failure {
    /// The quantity is zero.
    NoQuantity,
    /// No line has a unit.
    NoLines,
    AtLeast {
        at_least: u32,
        quantity: u32,
    },
    BelowZero {
        asked: i64,
        on_hand: i64,
    },
    HoldsFull {
        holds_max: u32,
    },
    Expired,
    /// The hold is in a state in which this cannot happen to it.
    WrongState(HoldState),
    /// The hold to be confirmed has ended.
    Ended(HoldState),
    /// The hold would live too long.
    LifeMax {
        latest_ms: u64,
    },
    /// The hold has several lines, and the operation does not say which.
    NameLines {
        lines: usize,
    },
    /// The hold has fewer units.
    TooMany {
        asked: u32,
        has: u32,
    },
    /// The hold has nothing of a stock key that was named.
    NotHeld {
        key: usize,
    },
    /// The op key was used for something else.
    OtherContent,
    /// Anything that the model never answers, in an engine's words.
    Other(String),
}

/// The answer to an operation, by an engine or by a [`Model`](crate::Model).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the engine's answers")]
pub enum Answer {
    Reserved(Grant),
    /// What each request was granted, if it was.
    Batch(Vec<Option<Grant>>),
    Replaced(Grant),
    Confirmed {
        hold: usize,
        quantity: u32,
        returned: u32,
        retaken: bool,
    },
    Extended {
        hold: usize,
        deadline_ms: u64,
    },
    /// Units were released, cancelled or shipped.
    Moved {
        hold: usize,
        quantity: u32,
        remaining: u32,
    },
    /// It was done, and there is nothing to say about a hold.
    Done,
    /// `asked` units of `key` cannot be had.
    Refused {
        reason: RefusalReason,
        key: usize,
        asked: u32,
    },
    Failed(Failure),
}

impl Answer {
    /// Whether nothing was done.
    pub fn is_error(&self) -> bool {
        matches!(self, Answer::Refused { .. } | Answer::Failed(_))
    }
}

/// An answer, and the number that comes with it: units that are left, or that are available.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// What happened.
    pub answer: Answer,
    /// The values that the number may have, if there is one.
    pub number: Option<RangeInclusive<i64>>,
}

impl Reply {
    pub(crate) fn new(answer: Answer) -> Self {
        Reply { answer, number: None }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Reply::new(Answer::Failed(failure))
    }
}
