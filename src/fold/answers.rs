//! The answer of an operation, made from its record, so that an op key gets the same answer after a restart.

use crate::answer::{
    Adjusted, Confirmed, Extended, Moved, Refusal, RefusalReason, Remaining, Replaced, Reserved, ReservedCart,
};
use crate::clock::Timestamp;
use crate::hold::id::HoldIds;
use crate::hold::op_keys::Answer;
use crate::log::record::effect::AnswerForm;
use crate::log::record::{Detail, Fact, Subject};
use crate::types::{Position, StockKey};

/// Encodes a [`Remaining`] as the number in a record's op.
pub(crate) fn remaining_to_answer(left: Remaining) -> i64 {
    match left {
        Remaining::Exact(units) => units << 1 | 1,
        Remaining::AtLeast(units) => units << 1,
    }
}

fn remaining_from_answer(answer: i64) -> Remaining {
    if answer & 1 == 1 { Remaining::Exact(answer >> 1) } else { Remaining::AtLeast(answer >> 1) }
}

/// Encodes a remembered refusal as the number in a record's op.
pub(crate) fn refusal_to_answer(refusal: &Refusal) -> i64 {
    refusal.available << 1 | i64::from(refusal.reason == RefusalReason::Stopped)
}

/// Decodes the reason and `available` of a remembered refusal.
pub(crate) fn refusal_from_answer(answer: i64) -> (RefusalReason, i64) {
    (if answer & 1 == 1 { RefusalReason::Stopped } else { RefusalReason::OutOfStock }, answer >> 1)
}

/// What answers are made with: the ids and the tag of the directory.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub ids: HoldIds,
    /// The tag of the directory's stock keys.
    pub tag: u32,
}

impl Answers {
    /// The answer to the operation that wrote `fact`. `at` is the time of the fact, and `epoch` the opening
    /// that made its hold.
    pub(crate) fn of(
        &self,
        fact: &Fact<'_>,
        position: Position,
        at: Timestamp,
        epoch: u32,
    ) -> Option<Answer> {
        let number = fact.op?.answer();
        let hold = || fact.place.map(|place| self.ids.id(place, epoch));
        let (quantity, second) = fact.units();
        let deadline = Timestamp(at.0.saturating_add(fact.ttl.millis()));
        Some(match fact.kind.effect().answer {
            AnswerForm::Nothing => return None,
            AnswerForm::Reserved => match fact.subject {
                Subject::Cart { .. } => Answer::Cart(ReservedCart { hold: hold()?, quantity, deadline }),
                _ => {
                    let remaining = remaining_from_answer(number);
                    Answer::Reserved(Reserved { hold: hold()?, quantity, deadline, remaining })
                }
            },
            AnswerForm::Confirmed => {
                Answer::Confirmed(Confirmed { hold: hold()?, quantity, returned: second, retaken: false })
            }
            AnswerForm::Retaken => {
                Answer::Confirmed(Confirmed { hold: hold()?, quantity, returned: 0, retaken: true })
            }
            AnswerForm::Moved => {
                let remaining = u32::try_from(number).unwrap_or(0);
                Answer::Moved(Moved { hold: hold()?, quantity, remaining })
            }
            AnswerForm::Extended => Answer::Extended(Extended { hold: hold()?, deadline }),
            AnswerForm::Replaced => Answer::Replaced(Replaced { hold: hold()?, quantity: second, deadline }),
            AnswerForm::Adjusted => Answer::Adjusted(adjusted(number)),
            AnswerForm::Refused => {
                let Detail::Asked(asked) = fact.detail else { return None };
                let (reason, available) = refusal_from_answer(number);
                let key = StockKey { index: fact.stock_key()?, tag: self.tag };
                Answer::Refused(Refusal { reason, key, asked, available, position })
            }
        })
    }
}

/// The answer to a receive or an adjust.
pub(crate) fn adjusted(available: i64) -> Adjusted {
    Adjusted { available, shortfall: available.min(0).saturating_neg() }
}
