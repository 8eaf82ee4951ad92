//! What happens to a hold, as a record of the log, and what of it comes back on sale.

use crate::hold::lines::{Line, Lines};
use crate::log::lines::pack;
use crate::log::record::{Encoded, HoldPlace, Op, Record, Span};

/// What happens to a hold.
#[derive(Clone, Debug)]
pub(crate) enum HoldChange {
    Confirm { taken: Lines, returned: Lines },
    Retake { taken: Lines },
    Release { lines: Lines },
    Expire { lines: Lines },
    Extend,
    Pay,
    Ship { lines: Lines },
    Cancel { lines: Lines },
}

impl HoldChange {
    /// The lines that come back on sale.
    pub(crate) fn returned(&self) -> &[Line] {
        match self {
            HoldChange::Confirm { returned, .. } => returned,
            HoldChange::Release { lines } | HoldChange::Expire { lines } | HoldChange::Cancel { lines } => {
                lines
            }
            HoldChange::Retake { .. } | HoldChange::Extend | HoldChange::Pay | HoldChange::Ship { .. } => &[],
        }
    }

    /// Encodes the record, for a hold of one line (`is_cart` = false) or of several. `None` if it does not
    /// fit, which no validated request can cause.
    #[inline]
    pub(crate) fn put(
        &self,
        record: &mut Encoded,
        is_cart: bool,
        (at, place): (u64, HoldPlace),
        ttl: Span,
        op: Option<Op>,
    ) -> Option<()> {
        // Of a hold of one line: that line, or none where nothing comes back.
        let one = |lines: &Lines| {
            lines
                .first()
                .and_then(|line| line.good())
                .map_or_else(Default::default, |good| (good.key, good.units))
        };
        match self {
            HoldChange::Extend => record.put(&Record::Extend { at, place, ttl, op }),
            HoldChange::Pay => record.put(&Record::Pay { at, place, ttl, op }),
            HoldChange::Confirm { taken, returned } if is_cart => {
                let (taken, returned) = (&*pack(taken), &*pack(returned));
                record.put(&Record::ConfirmCart { at, place, taken, returned, op })
            }
            HoldChange::Confirm { taken, returned } => {
                let ((key, taken), (_, returned)) = (one(taken), one(returned));
                record.put(&Record::Confirm { at, place, key, taken, returned, op })
            }
            HoldChange::Retake { taken } if is_cart => {
                record.put(&Record::RetakeCart { at, place, taken: &pack(taken), op })
            }
            HoldChange::Retake { taken } => {
                let (key, taken) = one(taken);
                record.put(&Record::Retake { at, place, key, taken, op })
            }
            HoldChange::Release { lines } if is_cart => {
                record.put(&Record::ReleaseCart { at, place, lines: &pack(lines), op })
            }
            HoldChange::Release { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Release { at, place, key, quantity, op })
            }
            HoldChange::Expire { lines } if is_cart => {
                record.put(&Record::ExpireCart { at, place, lines: &pack(lines) })
            }
            HoldChange::Expire { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Expire { at, place, key, quantity })
            }
            HoldChange::Ship { lines } if is_cart => {
                record.put(&Record::ShipCart { at, place, lines: &pack(lines), op })
            }
            HoldChange::Ship { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Ship { at, place, key, quantity, op })
            }
            HoldChange::Cancel { lines } if is_cart => {
                record.put(&Record::CancelCart { at, place, lines: &pack(lines), op })
            }
            HoldChange::Cancel { lines } => {
                let (key, quantity) = one(lines);
                record.put(&Record::Cancel { at, place, key, quantity, op })
            }
        }
    }
}
