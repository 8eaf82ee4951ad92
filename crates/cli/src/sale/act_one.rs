//! Act one: the crowd walks through a shop, and everything that is said is written down.
//!
//! ```text
//! shopper threads ── a heap of who is due when ──► shop ──► recorder (one a thread)
//!        └── positions ──► acknowledging thread (one a thread): waits until durable, measures ──► histogram
//! ```
//!
//! Shoppers do not wait for acknowledgements in line: a thread goes on to the next shopper while the log works,
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

use super::shop::{Answer, Outcome, Shop, Wish};
use super::shoppers::{Shopper, Then};

/// How long a shopper who was told "busy" waits before trying again.
const RETRY_NS: u64 = 200_000;

/// The longest that a thread sleeps before it looks whether the sale was interrupted.
const NAP_NS: u64 = 20_000_000;

/// Holds that end by themselves within this time are waited for before the doors close.
const SETTLE_NS_MAX: u64 = 2_000_000_000;

/// What the picture shows while the crowd walks. Relaxed throughout: numbers to look at, nothing rests on them.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) arrived: AtomicU64,
    pub(crate) decisions: AtomicU64,
    pub(crate) granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) units_committed: AtomicI64,
    /// From the start of a call to its durability, in microseconds; of grants, confirms and releases.
    pub(crate) ack_us: Mutex<Option<Histogram<u64>>>,
}

impl Progress {
    fn acknowledged(&self, us: u64) {
        let mut histogram = self.ack_us.lock().expect("recording does not panic");
        // Up to a minute, to three digits.
        let fresh = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid");
        histogram.get_or_insert_with(fresh).saturating_record(us);
    }

    /// At this fraction of the acknowledgements, in microseconds; 0 before the first.
    pub(crate) fn ack_us_at(&self, quantile: f64) -> u64 {
        let histogram = self.ack_us.lock().expect("recording does not panic");
        histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile))
    }
}

/// What became of a granted hold, as its shopper was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Live,
    Confirmed,
    Released,
    Expired,
}

/// A granted hold, and what of it was acknowledged as durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase {
    pub(crate) key: u32,
    pub(crate) quantity: u32,
    pub(crate) hold: u128,
    pub(crate) deadline_ns: u64,
    pub(crate) fate: Fate,
    pub(crate) grant_acknowledged: bool,
    pub(crate) end_acknowledged: bool,
}

/// Everything that is known of a walk afterwards.
pub(crate) struct Walk {
    pub(crate) calls: Vec<Call>,
    pub(crate) purchases: Vec<Purchase>,
    pub(crate) elapsed: Duration,
    /// What no shopper should ever be told.
    pub(crate) failures: Vec<String>,
}

impl Walk {
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.purchases.iter().filter(|purchase| purchase.fate == fate).count() as u64
    }

    pub(crate) fn units(&self, fate: Fate) -> u64 {
        let with = self.purchases.iter().filter(|purchase| purchase.fate == fate);
        with.map(|purchase| u64::from(purchase.quantity)).sum()
    }
}

/// Lets the crowd through.
pub(crate) fn walk(
    shop: &dyn Shop,
    plan: &[Shopper],
    threads: usize,
    stopwatch: Stopwatch,
    progress: &Progress,
    stop: &AtomicBool,
) -> Walk {
    let opens_ns = stopwatch.now_ns();
    let (parts, acknowledged) = std::thread::scope(|scope| {
        let (mut parts, mut queues) = (Vec::new(), Vec::new());
        for thread in 0..threads {
            let (to_acknowledge, positions) = mpsc::channel();
            queues.push(scope.spawn(move || acknowledge(shop, stopwatch, progress, positions)));
            parts.push(scope.spawn(move || {
                let shoppers = plan.iter().enumerate().skip(thread).step_by(threads);
                Aisle::new(shop, plan, stopwatch, progress, opens_ns, to_acknowledge).serve(shoppers, stop)
            }));
        }
        let parts: Vec<Part> =
            parts.into_iter().map(|part| part.join().expect("a shopper thread panicked")).collect();
        let acknowledged: Vec<Acknowledged> =
            queues.into_iter().map(|queue| queue.join().expect("an acknowledging thread panicked")).collect();
        (parts, acknowledged)
    });
    finish(shop, plan, stopwatch, opens_ns, parts, acknowledged, stop)
}

/// A decision on its way to the disk.
struct Pending {
    shopper: u32,
    step: Step,
    begun_ns: u64,
    position: Position,
}

/// What one acknowledging thread learned: decisions that can be relied on, and errors.
type Acknowledged = (Vec<(u32, Step)>, Vec<String>);

fn acknowledge(
    shop: &dyn Shop,
    stopwatch: Stopwatch,
    progress: &Progress,
    positions: mpsc::Receiver<Pending>,
) -> Acknowledged {
    let (mut durable, mut failures) = (Vec::new(), Vec::new());
    for pending in positions {
        match shop.acknowledge(pending.position) {
            Ok(()) => {
                progress.acknowledged((stopwatch.now_ns() - pending.begun_ns) / 1_000);
                durable.push((pending.shopper, pending.step));
            }
            Err(failure) => failures.push(failure),
        }
    }
    (durable, failures)
}

/// What a shopper does next. Ordered, because the heap breaks ties with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Arrive,
    Pay,
    Cancel,
}

/// One thread's share of the crowd.
struct Aisle<'a> {
    shop: &'a dyn Shop,
    plan: &'a [Shopper],
    stopwatch: Stopwatch,
    progress: &'a Progress,
    opens_ns: u64,
    recorder: Recorder,
    to_acknowledge: mpsc::Sender<Pending>,
    /// Who is due when. The last field is when a step that was told "busy" was first tried.
    due: BinaryHeap<Reverse<(u64, u32, Step, u64)>>,
    purchases: Vec<(u32, Purchase)>,
    failures: Vec<String>,
}

/// What one shopper thread leaves behind.
struct Part {
    calls: Vec<Call>,
    purchases: Vec<(u32, Purchase)>,
    failures: Vec<String>,
}

impl<'a> Aisle<'a> {
    fn new(
        shop: &'a dyn Shop,
        plan: &'a [Shopper],
        stopwatch: Stopwatch,
        progress: &'a Progress,
        opens_ns: u64,
        to_acknowledge: mpsc::Sender<Pending>,
    ) -> Self {
        let recorder = Recorder::new(stopwatch);
        let (due, purchases, failures) = (BinaryHeap::new(), Vec::new(), Vec::new());
        Aisle {
            shop,
            plan,
            stopwatch,
            progress,
            opens_ns,
            recorder,
            to_acknowledge,
            due,
            purchases,
            failures,
        }
    }

    fn serve(mut self, shoppers: impl Iterator<Item = (usize, &'a Shopper)>, stop: &AtomicBool) -> Part {
        for (number, shopper) in shoppers {
            let due_ns = self.opens_ns + shopper.arrives.as_nanos() as u64;
            self.due.push(Reverse((due_ns, number as u32, Step::Arrive, 0)));
        }
        let mut index = std::collections::HashMap::new(); // shopper to purchase
        while let Some(&Reverse((due_ns, number, step, first_tried_ns))) = self.due.peek() {
            if stop.load(Ordering::Relaxed) || !self.failures.is_empty() {
                break;
            }
            let now_ns = self.stopwatch.now_ns();
            if now_ns < due_ns {
                std::thread::sleep(Duration::from_nanos((due_ns - now_ns).min(NAP_NS)));
                continue;
            }
            self.due.pop();
            let first_tried_ns = if first_tried_ns == 0 { now_ns } else { first_tried_ns };
            match step {
                Step::Arrive => {
                    if let Some(purchase) = self.arrive(number, first_tried_ns) {
                        index.insert(number, self.purchases.len());
                        self.purchases.push((number, purchase));
                    }
                }
                Step::Pay | Step::Cancel => self.end(index[&number], step, first_tried_ns),
            }
        }
        let Aisle { recorder, purchases, failures, .. } = self;
        Part { calls: recorder.into_calls(), purchases, failures }
    }

    fn arrive(&mut self, number: u32, first_tried_ns: u64) -> Option<Purchase> {
        let Shopper { key, quantity, then, .. } = self.plan[number as usize];
        let start_ns = self.recorder.now_ns();
        let answer = self.shop.reserve(Wish { shopper: number, key, quantity });
        let end_ns = self.recorder.now_ns();
        let event = match answer {
            Answer::Granted { hold, deadline_ns, .. } => Event::Grant { hold, quantity, deadline_ns },
            Answer::Refused { available } => Event::Refuse { asked: quantity, available },
            Answer::Busy => {
                self.busy(number, Step::Arrive, first_tried_ns);
                return None;
            }
            Answer::Failed(failure) => {
                self.failures.push(failure);
                return None;
            }
        };
        self.recorder.record(Call { key, start_ns, end_ns, event });
        self.progress.arrived.fetch_add(1, Ordering::Relaxed);
        self.progress.decisions.fetch_add(1, Ordering::Relaxed);
        let Answer::Granted { hold, deadline_ns, position } = answer else {
            self.progress.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.progress.granted.fetch_add(1, Ordering::Relaxed);
        self.rely_later(number, Step::Arrive, first_tried_ns, position);
        match then {
            Then::Pay { after } => self.come_back(number, Step::Pay, after),
            Then::Cancel { after } => self.come_back(number, Step::Cancel, after),
            Then::WalkAway => {}
        }
        let (fate, grant_acknowledged, end_acknowledged) = (Fate::Live, false, false);
        Some(Purchase { key, quantity, hold, deadline_ns, fate, grant_acknowledged, end_acknowledged })
    }

    fn end(&mut self, index: usize, step: Step, first_tried_ns: u64) {
        let (number, Purchase { key, quantity, hold, .. }) = self.purchases[index];
        let start_ns = self.recorder.now_ns();
        let outcome = if step == Step::Pay { self.shop.confirm(hold) } else { self.shop.release(hold) };
        let end_ns = self.recorder.now_ns();
        let (fate, event) = match outcome {
            Outcome::Done { .. } if step == Step::Pay => {
                (Fate::Confirmed, Event::Confirm { hold, quantity, retaken: false })
            }
            Outcome::Done { .. } => (Fate::Released, Event::Release { hold }),
            Outcome::Expired => (Fate::Expired, Event::ExpiredSeen { hold }),
            Outcome::Busy => return self.busy(number, step, first_tried_ns),
            Outcome::Failed(failure) => return self.failures.push(failure),
        };
        self.recorder.record(Call { key, start_ns, end_ns, event });
        self.progress.decisions.fetch_add(1, Ordering::Relaxed);
        self.purchases[index].1.fate = fate;
        if let Outcome::Done { position } = outcome {
            self.rely_later(number, step, first_tried_ns, position);
        }
        if fate == Fate::Confirmed {
            self.progress.units_committed.fetch_add(i64::from(quantity), Ordering::Relaxed);
        }
    }

    fn busy(&mut self, number: u32, step: Step, first_tried_ns: u64) {
        self.progress.busy.fetch_add(1, Ordering::Relaxed);
        self.due.push(Reverse((self.stopwatch.now_ns() + RETRY_NS, number, step, first_tried_ns)));
    }

    fn come_back(&mut self, number: u32, step: Step, after: Duration) {
        let due_ns = self.stopwatch.now_ns() + after.as_nanos() as u64;
        self.due.push(Reverse((due_ns, number, step, 0)));
    }

    fn rely_later(&self, shopper: u32, step: Step, begun_ns: u64, position: Position) {
        let pending = Pending { shopper, step, begun_ns, position };
        self.to_acknowledge.send(pending).expect("the acknowledging thread outlives this one");
    }
}

/// Puts the threads' parts together, lets the last holds expire, and asks for the fate of those that nobody ended.
fn finish(
    shop: &dyn Shop,
    plan: &[Shopper],
    stopwatch: Stopwatch,
    opens_ns: u64,
    parts: Vec<Part>,
    acknowledged: Vec<Acknowledged>,
    stop: &AtomicBool,
) -> Walk {
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
        for (shopper, step) in durable {
            let purchase =
                by_shopper[shopper as usize].as_mut().expect("only what was granted is acknowledged");
            match step {
                Step::Arrive => purchase.grant_acknowledged = true,
                Step::Pay | Step::Cancel => purchase.end_acknowledged = true,
            }
        }
    }
    let mut purchases: Vec<Purchase> = by_shopper.into_iter().flatten().collect();

    let open = |purchases: &[Purchase]| {
        let live = purchases.iter().filter(|purchase| purchase.fate == Fate::Live);
        live.map(|purchase| purchase.deadline_ns).max().unwrap_or(0)
    };
    let last_ns = open(&purchases);
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
    Walk { calls, purchases, elapsed, failures }
}
