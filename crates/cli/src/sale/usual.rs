//! The two designs that people usually write, as honestly as they fit in a page, to stand beside the engine.
//!
//! *Check, then act*: read the stock; if it is enough, subtract. Between the two lies what lies there in practice, the
//! way from one statement to the next. Real ones go over a network; here it is a sleep of [`ROUND_TRIP`],
//! what a database in the same building takes.
//!
//! *Fixed buckets*: the stock of a key is divided over [`BUCKETS`] counters so that shoppers do not meet; each shopper is
//! sent to one by number, and told "sold out" when that one is empty. Each counter by itself is exact.
//!
//! Both keep holds in a table and give expired ones back with a sweep every [`SWEEP`] (cron jobs take a minute). Both
//! are correct about one outcome per hold: the comparison is about stock. Nothing of theirs touches a disk.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use stockhold::Position;
use stockhold_check::Stopwatch;

use super::shop::{Answer, Outcome, Shop, Wish};

/// From the answer of one statement to the effect of the next.
pub(crate) const ROUND_TRIP: Duration = Duration::from_micros(200);

/// Counters that share a key's stock.
pub(crate) const BUCKETS: u32 = 8;

/// From one sweep of expired holds to the next.
pub(crate) const SWEEP: Duration = Duration::from_millis(50);

/// How a usual design keeps its stock.
pub(crate) trait Stock: Sync {
    /// Takes units; gives back which counter they came from, or what the refusal saw.
    fn take(&self, wish: Wish) -> Result<usize, i64>;
    fn give(&self, counter: usize, quantity: u32);
    fn available(&self) -> i64;
}

/// Read, decide, write.
pub(crate) struct CheckThenAct {
    stock: Vec<AtomicI64>,
}

impl CheckThenAct {
    pub(crate) fn new(units: &[u32]) -> Self {
        CheckThenAct { stock: units.iter().map(|&units| i64::from(units).into()).collect() }
    }
}

// SeqCst in this file: a database or Redis would give one order to single statements. The fault is not in them.
impl Stock for CheckThenAct {
    fn take(&self, wish: Wish) -> Result<usize, i64> {
        let counter = wish.key as usize;
        let available = self.stock[counter].load(Ordering::SeqCst);
        if available < i64::from(wish.quantity) {
            return Err(available);
        }
        std::thread::sleep(ROUND_TRIP);
        self.stock[counter].fetch_sub(i64::from(wish.quantity), Ordering::SeqCst);
        Ok(counter)
    }

    fn give(&self, counter: usize, quantity: u32) {
        self.stock[counter].fetch_add(i64::from(quantity), Ordering::SeqCst);
    }

    fn available(&self) -> i64 {
        self.stock.iter().map(|units| units.load(Ordering::SeqCst)).sum()
    }
}

/// The stock cut into pieces.
pub(crate) struct FixedBuckets {
    /// [`BUCKETS`] in a row for each key.
    stock: Vec<AtomicI64>,
}

impl FixedBuckets {
    pub(crate) fn new(units: &[u32]) -> Self {
        let shares = units.iter().flat_map(|&units| super::shoppers::shares(units, BUCKETS));
        FixedBuckets { stock: shares.map(|units| i64::from(units).into()).collect() }
    }
}

impl Stock for FixedBuckets {
    fn take(&self, wish: Wish) -> Result<usize, i64> {
        let counter = (wish.key * BUCKETS + wish.shopper % BUCKETS) as usize;
        let quantity = i64::from(wish.quantity);
        let take = |units: i64| (units >= quantity).then_some(units - quantity);
        self.stock[counter].fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).map(|_| counter)
    }

    fn give(&self, counter: usize, quantity: u32) {
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

/// A usual design: its stock, and a table of holds.
pub(crate) struct Usual<S> {
    stock: S,
    stopwatch: Stopwatch,
    ttl: Duration,
    holds: Mutex<HashMap<u128, Hold>>,
    holds_given: AtomicU64,
}

impl<S: Stock> Usual<S> {
    pub(crate) fn new(stock: S, stopwatch: Stopwatch, ttl: Duration) -> Self {
        Usual { stock, stopwatch, ttl, holds: Mutex::default(), holds_given: AtomicU64::new(0) }
    }

    /// Gives back what has expired, every now and then, until told to stop.
    pub(crate) fn sweep_until(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(SWEEP);
            let now_ns = self.stopwatch.now_ns();
            self.table().retain(|_, hold| {
                let lives = now_ns < hold.deadline_ns;
                if !lives {
                    self.stock.give(hold.counter, hold.quantity);
                }
                lives
            });
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Hold>> {
        self.holds.lock().expect("no shopper panics while holding the table")
    }

    /// Takes the hold out of the table unless it has expired.
    fn end(&self, hold: u128) -> Option<Hold> {
        let mut table = self.table();
        let lives = table.get(&hold).is_some_and(|hold| self.stopwatch.now_ns() < hold.deadline_ns);
        if lives { table.remove(&hold) } else { None }
    }
}

impl<S: Stock> Shop for Usual<S> {
    fn reserve(&self, wish: Wish) -> Answer {
        match self.stock.take(wish) {
            Err(available) => Answer::Refused { available },
            Ok(counter) => {
                let deadline_ns = self.stopwatch.now_ns() + self.ttl.as_nanos() as u64;
                let hold = u128::from(self.holds_given.fetch_add(1, Ordering::Relaxed));
                self.table().insert(hold, Hold { counter, quantity: wish.quantity, deadline_ns });
                Answer::Granted { hold, deadline_ns, position: Position(0) }
            }
        }
    }

    fn confirm(&self, hold: u128) -> Outcome {
        self.end(hold).map_or(Outcome::Expired, |_| Outcome::Done { position: Position(0) })
    }

    fn release(&self, hold: u128) -> Outcome {
        self.end(hold).map_or(Outcome::Expired, |hold| {
            self.stock.give(hold.counter, hold.quantity);
            Outcome::Done { position: Position(0) }
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

    const WISH: Wish = Wish { shopper: 0, key: 0, quantity: 1 };

    #[test]
    fn check_then_act_sells_one_unit_to_everyone_who_checks_in_time() {
        let shop = CheckThenAct::new(&[1]);
        let taken = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8).map(|_| scope.spawn(|| shop.take(WISH).is_ok())).collect();
            takers.into_iter().filter_map(|taker| taker.join().ok()).filter(|&took| took).count()
        });
        assert_eq!(shop.available(), 1 - taken as i64);
        assert!(taken >= 1);
    }

    #[test]
    fn a_fixed_bucket_refuses_while_others_are_full() {
        let shop = FixedBuckets::new(&[16]);
        assert!(shop.take(Wish { quantity: 2, ..WISH }).is_ok());
        assert_eq!(shop.take(WISH), Err(0));
        assert_eq!(shop.available(), 14);
    }

    #[test]
    fn a_hold_of_a_usual_design_has_one_outcome() {
        let shop = Usual::new(FixedBuckets::new(&[8]), Stopwatch::new(), Duration::from_secs(60));
        let Answer::Granted { hold, .. } = shop.reserve(WISH) else { panic!("there is stock") };
        assert!(!shop.has_expired(hold));
        assert_eq!(shop.confirm(hold), Outcome::Done { position: Position(0) });
        assert_eq!(shop.release(hold), Outcome::Expired);
        assert_eq!(shop.available(), 7);
    }
}
