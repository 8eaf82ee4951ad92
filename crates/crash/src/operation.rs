//! Requests to an engine and its answers, in a form that can be stored, so that a request can be repeated
//! later.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stockhold::error::{OperationError, ReserveError};
use stockhold::retry::Retry;
use stockhold::{
    CartLine, Confirm, Engine, Extend, HoldAction, HoldId, OpKey, Position, Receive, RefusalReason, Replace,
    Reserve, ReserveCart, StockKey,
};

/// The number of stock keys: small reserves use the first, pallets all but those.
pub(crate) const KEYS: u32 = 400;

/// A request fails after the engine has been busy for this long.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// A request. Holds are named by their id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Operation {
    Receive { key: u32, units: u32 },
    Reserve { lines: Lines, ttl_ms: u64, remember: bool, reference: String },
    Confirm { hold: u128, units: Option<u32>, retake: bool },
    Release { hold: u128 },
    Extend { hold: u128, ttl_ms: u64 },
    Pay { hold: u128 },
    Ship { hold: u128, units: Option<u32> },
    Cancel { hold: u128 },
    Replace { hold: u128, units: u32 },
}

/// The lines of a reserve.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Lines {
    /// Keys and units. One line is a plain reserve, more are a cart.
    These(Vec<(u32, u32)>),
    /// One unit of each of the last keys, this many: short here, kilobytes in the log.
    Pallet(u32),
}

impl Lines {
    /// The lines one by one.
    pub(crate) fn list(&self) -> Vec<(u32, u32)> {
        match self {
            Lines::These(lines) => lines.clone(),
            Lines::Pallet(keys) => (0..*keys).map(|key| (KEYS - 1 - key, 1)).collect(),
        }
    }
}

/// An answer, and its position in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) position: u64,
    pub(crate) answer: Answer,
}

/// An answer, without the number of units left, which depends on other requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Received {
        available: i64,
    },
    /// A refusal that the op key remembers.
    Refused {
        asked: u32,
        available: i64,
    },
    Granted {
        hold: u128,
        units: u32,
        deadline_ms: u64,
    },
    Confirmed {
        units: u32,
        returned: u32,
        retaken: bool,
    },
    Moved {
        units: u32,
        remaining: u32,
    },
    Extended {
        deadline_ms: u64,
    },
    Replaced {
        units: u32,
        deadline_ms: u64,
    },
}

/// The outcome of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// It happened; the answer holds once its position is durable.
    Done(Answered),
    /// It did not happen, and left no trace.
    Declined(String),
}

/// Declares the stock keys.
pub(crate) fn declare(engine: &Engine) -> Result<Vec<StockKey>, String> {
    (0..KEYS)
        .map(|key| engine.declare(&format!("item-{key}"), "berlin").map_err(|error| error.to_string()))
        .collect()
}

impl Operation {
    /// Sends the request, again while the engine is busy. The answer is not durable yet.
    pub(crate) fn request(&self, engine: &Engine, keys: &[StockKey], number: u64) -> Result<Reply, String> {
        let request = || self.request_once(engine, keys, op_key(number));
        let patient = Retry::default().give_up_after(BUSY_MAX);
        match patient.call_while(|not| matches!(not, Not::Now), request) {
            Ok(answered) => Ok(Reply::Done(answered)),
            Err(Not::Done(why)) => Ok(Reply::Declined(why)),
            Err(Not::Now) => Err(format!("the engine was busy for {BUSY_MAX:?}")),
            Err(Not::Answered(why)) => Err(why),
        }
    }

    fn request_once(&self, engine: &Engine, keys: &[StockKey], op: OpKey) -> Result<Answered, Not> {
        let answered = |Position(position), answer| Answered { position, answer };
        let key = |key: u32| keys[key as usize];
        Ok(match self {
            Operation::Receive { key: of, units } => {
                let receipt = engine.receive(Receive::units(key(*of), *units).op_key(op))?;
                let position = receipt.position();
                let available = receipt.not_yet_durable().available;
                answered(position, Answer::Received { available })
            }
            Operation::Reserve { lines, ttl_ms, remember, reference } => {
                return reserve(
                    engine,
                    &lines.list(),
                    keys,
                    Duration::from_millis(*ttl_ms),
                    (reference, op),
                    *remember,
                );
            }
            Operation::Confirm { hold, units, retake } => {
                let mut request = Confirm::hold(HoldId::from_u128(*hold)).op_key(op);
                if let Some(units) = units {
                    request = request.quantity(*units);
                }
                if *retake {
                    request = request.retake_if_expired();
                }
                let receipt = engine.confirm(request)?;
                let position = receipt.position();
                let confirmed = receipt.not_yet_durable();
                let (units, returned, retaken) = (confirmed.quantity, confirmed.returned, confirmed.retaken);
                answered(position, Answer::Confirmed { units, returned, retaken })
            }
            Operation::Release { hold } => {
                moved(engine.release(HoldAction::hold(HoldId::from_u128(*hold)).op_key(op))?)
            }
            Operation::Cancel { hold } => {
                moved(engine.cancel(HoldAction::hold(HoldId::from_u128(*hold)).op_key(op))?)
            }
            Operation::Ship { hold, units } => {
                let request = HoldAction::hold(HoldId::from_u128(*hold)).op_key(op);
                moved(engine.ship(units.map_or(request, |units| request.quantity(units)))?)
            }
            Operation::Extend { hold, ttl_ms } => {
                let ttl = Duration::from_millis(*ttl_ms);
                let receipt = engine.extend(Extend::hold(HoldId::from_u128(*hold), ttl).op_key(op))?;
                let position = receipt.position();
                answered(position, Answer::Extended { deadline_ms: receipt.not_yet_durable().deadline.0 })
            }
            Operation::Pay { hold } => {
                let receipt = engine.begin_payment(HoldAction::hold(HoldId::from_u128(*hold)).op_key(op))?;
                let position = receipt.position();
                answered(position, Answer::Extended { deadline_ms: receipt.not_yet_durable().deadline.0 })
            }
            Operation::Replace { hold, units } => {
                let receipt =
                    engine.replace(Replace::quantity(HoldId::from_u128(*hold), *units).op_key(op))?;
                let position = receipt.position();
                let replaced = receipt.not_yet_durable();
                let deadline_ms = replaced.deadline.0;
                answered(position, Answer::Replaced { units: replaced.quantity, deadline_ms })
            }
        })
    }
}

fn moved(receipt: stockhold::Receipt<'_, stockhold::answer::Moved>) -> Answered {
    let Position(position) = receipt.position();
    let moved = receipt.not_yet_durable();
    Answered { position, answer: Answer::Moved { units: moved.quantity, remaining: moved.remaining } }
}

fn reserve(
    engine: &Engine,
    lines: &[(u32, u32)],
    keys: &[StockKey],
    ttl: Duration,
    (reference, op): (&str, OpKey),
    remember: bool,
) -> Result<Answered, Not> {
    let granted = match lines {
        [(key, units)] => {
            let request =
                Reserve::units(keys[*key as usize], *units).ttl(ttl).reference(reference).op_key(op);
            let request = if remember { request.remember_refusal() } else { request };
            engine.reserve(request).map(|receipt| {
                let Position(position) = receipt.position();
                let granted = receipt.not_yet_durable();
                (position, granted.hold, granted.quantity, granted.deadline)
            })
        }
        lines => {
            let lines: Vec<_> =
                lines.iter().map(|(key, units)| CartLine::units(keys[*key as usize], *units)).collect();
            let request = ReserveCart::lines(&lines).ttl(ttl).reference(reference).op_key(op);
            let request = if remember { request.remember_refusal() } else { request };
            engine.reserve_cart(request).map(|receipt| {
                let Position(position) = receipt.position();
                let granted = receipt.not_yet_durable();
                (position, granted.hold, granted.quantity, granted.deadline)
            })
        }
    };
    match granted {
        Ok((position, hold, units, deadline)) => {
            let (hold, deadline_ms) = (hold.to_u128(), deadline.0);
            Ok(Answered { position, answer: Answer::Granted { hold, units, deadline_ms } })
        }
        Err(ReserveError::Refused(refusal)) if remember && refusal.reason == RefusalReason::OutOfStock => {
            let answer = Answer::Refused { asked: refusal.asked, available: refusal.available };
            Ok(Answered { position: refusal.position.0, answer })
        }
        Err(error) => Err(error.into()),
    }
}

/// The op key of an operation. Its middle bits are zero, so that it is never taken for a UUIDv7 with a time.
pub(crate) fn op_key(number: u64) -> OpKey {
    OpKey(u128::from(number) | 1 << 127)
}

/// Why there is no answer.
enum Not {
    /// Try again.
    Now,
    /// The request was declined.
    Done(String),
    /// The engine failed.
    Answered(String),
}

impl<E: OperationError> From<E> for Not {
    fn from(error: E) -> Not {
        match error.shared() {
            _ if error.is_busy() => Not::Now,
            // An error that all operations share means here that the engine failed: the load sends no
            // malformed request.
            Some(_) => Not::Answered(error.to_string()),
            None => Not::Done(error.to_string()),
        }
    }
}
