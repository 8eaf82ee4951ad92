//! The engine, asked step by step.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, LookupError, ReplaceError, ReserveError};
use stockhold::{
    Adjust, AdjustReason, CartLine, Config, Confirm, Durability, Engine, Extend, HoldAction, HoldId,
    ManualClock, OpKey, Position, Receipt, Receive, Refusal, Replace, Reserve, ReserveCart, StockKey,
    Timestamp,
};

use crate::common::{START, still};
use crate::steps::*;

/// The engine's answer, the number in it, and word by word what was said.
pub type Answered = (Result<Told, Told>, Option<i64>, Option<(String, Position)>);

/// The engine, and its names for the model's numbers.
pub struct Real {
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    pub directory: Option<tempfile::TempDir>,
    pub keys: Vec<StockKey>,
    pub holds: Vec<HoldId>,
    /// What each op key was told first, word by word.
    pub first: BTreeMap<u8, (String, Position)>,
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The answer, on a directory once it is acknowledged: in memory that would be waiting for nothing.
fn answered<T: Clone>(receipt: Receipt<'_, T>, waits: bool) -> T {
    if waits { receipt.wait().unwrap() } else { receipt.not_yet_durable() }
}

impl Real {
    pub fn new(on_disk: bool) -> Real {
        let clock = Arc::new(ManualClock::new(START));
        let directory = on_disk.then(|| tempfile::tempdir().unwrap());
        let engine = Real::open(&clock, directory.as_ref());
        let keys =
            (0..KEYS).map(|key| engine.declare("poster", &format!("location {key}")).unwrap()).collect();
        Real { engine, clock, directory, keys, holds: Vec::new(), first: BTreeMap::new() }
    }

    pub fn config(clock: &Arc<ManualClock>) -> Config {
        still(clock)
            .ttl_bounds(ms(1), ms(TTL_MAX_MS))
            .ttl_default(ms(TTL_DEFAULT_MS))
            .life_max(ms(LIFE_MAX_MS))
            .payment_extension(ms(PAYMENT_MS))
            .commitments_kept(Some(ms(COMMITMENTS_KEPT_MS)))
            .op_key_retention(None)
            .ring_bytes(64 << 10)
    }

    pub fn open(clock: &Arc<ManualClock>, directory: Option<&tempfile::TempDir>) -> Engine {
        let config = Real::config(clock).durability(Durability::Interval(ms(10)));
        match directory {
            Some(directory) => Engine::open(directory.path(), config).unwrap(),
            None => Engine::in_memory(config).unwrap(),
        }
    }

    /// A copy of the directory as a kill would leave it when all is acknowledged. What vouches for the log first: it may be behind, never ahead.
    pub fn as_killed(&self) -> Option<tempfile::TempDir> {
        fn copy(from: &Path, to: &Path) {
            if from.is_file() {
                fs::copy(from, to).unwrap();
                return;
            }
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                copy(&from.join(&name), &to.join(&name));
            }
        }
        self.engine.wait(self.engine.metrics().position_drawn).unwrap();
        let (from, to) = (self.directory.as_ref()?.path(), tempfile::tempdir().unwrap());
        for name in ["stockhold", "durable", "checkpoint", "log", "clock"] {
            if from.join(name).exists() {
                copy(&from.join(name), &to.path().join(name));
            }
        }
        Some(to)
    }

    pub fn number(&self, id: HoldId) -> usize {
        self.holds.iter().position(|hold| *hold == id).expect("a hold that was granted")
    }

    pub fn time(&self, timestamp: Timestamp) -> u64 {
        timestamp.0 - START.0
    }

    pub fn id(&self, hold: Which) -> HoldId {
        self.holds[hold.index(self.holds.len())]
    }

    /// Does it.
    pub fn apply(&mut self, step: &Step) -> Answered {
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
        let waits = self.directory.is_some();
        fn said<T: Copy + std::fmt::Debug>(
            receipt: Receipt<'_, T>,
            waits: bool,
        ) -> (T, Option<(String, Position)>) {
            let position = receipt.position();
            let value = answered(receipt, waits);
            (value, Some((format!("{value:?}"), position)))
        }
        let failed = |told: Told| (Err(told), None, None);
        match step.what {
            What::Receive { key, quantity } => {
                let request = with_op_key!(Receive::units(self.keys[key], quantity));
                match engine.receive(request) {
                    Ok(receipt) => {
                        let (adjusted, said) = said(receipt, waits);
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
                        let (adjusted, said) = said(receipt, waits);
                        assert_eq!(adjusted.shortfall, (-adjusted.available).max(0));
                        (Ok(Told::Stock), Some(adjusted.available), said)
                    }
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Switch { key, gate } => {
                let key = self.keys[key];
                let switched = match gate {
                    Gate::Open => engine.resume_sale(key),
                    Gate::Stopped => engine.stop_sale(key),
                    Gate::OpensIn { ms: after } => engine.open_sale_at(key, engine.now().plus(ms(after))),
                };
                answered(switched.unwrap(), waits);
                (Ok(Told::Stock), None, None)
            }
            What::Reserve { key, quantity, at_least, ttl_ms, remember_refusal } => {
                let request = Reserve::units(self.keys[key], quantity).or_at_least(at_least);
                let mut request = with_op_key!(request.reference(REFERENCES[key]));
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve(request) {
                    Ok(receipt) => {
                        let (reserved, said) = said(receipt, waits);
                        let (hold, deadline) = self.granted(reserved.hold, reserved.deadline);
                        let told = Told::Reserved { hold, quantity: reserved.quantity, deadline };
                        (Ok(told), Some(reserved.remaining.units()), said)
                    }
                    Err(ReserveError::Refused(refusal)) => self.refused(refusal),
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Cart { lines, ttl_ms, remember_refusal } => {
                let reference = REFERENCES[lines.iter().position(|units| *units > 0).unwrap_or(0)];
                let lines = self.scattered(lines);
                let mut request = with_op_key!(ReserveCart::lines(&lines).reference(reference));
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve_cart(request) {
                    Ok(receipt) => {
                        let (reserved, said) = said(receipt, waits);
                        let (hold, deadline) = self.granted(reserved.hold, reserved.deadline);
                        (Ok(Told::Reserved { hold, quantity: reserved.quantity, deadline }), None, said)
                    }
                    Err(ReserveError::Refused(refusal)) => self.refused(refusal),
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Batch { ref wanted } => {
                // A batch decides what is short at first after the rest; with nothing due that makes no difference.
                engine.sweep();
                let request = |(key, quantity): &(usize, u32)| {
                    Reserve::units(self.keys[*key], *quantity).reference(REFERENCES[*key])
                };
                let requests: Vec<_> = wanted.iter().map(request).collect();
                let mut told = Vec::new();
                for answer in engine.reserve_batch(&requests) {
                    told.push(match answer {
                        Ok(receipt) => {
                            let reserved = answered(receipt, waits);
                            let (hold, deadline) = self.granted(reserved.hold, reserved.deadline);
                            Some((hold, reserved.quantity, deadline))
                        }
                        Err(ReserveError::Refused(_)) => None,
                        Err(error) => panic!("{error:?}"),
                    });
                }
                (Ok(Told::Batch(told)), None, None)
            }
            What::Replace { hold, by, ttl_ms } => {
                let lines = self.lines_of(by);
                let hold = self.id(hold);
                let request = match (by, &lines) {
                    (Part::Quantity(quantity), _) => Replace::quantity(hold, quantity),
                    (_, Some(lines)) => Replace::lines(hold, lines),
                    (_, None) => unreachable!("a replacement names something"),
                };
                let mut request = with_op_key!(request);
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                match engine.replace(request) {
                    Ok(receipt) => {
                        let (replaced, said) = said(receipt, waits);
                        let (hold, deadline) = (self.number(replaced.hold), self.time(replaced.deadline));
                        (Ok(Told::Replaced { hold, quantity: replaced.quantity, deadline }), None, said)
                    }
                    Err(ReplaceError::Lookup(LookupError::Forgotten)) => failed(Told::Forgotten),
                    Err(ReplaceError::Refused(refusal)) => self.refused(refusal),
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Confirm { hold, part, retake } => {
                let lines = self.lines_of(part);
                let mut request = with_op_key!(Confirm::hold(self.id(hold)));
                if let Part::Quantity(quantity) = part {
                    request = request.quantity(quantity);
                }
                if let Some(lines) = &lines {
                    request = request.lines(lines);
                }
                if retake {
                    request = request.retake_if_expired();
                }
                match engine.confirm(request) {
                    Ok(receipt) => {
                        let (confirmed, said) = said(receipt, waits);
                        let stockhold::answer::Confirmed { hold, quantity, returned, retaken } = confirmed;
                        let hold = self.number(hold);
                        (Ok(Told::Confirmed { hold, quantity, returned, retaken }), None, said)
                    }
                    Err(ConfirmError::Lookup(LookupError::Forgotten)) => failed(Told::Forgotten),
                    Err(ConfirmError::NotHeld(key)) => failed(Told::NotHeld { key: self.key(key) }),
                    Err(ConfirmError::Refused(refusal)) => self.refused(refusal),
                    Err(error) => failed(Told::Error(format!("{error:?}"))),
                }
            }
            What::Extend { hold, ttl_ms } => {
                self.extended(engine.extend(with_op_key!(Extend::hold(self.id(hold), ms(ttl_ms)))))
            }
            What::Pay { hold } => {
                self.extended(engine.begin_payment(with_op_key!(HoldAction::hold(self.id(hold)))))
            }
            What::Release { hold } => {
                self.moved(engine.release(with_op_key!(HoldAction::hold(self.id(hold)))))
            }
            What::Cancel { hold, part } | What::Ship { hold, part } => {
                let lines = self.lines_of(part);
                let mut request = with_op_key!(HoldAction::hold(self.id(hold)));
                if let Part::Quantity(quantity) = part {
                    request = request.quantity(quantity);
                }
                if let Some(lines) = &lines {
                    request = request.lines(lines);
                }
                let cancel = matches!(step.what, What::Cancel { .. });
                self.moved(if cancel { engine.cancel(request) } else { engine.ship(request) })
            }
            _ => unreachable!("not an operation"),
        }
    }

    /// Lines as a caller may name them: in any order, and those of a key apart.
    fn scattered(&self, lines: Lines) -> Vec<CartLine> {
        let lines = self.keys.iter().zip(lines).rev();
        let apart = lines.flat_map(|(key, units)| [(*key, units / 2), (*key, units - units / 2)]);
        apart.filter(|(_, units)| *units > 0).map(|(key, units)| CartLine::units(key, units)).collect()
    }

    fn lines_of(&self, part: Part) -> Option<Vec<CartLine>> {
        if let Part::Lines(lines) = part { Some(self.scattered(lines)) } else { None }
    }

    pub fn key(&self, key: StockKey) -> usize {
        self.keys.iter().position(|known| *known == key).expect("a key that was declared")
    }

    /// The hold's number, a new one if it is new, and its deadline.
    fn granted(&mut self, hold: HoldId, deadline: Timestamp) -> (usize, u64) {
        if !self.holds.contains(&hold) {
            self.holds.push(hold);
        }
        (self.number(hold), self.time(deadline))
    }

    fn refused(&self, refusal: Refusal) -> Answered {
        let Refusal { reason, asked, available, position, .. } = refusal;
        let told = Told::Refused { reason, key: self.key(refusal.key), asked };
        (Err(told), Some(available), Some((format!("{refusal:?}"), position)))
    }

    pub fn moved(&self, answer: Result<Receipt<'_, stockhold::answer::Moved>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => {
                let position = receipt.position();
                let moved = answered(receipt, self.directory.is_some());
                let stockhold::answer::Moved { hold, quantity, remaining } = moved;
                let told = Told::Moved { hold: self.number(hold), quantity, remaining };
                (Ok(told), None, Some((format!("{moved:?}"), position)))
            }
            Err(HoldError::Lookup(LookupError::Forgotten)) => (Err(Told::Forgotten), None, None),
            Err(HoldError::NotHeld(key)) => (Err(Told::NotHeld { key: self.key(key) }), None, None),
            Err(error) => (Err(Told::Error(format!("{error:?}"))), None, None),
        }
    }

    pub fn extended(&self, answer: Result<Receipt<'_, stockhold::answer::Extended>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => {
                let position = receipt.position();
                let extended = answered(receipt, self.directory.is_some());
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

pub const REFERENCES: [&str; KEYS] = ["order-1", "order-2", "order-3"];
