//! Batches: many independent reserves in one call, with one claim and one draw of the log for all of them.

use super::core::Core;
use super::reserve::{Effort, Prepared, Wanted};
use crate::answer::{Remaining, Reserved};
use crate::error::ReserveError;
use crate::log::record::Encoded;
use crate::log::ring::Share;
use crate::metrics::Count;
use crate::request::Reserve;
use crate::types::Position;

/// Reserves that share a claim and a draw: few enough that the first is not kept long from the log.
const TOGETHER_MAX: usize = 64;

type Decided = Result<(Reserved, Position), ReserveError>;

impl Core {
    /// Decides each request by itself, in order; what comes up short at the first go is decided after the others. The
    /// requests have no op keys.
    pub(crate) fn decide_batch(&self, requests: &[Reserve<'_>]) -> Vec<Decided> {
        requests.chunks(TOGETHER_MAX).flat_map(|together| self.decide_together(together)).collect()
    }

    fn decide_together(&self, requests: &[Reserve<'_>]) -> Vec<Decided> {
        let mut decided: Vec<Option<Decided>> = requests.iter().map(|_| None).collect();
        let mut prepared: Vec<(usize, Wanted<'_, '_>, Prepared<'_>, Encoded)> =
            Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            match self.prepare_one(*request) {
                Ok(Some((wanted, one, record))) => prepared.push((index, wanted, one, record)),
                Ok(None) => {}
                Err(error) => decided[index] = Some(Err(error)),
            }
        }
        let words = prepared.iter().map(|(_, _, _, record)| record.words()).sum();
        let claim = match self.claim(words, Share::Take) {
            Ok(claim) => claim,
            Err(error) => {
                for (index, _, one, _) in prepared {
                    self.holds.discard(one.place);
                    decided[index] = Some(Err(error.clone().into()));
                }
                return self.one_by_one(requests, decided);
            }
        };
        let mut taken: Vec<(usize, Prepared<'_>, Encoded, Remaining)> = Vec::with_capacity(prepared.len());
        for (index, wanted, mut one, mut record) in prepared {
            if let Some(left) = self.take_units(&wanted, &mut one, &mut record) {
                taken.push((index, one, record, left));
            }
        }
        // Counters first, then log: one draw behind all takes, cut up for their records.
        let words: Vec<u64> = taken.iter().map(|(_, _, record, _)| record.words()).collect();
        for ((index, one, mut record, left), drawn) in taken.into_iter().zip(claim.draw_all(&words)) {
            decided[index] = Some(Ok(self.finish(&one, &mut record, left, drawn)));
            self.count(Count::Granted);
        }
        self.log.bell.ring();
        self.one_by_one(requests, decided)
    }

    /// What one request needs before its take; `None` if it is to be decided by itself.
    fn prepare_one<'c, 'r>(
        &'c self,
        request: Reserve<'r>,
    ) -> Result<Option<(Wanted<'c, 'r>, Prepared<'c>, Encoded)>, ReserveError> {
        let wanted = self.limits(request)?;
        let mut effort = Effort::new();
        let least = self.least(&wanted, &mut effort)?;
        let mut record = Encoded::empty();
        let prepared = self.prepare(&wanted, least, None, &mut effort, &mut record)?;
        Ok(prepared.map(|prepared| (wanted, prepared, record)))
    }

    fn one_by_one(&self, requests: &[Reserve<'_>], decided: Vec<Option<Decided>>) -> Vec<Decided> {
        let one = |(request, decided): (&Reserve<'_>, Option<Decided>)| {
            decided.unwrap_or_else(|| self.decide(&self.limits(*request)?, None))
        };
        requests.iter().zip(decided).map(one).collect()
    }
}
