//! What an operation was answered, from its record: so that an op key is answered the same after a restart.

use crate::answer::{
    Adjusted, Confirmed, Extended, Moved, Refusal, RefusalReason, Remaining, Replaced, Reserved, ReservedCart,
};
use crate::clock::Timestamp;
use crate::hold::id::HoldIds;
use crate::hold::op_keys::Answer;
use crate::log::lines;
use crate::log::record::Record;
use crate::types::{Position, StockKey};

/// Puts a [`Remaining`] into a record's answer.
pub(crate) fn remaining_to_answer(left: Remaining) -> i64 {
    match left {
        Remaining::Exact(units) => units << 1 | 1,
        Remaining::AtLeast(units) => units << 1,
    }
}

fn remaining_from_answer(answer: i64) -> Remaining {
    if answer & 1 == 1 { Remaining::Exact(answer >> 1) } else { Remaining::AtLeast(answer >> 1) }
}

/// Puts a refusal that is to be remembered into a record's answer.
pub(crate) fn refusal_to_answer(refusal: &Refusal) -> i64 {
    refusal.available << 1 | i64::from(refusal.reason == RefusalReason::Stopped)
}

/// The reason and `available` of a refusal that was remembered.
pub(crate) fn refusal_from_answer(answer: i64) -> (RefusalReason, i64) {
    (if answer & 1 == 1 { RefusalReason::Stopped } else { RefusalReason::OutOfStock }, answer >> 1)
}

/// What the directory's answers are made with.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub ids: HoldIds,
    /// The tag of the directory's stock keys.
    pub tag: u32,
}

impl Answers {
    /// The answer that `record` was written with; `at` is its time, `epoch` the opening that made its hold.
    pub(crate) fn of(
        &self,
        record: &Record<'_>,
        position: Position,
        at: Timestamp,
        epoch: u32,
    ) -> Option<Answer> {
        let number = record.op()?.answer();
        let units = |packed| lines::check(packed).map(|lines| lines.units);
        Some(match *record {
            Record::Reserve { place, quantity, ttl, .. } => Answer::Reserved(Reserved {
                hold: self.ids.id(place, epoch),
                quantity,
                deadline: Timestamp(at.0.saturating_add(ttl.millis())),
                remaining: remaining_from_answer(number),
            }),
            Record::Confirm { place, taken, returned, .. } => Answer::Confirmed(Confirmed {
                hold: self.ids.id(place, epoch),
                quantity: taken,
                returned,
                retaken: false,
            }),
            Record::Retake { place, taken, .. } => Answer::Confirmed(Confirmed {
                hold: self.ids.id(place, epoch),
                quantity: taken,
                returned: 0,
                retaken: true,
            }),
            Record::Release { place, quantity, .. }
            | Record::Ship { place, quantity, .. }
            | Record::Cancel { place, quantity, .. } => Answer::Moved(Moved {
                hold: self.ids.id(place, epoch),
                quantity,
                remaining: u32::try_from(number).unwrap_or(0),
            }),
            Record::Extend { place, ttl, .. } | Record::Pay { place, ttl, .. } => {
                Answer::Extended(Extended {
                    hold: self.ids.id(place, epoch),
                    deadline: Timestamp(at.0.saturating_add(ttl.millis())),
                })
            }
            Record::ReserveCart { place, lines, ttl, .. } => Answer::Cart(ReservedCart {
                hold: self.ids.id(place, epoch),
                quantity: units(lines)?,
                deadline: Timestamp(at.0.saturating_add(ttl.millis())),
            }),
            Record::ConfirmCart { place, taken, returned, .. } => Answer::Confirmed(Confirmed {
                hold: self.ids.id(place, epoch),
                quantity: units(taken)?,
                returned: units(returned)?,
                retaken: false,
            }),
            Record::RetakeCart { place, taken, .. } => Answer::Confirmed(Confirmed {
                hold: self.ids.id(place, epoch),
                quantity: units(taken)?,
                returned: 0,
                retaken: true,
            }),
            Record::ReleaseCart { place, lines, .. }
            | Record::ShipCart { place, lines, .. }
            | Record::CancelCart { place, lines, .. } => Answer::Moved(Moved {
                hold: self.ids.id(place, epoch),
                quantity: units(lines)?,
                remaining: u32::try_from(number).unwrap_or(0),
            }),
            Record::Replace { place, lines, ttl, .. } => Answer::Replaced(Replaced {
                hold: self.ids.id(place, epoch),
                quantity: units(lines)?,
                deadline: Timestamp(at.0.saturating_add(ttl.millis())),
            }),
            Record::Receive { .. } | Record::Adjust { .. } => Answer::Adjusted(adjusted(number)),
            Record::Refuse { key, asked, .. } => {
                let (reason, available) = refusal_from_answer(number);
                let key = StockKey { index: key, tag: self.tag };
                Answer::Refused(Refusal { reason, key, asked, available, position })
            }
            Record::Void { .. }
            | Record::Opened { .. }
            | Record::Declare { .. }
            | Record::Expire { .. }
            | Record::Sale { .. }
            | Record::ExpireCart { .. }
            | Record::Opens { .. } => return None,
        })
    }
}

/// The answer to a physical movement.
pub(crate) fn adjusted(available: i64) -> Adjusted {
    Adjusted { available, shortfall: available.min(0).saturating_neg() }
}
