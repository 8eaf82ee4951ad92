//! One client thread of a workload, which makes one decision at a time.

use std::collections::VecDeque;
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, ReserveError};
use stockhold::{CartLine, HoldId, Position, Receive, RefusalReason, Reserve, ReserveCart, StockKey};

use super::counts::Counts;
use super::fault::Fault;
use super::picks::Picks;
use super::stage::{Stage, insist};
use super::workload::Workload;

/// Number of unfinished holds of a client, in the workload that finishes its holds.
const UNDER_WAY: usize = 1_024;

/// Time to live of holds: longer than any measurement.
const TTL: Duration = Duration::from_secs(3_600);

/// The next operation on a hold.
#[derive(Clone, Copy)]
enum Next {
    Release(HoldId),
    Confirm(HoldId),
    Ship(HoldId),
    /// Receives the shipped units again.
    Receive,
}

pub(super) struct Client<'a> {
    stage: &'a Stage,
    picks: Picks,
    /// Number of the last hold, which is its reference.
    number: u64,
    under_way: VecDeque<(StockKey, Next)>,
    pub(super) counts: Counts,
}

impl<'a> Client<'a> {
    pub(super) fn new(stage: &'a Stage, thread: u64) -> Self {
        Client {
            stage,
            picks: Picks::new(stage.workload, thread),
            number: thread << 40,
            under_way: VecDeque::with_capacity(UNDER_WAY),
            counts: Counts::default(),
        }
    }

    /// Makes one decision, and returns its position in the log.
    pub(super) fn step(&mut self) -> Result<Position, Fault> {
        self.number += 1;
        self.counts.decisions += 1;
        match self.stage.workload {
            Workload::Hot | Workload::Uniform | Workload::Zipf => {
                let key = self.pick();
                self.reserve(key, TTL).map(|(position, _)| position)
            }
            Workload::Carts => self.cart(),
            Workload::Churn if self.under_way.len() < UNDER_WAY => {
                let key = self.pick();
                let (position, hold) = self.reserve(key, TTL)?;
                let paid = !self.number.is_multiple_of(4);
                self.under_way.push_back((key, if paid { Next::Confirm(hold) } else { Next::Release(hold) }));
                Ok(position)
            }
            Workload::Churn => self.continue_oldest(),
            Workload::SoldOut => self.refusal(),
            Workload::Expiry => {
                // All holds of one interval expire together, at the end of the next interval.
                let storm_ms = self.stage.storm_ms;
                let ttl_ms = storm_ms * 2 - self.stage.engine.now().0 % storm_ms;
                self.reserve(self.stage.keys[0], Duration::from_millis(ttl_ms)).map(|(position, _)| position)
            }
        }
    }

    fn pick(&mut self) -> StockKey {
        self.stage.keys[self.picks.next()]
    }

    fn reserve(&mut self, key: StockKey, ttl: Duration) -> Result<(Position, HoldId), Fault> {
        let (engine, reference) = (&self.stage.engine, self.number.to_le_bytes());
        let request = Reserve::units(key, 1).reference(&reference).ttl(ttl);
        let receipt = insist(&mut self.counts.busy, || engine.reserve(request)).map_err(of_a_reserve)?;
        self.counts.granted += 1;
        self.counts.granted_units += 1;
        Ok((receipt.position(), receipt.not_yet_durable().hold))
    }

    fn cart(&mut self) -> Result<Position, Fault> {
        let lines = [(); 4].map(|()| CartLine::units(self.pick(), 1));
        let (engine, reference) = (&self.stage.engine, self.number.to_le_bytes());
        let request = ReserveCart::lines(&lines).reference(&reference).ttl(TTL);
        let receipt = insist(&mut self.counts.busy, || engine.reserve_cart(request)).map_err(of_a_reserve)?;
        self.counts.granted += 1;
        self.counts.granted_units += lines.len() as u64;
        Ok(receipt.position())
    }

    /// Makes the next operation on the oldest unfinished hold.
    fn continue_oldest(&mut self) -> Result<Position, Fault> {
        let Some((key, next)) = self.under_way.pop_front() else {
            return Err(Fault::failed("a client has no unfinished hold"));
        };
        let (engine, busy) = (&self.stage.engine, &mut self.counts.busy);
        Ok(match next {
            Next::Release(hold) => {
                let receipt = insist(busy, || engine.release(hold)).map_err(of_a_live_hold)?;
                self.counts.released += 1;
                receipt.position()
            }
            Next::Confirm(hold) => {
                let receipt = insist(busy, || engine.confirm(hold)).map_err(of_a_live_hold)?;
                self.counts.confirmed += 1;
                self.under_way.push_back((key, Next::Ship(hold)));
                receipt.position()
            }
            Next::Ship(hold) => {
                let receipt = insist(busy, || engine.ship(hold)).map_err(of_a_live_hold)?;
                self.counts.shipped += 1;
                self.under_way.push_back((key, Next::Receive));
                receipt.position()
            }
            Next::Receive => {
                let receive = || engine.receive(Receive::units(key, 1));
                let receipt = insist(busy, receive).map_err(Fault::failed)?;
                self.counts.received += 1;
                receipt.position()
            }
        })
    }

    fn refusal(&mut self) -> Result<Position, Fault> {
        let (engine, key) = (&self.stage.engine, self.stage.keys[0]);
        let reserve = || engine.reserve(Reserve::units(key, 1));
        match insist(&mut self.counts.busy, reserve) {
            Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
                self.counts.refused += 1;
                Ok(refusal.position)
            }
            Ok(receipt) => Err(Fault::Untrue(format!(
                "oversold: the only unit was held, and hold {} was granted",
                receipt.not_yet_durable().hold
            ))),
            Err(other) => Err(Fault::failed(other)),
        }
    }
}

/// There are always enough units for these reserves, so a refusal is false.
fn of_a_reserve(error: ReserveError) -> Fault {
    match error {
        ReserveError::Refused(refusal) => {
            Fault::Untrue(format!("falsely refused, although enough units are available: {refusal}"))
        }
        other => Fault::failed(other),
    }
}

/// No other thread uses the hold, and its deadline is far away, so an error about its state is untrue.
fn of_a_live_hold(error: impl Into<Answer>) -> Fault {
    let Answer { untrue, sentence } = error.into();
    if untrue { Fault::Untrue(sentence) } else { Fault::Failed(sentence) }
}

struct Answer {
    untrue: bool,
    sentence: String,
}

impl From<HoldError> for Answer {
    fn from(error: HoldError) -> Self {
        Answer { untrue: !matches!(error, HoldError::Shared(_)), sentence: error.to_string() }
    }
}

impl From<ConfirmError> for Answer {
    fn from(error: ConfirmError) -> Self {
        Answer { untrue: !matches!(error, ConfirmError::Shared(_)), sentence: error.to_string() }
    }
}
