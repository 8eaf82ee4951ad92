//! Asks the engine for the model's operations, and writes down its answers as the model does.
//!
//! The simulation inside the library uses this file too: `library` is the name that both give to it.

use std::fmt::Debug;
use std::time::Duration;

use stockhold_model::{
    Answer, Failure, Grant, HoldState, KEYS_MAX, Lines, Operation, RefusalReason, SaleSwitch, Selection,
};

use super::library::answer::{Adjusted, Extended, Moved, Remaining};
use super::library::error::{
    ConfirmError, HoldError, LookupError, NameError, OpKeyError, QuantityError, ReplaceError, ReserveError,
    SharedError, StockError,
};
use super::library::{
    self, Adjust, AdjustReason, CartLine, Confirm, Engine, Extend, HoldAction, HoldId, OpKey, Receipt,
    Receive, Refusal, Replace, Reserve, ReserveCart, StockKey,
};

/// The reference of holds whose first stock key that is.
pub fn reference(key: usize) -> String {
    format!("order-{key}")
}

pub fn state(state: library::HoldState) -> HoldState {
    match state {
        library::HoldState::Active => HoldState::Active,
        library::HoldState::Paying => HoldState::Paying,
        library::HoldState::Confirmed => HoldState::Confirmed,
        library::HoldState::Shipped => HoldState::Shipped,
        library::HoldState::Released => HoldState::Released,
        library::HoldState::Expired => HoldState::Expired,
        library::HoldState::Cancelled => HoldState::Cancelled,
    }
}

/// What the engine answered.
#[derive(Debug)]
pub struct Answered {
    pub answer: Answer,
    /// Units left, or available; and whether that is all of them.
    pub number: Option<(i64, bool)>,
    /// Word by word, and the position that it rests on.
    pub said: Option<(String, u64)>,
    /// Holds that were made.
    pub made: Vec<HoldId>,
    /// Nothing was decided; the caller may try again.
    pub busy: bool,
    /// The engine takes nothing new.
    pub stopped: bool,
    /// The hold was not found.
    pub lookup: Option<LookupError>,
}

impl Answered {
    fn new(answer: Answer) -> Answered {
        let (number, said, made) = (None, None, Vec::new());
        Answered { answer, number, said, made, busy: false, stopped: false, lookup: None }
    }

    fn failed(failure: Failure) -> Answered {
        Answered::new(Answer::Failed(failure))
    }

    /// An error that the model never answers.
    fn other(error: &dyn Debug) -> Answered {
        Answered::failed(Failure::Other(format!("{error:?}")))
    }

    fn not_found(lookup: LookupError) -> Answered {
        Answered { lookup: Some(lookup), ..Answered::other(&lookup) }
    }

    fn shared(error: &SharedError) -> Answered {
        match error {
            SharedError::Quantity(QuantityError(0)) => Answered::failed(Failure::NoQuantity),
            SharedError::CartLines(0) => Answered::failed(Failure::NoLines),
            SharedError::OpKey(OpKeyError::OtherContent) => Answered::failed(Failure::OtherContent),
            error => Answered {
                busy: matches!(error, SharedError::Busy(_)),
                stopped: matches!(error, SharedError::Stopped(_)),
                ..Answered::other(error)
            },
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The engine, and its names for the model's numbers.
pub struct Client<'e> {
    pub engine: &'e Engine,
    /// Whether each answer is awaited until it is durable.
    pub waits: bool,
    pub keys: Vec<StockKey>,
    pub holds: &'e [HoldId],
    /// SKU and location of a number that is declared.
    pub name: fn(usize) -> (String, &'static str),
}

macro_rules! with_op_key {
    ($request:expr, $op_key:expr) => {{
        let request = $request;
        match $op_key {
            Some(key) => request.op_key(OpKey(u128::from(key))),
            None => request,
        }
    }};
}

impl Client<'_> {
    /// Does the operation.
    pub fn ask(&self, operation: &Operation<HoldId>, op_key: Option<u64>) -> Answered {
        let engine = self.engine;
        match *operation {
            Operation::Declare { name } => {
                let (sku, location) = (self.name)(name);
                match engine.declare(&sku, location) {
                    Ok(_) => Answered::new(Answer::Done),
                    Err(NameError::Shared(error)) => Answered::shared(&error),
                    Err(error) => Answered::other(&error),
                }
            }
            Operation::Prepare { key } => {
                let _ = engine.prepare(self.keys[key]);
                Answered::new(Answer::Done)
            }
            Operation::Receive { key, quantity } => {
                self.adjusted(engine.receive(with_op_key!(Receive::units(self.keys[key], quantity), op_key)))
            }
            Operation::Adjust { key, delta } => {
                let request = Adjust::by(self.keys[key], delta, AdjustReason::Count);
                self.adjusted(engine.adjust(with_op_key!(request, op_key)))
            }
            Operation::Switch { key, to } => {
                let key = self.keys[key];
                let switched = match to {
                    SaleSwitch::Open => engine.resume_sale(key),
                    SaleSwitch::Stopped => engine.stop_sale(key),
                    SaleSwitch::OpensIn { ms: after } => {
                        engine.open_sale_at(key, engine.now().plus(ms(after)))
                    }
                };
                match switched {
                    Ok(receipt) => Answered { said: None, ..self.said(receipt, |()| Answer::Done) },
                    Err(error) => stock_failed(&error),
                }
            }
            Operation::Reserve { key, quantity, at_least, ttl_ms, remember_refusal } => {
                let reference = reference(key);
                let request = Reserve::units(self.keys[key], quantity).or_at_least(at_least);
                let mut request = with_op_key!(request.reference(&reference), op_key);
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve(request) {
                    Ok(receipt) => {
                        let (mut made, mut number) = (Vec::new(), None);
                        let answered = self.said(receipt, |reserved| {
                            let is_exact = matches!(reserved.remaining, Remaining::Exact(_));
                            number = Some((reserved.remaining.units(), is_exact));
                            let hold = self.hold_made(reserved.hold, &mut made);
                            let (quantity, deadline_ms) = (reserved.quantity, reserved.deadline.0);
                            Answer::Reserved(Grant { hold, quantity, deadline_ms })
                        });
                        Answered { number, made, ..answered }
                    }
                    Err(error) => self.not_reserved(&error),
                }
            }
            Operation::Cart { lines, ttl_ms, remember_refusal } => {
                let reference = reference(lines.iter().position(|units| *units > 0).unwrap_or(0));
                let lines = self.scattered(lines);
                let mut request = with_op_key!(ReserveCart::lines(&lines).reference(&reference), op_key);
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve_cart(request) {
                    Ok(receipt) => {
                        let mut made = Vec::new();
                        let answered = self.said(receipt, |reserved| {
                            let hold = self.hold_made(reserved.hold, &mut made);
                            let (quantity, deadline_ms) = (reserved.quantity, reserved.deadline.0);
                            Answer::Reserved(Grant { hold, quantity, deadline_ms })
                        });
                        Answered { made, ..answered }
                    }
                    Err(error) => self.not_reserved(&error),
                }
            }
            Operation::Batch { ref requests } => self.batch(requests),
            Operation::Replace { hold, by, ttl_ms } => self.replace(hold, by, ttl_ms, op_key),
            Operation::Confirm { hold, selection, retake } => self.confirm(hold, selection, retake, op_key),
            Operation::Release { hold } => {
                self.moved(engine.release(with_op_key!(HoldAction::hold(hold), op_key)))
            }
            Operation::Extend { hold, ttl_ms } => {
                self.extended(engine.extend(with_op_key!(Extend::hold(hold, ms(ttl_ms)), op_key)))
            }
            Operation::BeginPayment { hold } => {
                self.extended(engine.begin_payment(with_op_key!(HoldAction::hold(hold), op_key)))
            }
            Operation::Cancel { hold, selection } | Operation::Ship { hold, selection } => {
                let lines = self.lines_of(selection);
                let mut request = with_op_key!(HoldAction::hold(hold), op_key);
                if let Selection::Quantity(quantity) = selection {
                    request = request.quantity(quantity);
                }
                if let Some(lines) = &lines {
                    request = request.lines(lines);
                }
                let cancels = matches!(operation, Operation::Cancel { .. });
                self.moved(if cancels { engine.cancel(request) } else { engine.ship(request) })
            }
        }
    }

    fn batch(&self, requests: &[(usize, u32)]) -> Answered {
        // A batch decides requests that are short at first after the rest; with nothing due that makes no
        // difference.
        self.engine.sweep();
        let references: [String; KEYS_MAX] = std::array::from_fn(reference);
        let request = |(key, units): &(usize, u32)| {
            Reserve::units(self.keys[*key], *units).reference(&references[*key])
        };
        let requests: Vec<_> = requests.iter().map(request).collect();
        let (mut grants, mut made) = (Vec::new(), Vec::new());
        for answer in self.engine.reserve_batch(&requests) {
            grants.push(match answer {
                Ok(receipt) => {
                    let reserved = self.value(receipt);
                    let hold = self.hold_made(reserved.hold, &mut made);
                    let (quantity, deadline_ms) = (reserved.quantity, reserved.deadline.0);
                    Some(Grant { hold, quantity, deadline_ms })
                }
                Err(ReserveError::Refused(_)) => None,
                Err(error) => return Answered { made, ..self.not_reserved(&error) },
            });
        }
        Answered { made, ..Answered::new(Answer::Batch(grants)) }
    }

    fn replace(&self, hold: HoldId, by: Selection, ttl_ms: Option<u64>, op_key: Option<u64>) -> Answered {
        let lines = self.lines_of(by);
        let request = match (by, &lines) {
            (Selection::Quantity(quantity), _) => Replace::quantity(hold, quantity),
            (_, lines) => Replace::lines(hold, lines.as_deref().expect("a replacement names something")),
        };
        let mut request = with_op_key!(request, op_key);
        if let Some(ttl_ms) = ttl_ms {
            request = request.ttl(ms(ttl_ms));
        }
        match self.engine.replace(request) {
            Ok(receipt) => self.said(receipt, |replaced| {
                let (hold, deadline_ms) = (self.hold_number(replaced.hold), replaced.deadline.0);
                Answer::Replaced(Grant { hold, quantity: replaced.quantity, deadline_ms })
            }),
            Err(ReplaceError::Refused(refusal)) => self.refused(refusal),
            Err(ReplaceError::Expired) => Answered::failed(Failure::Expired),
            Err(ReplaceError::WrongState(now)) => Answered::failed(Failure::WrongState(state(now))),
            Err(ReplaceError::LifeMax { latest }) => {
                Answered::failed(Failure::LifeMax { latest_ms: latest.0 })
            }
            Err(ReplaceError::NameLines { lines }) => Answered::failed(Failure::NameLines { lines }),
            Err(ReplaceError::Lookup(error)) => Answered::not_found(error),
            Err(ReplaceError::Shared(error)) => Answered::shared(&error),
            Err(error) => Answered::other(&error),
        }
    }

    fn confirm(&self, hold: HoldId, selection: Selection, retake: bool, op_key: Option<u64>) -> Answered {
        let lines = self.lines_of(selection);
        let mut request = with_op_key!(Confirm::hold(hold), op_key);
        if let Selection::Quantity(quantity) = selection {
            request = request.quantity(quantity);
        }
        if let Some(lines) = &lines {
            request = request.lines(lines);
        }
        if retake {
            request = request.retake_if_expired();
        }
        match self.engine.confirm(request) {
            Ok(receipt) => self.said(receipt, |confirmed| Answer::Confirmed {
                hold: self.hold_number(confirmed.hold),
                quantity: confirmed.quantity,
                returned: confirmed.returned,
                retaken: confirmed.retaken,
            }),
            Err(ConfirmError::Refused(refusal)) => self.refused(refusal),
            Err(ConfirmError::Expired) => Answered::failed(Failure::Expired),
            Err(ConfirmError::Ended(now)) => Answered::failed(Failure::Ended(state(now))),
            Err(ConfirmError::NotHeld(key)) => Answered::failed(Failure::NotHeld { key: self.key(key) }),
            Err(ConfirmError::NameLines { lines }) => Answered::failed(Failure::NameLines { lines }),
            Err(ConfirmError::TooMany { asked, held }) => {
                Answered::failed(Failure::TooMany { asked, has: held })
            }
            Err(ConfirmError::Lookup(error)) => Answered::not_found(error),
            Err(ConfirmError::Shared(error)) => Answered::shared(&error),
            Err(error) => Answered::other(&error),
        }
    }

    /// Lines as a caller may name them: in any order, and those of a key apart.
    fn scattered(&self, lines: Lines) -> Vec<CartLine> {
        let lines = self.keys.iter().zip(lines).rev();
        let apart = lines.flat_map(|(key, units)| [(*key, units / 2), (*key, units - units / 2)]);
        apart.filter(|(_, units)| *units > 0).map(|(key, units)| CartLine::units(key, units)).collect()
    }

    fn lines_of(&self, selection: Selection) -> Option<Vec<CartLine>> {
        if let Selection::Lines(lines) = selection { Some(self.scattered(lines)) } else { None }
    }

    /// The number of a stock key; one that no key has if it is unknown.
    pub fn key(&self, key: StockKey) -> usize {
        self.keys.iter().position(|known| *known == key).unwrap_or(KEYS_MAX)
    }

    /// The number of a hold; one that no hold has if it is unknown.
    pub fn hold_number(&self, id: HoldId) -> usize {
        self.holds.iter().position(|known| *known == id).unwrap_or(usize::MAX)
    }

    /// The same for a hold that an answer grants: a new one gets the next number.
    fn hold_made(&self, id: HoldId, made: &mut Vec<HoldId>) -> usize {
        if self.holds.contains(&id) {
            return self.hold_number(id);
        }
        made.push(id);
        self.holds.len() + made.len() - 1
    }

    fn value<T: Clone>(&self, receipt: Receipt<'_, T>) -> T {
        if self.waits { receipt.wait().expect("the log takes it") } else { receipt.not_yet_durable() }
    }

    fn said<T: Copy + Debug>(&self, receipt: Receipt<'_, T>, answer: impl FnOnce(T) -> Answer) -> Answered {
        let position = receipt.position().0;
        let value = self.value(receipt);
        Answered { said: Some((format!("{value:?}"), position)), ..Answered::new(answer(value)) }
    }

    fn refused(&self, refusal: Refusal) -> Answered {
        let Refusal { reason, asked, available, position, .. } = refusal;
        let reason = match reason {
            library::RefusalReason::OutOfStock => RefusalReason::OutOfStock,
            library::RefusalReason::Stopped => RefusalReason::Stopped,
            library::RefusalReason::NotOpen => RefusalReason::NotOpen,
            #[allow(unreachable_patterns, reason = "outside of the library there may be others")]
            _ => return Answered::other(&refusal),
        };
        Answered {
            number: Some((available, true)),
            said: Some((format!("{refusal:?}"), position.0)),
            ..Answered::new(Answer::Refused { reason, key: self.key(refusal.key), asked })
        }
    }

    fn not_reserved(&self, error: &ReserveError) -> Answered {
        match *error {
            ReserveError::Refused(refusal) => self.refused(refusal),
            ReserveError::AtLeast { at_least, quantity } => {
                Answered::failed(Failure::AtLeast { at_least, quantity })
            }
            ReserveError::HoldsFull { holds_max } => Answered::failed(Failure::HoldsFull { holds_max }),
            ReserveError::Shared(ref error) => Answered::shared(error),
            ref error => Answered::other(error),
        }
    }

    fn adjusted(&self, answer: Result<Receipt<'_, Adjusted>, StockError>) -> Answered {
        match answer {
            Ok(receipt) => {
                let mut available = 0;
                let answered = self.said(receipt, |adjusted| {
                    assert_eq!(adjusted.shortfall, (-adjusted.available).max(0));
                    available = adjusted.available;
                    Answer::Done
                });
                Answered { number: Some((available, true)), ..answered }
            }
            Err(error) => stock_failed(&error),
        }
    }

    fn moved(&self, answer: Result<Receipt<'_, Moved>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => self.said(receipt, |moved| Answer::Moved {
                hold: self.hold_number(moved.hold),
                quantity: moved.quantity,
                remaining: moved.remaining,
            }),
            Err(error) => self.hold_failed(&error),
        }
    }

    fn extended(&self, answer: Result<Receipt<'_, Extended>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => self.said(receipt, |extended| Answer::Extended {
                hold: self.hold_number(extended.hold),
                deadline_ms: extended.deadline.0,
            }),
            Err(error) => self.hold_failed(&error),
        }
    }

    fn hold_failed(&self, error: &HoldError) -> Answered {
        Answered::failed(match *error {
            HoldError::Expired => Failure::Expired,
            HoldError::WrongState(now) => Failure::WrongState(state(now)),
            HoldError::NotHeld(key) => Failure::NotHeld { key: self.key(key) },
            HoldError::NameLines { lines } => Failure::NameLines { lines },
            HoldError::TooMany { asked, remaining } => Failure::TooMany { asked, has: remaining },
            HoldError::LifeMax { latest } => Failure::LifeMax { latest_ms: latest.0 },
            HoldError::Lookup(error) => return Answered::not_found(error),
            HoldError::Shared(ref error) => return Answered::shared(error),
            ref error => return Answered::other(error),
        })
    }
}

fn stock_failed(error: &StockError) -> Answered {
    match error {
        StockError::BelowZero { asked, on_hand } => {
            Answered::failed(Failure::BelowZero { asked: *asked, on_hand: *on_hand })
        }
        StockError::Shared(error) => Answered::shared(error),
        error => Answered::other(error),
    }
}
