//! The threads that play the shoppers of a sale, and record every call.
//!
//! ```text
//! shopper threads ── heap of actions by due time ──► shop ──► recorder (one per thread)
//!        └── positions ──► acknowledging thread (one per thread): waits until durable ──► histogram
//! ```
//!
//! A shopper thread does not wait for acknowledgements: it serves the next shopper while the log is written,
//! as a gateway would.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use hdrhistogram::Histogram;
use stockhold::Position;
use stockhold_check::{Call, Event, Recorder, Stopwatch};

use super::purchase::{Fate, Purchase};
use super::shop::{EndAnswer, ReserveAnswer, ReserveRequest, Shop};
use super::shoppers::{Intent, Shopper};

/// How long a shopper waits after a busy answer before trying again.
const RETRY_NS: u64 = 200_000;

/// The longest sleep of a thread before it checks whether the sale was interrupted.
const SLEEP_NS_MAX: u64 = 20_000_000;

/// The sale ends only after the deadlines of all live holds, if none is further away than this.
const SETTLE_NS_MAX: u64 = 2_000_000_000;

/// Counts for the progress display. Relaxed throughout: the numbers are only shown.
#[derive(Default)]
pub(crate) struct LiveCounts {
    pub(crate) arrived: AtomicU64,
    pub(crate) decisions: AtomicU64,
    pub(crate) granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) units_committed: AtomicI64,
    /// Microseconds from the start of a call until its result is durable, for grants, confirms and releases.
    pub(crate) ack_us: Mutex<Option<Histogram<u64>>>,
}

impl LiveCounts {
    fn acknowledged(&self, us: u64) {
        let mut histogram = self.ack_us.lock().expect("recording does not panic");
        // Up to one minute, with three significant digits.
        let fresh = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid");
        histogram.get_or_insert_with(fresh).saturating_record(us);
    }

    /// The acknowledgement latency at `quantile`, in microseconds; 0 before the first acknowledgement.
    pub(crate) fn ack_us_at(&self, quantile: f64) -> u64 {
        let histogram = self.ack_us.lock().expect("recording does not panic");
        histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile))
    }
}

/// Everything that the shoppers of one run recorded.
pub(crate) struct ShopperRun {
    pub(crate) calls: Vec<Call>,
    pub(crate) purchases: Vec<Purchase>,
    pub(crate) elapsed: Duration,
    /// Errors that no shopper should ever receive.
    pub(crate) failures: Vec<String>,
}

impl ShopperRun {
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.purchases.iter().filter(|purchase| purchase.fate == fate).count() as u64
    }

    pub(crate) fn units(&self, fate: Fate) -> u64 {
        let with = self.purchases.iter().filter(|purchase| purchase.fate == fate);
        with.map(|purchase| u64::from(purchase.quantity)).sum()
    }
}

/// Runs all shoppers of `plan` against `shop`, in real time.
pub(crate) fn run_shoppers(
    shop: &dyn Shop,
    plan: &[Shopper],
    threads: usize,
    stopwatch: Stopwatch,
    counts: &LiveCounts,
    stop: &AtomicBool,
) -> ShopperRun {
    let opens_ns = stopwatch.now_ns();
    let (parts, acknowledged) = std::thread::scope(|scope| {
        let (mut parts, mut queues) = (Vec::new(), Vec::new());
        for thread in 0..threads {
            let (to_acknowledge, positions) = mpsc::channel();
            queues.push(scope.spawn(move || acknowledge(shop, stopwatch, counts, positions)));
            parts.push(scope.spawn(move || {
                let shoppers = plan.iter().enumerate().skip(thread).step_by(threads);
                ShopperThread::new(shop, plan, stopwatch, counts, opens_ns, to_acknowledge)
                    .serve(shoppers, stop)
            }));
        }
        let parts: Vec<ThreadResult> =
            parts.into_iter().map(|part| part.join().expect("a shopper thread panicked")).collect();
        let acknowledged: Vec<Acknowledged> =
            queues.into_iter().map(|queue| queue.join().expect("an acknowledging thread panicked")).collect();
        (parts, acknowledged)
    });
    finish(shop, plan, stopwatch, opens_ns, parts, acknowledged, stop)
}

/// A decision that may not be durable yet.
struct Unacknowledged {
    shopper: u32,
    action: Action,
    begun_ns: u64,
    position: Position,
}

/// What one acknowledging thread returns: durable decisions, and errors.
type Acknowledged = (Vec<(u32, Action)>, Vec<String>);

fn acknowledge(
    shop: &dyn Shop,
    stopwatch: Stopwatch,
    counts: &LiveCounts,
    positions: mpsc::Receiver<Unacknowledged>,
) -> Acknowledged {
    let (mut durable, mut failures) = (Vec::new(), Vec::new());
    for pending in positions {
        match shop.acknowledge(pending.position) {
            Ok(()) => {
                counts.acknowledged((stopwatch.now_ns() - pending.begun_ns) / 1_000);
                durable.push((pending.shopper, pending.action));
            }
            Err(failure) => failures.push(failure),
        }
    }
    (durable, failures)
}

/// What a shopper does next. Ordered, because the heap compares it when due time and shopper are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Action {
    Arrive,
    Pay,
    Cancel,
}

/// One thread, and the shoppers that it plays.
struct ShopperThread<'a> {
    shop: &'a dyn Shop,
    plan: &'a [Shopper],
    stopwatch: Stopwatch,
    counts: &'a LiveCounts,
    opens_ns: u64,
    recorder: Recorder,
    to_acknowledge: mpsc::Sender<Unacknowledged>,
    /// Due time, shopper, action, and when an action that got a busy answer was first tried (0: not tried
    /// yet).
    due: BinaryHeap<Reverse<(u64, u32, Action, u64)>>,
    purchases: Vec<(u32, Purchase)>,
    failures: Vec<String>,
}

/// What one shopper thread returns.
struct ThreadResult {
    calls: Vec<Call>,
    purchases: Vec<(u32, Purchase)>,
    failures: Vec<String>,
}

impl<'a> ShopperThread<'a> {
    fn new(
        shop: &'a dyn Shop,
        plan: &'a [Shopper],
        stopwatch: Stopwatch,
        counts: &'a LiveCounts,
        opens_ns: u64,
        to_acknowledge: mpsc::Sender<Unacknowledged>,
    ) -> Self {
        let recorder = Recorder::new(stopwatch);
        let (due, purchases, failures) = (BinaryHeap::new(), Vec::new(), Vec::new());
        ShopperThread {
            shop,
            plan,
            stopwatch,
            counts,
            opens_ns,
            recorder,
            to_acknowledge,
            due,
            purchases,
            failures,
        }
    }

    fn serve(
        mut self,
        shoppers: impl Iterator<Item = (usize, &'a Shopper)>,
        stop: &AtomicBool,
    ) -> ThreadResult {
        for (number, shopper) in shoppers {
            let due_ns = self.opens_ns + shopper.arrives.as_nanos() as u64;
            self.due.push(Reverse((due_ns, number as u32, Action::Arrive, 0)));
        }
        let mut index = std::collections::HashMap::new(); // shopper to purchase
        while let Some(&Reverse((due_ns, number, action, first_tried_ns))) = self.due.peek() {
            if stop.load(Ordering::Relaxed) || !self.failures.is_empty() {
                break;
            }
            let now_ns = self.stopwatch.now_ns();
            if now_ns < due_ns {
                std::thread::sleep(Duration::from_nanos((due_ns - now_ns).min(SLEEP_NS_MAX)));
                continue;
            }
            self.due.pop();
            let first_tried_ns = if first_tried_ns == 0 { now_ns } else { first_tried_ns };
            match action {
                Action::Arrive => {
                    if let Some(purchase) = self.arrive(number, first_tried_ns) {
                        index.insert(number, self.purchases.len());
                        self.purchases.push((number, purchase));
                    }
                }
                Action::Pay | Action::Cancel => self.end(index[&number], action, first_tried_ns),
            }
        }
        let ShopperThread { recorder, purchases, failures, .. } = self;
        ThreadResult { calls: recorder.into_calls(), purchases, failures }
    }

    fn arrive(&mut self, number: u32, first_tried_ns: u64) -> Option<Purchase> {
        let Shopper { key, quantity, intent, .. } = self.plan[number as usize];
        let start_ns = self.recorder.now_ns();
        let answer = self.shop.reserve(ReserveRequest { shopper: number, key, quantity });
        let end_ns = self.recorder.now_ns();
        let event = match answer {
            ReserveAnswer::Granted { hold, deadline_ns, .. } => Event::Grant { hold, quantity, deadline_ns },
            ReserveAnswer::Refused { available } => Event::Refuse { asked: quantity, available },
            ReserveAnswer::Busy => {
                self.busy(number, Action::Arrive, first_tried_ns);
                return None;
            }
            ReserveAnswer::Failed(failure) => {
                self.failures.push(failure);
                return None;
            }
        };
        self.recorder.record(Call { key, start_ns, end_ns, event });
        self.counts.arrived.fetch_add(1, Ordering::Relaxed);
        self.counts.decisions.fetch_add(1, Ordering::Relaxed);
        let ReserveAnswer::Granted { hold, deadline_ns, position } = answer else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.counts.granted.fetch_add(1, Ordering::Relaxed);
        self.acknowledge_later(number, Action::Arrive, first_tried_ns, position);
        match intent {
            Intent::Pay { after } => self.schedule(number, Action::Pay, after),
            Intent::Cancel { after } => self.schedule(number, Action::Cancel, after),
            Intent::Leave => {}
        }
        let (fate, grant_acknowledged, end_acknowledged) = (Fate::Live, false, false);
        Some(Purchase { key, quantity, hold, deadline_ns, fate, grant_acknowledged, end_acknowledged })
    }

    fn end(&mut self, index: usize, action: Action, first_tried_ns: u64) {
        let (number, Purchase { key, quantity, hold, .. }) = self.purchases[index];
        let start_ns = self.recorder.now_ns();
        let outcome = if action == Action::Pay { self.shop.confirm(hold) } else { self.shop.release(hold) };
        let end_ns = self.recorder.now_ns();
        let (fate, event) = match outcome {
            EndAnswer::Done { .. } if action == Action::Pay => {
                (Fate::Confirmed, Event::Confirm { hold, quantity, retaken: false })
            }
            EndAnswer::Done { .. } => (Fate::Released, Event::Release { hold }),
            EndAnswer::Expired => (Fate::Expired, Event::ExpiredSeen { hold }),
            EndAnswer::Busy => return self.busy(number, action, first_tried_ns),
            EndAnswer::Failed(failure) => return self.failures.push(failure),
        };
        self.recorder.record(Call { key, start_ns, end_ns, event });
        self.counts.decisions.fetch_add(1, Ordering::Relaxed);
        self.purchases[index].1.fate = fate;
        if let EndAnswer::Done { position } = outcome {
            self.acknowledge_later(number, action, first_tried_ns, position);
        }
        if fate == Fate::Confirmed {
            self.counts.units_committed.fetch_add(i64::from(quantity), Ordering::Relaxed);
        }
    }

    fn busy(&mut self, number: u32, action: Action, first_tried_ns: u64) {
        self.counts.busy.fetch_add(1, Ordering::Relaxed);
        self.due.push(Reverse((self.stopwatch.now_ns() + RETRY_NS, number, action, first_tried_ns)));
    }

    fn schedule(&mut self, number: u32, action: Action, after: Duration) {
        let due_ns = self.stopwatch.now_ns() + after.as_nanos() as u64;
        self.due.push(Reverse((due_ns, number, action, 0)));
    }

    fn acknowledge_later(&self, shopper: u32, action: Action, begun_ns: u64, position: Position) {
        let pending = Unacknowledged { shopper, action, begun_ns, position };
        self.to_acknowledge.send(pending).expect("the acknowledging thread outlives this one");
    }
}

/// Merges the threads' results, waits until the last holds expire, and looks up the holds that no shopper
/// ended.
fn finish(
    shop: &dyn Shop,
    plan: &[Shopper],
    stopwatch: Stopwatch,
    opens_ns: u64,
    parts: Vec<ThreadResult>,
    acknowledged: Vec<Acknowledged>,
    stop: &AtomicBool,
) -> ShopperRun {
    let elapsed = Duration::from_nanos(stopwatch.now_ns() - opens_ns);
    let mut failures: Vec<String> = parts.iter().flat_map(|part| part.failures.clone()).collect();
    let mut calls = Vec::new();
    let mut by_shopper: Vec<Option<Purchase>> = vec![None; plan.len()];
    for part in parts {
        calls.extend(part.calls);
        for (shopper, purchase) in part.purchases {
            by_shopper[shopper as usize] = Some(purchase);
        }
    }
    for (durable, failed) in acknowledged {
        failures.extend(failed);
        for (shopper, action) in durable {
            let purchase =
                by_shopper[shopper as usize].as_mut().expect("only granted holds are acknowledged");
            match action {
                Action::Arrive => purchase.grant_acknowledged = true,
                Action::Pay | Action::Cancel => purchase.end_acknowledged = true,
            }
        }
    }
    let mut purchases: Vec<Purchase> = by_shopper.into_iter().flatten().collect();

    let live = purchases.iter().filter(|purchase| purchase.fate == Fate::Live);
    let last_ns = live.map(|purchase| purchase.deadline_ns).max().unwrap_or(0);
    if last_ns < stopwatch.now_ns() + SETTLE_NS_MAX {
        while stopwatch.now_ns() < last_ns && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut recorder = Recorder::new(stopwatch);
    for purchase in purchases.iter_mut().filter(|purchase| purchase.fate == Fate::Live) {
        let start_ns = recorder.now_ns();
        if shop.has_expired(purchase.hold) {
            let (key, end_ns, event) =
                (purchase.key, recorder.now_ns(), Event::ExpiredSeen { hold: purchase.hold });
            recorder.record(Call { key, start_ns, end_ns, event });
            purchase.fate = Fate::Expired;
        }
    }
    calls.extend(recorder.into_calls());
    ShopperRun { calls, purchases, elapsed, failures }
}
