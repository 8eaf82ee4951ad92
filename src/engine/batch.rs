//! Batches: many independent reserves in one call, up to 64 of them with one claim and one draw of the log.

use super::core::Core;
use super::reserve::{PreparedReserve, ValidReserve};
use super::take::retry_until_decided;
use crate::answer::{Remaining, Reserved};
use crate::error::ReserveError;
use crate::log::record::Encoded;
use crate::log::ring::Share;
use crate::log::words::Words;
use crate::metrics::Count;
use crate::request::Reserve;
use crate::types::Position;

/// Reserves that share a claim and a draw: few enough that the first is not kept long from the log.
const RESERVES_PER_DRAW_MAX: usize = 64;

type Decided = Result<(Reserved, Position), ReserveError>;

impl Core {
    /// Decides each request by itself, in order; one that comes up short at the first attempt is decided
    /// after the others. The requests have no op keys.
    pub(crate) fn reserve_batch(&self, requests: &[Reserve<'_>]) -> Vec<Decided> {
        requests.chunks(RESERVES_PER_DRAW_MAX).flat_map(|chunk| self.reserve_chunk(chunk)).collect()
    }

    fn reserve_chunk(&self, requests: &[Reserve<'_>]) -> Vec<Decided> {
        let mut decided: Vec<Option<Decided>> = requests.iter().map(|_| None).collect();
        let mut prepared: Vec<(usize, ValidReserve<'_, '_>, PreparedReserve<'_>, Encoded)> =
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
                return self.decide_rest(requests, decided);
            }
        };
        let mut taken: Vec<(usize, PreparedReserve<'_>, Encoded, Remaining)> =
            Vec::with_capacity(prepared.len());
        for (index, wanted, mut one, mut record) in prepared {
            if let Some(remaining) = self.take_units(&wanted, &mut one, &mut record) {
                taken.push((index, one, record, remaining));
            }
        }
        // Counters first, then log: one draw behind all takes, divided among their records.
        let words: Vec<Words> = taken.iter().map(|(_, _, record, _)| record.words()).collect();
        for ((index, one, mut record, remaining), drawn) in taken.into_iter().zip(claim.draw_all(&words)) {
            decided[index] = Some(Ok(self.publish(&one, &mut record, remaining, drawn)));
            self.count(Count::Granted);
        }
        self.log.bell.ring();
        self.decide_rest(requests, decided)
    }

    /// What one request needs before its take; `None` if it is to be decided by itself.
    fn prepare_one<'c, 'r>(
        &'c self,
        request: Reserve<'r>,
    ) -> Result<Option<(ValidReserve<'c, 'r>, PreparedReserve<'c>, Encoded)>, ReserveError> {
        let wanted = self.validate_reserve(request)?;
        let mut record = Encoded::empty();
        let prepared = retry_until_decided(|effort| {
            let Some(least) = self.check_reserve(&wanted, effort)? else { return Ok(None) };
            self.prepare_reserve(&wanted, least, None, effort, &mut record).map(Some)
        })?;
        Ok(prepared.map(|prepared| (wanted, prepared, record)))
    }

    /// Decides the requests that have no answer yet, one by one.
    fn decide_rest(&self, requests: &[Reserve<'_>], decided: Vec<Option<Decided>>) -> Vec<Decided> {
        let one = |(request, decided): (&Reserve<'_>, Option<Decided>)| {
            decided.unwrap_or_else(|| self.reserve(&self.validate_reserve(*request)?, None))
        };
        requests.iter().zip(decided).map(one).collect()
    }
}
