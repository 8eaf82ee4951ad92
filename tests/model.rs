//! The engine against a model that is obviously right: maps, a clock that is moved, and no threads.
//!
//! Every operation is done by both, and their answers are compared. Where the engine may know less than the model, the
//! model says so: units of holds that are due and that nobody has looked at yet may still count as held in
//! [`Engine::available`], so such numbers have a range. Proptest prints the failing case and its seed.

mod common;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use common::{START, still};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use stockhold::error::{Common, ConfirmError, HoldError, LookupError, OpKeyError, ReserveError, StockError};
use stockhold::{
    Adjust, AdjustReason, Config, Confirm, Durability, Engine, Extend, HoldId, HoldState, ManualClock,
    OnHold, OpKey, Position, Receipt, Receive, RefusalReason, Reserve, StockKey, Timestamp,
};

const KEYS: usize = 3;
const TTL_DEFAULT_MS: u64 = 50;
const TTL_MAX_MS: u64 = 100;
const LIFE_MAX_MS: u64 = 150;
const PAYMENT_MS: u64 = 30;

#[derive(Clone, Debug)]
struct Step {
    what: What,
    op_key: Option<u8>,
}

#[derive(Clone, Debug)]
enum What {
    Receive { key: usize, quantity: u32 },
    Adjust { key: usize, delta: i64 },
    Switch { key: usize, stopped: bool },
    Reserve { key: usize, quantity: u32, ttl_ms: Option<u64>, remember_refusal: bool },
    Confirm { hold: Index, quantity: Option<u32>, retake: bool },
    Release { hold: Index },
    Extend { hold: Index, ttl_ms: u64 },
    Pay { hold: Index },
    Cancel { hold: Index, quantity: Option<u32> },
    Ship { hold: Index, quantity: Option<u32> },
    Advance { ms: u64 },
    Sweep,
    Status { hold: Index },
    InTheWay { key: usize },
    Look,
    Reopen { orderly: bool },
}

fn what() -> impl Strategy<Value = What> {
    let (key, hold, units) = (|| 0..KEYS, any::<Index>, || proptest::option::of(1..4u32));
    prop_oneof![
        3 => (key(), 1..8u32).prop_map(|(key, quantity)| What::Receive { key, quantity }),
        2 => (key(), -5..5i64).prop_map(|(key, delta)| What::Adjust { key, delta }),
        1 => (key(), any::<bool>()).prop_map(|(key, stopped)| What::Switch { key, stopped }),
        12 => (key(), 1..5u32, proptest::option::of(1..=TTL_MAX_MS), any::<bool>()).prop_map(
            |(key, quantity, ttl_ms, remember_refusal)| What::Reserve { key, quantity, ttl_ms, remember_refusal }
        ),
        6 => (hold(), units(), any::<bool>())
            .prop_map(|(hold, quantity, retake)| What::Confirm { hold, quantity, retake }),
        3 => hold().prop_map(|hold| What::Release { hold }),
        3 => (hold(), 1..=TTL_MAX_MS).prop_map(|(hold, ttl_ms)| What::Extend { hold, ttl_ms }),
        2 => hold().prop_map(|hold| What::Pay { hold }),
        2 => (hold(), units()).prop_map(|(hold, quantity)| What::Cancel { hold, quantity }),
        2 => (hold(), units()).prop_map(|(hold, quantity)| What::Ship { hold, quantity }),
        5 => (1..60u64).prop_map(|ms| What::Advance { ms }),
        1 => Just(What::Sweep),
        2 => hold().prop_map(|hold| What::Status { hold }),
        1 => key().prop_map(|key| What::InTheWay { key }),
        2 => Just(What::Look),
        1 => any::<bool>().prop_map(|orderly| What::Reopen { orderly }),
    ]
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (what(), proptest::option::weighted(0.3, 0..12u8));
    proptest::collection::vec(step.prop_map(|(what, op_key)| Step { what, op_key }), 1..most)
}

/// What an operation is told, by the engine (numbers are ranges of one) or by the model.
#[derive(Clone, PartialEq, Debug)]
enum Told {
    Reserved {
        hold: usize,
        quantity: u32,
        deadline: u64,
    },
    Confirmed {
        hold: usize,
        quantity: u32,
        returned: u32,
        retaken: bool,
    },
    Extended {
        hold: usize,
        deadline: u64,
    },
    Moved {
        hold: usize,
        quantity: u32,
        remaining: u32,
    },
    Stock,
    Refused {
        reason: RefusalReason,
        asked: u32,
    },
    /// Nothing is known of the hold any more.
    Forgotten,
    Error(String),
}

fn error<T>(error: impl std::fmt::Debug) -> Result<T, Told> {
    Err(Told::Error(format!("{error:?}")))
}

/// What identifies an operation to its op key, its holds by number.
type Content = String;

#[derive(Clone, Debug)]
struct Hold {
    key: usize,
    quantity: u32,
    born: u64,
    deadline: u64,
    state: HoldState,
    committed: u32,
    /// It is due, and maybe nobody has closed it.
    unseen: bool,
}

impl Hold {
    fn live(&self) -> bool {
        matches!(self.state, HoldState::Active | HoldState::Paying)
    }

    /// Its place may be another's by now.
    fn may_be_forgotten(&self) -> bool {
        matches!(self.state, HoldState::Released | HoldState::Shipped | HoldState::Cancelled)
    }
}

#[derive(Clone, Default, Debug)]
struct Key {
    on_hand: i64,
    stopped: bool,
}

/// What is true.
#[derive(Default)]
struct Model {
    now: u64,
    keys: [Key; KEYS],
    holds: Vec<Hold>,
    op_keys: BTreeMap<u8, Content>,
}

/// An answer and the number in it: units left, or available.
type Answer = Result<(Told, Option<RangeInclusive<i64>>), (Told, Option<RangeInclusive<i64>>)>;

impl Model {
    /// Time decides, at once and for everybody.
    fn advance(&mut self, ms: u64) {
        self.now += ms;
        for hold in self.holds.iter_mut().filter(|hold| hold.live() && hold.deadline <= self.now) {
            (hold.state, hold.unseen) = (HoldState::Expired, true);
        }
    }

    fn sum(&self, key: usize, units: impl Fn(&Hold) -> u32) -> i64 {
        self.holds.iter().filter(|hold| hold.key == key).map(|hold| i64::from(units(hold))).sum()
    }

    fn held(&self, key: usize) -> i64 {
        self.sum(key, |hold| if hold.live() { hold.quantity } else { 0 })
    }

    fn available(&self, key: usize) -> i64 {
        self.keys[key].on_hand - self.held(key) - self.sum(key, |hold| hold.committed)
    }

    /// What the counter may say.
    fn counted(&self, key: usize) -> RangeInclusive<i64> {
        let available = self.available(key);
        available - self.sum(key, |hold| if hold.unseen { hold.quantity } else { 0 })..=available
    }

    fn see_all(&mut self) -> usize {
        self.holds.iter_mut().map(|hold| usize::from(std::mem::take(&mut hold.unseen))).sum()
    }

    /// Whoever looks at a hold sees that it is over.
    fn see(&mut self, hold: usize) -> &mut Hold {
        self.holds[hold].unseen = false;
        &mut self.holds[hold]
    }

    /// Takes units, or refuses; a refuser has seen everything that is due.
    fn take(&mut self, key: usize, asked: u32) -> Result<(), (Told, Option<RangeInclusive<i64>>)> {
        if self.keys[key].stopped {
            return Err((Told::Refused { reason: RefusalReason::Stopped, asked }, Some(self.counted(key))));
        }
        let available = self.available(key);
        if available < i64::from(asked) {
            self.see_all();
            let refused = Told::Refused { reason: RefusalReason::OutOfStock, asked };
            return Err((refused, Some(available..=available)));
        }
        Ok(())
    }

    fn apply(&mut self, what: &What) -> Answer {
        let now = self.now;
        let plain = |answer: Result<Told, Told>| answer.map(|told| (told, None)).map_err(|told| (told, None));
        match *what {
            What::Receive { key, quantity } => {
                self.keys[key].on_hand += i64::from(quantity);
                Ok((Told::Stock, Some(self.counted(key))))
            }
            What::Adjust { key, delta } => {
                let on_hand = self.keys[key].on_hand;
                if delta == 0 {
                    let zero = Common::Quantity(stockhold::error::QuantityError(0));
                    return plain(error(StockError::Common(zero)));
                }
                if delta < 0 && on_hand + delta < 0 {
                    return plain(error(StockError::BelowZero { asked: -delta, on_hand }));
                }
                self.keys[key].on_hand += delta;
                Ok((Told::Stock, Some(self.counted(key))))
            }
            What::Switch { key, stopped } => {
                self.keys[key].stopped = stopped;
                Ok((Told::Stock, None))
            }
            What::Reserve { key, quantity, ttl_ms, .. } => {
                self.take(key, quantity)?;
                let deadline = now + ttl_ms.unwrap_or(TTL_DEFAULT_MS);
                let (state, committed, unseen) = (HoldState::Active, 0, false);
                self.holds.push(Hold { key, quantity, born: now, deadline, state, committed, unseen });
                let hold = self.holds.len() - 1;
                Ok((Told::Reserved { hold, quantity, deadline }, Some(self.counted(key))))
            }
            What::Confirm { hold, quantity, retake } => {
                let number = hold.index(self.holds.len());
                let held = self.holds[number].quantity;
                let asked = quantity.unwrap_or(held);
                if asked > held {
                    return plain(error(ConfirmError::TooMany { asked, held }));
                }
                let (key, state) = (self.holds[number].key, self.see(number).state);
                let retaken = match state {
                    HoldState::Active | HoldState::Paying => false,
                    HoldState::Expired if retake => {
                        self.take(key, asked)?;
                        true
                    }
                    HoldState::Expired => return plain(error(ConfirmError::Expired)),
                    ended => return plain(error(ConfirmError::Ended(ended))),
                };
                let hold = &mut self.holds[number];
                (hold.state, hold.committed) = (HoldState::Confirmed, asked);
                let returned = if retaken { 0 } else { held - asked };
                plain(Ok(Told::Confirmed { hold: number, quantity: asked, returned, retaken }))
            }
            What::Release { hold } => plain(self.unpaid(hold, |hold| {
                hold.state = HoldState::Released;
                Ok(|hold, held: &Hold| Told::Moved { hold, quantity: held.quantity, remaining: 0 })
            })),
            What::Extend { hold, ttl_ms } => plain(self.unpaid(hold, |hold| {
                let latest = hold.born + LIFE_MAX_MS;
                if now + ttl_ms > latest.max(hold.deadline) {
                    return error(HoldError::LifeMax { latest: Timestamp(START.0 + latest) });
                }
                hold.deadline = hold.deadline.max(now + ttl_ms);
                Ok(|hold, held: &Hold| Told::Extended { hold, deadline: held.deadline })
            })),
            What::Pay { hold } => plain(self.unpaid(hold, |hold| {
                if hold.state == HoldState::Paying {
                    return error(HoldError::WrongState(HoldState::Paying));
                }
                let latest = hold.born + LIFE_MAX_MS;
                hold.deadline = hold.deadline.max((hold.deadline + PAYMENT_MS).min(latest));
                hold.state = HoldState::Paying;
                Ok(|hold, held: &Hold| Told::Extended { hold, deadline: held.deadline })
            })),
            What::Cancel { hold, quantity } => plain(self.sold(hold, quantity, HoldState::Cancelled)),
            What::Ship { hold, quantity } => {
                let shipped = self.sold(hold, quantity, HoldState::Shipped);
                if let Ok(Told::Moved { hold, quantity, .. }) = shipped {
                    self.keys[self.holds[hold].key].on_hand -= i64::from(quantity);
                }
                plain(shipped)
            }
            _ => unreachable!("not an operation"),
        }
    }

    /// Something happens to a hold that is not paid for.
    fn unpaid<A: FnOnce(usize, &Hold) -> Told>(
        &mut self,
        hold: Index,
        change: impl FnOnce(&mut Hold) -> Result<A, Told>,
    ) -> Result<Told, Told> {
        let number = hold.index(self.holds.len());
        let hold = self.see(number);
        match hold.state {
            HoldState::Active | HoldState::Paying => {}
            HoldState::Expired => return error(HoldError::Expired),
            state => return error(HoldError::WrongState(state)),
        }
        let answer = change(hold)?;
        Ok(answer(number, hold))
    }

    /// Units of a hold that is paid for leave it.
    fn sold(&mut self, hold: Index, quantity: Option<u32>, emptied: HoldState) -> Result<Told, Told> {
        let number = hold.index(self.holds.len());
        let hold = self.see(number);
        match hold.state {
            HoldState::Confirmed => {}
            HoldState::Expired => return error(HoldError::Expired),
            state => return error(HoldError::WrongState(state)),
        }
        let (asked, remaining) = (quantity.unwrap_or(hold.committed), hold.committed);
        if asked > remaining {
            return error(HoldError::TooMany { asked, remaining });
        }
        hold.committed -= asked;
        if hold.committed == 0 {
            hold.state = emptied;
        }
        Ok(Told::Moved { hold: number, quantity: asked, remaining: hold.committed })
    }
}

/// The engine, and its names for the model's numbers.
struct Real {
    engine: Engine,
    clock: Arc<ManualClock>,
    directory: Option<tempfile::TempDir>,
    keys: Vec<StockKey>,
    holds: Vec<HoldId>,
    /// What each op key was told first, word by word.
    first: BTreeMap<u8, (String, Position)>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Real {
    fn new(on_disk: bool) -> Real {
        let clock = Arc::new(ManualClock::new(START));
        let directory = on_disk.then(|| tempfile::tempdir().unwrap());
        let engine = Real::open(&clock, directory.as_ref());
        let keys =
            (0..KEYS).map(|key| engine.declare("poster", &format!("location {key}")).unwrap()).collect();
        Real { engine, clock, directory, keys, holds: Vec::new(), first: BTreeMap::new() }
    }

    fn config(clock: &Arc<ManualClock>) -> Config {
        still(clock)
            .ttl_bounds(ms(1), ms(TTL_MAX_MS))
            .ttl_default(ms(TTL_DEFAULT_MS))
            .life_max(ms(LIFE_MAX_MS))
            .payment_extension(ms(PAYMENT_MS))
            .op_key_retention(None)
            .ring_bytes(64 << 10)
    }

    fn open(clock: &Arc<ManualClock>, directory: Option<&tempfile::TempDir>) -> Engine {
        let config = Real::config(clock).durability(Durability::Interval(ms(10)));
        match directory {
            Some(directory) => Engine::open(directory.path(), config).unwrap(),
            None => Engine::in_memory(config).unwrap(),
        }
    }

    fn number(&self, id: HoldId) -> usize {
        self.holds.iter().position(|hold| *hold == id).expect("a hold that was granted")
    }

    fn time(&self, timestamp: Timestamp) -> u64 {
        timestamp.0 - START.0
    }

    fn id(&self, hold: Index) -> HoldId {
        self.holds[hold.index(self.holds.len())]
    }

    /// Does it; the answer, the number in it, and word by word what was said.
    fn apply(&mut self, step: &Step) -> (Result<Told, Told>, Option<i64>, Option<(String, Position)>) {
        let engine = self.engine.clone();
        let op_key = step.op_key.map(|key| OpKey(key.into()));
        macro_rules! with_op_key {
            ($request:expr) => {{
                let request = $request;
                match op_key {
                    Some(key) => request.op_key(key),
                    None => request,
                }
            }};
        }
        fn said<T: Copy + std::fmt::Debug>(receipt: Receipt<'_, T>) -> (T, Option<(String, Position)>) {
            let position = receipt.position();
            let value = receipt.wait().unwrap();
            (value, Some((format!("{value:?}"), position)))
        }
        let failed = |told: Told| (Err(told), None, None);
        match step.what {
            What::Receive { key, quantity } => {
                let request = with_op_key!(Receive::units(self.keys[key], quantity));
                match engine.receive(request) {
                    Ok(receipt) => {
                        let (adjusted, said) = said(receipt);
                        assert_eq!(adjusted.shortfall, (-adjusted.available).max(0));
                        (Ok(Told::Stock), Some(adjusted.available), said)
                    }
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Adjust { key, delta } => {
                let request = with_op_key!(Adjust::by(self.keys[key], delta, AdjustReason::Count));
                match engine.adjust(request) {
                    Ok(receipt) => {
                        let (adjusted, said) = said(receipt);
                        assert_eq!(adjusted.shortfall, (-adjusted.available).max(0));
                        (Ok(Told::Stock), Some(adjusted.available), said)
                    }
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Switch { key, stopped } => {
                let key = self.keys[key];
                let switched = if stopped { engine.stop_sale(key) } else { engine.resume_sale(key) };
                switched.unwrap().wait().unwrap();
                (Ok(Told::Stock), None, None)
            }
            What::Reserve { key, quantity, ttl_ms, remember_refusal } => {
                let mut request =
                    with_op_key!(Reserve::units(self.keys[key], quantity).reference(REFERENCES[key]));
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve(request) {
                    Ok(receipt) => {
                        let (reserved, said) = said(receipt);
                        if !self.holds.contains(&reserved.hold) {
                            self.holds.push(reserved.hold);
                        }
                        let hold = self.number(reserved.hold);
                        let deadline = self.time(reserved.deadline);
                        let told = Told::Reserved { hold, quantity: reserved.quantity, deadline };
                        (Ok(told), Some(reserved.left.units()), said)
                    }
                    Err(ReserveError::Refused(refusal)) => {
                        assert_eq!(refusal.key, self.keys[key]);
                        let told = Told::Refused { reason: refusal.reason, asked: refusal.asked };
                        let said = Some((format!("{refusal:?}"), refusal.position));
                        (Err(told), Some(refusal.available), said)
                    }
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Confirm { hold, quantity, retake } => {
                let mut request = with_op_key!(Confirm::hold(self.id(hold)));
                if let Some(quantity) = quantity {
                    request = request.quantity(quantity);
                }
                if retake {
                    request = request.retake_if_expired();
                }
                match engine.confirm(request) {
                    Ok(receipt) => {
                        let (confirmed, said) = said(receipt);
                        let stockhold::answer::Confirmed { hold, quantity, returned, retaken } = confirmed;
                        let hold = self.number(hold);
                        (Ok(Told::Confirmed { hold, quantity, returned, retaken }), None, said)
                    }
                    Err(ConfirmError::Lookup(LookupError::Forgotten)) => failed(Told::Forgotten),
                    Err(ConfirmError::Refused(refusal)) => {
                        let told = Told::Refused { reason: refusal.reason, asked: refusal.asked };
                        (Err(told), Some(refusal.available), None)
                    }
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Extend { hold, ttl_ms } => {
                self.extended(engine.extend(with_op_key!(Extend::hold(self.id(hold), ms(ttl_ms)))))
            }
            What::Pay { hold } => {
                self.extended(engine.begin_payment(with_op_key!(OnHold::hold(self.id(hold)))))
            }
            What::Release { hold } => self.moved(engine.release(with_op_key!(OnHold::hold(self.id(hold))))),
            What::Cancel { hold, quantity } | What::Ship { hold, quantity } => {
                let mut request = with_op_key!(OnHold::hold(self.id(hold)));
                if let Some(quantity) = quantity {
                    request = request.quantity(quantity);
                }
                let cancel = matches!(step.what, What::Cancel { .. });
                self.moved(if cancel { engine.cancel(request) } else { engine.ship(request) })
            }
            _ => unreachable!("not an operation"),
        }
    }

    #[allow(clippy::type_complexity, reason = "as `apply`")]
    fn moved(
        &self,
        answer: Result<Receipt<'_, stockhold::answer::Moved>, HoldError>,
    ) -> (Result<Told, Told>, Option<i64>, Option<(String, Position)>) {
        match answer {
            Ok(receipt) => {
                let position = receipt.position();
                let moved = receipt.wait().unwrap();
                let stockhold::answer::Moved { hold, quantity, remaining } = moved;
                let told = Told::Moved { hold: self.number(hold), quantity, remaining };
                (Ok(told), None, Some((format!("{moved:?}"), position)))
            }
            Err(HoldError::Lookup(LookupError::Forgotten)) => (Err(Told::Forgotten), None, None),
            Err(error) => (Err(Told::Error(format!("{error:?}"))), None, None),
        }
    }

    #[allow(clippy::type_complexity, reason = "as `apply`")]
    fn extended(
        &self,
        answer: Result<Receipt<'_, stockhold::answer::Extended>, HoldError>,
    ) -> (Result<Told, Told>, Option<i64>, Option<(String, Position)>) {
        match answer {
            Ok(receipt) => {
                let position = receipt.position();
                let extended = receipt.wait().unwrap();
                let told = Told::Extended {
                    hold: self.number(extended.hold),
                    deadline: self.time(extended.deadline),
                };
                (Ok(told), None, Some((format!("{extended:?}"), position)))
            }
            Err(HoldError::Lookup(LookupError::Forgotten)) => (Err(Told::Forgotten), None, None),
            Err(error) => (Err(Told::Error(format!("{error:?}"))), None, None),
        }
    }
}

const REFERENCES: [&str; KEYS] = ["order-1", "order-2", "order-3"];

/// Both, side by side.
struct Pair {
    model: Model,
    real: Real,
}

impl Pair {
    fn run(steps: &[Step], on_disk: bool) {
        let mut pair = Pair { model: Model::default(), real: Real::new(on_disk) };
        for step in steps {
            pair.step(step);
        }
        pair.look();
        pair.real.clock.advance(ms(1_000));
        pair.model.advance(1_000);
        pair.look();
        assert_eq!(pair.real.engine.metrics().busy(), 0, "one thread is never Busy");
    }

    /// The hold that a step names.
    fn named(&self, what: &What) -> Option<Option<usize>> {
        match what {
            What::Confirm { hold, .. }
            | What::Release { hold }
            | What::Extend { hold, .. }
            | What::Pay { hold }
            | What::Cancel { hold, .. }
            | What::Ship { hold, .. }
            | What::Status { hold } => {
                let holds = self.model.holds.len();
                Some((holds > 0).then(|| hold.index(holds)))
            }
            _ => None,
        }
    }

    fn step(&mut self, step: &Step) {
        let named = match self.named(&step.what) {
            Some(None) => return, // there is no hold yet
            Some(Some(hold)) => Some(hold),
            None => None,
        };
        let engine = &self.real.engine;
        match step.what {
            What::Advance { ms: by } => {
                self.real.clock.advance(ms(by));
                self.model.advance(by);
            }
            // A buyer may have reclaimed some before.
            What::Sweep => assert!(engine.sweep() <= self.model.see_all()),
            What::Status { .. } => self.status(named.unwrap()),
            What::InTheWay { key } => {
                let way = engine.in_the_way(self.real.keys[key]).unwrap();
                let live = self.model.holds.iter().filter(|hold| hold.key == key && hold.live());
                assert_eq!(way.held, self.model.held(key));
                let earliest = way.earliest_deadline.map(|deadline| self.real.time(deadline));
                assert_eq!(earliest, live.map(|hold| hold.deadline).min());
            }
            What::Look => self.look(),
            What::Reopen { orderly } => self.reopen(orderly),
            _ => self.operate(step, named),
        }
        for key in 0..KEYS {
            let available = self.real.engine.available(self.real.keys[key]).unwrap();
            assert!(self.model.counted(key).contains(&available), "{available} after {step:?}");
        }
    }

    fn operate(&mut self, step: &Step, named: Option<usize>) {
        // The stop switch has no op key.
        let op_key = step.op_key.filter(|_| !matches!(step.what, What::Switch { .. }));
        let content = match (&step.what, named) {
            (What::Reserve { key, quantity, ttl_ms, .. }, _) => {
                format!("reserve {key} {quantity} {ttl_ms:?}")
            }
            (What::Confirm { quantity, retake, .. }, Some(hold)) => {
                format!("confirm {hold} {quantity:?} {retake}")
            }
            (What::Extend { ttl_ms, .. }, Some(hold)) => format!("extend {hold} {ttl_ms}"),
            (What::Ship { quantity, .. }, Some(hold)) => format!("ship {hold} {quantity:?}"),
            (What::Cancel { quantity, .. }, Some(hold)) => format!("cancel {hold} {quantity:?}"),
            (What::Pay { .. }, Some(hold)) => format!("pay {hold}"),
            (What::Release { .. }, Some(hold)) => format!("release {hold}"),
            (what, _) => format!("{what:?}"),
        };
        if let Some(key) = op_key
            && let Some(before) = self.model.op_keys.get(&key)
        {
            let (told, _, said) = self.real.apply(step);
            if *before == content {
                assert_eq!(said.as_ref(), self.real.first.get(&key), "{step:?} repeated");
            } else {
                let other = Common::OpKey(OpKeyError::OtherContent);
                assert_eq!(told, Err(Told::Error(format!("Common({other:?})"))), "{step:?}");
            }
            return;
        }
        let may_be_forgotten = named.is_some_and(|hold| self.model.holds[hold].may_be_forgotten());
        let expected = self.model.apply(&step.what);
        let (told, number, said) = self.real.apply(step);
        if may_be_forgotten && told == Err(Told::Forgotten) {
            assert!(expected.is_err());
            return;
        }
        let (expected, range) = match expected {
            Ok((told, range)) => (Ok(told), range),
            Err((told, range)) => (Err(told), range),
        };
        assert_eq!(told, expected, "{step:?}");
        match (number, range) {
            (Some(number), Some(range)) => {
                assert!(range.contains(&number), "{number} in {range:?} by {step:?}")
            }
            (None, None) => {}
            (number, range) => panic!("{number:?} but {range:?} by {step:?}"),
        }
        let remembered = match (&told, &step.what) {
            (Ok(_), _) => true,
            (Err(Told::Refused { .. }), What::Reserve { remember_refusal, .. }) => *remember_refusal,
            _ => false,
        };
        if let Some(key) = op_key.filter(|_| remembered) {
            self.model.op_keys.insert(key, content);
            self.real.first.insert(key, said.unwrap());
        }
    }

    fn status(&mut self, number: usize) {
        let hold = self.model.see(number).clone();
        let status = match self.real.engine.status(self.real.holds[number]) {
            Err(LookupError::Forgotten) if hold.may_be_forgotten() => return,
            status => status.unwrap(),
        };
        assert_eq!(status.hold, self.real.holds[number]);
        assert_eq!(status.state, hold.state, "hold {number}");
        assert_eq!(status.key, self.real.keys[hold.key]);
        assert_eq!(status.reference.as_bytes(), REFERENCES[hold.key].as_bytes());
        assert_eq!(status.deadline.map(|at| self.real.time(at)), hold.live().then_some(hold.deadline));
        match hold.state {
            HoldState::Confirmed => assert_eq!(status.quantity, hold.committed),
            HoldState::Shipped | HoldState::Cancelled => {}
            _ => assert_eq!(status.quantity, hold.quantity),
        }
    }

    /// Everything that can be asked.
    fn look(&mut self) {
        let unseen = self.model.holds.iter().filter(|hold| hold.unseen).count() as u64;
        let live = self.model.holds.iter().filter(|hold| hold.live()).count() as u64;
        let holds_live = self.real.engine.metrics().holds_live;
        assert!((live..=live + unseen).contains(&holds_live), "{holds_live} live, of {live} and {unseen}");
        let swept = self.real.engine.sweep();
        assert!(swept <= self.model.see_all());
        assert_eq!(self.real.engine.metrics().holds_live, live);
        for number in 0..self.model.holds.len() {
            self.status(number);
        }
        let engine = &self.real.engine;
        for (number, key) in self.real.keys.iter().enumerate() {
            let level = engine.level(*key).unwrap();
            let model = &self.model.keys[number];
            let committed = self.model.sum(number, |hold| hold.committed);
            assert_eq!((level.on_hand, level.stopped), (model.on_hand, model.stopped));
            assert_eq!((level.held, level.committed), (self.model.held(number), committed));
            assert_eq!(level.available, self.model.available(number));
            assert_eq!(engine.available(*key), Ok(level.available));
            let live = |state| matches!(state, HoldState::Active | HoldState::Paying | HoldState::Confirmed);
            let mut found: Vec<_> = engine.holds_of(REFERENCES[number]);
            found.retain(|status| live(status.state));
            let mut found: Vec<_> = found.iter().map(|status| self.real.number(status.hold)).collect();
            found.sort_unstable();
            let expected = self
                .model
                .holds
                .iter()
                .enumerate()
                .filter(|(_, hold)| hold.key == number && live(hold.state));
            assert_eq!(found, expected.map(|(number, _)| number).collect::<Vec<_>>());
        }
    }

    fn reopen(&mut self, orderly: bool) {
        let Some(directory) = &self.real.directory else { return };
        if orderly {
            self.real.engine.shutdown().unwrap();
        }
        // The old engine goes before the new one comes.
        let config = Real::config(&self.real.clock);
        drop(std::mem::replace(&mut self.real.engine, Engine::in_memory(config).unwrap()));
        self.real.engine = Real::open(&self.real.clock, Some(directory));
        assert_eq!(self.real.engine.keys(), self.real.keys);
        assert_eq!(self.real.engine.metrics().op_keys as usize, self.model.op_keys.len());
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1_500))]
    #[test]
    fn the_engine_answers_as_the_model_does(steps in steps(120)) {
        Pair::run(&steps, false);
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn the_engine_answers_as_the_model_does_across_restarts(steps in steps(120)) {
        Pair::run(&steps, true);
    }
}
