//! What a shopper sees of any design: the engine, the engine behind a planted fault, and the two usual ones.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, LookupError, ReserveError};
use stockhold::{Clock, Engine, HoldId, HoldState, Position, RefusalReason, Reserve, StockKey, Timestamp};
use stockhold_check::Stopwatch;

/// A shopper asks for units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) shopper: u32,
    pub(crate) key: u32,
    pub(crate) quantity: u32,
}

/// The answer to a wish.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Granted {
        hold: u128,
        deadline_ns: u64,
        position: Position,
    },
    Refused {
        available: i64,
    },
    /// Try again.
    Busy,
    /// None of the above: the sale cannot go on like this.
    Failed(String),
}

/// The answer to a payment or a cancellation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outcome {
    Done { position: Position },
    Expired,
    Busy,
    Failed(String),
}

/// A design under test.
pub(crate) trait Shop: Sync {
    fn reserve(&self, wish: Wish) -> Answer;
    fn confirm(&self, hold: u128) -> Outcome;
    fn release(&self, hold: u128) -> Outcome;
    /// Whether a hold that nobody ended is past its time.
    fn has_expired(&self, hold: u128) -> bool;
    /// Returns when what happened up to `position` can be relied on.
    fn acknowledge(&self, position: Position) -> Result<(), String>;
    /// Units for sale now, for the picture.
    fn available(&self) -> i64;
}

/// The engine's clock and the judge's are one, so a deadline converts exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaleClock {
    pub(crate) stopwatch: Stopwatch,
    origin_ms: u64,
}

impl SaleClock {
    pub(crate) fn new() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        SaleClock { stopwatch: Stopwatch::new(), origin_ms: wall.as_millis() as u64 }
    }

    /// The first instant at which engine time has reached `deadline`.
    pub(crate) fn ns_of(&self, deadline: Timestamp) -> u64 {
        deadline.0.saturating_sub(self.origin_ms).saturating_mul(1_000_000)
    }
}

impl Clock for SaleClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.origin_ms + self.stopwatch.now_ns() / 1_000_000)
    }
}

/// The engine itself.
pub(crate) struct EngineShop<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) clock: SaleClock,
    pub(crate) keys: &'a [StockKey],
    pub(crate) ttl: Duration,
}

impl Shop for EngineShop<'_> {
    fn reserve(&self, wish: Wish) -> Answer {
        let reference = format!("shopper {}", wish.shopper);
        let key = self.keys[wish.key as usize];
        match self.engine.reserve(Reserve::units(key, wish.quantity).ttl(self.ttl).reference(&reference)) {
            Ok(receipt) => {
                let position = receipt.position();
                let reserved = receipt.not_yet_durable();
                let deadline_ns = self.clock.ns_of(reserved.deadline);
                Answer::Granted { hold: reserved.hold.to_u128(), deadline_ns, position }
            }
            Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
                Answer::Refused { available: refusal.available }
            }
            Err(error) if error.is_busy() => Answer::Busy,
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    fn confirm(&self, hold: u128) -> Outcome {
        match self.engine.confirm(HoldId::from_u128(hold)) {
            Ok(receipt) => Outcome::Done { position: receipt.position() },
            Err(
                ConfirmError::Expired
                | ConfirmError::Ended(HoldState::Expired)
                | ConfirmError::Lookup(LookupError::Forgotten),
            ) => Outcome::Expired,
            Err(error) if error.is_busy() => Outcome::Busy,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn release(&self, hold: u128) -> Outcome {
        match self.engine.release(HoldId::from_u128(hold)) {
            Ok(receipt) => Outcome::Done { position: receipt.position() },
            Err(
                HoldError::Expired
                | HoldError::WrongState(HoldState::Expired)
                | HoldError::Lookup(LookupError::Forgotten),
            ) => Outcome::Expired,
            Err(error) if error.is_busy() => Outcome::Busy,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn has_expired(&self, hold: u128) -> bool {
        match self.engine.status(HoldId::from_u128(hold)) {
            Ok(status) => status.state == HoldState::Expired,
            Err(error) => error == LookupError::Forgotten,
        }
    }

    fn acknowledge(&self, position: Position) -> Result<(), String> {
        self.engine.wait(position).map_err(|error| error.to_string())
    }

    fn available(&self) -> i64 {
        self.keys.iter().filter_map(|&key| self.engine.available(key).ok()).sum()
    }
}

/// A fault put in front of the engine, to prove that the checker finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Plant {
    /// Once sold out, for ever sold out: must give false refusals.
    SoldOutFlag,
    /// Grants what the engine refuses: must give oversells.
    SkipCheck,
}

/// The engine behind a fault.
pub(crate) struct PlantedShop<'a> {
    pub(crate) shop: EngineShop<'a>,
    plant: Plant,
    sold_out: Vec<AtomicBool>,
    invented: AtomicU64,
}

/// Holds that the fault invents are numbered from here.
const INVENTED: u128 = 1 << 127;

impl<'a> PlantedShop<'a> {
    pub(crate) fn new(shop: EngineShop<'a>, plant: Plant) -> Self {
        let sold_out = shop.keys.iter().map(|_| AtomicBool::new(false)).collect();
        PlantedShop { shop, plant, sold_out, invented: AtomicU64::new(0) }
    }

    fn is_invented(&self, hold: u128) -> bool {
        (INVENTED..INVENTED + u128::from(self.invented.load(Ordering::Relaxed))).contains(&hold)
    }
}

impl Shop for PlantedShop<'_> {
    fn reserve(&self, wish: Wish) -> Answer {
        // Relaxed throughout: the faults are meant to be careless.
        let sold_out = &self.sold_out[wish.key as usize];
        if sold_out.load(Ordering::Relaxed) {
            return Answer::Refused { available: 0 };
        }
        match (self.shop.reserve(wish), self.plant) {
            (refused @ Answer::Refused { .. }, Plant::SoldOutFlag) => {
                sold_out.store(true, Ordering::Relaxed);
                refused
            }
            (Answer::Refused { .. }, Plant::SkipCheck) => {
                let number = self.invented.fetch_add(1, Ordering::Relaxed);
                let deadline_ns = self.shop.clock.stopwatch.now_ns() + self.shop.ttl.as_nanos() as u64;
                Answer::Granted { hold: INVENTED + u128::from(number), deadline_ns, position: Position(0) }
            }
            (answer, _) => answer,
        }
    }

    fn confirm(&self, hold: u128) -> Outcome {
        match self.is_invented(hold) {
            true => Outcome::Done { position: Position(0) },
            false => self.shop.confirm(hold),
        }
    }

    fn release(&self, hold: u128) -> Outcome {
        match self.is_invented(hold) {
            true => Outcome::Done { position: Position(0) },
            false => self.shop.release(hold),
        }
    }

    fn has_expired(&self, hold: u128) -> bool {
        self.is_invented(hold) || self.shop.has_expired(hold)
    }

    fn acknowledge(&self, position: Position) -> Result<(), String> {
        self.shop.acknowledge(position)
    }

    fn available(&self) -> i64 {
        self.shop.available()
    }
}
