//! Two simple designs that are common in practice, to compare with the engine.
//!
//! *Check-then-act*: read the stock; if there is enough, subtract. The time between the two statements is a
//! sleep of [`ROUND_TRIP`], about one round trip to a database in the same building.
//!
//! *Fixed buckets*: the stock of a key is divided over [`BUCKETS`] counters, so that shoppers do not contend.
//! A shopper's number selects the counter, and the shopper is refused if that counter has too few units. Each
//! counter by itself is exact.
//!
//! Both keep holds in a table, and a sweep every [`SWEEP`] returns the units of expired ones (a cron job
//! would run once a minute). Both give each hold exactly one outcome: the comparison is about stock. Neither
//! writes to a disk.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use stockhold::Position;
use stockhold_check::Stopwatch;

use super::shop::{EndAnswer, ReserveAnswer, ReserveRequest, Shop};
use super::stock::shares;

/// Time from the answer of one statement to the effect of the next.
pub(crate) const ROUND_TRIP: Duration = Duration::from_micros(200);

/// Number of counters that a key's stock is divided over.
pub(crate) const BUCKETS: u32 = 8;

/// Time between two sweeps of expired holds.
pub(crate) const SWEEP: Duration = Duration::from_millis(50);

/// How a baseline keeps its stock.
pub(crate) trait BaselineStock: Sync {
    /// Takes units, and returns the counter that they came from, or the number of units that were too few.
    fn take(&self, request: ReserveRequest) -> Result<usize, i64>;
    fn put_back(&self, counter: usize, quantity: u32);
    fn available(&self) -> i64;
}

/// Stock that is read, and then written in a second step.
pub(crate) struct CheckThenAct {
    stock: Vec<AtomicI64>,
}

impl CheckThenAct {
    pub(crate) fn new(units: &[u32]) -> Self {
        CheckThenAct { stock: units.iter().map(|&units| i64::from(units).into()).collect() }
    }
}

// SeqCst in this file: a database or Redis also executes single statements in one order. That is not the
// fault here.
impl BaselineStock for CheckThenAct {
    fn take(&self, request: ReserveRequest) -> Result<usize, i64> {
        let counter = request.key as usize;
        let available = self.stock[counter].load(Ordering::SeqCst);
        if available < i64::from(request.quantity) {
            return Err(available);
        }
        std::thread::sleep(ROUND_TRIP);
        self.stock[counter].fetch_sub(i64::from(request.quantity), Ordering::SeqCst);
        Ok(counter)
    }

    fn put_back(&self, counter: usize, quantity: u32) {
        self.stock[counter].fetch_add(i64::from(quantity), Ordering::SeqCst);
    }

    fn available(&self) -> i64 {
        self.stock.iter().map(|units| units.load(Ordering::SeqCst)).sum()
    }
}

/// Stock that is divided over counters once, at the start.
pub(crate) struct FixedBuckets {
    /// [`BUCKETS`] consecutive counters per key.
    stock: Vec<AtomicI64>,
}

impl FixedBuckets {
    pub(crate) fn new(units: &[u32]) -> Self {
        let shares = units.iter().flat_map(|&units| shares(units, BUCKETS));
        FixedBuckets { stock: shares.map(|units| i64::from(units).into()).collect() }
    }
}

impl BaselineStock for FixedBuckets {
    fn take(&self, request: ReserveRequest) -> Result<usize, i64> {
        let counter = (request.key * BUCKETS + request.shopper % BUCKETS) as usize;
        let quantity = i64::from(request.quantity);
        let take = |units: i64| (units >= quantity).then_some(units - quantity);
        self.stock[counter].fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).map(|_| counter)
    }

    fn put_back(&self, counter: usize, quantity: u32) {
        self.stock[counter].fetch_add(i64::from(quantity), Ordering::SeqCst);
    }

    fn available(&self) -> i64 {
        self.stock.iter().map(|units| units.load(Ordering::SeqCst)).sum()
    }
}

struct Hold {
    counter: usize,
    quantity: u32,
    deadline_ns: u64,
}

/// A baseline: its stock, and a table of holds.
pub(crate) struct Baseline<S> {
    stock: S,
    stopwatch: Stopwatch,
    ttl: Duration,
    holds: Mutex<HashMap<u128, Hold>>,
    next_hold: AtomicU64,
}

impl<S: BaselineStock> Baseline<S> {
    pub(crate) fn new(stock: S, stopwatch: Stopwatch, ttl: Duration) -> Self {
        Baseline { stock, stopwatch, ttl, holds: Mutex::default(), next_hold: AtomicU64::new(0) }
    }

    /// Returns the units of expired holds every [`SWEEP`], until `stop` is set.
    pub(crate) fn sweep_until(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(SWEEP);
            let now_ns = self.stopwatch.now_ns();
            self.table().retain(|_, hold| {
                let lives = now_ns < hold.deadline_ns;
                if !lives {
                    self.stock.put_back(hold.counter, hold.quantity);
                }
                lives
            });
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Hold>> {
        self.holds.lock().expect("no shopper panics while holding the table")
    }

    /// Removes the hold from the table, unless it has expired.
    fn end(&self, hold: u128) -> Option<Hold> {
        let mut table = self.table();
        let lives = table.get(&hold).is_some_and(|hold| self.stopwatch.now_ns() < hold.deadline_ns);
        if lives { table.remove(&hold) } else { None }
    }
}

impl<S: BaselineStock> Shop for Baseline<S> {
    fn reserve(&self, request: ReserveRequest) -> ReserveAnswer {
        match self.stock.take(request) {
            Err(available) => ReserveAnswer::Refused { available },
            Ok(counter) => {
                let deadline_ns = self.stopwatch.now_ns() + self.ttl.as_nanos() as u64;
                let hold = u128::from(self.next_hold.fetch_add(1, Ordering::Relaxed));
                self.table().insert(hold, Hold { counter, quantity: request.quantity, deadline_ns });
                ReserveAnswer::Granted { hold, deadline_ns, position: Position(0) }
            }
        }
    }

    fn confirm(&self, hold: u128) -> EndAnswer {
        self.end(hold).map_or(EndAnswer::Expired, |_| EndAnswer::Done { position: Position(0) })
    }

    fn release(&self, hold: u128) -> EndAnswer {
        self.end(hold).map_or(EndAnswer::Expired, |hold| {
            self.stock.put_back(hold.counter, hold.quantity);
            EndAnswer::Done { position: Position(0) }
        })
    }

    fn has_expired(&self, hold: u128) -> bool {
        self.table().get(&hold).is_none_or(|hold| self.stopwatch.now_ns() >= hold.deadline_ns)
    }

    fn acknowledge(&self, _position: Position) -> Result<(), String> {
        Ok(())
    }

    fn available(&self) -> i64 {
        self.stock.available()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: ReserveRequest = ReserveRequest { shopper: 0, key: 0, quantity: 1 };

    #[test]
    fn check_then_act_sells_one_unit_to_everyone_who_checks_in_time() {
        let shop = CheckThenAct::new(&[1]);
        let taken = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8).map(|_| scope.spawn(|| shop.take(REQUEST).is_ok())).collect();
            takers.into_iter().filter_map(|taker| taker.join().ok()).filter(|&took| took).count()
        });
        assert_eq!(shop.available(), 1 - taken as i64);
        assert!(taken >= 1);
    }

    #[test]
    fn a_fixed_bucket_refuses_while_others_are_full() {
        let shop = FixedBuckets::new(&[16]);
        assert!(shop.take(ReserveRequest { quantity: 2, ..REQUEST }).is_ok());
        assert_eq!(shop.take(REQUEST), Err(0));
        assert_eq!(shop.available(), 14);
    }

    #[test]
    fn a_hold_of_a_baseline_has_one_outcome() {
        let shop = Baseline::new(FixedBuckets::new(&[8]), Stopwatch::new(), Duration::from_secs(60));
        let ReserveAnswer::Granted { hold, .. } = shop.reserve(REQUEST) else { panic!("there is stock") };
        assert!(!shop.has_expired(hold));
        assert_eq!(shop.confirm(hold), EndAnswer::Done { position: Position(0) });
        assert_eq!(shop.release(hold), EndAnswer::Expired);
        assert_eq!(shop.available(), 7);
    }
}
