//! One thread is parked at each step of the sales path, and the others go on: never a hang, never a false refusal.
//!
//! Run by `tests/stalled.sh`, which builds the failpoints in. What the others are answered while a thread is parked, on
//! the stock keys that it touches; on all others every decision is made at once, but for what is said here:
//!
//! | parked | who would be refused is answered |
//! |---|---|
//! | reserve, before its take | the truth: its units are on sale |
//! | reserve, behind its take | the truth: its units are held |
//! | reserve, from its registration on, past its own deadline | `Busy` (`Reclaiming`) on every key: it can be neither closed nor forgotten |
//! | cart, from the first line taken until that line is settled | `Busy` (`Pending`) |
//! | cart that rolls back, line by line | `Busy` until the line was given back, then it is on sale |
//! | release, part confirm, cancel, replace by fewer: from the announcement to the give-back | `Busy` (`Pending`) |
//! | replace by more, late confirm: from the take until it is settled | `Busy` (`Pending`) |
//! | a change that was beaten, until what it announced is withdrawn | `Busy` (`Pending`) |
//! | confirm of the whole, extend | the truth: its units are held |
//! | release and expiry, behind the give-back | the truth; its slot alone is not free yet |
//! | sweep, from the beginning of a turn to its end | `Busy` (`Reclaiming`) on every key; grants go on |
//! | gather and split, at any cell | the truth: others gather themselves |
//! | receive, before it adds | the truth: nothing was received yet |
//! | growth of the slots | the truth: others find room in other shards, or are `Busy` (`Growing`) if there is one alone |
//! | growth of the lines of carts | the truth; carts and replaces are `Busy` (`Growing`) |
//! | log thread, fold, anybody between draw and fill | the truth; takes are `Busy` (`LogBehind`) when three quarters of the ring are used, what gives back when all of it is |
//! | claim that found no room, before it takes back what it counted | the truth; that much of the ring is missing |
//!
//! And on a hold: while its word says `Changing` whoever wants it is `Busy` (`Changing`); before that a parked thread
//! keeps nobody from changing it, and behind it everybody sees the outcome.

#![cfg(stockhold_faults)]

mod common;

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{SECOND, Shop};
use parking_lot::{Mutex, MutexGuard};
use stockhold::answer::Left;
use stockhold::error::{
    Busy, Common, ConfirmError, HoldError, LookupError, OpKeyError, ReplaceError, ReserveError, StockError,
};
use stockhold::stall::{Stall, Step, arm};
use stockhold::types::QUANTITY_MAX;
use stockhold::{
    CartLine, Confirm, Extend, HoldId, HoldState, Metrics, OnHold, OpKey, Receive, RefusalReason, Replace,
    Reserve, ReserveCart, StockKey,
};

/// Decisions that each of the other threads completes.
const DECISIONS: u32 = 2_000;
const OTHERS: usize = 2;
/// Attempts until a decision that only other running threads keep `Busy` is made.
const ATTEMPTS: usize = 1_000;
const PLENTY: u32 = 1 << 20;
const SCARCE: u32 = 4;
/// As much as the widest block needs to be split over.
const SPLIT: u32 = 1_024;
/// How long a thread may take to come to its step, or a scenario to end. Only a hang takes so long.
const HANG: Duration = Duration::from_secs(60);
const VICTIM: &str = "victim";
const LOG: &str = "stockhold-log";
const FOLD: &str = "stockhold-fold";
/// Groups that wait for the fold.
const FOLD_QUEUE: u64 = 64;

/// What somebody is answered who would be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Truth,
    Busy(Busy),
    /// One `Busy` or the other.
    SomeBusy,
}
use Answer::{SomeBusy, Truth};

const PENDING: Answer = Answer::Busy(Busy::Pending);
const RECLAIMING: Answer = Answer::Busy(Busy::Reclaiming);
const GROWING: Answer = Answer::Busy(Busy::Growing);

/// What the thread does that will be parked. Units are of the first stock key, unless it says more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    /// 2 units.
    Reserve,
    /// 2 units, for a second.
    ReserveShort,
    /// 1 and 1.
    Batch,
    /// 2, and 1 of the second key.
    Cart,
    /// 2, 2 of the second, 1 of the third.
    Cart3,
    /// A hold of 2.
    Release,
    Confirm,
    /// 1 of 2.
    ConfirmPart,
    /// Of a cart of 2 and 1: 1 and 1.
    ConfirmCart,
    Extend,
    /// By 3.
    ReplaceMore,
    /// By 1.
    ReplaceFewer,
    /// By 1, of a hold that has a second to live.
    ReplaceShort,
    /// Of what was confirmed.
    Cancel,
    /// A late confirm, with retake.
    Retake,
    /// Expires a hold that is due, by turning the wheel.
    Sweep,
    /// The same, by asking for the hold.
    Inline,
    /// One unit more.
    Receive,
    /// Of a split key.
    Exactly,
    Prepare,
}

/// What others do between two steps of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Others {
    DrainFirst,
    DrainThird,
    Confirm,
    /// Two seconds pass.
    Later,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    act: Act,
    thread: &'static str,
    step: (Step, u32),
    /// What happens there, and where the thread is parked next, if it goes on.
    then: Option<(Others, Option<(Step, u32)>)>,
    /// Whoever would be refused the first key, and any other.
    here: Answer,
    elsewhere: Answer,
    /// Carts and replaces.
    lines: Answer,
    /// Of a scarce key: the units that others get while the thread is parked, and those on sale when it is through.
    granted: u32,
    after: i64,
    scarce: bool,
    plenty: bool,
    /// Nothing was allocated before.
    cold: bool,
}

fn case(act: Act, step: Step, here: Answer, granted: u32, after: i64) -> Case {
    Case {
        act,
        thread: VICTIM,
        step: (step, 1),
        then: None,
        here,
        elsewhere: Truth,
        lines: Truth,
        granted,
        after,
        scarce: true,
        plenty: true,
        cold: false,
    }
}

impl Case {
    fn passage(mut self, passage: u32) -> Case {
        self.step.1 = passage;
        self
    }

    fn then(mut self, others: Others) -> Case {
        self.then = Some((others, None));
        self
    }

    fn then_at(mut self, others: Others, step: Step, passage: u32) -> Case {
        self.then = Some((others, Some((step, passage))));
        self
    }

    fn elsewhere(self, elsewhere: Answer) -> Case {
        Case { elsewhere, ..self }
    }

    fn of(self, thread: &'static str) -> Case {
        Case { thread, ..self }
    }

    fn scarce_only(self) -> Case {
        Case { plenty: false, ..self }
    }

    fn plenty_only(self) -> Case {
        Case { scarce: false, ..self }
    }

    fn is_split(&self) -> bool {
        matches!(self.act, Act::Exactly | Act::Prepare)
    }
}

/// Why there was no answer, or which.
trait Why {
    fn busy(&self) -> Option<Busy>;
}

macro_rules! why {
    ($($error:ident),*) => { $(impl Why for $error {
        fn busy(&self) -> Option<Busy> {
            if let $error::Common(Common::Busy(busy)) = self { Some(*busy) } else { None }
        }
    })* };
}

why!(ReserveError, ConfirmError, HoldError, ReplaceError, StockError);

fn is_out<T>(answer: &Result<T, ReserveError>) -> bool {
    matches!(answer, Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock)
}

/// Failpoints are the process's, and the engine's threads have the same names in every engine: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}

/// Turns a hang into a failure: parked threads cannot be joined.
fn watched(what: &str, scenario: impl FnOnce()) {
    let (done, ended) = mpsc::channel::<()>();
    let name = what.to_owned();
    thread::spawn(move || {
        if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(HANG) {
            let _ = writeln!(std::io::stderr(), "a hang: {name}"); // not captured
            std::process::exit(101);
        }
    });
    scenario();
    drop(done);
}

fn parked(stall: &Stall, what: &dyn std::fmt::Debug) {
    assert!(stall.wait(HANG / 4), "nobody came to the step of {what:?}");
}

struct Scene {
    shop: Shop,
    /// The first is the shop's.
    keys: [StockKey; 3],
    /// Two of each of the others.
    own: [[StockKey; 2]; OTHERS],
    /// That the parked thread is about.
    hold: Option<HoldId>,
}

impl Scene {
    fn new(case: &Case, units: u32) -> Scene {
        let shop = Shop::with_units(units);
        let declare = |sku: &str, units: u32| {
            let key = shop.engine.declare(sku, "berlin").unwrap();
            shop.engine.receive(Receive::units(key, units)).unwrap().not_yet_durable();
            key
        };
        let keys = [shop.key, declare("second", units.max(SCARCE)), declare("third", SCARCE)];
        let own = std::array::from_fn(|other| {
            [format!("own {other}"), format!("other {other}")].map(|sku| declare(&sku, PLENTY))
        });
        let mut scene = Scene { shop, keys, own, hold: None };
        if !case.cold {
            scene.warm();
        }
        scene.hold = scene.prepare(case.act);
        scene
    }

    /// Takes memory in every shard, as threads of every number do, and leaves free slots and an empty intake.
    fn warm(&self) {
        let count = thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(16);
        for _ in 0..count {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let [a, b] = self.own[0];
                    let engine = &self.shop.engine;
                    let holds = [(); 8].map(|()| engine.reserve(Reserve::units(a, 1)).unwrap());
                    let lines = [a, b].map(|key| CartLine::units(key, 1));
                    let carts = [(); 8].map(|()| engine.reserve_cart(ReserveCart::lines(&lines)).unwrap());
                    let holds = holds.map(|reserved| reserved.not_yet_durable().hold);
                    let carts = carts.map(|reserved| reserved.not_yet_durable().hold);
                    for hold in holds.into_iter().chain(carts) {
                        engine.release(hold).unwrap().not_yet_durable();
                    }
                });
            });
        }
        self.shop.clock.advance(601 * SECOND);
        self.shop.engine.sweep();
    }

    fn prepare(&self, act: Act) -> Option<HoldId> {
        let (engine, clock) = (&self.shop.engine, &self.shop.clock);
        let [first, second, _] = self.keys;
        let two = Reserve::units(first, 2);
        let reserve = |request| Some(engine.reserve(request).unwrap().not_yet_durable().hold);
        match act {
            Act::Reserve | Act::ReserveShort | Act::Batch | Act::Cart | Act::Cart3 | Act::Receive => None,
            Act::Release | Act::Confirm | Act::ConfirmPart | Act::Extend => reserve(two),
            Act::ReplaceMore | Act::ReplaceFewer => reserve(two),
            Act::ReplaceShort => reserve(two.ttl(SECOND)),
            Act::ConfirmCart => {
                let lines = [CartLine::units(first, 2), CartLine::units(second, 1)];
                Some(engine.reserve_cart(ReserveCart::lines(&lines)).unwrap().not_yet_durable().hold)
            }
            Act::Cancel => {
                let hold = reserve(two);
                engine.confirm(hold.unwrap()).unwrap().not_yet_durable();
                hold
            }
            Act::Retake | Act::Sweep | Act::Inline => {
                let hold = reserve(two.ttl(SECOND));
                clock.advance(2 * SECOND);
                if act == Act::Retake {
                    assert_eq!(engine.sweep(), 1);
                }
                hold
            }
            Act::Exactly => {
                assert!(engine.prepare(first).unwrap());
                None
            }
            Act::Prepare => None,
        }
    }

    /// The parked thread's own call. What it is answered in the end is checked by the books.
    fn act(&self, act: Act) {
        let engine = &self.shop.engine;
        let [first, second, third] = self.keys;
        let hold = self.hold.unwrap_or(HoldId::from_u128(0));
        let ended = match act {
            Act::Reserve => engine.reserve(Reserve::units(first, 2)).map(drop).map_err(|e| e.busy()),
            Act::ReserveShort => {
                engine.reserve(Reserve::units(first, 2).ttl(SECOND)).map(drop).map_err(|e| e.busy())
            }
            Act::Batch => {
                assert!(engine.reserve_batch(&[Reserve::units(first, 1); 2]).iter().all(Result::is_ok));
                Ok(())
            }
            Act::Cart => {
                let lines = [CartLine::units(first, 2), CartLine::units(second, 1)];
                engine.reserve_cart(ReserveCart::lines(&lines)).map(drop).map_err(|e| e.busy())
            }
            Act::Cart3 => {
                let lines = [(first, 2), (second, 2), (third, 1)];
                let lines = lines.map(|(key, units)| CartLine::units(key, units));
                let answer = engine.reserve_cart(ReserveCart::lines(&lines));
                assert!(is_out(&answer), "{answer:?}");
                Ok(())
            }
            // Another has confirmed it, or it has expired: that is an answer too.
            Act::Release | Act::Inline => engine.release(hold).map(drop).map_err(|e| e.busy()),
            Act::Confirm => engine.confirm(hold).map(drop).map_err(|e| e.busy()),
            Act::ConfirmPart => {
                engine.confirm(Confirm::hold(hold).quantity(1)).map(drop).map_err(|e| e.busy())
            }
            Act::ConfirmCart => {
                let lines = [first, second].map(|key| CartLine::units(key, 1));
                engine.confirm(Confirm::hold(hold).lines(&lines)).map(drop).map_err(|e| e.busy())
            }
            Act::Extend => engine.extend(Extend::hold(hold, 900 * SECOND)).map(drop).map_err(|e| e.busy()),
            Act::ReplaceMore => engine.replace(Replace::quantity(hold, 3)).map(drop).map_err(|e| e.busy()),
            Act::ReplaceFewer | Act::ReplaceShort => {
                engine.replace(Replace::quantity(hold, 1)).map(drop).map_err(|e| e.busy())
            }
            Act::Cancel => engine.cancel(hold).map(drop).map_err(|e| e.busy()),
            Act::Retake => {
                engine.confirm(Confirm::hold(hold).retake_if_expired()).map(drop).map_err(|e| e.busy())
            }
            Act::Sweep => {
                assert_eq!(engine.sweep(), 1);
                Ok(())
            }
            Act::Receive => engine.receive(Receive::units(first, 1)).map(drop).map_err(|e| e.busy()),
            Act::Exactly => engine.available_exactly(first).map(drop).map_err(|e| e.busy()),
            Act::Prepare => engine.prepare(first).map(drop).map_err(|e| e.busy()),
        };
        assert!(!matches!(ended, Err(Some(_))), "nobody else was parked: {ended:?}");
    }

    fn others(&self, others: Others) {
        let engine = &self.shop.engine;
        match others {
            Others::DrainFirst => drop(engine.reserve(Reserve::units(self.keys[0], SCARCE)).unwrap()),
            Others::DrainThird => drop(engine.reserve(Reserve::units(self.keys[2], SCARCE)).unwrap()),
            Others::Confirm => drop(engine.confirm(self.hold.unwrap()).unwrap()),
            Others::Later => self.shop.clock.advance(2 * SECOND),
        }
    }

    /// Units that others get of the first key, until they are answered something else.
    fn sell_out(&self, answer: Answer) -> u32 {
        let mut granted = 0;
        while self.refused(self.keys[0], 1, answer, 1) {
            granted += 1;
        }
        granted
    }

    /// Asks for `units`; `true` if they were granted, else the answer was `expected`, after so many `attempts` at most
    /// of which the others, who run, may keep it `Busy`.
    fn refused(&self, key: StockKey, units: u32, expected: Answer, attempts: usize) -> bool {
        for _ in 0..attempts {
            let answer = self.shop.engine.reserve(Reserve::units(key, units));
            let busy = answer.as_ref().err().and_then(Why::busy);
            match expected {
                _ if answer.is_ok() => return true,
                Truth if is_out(&answer) => return false,
                Truth if busy.is_some() && attempts > 1 => {}
                SomeBusy if matches!(busy, Some(Busy::Pending | Busy::Reclaiming)) => return false,
                Answer::Busy(why) if busy == Some(why) => return false,
                _ => panic!("expected {expected:?}: {answer:?}"),
            }
        }
        panic!("Busy for {attempts} attempts");
    }

    fn exactly(&self, key: StockKey, expected: Answer, attempts: usize) {
        for _ in 0..attempts {
            let answer = self.shop.engine.available_exactly(key);
            let busy = answer.as_ref().err().and_then(Why::busy);
            match expected {
                Truth if answer.is_ok() => return,
                Truth if busy.is_some() && attempts > 1 => {}
                SomeBusy if matches!(busy, Some(Busy::Pending | Busy::Reclaiming)) => return,
                Answer::Busy(why) if busy == Some(why) => return,
                _ => panic!("expected {expected:?}: {answer:?}"),
            }
        }
        panic!("Busy for {attempts} attempts");
    }

    /// One of the other threads: decisions of every kind, each ended before the next.
    fn trade(&self, case: &Case, other: usize, scarce: bool) {
        let own = self.own[other];
        for number in 0..DECISIONS {
            if number % 2 == 0 {
                self.decide(case, number / 2, own[0], own[1], (case.elsewhere, 1));
            } else if !scarce {
                self.decide(case, number / 2, self.keys[0], own[1], (case.here, ATTEMPTS));
            } else if number % if case.here == Truth { 16 } else { 128 } == 1 {
                assert!(!self.refused(self.keys[0], 1, case.here, 1), "everything was sold");
            }
        }
    }

    /// One decision on `key`, and what ends its hold. `refusal`: what is answered to who would be refused the key, and how
    /// often the other running threads may be in the way of it.
    fn decide(&self, case: &Case, number: u32, key: StockKey, beside: StockKey, refusal: (Answer, usize)) {
        let engine = &self.shop.engine;
        let reserve = |units| {
            let request = Reserve::units(key, units);
            made(case, || engine.reserve(request)).unwrap().not_yet_durable().hold
        };
        let release = |hold| drop(made(case, || engine.release(hold)).unwrap());
        let cancel = |hold| drop(made(case, || engine.cancel(hold)).unwrap());
        let lines = [key, beside].map(|key| CartLine::units(key, 2));
        let cart = || {
            let answer = made(case, || engine.reserve_cart(ReserveCart::lines(&lines)));
            expected_lines(case, answer.map(|cart| cart.not_yet_durable().hold))
        };
        // Patience takes a machine with work to do some time: of what ends in `Busy`, one in ten is asked.
        let impatient = refusal.0 != Truth && !(number / 10).is_multiple_of(10);
        match number % 10 {
            6 | 7 if impatient => release(reserve(1)),
            0 => release(reserve(1)),
            1 => {
                let hold = reserve(3);
                made(case, || engine.confirm(hold)).unwrap().not_yet_durable();
                cancel(hold);
            }
            2 => {
                let hold = reserve(2);
                made(case, || engine.extend(Extend::hold(hold, 900 * SECOND))).unwrap().not_yet_durable();
                made(case, || engine.begin_payment(hold)).unwrap().not_yet_durable();
                release(hold);
            }
            3 => {
                if let Some(hold) = cart() {
                    let part = [key, beside].map(|key| CartLine::units(key, 1));
                    let part = Confirm::hold(hold).lines(&part);
                    made(case, || engine.confirm(part)).unwrap().not_yet_durable();
                    cancel(hold);
                }
            }
            4 => {
                if let Some(hold) = cart() {
                    release(hold);
                }
            }
            5 => {
                let hold = reserve(2);
                for units in [5, 1] {
                    let answer = made(case, || engine.replace(Replace::quantity(hold, units)));
                    expected_lines(case, answer.map(drop));
                }
                let answer = made(case, || engine.replace(Replace::lines(hold, &lines)));
                expected_lines(case, answer.map(drop));
                release(hold);
            }
            6 => assert!(!self.refused(key, QUANTITY_MAX, refusal.0, refusal.1), "more than there is"),
            7 => self.exactly(key, refusal.0, refusal.1),
            8 => drop(engine.sweep()),
            _ => {
                let hold = reserve(4);
                let status = engine.status(hold).unwrap();
                assert_eq!((status.state, status.quantity), (HoldState::Active, 4));
                made(case, || engine.confirm(Confirm::hold(hold).quantity(3))).unwrap().not_yet_durable();
                cancel(hold);
            }
        }
    }

    /// Nobody is parked any more: no `Busy`, and the counters say what the log says.
    fn settle(&self) {
        let engine = &self.shop.engine;
        let own = self.own.as_flattened();
        for &key in self.keys.iter().chain(own) {
            let exactly = engine.available_exactly(key).expect("nobody is in the way");
            let level = engine.level(key).unwrap();
            assert_eq!(level.available, exactly, "{level:?}");
            if own.contains(&key) {
                assert_eq!((level.on_hand, level.held, level.committed), (PLENTY.into(), 0, 0));
            }
            self.refused(key, QUANTITY_MAX, Truth, 1);
        }
        engine.shutdown().unwrap();
    }
}

/// A decision that nobody parked can keep from being made: the first attempt, unless memory is taken for the first time.
fn made<T, E: Why>(case: &Case, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(error) if case.cold && case.lines == Truth && error.busy() == Some(Busy::Growing) => {}
            answer => return answer,
        }
    }
    ask()
}

fn expected_lines<T, E: Why + std::fmt::Debug>(case: &Case, answer: Result<T, E>) -> Option<T> {
    match (answer, case.lines) {
        (Ok(made), Truth) => Some(made),
        (Err(error), Answer::Busy(why)) if error.busy() == Some(why) => None,
        (Ok(_), _) => panic!("{case:?}: the lines cannot have been had"),
        (Err(error), _) => panic!("{case:?}: {error:?}"),
    }
}

fn play(case: &Case, units: u32) {
    let scarce = units != PLENTY;
    let scene = Scene::new(case, units);
    let mut stall = arm(case.thread, case.step.0, case.step.1);
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(VICTIM.into());
        let victim = builder.spawn_scoped(scope, || scene.act(case.act)).unwrap();
        parked(&stall, case);
        // Where it is another that is parked, what this thread does is over.
        while case.thread != VICTIM && !victim.is_finished() {
            thread::yield_now();
        }
        if let Some((others, next)) = case.then {
            scene.others(others);
            if let Some((step, passage)) = next {
                stall = arm(case.thread, step, passage); // the one before lets go
                parked(&stall, case);
            }
        }
        if scarce {
            let drained = if let Some((Others::DrainFirst, _)) = case.then { SCARCE } else { 0 };
            let granted = if case.is_split() { units } else { case.granted };
            assert_eq!(scene.sell_out(case.here) + drained, granted, "{case:?}");
        }
        let others: Vec<_> = (0..OTHERS)
            .map(|other| {
                scope.spawn({
                    let scene = &scene;
                    move || scene.trade(case, other, scarce)
                })
            })
            .collect();
        let failed = others.into_iter().any(|other| other.join().is_err());
        drop(stall);
        victim.join().unwrap();
        assert!(!failed, "{case:?}, {units} units");
    });
    if scarce {
        // Whoever was told the truth would be told the same now: what the parked thread had did not come back.
        assert_eq!(scene.shop.engine.available_exactly(scene.shop.key), Ok(case.after), "{case:?}");
    }
    scene.settle();
}

fn play_all(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let _alone = alone();
        let scarce = if case.is_split() { SPLIT } else { SCARCE };
        for units in [(case.scarce, scarce), (case.plenty, PLENTY)]
            .into_iter()
            .filter_map(|(it, units)| it.then_some(units))
        {
            let began = Instant::now();
            watched(&format!("{case:?}"), || play(&case, units));
            println!("{:?} {:?} {units}: {:?}", case.act, case.step, began.elapsed());
        }
    }
}

fn has_shards() -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

#[test]
fn a_reserve_before_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 4, 0);
    play_all(
        [Step::Popping, Step::Allocated, Step::Claimed, Step::Marked, Step::Queued, Step::Registered]
            .map(reserve),
    );
    let short = case(Act::Reserve, Step::Allocated, Truth, 4, 0);
    play_all([short.then_at(Others::DrainFirst, Step::Short, 1).scarce_only()]);
}

#[test]
fn a_reserve_behind_its_take() {
    let reserve = |step| case(Act::Reserve, step, Truth, 2, 0);
    play_all([Step::Taken, Step::Drawn, Step::Published, Step::Filled].map(reserve));
    let batch = |step| case(Act::Batch, step, Truth, 2, 0);
    play_all([batch(Step::Taken).passage(2), batch(Step::Drawn), batch(Step::Drawn).passage(2)]);
}

#[test]
fn a_reserve_past_its_own_deadline() {
    let late = |step, granted, after| {
        // Of the key that all share, also what the others are about to give back is in the way.
        let parked = case(Act::ReserveShort, step, SomeBusy, granted, after);
        parked.then(Others::Later).elsewhere(RECLAIMING)
    };
    play_all([late(Step::Registered, 4, 0), late(Step::Taken, 2, 2), late(Step::Drawn, 2, 2)]);
}

#[test]
fn a_cart_at_each_of_its_lines() {
    let cart = |step, passage| case(Act::Cart, step, PENDING, 2, 0).passage(passage);
    play_all([
        cart(Step::LineTaken, 1),
        cart(Step::LineTaken, 2),
        cart(Step::Drawn, 1),
        cart(Step::Published, 1),
        cart(Step::Filled, 1),
        cart(Step::Settling, 1),
        Case { here: Truth, ..cart(Step::Settling, 2) },
    ]);
}

#[test]
fn a_cart_that_rolls_back() {
    let back = |here, granted, after, passage| {
        let parked = case(Act::Cart3, Step::LineTaken, here, granted, after).passage(2);
        parked.then_at(Others::DrainThird, Step::Giving, passage)
    };
    play_all([back(PENDING, 2, 2, 1), back(Truth, 4, 0, 2)]);
}

#[test]
fn a_change_that_gives_back() {
    let release = |step| case(Act::Release, step, PENDING, 2, 2);
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled, Step::Giving];
    play_all(steps.map(release));
    play_all([case(Act::Release, Step::Ended, Truth, 4, 0)]);
    let steps = [Step::Announced, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::ConfirmPart, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::Cancel, step, PENDING, 2, 2)));
}

#[test]
fn a_change_that_gives_nothing_back() {
    let steps = [Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::Confirm, step, Truth, 2, 0)));
    play_all(steps.map(|step| case(Act::Extend, step, Truth, 2, 0)));
}

#[test]
fn a_change_in_more_than_one_step() {
    let steps = [Step::Announced, Step::Swapped, Step::Changing, Step::ChangeFilled];
    play_all(steps.map(|step| case(Act::ConfirmCart, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::ReplaceFewer, step, PENDING, 2, 1)));
    play_all(steps.map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    play_all([Step::LineTaken, Step::Settling].map(|step| case(Act::ReplaceMore, step, PENDING, 1, 0)));
    // Nobody can close it, nor forget it.
    let late = case(Act::ReplaceShort, Step::Swapped, PENDING, 2, 2).then(Others::Later);
    play_all([late.elsewhere(RECLAIMING)]);
}

#[test]
fn a_change_that_was_beaten() {
    let beaten = case(Act::Release, Step::Announced, PENDING, 2, 0);
    play_all([
        beaten.then_at(Others::Confirm, Step::Beaten, 1),
        beaten.then_at(Others::Confirm, Step::Settling, 1),
    ]);
}

#[test]
fn a_late_confirm() {
    let steps = [Step::LineTaken, Step::Announced, Step::Swapped, Step::ChangeFilled, Step::Settling];
    play_all(steps.map(|step| case(Act::Retake, step, PENDING, 2, 0)));
}

#[test]
fn an_expiry_in_a_turn_of_the_wheel() {
    let turn = |step, granted, after| case(Act::Sweep, step, SomeBusy, granted, after).elsewhere(RECLAIMING);
    let steps =
        [Step::Turning, Step::Firing, Step::Announced, Step::ChangeDrawn, Step::Swapped, Step::ChangeFilled];
    play_all(steps.map(|step| turn(step, 2, 2)));
    play_all([Step::Ended, Step::Burying, Step::TurnEnding].map(|step| turn(step, 4, 0)));
}

#[test]
fn an_expiry_by_who_asks_for_the_hold() {
    let inline = |step| case(Act::Inline, step, PENDING, 2, 2).plenty_only();
    play_all([Step::Announced, Step::Swapped, Step::ChangeFilled].map(inline));
}

#[test]
fn a_gather_and_a_split() {
    if !has_shards() {
        return println!("one core: no key is ever split");
    }
    let gather = |step| case(Act::Exactly, step, Truth, 0, 0);
    play_all([
        gather(Step::Frozen),
        gather(Step::Frozen).passage(2),
        gather(Step::Summed),
        gather(Step::Gathered),
        case(Act::Prepare, Step::Loaded, Truth, 0, 0),
    ]);
}

/// A sum that was taken before must not be believed after.
#[test]
fn a_gather_while_others_take_and_nobody_else_gathers() {
    if !has_shards() {
        return;
    }
    for step in [(Step::Frozen, 1), (Step::Frozen, 2), (Step::Summed, 1)] {
        let _alone = alone();
        watched(&format!("{step:?}"), || {
            let scene = Scene::new(&case(Act::Exactly, step.0, Truth, 0, 0), SPLIT);
            let stall = arm(VICTIM, step.0, step.1);
            thread::scope(|scope| {
                let builder = thread::Builder::new().name(VICTIM.into());
                let victim = builder.spawn_scoped(scope, || scene.act(Act::Exactly)).unwrap();
                parked(&stall, &step);
                let take = || (0..100).for_each(|_| assert!(scene.shop.try_reserve(1).is_ok()));
                let others: Vec<_> = (0..OTHERS).map(|_| scope.spawn(take)).collect();
                others.into_iter().for_each(|other| other.join().unwrap());
                drop(stall);
                victim.join().unwrap();
            });
            scene.shop.assert_level(SPLIT.into(), 100 * OTHERS as i64, 0);
            scene.settle();
        });
    }
}

#[test]
fn a_receive_before_it_adds() {
    play_all([case(Act::Receive, Step::Correcting, Truth, 4, 1)]);
}

#[test]
fn a_table_that_grows() {
    if has_shards() {
        play_all([Case { cold: true, ..case(Act::Reserve, Step::Growing, Truth, 4, 0) }]);
    }
    // Lines are allocated before slots, for all shards together.
    play_all([Case { cold: true, lines: GROWING, ..case(Act::Cart, Step::Growing, Truth, 4, 0) }]);
}

#[test]
fn the_engines_own_threads() {
    let own = |thread, step| case(Act::Reserve, step, Truth, 2, 0).of(thread);
    play_all([own(LOG, Step::LogFreeing), own(LOG, Step::LogWriting), own(FOLD, Step::Folding)]);
}

/// Until nothing waits for the log thread, nor for the fold.
fn drained(shop: &Shop) {
    let began = Instant::now();
    let waits =
        |metrics: Metrics| metrics.ring_used_bytes > 0 || metrics.position_folded < metrics.position_drawn;
    while waits(shop.engine.metrics()) {
        assert!(began.elapsed() < HANG / 4, "the log does not move");
        thread::yield_now();
    }
}

/// While the log stands still, as many decisions fit as the ring has room for, and each that does not is `LogBehind`:
/// takes at three quarters of it, what gives back at its end. Then everything goes on.
fn fills_up(thread: &'static str, step: Step) {
    let _alone = alone();
    watched(&format!("{step:?} of {thread}"), || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        let other = shop.engine.declare("other", "berlin").unwrap();
        shop.engine.receive(Receive::units(other, PLENTY)).unwrap().not_yet_durable();
        shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap().not_yet_durable();
        drained(&shop);
        let words = |bytes: u64| bytes / 8;
        let all = words(shop.engine.metrics().ring_bytes);
        let used = || words(shop.engine.metrics().ring_used_bytes);
        let drawn = || shop.engine.metrics().position_drawn.0;
        let stall = arm(thread, step, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim =
                builder.spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(other, 1)).unwrap()));
            parked(&stall, &step);
            // Behind the fold the log goes on until so many groups wait, and one more that it has in hand.
            let groups = shop.engine.metrics().groups;
            let (mut holds, mut longest) = (Vec::new(), 0);
            // Alternately the key that the parked thread took of, and another.
            let refused_at = loop {
                let key = if holds.len() % 2 == 0 { other } else { shop.key };
                let (before, position) = (used(), drawn());
                let goes_on = thread == FOLD && shop.engine.metrics().groups < groups + FOLD_QUEUE + 1;
                match shop.engine.reserve(Reserve::units(key, 1)) {
                    Ok(granted) => holds.push(granted.not_yet_durable().hold),
                    Err(error) if goes_on => assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}"),
                    Err(error) => {
                        assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}");
                        break before;
                    }
                }
                longest = longest.max(drawn() - position);
            };
            // Nobody else claims: what was used at the last look can only have become less.
            assert!(refused_at + longest + 1 > all / 4 * 3, "Busy with {refused_at} of {all} words used");
            assert!(holds.len() as u64 >= (all / 4 * 3 - 64) / longest, "{} holds", holds.len());
            let mut released = 0;
            let refused_at = loop {
                let before = used();
                let Some(hold) = holds.pop() else { panic!("the ring never fills up") };
                match shop.engine.release(hold) {
                    Ok(_) => released += 1,
                    Err(error) => {
                        assert_eq!(error.busy(), Some(Busy::LogBehind), "{error:?}");
                        holds.push(hold);
                        break before;
                    }
                }
            };
            assert!(refused_at + longest + 1 > all, "Busy with {refused_at} of {all} words used");
            // Refusals write nothing, so they are made all the same, and true.
            let answer = shop.engine.reserve(Reserve::units(other, QUANTITY_MAX));
            assert!(is_out(&answer), "{answer:?}");
            println!("{step:?}: {} holds and {released} releases in {all} words", holds.len() + released);
            drop(stall);
            victim.unwrap().join().unwrap();
            drained(&shop);
            for hold in holds {
                // A flood of releases, faster than the log: as a caller does who is told to.
                while let Err(error) = shop.engine.release(hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
        });
        drained(&shop);
        shop.engine.reserve(Reserve::units(other, 1)).unwrap().not_yet_durable();
        for key in [shop.key, other] {
            let level = shop.engine.level(key).unwrap();
            assert_eq!(level.available, shop.engine.available_exactly(key).unwrap(), "{level:?}");
        }
        shop.engine.shutdown().unwrap();
    });
}

#[test]
fn the_ring_fills_up_behind_a_hole() {
    fills_up(VICTIM, Step::Drawn);
    fills_up(VICTIM, Step::Published);
}

#[test]
fn the_ring_fills_up_behind_the_log_thread() {
    fills_up(LOG, Step::LogFreeing);
    fills_up(LOG, Step::LogWriting);
}

#[test]
fn the_ring_fills_up_behind_the_fold() {
    fills_up(FOLD, Step::Folding);
}

/// Parks `act` at `step`, and lets `look` ask about its hold meanwhile.
fn on_the_hold(act: Act, step: Step, look: impl FnOnce(&Shop, HoldId)) {
    let _alone = alone();
    watched(&format!("{act:?} at {step:?}"), || {
        let scene = Scene::new(&case(act, step, Truth, 0, 0), SCARCE);
        let stall = arm(VICTIM, step, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim = builder.spawn_scoped(scope, || scene.act(act)).unwrap();
            parked(&stall, &(act, step));
            look(&scene.shop, scene.hold.unwrap());
            drop(stall);
            victim.join().unwrap();
        });
        scene.settle();
    });
}

#[test]
fn a_hold_whose_release_has_not_swapped_is_anybodys() {
    for step in [Step::Announced, Step::ChangeDrawn] {
        on_the_hold(Act::Release, step, |shop, hold| {
            assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Active);
            shop.engine.extend(Extend::hold(hold, 900 * SECOND)).unwrap().not_yet_durable();
            shop.engine.replace(Replace::quantity(hold, 3)).unwrap().not_yet_durable();
            shop.engine.confirm(hold).unwrap().not_yet_durable();
            let again = shop.engine.confirm(hold);
            assert!(matches!(again, Err(ConfirmError::Ended(HoldState::Confirmed))), "{again:?}");
        });
    }
}

#[test]
fn a_hold_whose_release_has_swapped_is_over() {
    for step in [Step::Swapped, Step::ChangeFilled, Step::Ended] {
        on_the_hold(Act::Release, step, |shop, hold| {
            assert_eq!(shop.engine.status(hold).unwrap().state, HoldState::Released);
            let late = shop.engine.confirm(hold);
            assert!(matches!(late, Err(ConfirmError::Ended(HoldState::Released))), "{late:?}");
        });
    }
}

#[test]
fn a_hold_that_is_being_changed_is_busy() {
    for (act, step) in [
        (Act::ReplaceMore, Step::Swapped),
        (Act::ReplaceFewer, Step::Changing),
        (Act::ConfirmCart, Step::Swapped),
        (Act::ConfirmCart, Step::Changing),
    ] {
        on_the_hold(act, step, |shop, hold| {
            let changing = Some(Busy::Changing);
            assert_eq!(shop.engine.status(hold), Err(LookupError::Changing));
            assert_eq!(shop.engine.confirm(hold).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.release(hold).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.cancel(OnHold::hold(hold)).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.replace(Replace::quantity(hold, 1)).unwrap_err().busy(), changing);
            assert_eq!(shop.engine.extend(Extend::hold(hold, SECOND)).unwrap_err().busy(), changing);
        });
    }
}

#[test]
fn an_op_key_whose_operation_is_parked_is_in_progress_and_no_other_is() {
    let _alone = alone();
    watched("op key", || {
        let shop = Shop::with_units(SCARCE);
        let stall = arm(VICTIM, Step::Drawn, 1);
        let request = |key| Reserve::units(shop.key, 1).op_key(OpKey(key));
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim =
                builder.spawn_scoped(scope, || shop.engine.reserve(request(1)).unwrap().not_yet_durable());
            parked(&stall, &"op key");
            let again = shop.engine.reserve(request(1));
            let in_progress = Common::OpKey(OpKeyError::InProgress);
            assert!(matches!(&again, Err(ReserveError::Common(cause)) if *cause == in_progress), "{again:?}");
            let left = shop.engine.reserve(request(2)).unwrap().not_yet_durable().left;
            assert_eq!(left, Left::Exact(2));
            drop(stall);
            let first = victim.unwrap().join().unwrap();
            assert_eq!(shop.engine.reserve(request(1)).unwrap().not_yet_durable(), first);
        });
        shop.assert_level(4, 2, 0);
    });
}

/// The slot is the parked thread's until it has given it back: the table is as full as it says.
#[test]
fn a_slot_that_has_not_come_back_counts_as_a_hold() {
    let _alone = alone();
    watched("holds_max", || {
        let shop = Shop::with(SCARCE, |config| config.holds_max(1));
        let hold = shop.reserve(1);
        let stall = arm(VICTIM, Step::Ended, 1);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name(VICTIM.into());
            let victim = builder.spawn_scoped(scope, || drop(shop.engine.release(hold).unwrap())).unwrap();
            parked(&stall, &"holds_max");
            assert_eq!(shop.engine.available_exactly(shop.key), Ok(4));
            assert!(matches!(shop.try_reserve(1), Err(ReserveError::HoldsFull { holds_max: 1 })));
            drop(stall);
            victim.join().unwrap();
        });
        shop.reserve(1);
    });
}

/// What a claim counted that found no room stays counted while its thread is parked: at most one record, and nobody is
/// told anything but to try again.
#[test]
fn a_claim_that_found_no_room() {
    let _alone = alone();
    watched("claim", || {
        let shop = Shop::with(PLENTY, |config| config.ring_bytes(64 << 10));
        drained(&shop);
        let hole = arm(VICTIM, Step::Drawn, 1);
        thread::scope(|scope| {
            let named = || thread::Builder::new().name(VICTIM.into());
            let first = named()
                .spawn_scoped(scope, || drop(shop.engine.reserve(Reserve::units(shop.key, 1)).unwrap()));
            parked(&hole, &"hole");
            let mut holds = Vec::new();
            while let Ok(granted) = shop.engine.reserve(Reserve::units(shop.key, 1)) {
                holds.push(granted.not_yet_durable().hold);
            }
            let full = arm(VICTIM, Step::Unclaiming, 1);
            let second = named().spawn_scoped(scope, || {
                let answer = shop.engine.reserve(Reserve::units(shop.key, 1));
                assert_eq!(answer.unwrap_err().busy(), Some(Busy::LogBehind));
            });
            parked(&full, &"full");
            // What is kept for giving back is there.
            shop.engine.release(holds[0]).unwrap().not_yet_durable();
            drop(hole);
            first.unwrap().join().unwrap();
            // And everything goes on beside it.
            for hold in &holds[1..] {
                while let Err(error) = shop.engine.release(*hold) {
                    assert_eq!(error.busy(), Some(Busy::LogBehind));
                    thread::yield_now();
                }
            }
            drop(full);
            second.unwrap().join().unwrap();
        });
        drained(&shop);
        shop.assert_level(PLENTY.into(), 1, 0);
        shop.engine.shutdown().unwrap();
    });
}
