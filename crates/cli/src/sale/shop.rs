//! The interface that shoppers call, for every design under test, and the engine behind it, with or without a
//! planted fault. The baselines implement it too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stockhold::error::{ConfirmError, HoldError, LookupError, ReserveError};
use stockhold::{Clock, Engine, HoldId, HoldState, Position, RefusalReason, Reserve, StockKey, Timestamp};
use stockhold_check::Stopwatch;

/// One shopper's request for units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReserveRequest {
    pub(crate) shopper: u32,
    pub(crate) key: u32,
    pub(crate) quantity: u32,
}

/// The answer to a [`ReserveRequest`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ReserveAnswer {
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
    /// Any other error: the sale cannot continue.
    Failed(String),
}

/// The answer to a payment or a cancellation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum EndAnswer {
    Done { position: Position },
    Expired,
    Busy,
    Failed(String),
}

/// A design under test.
pub(crate) trait Shop: Sync {
    fn reserve(&self, request: ReserveRequest) -> ReserveAnswer;
    fn confirm(&self, hold: u128) -> EndAnswer;
    fn release(&self, hold: u128) -> EndAnswer;
    /// Whether a hold that was neither confirmed nor released is past its deadline.
    fn has_expired(&self, hold: u128) -> bool;
    /// Returns when everything up to `position` is durable.
    fn acknowledge(&self, position: Position) -> Result<(), String>;
    /// Units available now, for the progress display.
    fn available(&self) -> i64;
}

/// One clock for the engine and for the judge, so that deadlines convert exactly.
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

/// The engine as a [`Shop`].
pub(crate) struct EngineShop<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) clock: SaleClock,
    pub(crate) keys: &'a [StockKey],
    pub(crate) ttl: Duration,
}

impl Shop for EngineShop<'_> {
    fn reserve(&self, request: ReserveRequest) -> ReserveAnswer {
        let reference = format!("shopper {}", request.shopper);
        let key = self.keys[request.key as usize];
        match self.engine.reserve(Reserve::units(key, request.quantity).ttl(self.ttl).reference(&reference)) {
            Ok(receipt) => {
                let position = receipt.position();
                let reserved = receipt.not_yet_durable();
                let deadline_ns = self.clock.ns_of(reserved.deadline);
                ReserveAnswer::Granted { hold: reserved.hold.to_u128(), deadline_ns, position }
            }
            Err(ReserveError::Refused(refusal)) if refusal.reason == RefusalReason::OutOfStock => {
                ReserveAnswer::Refused { available: refusal.available }
            }
            Err(error) if error.is_busy() => ReserveAnswer::Busy,
            Err(error) => ReserveAnswer::Failed(error.to_string()),
        }
    }

    fn confirm(&self, hold: u128) -> EndAnswer {
        match self.engine.confirm(HoldId::from_u128(hold)) {
            Ok(receipt) => EndAnswer::Done { position: receipt.position() },
            Err(
                ConfirmError::Expired
                | ConfirmError::Ended(HoldState::Expired)
                | ConfirmError::Lookup(LookupError::Forgotten),
            ) => EndAnswer::Expired,
            Err(error) if error.is_busy() => EndAnswer::Busy,
            Err(error) => EndAnswer::Failed(error.to_string()),
        }
    }

    fn release(&self, hold: u128) -> EndAnswer {
        match self.engine.release(HoldId::from_u128(hold)) {
            Ok(receipt) => EndAnswer::Done { position: receipt.position() },
            Err(
                HoldError::Expired
                | HoldError::WrongState(HoldState::Expired)
                | HoldError::Lookup(LookupError::Forgotten),
            ) => EndAnswer::Expired,
            Err(error) if error.is_busy() => EndAnswer::Busy,
            Err(error) => EndAnswer::Failed(error.to_string()),
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

/// A fault in front of the engine, to prove that the checker finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum PlantedFault {
    /// After the first refusal, refuses every request for the key: must give false refusals.
    SoldOutFlag,
    /// Grants what the engine refuses: must give oversold units.
    SkipCheck,
}

/// The engine behind a [`PlantedFault`].
pub(crate) struct PlantedShop<'a> {
    pub(crate) shop: EngineShop<'a>,
    plant: PlantedFault,
    sold_out: Vec<AtomicBool>,
    invented: AtomicU64,
}

/// First number of the holds that the fault invents.
const INVENTED: u128 = 1 << 127;

impl<'a> PlantedShop<'a> {
    pub(crate) fn new(shop: EngineShop<'a>, plant: PlantedFault) -> Self {
        let sold_out = shop.keys.iter().map(|_| AtomicBool::new(false)).collect();
        PlantedShop { shop, plant, sold_out, invented: AtomicU64::new(0) }
    }

    fn is_invented(&self, hold: u128) -> bool {
        (INVENTED..INVENTED + u128::from(self.invented.load(Ordering::Relaxed))).contains(&hold)
    }
}

impl Shop for PlantedShop<'_> {
    fn reserve(&self, request: ReserveRequest) -> ReserveAnswer {
        // Relaxed throughout: the faults do not need to be exact.
        let sold_out = &self.sold_out[request.key as usize];
        if sold_out.load(Ordering::Relaxed) {
            return ReserveAnswer::Refused { available: 0 };
        }
        match (self.shop.reserve(request), self.plant) {
            (refused @ ReserveAnswer::Refused { .. }, PlantedFault::SoldOutFlag) => {
                sold_out.store(true, Ordering::Relaxed);
                refused
            }
            (ReserveAnswer::Refused { .. }, PlantedFault::SkipCheck) => {
                let number = self.invented.fetch_add(1, Ordering::Relaxed);
                let deadline_ns = self.shop.clock.stopwatch.now_ns() + self.shop.ttl.as_nanos() as u64;
                ReserveAnswer::Granted {
                    hold: INVENTED + u128::from(number),
                    deadline_ns,
                    position: Position(0),
                }
            }
            (answer, _) => answer,
        }
    }

    fn confirm(&self, hold: u128) -> EndAnswer {
        match self.is_invented(hold) {
            true => EndAnswer::Done { position: Position(0) },
            false => self.shop.confirm(hold),
        }
    }

    fn release(&self, hold: u128) -> EndAnswer {
        match self.is_invented(hold) {
            true => EndAnswer::Done { position: Position(0) },
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
