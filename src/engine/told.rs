//! What the log is told of a hold, and what that does to stock.

use crate::hold::lines::{Line, Lines};
use crate::log::lines::pack;
use crate::log::record::{Encoded, Op, Place, Record, Span};

/// What happens to a hold.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Confirm { taken: Lines, returned: Lines },
    Retake { taken: Lines },
    Release { lines: Lines },
    Expire { lines: Lines },
    Extend,
    Pay,
    Ship { lines: Lines },
    Cancel { lines: Lines },
}

impl Told {
    /// What comes back on sale.
    pub(crate) fn back(&self) -> &[Line] {
        match self {
            Told::Confirm { returned, .. } => returned,
            Told::Release { lines } | Told::Expire { lines } | Told::Cancel { lines } => lines,
            Told::Retake { .. } | Told::Extend | Told::Pay | Told::Ship { .. } => &[],
        }
    }

    /// Puts the record together, for a hold of one line (`is_cart` = false) or of several. `None` if it does not fit,
    /// which no validated request can cause.
    #[inline]
    pub(crate) fn put(
        &self,
        record: &mut Encoded,
        is_cart: bool,
        (at, place): (u64, Place),
        ttl: Span,
        op: Option<Op>,
    ) -> Option<()> {
        // A hold of one line has one here, or none where nothing comes back.
        let one = |lines: &Lines| lines.first().map_or((0, 0), |line| (line.key, line.units));
        match self {
            Told::Extend => record.put(&Record::Extend { at, place, ttl, op }),
            Told::Pay => record.put(&Record::Pay { at, place, ttl, op }),
            Told::Confirm { taken, returned } if is_cart => {
                let (taken, returned) = (&*pack(taken), &*pack(returned));
                record.put(&Record::ConfirmCart { at, place, taken, returned, op })
            }
            Told::Confirm { taken, returned } => {
                let ((key, taken), (_, returned)) = (one(taken), one(returned));
                record.put(&Record::Confirm { at, place, key, taken, returned, op })
            }
            Told::Retake { taken } if is_cart => {
                record.put(&Record::RetakeCart { at, place, taken: &pack(taken), op })
            }
            Told::Retake { taken } => {
                let (key, taken) = one(taken);
                record.put(&Record::Retake { at, place, key, taken, op })
            }
            Told::Release { lines } if is_cart => {
                record.put(&Record::ReleaseCart { at, place, lines: &pack(lines), op })
            }
            Told::Release { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Release { at, place, key, quantity, op })
            }
            Told::Expire { lines } if is_cart => {
                record.put(&Record::ExpireCart { at, place, lines: &pack(lines) })
            }
            Told::Expire { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Expire { at, place, key, quantity })
            }
            Told::Ship { lines } if is_cart => {
                record.put(&Record::ShipCart { at, place, lines: &pack(lines), op })
            }
            Told::Ship { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Ship { at, place, key, quantity, op })
            }
            Told::Cancel { lines } if is_cart => {
                record.put(&Record::CancelCart { at, place, lines: &pack(lines), op })
            }
            Told::Cancel { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Cancel { at, place, key, quantity, op })
            }
        }
    }
}
