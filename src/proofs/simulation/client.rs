//! What clients ask of the engine, through its public facade, and how its answers are written down.

use std::time::Duration;

use super::book::Told;
use super::schedule::{Gate, KEYS_MAX, Lines, Part, What};
use crate::answer::{Adjusted, Extended, Moved, Refusal, Remaining};
use crate::engine::Engine;
use crate::error::{
    ConfirmError, HoldError, LookupError, NameError, ReplaceError, ReserveError, SharedError, StockError,
};
use crate::receipt::Receipt;
use crate::request::{
    Adjust, AdjustReason, CartLine, Confirm, Extend, HoldAction, Receive, Replace, Reserve, ReserveCart,
};
use crate::types::{HoldId, OpKey, StockKey};

pub(super) fn name(key: usize) -> String {
    format!("poster {key}")
}

pub(super) const LOCATION: &str = "berlin";

/// Holds are filed under the first of their keys.
pub(super) fn reference(key: usize) -> String {
    format!("order-{key}")
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub told: Told,
    /// Units left, or available; whether that is all of them.
    pub number: Option<(i64, bool)>,
    /// Word by word, and the position that it rests on.
    pub said: Option<(String, u64)>,
    /// Holds that were made.
    pub made: Vec<HoldId>,
    /// Nothing was decided, since that could not be known.
    pub busy: bool,
    /// Nothing is known of the hold.
    pub lookup: Option<LookupError>,
    /// The engine takes nothing new.
    pub stopped: bool,
}

impl Answered {
    fn told(told: Told) -> Answered {
        let (number, said, made) = (None, None, Vec::new());
        Answered { told, number, said, made, busy: false, lookup: None, stopped: false }
    }

    fn said<T: Copy + std::fmt::Debug>(receipt: Receipt<'_, T>, tell: impl FnOnce(T) -> Told) -> Answered {
        let position = receipt.position().0;
        let value = receipt.not_yet_durable();
        Answered { said: Some((format!("{value:?}"), position)), ..Answered::told(tell(value)) }
    }

    fn failed(
        error: impl std::fmt::Debug,
        common: Option<&SharedError>,
        lookup: Option<LookupError>,
    ) -> Answered {
        Answered {
            busy: matches!(common, Some(SharedError::Busy(_))),
            stopped: matches!(common, Some(SharedError::Stopped(_))),
            lookup,
            ..Answered::told(Told::Error(format!("{error:?}")))
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The engine, and its names for the book's keys.
pub(super) struct Client<'e> {
    pub engine: &'e Engine,
    pub keys: Vec<StockKey>,
}

impl Client<'_> {
    /// Asks for it.
    pub(super) fn ask(&self, what: &What<HoldId>, op_key: Option<u64>) -> Answered {
        let (engine, op_key) = (self.engine, op_key.map(|key| OpKey(key.into())));
        macro_rules! with_op_key {
            ($request:expr) => {{
                let request = $request;
                match op_key {
                    Some(key) => request.op_key(key),
                    None => request,
                }
            }};
        }
        match *what {
            What::Declare { key } => match engine.declare(&name(key), LOCATION) {
                Ok(_) => Answered::told(Told::Done),
                Err(error) => {
                    let common = if let NameError::Shared(common) = &error { Some(common) } else { None };
                    Answered::failed(&error, common, None)
                }
            },
            What::Prepare { key } => {
                let _ = engine.prepare(self.keys[key]);
                Answered::told(Told::Done)
            }
            What::Receive { key, quantity } => {
                self.adjusted(engine.receive(with_op_key!(Receive::units(self.keys[key], quantity))))
            }
            What::Adjust { key, delta } => {
                let request = Adjust::by(self.keys[key], delta, AdjustReason::Count);
                self.adjusted(engine.adjust(with_op_key!(request)))
            }
            What::Switch { key, gate } => {
                let key = self.keys[key];
                let switched = match gate {
                    Gate::Open => engine.resume_sale(key),
                    Gate::Stopped => engine.stop_sale(key),
                    Gate::OpensIn { ms: after } => engine.open_sale_at(key, engine.now().plus(ms(after))),
                };
                match switched {
                    Ok(receipt) => Answered { said: None, ..Answered::said(receipt, |()| Told::Done) },
                    Err(error) => stock_failed(&error),
                }
            }
            What::Reserve { key, quantity, at_least, ttl_ms, remember_refusal } => {
                let reference = reference(key);
                let request = Reserve::units(self.keys[key], quantity).or_at_least(at_least);
                let mut request = with_op_key!(request.reference(&reference));
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve(request) {
                    Ok(receipt) => {
                        let mut reserved = None;
                        let answered = Answered::said(receipt, |told| {
                            reserved = Some(told);
                            Told::Reserved { units: told.quantity, deadline: told.deadline.0 }
                        });
                        let number = reserved.map(|told| {
                            (told.remaining.units(), matches!(told.remaining, Remaining::Exact(_)))
                        });
                        Answered { number, made: reserved.iter().map(|told| told.hold).collect(), ..answered }
                    }
                    Err(error) => self.not_reserved(&error),
                }
            }
            What::Cart { lines, ttl_ms, remember_refusal } => {
                let reference = reference(lines.iter().position(|units| *units > 0).unwrap_or(0));
                let lines = self.scattered(lines);
                let mut request = with_op_key!(ReserveCart::lines(&lines).reference(&reference));
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                if remember_refusal {
                    request = request.remember_refusal();
                }
                match engine.reserve_cart(request) {
                    Ok(receipt) => {
                        let mut made = Vec::new();
                        let answered = Answered::said(receipt, |told| {
                            made.push(told.hold);
                            Told::Reserved { units: told.quantity, deadline: told.deadline.0 }
                        });
                        Answered { made, ..answered }
                    }
                    Err(error) => self.not_reserved(&error),
                }
            }
            What::Batch { ref wanted } => self.batch(wanted),
            What::Replace { hold, by, ttl_ms } => {
                let lines = self.lines_of(by);
                let request = match (by, &lines) {
                    (Part::Quantity(quantity), _) => Replace::quantity(hold, quantity),
                    (_, lines) => Replace::lines(hold, lines.as_deref().unwrap_or_default()),
                };
                let mut request = with_op_key!(request);
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(ms(ttl_ms));
                }
                match engine.replace(request) {
                    Ok(receipt) => Answered::said(receipt, |told| Told::Replaced {
                        units: told.quantity,
                        deadline: told.deadline.0,
                    }),
                    Err(ReplaceError::Refused(refusal)) => self.refused(refusal),
                    Err(ReplaceError::Lookup(error)) => Answered::failed(error, None, Some(error)),
                    Err(ReplaceError::Shared(cause)) => {
                        Answered::failed(ReplaceError::Shared(cause.clone()), Some(&cause), None)
                    }
                    Err(error) => Answered::failed(error, None, None),
                }
            }
            What::Confirm { hold, part, retake } => {
                let lines = self.lines_of(part);
                let mut request = with_op_key!(Confirm::hold(hold));
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
                    Ok(receipt) => Answered::said(receipt, |told| Told::Confirmed {
                        units: told.quantity,
                        returned: told.returned,
                        retaken: told.retaken,
                    }),
                    Err(ConfirmError::Refused(refusal)) => self.refused(refusal),
                    Err(ConfirmError::NotHeld(key)) => {
                        Answered::told(Told::NotHeld { key: self.number(key) })
                    }
                    Err(ConfirmError::Lookup(error)) => Answered::failed(error, None, Some(error)),
                    Err(ConfirmError::Shared(cause)) => {
                        Answered::failed(ConfirmError::Shared(cause.clone()), Some(&cause), None)
                    }
                    Err(error) => Answered::failed(error, None, None),
                }
            }
            What::Release { hold } => self.moved(engine.release(with_op_key!(HoldAction::hold(hold)))),
            What::Extend { hold, ttl_ms } => {
                self.extended(engine.extend(with_op_key!(Extend::hold(hold, ms(ttl_ms)))))
            }
            What::Pay { hold } => self.extended(engine.begin_payment(with_op_key!(HoldAction::hold(hold)))),
            What::Cancel { hold, part } | What::Ship { hold, part } => {
                let lines = self.lines_of(part);
                let mut request = with_op_key!(HoldAction::hold(hold));
                if let Part::Quantity(quantity) = part {
                    request = request.quantity(quantity);
                }
                if let Some(lines) = &lines {
                    request = request.lines(lines);
                }
                let cancel = matches!(what, What::Cancel { .. });
                self.moved(if cancel { engine.cancel(request) } else { engine.ship(request) })
            }
        }
    }

    fn batch(&self, wanted: &[(usize, u32)]) -> Answered {
        // A batch decides what is short at first after the rest; with nothing due that makes no difference.
        self.engine.sweep();
        let references: [String; KEYS_MAX] = std::array::from_fn(reference);
        let request = |(key, units): &(usize, u32)| {
            Reserve::units(self.keys[*key], *units).reference(&references[*key])
        };
        let requests: Vec<_> = wanted.iter().map(request).collect();
        let (mut told, mut made) = (Vec::new(), Vec::new());
        for answer in self.engine.reserve_batch(&requests) {
            told.push(match answer {
                Ok(receipt) => {
                    let reserved = receipt.not_yet_durable();
                    made.push(reserved.hold);
                    Some((reserved.quantity, reserved.deadline.0))
                }
                Err(ReserveError::Refused(_)) => None,
                Err(error) => return Answered { made, ..self.not_reserved(&error) },
            });
        }
        Answered { made, ..Answered::told(Told::Batch(told)) }
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

    pub(super) fn number(&self, key: StockKey) -> usize {
        self.keys.iter().position(|known| *known == key).unwrap_or(KEYS_MAX)
    }

    fn refused(&self, refusal: Refusal) -> Answered {
        let Refusal { reason, asked, available, position, .. } = refusal;
        let told = Told::Refused { reason, key: self.number(refusal.key), asked };
        Answered {
            number: Some((available, true)),
            said: Some((format!("{refusal:?}"), position.0)),
            ..Answered::told(told)
        }
    }

    fn not_reserved(&self, error: &ReserveError) -> Answered {
        match error {
            ReserveError::Refused(refusal) => self.refused(*refusal),
            ReserveError::Shared(cause) => Answered::failed(error, Some(cause), None),
            error => Answered::failed(error, None, None),
        }
    }

    fn adjusted(&self, answer: Result<Receipt<'_, Adjusted>, StockError>) -> Answered {
        match answer {
            Ok(receipt) => {
                let mut available = 0;
                let answered = Answered::said(receipt, |told| {
                    assert_eq!(told.shortfall, (-told.available).max(0));
                    available = told.available;
                    Told::Done
                });
                Answered { number: Some((available, true)), ..answered }
            }
            Err(error) => stock_failed(&error),
        }
    }

    fn moved(&self, answer: Result<Receipt<'_, Moved>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => Answered::said(receipt, |told| Told::Moved {
                units: told.quantity,
                remaining: told.remaining,
            }),
            Err(error) => self.not_moved(error),
        }
    }

    fn extended(&self, answer: Result<Receipt<'_, Extended>, HoldError>) -> Answered {
        match answer {
            Ok(receipt) => Answered::said(receipt, |told| Told::Extended { deadline: told.deadline.0 }),
            Err(error) => self.not_moved(error),
        }
    }

    fn not_moved(&self, error: HoldError) -> Answered {
        match &error {
            HoldError::NotHeld(key) => Answered::told(Told::NotHeld { key: self.number(*key) }),
            HoldError::Lookup(lookup) => Answered::failed(&error, None, Some(*lookup)),
            HoldError::Shared(cause) => Answered::failed(&error, Some(cause), None),
            error => Answered::failed(error, None, None),
        }
    }
}

fn stock_failed(error: &StockError) -> Answered {
    let common = if let StockError::Shared(common) = error { Some(common) } else { None };
    Answered::failed(error, common, None)
}
